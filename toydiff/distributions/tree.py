"""The fractal tree of the autoguidance paper."""

import math
from functools import cache

import numpy as np

from toydiff.distributions.mixture import Components, GaussianMixture, select_classes

TREE_DEPTHS = 7
"""Of the fractal tree: a trunk, 2 branches, 4 and so on to 64 twigs."""

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
