"""From a state to arrays, numbers and pictures; no widget is imported here."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, wraps
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np

from toydiff.base.checks import InputError
from toydiff.base.compile_cache import keep_compiled
from toydiff.distributions import catalogue
from toydiff.explorer.state import SIGMAS, State
from toydiff.guidance.methods import ALL_SIGMAS, METHODS, UNGUIDED
from toydiff.guidance.row import Method
from toydiff.measuring import metrics
from toydiff.measuring.levels import SHARE
from toydiff.measuring.reference import reference_of
from toydiff.measuring.setting import ModelChoice, Models, Setting, check_networks
from toydiff.networks.library import BUNDLE, Library
from toydiff.sampling.sampler import Trajectory, sample, starting_points
from toydiff.sampling.schedules import (
    SIGMA_MAX,
    SIGMA_MIN,
    adams_schedule,
    nearest_level,
    noise_schedule,
    normal_schedule,
)


class Quality(NamedTuple):
    """How much work goes into a picture."""

    points: int
    resolution: int
    solver: str = "heun"
    levels: tuple[float, ...] = SIGMAS

    @classmethod
    def full(cls, state: State) -> "Quality":
        """The state's number of points and its own solver, when nothing moves."""
        return cls(state.points, 400, state.solver, tuple(noise_schedule(state.steps).tolist()))


QUICK = Quality(2048, 200, "adams2", tuple(normal_schedule(9).tolist()))
"""While something moves: 9 evaluations in place of 63."""
CURVE = Quality(2048, 0, "adams34", tuple(adams_schedule().tolist()))
"""For the curve over the weight: as near to the solution as the paper's 63 evaluations."""


PAPERS = "heun", SIGMAS
MOVING = QUICK[2:], *(("adams2", tuple(normal_schedule(steps).tolist())) for steps in (14, 20))
"""While something moves, the quickest first; see `Reach` for the weights that each takes. With the tree's paper models
the median error of the end points is then below 0.07. The curve counts its points, so the few that are far off matter
there: at w = 5 of its solver they would make 7% of outliers 12%."""


def solved(state: Setting, quality: Quality) -> Quality:
    """The quality with the first solver that bears the state's weight under its method."""
    reach = state.row.reach
    ladders = {QUICK[2:]: zip(reach.moving, MOVING, strict=True), CURVE[2:]: [(reach.curve, CURVE[2:])]}
    if quality[2:] not in ladders:
        return quality
    weight = max(state.weight_curve or (state.weight,))
    solver = next((solver for highest, solver in ladders[quality[2:]] if weight <= highest), PAPERS)
    return Quality(*quality[:2], *solver)


def models_of(state: Setting, library: Library = BUNDLE) -> Models:
    """The models of a state, its weight always as a curve, so that bending it compiles nothing.

    Raises:
        InputError: there is no such network.
    """
    check_networks(state, library)
    return state.models(library, bendable=True)


def kept(maxsize: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`lru_cache`, for a function whose first argument is a state: another row for its method is another result.

    What two threads want at once is computed once.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @lru_cache(maxsize)
        def of_row(row: Method, state: Setting, *others: Any) -> Any:
            return function(state, *others)

        lock = threading.RLock()

        @wraps(function)
        def call(state: Setting, *others: Any) -> Any:
            with lock:
                return of_row(state.row, state, *others)

        return call

    return decorate


def trajectory(state: State, quality: Quality, library: Library = BUNDLE) -> Trajectory:
    """The guided points at every noise level, kept for the last states."""
    return _trajectory(state.setting, quality._replace(resolution=0), library)


def _sample(setting: Setting, quality: Quality, library: Library) -> Trajectory:
    models, quality = models_of(setting, library), solved(setting, quality)
    start = start_of(setting, quality.points)
    options: Any = {"schedule": quality.levels, "solver": quality.solver, "start": start}
    return jax.block_until_ready(sample(models.guided, setting.seed, quality.points, **options))


_trajectory = kept(maxsize=16)(_sample)


def start_of(setting: Setting, n: int) -> jax.Array:
    """Where the points begin, [n, 2], kept for the last settings."""
    return _start(setting.distribution, setting.classes, setting.start, setting.seed, n)


@lru_cache(maxsize=12)
def _start(distribution: catalogue.Source, classes: str, start: str, seed: int, n: int) -> jax.Array:
    truth = catalogue.distribution(distribution, classes)
    return starting_points(truth, seed, n, SIGMA_MAX, None if start == "exact" else start)


def compile_ahead(state: State, library: Library = BUNDLE) -> Iterator[None]:
    """Compile the sampling of other widths and methods, the likelier ones first, a step each.

    Widths and methods decide what is compiled; everything else that a slider moves is traced.
    """

    def widths(model: ModelChoice) -> list[int]:
        return [] if model.exact else library.available(state.distribution, model.family)[0]

    mains = [replace(state, main=replace(state.main, width=width)) for width in widths(state.main)]
    guides = [replace(state, guide=replace(state.guide, width=width)) for width in widths(state.guide)]
    methods = [replace(state, method=name, weight=row.weight, weight_curve=None) for name, row in METHODS.items()]
    reaches = state.row.reach.moving
    strengths = [replace(state, weight=w, weight_curve=None) for w in (*reaches, reaches[-1] + 1)]
    for quality, other in product((QUICK, Quality.full(state)), (*strengths, *guides, *mains, *methods)):
        families = [None if model.exact else (model.width, model.family) for model in other.models_used]
        kind = (other.distribution, other.classes, other.method, *families, solved(other, quality))
        if kind not in compiled_ahead:
            with suppress(InputError):  # a family need not have the networks of every method
                _sample(other.setting, quality, library)
                compiled_ahead.add(kind)
            yield


def prepare(library: Library = BUNDLE) -> None:
    """Compile what the first picture needs: on a thread, while what else a session needs is imported."""
    keep_compiled()
    with suppress(Exception):  # who draws it hears what is wrong; or Python is ending
        outliers(State(), Quality.full(State()), library)


compiled_ahead: set[tuple[Any, ...]] = set()
"""What decides which program samples, of all that were compiled ahead."""


def outliers(state: State, quality: Quality, library: Library = BUNDLE) -> np.ndarray:
    """Which points end below the 0.1% quantile of the exact log density, [n]."""
    return metrics.outliers(scored(state, quality, library), SHARE)


def scored(state: State, quality: Quality, library: Library = BUNDLE) -> metrics.Scored:
    """The samples with what their metrics need, each computed once."""
    return _scored(state.setting, quality._replace(resolution=0), library)


@kept(maxsize=12)
def _scored(setting: Setting, quality: Quality, library: Library) -> metrics.Scored:
    reference = reference_of(setting.distribution, setting.classes)
    return metrics.Scored(_trajectory(setting, quality, library).samples, reference)


def unguided(state: State) -> State:
    """The same start and main model without guidance, whatever the guidance is."""
    return replace(state, method=UNGUIDED, interval=ALL_SIGMAS, knobs=(), guide=state.main)


def sigma_of(state: State) -> float:
    """Noise level at which densities and arrows are drawn: that on show, but no lower than the solver's last."""
    return max(state.sigma, SIGMA_MIN)


def step_in(state: State, quality: Quality) -> int:
    """The step of a solver that is nearest to the noise level on show."""
    return nearest_level(solved(state, quality).levels, state.sigma)


def points_now(state: State, quality: Quality, library: Library = BUNDLE) -> np.ndarray:
    """The points at the noise level on show, [n, 2]."""
    return np.asarray(trajectory(state, quality, library).x[step_in(state, quality)])


SHOWN_METRICS = (
    "outlier_rate_0.001",
    "branch_coverage",
    "median_log_density",
    "sliced_wasserstein",
    "class_leakage",
)


class Number(NamedTuple):
    """A metric of the samples, and of one set of as many exact samples: without error bars it takes no time."""

    value: float
    exact: float
    error: float | None
    """The standard error of the value."""


def measure(
    state: State,
    quality: Quality,
    library: Library = BUNDLE,
    *,
    names: Iterable[str] = SHOWN_METRICS,
    errors: bool = False,
) -> dict[str, Number]:
    """Metrics of the samples, each beside its floor; the class leakage only where there are other classes."""
    samples = scored(state, quality, library)
    floor = _floor(state.distribution, state.classes, len(samples))
    rows = {name: metrics.METRICS[name] for name in names if name in floor}
    return {
        name: Number(row.function(samples), floor[name], metrics.standard_error(row, samples) if errors else None)
        for name, row in rows.items()
    }


@lru_cache(maxsize=16)
def _floor(distribution: catalogue.Source, classes: str, n: int) -> dict[str, float]:
    """The shown metrics of as many exact samples."""
    reference = reference_of(distribution, classes)
    exact = metrics.Scored(reference.truth.sample(1_000_003, n), reference)
    rows = ((name, metrics.METRICS[name]) for name in SHOWN_METRICS)
    return {name: row.function(exact) for name, row in rows if row.applies(reference)}


CURVE_WEIGHTS = tuple(np.linspace(0, 5, 11).tolist())


def curve(state: State, library: Library = BUNDLE) -> Iterator[tuple[float, float]]:
    """Outlier rate and branch coverage at each of `CURVE_WEIGHTS`, of 2048 samples; one at a time, and kept."""
    setting = state.setting
    return (curve_point(replace(setting, weight=w, weight_curve=None), library) for w in CURVE_WEIGHTS)


@kept(maxsize=256)
def curve_point(setting: Setting, library: Library = BUNDLE) -> tuple[float, float]:
    """Outlier rate and branch coverage of a setting with one weight."""
    reference = reference_of(setting.distribution, setting.classes)
    samples = metrics.Scored(_sample(setting, CURVE, library).samples, reference)
    outlier_rate, coverage = (metrics.METRICS[name].function(samples) for name in SHOWN_METRICS[:2])
    return outlier_rate, coverage
