"""Distances of samples from an exact distribution, whose half is known: no second set of samples adds its noise."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.devices import map_points, on_all_cores
from toydiff.base.score_model import Exact

_ANGLES = np.pi * np.arange(64) / 64
DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
"""Unit vectors evenly spaced over the half circle, [64, 2]."""
LINE_GRID = 2048
"""Points along each direction on which the exact distribution function is evaluated."""
BANDWIDTH = 0.1
"""Of the kernel of the MMD: a fifth of the data's standard deviation."""


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    error: float


class Projected:
    """Samples x [n, 2] along each of `DIRECTIONS`; only who stands where is kept, [directions, n]."""

    def __init__(self, x: np.ndarray):
        self._x = np.asarray(x, float)
        self.order = np.empty((len(DIRECTIONS), len(x)), np.int32)
        for order, direction in zip(self.order, DIRECTIONS, strict=True):
            order[:] = np.argsort(self._x @ direction)

    def along(self, d: int) -> np.ndarray:
        """The samples along direction number d, in order, [n]."""
        return (self._x @ DIRECTIONS[d])[self.order[d]]


class ExactProjections:
    """An exact distribution along each of `DIRECTIONS`: F, linear between points of a grid."""

    def __init__(self, truth: Exact):
        self._grid, self._cdf = truth.projections(DIRECTIONS, LINE_GRID)
        self._spacing = self._grid[:, 1] - self._grid[:, 0]

    def cdf(self, d: int, t: np.ndarray) -> np.ndarray:
        """F(t) along direction number d."""
        return np.interp(t, self._grid[d], self._cdf[d])

    def quantiles(self, d: int, n: int) -> np.ndarray:
        """The quantiles (i - 1/2) / n, i = 1 .. n, along direction number d, [n]."""
        return np.interp((np.arange(n) + 0.5) / n, self._cdf[d], self._grid[d])

    @cached_property
    def mean_pair_distance(self) -> float:
        """E |Y - Y'|: in the plane pi / 2 times the mean over directions of 2 times the integral of F (1 - F)."""
        left, right = self._cdf[:, :-1], self._cdf[:, 1:]
        middle = (left + right) / 2
        cells = (left * (1 - left) + 4 * middle * (1 - middle) + right * (1 - right)) / 6
        return float(np.pi * (cells.sum(1) * self._spacing).mean())

    @cached_property
    def _mean_distance_on_grid(self) -> np.ndarray:
        """E |t - Y|, the integral of F below t and of 1 - F above, [directions, grid]."""
        cells = (self._cdf[:, :-1] + self._cdf[:, 1:]) / 2 * self._spacing[:, None]
        below = np.pad(np.cumsum(cells, axis=1), ((0, 0), (1, 0)))
        return 2 * below - below[:, -1:] + self._grid[:, -1:] - self._grid

    def mean_distance(self, d: int, t: np.ndarray) -> np.ndarray:
        """E |t - Y| along direction number d, exact for the F of this class."""
        inside = np.clip(t, self._grid[d, 0], self._grid[d, -1])
        place = (inside - self._grid[d, 0]) / self._spacing[d]
        i = np.minimum(place.astype(int), LINE_GRID - 2)
        rest, cdf = place - i, self._cdf[d]
        slope = 2 * cdf[i] - 1 + (cdf[i + 1] - cdf[i]) * rest
        return self._mean_distance_on_grid[d, i] + slope * rest * self._spacing[d] + np.abs(t - inside)


def sliced_wasserstein(samples: Projected, exact: ExactProjections) -> float:
    """Wasserstein-1 distance along a line, averaged over the directions of the line.

    In one dimension it is the mean distance of the sorted samples from the exact quantiles.
    """
    directions, n = samples.order.shape
    return float(np.mean([np.abs(samples.along(d) - exact.quantiles(d, n)).mean() for d in range(directions)]))


def sliced_wasserstein_error(samples: Projected, exact: ExactProjections, counts: np.ndarray) -> float:
    """Standard error of `sliced_wasserstein` by bootstrap, on every fourth direction.

    In one dimension the distance is also the integral of |F_n - F|, and resampling changes only the heights of the
    steps of F_n: nothing is sorted again. Where there are no samples, outside, it changes nothing.

    Args:
        samples: n of them.
        exact: what they are compared with.
        counts: how often each resample holds each sample, [resamples, n].
    """
    n = counts.shape[1]
    distance = np.zeros(len(counts))
    for d in range(0, len(DIRECTIONS), 4):
        t = samples.along(d)
        difference = np.cumsum(np.take(counts, samples.order[d, :-1], axis=1), axis=1, dtype=np.float32)
        difference /= np.float32(n)
        difference -= exact.cdf(d, (t[1:] + t[:-1]) / 2).astype(np.float32)
        distance += np.abs(difference, out=difference) @ np.diff(t).astype(np.float32)
    return float(distance.std(ddof=1) / (len(DIRECTIONS) / 4))


class KernelDistance(ABC):
    """D = E K(X, X') - 2 E K(X, Y) + E K(Y, Y') of samples X from an exact Y; what has a Y is exact.

    Gretton et al. 2012 (Journal of Machine Learning Research 13), which also gives the error: with the kernel h(x, x')
    = K(x, x') - E K(x, Y) - E K(x', Y) + E K(Y, Y'), D is the mean of h over all pairs. Its variance is, to leading
    orders in 1 / n, 4 / n times that of the means h(x, .), which vanishes for exact samples, plus 2 / n^2 times that of
    h. The latter matters for nearly exact samples alone, so exact ones give it.
    """

    def __init__(self, draws: np.ndarray, mean: float):
        """`draws`: exact draws, a thousand or so, [m, 2]; `mean`: E K(Y, Y')."""
        self._mean = mean
        across = self.across(draws)
        off_diagonal = ~np.eye(len(draws), dtype=bool)
        h = self.kernel(draws[:, None] - draws) - across[:, None] - across + mean
        self._pair_variance = float((h[off_diagonal] ** 2).mean())
        self._across_variance = float(across.var())

    @abstractmethod
    def kernel(self, difference: np.ndarray) -> np.ndarray:
        """K(x, x') for x - x' [..., 2]."""

    @abstractmethod
    def across(self, x: np.ndarray) -> np.ndarray:
        """E K(x, Y) at each point of x [n, 2]."""

    @abstractmethod
    def floor_value(self, n: int) -> float:
        """What n exact samples score on average."""

    def measure(self, among: np.ndarray, across: np.ndarray) -> Estimate:
        """The distance of n samples, from the means of K(x_i, x_j) over j, [n], and E K(x_i, Y), [n]."""
        n = len(among)
        of_pairs = self._pair_variance / n
        of_means = (among - across).var() - of_pairs  # of which the scatter of a mean over n pairs is no part
        error = np.sqrt(max(4 * of_means + 2 * of_pairs, of_pairs) / n)
        return Estimate(float(among.mean() - 2 * across.mean() + self._mean), float(error))

    def floor(self, n: int) -> Estimate:
        """What n exact samples score on average, and how much one set of them scatters about it."""
        scatter = np.sqrt(2 * self._pair_variance + 4 * self._across_variance / n) / n
        return Estimate(self.floor_value(n), float(scatter))


class EnergyDistance(KernelDistance):
    """The energy distance 2 E |X - Y| - E |X - X'| - E |Y - Y'|: K(x, x') = -|x - x'|, over all pairs.

    Székely & Rizzo 2013 (Journal of Statistical Planning and Inference 143). A distance in the plane is pi / 2 times
    the mean of its projections, where sorting finds the mean distances among n samples in n log n operations.
    """

    def __init__(self, draws: np.ndarray, exact: ExactProjections):
        self._exact = exact
        super().__init__(draws, -exact.mean_pair_distance)

    def kernel(self, difference: np.ndarray) -> np.ndarray:
        """-|x - x'|."""
        return -np.hypot(difference[..., 0], difference[..., 1])

    def across(self, x: np.ndarray) -> np.ndarray:
        """-E |x - Y|, by the projections."""
        x = np.asarray(x, float)
        total = np.zeros(len(x))
        for d, direction in enumerate(DIRECTIONS):
            total += self._exact.mean_distance(d, x @ direction)
        return -np.pi / 2 * total / len(DIRECTIONS)

    def among(self, samples: Projected) -> np.ndarray:
        """-mean over j of |x_i - x_j|, by the projections, [n]."""
        directions, n = samples.order.shape
        total = np.zeros(n)
        for d, order in enumerate(samples.order):
            t = samples.along(d)
            below = np.cumsum(t) - t
            total[order] += t * (2 * np.arange(n) - n) + t.sum() - 2 * below
        return -np.pi / 2 * total / (n * directions)

    def floor_value(self, n: int) -> float:
        """E |Y - Y'| / n: the pairs of a sample with itself."""
        return -self._mean / n


class MaximumMeanDiscrepancy(KernelDistance):
    """The squared MMD with the kernel K(x, x') = exp(-|x - x'|^2 / (2 h^2)), h = `BANDWIDTH`, over pairs i != j.

    Unbiased: 0 on average for exact samples, so that it may be negative. E K(x, Y) = 2 pi h^2 p(x; sigma = h).
    """

    def __init__(self, draws: np.ndarray, truth: Exact):
        self._truth = truth
        super().__init__(draws, truth.mean_kernel(BANDWIDTH))

    def kernel(self, difference: np.ndarray) -> np.ndarray:
        """exp(-|x - x'|^2 / (2 h^2))."""
        return np.exp(-(difference**2).sum(-1) / (2 * BANDWIDTH**2))

    def across(self, x: np.ndarray) -> np.ndarray:
        """2 pi h^2 p(x; sigma = h)."""
        return 2 * np.pi * BANDWIDTH**2 * np.exp(np.asarray(self._truth.log_density(x, BANDWIDTH), float))

    def among(self, x: np.ndarray) -> np.ndarray:
        """Mean of K(x_i, x_j) over j != i, [n]: n^2 evaluations; of a single sample, which has no pair, E K(Y, Y')."""
        points = jnp.asarray(x)
        sums = np.asarray(on_all_cores(_gaussian_sums, points, 256, points), float)
        return (sums - 1) / (len(x) - 1) if len(x) > 1 else np.array([self._mean])

    def floor_value(self, n: int) -> float:
        """0."""
        return 0.0


@jax.jit
def _gaussian_sums(others: jax.Array, x: jax.Array) -> jax.Array:
    def total(point: jax.Array) -> jax.Array:
        dx, dy = others[:, 0] - point[0], others[:, 1] - point[1]
        return jnp.exp((dx**2 + dy**2) * (-0.5 / BANDWIDTH**2)).sum()

    return map_points(total, 256, x)
