"""Power-function averages of the parameters, Karras et al. 2023 (arXiv 2312.02696), section 3.1."""

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.checks import number


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
