"""How the ODE is solved, or the SDE: one step each, and their table. The loop that takes the steps is `sampler`."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.score_model import Evaluation

Evaluate = Callable[[jax.Array, jax.Array, Any], tuple[Evaluation, Any]]
"""(x [2], sigma [], the model's memory) -> what a step needs there, and the memory after it; see `ScoreModel`."""


class Point(NamedTuple):
    """A point on its way, with what is remembered of it. A population's has an axis more: all its points at once."""

    x: jax.Array
    """Where it is, [2], or [n, 2] of a population."""
    memory: Any = ()
    """The model's, such as the last step's difference of two models."""
    own: Any = ()
    """The solver's, such as a random key or earlier denoised points."""
    log_weight: jax.Array | None = None
    """Of a population: the logarithm of each point's weight, [n]."""
    ancestors: jax.Array | None = None
    """Of a population: the numbers that its points had in the step before, [n]; resampling multiplies some."""


Step = Callable[[Evaluate, Point, Any], tuple[Point, Point]]
"""(evaluate, point, row) -> the point after the step, and the point as it is to be seen at the row's noise level."""


class Sampler(NamedTuple):
    """A row of the table of solvers.

    A step from sigma to sigma' gets the row of its noise levels. One that evaluates twice says which evaluation
    advances the model's memory.
    """

    step: Step
    """A few lines."""
    rows: Callable[[tuple[float, ...]], Any]
    """The steps + 1 noise levels -> arrays with one row for each step, computed before anything is compiled."""
    init: Callable[[jax.Array, Any, Any], Any] = lambda x, rows, key: ()
    """(x, rows, the data of a random key or None) -> what the solver remembers at the start."""
    last: Step | None = None
    """The step to sigma = 0, where that is another one: there no network can be asked."""
    stochastic: bool = False
    """Whether `init` takes the data of a random key: one for each point, of a population one for all."""
    renoises: bool = False
    """Whether it can keep the noise of another point than it steps to."""
    population: bool = False
    """False: a point at a time, whatever the others do. True: all points at once, weighted and resampled."""


def _pairs(sigmas: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(sigmas[:-1]), np.array(sigmas[1:])


def euler(evaluate: Evaluate, point: Point, row: tuple[jax.Array, jax.Array]) -> tuple[Point, Point]:
    """x + (sigma' - sigma) dx/dsigma, or D + (sigma'/sigma) (x - renoise); first order, one evaluation a step."""
    sigma, following = row
    seen, memory = evaluate(point.x, sigma, point.memory)
    x = point.x - (following - sigma) * sigma * seen.score
    if seen.renoise is not None:
        x += following / sigma * (point.x + sigma**2 * seen.score - seen.renoise)
    return point._replace(x=x, memory=memory), point


def heun(evaluate: Evaluate, point: Point, row: tuple[jax.Array, jax.Array]) -> tuple[Point, Point]:
    """Euler's step, then the mean of the slopes at both ends; second order, two evaluations; the last step is Euler's.

    Algorithm 1 of Karras et al. 2022 (arXiv 2206.00364). The first evaluation advances the memory, the second sees it.
    """
    sigma, following = row
    return _heun_from(evaluate, point, sigma, following), point


def _heun_from(evaluate: Evaluate, point: Point, sigma: jax.Array, following: jax.Array) -> Point:
    x = point.x
    seen, memory = evaluate(x, sigma, point.memory)
    slope = -sigma * seen.score
    guess = x + (following - sigma) * slope
    ahead, _ = evaluate(guess, following, memory)
    x += (following - sigma) * (slope - following * ahead.score) / 2
    return point._replace(x=x, memory=memory)


CHURN = 2**0.5 - 1
"""By how much of itself the noise level is raised before each step of the solver "stochastic"."""


def stochastic(evaluate: Evaluate, point: Point, row: tuple[jax.Array, jax.Array]) -> tuple[Point, Point]:
    """Before each of Heun's steps noise is added, from sigma up to (1 + CHURN) sigma: errors of earlier steps fade.

    Algorithm 2 of Karras et al. 2022 (arXiv 2206.00364) with S_noise = 1 at all noise levels; the last step is Euler's.
    The memory as in `heun`.
    """
    sigma, following = row
    key, key_noise = jax.random.split(point.own)
    raised = sigma * (1 + CHURN)
    x = point.x + jnp.sqrt(raised**2 - sigma**2) * jax.random.normal(key_noise, point.x.shape)
    return _heun_from(evaluate, point._replace(x=x, own=key), raised, following), point


class AdamsRows(NamedTuple):
    """What one step of an exponential Adams method that remembers k values reads."""

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
def _adams_rows(sigmas: tuple[float, ...], *, predict: int, correct: int, power: float = 0.0) -> AdamsRows:
    """The weights of a predictor and a corrector of these orders, by Gauss-Legendre quadrature in float64.

    The polynomials are in sigma^power, or in ln sigma for 0. The first steps are of the order that their past allows.
    """
    levels = np.array(sigmas[:-1])
    n, kept = len(levels), max(predict, correct)
    ahead, back = np.zeros((2, n, kept))
    ahead[-1, 0] = 1  # to sigma = 0: x = D
    for i in range(1, n):
        k = min(correct, i + 1)
        back[i, :k] = _exponential_weights(levels[i - 1], levels[i], levels[i::-1][:k], power)
        k = min(predict, i)
        ahead[i - 1, :k] = _exponential_weights(levels[i - 1], levels[i], levels[i - 1 :: -1][:k], power)
    ratio = np.append(1.0, np.divide(sigmas[1:], sigmas[:-1]))
    return AdamsRows(levels, ratio[:-1], back, ratio[1:], ahead)


def _exponential_weights(start: float, end: float, nodes: np.ndarray, power: float) -> np.ndarray:
    """The integral from start to end of e^(t - t_end), t = -ln sigma, times each Lagrange polynomial of the nodes."""
    at, weight = np.polynomial.legendre.leggauss(24)
    length = np.log(start / end)
    weight = weight * length / 2 * np.exp((at - 1) / 2 * length)
    sigma = start * np.exp(-(at + 1) / 2 * length)
    u, knots = (s**power if power else np.log(s) for s in (sigma, nodes))
    basis = [np.prod([(u - other) / (knot - other) for other in knots if other != knot], axis=0) for knot in knots]
    return np.array([(weight * b).sum() for b in basis])


def adams(evaluate: Evaluate, point: Point, row: AdamsRows) -> tuple[Point, Point]:
    """Exponential Adams-Bashforth-Moulton: predict, evaluate, correct; one evaluation a step.

    With t = -ln sigma the ODE is x(t') = (sigma'/sigma) x(t) + sigma' times the integral of e^s D(s) ds from t to t'.
    D(s) is replaced by the polynomial through its newest values: the predictor through those known before the step,
    the corrector through the one at the predicted point and those before. The predictor of order 2 is
    DPM-Solver++(2M) of Lu et al. 2022 (arXiv 2211.01095); to correct without another evaluation is the idea of
    Zhao et al. 2023 (UniPC, arXiv 2302.04867). In the last step, to sigma = 0, x = D, as in Euler's.
    """
    guess, (x, past) = point.x, point.own
    seen, memory = evaluate(guess, row.sigma, point.memory)
    denoised = guess + row.sigma**2 * seen.score
    past = jnp.concatenate([denoised[None], past[:-1]])
    x = row.decay * x + (row.correct[:, None] * past).sum(0)  # sums: a matrix product of this size is slower
    guess = row.decay_next * x + (row.predict[:, None] * past).sum(0)
    return point._replace(x=guess, memory=memory, own=(x, past)), point._replace(x=x)


def _no_past(x: jax.Array, rows: AdamsRows, key: Any) -> tuple[jax.Array, jax.Array]:
    return x, jnp.zeros((rows.predict.shape[-1], 2), x.dtype)


def _adams(predict: int, correct: int, power: float = 0.0) -> Sampler:
    return Sampler(adams, partial(_adams_rows, predict=predict, correct=correct, power=power), _no_past)


def _wrapped(x: jax.Array, rows: Any, key: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(key)


SOLVERS: dict[str, Sampler] = {
    "heun": Sampler(heun, _pairs, last=euler),
    "euler": Sampler(euler, _pairs, renoises=True),
    "adams2": _adams(2, 2),
    "adams3": _adams(3, 3),
    "adams34": _adams(3, 4, 0.75),
    "stochastic": Sampler(stochastic, _pairs, _wrapped, last=euler, stochastic=True),
}
"""How the ODE is solved, or the SDE. "heun" and "stochastic" take 2 steps - 1 evaluations, the others one a step."""
