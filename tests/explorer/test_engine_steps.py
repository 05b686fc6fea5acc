"""Every method, solver and kind of model as modules: points end where JAX has them, from the same noise."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from wasm import Running

from toydiff.base import random
from toydiff.base.checks import InputError
from toydiff.explorer import compute
from toydiff.explorer.engine.sites import Site
from toydiff.explorer.engine.steps import part, walk
from toydiff.explorer.engine.translate import translate
from toydiff.explorer.state import State
from toydiff.guidance.methods import METHODS
from toydiff.guidance.row import Knob, Method, Prediction, bent, linear, weight_knob
from toydiff.networks.perturbed import key_at
from toydiff.sampling.sampler import sample, starting_points
from toydiff.sampling.schedules import KNOTS, normal_schedule
from toydiff.sampling.solvers import SOLVERS

POINTS, STEPS = 96, 9


@cache
def models_of(method, exact):
    row = METHODS[method]
    state = State(method=method, weight=row.weight, interval=row.interval)
    if exact:
        state = replace(state, main=replace(state.main, exact=True), guide=replace(state.guide, exact=True))
    return state, compute.models_of(state)


def follow(state, models, solver, schedule):
    """Where points end that go through the modules, [n, 2]."""
    parts = state.row.rule.parts(models.main, models.guides)
    modules = [(part(one), one) for one in parts]
    begin, step, last = (Running(one, parts=modules) for one in walk(state.method, len(parts), solver))
    turned = {
        "weight": np.full(len(KNOTS), state.weight),
        "interval": np.minimum(state.interval, 1e9),
        "knobs": {name: knob.default for name, knob in state.row.other_knobs.items()},
    }
    rows = jax.tree.map(np.asarray, solver.rows(tuple(schedule.tolist())))
    start = starting_points(models.guided, state.seed, POINTS, float(schedule[0]), None)
    keys = random.keys(jax.random.fold_in(random.as_key(state.seed), 1), 0, POINTS)
    points = begin((turned, jax.tree.map(lambda row: row[:3], rows)), (keys, start))
    for i in range(len(schedule) - 1):
        here = step if i < len(schedule) - 2 else last
        points = here((turned, jax.tree.map(lambda row: row[i], rows)), points)  # noqa: B023
    return points[0]


def compare(method, solver, exact):
    state, models = models_of(method, exact)
    schedule = normal_schedule(STEPS)
    found = follow(state, models, SOLVERS[solver], schedule)
    wanted = sample(models.guided, state.seed, POINTS, schedule=schedule, solver=solver, path=False).samples
    away = np.abs(found - np.asarray(wanted)).max(1)
    assert np.median(away) < 1e-5
    assert np.quantile(away, 0.99) < 1e-2


CHAOTIC = {"self-guidance"}
"""Where chance hangs on the last bits of a point: no two machines have the same ways."""


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("method", sorted({*METHODS} - CHAOTIC))
def test_each_method(method, exact):
    compare(method, "adams2", exact)


@pytest.mark.parametrize("solver", sorted({*SOLVERS} - {"adams2"}))
def test_each_solver(solver):
    compare("autoguidance", solver, False)


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("method", sorted({*METHODS} - CHAOTIC))
def test_each_method_with_each_solver(method, solver, exact):
    compare(method, solver, exact)


@pytest.mark.parametrize("method", sorted(CHAOTIC))
def test_at_the_very_same_points_chance_is_the_same(method):
    _, models = models_of(method, False)
    _, guide = METHODS[method].rule.parts(models.main, models.guides)
    module = translate(lambda _, sigma, x: Site(0).score_at(x, sigma), (), jnp.float32(1), jnp.zeros(2))
    x = np.random.default_rng(0).normal(size=(POINTS, 2)).astype(np.float32)
    (scores,) = Running(module, parts=[(part(guide), guide)])(np.float32(0.3), x)
    np.testing.assert_allclose(scores, guide.score(x, 0.3), rtol=1e-4, atol=1e-3)


def limited(denoised, x, sigma, knobs, memory):
    """A rule with memory and a knob: the push is averaged along the way and limited in length."""
    main, other = denoised
    push = 0.5 * memory + (knobs["weight"] - 1) * (main - other)
    length = jnp.sqrt((push**2).sum())
    return Prediction(main + push * jnp.minimum(1, knobs["most"] / jnp.maximum(length, 1e-6))), push


def moody(denoised, x, sigma, knobs, memory):
    """A rule that keeps the guide's noise, and whose weight depends on chance."""
    main, other = denoised
    chance = jax.random.uniform(key_at(x, sigma, knobs["weight"]))
    return Prediction(main + 1e-3 * chance * (main - other), other), memory


@pytest.mark.parametrize(
    ("row", "solver"),
    [
        (Method(linear(lambda knobs: (knobs["weight"] ** 1.5,)), "a", "a", "", METHODS["autoguidance"].guides), "heun"),
        (
            Method(
                bent(limited, memory=lambda: jnp.zeros(2)), "b", "b", "", METHODS["autoguidance"].guides,
                {"weight": weight_knob(2.5), "most": Knob(0, 1, 0.3, "")},
            ),
            "adams2",
        ),
        (Method(bent(moody, renoises=True), "c", "c", "", METHODS["autoguidance"].guides), "euler"),
    ],
    ids=["weights", "memory", "renoise"],
)  # fmt: skip
def test_a_method_that_is_added_is_translated_too(monkeypatch, row, solver):
    monkeypatch.setitem(METHODS, "mine", row)
    models_of.cache_clear()
    compare("mine", solver, False)
    models_of.cache_clear()


def test_a_part_takes_other_models_of_its_kind():
    _, models = models_of("autoguidance", False)
    module = part(models.guides[0])
    _, others = models_of("cfg", False)
    assert [array.shape for array in module.fold(models.guides[0])] == [field.shape for field in module.folded]
    assert module.code == part(others.guides[0]).code
    assert any(
        (one != other).any() for one, other in zip(*map(module.fold, (models.guides[0], others.guides[0])), strict=True)
    )


def test_what_moves_together_is_refused():
    together = SOLVERS["euler"]._replace(population=True)
    with pytest.raises(InputError, match="all points together"):
        walk("cfg", 2, together)
