"""What samples are compared with, and what several metrics need of both, each computed once."""

import math
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.base.checks import InputError
from toydiff.base.effort import Effort, current_effort
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import Exact
from toydiff.distributions import catalogue
from toydiff.measuring import levels
from toydiff.measuring.distances import EnergyDistance, Estimate, ExactProjections, MaximumMeanDiscrepancy, Projected

BLOCK = 1 << 16
"""Samples whose posteriors are in memory together."""


class Reference:
    """What samples are compared with: the exact distribution and, each computed once, what metrics need of it."""

    def __init__(
        self,
        truth: Exact,
        *,
        whole: Exact | None = None,
        seed: Seed = 2_000_003,
        n: int | None = None,
    ):
        """Draw `n` exact samples with `seed` for the quantiles; at 2^20 the 0.1% rate is known to 3%.

        How much work goes into the rest is what was in force when it was made.

        Args:
            truth: the exact distribution.
            whole: that of all classes, of which `truth` is a part; by default there are no others.
            seed: of the exact samples.
            n: how many of them; by default 2^20, `reference_draws` of the effort in force.

        Raises:
            InputError: one is not exact, or `truth` is no part of `whole`.
        """
        whole = truth if whole is None else whole
        for name, given in (("reference", truth), ("whole", whole)):
            if not isinstance(given, Exact):
                raise InputError(f"the {name} is {given!r}; it must be a GaussianMixture or another exact distribution")
        self.effort = current_effort()
        self.truth, self.whole, self.seed = truth, whole, seed
        self.n = self.effort.reference_draws if n is None else n
        self.class_mass = truth.share_of(whole)
        self.floors: dict[Any, Estimate] = {}
        self._quantiles: dict[float, float] = {}

    def quantile(self, q: float) -> float:
        """The log density below which the share `q` of exact samples lies."""
        if q not in self._quantiles:
            below = math.floor(q * (self.n - 1))
            lowest = self.truth.lowest_log_densities(self.seed, self.n, below + 2)
            self._quantiles[q] = float(np.quantile(lowest[below:], q * (self.n - 1) - below))
        return self._quantiles[q]

    def know(self, q: float, level: float) -> None:
        """Take a quantile that was computed before."""
        self._quantiles[q] = level

    @cached_property
    def branch_mass(self) -> np.ndarray:
        """True mass of each branch, [branches]; none where the truth has no branches."""
        mass = self.truth.branch_mass
        return np.zeros(0) if mass is None else mass

    @property
    def has_branches(self) -> bool:
        """Whether the truth has branches."""
        return len(self.branch_mass) > 0

    @property
    def has_other_classes(self) -> bool:
        """Whether there are other classes than those of `truth`."""
        return self.class_mass < 1

    @cached_property
    def projections(self) -> ExactProjections:
        """The exact distribution along lines."""
        return ExactProjections(self.truth)

    @cached_property
    def energy(self) -> EnergyDistance:
        """The energy distance from the exact distribution."""
        return EnergyDistance(self._few_draws, self.projections)

    @cached_property
    def mmd(self) -> MaximumMeanDiscrepancy:
        """The squared MMD from the exact distribution."""
        return MaximumMeanDiscrepancy(self._few_draws, self.truth)

    @cached_property
    def exact(self) -> "Scored":
        """131,072 exact samples: the floor of what is a mean over samples."""
        return Scored(self.truth.sample(self.seed, min(self.n, self.effort.mean_draws)), self)

    @cached_property
    def _few_draws(self) -> np.ndarray:
        return np.asarray(self.truth.sample(self.seed, min(self.n, 1024)))


def reference_of(source: catalogue.Source, classes: str) -> Reference:
    """What samples of these classes are compared with everywhere: tables, figures, explorer; kept for many calls."""
    return _reference_of(source, classes, current_effort())


@lru_cache(maxsize=8)
def _reference_of(source: catalogue.Source, classes: str, effort: Effort) -> Reference:
    """Kept for each effort: no block gets the reference of another one."""
    whole = catalogue.distribution(source, catalogue.all_classes(source))
    reference = Reference(catalogue.distribution(source, classes), whole=whole)
    level = levels.recorded().get(f"{source}/{classes}")
    if level is not None and effort == Effort():
        reference.know(levels.SHARE, level)
    return reference


class Scored:
    """Samples with what several metrics need, each computed once.

    Attributes:
        reference: what they are compared with.
    """

    def __init__(self, x: ArrayLike, reference: Reference, *, draws: np.ndarray | None = None, seed: Seed = 0):
        """`draws`: which samples each resample holds, [resamples, size]; by default of a bootstrap with `seed`."""
        self._x, self.reference, self._draws, self._seed = jnp.asarray(x), reference, draws, seed

    @property
    def x(self) -> jax.Array:
        """The samples, [n, 2]."""
        return self._x

    def __len__(self) -> int:
        return len(self.x)

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
        occupancy = np.zeros(len(self.reference.branch_mass))
        for _, posterior in self._posteriors():
            occupancy += posterior.sum(0, dtype=float)
        return occupancy / len(self)

    @cached_property
    def resampled_occupancy(self) -> np.ndarray:
        """The occupancy of each resample, [resamples, branches]."""
        resampled = np.zeros((len(self.draws), len(self.reference.branch_mass)))
        for block, posterior in self._posteriors():
            resampled += self.counts[:, block].astype(np.float32) @ posterior
        return resampled / self.draws.shape[1]

    def _posteriors(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Of each block of samples, [block, branches]: that of all at once would be huge."""
        for i in range(0, len(self), BLOCK):
            block = slice(i, i + BLOCK)
            yield block, np.asarray(self.reference.truth.branch_posterior(self.x[block]))

    @cached_property
    def in_other_class(self) -> np.ndarray:
        """Whether each sample more probably, in the posterior, comes from another class, [n]."""
        log_whole = np.asarray(self.reference.whole.log_density(self.x), float)
        return math.log(self.reference.class_mass) + self.log_density - log_whole < np.log(0.5)

    @cached_property
    def projected(self) -> Projected:
        """The samples along lines."""
        return Projected(np.asarray(self.x))

    @cached_property
    def energy(self) -> Estimate:
        """The energy distance."""
        kernel = self.reference.energy
        return kernel.measure(kernel.among(self.projected), kernel.across(np.asarray(self.x)))

    @cached_property
    def mmd(self) -> Estimate:
        """The squared MMD."""
        kernel, x = self.reference.mmd, np.asarray(self.x)
        return kernel.measure(kernel.among(x), kernel.across(x))

    @cached_property
    def draws(self) -> np.ndarray:
        """Which samples each resample holds, [resamples, size]."""
        if self._draws is not None:
            return self._draws
        random = np.random.default_rng(int(jax.random.bits(as_key(self._seed))))
        size = (self.reference.effort.resamples, len(self))
        return random.integers(len(self), size=size, dtype=np.int32)

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each resample holds each sample, [resamples, n]."""
        counts = np.empty((len(self.draws), len(self)), np.uint16)
        for row, drawn in zip(counts, self.draws, strict=True):
            row[:] = np.bincount(drawn, minlength=len(self))
        return counts

    @property
    def resamples(self) -> "list[Resample]":
        """Those samples; for the bootstrap as many as there are, drawn from them with replacement.

        Not kept: they refer to this, and a circle of references holds its memory for long.
        """
        return [Resample(self, r) for r in range(len(self.draws))]


class Resample(Scored):
    """Resample number r of some samples: what was computed for those is looked up, and not kept."""

    def __init__(self, samples: Scored, r: int):
        self.reference, self._samples, self._r = samples.reference, samples, r

    def __len__(self) -> int:
        return len(self._drawn)

    @property
    def _drawn(self) -> np.ndarray:
        """Which samples it holds."""
        return self._samples.draws[self._r]

    @property
    def x(self) -> jax.Array:
        """Those samples, [n, 2]."""
        return jnp.asarray(np.asarray(self._samples.x)[self._drawn])

    @property
    def log_density(self) -> np.ndarray:
        """Of the samples that it holds."""
        return self._samples.log_density[self._drawn]

    @property
    def occupancy(self) -> np.ndarray:
        """Of the samples that it holds."""
        return self._samples.resampled_occupancy[self._r]
