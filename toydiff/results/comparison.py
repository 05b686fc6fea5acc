"""The methods side by side, by every metric, and what the paper says of them: a section of the report."""

from typing import Any

from toydiff.guidance.named import guided_model
from toydiff.measuring.metrics import COVERAGE, METRICS, OUTLIERS, WASSERSTEIN
from toydiff.measuring.model_metrics import MODEL_METRICS, evaluate_model
from toydiff.networks.zoo import open_model
from toydiff.results.claims import (
    Claim,
    Numbers,
    Section,
    clearly_less,
    measure,
    percent,
    shown,
    table,
)


def methods() -> Section:
    """Every method of the table, by every metric."""
    settings = [("autoguidance", 2.0), ("autoguidance", 3.0), ("cfg", 2.0), ("cfg", 4.0), ("truncation", 1.4)]
    settings += [("mix", 3.0), ("classifier", 4.0), ("self-guidance", 2.0)]
    models: dict[str, Any] = {"exact samples": open_model("exact/A"), "unguided": guided_model("unguided")}
    models |= {f"{name}, w = {w:g}": guided_model(name, w) for name, w in settings}
    found = measure(models, n=16_384, seeds=(0,), metrics=tuple(METRICS))
    titles = {name: METRICS[name].title for name in next(iter(found.values()))}
    of_models = {name: evaluate_model(m, 0, 2048) for name, m in models.items() if name != "exact samples"}
    model_titles = {name: row.title for name, row in MODEL_METRICS.items()}
    claims = claims_of_figure_1(found)
    return Section(
        "The methods",
        "16,384 samples each, seed 0 of training and noise, the paper's models and solver (`toydiff evaluate "
        "--method M -w W -n 16384`, and for the last table `--model-metrics -n 2048`). Exact samples here are the "
        "exact scores through the same solver. Errors are standard errors of one run.",
        (_transposed(found, titles), _transposed(of_models, model_titles)),
        claims,
    )


def _transposed(found: dict[str, Numbers], titles: dict[str, str]) -> str:
    """A row for each metric, a column for each model."""
    rows = [[title, *(shown(name, numbers[name]) for numbers in found.values())] for name, title in titles.items()]
    return table(["", *found], rows)


def claims_of_figure_1(found: dict[str, Numbers]) -> tuple[Claim, ...]:
    """What the paper says of the panels of its Figure 1."""
    exact, plain, truncated = (found[name] for name in ("exact samples", "unguided", "truncation, w = 1.4"))
    auto, strong = found["autoguidance, w = 2"], found["autoguidance, w = 3"]
    cfg, strong_cfg = found["cfg, w = 2"], found["cfg, w = 4"]

    def outliers(numbers: Numbers, other: Numbers = plain) -> tuple[bool, str]:
        less = clearly_less(numbers[OUTLIERS], other[OUTLIERS])
        return less, f"outliers {percent(numbers[OUTLIERS])}, without guidance {percent(other[OUTLIERS])}"

    def drops(numbers: Numbers) -> tuple[bool, str]:
        text = f"{percent(numbers[COVERAGE])} of the branches kept, without guidance {percent(plain[COVERAGE])}"
        return clearly_less(numbers[COVERAGE], plain[COVERAGE]), text

    def keeps(numbers: Numbers, w: int) -> tuple[bool, str]:
        holds, text = drops(numbers)
        return not holds, f"w = {w}: {text}"

    return (
        Claim(
            "A network of limited capacity leaves outliers.",
            (
                (
                    clearly_less(exact[OUTLIERS], plain[OUTLIERS]),
                    f"outliers {percent(plain[OUTLIERS])}, of exact samples {percent(exact[OUTLIERS])}",
                ),
            ),
        ),
        Claim(
            "CFG (w = 4) removes outliers, and drops branches.",
            (outliers(strong_cfg), drops(strong_cfg), (outliers(cfg)[0], f"w = 2: {outliers(cfg)[1]}")),
        ),
        Claim(
            "Naive truncation removes outliers and collapses.",
            (outliers(truncated), drops(truncated)),
        ),
        Claim(
            "Autoguidance removes outliers without dropping branches.",
            (
                (outliers(auto)[0], f"w = 2: {outliers(auto)[1]}"),
                keeps(auto, 2),
                (outliers(strong)[0], f"w = 3, the paper's: {outliers(strong)[1]}"),
                keeps(strong, 3),
            ),
        ),
        Claim(
            "Autoguidance distorts the distribution less than CFG does.",
            tuple(
                (
                    clearly_less(a[WASSERSTEIN], c[WASSERSTEIN]),
                    f"sliced W1 {a[WASSERSTEIN].value:.3f} at w = {wa} against {c[WASSERSTEIN].value:.3f} at w = {wc}",
                )
                for a, wa, c, wc in ((auto, 2, cfg, 2), (strong, 3, strong_cfg, 4))
            ),
        ),
    )
