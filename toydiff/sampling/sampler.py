"""From noise to data along the probability-flow ODE, or with fresh noise."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.base import random
from toydiff.base.checks import InputError, choice, count, number
from toydiff.base.devices import map_points, on_all_cores
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import LARGEST_SIGMA, SMALLEST_SIGMA, Exact, ScoreModel, check_model, check_points
from toydiff.sampling.schedules import RHO, SIGMA_MAX, SIGMA_MIN, STEPS, noise_schedule
from toydiff.sampling.solvers import SOLVERS, Path


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


def sample(
    model: ScoreModel,
    key: Seed,
    n: int,
    *,
    steps: int = STEPS,
    sigma_min: float = SIGMA_MIN,
    sigma_max: float = SIGMA_MAX,
    rho: float = RHO,
    schedule: ArrayLike | None = None,
    solver: str = "heun",
    start: Exact | str | ArrayLike | None = None,
    path: bool = True,
    first: int = 0,
) -> Trajectory:
    """Integrate dx/dsigma = (x - D(x; sigma)) / sigma = -sigma score(x; sigma) from sigma_max to 0.

    By default the paper's: Heun's method in 32 steps (63 evaluations) from exact draws at sigma_max = 5.

    Args:
        model: any score model.
        key: a JAX key or an integer seed, for the points at sigma_max and for the noise of a stochastic solver.
        n: how many points.
        steps, sigma_min, sigma_max, rho: see `noise_schedule`. Only `steps` decides what is compiled.
        schedule: noise levels in place of those four, falling, the last one 0, such as `normal_schedule` gives.
        solver: a row of `SOLVERS`.
        start: where the points begin. None: exact draws at sigma_max from the distribution that the model
            stands for. A mixture: exact draws from that one. "noise": N(0, sigma_max^2 I). Points [n, 2]: those.
        path: keep the points at every noise level; otherwise only the samples.
        first: number of the first point. The points of a key are an endless sequence, of which these are a part.

    Returns:
        The trajectory. The same key gives the same points.

    Raises:
        InputError: an argument is out of range, or `start` has another number of points.

    Example:
        >>> import toydiff
        >>> path = toydiff.sample(toydiff.fractal_tree("A"), 0, 64, steps=16)
        >>> path.x.shape, path.samples.shape
        ((17, 64, 2), (64, 2))
    """
    check_model(model)
    n, first = count("n", n), count("first", first, 0)
    row = SOLVERS[choice("solver", solver, SOLVERS)]
    if schedule is None:
        sigmas = noise_schedule(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    else:
        sigmas = _check_schedule(schedule)
    x = starting_points(model, key, n, float(sigmas[0]), start, first=first)
    rows = jax.tree.map(lambda r: jnp.asarray(r, x.dtype), row.rows(tuple(sigmas.tolist())))
    solve = partial(_solve, rows=rows, integrate=row.integrate, path=bool(path))
    keys = [random.keys(jax.random.fold_in(as_key(key), 1), first, n)] if row.stochastic else []
    xs = jnp.moveaxis(on_all_cores(solve, model, model.block, x, *keys), 0, 1)
    return Trajectory(xs, jnp.asarray(sigmas if path else sigmas[-1:], x.dtype))


def sample_chunks(
    model: ScoreModel,
    key: Seed,
    n: int,
    *,
    chunk: int = 1 << 16,
    start: Exact | str | ArrayLike | None = None,
    **options: Any,
) -> Iterator[np.ndarray]:
    """The samples of `sample`, the very same numbers, a chunk at a time: in memory that does not grow with n.

    Args:
        model, key, n, start: as for `sample`.
        chunk: at most as many points at a time, or one block of the model; the chunks are of equal size.
        options: those of `sample` that say how the ODE is solved.

    Yields:
        Samples [chunk, 2]; the last ones are fewer.

    Raises:
        InputError: as `sample`, when the first chunk is asked for.
    """
    check_model(model)
    n = count("n", n)
    chunks = -(-n // count("chunk", chunk))
    size = min(n, -(-n // (chunks * model.block)) * model.block)  # whole blocks: they are what `sample` computes
    drawn = start is None or isinstance(start, str | Exact)
    x = start if drawn else starting_points(model, key, n, SIGMA_MAX, start)
    for first in range(0, n, size):
        # The last ones too as a whole chunk, which is cut: nothing is compiled for another size.
        begin = x if drawn else np.asarray(x)[np.minimum(np.arange(first, first + size), n - 1)]
        chunk_end = sample(model, key, size, start=begin, first=first, path=False, **options).samples
        yield np.asarray(chunk_end)[: n - first]


def starting_points(
    model: ScoreModel,
    key: Seed,
    n: int,
    sigma_max: float,
    start: Exact | str | ArrayLike | None,
    *,
    first: int = 0,
) -> jax.Array:
    """The points [n, 2] at sigma_max from which `sample` begins; its arguments, its errors."""
    if isinstance(start, str):
        choice("start", start, ["noise"])
        return sigma_max * random.normal_points(as_key(key), first, n)
    if start is None:
        start = model.truth()
    if isinstance(start, Exact):
        return start.sample(key, n, sigma_max, first=first)
    x = check_points(start, "start")
    if not isinstance(x, jax.core.Tracer) and not np.isfinite(x).all():
        raise InputError("start holds NaN or infinity; its points must be finite")
    if x.shape != (n, 2):
        raise InputError(f"start has shape {x.shape}; it must be n = {n} points, [{n}, 2]")
    return x


def _check_schedule(schedule: ArrayLike) -> np.ndarray:
    try:
        sigmas = np.asarray(schedule, float)
    except (TypeError, ValueError):
        raise InputError("schedule is not an array of numbers; it must be falling noise levels, then 0") from None
    levels = sigmas[:-1]
    if sigmas.ndim != 1 or len(levels) < 1 or not (np.diff(sigmas) < 0).all() or sigmas[-1] != 0:
        raise InputError(f"schedule is {sigmas}; it must be falling noise levels, then 0")
    number("schedule's highest level", float(levels[0]), SMALLEST_SIGMA, LARGEST_SIGMA)
    number("schedule's lowest level", float(levels[-1]), SMALLEST_SIGMA, LARGEST_SIGMA)
    return sigmas


@partial(jax.jit, static_argnames=("integrate", "path"))
def _solve(
    model: ScoreModel, x: jax.Array, *keys: jax.Array, rows: Any, integrate: Callable[..., Path], path: bool
) -> jax.Array:
    def solve_point(start: jax.Array, *key: jax.Array) -> jax.Array:
        end, between = integrate(model.score_at, start, rows, path, *key)
        if between is None:
            return end[None]
        return jnp.concatenate([start[None], between, end[None]])

    return map_points(solve_point, model.block, x, *keys)
