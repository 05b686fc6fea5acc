"""Drawings as distributions: the strokes of a pen become Gaussians along their paths."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toydiff.base.checks import InputError, choice, number
from toydiff.base.files import PathLike, write_bytes
from toydiff.distributions.mixture import Components, GaussianMixture, join_components, select_classes

FORMAT = 1
"""Version of the files; raised when an older toydiff could not read them."""
MAX_POINTS = 100_000
"""Of the pen, in a whole drawing."""
MAX_COMPONENTS = 2048
"""In a whole drawing: twice a class of the fractal tree, so that it stays fast enough to drag."""

_MAX_BYTES = 64 * MAX_POINTS  # of a file; a point takes 20 or so
_CLASSES = "AB"
_PIECE = 8  # components of a branch at most, as in the fractal tree
# Gaussians of standard deviation s at a spacing h add up to a line with ripples of 2 exp(-2 pi^2 (s / h)^2):
# 0.05% here, where s = h / 2 would leave beads of 1.4%.
_OVERLAP = 0.65
# A round Gaussian of this mass, in units of thickness^2, is as dense in its middle as a stroke of mass thickness times
# length.
_DOT = math.sqrt(math.pi / 2)


@dataclass(frozen=True)
class Stroke:
    """What the pen draws between touching the pad and leaving it; a stroke of one point is a dot.

    Attributes:
        label: the class that it belongs to, "A" or "B".
        thickness: of the pen, 0.005 to 0.5; the pad is the square from -1 to 1 on both axes.
        points: (x, y) of the pen, y upwards, one or more, from -2 to 2; kept to 4 decimals, as the thickness is.

    Raises:
        InputError: a field is out of range.
    """

    label: str
    thickness: float
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        choice("class of a stroke", self.label, _CLASSES)
        thickness = round(number("thickness of a stroke", self.thickness, 0.005, 0.5), 4)
        object.__setattr__(self, "thickness", thickness)
        object.__setattr__(self, "points", tuple(map(tuple, _check_points(self.points).tolist())))

    @cached_property
    def _path(self) -> np.ndarray:
        """The points [n, 2] without repetitions."""
        points = np.asarray(self.points)
        return points[np.r_[True, (np.diff(points, axis=0) != 0).any(1)]]

    @cached_property
    def _arc(self) -> np.ndarray:
        """Length of the path up to each of its points, [n]."""
        return np.r_[0.0, np.cumsum(np.hypot(*np.diff(self._path, axis=0).T))]

    @property
    def length(self) -> float:
        """Of the path."""
        return float(self._arc[-1])

    @property
    def component_count(self) -> int:
        """How many Gaussians it becomes: one a thickness of its length."""
        return max(1, round(self.length / self.thickness))

    def components(self) -> Components:
        """Gaussians at equal distances along the path, in the units of the pad.

        Half the thickness is the standard deviation across; along the path it is somewhat more, so that the
        density does not ripple. The mass is the ink, thickness times length: thick and thin strokes and dots
        are equally dense in their middle. Up to 8 neighbours are a branch.
        """
        k = self.component_count
        at = np.linspace(0, self.length, 2 * k + 1)
        places = np.stack([np.interp(at, self._arc, axis) for axis in self._path.T], -1)
        chords = np.diff(places[::2], axis=0)  # where the path turns within a component: shorter than its share
        squared = (chords**2).sum(1)
        across = (self.thickness / 2) ** 2
        stretch = np.maximum(_OVERLAP**2 * squared - across, 0) / np.maximum(squared, 1e-12)
        covariances = across * np.eye(2) + stretch[:, None, None] * chords[:, :, None] * chords[:, None, :]
        ink = self.thickness * max(self.length, _DOT * self.thickness)
        branches = np.arange(k) * math.ceil(k / _PIECE) // k
        return np.full(k, ink / k), places[1::2], covariances, branches


def _check_points(points: Any) -> np.ndarray:
    """Points of a stroke, [n, 2], to 4 decimals.

    Raises:
        InputError: they are not numbers in range, or none or too many.
    """
    try:
        array = np.asarray(points)
    except ValueError:  # rows of different lengths
        array = np.empty(0)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise InputError("the points of a stroke must be one or more pairs of numbers, [[x, y], ...]")
    _check_point_count(len(array))
    outside = ~(np.abs(array) <= 2).all(1)  # so is NaN
    if outside.any():
        x, y = array[outside][0]
        raise InputError(f"a point of a stroke is ({x:g}, {y:g}); both must be from -2 to 2")
    return np.round(array.astype(float), 4) + 0.0  # + 0.0: no negative zero


def _check_point_count(count: int) -> None:
    if count > MAX_POINTS:
        raise InputError(f"the drawing has {count:,} points; there can be {MAX_POINTS:,}")


@dataclass(frozen=True, eq=False)
class Drawing:
    """Strokes of one class or two as an exact distribution; it stands wherever the name of a distribution does.

    Hash and equality cost next to nothing: a drawing is a key of caches and static in what JAX compiles.

    Raises:
        InputError: there are no strokes or none of class A, or too many points or components.
    """

    strokes: tuple[Stroke, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.strokes, tuple | list) or not all(isinstance(s, Stroke) for s in self.strokes):
            raise InputError("the strokes of a drawing must be a tuple of Stroke(label, thickness, points)")
        object.__setattr__(self, "strokes", tuple(self.strokes))
        if not self.strokes:
            raise InputError("the drawing is empty: it must have a stroke of class A")
        if "A" not in self.classes:
            raise InputError("class A is empty: a drawing must have a stroke of it, and may have some of class B")
        _check_point_count(sum(len(stroke.points) for stroke in self.strokes))
        components = sum(stroke.component_count for stroke in self.strokes)
        if components > MAX_COMPONENTS:
            raise InputError(
                f"the drawing takes {components:,} Gaussians, one a thickness along each stroke; "
                f"there can be {MAX_COMPONENTS:,}: use a thicker pen or fewer strokes"
            )

    @cached_property
    def classes(self) -> str:
        """The classes that have strokes, "A" or "AB"."""
        return "".join(sorted({stroke.label for stroke in self.strokes}))

    @cached_property
    def digest(self) -> str:
        """A text that no other drawing has, the same in every process."""
        return hashlib.sha256(json.dumps(self.to_json()).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Drawing) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        strokes = Counter(stroke.label for stroke in self.strokes)
        return f"Drawing({' and '.join(f'{strokes[c]} of class {c}' for c in self.classes)}, {self.digest[:8]})"

    @cached_property
    def _pad(self) -> dict[str, Components]:
        """The components of each class in the units of the pad."""
        return {
            label: join_components([stroke.components() for stroke in self.strokes if stroke.label == label])
            for label in self.classes
        }

    @cached_property
    def transform(self) -> tuple[tuple[float, float], float]:
        """Centre and scale: a point p of the pad is (p - centre) * scale in the distribution.

        All classes together then have mean 0 and standard deviation 0.5: the root mean square over the two axes,
        so that the shapes keep their proportions.
        """
        weights, means, covariances, _ = join_components(list(self._pad.values()))
        weights = weights / weights.sum()
        x, y = weights @ means
        variance = weights @ (((means - [x, y]) ** 2).sum(1) + np.trace(covariances, axis1=1, axis2=2)) / 2
        return (float(x), float(y)), 0.5 / math.sqrt(variance)

    def mixture(self, classes: str = "AB") -> GaussianMixture:
        """The drawing as an exact mixture, whose weights sum to 1 over the classes chosen.

        The same point of the pad is at the same place whichever classes are chosen; `branches` numbers the
        pieces of the strokes of A, then of B.

        Raises:
            InputError: another choice than "A" or, where there are strokes of both, "A", "B" or "AB".
        """
        centre, scale = self.transform
        parts = {
            label: (weights, (means - np.asarray(centre)) * scale, covariances * scale**2, branches)
            for label, (weights, means, covariances, branches) in self._pad.items()
        }
        return select_classes(parts, classes)

    def to_json(self) -> dict[str, Any]:
        """The drawing as JSON values."""
        strokes = [
            {"class": stroke.label, "thickness": stroke.thickness, "points": [list(point) for point in stroke.points]}
            for stroke in self.strokes
        ]
        return {"toydiff": "drawing", "format": FORMAT, "strokes": strokes}

    @classmethod
    def from_json(cls, values: Any) -> "Drawing":
        """The drawing that `to_json` wrote.

        Raises:
            InputError: it is not a drawing, of another version, or a stroke is out of range.
        """
        if not isinstance(values, dict) or values.get("toydiff") != "drawing":
            raise InputError('not a drawing: it must be a JSON object with "toydiff": "drawing"')
        if values.get("format") != FORMAT:
            raise InputError(f"the drawing has format {values.get('format')!r}; this toydiff reads format {FORMAT}")
        _check_fields("a drawing", values, ("toydiff", "format", "strokes"))
        if not isinstance(values["strokes"], list):
            raise InputError("strokes must be a list")
        return cls(tuple(_stroke_from_json(i, stroke) for i, stroke in enumerate(values["strokes"], 1)))


def _stroke_from_json(number: int, values: Any) -> Stroke:
    try:
        _check_fields("a stroke", values, ("class", "thickness", "points"))
        return Stroke(values["class"], values["thickness"], values["points"])
    except InputError as error:
        raise InputError(f"stroke {number}: {error}") from None


def _check_fields(what: str, values: Any, names: Sequence[str]) -> None:
    if not isinstance(values, dict) or set(values) != set(names):
        found = ", ".join(map(str, values)) if isinstance(values, dict) else type(values).__name__
        raise InputError(f"{what} must have the fields {', '.join(names)}; it has {found:.80}")


def load_drawing(path: PathLike) -> Drawing:
    """The drawing in a JSON file that `save_drawing` wrote.

    Raises:
        InputError: there is no such file, or it is not a drawing; the message says why.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InputError(f"too large for a drawing: more than {_MAX_BYTES:,} bytes")
        return Drawing.from_json(json.loads(content))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON") from None


def save_drawing(path: PathLike, drawing: Drawing) -> None:
    """Write a drawing as JSON, whole or not at all.

    Raises:
        InputError: the file cannot be written; what stood there before is untouched.
    """
    write_bytes(path, (json.dumps(drawing.to_json()) + "\n").encode())
