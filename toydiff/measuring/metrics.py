"""Quality and diversity of samples in numbers with error bars, each beside its floor: what exact samples score."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from toydiff.base.checks import InputError, check_finite
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import Exact, check_points
from toydiff.distributions.tree import TREE_DEPTHS
from toydiff.measuring import distances
from toydiff.measuring.distances import Estimate
from toydiff.measuring.reference import Reference as Reference  # noqa: PLC0414 - part of this module's face
from toydiff.measuring.reference import Scored as Scored  # noqa: PLC0414

PerSample = Callable[[Scored], np.ndarray]
"""A value of each sample, [n]."""
Floor = Callable[[Reference, int], Estimate]
"""(reference, n) -> what n exact samples score on average, and by how much one set of them scatters about it."""


class Metric(NamedTuple):
    """A row of the table of metrics."""

    function: Callable[[Scored], float]
    title: str
    better: str
    """Which way is better: "lower", "higher", or "as exact" where exceeding the floor is no merit."""
    error: Callable[[Scored], float] | None = None
    """The standard error by a formula; None: by bootstrap."""
    floor: Floor | None = None
    """By a formula; None: by sets of exact samples."""
    applies: Callable[[Reference], bool] = lambda reference: True
    """Whether there is something to measure: other classes, a tree."""
    share: bool = False
    """From 0 to 1, and shown in per cent."""
    short: str = ""
    """Where a table has several columns; by default the title."""

    @property
    def column(self) -> str:
        """The short name, or the title where there is none."""
        return self.short or self.title


def outliers(samples: Scored, q: float) -> np.ndarray:
    """Whether the exact log density of each sample lies below the q quantile of exact samples, [n]; NaN is one too."""
    return ~(samples.log_density >= samples.reference.quantile(q))


def median_log_density(samples: Scored) -> float:
    """Median exact log density of the samples, in nats."""
    return float(np.median(samples.log_density))


def occupancy_distance(samples: Scored) -> float:
    """Total variation between the branches' occupancy and their true mass: sum |o - m| / 2."""
    return float(np.abs(samples.occupancy - samples.reference.branch_mass).sum() / 2)


def branch_coverage(samples: Scored) -> float:
    """Share of the branches that get more than a quarter of their true mass."""
    return float(np.mean(samples.occupancy > samples.reference.branch_mass / 4))


def branch_recalls(samples: Scored) -> np.ndarray:
    """What each branch gets of its true mass, min(1, o / m), [branches]."""
    mass = samples.reference.branch_mass
    return np.minimum(1, np.divide(samples.occupancy, mass, out=np.ones_like(mass), where=mass > 0))


def branch_recall(samples: Scored) -> float:
    """The mean of `branch_recalls`."""
    return float(branch_recalls(samples).mean())


def depth_recall(samples: Scored, depth: int) -> float:
    """The mean of `branch_recalls` over the branches at a depth of the tree."""
    return float(branch_recalls(samples)[np.asarray(samples.reference.truth.depths) == depth].mean())


def sliced_wasserstein(samples: Scored) -> float:
    """Wasserstein-1 distance to the exact distribution along a line, averaged over 64 directions of the line."""
    return distances.sliced_wasserstein(samples.projected, samples.reference.projections)


def _sliced_wasserstein_error(samples: Scored) -> float:
    return distances.sliced_wasserstein_error(samples.projected, samples.reference.projections, samples.counts)


def mean_metric(
    values: PerSample,
    title: str,
    better: str,
    *,
    floor: Floor | None = None,
    applies: Callable[[Reference], bool] = lambda reference: True,
    share: bool = False,
    short: str = "",
) -> Metric:
    """The mean of a value of each sample, its standard error, and by default its floor from 131,072 exact samples."""

    def error(samples: Scored) -> float:
        return float(values(samples).std()) / math.sqrt(len(samples))

    def exact_mean(reference: Reference, n: int) -> Estimate:
        exact = values(reference.exact)
        return Estimate(float(exact.mean()), float(exact.std()) * math.sqrt(1 / n + 1 / len(exact)))

    def mean(samples: Scored) -> float:
        return float(values(samples).mean())

    return Metric(mean, title, better, error, floor or exact_mean, applies, share, short)


def _outlier_rate(q: float, short: str = "") -> Metric:
    def floor(reference: Reference, n: int) -> Estimate:
        return Estimate(q, math.sqrt(q * (1 - q) * (1 / n + 1 / reference.n)))

    title = f"outliers below the {100 * q:g}% quantile"
    return mean_metric(partial(outliers, q=q), title, "lower", floor=floor, share=True, short=short)


def _has_branches(reference: Reference) -> bool:
    return reference.has_branches


def _depth_recall(depth: int) -> Metric:
    def applies(reference: Reference) -> bool:
        depths = reference.truth.depths
        return depths is not None and depth in np.asarray(depths)

    title = f"branch recall at depth {depth}"
    return Metric(partial(depth_recall, depth=depth), title, "higher", applies=applies, share=True)


METRICS: dict[str, Metric] = {
    "outlier_rate_0.001": _outlier_rate(0.001, "outliers"),
    "outlier_rate_0.01": _outlier_rate(0.01),
    "mean_log_density": mean_metric(lambda s: s.log_density, "mean log density", "as exact"),
    "median_log_density": Metric(median_log_density, "median log density", "as exact", short="median log p"),
    "occupancy_distance": Metric(
        occupancy_distance, "branch occupancy, total variation", "lower", applies=_has_branches
    ),
    "branch_coverage": Metric(
        branch_coverage,
        "branches with over 1/4 of their mass",
        "higher",
        applies=_has_branches,
        share=True,
        short="branches kept",
    ),
    "branch_recall": Metric(branch_recall, "branch recall", "higher", applies=_has_branches, share=True),
    **{f"recall_depth_{depth}": _depth_recall(depth) for depth in range(TREE_DEPTHS)},
    "class_leakage": mean_metric(
        lambda s: s.in_other_class,
        "nearer to another class",
        "lower",
        applies=lambda r: r.has_other_classes,
        share=True,
        short="other class",
    ),
    "sliced_wasserstein": Metric(
        sliced_wasserstein, "sliced Wasserstein-1", "lower", _sliced_wasserstein_error, short="sliced W1"
    ),
    "energy_distance": Metric(
        lambda s: s.energy.value,
        "energy distance",
        "lower",
        lambda s: s.energy.error,
        lambda reference, n: reference.energy.floor(n),
    ),
    "mmd": Metric(
        lambda s: s.mmd.value,
        f"squared MMD, kernel width {distances.BANDWIDTH:g}",
        "lower",
        lambda s: s.mmd.error,
        lambda reference, n: reference.mmd.floor(n),
    ),
}


OUTLIERS, COVERAGE, WASSERSTEIN = USUAL = "outlier_rate_0.001", "branch_coverage", "sliced_wasserstein"
"""What most tables and pictures show of samples: quality, diversity, and a distance that sees both."""


class Score(NamedTuple):
    """A metric's value, and its floor."""

    value: float
    error: float
    """Standard error of `value`."""
    exact: float
    """What as many exact samples score on average."""
    exact_error: float
    """By how much one set of as many exact samples scatters about it."""


def evaluate(
    samples: ArrayLike,
    reference: Reference | Exact,
    *,
    seed: Seed = 0,
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Score]:
    """Every metric of `samples` that applies, with its standard error, beside its floor.

    Exact samples differ from the floor by a few `hypot(error, exact_error)` at most.

    Args:
        samples: points [n, 2]. The MMD takes n^2 evaluations: half a second at 16,384 on two cores.
        reference: the exact distribution; as a `Reference` it is prepared once for many calls, and so is the floor
            for each n.
        seed: of the resamples that give the standard errors.
        metrics: rows like those of `METRICS`.

    Raises:
        InputError: the samples are not points [n, 2], or one is NaN or infinite.

    Example:
        >>> import toydiff
        >>> tree = toydiff.fractal_tree("A")
        >>> scores = toydiff.evaluate(tree.sample(0, 2048), tree)
        >>> scores["sliced_wasserstein"].value < 0.1
        True
    """
    x = check_points(samples, "samples")
    if x.ndim != 2 or not len(x):
        raise InputError(f"samples have shape {x.shape}; they must be points [n, 2]")
    check_finite(x)
    if not isinstance(reference, Reference):
        reference = Reference(reference)
    rows = {name: row for name, row in metrics.items() if row.applies(reference)}
    floors = _floors(rows, reference, len(x))
    ours = Scored(x, reference, seed=seed)
    return {name: Score(row.function(ours), standard_error(row, ours), *floors[name]) for name, row in rows.items()}


def standard_error(row: Metric, samples: Scored) -> float:
    """The standard error of a metric: by its formula, else by bootstrap."""
    if row.error is not None:
        return row.error(samples)
    return float(np.std([row.function(again) for again in samples.resamples], ddof=1))


def _floors(rows: Mapping[str, Metric], reference: Reference, n: int) -> dict[str, Estimate]:
    """The floor of each row, kept for each n; without a formula by sets of exact samples."""
    missing = [row for row in rows.values() if (row.function, n) not in reference.floors]
    reference.floors |= {(row.function, n): row.floor(reference, n) for row in missing if row.floor is not None}
    functions = [row.function for row in missing if row.floor is None]
    if functions:
        scores = np.array([[f(exact) for f in functions] for exact in _exact_sets(reference, n)], float)
        spread = zip(scores.mean(0).tolist(), scores.std(0, ddof=1).tolist(), strict=True)
        reference.floors |= {(f, n): Estimate(*e) for f, e in zip(functions, spread, strict=True)}
    return {name: reference.floors[row.function, n] for name, row in rows.items()}


def _exact_sets(reference: Reference, n: int) -> Iterator[Scored]:
    """16 sets of n exact samples, up to 256 where they are small, to see what is rare; small ones drawn together."""
    sets = max(reference.effort.floor_sets, min(256, (1 << 15) // n))
    together = min(sets, max(1, 4096 // n))
    draws = np.arange(together * n).reshape(together, n)
    for key in jax.random.split(jax.random.fold_in(as_key(reference.seed), 1), -(-sets // together)):
        yield from Scored(reference.truth.sample(key, together * n), reference, draws=draws).resamples
