"""All that a browser needs to move the points of a state by itself: modules, their numbers, and the noise."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base import random
from toydiff.base.score_model import Exact
from toydiff.explorer.compute import MOVING, PAPERS, QUICK, models_of, start_of
from toydiff.explorer.engine.steps import Walk, first_states, part, walk
from toydiff.explorer.engine.translate import Field, Translated, translate
from toydiff.explorer.state import State
from toydiff.guidance.row import MAX_WEIGHT, Method
from toydiff.measuring.levels import SHARE
from toydiff.measuring.reference import reference_of
from toydiff.networks.library import BUNDLE, Library
from toydiff.sampling.schedules import KNOTS
from toydiff.sampling.solvers import SOLVERS, Sampler

TURNED = ("weight", "weight_curve", "interval", "knobs")
"""Fields of a state that a kit leaves open: they can be turned without another one."""
FIXED = ("method", "distribution", "classes", "main", "guide", "seed", "start", "points")
"""Fields for which a kit was made."""


class Kit(NamedTuple):
    """A kit as JSON values and the buffers that they speak of, by number."""

    header: dict[str, Any]
    buffers: list[bytes]


def kit_of(state: State, library: Library = BUNDLE) -> Kit:
    """The kit of a state: its quick solvers, and as many points as move.

    Raises:
        InputError: something of it cannot be translated; it is named.
    """
    models, row, values = models_of(state, library), state.row, state.to_json()
    parts = row.rule.parts(models.main, models.guides)
    count = min(QUICK.points, state.points)
    reference, writer = reference_of(state.distribution, state.classes), _Writer()
    ladder = list(zip((*row.reach.moving, MAX_WEIGHT), (*MOVING, PAPERS), strict=True))
    keys = random.keys(jax.random.fold_in(random.as_key(state.seed), 1), 0, count)
    start = start_of(state.setting, count)

    def written(solver: Sampler) -> dict[str, Any]:
        steps = _walk(state.method, row, len(parts), solver)
        states = first_states(state.method, len(parts), solver, keys, start)
        modules = {name: writer.module(getattr(steps, name)) for name in ("step", "last")}
        return modules | {"start": [writer.buffer(leaf) for leaf in states]}

    header = {
        "of": {name: values[name] for name in FIXED},
        "open": TURNED,
        "count": count,
        "knots": len(KNOTS),
        "level": reference.quantile(SHARE),
        "knobs": {name: knob.default for name, knob in sorted(row.other_knobs.items())},
        "parts": [writer.module(_part(one), one) for one in parts],
        "density": writer.module(_density(reference.truth), reference.truth),
        "walks": {name: written(SOLVERS[name]) for name in dict.fromkeys(solver for _, (solver, _) in ladder)},
        "rungs": [{"highest": highest, **_rung(*rung)} for highest, rung in ladder],
    }
    return Kit(header, writer.buffers)


def _rung(solver: str, levels: tuple[float, ...]) -> dict[str, Any]:
    """A solver's levels, and for each step the leaves of its row."""
    leaves = jax.tree.leaves(SOLVERS[solver].rows(levels))
    rows = [[np.ravel(leaf[i]).tolist() for leaf in leaves] for i in range(len(levels) - 1)]
    return {"solver": solver, "levels": list(levels), "rows": rows}


class _Writer:
    """Collects buffers, each once."""

    def __init__(self) -> None:
        self.buffers: list[bytes] = []

    def buffer(self, array: Any) -> int:
        """The number of an array's bytes."""
        content = array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes()
        if content not in self.buffers:
            self.buffers.append(content)
        return self.buffers.index(content)

    def module(self, translated: Translated, model: Any = ()) -> dict[str, Any]:
        """A module with its numbers and where they stand."""
        return {
            "code": self.buffer(translated.code),
            "capacity": translated.capacity,
            "sites": list(translated.sites),
            "folded": [
                [field.address, self.buffer(array)]
                for field, array in zip(translated.folded, translated.fold(model), strict=True)
            ],
            "uniforms": [field.address for field in translated.uniforms],
            "points": [_place(field) for field in translated.points],
            "results": [_place(field) for field in translated.results],
        }


def _place(field: Field) -> list[int]:
    return [field.address, int(np.prod(field.shape))]


def _remembered(make: Callable[..., Any]) -> Callable[..., Any]:
    """Remembers what was made for models of the same kind: it is the same for all of them."""
    known: dict[Any, Any] = {}

    def call(*given: Any) -> Any:
        leaves, tree = jax.tree.flatten(given)
        key = tree, tuple((jnp.shape(leaf), str(jnp.result_type(leaf))) for leaf in leaves)
        if key not in known:
            known[key] = make(*given)
        return known[key]

    return call


_part = _remembered(part)


@lru_cache(maxsize=32)
def _walk(method: str, row: Method, parts: int, solver: Sampler) -> Walk:
    """`row` is of the key: another one under the same name is another method."""
    return walk(method, parts, solver)


@_remembered
def _density(truth: Exact) -> Translated:
    return translate(lambda truth, _, x: truth.log_density_at(x, jnp.float32(0)), truth, (), jnp.zeros(2))
