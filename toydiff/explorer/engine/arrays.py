"""Arrays while a program is lowered: single numbers, or a view of memory; and what changes only where numbers stand."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from toydiff.base.checks import InputError
from toydiff.explorer.engine.program import Ref, View, row_major

KINDS = {"float32": "f", "int32": "i", "uint32": "u", "bool": "b"}
Value = np.ndarray | View
"""An array: of `Ref` where it is small, else in memory."""
_CONSTANTS: dict[Any, Ref] = {}


def constant(value: Any, dtype: str) -> Ref:
    """A number that is known when the code is written; equal ones are one."""
    key = (np.float32(value).tobytes() if dtype == "f" else value), dtype
    return _CONSTANTS.setdefault(key, Ref("const", dtype, (), value))


def filled(shape: tuple[int, ...], ref: Ref) -> np.ndarray:
    """An array of one number."""
    found = np.empty(shape, object)
    found.fill(ref)
    return found


def each(array: np.ndarray, function: Callable[[Any], Ref]) -> np.ndarray:
    """What a function makes of each number of an array."""
    found = np.empty(array.shape, object)
    for place, one in np.ndenumerate(array):
        found[place] = function(one)
    return found


def dtype_of_value(value: Value) -> str:
    """The letter of an array's dtype."""
    return value.dtype if isinstance(value, View) else value.reshape(-1)[0].dtype


def is_one_number(value: np.ndarray) -> bool:
    """Whether all numbers of a small array are the same one."""
    return value.size > 0 and all(n == 1 or stride == 0 for n, stride in zip(value.shape, value.strides, strict=True))


def transposed(value: Value, order: Sequence[int]) -> Value:
    """With its axes in another order."""
    if isinstance(value, np.ndarray):
        return value.transpose(order)
    return value._replace(shape=tuple(value.shape[i] for i in order), strides=tuple(value.strides[i] for i in order))


def with_last(value: Value, axis: int) -> Value:
    """With an axis at the end."""
    return transposed(value, [*(i for i in range(len(value.shape)) if i != axis), axis])


def part_of(value: Value, place: tuple[int, ...]) -> Value:
    """What lies at a place of the first axes."""
    if isinstance(value, np.ndarray):
        return value[place] if place else value
    n = len(place)
    offset = value.offset + sum(i * s for i, s in zip(place, value.strides, strict=False))
    return value._replace(shape=value.shape[n:], strides=value.strides[n:], offset=offset)


def reshaped(value: Value, shape: Sequence[int]) -> Value:
    """In another shape, in row-major order.

    Raises:
        InputError: it does not lie in one piece.
    """
    shape = tuple(shape)
    if isinstance(value, np.ndarray):
        return value.reshape(shape)
    if value.strides == row_major(value.shape):
        return value._replace(shape=shape, strides=row_major(shape))
    squeezed = [(n, s) for n, s in zip(value.shape, value.strides, strict=True) if n != 1]
    if [n for n, _ in squeezed] != [n for n in shape if n != 1]:
        raise InputError(f"an array of shape {value.shape} that does not lie in one piece cannot become {shape}")
    strides = iter([s for _, s in squeezed])
    return value._replace(shape=shape, strides=tuple(0 if n == 1 else next(strides) for n in shape))


def fitted(value: Value, shape: tuple[int, ...]) -> Value:
    """With the one place of an axis for all of them, where the shape has more."""
    if isinstance(value, np.ndarray):
        return np.broadcast_to(value, shape)
    strides = [
        0 if n == 1 != m else s for n, m, s in zip(value.shape, shape[-len(value.shape) :], value.strides, strict=False)
    ]
    return value._replace(shape=shape, strides=(0,) * (len(shape) - len(strides)) + tuple(strides))


def sliced(value: Value, index: tuple[slice, ...]) -> Value:
    """The numbers at every step between two places of each axis."""
    if isinstance(value, np.ndarray):
        return value[index]
    index = index + (slice(None),) * (len(value.shape) - len(index))
    ranges = [range(*one.indices(n)) for one, n in zip(index, value.shape, strict=True)]
    offset = value.offset + sum(r.start * s for r, s in zip(ranges, value.strides, strict=True) if len(r))
    strides = tuple(r.step * s for r, s in zip(ranges, value.strides, strict=True))
    return value._replace(shape=tuple(map(len, ranges)), offset=offset, strides=strides)


def reverse(value: Value, dimensions: Sequence[int]) -> Value:
    """With some axes the other way round."""
    if isinstance(value, np.ndarray):
        return np.flip(value, tuple(dimensions))
    offset = value.offset + sum((value.shape[i] - 1) * value.strides[i] for i in dimensions)
    return value._replace(
        offset=offset, strides=tuple(-s if i in dimensions else s for i, s in enumerate(value.strides))
    )


def outer(left: Value, right: Value) -> list[Value]:
    """Both with all axes of the first, then those of the second, then the last one, which they share."""
    n, m = len(left.shape) - 1, len(right.shape) - 1
    shape = (*left.shape[:n], *right.shape)
    return [
        stretched(left, shape, (*range(n), n + m)),
        stretched(right, shape, tuple(range(n, n + m + 1))),
    ]


def stretched(value: Value, shape: tuple[int, ...], axes: Sequence[int]) -> Value:
    """Along some axes of a shape, the same at all places of the others."""
    wide = [shape[i] if i in axes else 1 for i in range(len(shape))]
    if isinstance(value, np.ndarray):
        return np.broadcast_to(value.reshape(wide), shape)
    strides = [value.strides[axes.index(i)] if i in axes else 0 for i in range(len(shape))]
    return value._replace(shape=shape, strides=tuple(strides))


def dtype_of(aval: Any) -> str:
    """The letter of a dtype.

    Raises:
        InputError: it is none of float32, int32, uint32 and bool.
    """
    try:
        return KINDS[str(aval.dtype)]
    except KeyError:
        raise InputError(f"numbers of type {aval.dtype} cannot be translated; those of 32 bits can") from None
