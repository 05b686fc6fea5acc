"""From noise to data along the probability-flow ODE, or with fresh noise."""

from collections.abc import Iterator
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
from toydiff.base.score_model import (
    LARGEST_SIGMA,
    SMALLEST_SIGMA,
    Evaluation,
    Exact,
    ScoreModel,
    check_model,
    check_points,
)
from toydiff.sampling.schedules import RHO, SIGMA_MAX, SIGMA_MIN, STEPS, noise_schedule
from toydiff.sampling.solvers import SOLVERS, Evaluate, Point, Sampler


class Trajectory(NamedTuple):
    """Points on their way from noise to data."""

    x: jax.Array
    """[steps + 1, n, 2], or [1, n, 2] when only the samples were kept."""
    sigma: jax.Array
    """Noise level of each row of `x`, falling to 0."""
    log_weight: jax.Array | None = None
    """Of a population the logarithm of each point's weight, like `x` without its last axis; None: all count alike."""
    ancestors: jax.Array | None = None
    """Of a population the number that each point had in the row before; None: the same."""

    @property
    def samples(self) -> jax.Array:
        """The points at the end, [n, 2]."""
        return self.x[-1]

    @property
    def ways(self) -> jax.Array:
        """The way of each sample, from ancestor to descendant, [steps + 1, n, 2]: `x` where nothing was resampled."""
        if self.ancestors is None:
            return self.x

        def back(number: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            x, ancestors = row
            return ancestors[number], x[number]

        return jax.lax.scan(back, jnp.arange(self.x.shape[1]), (self.x, self.ancestors), reverse=True)[1]


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
        solver: a row of `SOLVERS`. One that moves all points together gives their weights and ancestors too.
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
    _check_pair(model, solver)
    if first and row.population:
        raise InputError(f"solver {solver!r} moves all points together; they have no part from number {first} on")
    if schedule is None:
        sigmas = noise_schedule(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    else:
        sigmas = _check_schedule(schedule)
    x = starting_points(model, key, n, float(sigmas[0]), start, first=first)
    rows = jax.tree.map(lambda r: jnp.asarray(r, x.dtype), row.rows(tuple(sigmas.tolist())))
    own_key = jax.random.fold_in(as_key(key), 1) if row.stochastic else None
    levels = jnp.asarray(sigmas if path else sigmas[-1:], x.dtype)
    if row.population:
        crowd = _solve_together(model, x, own_key, rows, row=row, path=bool(path))
        return Trajectory(crowd.x, levels, crowd.log_weight, crowd.ancestors)
    solve = partial(_solve, rows=rows, row=row, path=bool(path))
    keys = [] if own_key is None else [random.keys(own_key, first, n)]
    return Trajectory(jnp.moveaxis(on_all_cores(solve, model, model.block, x, *keys), 0, 1), levels)


def _check_pair(model: ScoreModel, solver: str) -> None:
    """See that the solver can take the model's steps."""
    able = [name for name, row in SOLVERS.items() if row.renoises]
    if model.renoises and solver not in able:
        raise InputError(
            f"solver {solver!r} keeps the noise of the point that it steps to, and the model's rule that of another "
            f"one; solvers that can are {', '.join(able)}"
        )


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
        chunk: about as many points at a time, in whole blocks of the model; the chunks are of equal size.
        options: those of `sample` that say how the ODE is solved.

    Yields:
        Samples [chunk, 2]; the last ones are fewer.

    Raises:
        InputError: as `sample`, when the first chunk is asked for.
    """
    check_model(model)
    solver = options.get("solver", "heun")
    if SOLVERS[choice("solver", solver, SOLVERS)].population:
        raise InputError(f"solver {solver!r} moves all points together; it cannot draw them in chunks")
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


@partial(jax.jit, static_argnames=("row", "path"))
def _solve(model: ScoreModel, x: jax.Array, *keys: jax.Array, rows: Any, row: Sampler, path: bool) -> jax.Array:
    """The ways of points [n, 2] that do not know of each other, [n, steps + 1, 2] or [n, 1, 2]."""

    def solve_point(start: jax.Array, key: jax.Array | None = None) -> jax.Array:
        point = Point(start, model.memory(), row.init(start, rows, key))
        return follow(row, model.evaluate_at, point, rows, path).x

    return map_points(solve_point, model.block, x, *keys)


@partial(jax.jit, static_argnames=("row", "path"))
def _solve_together(
    model: ScoreModel, x: jax.Array, key: jax.Array | None, rows: Any, *, row: Sampler, path: bool
) -> Point:
    """The ways of a population [n, 2]: all its points in each step, the model a block of them at a time."""

    def evaluate(x: jax.Array, sigma: jax.Array, memory: Any) -> tuple[Evaluation, Any]:
        return map_points(lambda x, memory: model.evaluate_at(x, sigma, memory), model.block, x, memory)

    n = len(x)
    memory = jax.tree.map(lambda a: jnp.broadcast_to(a, (n, *jnp.shape(a))), model.memory())
    data = None if key is None else jax.random.key_data(key)
    start = Point(x, memory, row.init(x, rows, data), jnp.zeros(n, x.dtype), jnp.arange(n))
    return follow(row, evaluate, start, rows, path)


def follow(row: Sampler, evaluate: Evaluate, point: Point, rows: Any, path: bool) -> Point:
    """The one loop: a point, or a population, from the first noise level to 0, as it is to be seen on the way.

    Returns:
        Each array with an axis before its own: steps + 1 noise levels, or the end alone where `path` is false. What
        model and solver remember is left out.
    """

    def step(point: Point, at: Any) -> tuple[Point, Point | None]:
        point, here = row.step(evaluate, point, at)
        return point, (_visible(here) if path else None)

    alike = rows if row.last is None else jax.tree.map(lambda r: r[:-1], rows)
    point, seen = jax.lax.scan(step, point, alike)
    parts = [seen] if seen is not None else []
    if row.last is not None:
        point, here = row.last(evaluate, point, jax.tree.map(lambda r: r[-1], rows))
        parts += [_one_row(here)] if path else []
    return jax.tree.map(lambda *some: jnp.concatenate(some), *parts, _one_row(point))


def _visible(point: Point) -> Point:
    return point._replace(memory=(), own=())


def _one_row(point: Point) -> Point:
    return jax.tree.map(lambda a: a[None], _visible(point))
