"""The paper's experiments on guides, repeated on the tree: each a function that gives a section of the report."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toydiff.guidance.guided import Guided
from toydiff.guidance.named import guided_model
from toydiff.measuring.metrics import COVERAGE, OUTLIERS, USUAL, WASSERSTEIN
from toydiff.measuring.sweep import run_sweep
from toydiff.measuring.sweep_table import Sweep, pivot
from toydiff.results import plotting
from toydiff.results.claims import (
    SHORT,
    Claim,
    Numbers,
    Section,
    best,
    cells,
    clearly_less,
    measure,
    numbers_table,
    percent,
    shown,
)
from toydiff.results.style import COLOURS, STYLE, WIDTH
from toydiff.results.sweep_figure import axis_label

WEIGHTS = (1.0, 1.5, 2.0, 3.0, 4.0)
SEEDS = (0, 1)
"""Of the noise."""
LENGTHS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
"""Of the average of the parameters, relative to the training."""


def sweep(grid: dict[str, Any]) -> Sweep:
    """The grid measured; Ctrl-C ends the report, for part of a table would make a wrong page."""
    table = run_sweep(grid, n=4096, metrics=USUAL, progress=False)
    if table.interrupted:
        raise KeyboardInterrupt
    return table


@mpl.rc_context(STYLE)
def sensitivity() -> Section:
    """Figure 3 of the paper: over the weight, the guide's training and width, and the lengths of the averages."""
    common: dict[str, Any] = {"weight": WEIGHTS, "seed": SEEDS}
    training = sweep({"guide_steps": (128, 256, 512, 1024, 2048), **common})
    width = sweep({"guide_width": (8, 16, 32, 64), **common})
    lengths = sweep({"weight": (2.0,), "main_ema": LENGTHS, "guide_ema": LENGTHS})
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots(3, 3)
    for row, metric in zip(axes.T, SHORT, strict=True):
        _curves(row[0], training, metric, "guide_steps", "guide A/32")
        _curves(row[1], width, metric, "guide_width", "guide after 512 steps")
        chosen = pivot(lengths, metric, "guide_ema", "main_ema")
        labels = [[axis_label(value) for value in values] for values in (chosen.x_values, chosen.y_values)]
        plotting.plot_heat_map(chosen.mean * (100 if metric != WASSERSTEIN else 1), *labels, fontsize=5, ax=row[2])
        row[2].set(xlabel="guide's average", ylabel="main model's average")
        row[0].set_title(SHORT[metric] + (" (%)" if metric != WASSERSTEIN else ""))
    by_training = cells(training, lambda s: f"{s.guide.steps} steps (T/{4096 // s.guide.steps}), w = {s.weight:g}")
    by_width = cells(width, lambda s: f"width {s.guide.width}, w = {s.weight:g}")
    by_length = cells(lengths, lambda s: f"main {s.main.ema:g}, guide {s.guide.ema:g}")
    at_2 = {
        label.removesuffix(", w = 2"): numbers
        for found in (by_training, by_width)
        for label, numbers in found.items()
        if label.endswith("w = 2")
    }
    return Section(
        "Sensitivity to the guide (Figure 3 of the paper)",
        "Autoguidance of A/64/4096, 4,096 samples with each of two seeds of the noise. `toydiff sweep "
        "guide_steps=128,256,512,1024,2048 weight=1,1.5,2,3,4 seed=0,1`, `toydiff sweep guide_width=8,16,32,64 "
        "weight=1,1.5,2,3,4 seed=0,1` and `toydiff sweep weight=2 main_ema=0.005,0.01,0.02,0.05,0.1,0.25 "
        "guide_ema=0.005,0.01,0.02,0.05,0.1,0.25`. The table is the slice w = 2; the lowest row of the figure is at "
        "w = 2 as well, its averages made of stored ones after the training.",
        (numbers_table("guide, w = 2", at_2),),
        (*claims_of_sensitivity(by_training, by_width), claim_of_lengths(by_length)),
        figure,
        (training, width, lengths),
    )


def _curves(ax: Axes, table: Sweep, metric: str, by: str, title: str) -> None:
    chosen = pivot(table, metric, "weight", by)
    scale = 1 if metric == WASSERSTEIN else 100
    for colour, value, mean, error in zip(COLOURS, chosen.y_values, chosen.mean, chosen.error, strict=False):
        label = f"{value} steps" if by == "guide_steps" else f"width {value}"
        style: Any = {"color": colour, "label": label, "ax": ax}
        plotting.plot_curve(np.array(chosen.x_values, float), scale * mean, error=scale * error, **style)
    ax.set_xlabel(f"w, {title}")
    ax.grid(linewidth=0.3, color="#dddddd")
    ax.set_ylim(bottom=0)
    if metric == OUTLIERS:
        ax.legend(frameon=False, fontsize=5.5)


def claims_of_sensitivity(training: dict[str, Numbers], width: dict[str, Numbers]) -> tuple[Claim, Claim]:
    """By the fewest outliers at any weight but 1; ties within the error go against the claim."""
    guided = {label: n for label, n in training.items() if not label.endswith("w = 1")}
    narrow = {label: n for label, n in width.items() if not label.startswith("width 64")}
    wide = {label: n for label, n in width.items() if label not in narrow}
    first, small, large = best(guided), best(narrow), best(wide)
    plain = percent(training["128 steps (T/32), w = 1"][OUTLIERS])
    return (
        Claim(
            "The best guide is trained for a small part of the main model's time: a sixteenth, or twice or half that.",
            (
                (
                    first.startswith(("128 ", "256 ", "512 ")),
                    f"fewest outliers, {percent(guided[first][OUTLIERS])}, at {first}; {plain} without guidance",
                ),
            ),
        ),
        Claim(
            "The best guide is smaller than the main model.",
            (
                (
                    clearly_less(narrow[small][OUTLIERS], wide[large][OUTLIERS]),
                    f"fewest outliers of the smaller ones {percent(narrow[small][OUTLIERS])}, at {small}; as wide as "
                    f"the main model {percent(wide[large][OUTLIERS])}, at {large}",
                ),
            ),
        ),
    )


def claim_of_lengths(found: dict[str, Numbers]) -> Claim:
    """By how far outliers move with each length: twice as far with the main model's, also without the longest."""

    def spread(of: str, longest: float) -> float:
        pairs = [(n, 0.01) if of == "main" else (0.01, n) for n in LENGTHS if n <= longest]
        values = [found[f"main {a:g}, guide {b:g}"][OUTLIERS].value for a, b in pairs]
        return 100 * (max(values) - min(values))

    findings = []
    for longest in (1.0, 0.1):
        main, of_guide = spread("main", longest), spread("guide", longest)
        where = "over all lengths" if longest == 1 else f"up to a length of {longest:g}"
        text = f"{where} outliers move by {main:.1f} points with the main model's, by {of_guide:.1f} with the guide's"
        findings.append((main > 2 * of_guide, text))
    claim = "The result depends on the main model's EMA length at least twice as much as on the guide's."
    return Claim(claim, tuple(findings))


def capacity() -> Section:
    """Less training alone, less capacity alone, both; and autoguidance of the unconditional model."""
    guides = {"less training, A/64/512": "A/64/512", "smaller, A/32/4096": "A/32/4096", "both, A/32/512": "A/32/512"}
    models = {f"{title}, w = {w:g}": _auto(name, w) for title, name in guides.items() for w in (1.5, 2.0, 3.0)}
    found = measure({"unguided": guided_model()} | models)
    whole = {f"w = {w:g}": _auto("AB/32/512", w, "AB/64/4096") for w in (1.0, 1.5, 2.0, 3.0)}
    both = measure(whole, classes="AB")
    best_of = {title: best({k: v for k, v in found.items() if k.startswith(title)}) for title in guides}
    less, small, combined = (found[label] for label in best_of.values())
    evidence = "; ".join(f"{label} {percent(found[label][OUTLIERS])}" for label in best_of.values())
    return Section(
        "Less training, less capacity, or both",
        "8,192 samples with each of two seeds of the noise (`toydiff evaluate --method autoguidance --guide A/64/512 "
        "-w 2 -n 8192`). Below: both classes at once, AB/64/4096 guided by AB/32/512 (`--main AB/64/4096 --guide "
        "AB/32/512`).",
        (numbers_table("guide", found), numbers_table("unconditional", both)),
        (
            Claim(
                "A guide that is smaller and trained less is better than one that is only one of them.",
                (
                    (clearly_less(combined[OUTLIERS], less[OUTLIERS]), f"fewest outliers at any w: {evidence}"),
                    (clearly_less(combined[OUTLIERS], small[OUTLIERS]), "against the smaller one alone"),
                ),
            ),
            claim_of_unconditional(both),
        ),
    )


def claim_of_unconditional(found: dict[str, Numbers]) -> Claim:
    """By the outliers and the branches at w = 2 beside those at w = 1."""
    plain, guided = found["w = 1"], found["w = 2"]
    return Claim(
        "Autoguidance removes outliers of an unconditional model too, without dropping branches.",
        (
            (
                clearly_less(guided[OUTLIERS], plain[OUTLIERS]),
                f"outliers {percent(guided[OUTLIERS])} at w = 2, {percent(plain[OUTLIERS])} without",
            ),
            (
                not clearly_less(guided[COVERAGE], plain[COVERAGE]),
                f"branches kept {percent(guided[COVERAGE])} and {percent(plain[COVERAGE])}",
            ),
        ),
    )


def _auto(guide_name: str, weight: float, main: str = "A/64/4096") -> Guided:
    return guided_model("autoguidance", weight, main=main, guides=[guide_name])


@mpl.rc_context(STYLE)
def interval_and_mix() -> Section:
    """Guidance in an interval of noise levels, and CFG mixed with autoguidance."""
    intervals = [(0.0, np.inf), (0.0, 0.1), (0.0, 0.03), (0.03, np.inf), (0.1, np.inf), (0.02, 0.3)]
    runs = {
        method: [
            sweep({"method": [method], "weight": [w], "lo": [lo], "hi": [hi], "seed": SEEDS}) for lo, hi in intervals
        ]
        for method, w in (("cfg", 4.0), ("autoguidance", 2.0))
    }
    found = {
        f"{method}, ({lo:g}, {hi:g}]": next(iter(cells(run, lambda s: s.method).values()))
        for method, tables in runs.items()
        for (lo, hi), run in zip(intervals, tables, strict=True)
    }
    mix = sweep(
        {"method": ["mix"], "weight": (1.5, 2.0, 3.0, 4.0), "share": (0.0, 0.25, 0.5, 0.75, 1.0), "seed": SEEDS}
    )
    figure = Figure(figsize=(WIDTH, 1.9), layout="constrained")
    for ax, metric in zip(figure.subplots(1, 3), SHORT, strict=True):
        chosen = pivot(mix, metric, "share", "weight")
        labels = [[axis_label(value) for value in values] for values in (chosen.x_values, chosen.y_values)]
        plotting.plot_heat_map(chosen.mean * (100 if metric != WASSERSTEIN else 1), *labels, ax=ax)
        ax.set(xlabel="share of autoguidance (0: CFG)", ylabel="w")
        ax.set_title(SHORT[metric] + (" (%)" if metric != WASSERSTEIN else ""))
    everywhere, low = found["cfg, (0, inf]"], found["cfg, (0, 0.1]"]
    return Section(
        "Guidance interval, and the mix of CFG and autoguidance",
        "4,096 samples with each of two seeds: CFG at w = 4 and autoguidance at w = 2, acting at lo < sigma <= hi "
        "only (`toydiff sweep method=cfg weight=4 lo=0 hi=0.1 seed=0,1`); and the mix, w from 1.5 to 4 by the share "
        "of autoguidance (`toydiff sweep method=mix weight=1.5,2,3,4 share=0,0.25,0.5,0.75,1 seed=0,1`), in the "
        "figure.",
        (numbers_table("method, interval", found),),
        (
            Claim(
                "CFG in an interval of noise levels keeps the variety that it loses at high noise.",
                (
                    (
                        clearly_less(everywhere[COVERAGE], low[COVERAGE]),
                        f"branches kept {percent(everywhere[COVERAGE])} at all levels, {percent(low[COVERAGE])} below "
                        "0.1",
                    ),
                    (
                        clearly_less(low[WASSERSTEIN], everywhere[WASSERSTEIN]),
                        f"sliced W1 {everywhere[WASSERSTEIN].value:.3f} and {low[WASSERSTEIN].value:.3f}",
                    ),
                ),
            ),
            claim_of_mix(cells(mix, lambda s: f"share {s.knob('share'):g}, w = {s.weight:g}")),
        ),
        figure,
        (mix,),
    )


def claim_of_mix(found: dict[str, Numbers]) -> Claim:
    """By the best of each metric: a mix has to beat both methods alone by more than the error."""
    alone = {label: n for label, n in found.items() if label.startswith(("share 0,", "share 1,"))}
    mixed = {label: n for label, n in found.items() if label not in alone}
    findings = []
    for metric in (OUTLIERS, WASSERSTEIN):
        ours, theirs = best(mixed, metric), best(alone, metric)
        text = f"lowest {SHORT[metric]} of the mixes {shown(metric, mixed[ours][metric])} at {ours}, of one alone "
        text += f"{shown(metric, alone[theirs][metric])} at {theirs}"
        findings.append((clearly_less(mixed[ours][metric], alone[theirs][metric]), text))
    return Claim("A mix of CFG and autoguidance is better than either alone.", tuple(findings))
