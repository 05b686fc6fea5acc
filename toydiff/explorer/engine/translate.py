"""`translate`: a JAX function of one point as a WebAssembly module that treats many, and what stands in its memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from toydiff.base.checks import InputError
from toydiff.explorer.engine import wasm
from toydiff.explorer.engine.arrays import dtype_of
from toydiff.explorer.engine.binary import POINTS
from toydiff.explorer.engine.flatten import flatten
from toydiff.explorer.engine.lower import Lowering
from toydiff.explorer.engine.program import Buffer, Program, Ref, View, row_major
from toydiff.explorer.engine.sites import score_p

CAPACITY = 2048
"""Points that a module treats at once, at most."""


class Field(NamedTuple):
    """An array in a module's memory."""

    address: int
    """In bytes; of a point's array number i of point p is at address + 4 (i capacity + p)."""
    shape: tuple[int, ...]
    dtype: str
    """ "f" float32, "i" int32, "u" uint32, "b" a mask, all ones or none."""


@dataclass(frozen=True)
class Translated:
    """A WebAssembly module, and where in its memory everything stands."""

    code: bytes
    capacity: int
    folded: tuple[Field, ...]
    """What `fold` gives, in its order."""
    uniforms: tuple[Field, ...]
    """What all points share: the leaves of that argument, in their order."""
    points: tuple[Field, ...]
    """Each point's own, as the function takes them."""
    results: tuple[Field, ...]
    """As it gives them; the first ones stand where `points` do, where `in_place` was asked for."""
    fold: Callable[[Any], list[np.ndarray]]
    """What is known of a model before a point is: arrays for `folded`, of any model of the same kind."""
    sites: tuple[int, ...] = ()
    """The parts that it calls, in the order of its imports `site0`, `site1`, ..."""


def translate(
    function: Callable[[Any, Any, Any], Any],
    model: Any,
    uniforms: Any,
    points: Any,
    *,
    in_place: bool = False,
    capacity: int = CAPACITY,
) -> Translated:
    """A JAX function (model, uniforms, point) -> results as a WebAssembly module.

    What depends on the model alone is computed here, what depends on the uniforms too once for all points.

    Args:
        function: of one point; of arrays in 32 bits, by operations that the browser has.
        model: a tree of arrays, such as a score model.
        uniforms, points: trees of arrays, or of `jax.ShapeDtypeStruct`: what all points share, and a point's own.
        in_place: write the results where the points stand, which then have as many and the same shapes.
        capacity: points that it can treat at once.

    Raises:
        InputError: the function has an operation that cannot be translated; it is named.
    """
    with jax.enable_x64(False):
        trees = jax.tree.map(_abstract, (model, uniforms, points))
        closed = flatten(function, *trees)
        return _translated(closed, trees, in_place, -(-capacity // POINTS) * POINTS)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    dtype = jnp.result_type(leaf)
    narrow = {"float64": "float32", "int64": "int32", "uint64": "uint32"}.get(str(dtype), dtype)
    return jax.ShapeDtypeStruct(jnp.shape(leaf), narrow)


def translate_part(score: Callable[[Any, Any, Any], Any], model: Any) -> Translated:
    """A function (model, sigma [], x [2]) -> [2] as a module that other modules call: `at(sigma)`, then `score(x, y)`.

    Raises:
        InputError: the function has an operation that cannot be translated; it is named.
    """
    with jax.enable_x64(False):
        numbers = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32)
        trees = (jax.tree.map(_abstract, model), *numbers)
        stages = _Stages(flatten(score, *trees), trees)
    x = np.array([Ref("argument", "f"), Ref("argument", "f")], object)
    run = stages.lowered(dict(zip(stages.point_vars, [x], strict=True)))
    results = run.numbers(run.read(stages.jaxpr.outvars[0]))
    layout = stages.layout(run, 0, POINTS)
    (sigma,) = (stages.given[var] for var in stages.uniform_vars)
    code = wasm.part(stages.first, sigma, run.finish([]), (list(x), list(results.flat)), layout)
    return stages.translated(code, layout, POINTS)


def _translated(closed: Any, trees: tuple[Any, ...], in_place: bool, capacity: int) -> Translated:
    stages, point = _Stages(closed, trees), Space("point")
    inputs = [point.view(var.aval) for var in stages.point_vars]
    run = stages.lowered(dict(zip(stages.point_vars, inputs, strict=True)))
    outputs = stages.jaxpr.outvars
    results = inputs if in_place else [point.view(atom.aval) for atom in outputs]
    if [view.shape for view in results] != [atom.aval.shape for atom in outputs]:
        raise InputError("the function's results are not of the shapes of its points; in_place they must be")
    second = run.finish(list(zip(outputs, results, strict=True)))
    layout = stages.layout(run, point.size, capacity)
    code = wasm.module(stages.first, second, layout, len(run.sites))
    return replace(stages.translated(code, layout, capacity, inputs, results), sites=tuple(run.sites))


class _Stages:
    """A flat program in three: what depends on the model alone, what all points share, and what each has of its own."""

    def __init__(self, closed: Any, trees: tuple[Any, ...]):
        """Part it, and lower what all points share."""
        self.jaxpr, self.consts = closed.jaxpr, dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
        ends = np.cumsum([len(jax.tree.leaves(tree)) for tree in trees])[:-1]
        self.model_vars, self.uniform_vars, self.point_vars = np.split(np.array(self.jaxpr.invars, object), ends)
        equations = _needed(self.jaxpr.eqns, self.jaxpr.outvars)
        self.early, later = _parted(equations, {*self.uniform_vars, *self.point_vars})
        shared, each = _parted(later, {*self.point_vars})
        shared = [*_spread(self.early, shared), *shared]
        self.each = [*_spread(self.early, [*each, *self.jaxpr.outvars]), *each]
        known = {*self.model_vars, *self.consts, *(var for equation in self.early for var in equation.outvars)}
        known -= {var for equation in (*shared, *self.each) for var in equation.outvars}
        self.slots = _read_of([*shared, *self.each], self.jaxpr.outvars, known)
        self.folded, uniform = Space("folded"), Space("uniform")
        self.given = {var: self.folded.view(var.aval) for var in self.slots}
        self.given |= {var: uniform.view(var.aval) for var in self.uniform_vars}
        self._prepare(shared, uniform.size)

    def _prepare(self, shared: Sequence[Any], size: int) -> None:
        prepare = Lowering(dict(self.given), "uniform", size)
        prepare.lower(shared)
        calls = [equation for equation in self.each if equation.primitive is score_p]
        for equation in calls:
            sigma = equation.invars[1]
            if not isinstance(sigma, Literal) and sigma not in prepare.values:
                raise InputError("a rule with a noise level of its own for each point cannot be translated")
            prepare.enter(sigma)
        made = {var for equation in shared for var in equation.outvars}
        made -= {var for equation in self.each for var in equation.outvars}
        passed = _read_of(self.each, self.jaxpr.outvars, made)
        views, self.first = _pass_on(prepare, passed)
        self.given |= views
        self.uniform_size = prepare.size

    def lowered(self, points: dict[Any, Any]) -> Lowering:
        """What each point has of its own."""
        run = Lowering(self.given | points, "scratch")
        run.lower(self.each)
        return run

    def layout(self, run: Lowering, point: int, capacity: int) -> wasm.Layout:
        """Of the memory."""
        return wasm.Layout(self.folded.size, self.uniform_size, point, run.size, capacity)

    def translated(
        self,
        code: bytes,
        layout: wasm.Layout,
        capacity: int,
        points: Sequence[View] = (),
        results: Sequence[View] = (),
    ) -> Translated:
        """The module with its fields."""

        def fields(views: Iterable[View]) -> tuple[Field, ...]:
            return tuple(Field(layout.address(view), view.shape, view.dtype) for view in views)

        known, shared = ([self.given[var] for var in of] for of in (self.slots, self.uniform_vars))
        fold = _folding(self.early, self.slots, self.consts, list(self.model_vars))
        return Translated(code, capacity, fields(known), fields(shared), fields(points), fields(results), fold)


class Space:
    """Where arrays of a kind are placed, one after the other."""

    def __init__(self, kind: str):
        """Empty."""
        self.kind, self.size = kind, 0

    def view(self, aval: Any) -> View:
        """A new array."""
        buffer = Buffer(self.kind, prod(aval.shape), self.size)
        self.size += buffer.size
        return View(buffer, dtype_of(aval), aval.shape, 0, row_major(aval.shape))


def _needed(equations: Sequence[Any], results: Sequence[Any]) -> list[Any]:
    """The equations of which results are made."""
    wanted = {atom for atom in results if not isinstance(atom, Literal)}
    found = []
    for equation in reversed(equations):
        if wanted & set(equation.outvars):
            found.append(equation)
            wanted |= {atom for atom in equation.invars if not isinstance(atom, Literal)}
    return found[::-1]


def _parted(equations: Sequence[Any], roots: set[Any]) -> tuple[list[Any], list[Any]]:
    """The equations that depend on none of the roots, and those that do."""
    touched, free, bound = set(roots), [], []
    for equation in equations:
        if any(not isinstance(atom, Literal) and atom in touched for atom in equation.invars):
            touched |= set(equation.outvars)
            bound.append(equation)
        else:
            free.append(equation)
    return free, bound


def _spread(early: Sequence[Any], readers: Sequence[Any]) -> list[Any]:
    """Of what is known those equations that only spread a number over an array which others read: memory need not."""
    read = {atom for reader in readers for atom in getattr(reader, "invars", [reader]) if not isinstance(atom, Literal)}
    return [
        equation
        for equation in early
        if equation.primitive.name == "broadcast_in_dim"
        and not equation.invars[0].aval.shape
        and equation.outvars[0] in read
    ]


def _read_of(equations: Sequence[Any], results: Sequence[Any], of: set[Any]) -> list[Any]:
    """Which of some variables equations or results read, in their order."""
    read = [atom for equation in equations for atom in equation.invars] + list(results)
    return list(dict.fromkeys(atom for atom in read if not isinstance(atom, Literal) and atom in of))


def _pass_on(prepare: Lowering, passed: Sequence[Any]) -> tuple[dict[Any, View], Program]:
    """What points read of what they share, each in memory, and the program that computes it."""
    views, stores = {}, []
    for var in passed:
        value = prepare.values[var]
        if isinstance(value, View):
            value.buffer.stored = True
            views[var] = value
        else:
            views[var] = prepare.place(var.aval)
            stores.append((var, views[var]))
    program = prepare.finish(stores)
    for view in views.values():
        view.buffer.segment = view.buffer.ref = None  # to points it is given
    return views, program


def _stored(array: np.ndarray) -> np.ndarray:
    """As memory has it: truth values are masks."""
    return -array.astype(np.int32) if array.dtype == bool else array


def _folding(
    equations: Sequence[Any], slots: Sequence[Any], consts: dict[Any, Any], model: Sequence[Any]
) -> Callable[[Any], list[np.ndarray]]:
    def fold(leaves: Sequence[Any]) -> list[Any]:
        values = consts | dict(zip(model, leaves, strict=True))
        for equation in equations:
            given = [atom.val if isinstance(atom, Literal) else values[atom] for atom in equation.invars]
            found = equation.primitive.bind(*given, **equation.params)
            several = found if equation.primitive.multiple_results else [found]
            values.update(zip(equation.outvars, several, strict=True))
        return [values[var] for var in slots]

    compiled = jax.jit(fold)

    def of(tree: Any) -> list[np.ndarray]:
        with jax.enable_x64(False):
            leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
            return [_stored(np.asarray(array)) for array in compiled(leaves)]

    return of
