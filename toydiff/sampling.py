"""From noise to data along the probability-flow ODE, or with fresh noise: schedules, solvers and trajectories."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from statistics import NormalDist
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.checks import InputError, choice, count, number
from toydiff.devices import on_all_cores
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


def normal_schedule(
    steps: int, *, mean: float = -2.3, std: float = 2.5, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX
) -> np.ndarray:
    """Noise levels whose logarithms are evenly spaced quantiles of N(mean, std^2) between both ends, then 0.

    Steps are spent at the middle noise levels, where the tree's structure appears; `mean` is that of the noise
    levels in training. With 10 evaluations of the solver "adams2" the points end nearer to the exact ones than
    with 17 of Heun's method on the paper's schedule.

    Returns:
        [steps + 1], falling.

    Raises:
        InputError: a number is out of range.
    """
    count("steps", steps, 2, 100_000)
    sigma_max = number("sigma_max", sigma_max, SMALLEST_SIGMA, LARGEST_SIGMA)
    sigma_min = number("sigma_min", sigma_min, SMALLEST_SIGMA, sigma_max)
    normal = NormalDist(number("mean", mean), number("std", std, above=0))
    last, first = (normal.cdf(math.log(s)) for s in (sigma_min, sigma_max))
    inner = [math.exp(normal.inv_cdf(p)) for p in np.linspace(first, last, steps)[1:-1]]
    return np.array([sigma_max, *inner, sigma_min, 0.0])


Score = Callable[[jax.Array, jax.Array], jax.Array]
"""The score [2] at a point x [2] and a noise level sigma []."""
Path = tuple[jax.Array, jax.Array | None]
"""The point at the end, [2], and those at the levels between start and end, [steps - 1, 2], where they are kept."""


class Solver(NamedTuple):
    """A row of the table of solvers."""

    integrate: Callable[..., Path]
    """(score, x, rows, path) -> the way of one point x [2] from the first noise level to 0."""
    rows: Callable[[tuple[float, ...]], Any]
    """The steps + 1 noise levels -> arrays with one row for each step, computed before anything is compiled."""
    stochastic: bool = False
    """Whether `integrate` takes the data of a random key for each point, after the rest."""


def _pairs(sigmas: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(sigmas[:-1]), np.array(sigmas[1:])


def euler(score: Score, x: jax.Array, rows: tuple[jax.Array, jax.Array], path: bool) -> Path:
    """x + (sigma' - sigma) dx/dsigma; first order, one evaluation a step."""

    def step(x: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
        sigma, following = row
        x -= (following - sigma) * sigma * score(x, sigma)
        return x, (x if path else None)

    x, after = jax.lax.scan(step, x, rows)
    return x, (None if after is None else after[:-1])


def heun(score: Score, x: jax.Array, rows: tuple[jax.Array, jax.Array], path: bool) -> Path:
    """Euler's step, then the mean of the slopes at both ends; second order, two evaluations; the last step is Euler's.

    Algorithm 1 of Karras et al. 2022 (arXiv 2206.00364).
    """

    def step(x: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
        sigma, following = row
        slope = -sigma * score(x, sigma)
        guess = x + (following - sigma) * slope
        x += (following - sigma) * (slope - following * score(guess, following)) / 2
        return x, (x if path else None)

    x, between = jax.lax.scan(step, x, jax.tree.map(lambda r: r[:-1], rows))
    sigma = rows[0][-1]
    return x + sigma**2 * score(x, sigma), between


CHURN = 2**0.5 - 1
"""By how much of itself the noise level is raised before each step of the solver "stochastic"."""


def stochastic(score: Score, x: jax.Array, rows: tuple[jax.Array, jax.Array], path: bool, key: jax.Array) -> Path:
    """Before each of Heun's steps noise is added, from sigma up to (1 + CHURN) sigma: errors of earlier steps fade.

    Algorithm 2 of Karras et al. 2022 (arXiv 2206.00364) with S_noise = 1 at all noise levels; the last step is Euler's.
    """

    def step(carry: tuple[jax.Array, jax.Array], row: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array | None]:
        (x, key), (sigma, following) = carry, row
        key, key_noise = jax.random.split(key)
        raised = sigma * (1 + CHURN)
        x += jnp.sqrt(raised**2 - sigma**2) * jax.random.normal(key_noise, x.shape)
        slope = -raised * score(x, raised)
        guess = x + (following - raised) * slope
        x += (following - raised) * (slope - following * score(guess, following)) / 2
        return (x, key), (x if path else None)

    start = x, jax.random.wrap_key_data(key)
    (x, _), between = jax.lax.scan(step, start, jax.tree.map(lambda r: r[:-1], rows))
    sigma = rows[0][-1]
    return x + sigma**2 * score(x, sigma), between


class AdamsRows(NamedTuple):
    """What one step of an exponential Adams method of order k reads."""

    sigma: Any
    """Noise level at which the step evaluates, []."""
    decay: Any
    """sigma over the one before, []; 1 at the first."""
    correct: Any
    """Weights of the k newest D in the step that ends here, [k]."""
    decay_next: Any
    """The following noise level over sigma, []."""
    predict: Any
    """Weights of the k newest D in the step that begins here, [k]."""


@lru_cache(maxsize=32)
def _adams_rows(sigmas: tuple[float, ...], *, order: int) -> AdamsRows:
    """The weights, by Gauss-Legendre quadrature in float64; the first steps are of the order that their past allows."""
    nodes = -np.log(sigmas[:-1])
    n = len(nodes)
    correct, predict = np.zeros((2, n, order))
    predict[-1, 0] = 1  # to sigma = 0: x = D
    for i in range(1, n):
        k = min(order, i + 1)
        correct[i, :k] = _exponential_weights(nodes[i - 1], nodes[i], nodes[i::-1][:k])
        k = min(order, i)
        predict[i - 1, :k] = _exponential_weights(nodes[i - 1], nodes[i], nodes[i - 1 :: -1][:k])
    ratio = np.append(1.0, np.divide(sigmas[1:], sigmas[:-1]))
    return AdamsRows(np.array(sigmas[:-1]), ratio[:-1], correct, ratio[1:], predict)


def _exponential_weights(start: float, end: float, nodes: np.ndarray) -> np.ndarray:
    """The integral over [start, end] of e^(t - end) times each Lagrange polynomial of the nodes."""
    at, weight = np.polynomial.legendre.leggauss(24)
    t = start + (at + 1) / 2 * (end - start)
    weight = weight * (end - start) / 2 * np.exp(t - end)
    basis = [np.prod([(t - m) / (node - m) for m in nodes if m != node], axis=0) for node in nodes]
    return np.array([(weight * b).sum() for b in basis])


def adams(score: Score, x: jax.Array, rows: AdamsRows, path: bool) -> Path:
    """Exponential Adams-Bashforth-Moulton of order k: predict, evaluate, correct; one evaluation a step.

    With t = -ln sigma the ODE is x(t') = (sigma'/sigma) x(t) + sigma' times the integral of e^s D(s) ds from t to t'.
    D(s) is replaced by the polynomial through its k newest values: the predictor through those known before the step,
    the corrector through the one at the predicted point and the k - 1 before. The predictor of order 2 is
    DPM-Solver++(2M) of Lu et al. 2022 (arXiv 2211.01095); to correct without another evaluation is the idea of
    Zhao et al. 2023 (UniPC, arXiv 2302.04867). In the last step, to sigma = 0, x = D, as in Euler's.
    """
    order = rows.predict.shape[-1]

    def step(
        carry: tuple[jax.Array, jax.Array, jax.Array], row: AdamsRows
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], jax.Array | None]:
        x, guess, past = carry
        denoised = guess + row.sigma**2 * score(guess, row.sigma)
        past = jnp.concatenate([denoised[None], past[:-1]])
        x = row.decay * x + (row.correct[:, None] * past).sum(0)  # sums: a matrix product of this size is slower
        guess = row.decay_next * x + (row.predict[:, None] * past).sum(0)
        return (x, guess, past), (x if path else None)

    (_, end, _), at = jax.lax.scan(step, (x, x, jnp.zeros((order, 2), x.dtype)), rows)
    return end, (None if at is None else at[1:])


SOLVERS: dict[str, Solver] = {
    "heun": Solver(heun, _pairs),
    "euler": Solver(euler, _pairs),
    "adams2": Solver(adams, partial(_adams_rows, order=2)),
    "adams3": Solver(adams, partial(_adams_rows, order=3)),
    "stochastic": Solver(stochastic, _pairs, stochastic=True),
}
"""How the ODE is solved, or the SDE. "heun" and "stochastic" take 2 steps - 1 evaluations, the others one a step."""


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
    start: GaussianMixture | str | ArrayLike | None = None,
    path: bool = True,
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

    Returns:
        The trajectory. The same key gives the same points.

    Raises:
        InputError: an argument is out of range, or `start` has another number of points.
    """
    check_model(model)
    n = count("n", n)
    row = SOLVERS[choice("solver", solver, SOLVERS)]
    if schedule is None:
        sigmas = noise_schedule(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    else:
        sigmas = _check_schedule(schedule)
    x = starting_points(model, key, n, float(sigmas[0]), start)
    rows = jax.tree.map(lambda r: jnp.asarray(r, x.dtype), row.rows(tuple(sigmas.tolist())))
    solve = partial(_solve, rows=rows, integrate=row.integrate, path=bool(path))
    keys = [jax.random.key_data(jax.random.split(jax.random.fold_in(as_key(key), 1), n))] if row.stochastic else []
    xs = jnp.moveaxis(on_all_cores(solve, model, model.block, x, *keys), 0, 1)
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
