"""The probe: what guidance does at one point, and whether it is right there."""

import math
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.score_model import ScoreModel
from toydiff.explorer.compute import kept, models_of, sigma_of
from toydiff.explorer.state import State
from toydiff.guidance.guided import WeightCurve, best_weight
from toydiff.guidance.methods import ALL_SIGMAS, guide
from toydiff.measuring.setting import Models
from toydiff.networks.library import BUNDLE, Library
from toydiff.sampling.sampler import sample
from toydiff.sampling.schedules import KNOTS, SIGMA_MIN, normal_schedule

PATH_STEPS = 16


class Arrow(NamedTuple):
    """A score at the probed point, in the step that it stands for: from x to the denoised point."""

    step: np.ndarray
    """D(x; sigma) - x = sigma^2 score, [2]."""
    length: float
    """Of the step, in units of the data."""
    angle: float
    """Degrees from the exact step, 0 to 180; NaN where either has no length."""


class Probe(NamedTuple):
    """What stands at one point."""

    x: tuple[float, float]
    arrows: dict[str, Arrow]
    """main, guide (where the method has one), guided, exact."""
    best_weight: float | None
    """w* with which guidance comes nearest to the exact score here; None where guidance has no direction."""
    paths: dict[str, np.ndarray]
    """Trajectories that start here at this noise level, [steps + 1, 2]: unguided, guided, exact; empty at the data."""


def probe(state: State, library: Library = BUNDLE) -> Probe | None:
    """The probe of a state at its point and noise level; None where it has no point.

    Raises:
        InputError: a network of the state does not exist.
    """
    if state.probe is None:
        return None
    default = State()  # of what the probe does not depend on
    plain = replace(state, layers=default.layers, view=default.view, points=default.points, seed=default.seed)
    return probe_of(plain, library)


@kept(maxsize=8)
def probe_of(state: State, library: Library = BUNDLE) -> Probe:
    """The same for a state that has a point, kept for the last ones."""
    assert state.probe is not None
    models, sigma = models_of(state, library), sigma_of(state)
    x = jnp.asarray(state.probe, jnp.float32)
    shown: dict[str, ScoreModel | None] = {
        "main": models.main,
        "guide": models.guide,
        "guided": models.guided,
        "exact": models.truth,
    }
    steps = {name: _step(model, x, sigma) for name, model in shown.items() if model is not None}
    arrows = {
        name: Arrow(step, float(np.hypot(*step)), _degrees_between(step, steps["exact"]))
        for name, step in steps.items()
    }
    return Probe(state.probe, arrows, _best_weight(state, models, steps, x, sigma), paths(models, x, sigma))


def _step(model: ScoreModel, x: jax.Array, sigma: float) -> np.ndarray:
    return np.asarray(sigma**2 * model.score(x, sigma), float)


def _degrees_between(first: np.ndarray, second: np.ndarray) -> float:
    lengths = np.hypot(*first) * np.hypot(*second)
    return float(np.degrees(np.arccos(np.clip(first @ second / lengths, -1, 1)))) if lengths > 0 else float("nan")


def _best_weight(
    state: State, models: Models, steps: dict[str, np.ndarray], x: jax.Array, sigma: float
) -> float | None:
    if not state.row.is_guided:
        return None
    two = WeightCurve(KNOTS, (2.0,) * len(KNOTS))  # a curve, as the guided model has: nothing more is compiled
    twice = guide(state.method, models.main, *models.guides, weight=two, interval=ALL_SIGMAS, **dict(state.knobs))
    best = float(best_weight(steps["main"], _step(twice, x, sigma), steps["exact"]))
    return None if math.isnan(best) else best


def paths(models: Models, x: jax.Array, sigma: float) -> dict[str, np.ndarray]:
    """Trajectories from a point x [2] at a noise level, [steps + 1, 2] each; none at the data."""
    if sigma <= 1.01 * SIGMA_MIN:
        return {}
    schedule = normal_schedule(PATH_STEPS, sigma_max=sigma)
    followed: dict[str, ScoreModel] = {"unguided": models.main, "guided": models.guided, "exact": models.truth}
    return {
        name: np.asarray(sample(model, 0, 1, schedule=schedule, solver="adams2", start=x[None]).x[:, 0])
        for name, model in followed.items()
    }
