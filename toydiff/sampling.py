"""The probability-flow ODE from noise to data: schedules, solvers and trajectories."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.checks import InputError, choice, count, number
from toydiff.mixture import GaussianMixture, Seed, as_key
from toydiff.score_model import (
    LARGEST_SIGMA,
    SMALLEST_SIGMA,
    ScoreModel,
    check_model,
    check_points,
    map_points,
)

SIGMA_MIN, SIGMA_MAX, RHO, STEPS = 0.002, 5.0, 7.0, 32
"""The paper's schedule for the toy."""


class Trajectory(NamedTuple):
    """Points on their way from noise to data."""

    x: jax.Array
    """[steps + 1, n, 2], or [1, n, 2] when only the samples were kept."""
    sigma: jax.Array
    """Noise level of each row of `x`, falling to 0."""

    @property
    def samples(self) -> jax.Array:
        """The points at the end, [n, 2]."""
        return self.x[-1]


def noise_schedule(
    steps: int = STEPS, *, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX, rho: float = RHO
) -> np.ndarray:
    """Noise levels sigma_i = (smax^(1/rho) + i/(N-1) (smin^(1/rho) - smax^(1/rho)))^rho, i = 0 .. N-1, then 0.

    Karras et al. 2022 (arXiv 2206.00364), eq. 5. N = `steps`.

    Returns:
        [steps + 1], falling.

    Raises:
        InputError: a number is out of range.
    """
    count("steps", steps, 1, 100_000)
    number("rho", rho, 1, 1000)
    sigma_max = number("sigma_max", sigma_max, SMALLEST_SIGMA, LARGEST_SIGMA)
    sigma_min = number("sigma_min", sigma_min, SMALLEST_SIGMA, sigma_max)
    ramp = np.linspace(0, 1, steps)
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return np.append((first + ramp * (last - first)) ** rho, 0.0)


Derivative = Callable[[jax.Array, jax.Array], jax.Array]
"""dx/dsigma [2] at a point x [2] and a noise level sigma []."""


def euler_step(derivative: Derivative, x: jax.Array, sigma: jax.Array, sigma_next: jax.Array) -> jax.Array:
    """x + (sigma' - sigma) dx/dsigma; first order, one evaluation."""
    return x + (sigma_next - sigma) * derivative(x, sigma)


def heun_step(derivative: Derivative, x: jax.Array, sigma: jax.Array, sigma_next: jax.Array) -> jax.Array:
    """Euler's step, then the mean of the slopes at both ends; second order, two evaluations.

    Algorithm 1 of Karras et al. 2022 (arXiv 2206.00364).
    """
    slope = derivative(x, sigma)
    guess = x + (sigma_next - sigma) * slope
    return x + (sigma_next - sigma) * (slope + derivative(guess, sigma_next)) / 2


SOLVERS = {"heun": heun_step, "euler": euler_step}
"""The step from one noise level to the next; the last one, to sigma = 0, is always Euler's."""


def sample(
    model: ScoreModel,
    key: Seed,
    n: int,
    *,
    steps: int = STEPS,
    sigma_min: float = SIGMA_MIN,
    sigma_max: float = SIGMA_MAX,
    rho: float = RHO,
    solver: str = "heun",
    start: GaussianMixture | str | ArrayLike | None = None,
    path: bool = True,
) -> Trajectory:
    """Integrate dx/dsigma = (x - D(x; sigma)) / sigma = -sigma score(x; sigma) from sigma_max to 0.

    By default the paper's: Heun's method in 32 steps (63 evaluations) from exact draws at sigma_max = 5.

    Args:
        model: any score model.
        key: a JAX key or an integer seed, for the points at sigma_max.
        n: how many points.
        steps, sigma_min, sigma_max, rho: see `noise_schedule`. Only `steps` decides what is compiled.
        solver: a row of `SOLVERS`.
        start: where the points begin. None: exact draws at sigma_max from the distribution that the model
            stands for. A mixture: exact draws from that one. "noise": N(0, sigma_max^2 I). Points [n, 2]: those.
        path: keep the points at every noise level; otherwise only the samples.

    Returns:
        The trajectory. The same key gives the same points.

    Raises:
        InputError: an argument is out of range, or `start` has another number of points.
    """
    check_model(model)
    n = count("n", n)
    step = SOLVERS[choice("solver", solver, SOLVERS)]
    sigmas = noise_schedule(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    x = starting_points(model, key, n, sigma_max, start)
    xs = _solve(model, x, jnp.asarray(sigmas, x.dtype), step=step, path=bool(path))
    return Trajectory(xs, jnp.asarray(sigmas if path else sigmas[-1:], x.dtype))


def starting_points(
    model: ScoreModel, key: Seed, n: int, sigma_max: float, start: GaussianMixture | str | ArrayLike | None
) -> jax.Array:
    """The points [n, 2] at sigma_max from which `sample` begins; its arguments, its errors."""
    if isinstance(start, str):
        choice("start", start, ["noise"])
        return sigma_max * jax.random.normal(as_key(key), (n, 2))
    if start is None:
        start = model.truth()
    if isinstance(start, GaussianMixture):
        return start.sample(key, n, sigma_max)
    x = check_points(start, "start")
    if not isinstance(x, jax.core.Tracer) and not np.isfinite(x).all():
        raise InputError("start holds NaN or infinity; its points must be finite")
    if x.shape != (n, 2):
        raise InputError(f"start has shape {x.shape}; it must be n = {n} points, [{n}, 2]")
    return x


@partial(jax.jit, static_argnames=("step", "path"))
def _solve(
    model: ScoreModel, x: jax.Array, sigmas: jax.Array, *, step: Callable[..., jax.Array], path: bool
) -> jax.Array:
    def derivative(x: jax.Array, sigma: jax.Array) -> jax.Array:
        return -sigma * model.score_at(x, sigma)

    def solve_point(start: jax.Array) -> jax.Array:
        def body(x: jax.Array, sigma_pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
            x = step(derivative, x, *sigma_pair)
            return x, (x if path else None)

        x, between = jax.lax.scan(body, start, (sigmas[:-2], sigmas[1:-1]))
        end = euler_step(derivative, x, sigmas[-2], sigmas[-1])
        if between is None:
            return end[None]
        return jnp.concatenate([start[None], between, end[None]])

    return jnp.moveaxis(map_points(solve_point, model.block, x), 0, 1)
