"""The table of distributions: each a function from a choice of classes to an exact mixture, and a row.

Wherever a distribution is taken by its name in the table, a `Drawing` is taken too.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from toydiff.base.checks import choice
from toydiff.base.score_model import Exact
from toydiff.distributions.classics import CLASSICS, Distribution
from toydiff.distributions.drawing import Drawing, load_drawing
from toydiff.distributions.mixture import GaussianMixture
from toydiff.distributions.mixture import class_choices as class_choices  # noqa: PLC0414 - part of this module's face
from toydiff.distributions.tree import fractal_tree

Source = str | Drawing
"""A distribution: a row of `DISTRIBUTIONS` by its name, or a drawing."""

_DRAWINGS = Path(__file__).parent / "drawings"


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


DISTRIBUTIONS: dict[str, Distribution] = {
    "fractal_tree": Distribution(fractal_tree, "AB"),
    **CLASSICS,
    "spirals": Distribution(spirals, "AB"),
    "letters": Distribution(letters, "AB"),
    "rings": Distribution(rings, "AB"),
}
"""By name; a row may stand in the table of its file, as those of `classics` do."""


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
