"""From equations to segments: small arrays become single numbers, large ones loops, fused where they can be."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from jax.extend.core import Literal

from toydiff.base.checks import InputError
from toydiff.explorer.engine.arrays import (
    Value,
    constant,
    dtype_of,
    filled,
    fitted,
    is_one_number,
)
from toydiff.explorer.engine.program import (
    NEUTRAL,
    SMALL,
    Buffer,
    Entry,
    Product,
    Program,
    Ref,
    Segment,
    View,
    row_major,
)
from toydiff.explorer.engine.rules import RULES

OPERATIONS = {
    **{name: name for name in ("add", "sub", "mul", "div", "max", "min", "neg", "abs", "sqrt", "floor", "ceil")},
    **{name: name for name in ("and", "or", "xor", "not", "eq", "ne", "lt", "le", "gt", "ge")},
    "add_any": "add",
    "round": "nearest",
    "shift_left": "shl",
    "shift_right_logical": "shr",
    "shift_right_arithmetic": "sar",
}
"""Primitives of single numbers, by the names of their operations."""


class Lowering:
    """Lowers equations one after the other; `values` holds what is known of the variables."""

    def __init__(self, values: dict[Any, Value], own: str, size: int = 0):
        """`values`: those of what the equations are given; `own`: the kind of what is computed, after `size` others."""
        self.values, self.own, self.size = values, own, size
        self.segments: list[Segment] = []
        self.sites: list[int] = []

    def lower(self, equations: Sequence[Any]) -> None:
        """Lower equations, all of whose inputs are known.

        Raises:
            InputError: one of them cannot be translated; its primitive is named.
        """
        for equation in equations:
            name = equation.primitive.name
            given = [self.read(atom) for atom in equation.invars]
            avals = [var.aval for var in equation.outvars]
            found: Any
            if name in OPERATIONS:
                found = self.elementwise(OPERATIONS[name], given, avals[0])
            elif name in RULES:
                found = RULES[name](self, given, avals, **equation.params)
            else:
                raise InputError(f"the operation {name!r} cannot be translated for the browser")
            several = found if isinstance(found, list) else [found]
            self.values.update(zip(equation.outvars, several, strict=True))

    def enter(self, sigma: Any) -> None:
        """Tell the next site's module a noise level, the value of a variable."""
        (ref,) = self.numbers(self.read(sigma)).flat
        self.line(ref.ready).entries.append(Entry(len(self.sites), ref))
        self.sites.append(len(self.sites))

    def finish(self, results: Sequence[tuple[Any, View]]) -> Program:
        """Store results, pairs of a variable or literal and where it belongs, after all else."""
        refs = [self.numbers(self.read(atom)) if prod(view.shape) <= SMALL else None for atom, view in results]
        last = Segment(len(self.segments))
        for (atom, view), small in zip(results, refs, strict=True):
            if small is None:
                self.copy(self.read(atom), view)
                continue
            for place, ref in np.ndenumerate(small):
                at = view.offset + sum(i * s for i, s in zip(place, view.strides, strict=True))
                last.stores.append((ref, view._replace(shape=(), strides=(), offset=at)))
        last.index = len(self.segments)
        self.segments.append(last)
        return Program(self.segments)

    def read(self, atom: Any) -> Value:
        """The value of a variable or a literal."""
        if not isinstance(atom, Literal):
            return self.values[atom]
        value = np.asarray(atom.val)
        return filled(value.shape, constant(value.reshape(-1)[0].item(), dtype_of(atom.aval)))

    # Numbers

    def numbers(self, value: Value) -> np.ndarray:
        """The array as single numbers."""
        if isinstance(value, np.ndarray):
            return value
        found = np.empty(value.shape, object)
        for place in np.ndindex(value.shape):
            at = value.offset + sum(i * s for i, s in zip(place, value.strides, strict=True))
            found[place] = self._load(value._replace(shape=(), strides=(), offset=at), ())
        return found

    def memory(self, value: Value) -> View:
        """The array in memory."""
        if isinstance(value, View):
            return value
        buffer = self.buffer(value.size)
        view = View(buffer, value.reshape(-1)[0].dtype, value.shape, 0, row_major(value.shape))
        line = buffer.segment = self.line(max((ref.ready for ref in value.flat), default=0))
        line.stores += [(ref, view._replace(shape=(), strides=(), offset=i)) for i, ref in enumerate(value.flat)]
        return view

    def place(self, aval: Any) -> View:
        """A new array in memory."""
        return View(self.buffer(prod(aval.shape)), dtype_of(aval), aval.shape, 0, row_major(aval.shape))

    def buffer(self, size: int) -> Buffer:
        """Memory for so many numbers."""
        buffer = Buffer(self.own, size, self.size)
        self.size += size
        return buffer

    def line(self, ready: int) -> Segment:
        """A straight line in which what is ready then can be used."""
        for segment in self.segments[ready:]:
            if not segment.shape and segment.product is None:
                return segment
        return self._new(())

    def _new(self, shape: tuple[int, ...]) -> Segment:
        self.segments.append(Segment(len(self.segments), shape))
        return self.segments[-1]

    def emit(self, segment: Segment, op: str, dtype: str, args: tuple[Ref, ...], given: Any = None) -> Ref:
        """A number that a segment computes; what it has computed already is that."""
        key = op, dtype, args, given
        if key not in segment.known:
            segment.known[key] = Ref(op, dtype, args, given, segment, segment.index)
            segment.ops.append(segment.known[key])
        return segment.known[key]

    def _load(self, view: View, shape: tuple[int, ...], segment: Segment | None = None) -> Ref:
        view.buffer.stored = True
        segment = segment or self.line(_after(view))
        return self.emit(segment, "load", view.dtype, (), view)

    def single(self, op: str, args: tuple[Ref, ...], dtype: str) -> Ref:
        """A number that is computed of single ones."""
        simple = _simplified(op, args)
        if simple is not None:
            return simple
        return self.emit(self.line(max(arg.ready for arg in args)), op, dtype, args)

    # Operations on each number

    def elementwise(self, op: str, given: Sequence[Value], aval: Any) -> Value:
        """An operation on each number of arrays."""
        dtype = dtype_of(aval)
        if prod(aval.shape) <= SMALL:
            columns: list[Any] = [np.broadcast_to(self.numbers(value), aval.shape) for value in given]
            found = np.empty(aval.shape, object)
            for place in np.ndindex(aval.shape):
                found[place] = self.single(op, tuple(column[place] for column in columns), dtype)
            return found
        loop, refs = self.in_loop([fitted(value, aval.shape) for value in given], aval.shape)
        return self.made(loop, self.emit(loop, op, dtype, refs), aval.shape)

    def made(self, loop: Segment, ref: Ref, shape: tuple[int, ...]) -> View:
        """The array whose numbers a loop computes; it is stored when another segment reads it."""
        for known, view in loop.stores:
            if known is ref and view.buffer.ref is ref:
                return view
        buffer = self.buffer(prod(shape))
        buffer.segment, buffer.ref, buffer.stored = loop, ref, False
        view = View(buffer, ref.dtype, shape, 0, row_major(shape))
        loop.stores.append((ref, view))
        return view

    def in_loop(self, given: Sequence[Value], shape: tuple[int, ...]) -> tuple[Segment, tuple[Ref, ...]]:
        """The first loop over a shape in which all of these can be used, and what they are in it."""
        given = [value if isinstance(value, View) or is_one_number(value) else self.memory(value) for value in given]
        first = max((_earliest(value, shape) for value in given), default=0)
        fitting = (s for s in self.segments[first:] if s.shape == shape and all(_usable(v, s) for v in given))
        loop = next(fitting, None) or self._new(shape)
        return loop, tuple(self._at(value, loop) for value in given)

    def _at(self, value: Value, loop: Segment) -> Ref:
        if isinstance(value, np.ndarray):
            return value.reshape(-1)[0]
        if value.buffer.segment is loop and value.buffer.ref:
            return value.buffer.ref
        return self._load(value, loop.shape, loop)

    def copy(self, value: Value, target: View) -> None:
        """Put an array to a place in memory."""
        if isinstance(value, np.ndarray) and value.size > SMALL:  # one number
            target.buffer.segment = self._new(target.shape)
            target.buffer.segment.stores.append((value.reshape(-1)[0], target))
            return
        if isinstance(value, np.ndarray):
            line = self.line(max([_after(target), *(ref.ready for ref in value.flat)]))  # upon what was filled before
            for place, ref in np.ndenumerate(value):
                at = target.offset + sum(i * s for i, s in zip(place, target.strides, strict=True))
                line.stores.append((ref, target._replace(shape=(), strides=(), offset=at)))
            target.buffer.segment = _later(target.buffer.segment, line)
            return
        value.buffer.stored = True
        loop = self._new(target.shape)
        loop.stores.append((self._load(value, target.shape, loop), target))
        target.buffer.segment = _later(target.buffer.segment, loop)

    # Sums and products

    def total(self, op: str, value: Value, shape: tuple[int, ...], dtype: str) -> Ref:
        """The sum, or another operation, of all numbers of an array."""
        if prod(shape) <= SMALL:
            refs = list(self.numbers(value).flat) or [constant(NEUTRAL[op], dtype)]
            while len(refs) > 1:  # in pairs, as rounding errors then grow slowest
                pairs = [refs[i : i + 2] for i in range(0, len(refs), 2)]
                refs = [self.single(op, tuple(pair), dtype) if len(pair) == 2 else pair[0] for pair in pairs]
            return refs[0]
        loop, (inside,) = self.in_loop([value], shape)
        total = Ref(op, dtype, (), None, loop, loop.index + 1)
        loop.sums.append((total, inside))
        return total

    def product(self, vector: Value, matrix: View, aval: Any) -> Value:
        """A matrix that is given times a vector."""
        source = self.memory(vector)
        if source.buffer.kind != self.own:  # points lie apart there
            source = View(self.buffer(prod(source.shape)), "f", source.shape, 0, row_major(source.shape))
            self.copy(vector, source)
        source.buffer.stored = True
        buffer = self.buffer(prod(aval.shape))
        buffer.segment = self._new(())
        buffer.segment.product = Product(buffer, source, matrix)
        view = View(buffer, "f", aval.shape, 0, row_major(aval.shape))
        return self.numbers(view) if prod(aval.shape) <= SMALL else view


def _simplified(op: str, args: tuple[Ref, ...]) -> Ref | None:
    """What an operation with a known number comes to, where that is one of its arguments."""
    known = [arg.given if arg.op == "const" else None for arg in args]
    if op == "mul" and args[0].dtype == "f" and 1.0 in known:
        return args[1 - known.index(1.0)]
    if op == "div" and known[1] == 1.0:
        return args[0]
    if op == "select" and known[0] is not None:
        return args[1] if known[0] else args[2]
    return None


def _after(view: View) -> int:
    """The first segment in which it can be read from memory."""
    return view.buffer.segment.index + 1 if view.buffer.segment else 0


def _later(one: Segment | None, other: Segment) -> Segment:
    return other if one is None or other.index > one.index else one


def _whole(view: View, shape: tuple[int, ...]) -> bool:
    return view.shape == shape and view.offset == 0 and view.strides == row_major(shape)


def _earliest(value: Value, shape: tuple[int, ...]) -> int:
    if isinstance(value, np.ndarray):
        return value.flat[0].ready
    loop = value.buffer.segment
    in_it = loop is not None and value.buffer.ref is not None and loop.shape == shape and _whole(value, shape)
    return loop.index if in_it and loop else _after(value)


def _usable(value: Value, segment: Segment) -> bool:
    return _earliest(value, segment.shape) <= segment.index
