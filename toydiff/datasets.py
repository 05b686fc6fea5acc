"""The distributions: each a function from a choice of classes to an exact mixture, and a row in the table."""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from toydiff.checks import choice
from toydiff.mixture import GaussianMixture

Components = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Weights [k], means [k, 2], covariances [k, 2, 2] and branches [k] of one class, not yet normalised."""

_DEPTH = 7
_ORIGIN = np.array([0.0030, 0.0325])
_SCALE = np.array([1.3136, 1.3844])


def fractal_tree(classes: str = "AB") -> GaussianMixture:
    """The fractal tree of Karras et al. 2024 (arXiv 2406.02507), appendix C: two thin trees, one a class.

    Each class has 127 branches of 8 Gaussians, 1016 components in the order in which they are drawn
    (depth first). Built from the published construction with NumPy's legacy generator, seed 2.

    Args:
        classes: "A", "B", or "AB" for both together (0.477 and 0.523 of the mass).

    Returns:
        A mixture whose weights sum to 1 over the classes chosen; `branches` numbers the branches of A,
        then of B.

    Raises:
        InputError: another choice of classes.
    """
    return _select(_grow_trees(), classes)


@cache
def _grow_trees() -> dict[str, Components]:
    random = np.random.RandomState(2)
    trees: dict[str, Components] = {}
    for name, angle in (("A", math.pi / 4), ("B", 5 * math.pi / 4)):  # A wholly before B: one generator
        pieces = _grow(random, 0, _ORIGIN, angle)
        weights, means, covariances = (np.concatenate(part) for part in zip(*pieces, strict=True))
        trees[name] = weights, means, covariances, np.arange(len(weights)) // 8
    return trees


def _grow(
    random: np.random.RandomState, depth: int, start: np.ndarray, angle: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The branch that starts here and, depth first, the subtrees at its end."""
    direction = np.array([math.cos(angle), math.sin(angle)])
    length = 0.292 * 0.8**depth * (1 + 0.2 * random.randn())
    thickness = 0.2 * 0.8**depth / length
    size = _SCALE * length * 0.06
    along = np.outer(direction, direction)
    covariance = (along + (np.eye(2) - along) * thickness**2) * np.outer(size, size)
    positions = np.linspace(0.07, 0.93, 8)[:, None]
    branch = (
        np.full(8, length * 0.5**depth),
        (start + direction * length * positions) * _SCALE,
        np.tile(covariance, (8, 1, 1)),
    )
    pieces = [branch]
    for sign in (1, -1):
        # The last branches draw their children's angles too: the order of the draws defines the tree.
        child_angle = angle + sign * 0.7**depth * (1 + 0.2 * random.randn())
        if depth + 1 < _DEPTH:
            pieces += _grow(random, depth + 1, start + direction * length, child_angle)
    return pieces


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
    return _select(parts, classes)


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
    return _select(parts, classes)


def _round_gaussians(means: np.ndarray, spread: float) -> Components:
    k = len(means)
    return np.ones(k), means, np.tile(spread**2 * np.eye(2), (k, 1, 1)), np.arange(k)


def _select(parts: dict[str, Components], classes: str) -> GaussianMixture:
    """The chosen classes in one mixture, the branches of each numbered on from the one before."""
    choice("classes", classes, class_choices("".join(parts)))
    chosen = [parts[c] for c in classes]
    first = np.cumsum([0] + [part[3].max() + 1 for part in chosen])
    branches = np.concatenate([part[3] + start for part, start in zip(chosen, first, strict=False)])
    weights, means, covariances = (np.concatenate([part[i] for part in chosen]) for i in range(3))
    return GaussianMixture(weights, means, covariances, branches)


def class_choices(classes: str) -> list[str]:
    """Every choice of one or more classes: "AB" gives A, B, AB."""
    subsets = range(1, 2 ** len(classes))
    chosen = ["".join(c for i, c in enumerate(classes) if subset >> i & 1) for subset in subsets]
    return sorted(chosen, key=lambda c: (len(c), c))


class Distribution(NamedTuple):
    """A row of the table of distributions."""

    mixture: Callable[[str], GaussianMixture]
    """From a choice of classes to the exact mixture."""
    classes: str
    """All classes, a letter each."""


DISTRIBUTIONS: dict[str, Distribution] = {
    "fractal_tree": Distribution(fractal_tree, "AB"),
    "three_gaussians": Distribution(three_gaussians, "ABC"),
    "grid_of_gaussians": Distribution(grid_of_gaussians, "AB"),
}


def all_classes(name: str) -> str:
    """The classes of a row of `DISTRIBUTIONS`, a letter each.

    Raises:
        InputError: there is no such distribution.
    """
    return DISTRIBUTIONS[choice("distribution", name, DISTRIBUTIONS)].classes


def distribution(name: str, classes: str) -> GaussianMixture:
    """The exact mixture of a row of `DISTRIBUTIONS`.

    Raises:
        InputError: there is no such distribution or choice of classes.
    """
    return DISTRIBUTIONS[choice("distribution", name, DISTRIBUTIONS)].mixture(classes)
