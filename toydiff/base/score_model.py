"""The one idea: everything is a score model, the score or the whole density of noisy points at every noise level."""

from abc import ABC, abstractmethod
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.base.checks import InputError
from toydiff.base.devices import map_points, on_all_cores
from toydiff.base.random import Seed

SIGMA_DATA = 0.5
"""Standard deviation of the data on each axis; the unit of length."""
SMALLEST_SIGMA, LARGEST_SIGMA = 1e-6, 1e4
"""Noise levels that float32 can square and divide by, with room to spare."""
KNOWN_DRAWS = 1 << 18
"""Exact draws that stand for what an exact distribution has no closed form of."""


class Evaluation(NamedTuple):
    """What a sampler gets of a model at a point x [2] and a noise level sigma []."""

    score: jax.Array
    """[2]; the step goes towards D = x + sigma^2 score."""
    renoise: jax.Array | None = None
    """The denoised point [2] whose noise, x - renoise, the step keeps; None: its own, x - D."""


class ScoreModel(ABC):
    """The score, the gradient of log p(x; sigma) in x, on the plane at every noise level sigma.

    A subclass is a JAX pytree and says what happens at a single point, `score_at`. What stands here is derived from
    that: the denoiser, and many points at once by `vmap`.
    The denoiser of Karras et al. 2022 (arXiv 2206.00364), eq. 3, is D(x; sigma) = x + sigma^2 score(x; sigma).
    """

    @property
    def block(self) -> int:
        """Points evaluated at once: what streams through the cache beats one huge intermediate."""
        return 1024

    @property
    def positive_sigma(self) -> bool:
        """Whether sigma = 0 is refused, as where log(sigma) is an input of a network."""
        return True

    @property
    def classifies(self) -> bool:
        """Whether it is a ratio of densities, such as a classifier, and not a density to be sampled."""
        return False

    @property
    def pointwise(self) -> bool:
        """Whether where a point goes depends on the point and the noise level alone: no memory, no changed step."""
        return True

    @property
    def renoises(self) -> bool:
        """Whether its evaluations have a `renoise`, which not every solver can take."""
        return False

    @abstractmethod
    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The score [2] at one point x [2] and one noise level sigma []."""

    def memory(self) -> Any:
        """What is remembered of a point along its trajectory, at the start: a tree of arrays; () for most."""
        return ()

    def evaluate_at(self, x: jax.Array, sigma: jax.Array, memory: Any) -> tuple[Evaluation, Any]:
        """What a sampler's step needs at one point x [2] and one noise level sigma [], and the memory after it."""
        return Evaluation(self.score_at(x, sigma)), memory

    @abstractmethod
    def truth(self) -> "Exact":
        """The exact distribution that this model stands for."""

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Refused: the score alone does not say how dense it is.

        Raises:
            InputError: always; a `DensityModel` knows.
        """
        raise InputError(
            f"{type(self).__name__} has scores and no log density, which is wanted here; an exact distribution, an "
            "energy network or linear guidance of these has one"
        )

    def denoise_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """D(x; sigma) [2] at one point x [2] and one noise level sigma []."""
        return x + sigma**2 * self.score_at(x, sigma)

    def log_density(self, x: ArrayLike, sigma: ArrayLike = 0.0) -> jax.Array:
        """Log p(x; sigma) up to the model's constant (exact for an exact distribution).

        Args:
            x: points [..., 2].
            sigma: noise level >= 0 (> 0 for a network); broadcasts over the leading axes of x.

        Returns:
            Array [...].

        Raises:
            InputError: x does not end in an axis of 2, sigma is out of range or does not broadcast, or the model has
                scores only.
        """
        return self._evaluate("log_density_at", x, sigma)

    def score(self, x: ArrayLike, sigma: ArrayLike = 0.0) -> jax.Array:
        """Score, the gradient of log p(x; sigma) in x. Arguments and errors as `log_density`; [..., 2]."""
        return self._evaluate("score_at", x, sigma)

    def denoise(self, x: ArrayLike, sigma: ArrayLike = 0.0) -> jax.Array:
        """Denoised points D(x; sigma) = x + sigma^2 score(x; sigma), [..., 2]. As `log_density`."""
        return self._evaluate("denoise_at", x, sigma)

    def _evaluate(self, what: str, x: ArrayLike, sigma: ArrayLike) -> jax.Array:
        x, sigma = check_points(x), check_sigma(sigma, positive=self.positive_sigma)
        leading = x.shape[:-1]
        if sigma.ndim:
            try:
                leading = np.broadcast_shapes(leading, sigma.shape)
            except ValueError:
                raise InputError(f"sigma has shape {sigma.shape}; it must broadcast to the points' {leading}") from None
            sigma = jnp.broadcast_to(sigma, leading).reshape(-1)
            x = jnp.broadcast_to(x, (*leading, 2))
        evaluate = partial(_evaluate_blocks, what=what)
        if sigma.ndim:
            result = on_all_cores(evaluate, self, self.block, x.reshape(-1, 2), sigma)
        else:
            result = on_all_cores(lambda model, x: evaluate(model, x, sigma), self, self.block, x.reshape(-1, 2))
        return result.reshape(*leading, *result.shape[1:])


@partial(jax.jit, static_argnames="what")
def _evaluate_blocks(model: ScoreModel, x: jax.Array, sigma: jax.Array, what: str) -> jax.Array:
    at = getattr(model, what)
    if sigma.ndim:
        return map_points(at, model.block, x, sigma)
    return map_points(lambda point: at(point, sigma), model.block, x)


class DensityModel(ScoreModel):
    """A (perhaps unnormalised) density p(x; sigma) at every noise level; its score is the gradient of its logarithm.

    A subclass says `log_density_at`; where the score is cheaper by another way than automatic differentiation it says
    `score_at` too.
    """

    @abstractmethod
    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Log density, up to a constant, at one point x [2] and one noise level sigma []."""

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Gradient of the log density in x, at one point x [2] and one noise level sigma []."""
        return jax.grad(self.log_density_at)(x, sigma)


class Exact(DensityModel):
    """A distribution that is known exactly at every noise level, sigma = 0 included: the truth beside a model.

    A subclass says its normalised `log_density_at` and draws a `sample`. The rest is what pictures and metrics ask of
    a truth: where there is no closed form of it, it is taken from 2^18 exact draws (so that a distance to it has a
    floor of some 0.001), and what there is not, such as branches, is None, and what needs it does not apply.
    """

    depths: jax.Array | None = None
    """How many forks of a tree lie before each branch, from 0, [branches]; None where they form no tree."""

    @abstractmethod
    def sample(self, key: Seed, n: int, sigma: ArrayLike = 0.0, *, first: int = 0) -> jax.Array:
        """`n` exact draws from p(x; sigma), [n, 2].

        Args:
            key: a JAX key or an integer seed.
            n: how many.
            sigma: noise level >= 0, one for all points or one each, [] or [n].
            first: number of the first one. The draws of a key are an endless sequence, the same in whatever parts.

        Raises:
            InputError: an argument is out of range.
        """

    @property
    def positive_sigma(self) -> bool:
        """False: sigma = 0 is the data itself."""
        return False

    def truth(self) -> "Exact":
        """Itself."""
        return self

    def draw(self, key: jax.Array, sigma: jax.Array, first: jax.Array | int, n: int) -> jax.Array:
        """`sample` without its checks: all but `n` may be traced, as they are in training."""
        return self.sample(key, n, sigma, first=first)  # type: ignore[arg-type]

    def score_of_draws(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The scores [n, 2] at draws x [n, 2] from p(x; sigma), each with a sigma of its own [n]; to be traced."""
        return self.score(x, sigma)

    def masses_of(self, parts: "tuple[Exact, ...]") -> jax.Array:
        """What share of this distribution each of its parts is, [parts].

        Raises:
            InputError: they are not its parts, or it does not know.
        """
        return jnp.asarray([part.share_of(self) for part in parts])

    def share_of(self, whole: "Exact") -> float:
        """What share of another distribution this one is; 1 of itself.

        Raises:
            InputError: it is no part of it, or it does not know.
        """
        if whole is self:
            return 1.0
        raise InputError(f"{type(self).__name__} does not know what share of {whole!r} it is: compare it with itself")

    @property
    def branch_mass(self) -> np.ndarray | None:
        """The share of each branch, [branches]; None where there are no branches."""
        return None

    def branch_posterior(self, x: ArrayLike, sigma: ArrayLike = 0.0) -> jax.Array:
        """Posterior probability of each branch at points x [..., 2]: [..., branches].

        Raises:
            InputError: there are no branches.
        """
        raise InputError(f"{type(self).__name__} has no branches")

    @cached_property
    def _known_draws(self) -> np.ndarray:
        return np.asarray(self.sample(3_000_017, KNOWN_DRAWS), float)

    def projections(self, directions: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
        """Its distribution function along lines: places on each, rising, and F there, both [directions, points]."""
        along = np.sort(directions @ self._known_draws.T, axis=1)
        span = along[:, -1:] - along[:, :1]
        low, high = along[:, :1] - span / points, along[:, -1:] + span / points
        grid = low + (high - low) * np.linspace(0, 1, points)
        rank = [np.searchsorted(line, at, side="right") for line, at in zip(along, grid, strict=True)]
        return grid, np.array(rank) / KNOWN_DRAWS

    def mean_kernel(self, width: float) -> float:
        """E exp(-|Y - Y'|^2 / (2 width^2)) of two draws: 2 pi width^2 E p(Y; sigma = width)."""
        log_density = np.asarray(self.log_density(self._known_draws[: 1 << 15], width), float)
        return float(2 * np.pi * width**2 * np.exp(log_density).mean())

    def lowest_log_densities(self, key: Seed, n: int, count: int) -> np.ndarray:
        """The lowest log densities among those of `sample(key, n)`, rising, [count]."""
        return np.sort(np.asarray(self.log_density(self.sample(key, n)), float))[:count]

    def landmarks(self) -> jax.Array:
        """Points [k, 2] of which some are near every peak of its density."""
        return jnp.asarray(self._known_draws[:512])

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower left and upper right corner, [2] each, of a box around nearly all of it."""
        low, high = np.quantile(self._known_draws, (0.001, 0.999), axis=0)
        return low, high


def check_model(model: Any, name: str = "model") -> None:
    """Refuse what is no score model.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(model, ScoreModel):
        raise InputError(f"{name} is {model!r}; it must be a score model, such as toydiff.load_model() returns")


def check_points(x: ArrayLike, name: str = "x") -> jax.Array:
    """`x` as an array of points [..., 2].

    Raises:
        InputError: it is not an array of numbers, or its last axis is not 2.
    """
    try:
        points = jnp.asarray(x, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} is not an array of numbers; it must be points [..., 2]") from None
    if points.ndim == 0 or points.shape[-1] != 2:
        raise InputError(f"{name} has shape {points.shape}; it must be points [..., 2]")
    return points


def check_sigma(sigma: ArrayLike, *, positive: bool) -> jax.Array:
    """`sigma` as an array of noise levels; a traced one passes unchecked.

    Raises:
        InputError: one of them is NaN, negative, above 10,000 or, where it must be positive, below 0.000001.
    """
    lowest = f"at least {SMALLEST_SIGMA if positive else 0:g}"
    values: Any = sigma
    if not isinstance(sigma, jax.core.Tracer):
        try:
            values = np.asarray(sigma, dtype=float)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"sigma is {sigma!r}; it must be a number, {lowest}") from None
        good = (values >= (SMALLEST_SIGMA if positive else 0)) & (values <= LARGEST_SIGMA)
        if not good.all():
            bad = np.atleast_1d(values)[~np.atleast_1d(good)][0]
            raise InputError(f"sigma is {bad:g}; it must be {lowest} and at most {LARGEST_SIGMA:g}")
    return jnp.asarray(values, dtype=float)
