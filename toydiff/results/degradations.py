"""Models made worse on purpose and guided by worse ones, the paper's synthetic test; a section of the report."""

from typing import Any

from toydiff.guidance.methods import guide
from toydiff.measuring.metrics import OUTLIERS, WASSERSTEIN
from toydiff.networks.perturbed import perturb
from toydiff.networks.zoo import open_model
from toydiff.results.claims import (
    Claim,
    Numbers,
    Section,
    best,
    clearly_less,
    measure,
    numbers_table,
    percent,
)

DEGRADATIONS = (
    ("dropout", 0.05, 0.1, ("input-noise", 0.2)),
    ("input-noise", 0.1, 0.2, ("dropout", 0.1)),
    ("input-noise", 0.5, 1.0, ("dropout", 0.1)),
)
"""What is done to the main model, how much, how much to the matched guide; what and how much to the mismatched one."""


def degradations() -> Section:
    """The paper's synthetic test: a model made worse on purpose, guided by one made worse likewise or otherwise."""
    clean = open_model("A/64/4096")
    found: dict[str, Numbers] = measure({"A/64/4096 itself": clean}, seeds=(0,))
    claims = []
    for kind, little, much, other in DEGRADATIONS:
        main, label = perturb(clean, kind, little), f"{kind} {little:g}"
        models: dict[str, Any] = {label: main}
        for name, amount in ((kind, much), other):
            bad = perturb(clean, name, amount)
            title = f"{label}, guide {name} {amount:g}"
            models |= {f"{title}, w = {w:g}": guide("autoguidance", main, bad, weight=w) for w in (1.25, 1.5, 2.0, 3.0)}
        found |= measure(models, seeds=(0,))
        claims.append(claim_of_degradation(found, label, f"{kind} {much:g}", "{} {:g}".format(*other)))
    return Section(
        "Synthetic degradations",
        "A/64/4096 made worse by dropout in its hidden layers or by noise in its input (in units of sigma), and "
        "guided by itself made worse still in the same way (matched) or in the other (mismatched). 8,192 samples, "
        "seed 0. `toydiff evaluate --method autoguidance -w 2 --main A/64/4096+dropout0.05 --guide "
        "A/64/4096+dropout0.1 -n 8192`.",
        (numbers_table("model", found),),
        tuple(claims),
    )


def claim_of_degradation(found: dict[str, Numbers], label: str, matched: str, mismatched: str) -> Claim:
    """That a guide hurt in the same way mends a hurt model, and one hurt in another way does not."""
    clean, hurt = found["A/64/4096 itself"][WASSERSTEIN], found[label][WASSERSTEIN]

    def best_with(name: str) -> str:
        return best({k: v for k, v in found.items() if k.startswith(f"{label}, guide {name}")}, WASSERSTEIN)

    good, bad = found[best_with(matched)][WASSERSTEIN], found[best_with(mismatched)][WASSERSTEIN]
    words = f"sliced W1 {hurt.value:.3f} (clean {clean.value:.3f})"
    return Claim(
        f"A model hurt by {label} is mended by a guide hurt more in the same way, and by no other.",
        (
            (clearly_less(good, hurt), f"{words}; matched, at its best weight, {good.value:.3f}"),
            (not clearly_less(bad, hurt), f"mismatched {bad.value:.3f}"),
            (
                clearly_less(found[best_with(matched)][OUTLIERS], found[label][OUTLIERS]),
                f"outliers {percent(found[label][OUTLIERS])}, matched {percent(found[best_with(matched)][OUTLIERS])}",
            ),
        ),
    )
