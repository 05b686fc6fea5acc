"""Noise levels at which a solver evaluates, falling to 0."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from toydiff.base.checks import count, number
from toydiff.base.score_model import LARGEST_SIGMA, SMALLEST_SIGMA

SIGMA_MIN, SIGMA_MAX, RHO, STEPS = 0.002, 5.0, 7.0, 32
"""The paper's schedule for the toy."""
KNOTS = tuple(np.geomspace(SIGMA_MIN, SIGMA_MAX, 13).tolist())
"""The noise levels between which a weight that is drawn is linear in ln sigma."""


def _check_ends(sigma_min: float, sigma_max: float) -> tuple[float, float]:
    """Both, if they are noise levels and not the wrong way round."""
    highest = number("sigma_max", sigma_max, SMALLEST_SIGMA, LARGEST_SIGMA)
    return number("sigma_min", sigma_min, SMALLEST_SIGMA, highest), highest


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
    sigma_min, sigma_max = _check_ends(sigma_min, sigma_max)
    ramp = np.linspace(0, 1, steps)
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return np.append((first + ramp * (last - first)) ** rho, 0.0)


def nearest_level(levels: Sequence[float], sigma: float) -> int:
    """Which of a schedule's noise levels is nearest to sigma in ratio; below half of `SIGMA_MIN` the 0 at the end."""
    if sigma < SIGMA_MIN / 2:
        return len(levels) - 1
    return int(np.abs(np.log(np.array(levels[:-1]) / sigma)).argmin())


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
    sigma_min, sigma_max = _check_ends(sigma_min, sigma_max)
    normal = NormalDist(number("mean", mean), number("std", std, above=0))
    last, first = (normal.cdf(math.log(s)) for s in (sigma_min, sigma_max))
    inner = [math.exp(normal.inv_cdf(p)) for p in np.linspace(first, last, steps)[1:-1]]
    return np.array([sigma_max, *inner, sigma_min, 0.0])


ADAMS_DENSITY = -0.096, -0.355, -0.045, -0.108, 0.197, -0.213, -0.577, -0.926, -1.471
"""Logarithm of the density of the levels of `adams_schedule` over ln sigma, at nine places from the highest level to
the lowest, evenly spaced; linear between. Found by a random search for the smallest errors of the solver "adams34"."""


def adams_schedule(steps: int = 24, *, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX) -> np.ndarray:
    """Noise levels for the solver "adams34", then 0: its 24 evaluations end as near to the solution as Heun's 63.

    Returns:
        [steps + 1], falling.

    Raises:
        InputError: a number is out of range.
    """
    count("steps", steps, 2, 100_000)
    sigma_min, sigma_max = _check_ends(sigma_min, sigma_max)
    place = np.linspace(0, 1, 400)
    density = np.exp(np.interp(place, np.linspace(0, 1, len(ADAMS_DENSITY)), ADAMS_DENSITY))
    passed = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2))
    inner = np.interp(np.linspace(0, 1, steps)[1:-1], passed / passed[-1], place)
    return np.array([sigma_max, *(sigma_max * (sigma_min / sigma_max) ** inner), sigma_min, 0.0])
