"""A lowered program: straight lines, loops over vectors and products with matrices, of which code is written.

Every value is that of one point; the code that is written treats several points at once.
"""

from dataclasses import dataclass, field
from math import inf, prod
from typing import Any, NamedTuple

SMALL = 16
"""Numbers up to which an array is treated as single ones."""
NEUTRAL: dict[str, Any] = {"add": 0, "mul": 1, "max": -inf, "min": inf, "and": True, "or": False}
"""What each operation of a sum begins with."""


@dataclass(eq=False, repr=False)
class Buffer:
    """Numbers in memory: given ones (folded, uniform or of each point), or computed ones."""

    kind: str
    """ "folded", "uniform", "point" or "scratch"; of the last two each point has its own numbers."""
    size: int
    address: int = -1
    """In numbers, or in numbers of each point, from the beginning of its kind."""
    segment: "Segment | None" = None
    """In which it is computed, the last where there are several; None: it is given."""
    ref: "Ref | None" = None
    """In the loop that computes it, the number at hand."""
    stored: bool = True
    """False: it is only used in that loop."""


class View(NamedTuple):
    """An array in memory: number i, j, ... stands at offset + strides . (i, j, ...)."""

    buffer: Buffer
    dtype: str
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]


@dataclass(eq=False, repr=False)
class Ref:
    """A number that is computed once: an operation of others, or one that is loaded."""

    op: str
    dtype: str
    """ "f" float32, "i" int32, "u" uint32 or "b" a truth value."""
    args: tuple["Ref", ...] = ()
    given: Any = None
    """Of a constant its value, of a load the view."""
    segment: "Segment | None" = None
    ready: int = 0
    """The first segment in which it can be used."""


@dataclass(eq=False, repr=False)
class Segment:
    """What is done one after the other: a straight line where the shape is (), else for each place of a shape."""

    index: int
    shape: tuple[int, ...] = ()
    ops: list[Ref] = field(default_factory=list)
    stores: list[tuple[Ref, View]] = field(default_factory=list)
    sums: list[tuple[Ref, Ref]] = field(default_factory=list)
    """Of a loop: (result, what is reduced); the result's `op` is "add", "mul", "max", "min", "and" or "or"."""
    product: "Product | None" = None
    entries: "list[Entry]" = field(default_factory=list)
    known: dict[Any, Ref] = field(default_factory=dict)
    """What has been computed here already."""


@dataclass(eq=False, repr=False)
class Entry:
    """Before any point: the noise level at which a site's module will be called."""

    site: int
    sigma: Ref


class Product(NamedTuple):
    """target[n] = sum_k matrix[n, k] source[k]."""

    target: Buffer
    source: View
    matrix: View


@dataclass
class Program:
    """Segments in their order."""

    segments: list[Segment]


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array that lies without gaps."""
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))
