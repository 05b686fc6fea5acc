"""Quality and diversity of samples in numbers, each beside its floor: what exact samples score."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.checks import InputError
from toydiff.mixture import GaussianMixture, Seed, as_key
from toydiff.score_model import check_points, map_points

DIRECTIONS = 64
"""Directions of the sliced distance, evenly spaced over the half circle."""
QUANTILE_GRID = 2048
"""Points along each direction on which the exact distribution function is evaluated."""


class Reference:
    """What samples are compared with: the exact distribution and, computed once, its log-density quantiles."""

    def __init__(self, truth: GaussianMixture, *, seed: Seed = 2_000_003, n: int = 1 << 20):
        """Draw `n` exact samples with `seed` for the quantiles; at 2^20 the 0.1% rate is known to 3%."""
        if not isinstance(truth, GaussianMixture):
            raise InputError(f"the reference is {truth!r}; it must be a GaussianMixture")
        self.truth = truth
        self._log_density = np.sort(np.asarray(truth.log_density(truth.sample(seed, n)), float))

    def quantile(self, q: float) -> float:
        """The log density below which the share `q` of exact samples lies."""
        return float(np.quantile(self._log_density, q))

    @cached_property
    def branch_mass(self) -> np.ndarray:
        """True mass of each branch, [branches]."""
        mass = np.zeros(self.truth.branch_count)
        np.add.at(mass, np.asarray(self.truth.branches), np.asarray(self.truth.weights, float))
        return mass

    @cached_property
    def directions(self) -> np.ndarray:
        """Unit vectors over the half circle, [2, directions]."""
        angles = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
        return np.stack([np.cos(angles), np.sin(angles)])

    @cached_property
    def distribution_functions(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Along each direction: positions [grid], and the exact distribution function there [grid]."""
        return [_distribution_function(self.truth, direction) for direction in self.directions.T]

    def projected_quantiles(self, n: int) -> np.ndarray:
        """Exact quantiles (i - 1/2) / n, i = 1 .. n, of the projection on each direction: [n, directions]."""
        levels = (np.arange(n) + 0.5) / n
        return np.stack([np.interp(levels, cdf, t) for t, cdf in self.distribution_functions], axis=1)


def _distribution_function(mixture: GaussianMixture, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.asarray(mixture.means, float) @ direction
    std = np.sqrt(np.einsum("i,kij,j->k", direction, np.asarray(mixture.covariances, float), direction))
    t = np.linspace((mean - 6 * std).min(), (mean + 6 * std).max(), QUANTILE_GRID)
    cdf = _mixture_cdf(*(jnp.asarray(a) for a in (t, mixture.weights, mean, std)))
    return t, np.maximum.accumulate(np.asarray(cdf, float))


@jax.jit
def _mixture_cdf(t: jax.Array, weights: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    return map_points(lambda s: weights @ jax.scipy.special.ndtr((s - mean) / std), 256, t)


class Scored:
    """Samples with what several metrics need, each computed once.

    Attributes:
        x: the samples [n, 2].
        reference: what they are compared with.
    """

    def __init__(self, x: ArrayLike, reference: Reference):
        self.x, self.reference = jnp.asarray(x), reference

    @cached_property
    def log_density(self) -> np.ndarray:
        """Exact log density of each sample, [n]."""
        return np.asarray(self.reference.truth.log_density(self.x), float)

    @cached_property
    def occupancy(self) -> np.ndarray:
        """Share of the samples in each branch, [branches].

        A sample counts for every branch with its posterior probability there, so that exact samples have
        the branch's true mass as their expectation, also where branches overlap.
        """
        parts = np.array_split(np.asarray(self.x), max(1, len(self.x) // 65_536))
        total = sum(np.asarray(self.reference.truth.branch_posterior(part), float).sum(0) for part in parts)
        return np.asarray(total) / len(self.x)


def outlier_rate(samples: Scored, q: float) -> float:
    """Share of the samples whose exact log density lies below the q quantile of exact samples."""
    return float(np.mean(samples.log_density < samples.reference.quantile(q)))


def mean_log_density(samples: Scored) -> float:
    """Mean exact log density of the samples, in nats."""
    return float(samples.log_density.mean())


def median_log_density(samples: Scored) -> float:
    """Median exact log density of the samples, in nats."""
    return float(np.median(samples.log_density))


def occupancy_distance(samples: Scored) -> float:
    """Total variation between the branches' occupancy and their true mass: sum |o - m| / 2."""
    return float(np.abs(samples.occupancy - samples.reference.branch_mass).sum() / 2)


def branch_coverage(samples: Scored) -> float:
    """Share of the branches that get more than a quarter of their true mass."""
    return float(np.mean(samples.occupancy > samples.reference.branch_mass / 4))


def sliced_wasserstein(samples: Scored) -> float:
    """Wasserstein-1 distance to the exact distribution along a line, averaged over 64 directions of the line.

    In one dimension it is the mean distance of the sorted samples from the exact quantiles, which are known
    here: a second set of samples would add as much noise as the first.
    """
    sorted_samples = np.sort(np.asarray(samples.x, float) @ samples.reference.directions, axis=0)
    return float(np.abs(sorted_samples - samples.reference.projected_quantiles(len(samples.x))).mean())


def class_leakage(samples: Scored, whole: GaussianMixture) -> float:
    """Share of the samples that more probably, in the posterior, come from another class.

    `whole` is the mixture of all classes, the reference's components among its own.
    """
    truth = samples.reference.truth
    ours = np.isin(_rows(whole.means), _rows(truth.means))
    mass = float(np.asarray(whole.weights, float)[ours].sum())
    log_share = np.log(mass) + samples.log_density - np.asarray(whole.log_density(samples.x), float)
    return float(np.mean(log_share < np.log(0.5)))


def _rows(points: jax.Array) -> np.ndarray:
    """Points [n, 2] as one comparable value each, [n]."""
    x = np.asarray(points, np.float64)
    return x[:, 0] + 1j * x[:, 1]


class Metric(NamedTuple):
    """A row of the table of metrics."""

    function: Callable[[Scored], float]
    title: str
    better: str
    """Which way is better: "lower", "higher", or "as exact" where exceeding the floor is no merit."""


METRICS: dict[str, Metric] = {
    "outlier_rate_0.001": Metric(lambda s: outlier_rate(s, 0.001), "outliers below the 0.1% quantile", "lower"),
    "outlier_rate_0.01": Metric(lambda s: outlier_rate(s, 0.01), "outliers below the 1% quantile", "lower"),
    "mean_log_density": Metric(mean_log_density, "mean log density", "as exact"),
    "median_log_density": Metric(median_log_density, "median log density", "as exact"),
    "occupancy_distance": Metric(occupancy_distance, "branch occupancy, total variation", "lower"),
    "branch_coverage": Metric(branch_coverage, "branches with over 1/4 of their mass", "higher"),
    "sliced_wasserstein": Metric(sliced_wasserstein, "sliced Wasserstein-1", "lower"),
}


class Score(NamedTuple):
    """A metric's value, and its floor."""

    value: float
    exact: float
    """The same metric of as many exact samples."""


def evaluate(
    samples: ArrayLike,
    reference: Reference | GaussianMixture,
    *,
    seed: Seed = 0,
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Score]:
    """Every metric of `samples`, each beside its floor.

    Args:
        samples: points [n, 2].
        reference: the exact distribution; as a `Reference` it is prepared once for many calls.
        seed: of the exact samples that give the floor.
        metrics: rows like those of `METRICS`.

    Raises:
        InputError: the samples are not points [n, 2], or one is NaN or infinite.
    """
    x = check_points(samples, "samples")
    if x.ndim != 2 or not len(x):
        raise InputError(f"samples have shape {x.shape}; they must be points [n, 2]")
    bad = int((~np.isfinite(np.asarray(x)).all(1)).sum())
    if bad:
        raise InputError(f"{bad} of {len(x)} samples are NaN or infinite; all must be finite")
    if not isinstance(reference, Reference):
        reference = Reference(reference)
    exact = reference.truth.sample(jax.random.fold_in(as_key(seed), 1), len(x))
    ours, floor = Scored(x, reference), Scored(exact, reference)
    return {name: Score(row.function(ours), row.function(floor)) for name, row in metrics.items()}
