"""How the ODE is solved, or the SDE: the way of one point from the first noise level to 0."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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


def adams(score: Score, x: jax.Array, rows: AdamsRows, path: bool) -> Path:
    """Exponential Adams-Bashforth-Moulton: predict, evaluate, correct; one evaluation a step.

    With t = -ln sigma the ODE is x(t') = (sigma'/sigma) x(t) + sigma' times the integral of e^s D(s) ds from t to t'.
    D(s) is replaced by the polynomial through its newest values: the predictor through those known before the step,
    the corrector through the one at the predicted point and those before. The predictor of order 2 is
    DPM-Solver++(2M) of Lu et al. 2022 (arXiv 2211.01095); to correct without another evaluation is the idea of
    Zhao et al. 2023 (UniPC, arXiv 2302.04867). In the last step, to sigma = 0, x = D, as in Euler's.
    """
    kept = rows.predict.shape[-1]

    def step(
        carry: tuple[jax.Array, jax.Array, jax.Array], row: AdamsRows
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], jax.Array | None]:
        x, guess, past = carry
        denoised = guess + row.sigma**2 * score(guess, row.sigma)
        past = jnp.concatenate([denoised[None], past[:-1]])
        x = row.decay * x + (row.correct[:, None] * past).sum(0)  # sums: a matrix product of this size is slower
        guess = row.decay_next * x + (row.predict[:, None] * past).sum(0)
        return (x, guess, past), (x if path else None)

    (_, end, _), at = jax.lax.scan(step, (x, x, jnp.zeros((kept, 2), x.dtype)), rows)
    return end, (None if at is None else at[1:])


SOLVERS: dict[str, Solver] = {
    "heun": Solver(heun, _pairs),
    "euler": Solver(euler, _pairs),
    "adams2": Solver(adams, partial(_adams_rows, predict=2, correct=2)),
    "adams3": Solver(adams, partial(_adams_rows, predict=3, correct=3)),
    "adams34": Solver(adams, partial(_adams_rows, predict=3, correct=4, power=0.75)),
    "stochastic": Solver(stochastic, _pairs, stochastic=True),
}
"""How the ODE is solved, or the SDE. "heun" and "stochastic" take 2 steps - 1 evaluations, the others one a step."""
