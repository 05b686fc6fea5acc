"""What each primitive becomes that is no operation on each number: sums, products, choices, and arrays of arrays."""

import itertools
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from toydiff.base.checks import InputError
from toydiff.explorer.engine.arrays import (
    Value,
    constant,
    dtype_of,
    dtype_of_value,
    each,
    is_one_number,
    outer,
    part_of,
    reshaped,
    reverse,
    sliced,
    transposed,
    with_last,
)
from toydiff.explorer.engine.program import SMALL, View, row_major

if TYPE_CHECKING:
    from toydiff.explorer.engine.lower import Lowering

REDUCTIONS = {
    "reduce_sum": "add",
    "reduce_prod": "mul",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_and": "and",
    "reduce_or": "or",
}
GIVEN = "folded", "uniform"


def _reduce(
    lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, op: str, axes: Sequence[int], **_: Any
) -> Value:
    (value,), aval = given, avals[0]
    dtype = dtype_of(aval)
    moved = transposed(value, [*(i for i in range(len(value.shape)) if i not in axes), *axes])
    kept, inner = aval.shape, moved.shape[len(aval.shape) :]
    if prod(kept) > SMALL:
        raise InputError(f"a sum that leaves {kept} numbers cannot be translated; up to {SMALL} can")
    found = np.empty(kept, object)
    for place in np.ndindex(kept):
        found[place] = lowering.total(op, part_of(moved, place), inner, dtype)
    return found


def _dot(
    lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, dimension_numbers: Any, **_: Any
) -> Value:
    (left_axes, right_axes), batch = dimension_numbers
    if any(batch) or len(left_axes) != 1:
        raise InputError("a product of several matrices at once cannot be translated; one of a matrix can")
    left, right = with_last(given[0], left_axes[0]), with_last(given[1], right_axes[0])
    for vector, matrix in ((left, right), (right, left)):
        large = len(matrix.shape) == 2 and len(vector.shape) == 1 and prod(matrix.shape) > SMALL
        if large and lowering.own == "scratch" and isinstance(matrix, View) and _given(matrix) and not _given(vector):
            return lowering.product(vector, matrix, avals[0])
    rows = outer(left, right)
    times = jax.ShapeDtypeStruct(rows[0].shape, avals[0].dtype)
    together = lowering.elementwise("mul", rows, times)
    return _reduce(lowering, [together], avals, op="add", axes=(len(times.shape) - 1,))


def _select(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any]) -> Value:
    which, *cases = given
    if len(cases) != 2:
        raise InputError("a choice of more than two cannot be translated; one of two can")
    if not which.shape:
        which = np.broadcast_to(lowering.numbers(which), avals[0].shape)
    return lowering.elementwise("select", [which, cases[1], cases[0]], avals[0])


def _convert(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], **_: Any) -> Value:
    kinds = dtype_of_value(given[0]), dtype_of(avals[0])
    if kinds[0] == kinds[1]:
        return given[0]
    return lowering.elementwise(f"convert_{kinds[0]}{kinds[1]}", given, avals[0])


def _bitcast(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], **_: Any) -> Value:
    return lowering.elementwise("bits", given, avals[0])


def _concatenate(
    lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, dimension: int, **_: Any
) -> Value:
    shape = avals[0].shape
    if prod(shape) <= SMALL:
        return np.concatenate([lowering.numbers(value) for value in given], dimension)
    target = View(lowering.buffer(prod(shape)), dtype_of(avals[0]), shape, 0, row_major(shape))
    at = 0
    for value in given:
        if prod(value.shape):
            offset = at * target.strides[dimension]
            lowering.copy(value, target._replace(shape=value.shape, offset=offset))
        at += value.shape[dimension]
    return target


def _stack(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, axis: int, **_: Any) -> Value:
    wide = [reshaped(value, (*value.shape[:axis], 1, *value.shape[axis:])) for value in given]
    return _concatenate(lowering, wide, avals, dimension=axis)


def _pad(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, padding_config: Any) -> Value:
    shape, (value, around) = avals[0].shape, given
    if any(low < 0 or high < 0 for low, high, _ in padding_config):
        raise InputError(f"padding that cuts cannot be translated; the configuration is {padding_config}")
    wide = np.broadcast_to(lowering.numbers(around), shape)
    if prod(shape) <= SMALL:
        wide = wide.copy()
        steps = zip(padding_config, value.shape, strict=True)
        wide[tuple(slice(low, low + n * (gap + 1), gap + 1) for (low, _, gap), n in steps)] = lowering.numbers(value)
        return wide
    target = View(lowering.buffer(prod(shape)), dtype_of(avals[0]), shape, 0, row_major(shape))
    lowering.copy(wide, target)
    offset = sum(low * s for (low, _, _), s in zip(padding_config, target.strides, strict=True))
    strides = tuple(s * (gap + 1) for (_, _, gap), s in zip(padding_config, target.strides, strict=True))
    lowering.copy(value, target._replace(shape=value.shape, offset=offset, strides=strides))
    return target


def _split(
    lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, sizes: Sequence[int], axis: int
) -> list[Value]:
    starts = [0, *itertools.accumulate(sizes)]
    index = lambda i: (slice(None),) * axis + (slice(starts[i], starts[i + 1]),)  # noqa: E731
    return [sliced(given[0], index(i)) for i in range(len(sizes))]


def _iota(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, dimension: int, **_: Any) -> Value:
    shape, dtype = avals[0].shape, dtype_of(avals[0])
    if prod(shape) <= SMALL:
        places = np.indices(shape)[dimension] if shape else np.zeros(())
        return each(places, lambda i: constant(i.item() if dtype != "f" else float(i), dtype))
    if len(shape) > 1:
        raise InputError(f"an array of places of shape {shape} cannot be translated; one of a vector can")
    loop = lowering.in_loop([], shape)[0]
    return lowering.made(loop, lowering.emit(loop, "place", dtype, ()), shape)


def _score(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], *, part: int) -> Value:
    """The call of a site's module; `sites` keeps which part it is."""
    x = tuple(lowering.numbers(given[0]).flat)
    line = lowering.line(max(ref.ready for ref in x))
    call = lowering.emit(line, "call", "f", x, len(lowering.sites))
    lowering.sites.append(part)
    return each(np.arange(2), lambda i: lowering.emit(line, "result", "f", (call,), int(i)))


def _given(value: Value) -> bool:
    return isinstance(value, View) and value.buffer.kind in GIVEN


def _broadcast(lowering: "Lowering", given: Sequence[Value], avals: Sequence[Any], **params: Any) -> Value:
    (value, *_), shape, axes = given, avals[0].shape, params["broadcast_dimensions"]
    if prod(shape) > SMALL and isinstance(value, np.ndarray) and not (value.size and is_one_number(value)):
        value = lowering.memory(value)
    wide = [value.shape[axes.index(i)] if i in axes else 1 for i in range(len(shape))]
    if isinstance(value, np.ndarray):
        return np.broadcast_to(value.reshape(wide), shape)
    strides = [value.strides[axes.index(i)] if i in axes else 0 for i in range(len(shape))]
    stretched = tuple(0 if n == 1 and m != 1 else s for n, m, s in zip(wide, shape, strides, strict=True))
    return value._replace(shape=shape, strides=stretched)


Rule = Callable[..., Any]


def _structural(function: Callable[..., Value]) -> Rule:
    """A rule of a function of one array and the parameters, for which nothing is computed."""
    return lambda lowering, given, avals, **params: function(given[0], avals[0].shape, params)


def _reducing(op: str) -> Rule:
    return lambda lowering, given, avals, **params: _reduce(lowering, given, avals, op=op, **params)


RULES: dict[str, Rule] = {
    **{name: _reducing(op) for name, op in REDUCTIONS.items()},
    "broadcast_in_dim": _broadcast,
    "reshape": _structural(lambda value, shape, _: reshaped(value, shape)),
    "squeeze": _structural(lambda value, shape, _: reshaped(value, shape)),
    "expand_dims": _structural(lambda value, shape, _: reshaped(value, shape)),
    "transpose": _structural(lambda value, _, params: transposed(value, params["permutation"])),
    "rev": _structural(lambda value, _, params: reverse(value, params["dimensions"])),
    "slice": _structural(
        lambda value, _, params: sliced(
            value,
            tuple(
                slice(start, stop, step)
                for start, stop, step in zip(
                    params["start_indices"],
                    params["limit_indices"],
                    params["strides"] or (1,) * len(value.shape),
                    strict=True,
                )
            ),
        )
    ),
    "split": _split,
    "concatenate": _concatenate,
    "stack": _stack,
    "pad": _pad,
    "iota": _iota,
    "select_n": _select,
    "convert_element_type": _convert,
    "bitcast_convert_type": _bitcast,
    "dot_general": _dot,
    "score_of_part": _score,
}
"""Primitives that are no operation on each number, by what they become."""
