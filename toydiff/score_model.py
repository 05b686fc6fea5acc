"""The one idea: everything is a score model, a density that is known at every noise level."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.checks import InputError
from toydiff.devices import fill_rows, on_all_cores, over_devices

if TYPE_CHECKING:
    from toydiff.mixture import GaussianMixture

SIGMA_DATA = 0.5
"""Standard deviation of the data on each axis; the unit of length."""


SMALLEST_SIGMA, LARGEST_SIGMA = 1e-6, 1e4
"""Noise levels that float32 can square and divide by, with room to spare."""


class ScoreModel(ABC):
    """A (perhaps unnormalised) density p(x; sigma) on the plane at every noise level sigma.

    A subclass is a JAX pytree and says what happens at a single point, `log_density_at`. What stands here
    is derived from that: the score by automatic differentiation, many points at once by `vmap`.
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

    @abstractmethod
    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Log density, up to a constant, at one point x [2] and one noise level sigma []."""

    @abstractmethod
    def truth(self) -> "GaussianMixture":
        """The exact distribution that this model stands for."""

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Gradient of the log density in x, at one point x [2] and one noise level sigma []."""
        return jax.grad(self.log_density_at)(x, sigma)

    def denoise_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """D(x; sigma) [2] at one point x [2] and one noise level sigma []."""
        return x + sigma**2 * self.score_at(x, sigma)

    def log_density(self, x: ArrayLike, sigma: ArrayLike = 0.0) -> jax.Array:
        """Log p(x; sigma) up to the model's constant (exact for a mixture).

        Args:
            x: points [..., 2].
            sigma: noise level >= 0 (> 0 for a network); broadcasts over the leading axes of x.

        Returns:
            Array [...].

        Raises:
            InputError: x does not end in an axis of 2, or sigma is out of range or does not broadcast.
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


def map_points(function: Callable[..., Any], block: int, *arrays: jax.Array) -> Any:
    """`jax.vmap(function)(*arrays)`, a block of points at a time on each device; memory is bounded by the block."""

    def map_blocks(*arrays: jax.Array) -> Any:
        results = jax.lax.map(lambda args: jax.vmap(function)(*args), split_blocks(arrays, block))
        return jax.tree.map(lambda r: r.reshape(-1, *r.shape[2:])[: len(arrays[0])], results)

    return over_devices(map_blocks, *arrays)


def split_blocks(tree: Any, block: int) -> Any:
    """Each leaf [n, ...] as [blocks, block, ...]; the last block is filled up with copies of the last row.

    Whole blocks only, so that a function over them is compiled for one size.
    """

    def split(a: jax.Array) -> jax.Array:
        size = max(1, min(len(a), block))
        return fill_rows(a, -len(a) % size).reshape(-1, size, *a.shape[1:])

    return jax.tree.map(split, tree)


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
