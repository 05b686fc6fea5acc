"""Small sets that everybody knows."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from toydiff.base.score_model import Exact
from toydiff.distributions.mixture import Components, GaussianMixture, select_classes


class Distribution(NamedTuple):
    """A row of the table of distributions."""

    mixture: Callable[[str], Exact]
    """From a choice of classes to what is exact, such as a mixture."""
    classes: str
    """All classes, a letter each."""


def three_gaussians(classes: str = "ABC") -> GaussianMixture:
    """Three equal round Gaussians on a circle, one a class.

    The demonstration of guidance in Ho & Salimans 2022 (arXiv 2207.12598), Figure 2: raising the weight
    pushes each class away from the others. Standard deviation 0.5 on each axis over all classes.

    Args:
        classes: any of "A", "B", "C" together.

    Raises:
        InputError: another choice of classes.
    """
    spread = 0.25
    radius = math.sqrt(2 * (0.5**2 - spread**2))  # variance per axis: radius^2 / 2 + spread^2 = 0.5^2
    angles = np.pi / 2 + 2 * np.pi / 3 * np.arange(3)
    means = radius * np.stack([np.cos(angles), np.sin(angles)], -1)
    parts = {name: _round_gaussians(means[i : i + 1], spread) for i, name in enumerate("ABC")}
    return select_classes(parts, classes)


def grid_of_gaussians(classes: str = "AB") -> GaussianMixture:
    """25 equal round Gaussians on a 5 x 5 grid, the standard test for dropped modes.

    Standard deviation 0.5 on each axis over both classes, each Gaussian a tenth of the spacing wide.

    Args:
        classes: "A" (the 13 on the corner colour of a chessboard), "B" (the other 12), or "AB" (all 25).

    Raises:
        InputError: another choice of classes.
    """
    spacing = 0.5 / math.sqrt(2 + 0.1**2)  # variance per axis: 2 spacing^2 + (0.1 spacing)^2 = 0.5^2
    column, row = np.meshgrid(np.arange(5), np.arange(5))
    means = spacing * (np.stack([column.ravel(), row.ravel()], -1) - 2.0)
    corner = (column + row).ravel() % 2 == 0
    spread = 0.1 * spacing
    parts = {"A": _round_gaussians(means[corner], spread), "B": _round_gaussians(means[~corner], spread)}
    return select_classes(parts, classes)


def _round_gaussians(means: np.ndarray, spread: float) -> Components:
    k = len(means)
    return np.ones(k), means, np.tile(spread**2 * np.eye(2), (k, 1, 1)), np.arange(k)


CLASSICS: dict[str, Distribution] = {
    "three_gaussians": Distribution(three_gaussians, "ABC"),
    "grid_of_gaussians": Distribution(grid_of_gaussians, "AB"),
}
"""Rows of the table of distributions."""
