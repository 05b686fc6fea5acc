"""Exact log-likelihood of what the probability-flow ODE produces, and the Kullback-Leibler divergences from it."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.base.checks import InputError, check_finite, count, number, shown
from toydiff.base.devices import map_points, on_all_cores
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import (
    LARGEST_SIGMA,
    SMALLEST_SIGMA,
    Exact,
    ScoreModel,
    check_model,
    check_points,
)
from toydiff.sampling.sampler import starting_points
from toydiff.sampling.schedules import SIGMA_MAX, SIGMA_MIN

LIKELIHOOD_STEPS = 128
"""Runge-Kutta steps from 0.002 to 5 that meet the exact density of the tree to 1e-3 at each of its points."""
DIVERGENCE_SIGMA, DIVERGENCE_STEPS = 0.03, 48
"""Where two densities are compared, the noise level of the paper's Figure 2; steps that are enough for a mean."""
RUNGE_KUTTA = ((0.0, 1 / 6), (0.5, 1 / 3), (0.5, 1 / 3), (1.0, 1 / 6))
"""The classical stages: how far along the last slope each one evaluates, and its weight in the step."""


class SampledDensity(NamedTuple):
    """Samples of the ODE at a noise level, with their density."""

    samples: jax.Array
    """[n, 2]."""
    log_density: jax.Array
    """log q(x; sigma) of each in nats, [n]."""


class Divergences(NamedTuple):
    """Both Kullback-Leibler divergences between what is sampled, q, and the truth, p, in nats; 0 where they agree."""

    of_samples: float
    """KL(q || p) = E_q [log q - log p]: raised by outliers."""
    of_samples_error: float
    """Its standard error."""
    of_truth: float
    """KL(p || q) = E_p [log p - log q]: raised by dropped branches."""
    of_truth_error: float
    """Its standard error."""


def log_likelihood(
    model: ScoreModel,
    x: ArrayLike,
    *,
    sigma: float = SIGMA_MIN,
    sigma_max: float = SIGMA_MAX,
    steps: int = LIKELIHOOD_STEPS,
    start: Exact | str | None = None,
) -> jax.Array:
    """log q(x; sigma): the log density, in nats, of the points that the ODE with the model's scores brings to sigma.

    With t = ln sigma the ODE is dx/dt = -sigma^2 score(x; sigma), and along it d log q / dt = sigma^2 tr grad score
    (the instantaneous change of variables; Chen et al. 2018, arXiv 1806.07366, and Song et al. 2021, arXiv 2011.13456).
    So log q(x; sigma) = log p_start(x(sigma_max)) minus the integral of the right side from sigma to sigma_max. In two
    dimensions the trace is exact: two derivatives of the score. Classical Runge-Kutta steps of equal length in t.

    q is what is sampled, and with guidance that is not the p_w whose scores the ODE has.

    Args:
        model: any score model, guided or not.
        x: points [..., 2] at noise level sigma, such as a grid.
        sigma: the level at which the density is asked for. The sampler's last step, from its lowest level to 0, moves
            the points by less than that level; densities are taken before it, so that they are finite.
        sigma_max: where the ODE starts.
        steps: Runge-Kutta steps, 4 evaluations each.
        start: density of the points at sigma_max. None: the exact one of the distribution that the model stands for,
            as in `sample`. A mixture: that one. "noise": N(0, sigma_max^2 I).

    Returns:
        Array [...]; -inf where the way up leaves what float32 holds, as it also may where steps are too few.

    Raises:
        InputError: an argument is out of range, or a point is not finite.
    """
    points = check_points(x)
    if not np.isfinite(points).all():
        raise InputError("x holds NaN or infinity; its points must be finite")
    log_start = _check(model, sigma, sigma_max, steps, start)
    moved = _move(model, points.reshape(-1, 2), sigma, sigma_max, steps)
    log_q = log_start(moved[:, :2]) - moved[:, 2]
    return jnp.where(jnp.isfinite(moved).all(1), log_q, -jnp.inf).reshape(points.shape[:-1])


def sample_with_log_density(
    model: ScoreModel,
    key: Seed,
    n: int,
    *,
    sigma: float = SIGMA_MIN,
    sigma_max: float = SIGMA_MAX,
    steps: int = LIKELIHOOD_STEPS,
    start: Exact | str | None = None,
) -> SampledDensity:
    """Samples at a noise level with their log density, both from one way down: log p_start plus the integral.

    For samples this is the way to take. Strong guidance squeezes points together on the way down; going up again from
    where they ended pulls them apart, and what float32 cut off with them. Given points only have the way up.

    Args:
        model: any score model, guided or not.
        key: a JAX key or an integer seed; the points at sigma_max are those from which `sample` begins.
        n: how many.
        sigma, sigma_max, steps, start: as for `log_likelihood`.

    Raises:
        InputError: an argument is out of range, or samples are not finite for want of steps.
    """
    n = count("n", n)
    log_start = _check(model, sigma, sigma_max, steps, start)
    x = starting_points(model, key, n, sigma_max, start)
    moved = _move(model, x, sigma_max, sigma, steps)
    check_finite(moved, f"are NaN or infinite after {steps} steps", "take more steps")
    return SampledDensity(moved[:, :2], log_start(x) + moved[:, 2])


def divergences(
    model: ScoreModel,
    seed: Seed = 0,
    n: int = 4096,
    *,
    sigma: float = DIVERGENCE_SIGMA,
    steps: int = DIVERGENCE_STEPS,
    start: Exact | str | None = None,
) -> Divergences:
    """Both divergences between what the model samples, q(x; sigma), and the exact p(x; sigma), by n points each.

    KL(q || p) is a mean over samples with the density of their way down, KL(p || q) one over exact draws with the
    density of their way up.

    Both are 0 for exact scores, and below 0 by chance only. They count what noise of level sigma does not hide. What is
    averaged has heavy tails, the heavier the lower sigma: a sample at a distance d from the data adds about
    (d / sigma)^2 / 2 nats to the first, a draw on a dropped branch up to hundreds to the second. A standard error near
    the mean itself says that a few points rule it: the divergence is then large, and how large is not known.

    Args:
        model: any score model, guided or not.
        seed: a JAX key or an integer seed, of both.
        n: points for each.
        sigma: the noise level at which they are compared.
        steps, start: as for `log_likelihood`.

    Raises:
        InputError: an argument is out of range.
    """
    check_model(model)
    n = count("n", n, 2)
    truth = model.truth()
    samples, log_q = sample_with_log_density(model, seed, n, sigma=sigma, steps=steps, start=start)
    draws = truth.sample(jax.random.fold_in(as_key(seed), 1), n, sigma)
    log_ratio = truth.log_density(draws, sigma) - log_likelihood(model, draws, sigma=sigma, steps=steps, start=start)
    return Divergences(*_mean(log_q - truth.log_density(samples, sigma)), *_mean(log_ratio))


def _mean(values: jax.Array) -> tuple[float, float]:
    """Mean and standard error; both infinite where a value is."""
    v = np.asarray(values, float)
    if np.isinf(v).any():
        return math.inf, math.inf
    return float(v.mean()), float(v.std(ddof=1) / math.sqrt(len(v)))


def _check(
    model: ScoreModel, sigma: float, sigma_max: float, steps: int, start: Exact | str | None
) -> Callable[[jax.Array], jax.Array]:
    """The log density of points [n, 2] at sigma_max, all arguments checked."""
    check_model(model)
    if not model.pointwise:
        raise InputError(
            "the model's rule remembers the way of a point or changes the step: its samples have no known density"
        )
    sigma = number("sigma", sigma, SMALLEST_SIGMA, LARGEST_SIGMA)
    number("sigma_max", sigma_max, sigma, LARGEST_SIGMA, above=sigma)
    count("steps", steps, 1, 100_000)
    if isinstance(start, str) and start == "noise":
        return lambda x: -(x**2).sum(-1) / (2 * sigma_max**2) - math.log(2 * math.pi * sigma_max**2)
    if start is not None and not isinstance(start, Exact):
        raise InputError(f"start is {shown(start)}; it must be None, a mixture, or 'noise'")
    return partial((model.truth() if start is None else start).log_density, sigma=sigma_max)


def _move(model: ScoreModel, x: jax.Array, sigma: float, to: float, steps: int) -> jax.Array:
    """Where the ODE takes points [n, 2] from one noise level to another, and the integral on the way: [n, 3]."""
    return on_all_cores(partial(_flow, t=math.log(sigma), end=math.log(to), steps=int(steps)), model, model.block, x)


@jax.jit
def _flow(model: ScoreModel, x: jax.Array, *, t: jax.Array, end: jax.Array, steps: jax.Array) -> jax.Array:
    """`_move` between levels of t = ln sigma, compiled once for any levels and steps."""
    h = (end - t) / steps

    def field(state: jax.Array, at: jax.Array) -> jax.Array:
        sigma = jnp.exp(at)
        score, derivative = jax.linearize(partial(model.score_at, sigma=sigma), state[:2])
        slopes = jax.vmap(derivative)(jnp.eye(2))  # both share the score's own evaluation, which jacfwd repeats
        return sigma**2 * jnp.append(-score, slopes[0, 0] + slopes[1, 1])

    def step(i: jax.Array, state: jax.Array) -> jax.Array:
        def stage(carry: tuple[jax.Array, jax.Array], row: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
            slope, moved = carry
            reach, weight = row
            slope = field(state + reach * h * slope, t + (i + reach) * h)
            return (slope, moved + weight * h * slope), None

        return jax.lax.scan(stage, (jnp.zeros(3), state), jnp.asarray(RUNGE_KUTTA))[0][1]

    def follow(point: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, steps, step, jnp.append(point, 0.0))

    return map_points(follow, model.block, x)
