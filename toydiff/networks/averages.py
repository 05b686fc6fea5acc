"""Power-function averages of the parameters, tracked and post hoc: Karras et al. 2023 (arXiv 2312.02696), section 3."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.checks import InputError, number

EMA_RANGE = 0.005, 0.25
"""Relative lengths that `posthoc_weights` reconstructs."""

STORED_LENGTHS = 0.00532, 0.00814, 0.01511, 0.02925, 0.05539, 0.09834, 0.15627, 0.2129, 0.24583
"""Lengths to store for it. The distance of t^gamma from the span of some t^g_i, relative to its norm, is the product of
|gamma - g_i| / (gamma + g_i + 1). That is Zolotarev's third problem in gamma + 1/2: its nodes make the largest distance
over `EMA_RANGE` as small as nine lengths can, 0.2%."""

MAX_DISTANCE = 0.01


def power_gamma(width: float) -> float:
    """Exponent gamma of the average whose relative standard deviation is `width`.

    The largest real root of gamma^3 + 7 gamma^2 + (16 - 1/width^2) gamma + (12 - 1/width^2) = 0; 0.010 gives 96.995.

    Raises:
        InputError: `width` is below 0.0001, or above 0.28, where gamma reaches 0.
    """
    width = number("ema", width, 1e-4, 0.28)
    roots = np.roots([1, 7, 16 - width**-2, 12 - width**-2])
    return float(roots[np.isclose(roots.imag, 0)].real.max())


def power_decay(t: jax.Array, gamma: float) -> jax.Array:
    """beta_t = (1 - 1/t)^(gamma + 1) at step t = 1, 2, ...: the average is beta_t average + (1 - beta_t) new."""
    return (1 - 1 / t.astype(jnp.float32)) ** (gamma + 1)


def posthoc_weights(stored: Sequence[float], length: float) -> np.ndarray:
    """Weights whose sum over averages of the lengths `stored` comes closest to the average of another `length`.

    The profiles p_gamma(t) = (gamma + 1) t^gamma on (0, 1], t the training time over its end, have the inner products
    (a + 1) (b + 1) / (a + b + 1); the weights are the least squares solution among those that sum to 1,
    so that parameters that stand still come out as they are.

    Args:
        stored: relative lengths, all different; `STORED_LENGTHS` serve the whole of `EMA_RANGE`.
        length: the relative length that is wanted.

    Returns:
        A weight for each stored length, float64 [stored].

    Raises:
        InputError: `length` lies outside `EMA_RANGE`, or the profile is more than 1% off (of its norm).
    """
    gamma = power_gamma(number("ema", length, *EMA_RANGE))
    gammas = np.array([power_gamma(other) for other in stored])
    gram, wanted = _inner_product(gammas[:, None], gammas), _inner_product(gammas, gamma)
    ones = np.ones((len(gammas), 1))
    system = np.block([[gram, ones], [ones.T, np.zeros((1, 1))]])  # the last row and column hold the sum at 1
    weights = np.linalg.lstsq(system, np.append(wanted, 1))[0][:-1]
    norm = _inner_product(gamma, gamma)
    distance = norm - 2 * weights @ wanted + weights @ gram @ weights
    if distance > MAX_DISTANCE**2 * norm:
        listed = ", ".join(f"{other:g}" for other in stored)
        raise InputError(f"ema is {length:g}; averages of the lengths {listed} do not give it to within 1%")
    return weights


def _inner_product(a: Any, b: Any) -> Any:
    """Of the profiles with exponents a and b: the integral of (a + 1) t^a (b + 1) t^b over (0, 1]."""
    return (a + 1) * (b + 1) / (a + b + 1)


def combine(averages: Sequence[Any], weights: np.ndarray) -> Any:
    """The weighted sum of parameter trees, a weight each; summed in float64, each leaf in its own type."""

    def combined(*leaves: jax.Array) -> jax.Array:
        return jnp.asarray(np.tensordot(weights, np.stack(leaves), 1), leaves[0].dtype)

    return jax.tree.map(combined, *averages)
