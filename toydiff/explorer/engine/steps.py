"""The modules of a method, a solver and models: where points begin, and their steps from noise level to noise level."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from toydiff.base.checks import InputError
from toydiff.base.score_model import ScoreModel
from toydiff.explorer.engine.sites import Site
from toydiff.explorer.engine.translate import CAPACITY, Translated, translate, translate_part
from toydiff.guidance.guided import Guided, WeightCurve
from toydiff.guidance.methods import METHODS, combine
from toydiff.sampling.schedules import KNOTS
from toydiff.sampling.solvers import Point, Sampler

SOME_LEVELS = (5.0, 1.0, 0.1, 0.0)
"""Noise levels from which the shapes of a solver's rows are seen; any others can be given."""


class Walk(NamedTuple):
    """How points go from noise to data: modules whose points are the leaves of `State`, the steps' changed in place."""

    begin: Translated
    """(nothing, (controls, rows), start) -> the state at the first noise level; a start is a key and a place."""
    step: Translated
    """(nothing, (controls, a row), state) -> state; `seen` is where the points are to be seen at the row's level."""
    last: Translated
    """The same for the step to noise level 0."""


class State(NamedTuple):
    """What is known of a point on its way, as arrays alone."""

    x: jax.Array
    memory: Any
    own: Any
    seen: jax.Array


def controls(method: str) -> dict[str, Any]:
    """What can be turned while points move, as arrays: the weight at each of `KNOTS`, the interval and the knobs."""
    row = METHODS[method]
    return {
        "weight": jnp.full(len(KNOTS), row.weight, jnp.float32),
        "interval": jnp.asarray([0.0, jnp.inf], jnp.float32),
        "knobs": {name: jnp.float32(knob.default) for name, knob in row.other_knobs.items()},
    }


def part(model: ScoreModel) -> Translated:
    """The module of a part that methods combine; `fold` gives the numbers of any other of the same kind.

    Raises:
        InputError: it cannot be translated; what cannot is named.
    """
    return translate_part(lambda model, sigma, x: model.score_at(x, sigma), model)


def walk(method: str, parts: int, solver: Sampler, *, capacity: int = CAPACITY) -> Walk:
    """The modules of a method that combines so many parts, and a solver; they import those of the parts.

    Raises:
        InputError: they cannot be translated; what cannot is named.
    """
    if solver.population:
        raise InputError("a solver that moves all points together cannot be translated; one that does not can")
    rows = jax.tree.map(lambda row: jnp.asarray(row, jnp.float32), solver.rows(SOME_LEVELS))
    row = jax.tree.map(lambda array: array[0], rows)
    sites, turned = [Site(i) for i in range(parts)], controls(method)
    last = solver._replace(step=solver.last or solver.step)
    start = {"key": jnp.zeros(2, jnp.uint32), "x": jnp.zeros(2)}
    state = jax.eval_shape(partial(_begin, method, solver, sites), (turned, rows), start)

    def module(function: Any, *given: Any, in_place: bool) -> Translated:
        return translate(lambda _, *given: function(*given), (), *given, in_place=in_place, capacity=capacity)

    return Walk(
        module(partial(_begin, method, solver, sites), (turned, rows), start, in_place=False),
        module(partial(_step, method, solver, sites), (turned, row), state, in_place=True),
        module(partial(_step, method, last, sites), (turned, row), state, in_place=True),
    )


def first_states(method: str, parts: int, solver: Sampler, keys: jax.Array, x: jax.Array) -> list[jax.Array]:
    """What `begin` gives, by JAX: the leaves of the states of points [n, 2] with random keys [n, 2]."""
    sites, turned = [Site(i) for i in range(parts)], controls(method)
    rows = jax.tree.map(lambda row: jnp.asarray(row, jnp.float32), solver.rows(SOME_LEVELS))
    begin = partial(_begin, method, solver, sites, (turned, rows))
    return jax.tree.leaves(jax.vmap(lambda key, x: begin({"key": key, "x": x}))(keys, x))


def _guided(method: str, parts: Sequence[ScoreModel], turned: dict[str, Any]) -> Guided:
    interval = turned["interval"][0], turned["interval"][1]
    return combine(method, parts, weight=WeightCurve(KNOTS, turned["weight"]), interval=interval, **turned["knobs"])


def _begin(method: str, solver: Sampler, parts: Sequence[Site], uniforms: Any, start: Any) -> State:
    turned, rows = uniforms
    own = solver.init(start["x"], rows, start["key"] if solver.stochastic else None)
    return State(start["x"], _guided(method, parts, turned).memory(), _words(own), start["x"])


def _step(method: str, solver: Sampler, parts: Sequence[Site], uniforms: Any, state: State) -> State:
    turned, row = uniforms
    own = jax.tree.map(jax.random.wrap_key_data, state.own) if solver.stochastic else state.own
    after, seen = solver.step(_guided(method, parts, turned).evaluate_at, Point(state.x, state.memory, own), row)
    return State(after.x, after.memory, _words(after.own), seen.x)


def _words(own: Any) -> Any:
    """Random keys as their two words."""

    def plain(leaf: jax.Array) -> jax.Array:
        return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    return jax.tree.map(plain, own)
