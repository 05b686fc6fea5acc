"""What an experiment of the report is made of: measured numbers, claims and whether they hold, tables in Markdown."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from toydiff.base.score_model import ScoreModel
from toydiff.measuring.distances import Estimate
from toydiff.measuring.metrics import COVERAGE, METRICS, OUTLIERS, USUAL, Score, evaluate
from toydiff.measuring.reference import reference_of
from toydiff.measuring.sweep_table import Sweep
from toydiff.sampling.sampler import sample

SHORT = {name: METRICS[name].column for name in USUAL}
"""The metrics of most tables, as they stand over their columns."""


class Claim(NamedTuple):
    """Something that is said of guidance on the toy, and what was found."""

    text: str
    findings: tuple[tuple[bool, str], ...]
    """Whether each part of it holds, with the numbers that say so."""

    @property
    def verdict(self) -> str:
        """It "holds", "holds partly" or "does not hold"."""
        good = sum(holds for holds, _ in self.findings)
        return "holds" if good == len(self.findings) else "holds partly" if good else "does not hold"


class Section(NamedTuple):
    """What an experiment found: a section of the report."""

    title: str
    text: str
    """What was done, and how to read the table."""
    tables: tuple[str, ...] = ()
    """In Markdown."""
    claims: tuple[Claim, ...] = ()
    figure: Figure | None = None
    sweeps: tuple[Sweep, ...] = ()
    """Written beside the report, so that the explorer can open their cells."""


Numbers = dict[str, Estimate]
"""By metric the mean over the seeds and its standard error."""


def measure(
    models: Mapping[str, ScoreModel],
    *,
    n: int = 8192,
    seeds: Sequence[int] = (0, 1),
    solver: str = "heun",
    classes: str = "A",
    metrics: Iterable[str] = USUAL,
) -> dict[str, Numbers]:
    """Metrics of the samples of each model of the tree, each the mean over the seeds of the noise, the same for all."""
    rows = {name: METRICS[name] for name in metrics}
    reference = reference_of("fractal_tree", classes)
    found = {}
    for label, model in models.items():
        runs = []
        for seed in seeds:
            x = sample(model, seed, n, solver=solver, path=False).samples
            runs.append(evaluate(x, reference, seed=seed, metrics=rows))
        found[label] = {name: mean_of([Estimate(run[name].value, run[name].error) for run in runs]) for name in runs[0]}
    return found


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates; its error is theirs, or the scatter between them where that is larger."""
    k = len(estimates)
    mean = math.fsum(e.value for e in estimates) / k
    error = math.sqrt(math.fsum(e.error**2 for e in estimates)) / k
    scatter = math.sqrt(math.fsum((e.value - mean) ** 2 for e in estimates) / max(k - 1, 1) / k)
    return Estimate(mean, max(error, scatter))


def cells(sweep: Sweep, key: Callable[..., str], metrics: Iterable[str] = USUAL) -> dict[str, Numbers]:
    """The settings of a sweep by a label, those with the same label (the seeds) averaged."""
    groups: dict[str, list[dict[str, float]]] = {}
    for setting, values in sweep.rows.items():
        groups.setdefault(key(setting), []).append(values)
    return {
        label: {m: mean_of([Estimate(row[m], row[f"{m}_error"]) for row in rows]) for m in metrics}
        for label, rows in groups.items()
    }


def shown(metric: str, estimate: Estimate | Score) -> str:
    """An estimate with its error, in per cent where that is usual."""
    if not math.isfinite(estimate.value):
        return "∞"
    if metric in METRICS and METRICS[metric].share:
        return f"{100 * estimate.value:.1f} ± {100 * estimate.error:.1f}%"
    digits = min(6, max(1, 1 - math.floor(math.log10(max(estimate.error, 1e-6)))))
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}"


def numbers_table(
    first: str, found: Mapping[str, Numbers], titles: Mapping[str, str] = SHORT, *, bold: Iterable[str] = ()
) -> str:
    """A row for each label, a column for each metric."""
    marked = set(bold)
    rows = [
        [f"**{label}**" if label in marked else label, *(shown(metric, numbers[metric]) for metric in titles)]
        for label, numbers in found.items()
    ]
    return table([first, *titles.values()], rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def percent(estimate: Estimate) -> str:
    """A share in a sentence."""
    return f"{100 * estimate.value:.1f}%"


def best(found: Mapping[str, Numbers], metric: str = OUTLIERS) -> str:
    """The label with the lowest value of a metric."""
    return min(found, key=lambda label: found[label][metric].value)


def fewest(found: Mapping[str, Numbers], least_coverage: float = 0.0) -> Estimate | None:
    """The lowest outlier rate among settings that keep at least so many branches; None where none does."""
    good = [n[OUTLIERS] for n in found.values() if n[COVERAGE].value >= least_coverage]
    return min(good, default=None, key=lambda e: e.value)


def clearly_less(a: Estimate, b: Estimate) -> bool:
    """Whether a lies below b by more than twice the error of their difference."""
    return b.value - a.value > 2 * math.hypot(a.error, b.error)
