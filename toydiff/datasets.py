"""The distributions: each a function from a choice of classes to an exact mixture, and a row in the table.

Wherever a distribution is taken by its name in the table, a `Drawing` is taken too.
"""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toydiff.checks import choice
from toydiff.mixture import Components, GaussianMixture, select_classes
from toydiff.mixture import class_choices as class_choices  # noqa: PLC0414 - part of this module's face
from toydiff.score_model import Exact
from toydiff.strokes import Drawing, load_drawing

Source = str | Drawing
"""A distribution: a row of `DISTRIBUTIONS` by its name, or a drawing."""

TREE_DEPTHS = 7
"""Of the fractal tree: a trunk, 2 branches, 4 and so on to 64 twigs."""

_DRAWINGS = Path(__file__).parent / "drawings"
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
        then of B, and `depths` tells the trunk, 0, from the twigs, 6.

    Raises:
        InputError: another choice of classes.

    Example:
        >>> import toydiff
        >>> tree = toydiff.fractal_tree("A")
        >>> tree.means.shape, tree.branch_count
        ((1016, 2), 127)
    """
    return select_classes(_grow_trees(), classes, _branch_depths(0))


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
        if depth + 1 < TREE_DEPTHS:
            pieces += _grow(random, depth + 1, start + direction * length, child_angle)
    return pieces


def _branch_depths(depth: int) -> list[int]:
    """Of a branch at this depth and, depth first, the subtrees at its end, in the order of `_grow`."""
    return [depth] + (2 * _branch_depths(depth + 1) if depth + 1 < TREE_DEPTHS else [])


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


def spirals(classes: str = "AB") -> GaussianMixture:
    """Two thin spirals, one a class, wound into each other: every turn of one lies between turns of the other.

    Args:
        classes: "A", "B", or "AB" for both together (half of the mass each).

    Raises:
        InputError: another choice of classes.
    """
    return bundled_drawing("spirals").mixture(classes)


def letters(classes: str = "AB") -> GaussianMixture:
    """The letters A and B as a pen would write them, each the class of its name; they touch in one place.

    Args:
        classes: "A", "B", or "AB" for both together (0.48 and 0.52 of the mass).

    Raises:
        InputError: another choice of classes.
    """
    return bundled_drawing("letters").mixture(classes)


def rings(classes: str = "AB") -> GaussianMixture:
    """Three rings of 48 clusters, in turn a short arc of one class and a dot of the other.

    Args:
        classes: "A", "B", or "AB" for both together (0.53 and 0.47 of the mass).

    Raises:
        InputError: another choice of classes.
    """
    return bundled_drawing("rings").mixture(classes)


@cache
def bundled_drawing(name: str) -> Drawing:
    """One of the drawings that come with toydiff: letters, rings, spirals.

    Raises:
        InputError: there is no such drawing.
    """
    choice("drawing", name, bundled_drawings())
    return load_drawing(_DRAWINGS / f"{name}.json")


@cache
def bundled_drawings() -> tuple[str, ...]:
    """The names of the drawings that come with toydiff."""
    return tuple(sorted(path.stem for path in _DRAWINGS.glob("*.json")))


class Distribution(NamedTuple):
    """A row of the table of distributions."""

    mixture: Callable[[str], Exact]
    """From a choice of classes to what is exact, such as a mixture."""
    classes: str
    """All classes, a letter each."""


DISTRIBUTIONS: dict[str, Distribution] = {
    "fractal_tree": Distribution(fractal_tree, "AB"),
    "three_gaussians": Distribution(three_gaussians, "ABC"),
    "grid_of_gaussians": Distribution(grid_of_gaussians, "AB"),
    "spirals": Distribution(spirals, "AB"),
    "letters": Distribution(letters, "AB"),
    "rings": Distribution(rings, "AB"),
}


def all_classes(source: Source) -> str:
    """The classes of a distribution, a letter each.

    Raises:
        InputError: there is no such distribution.
    """
    if isinstance(source, Drawing):
        return source.classes
    return DISTRIBUTIONS[choice("distribution", source, DISTRIBUTIONS)].classes


def distribution(source: Source, classes: str) -> Exact:
    """The exact distribution of a choice of classes, one object for each, so that what depends on it is computed once.

    Raises:
        InputError: there is no such distribution or choice of classes.
    """
    if isinstance(source, Drawing):
        return _made(source.mixture, classes)
    return _made(DISTRIBUTIONS[choice("distribution", source, DISTRIBUTIONS)].mixture, classes)


@lru_cache(maxsize=32)
def _made(mixture: Callable[[str], Exact], classes: str) -> Exact:
    return mixture(classes)


def open_distribution(text: str) -> Source:
    """A distribution as the command line takes it: a name, or the path of a drawing, which ends in .json.

    Raises:
        InputError: there is no such distribution, or the file is not a drawing.
    """
    if str(text).endswith(".json"):
        return load_drawing(text)
    return choice("distribution", text, DISTRIBUTIONS)


def source_to_json(source: Source) -> Any:
    """A distribution as a JSON value: its name or, for a drawing, all of it."""
    return source.to_json() if isinstance(source, Drawing) else source


def source_from_json(value: Any) -> Source:
    """The distribution that `source_to_json` gave; whether there is one of that name shows when it is used.

    Raises:
        InputError: it is a drawing that cannot be read.
    """
    return Drawing.from_json(value) if isinstance(value, dict) else value
