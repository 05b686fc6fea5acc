"""From a state to arrays, numbers and pictures; no widget is imported here."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any, NamedTuple

import jax
import numpy as np

from toydiff.base.checks import InputError
from toydiff.base.score_model import Exact, ScoreModel
from toydiff.distributions import catalogue
from toydiff.explorer.library import available, network
from toydiff.explorer.state import State, guide_classes
from toydiff.guidance.guided import Guided, WeightCurve
from toydiff.guidance.methods import METHODS, guide
from toydiff.guidance.row import Method
from toydiff.measuring import metrics
from toydiff.measuring.reference import reference_of
from toydiff.networks.names import ModelName
from toydiff.networks.zoo import classifier_name, open_model
from toydiff.sampling.sampler import Trajectory, sample
from toydiff.sampling.schedules import (
    KNOTS,
    SIGMA_MAX,
    SIGMA_MIN,
    STEPS,
    adams_schedule,
    noise_schedule,
    normal_schedule,
)


class Quality(NamedTuple):
    """How much work goes into a picture."""

    points: int
    resolution: int
    solver: str = "heun"
    levels: tuple[float, ...] = tuple(noise_schedule())

    @classmethod
    def full(cls, state: State) -> "Quality":
        """The state's number of points and the paper's solver, when nothing moves."""
        return cls(state.points, 400)


QUICK = Quality(2048, 200, "adams2", tuple(normal_schedule(9)))
"""While something moves: 9 evaluations in place of 63."""
CURVE = Quality(2048, 0, "adams34", tuple(adams_schedule()))
"""For the curve over the weight: as near to the solution as the paper's 63 evaluations."""


class Rung(NamedTuple):
    """A solver that takes some weights; see `Reach` for which."""

    solver: str
    levels: tuple[float, ...]


PAPERS = Rung("heun", tuple(noise_schedule()))
MOVING = Rung(*QUICK[2:]), Rung("adams2", tuple(normal_schedule(14))), Rung("adams2", tuple(normal_schedule(20)))
"""While something moves, the quickest first. With the tree's paper models the median error of the end points is then
below 0.07. The curve counts its points, so the few that are far off matter there: at w = 5 of its solver they would
make 7% of outliers 12%."""


def solved(state: State, quality: Quality) -> Quality:
    """The quality with the first solver that bears the state's weight under its method."""
    reach = METHODS[state.method].reach
    ladders = {QUICK[2:]: zip(reach.moving, MOVING, strict=True), CURVE[2:]: [(reach.curve, Rung(*CURVE[2:]))]}
    weight = max(state.weight_curve or (state.weight,))
    fitting = [rung for highest, rung in ladders.get(quality[2:], ()) if weight <= highest]
    if quality[2:] not in ladders:
        return quality
    return quality._replace(**(fitting[0] if fitting else PAPERS)._asdict())


class Models(NamedTuple):
    """The score models of a state."""

    truth: Exact
    main: ScoreModel
    guides: tuple[ScoreModel, ...]
    guided: Guided

    @property
    def guide(self) -> ScoreModel | None:
        """The first model that is steered away from, where there are guides."""
        return self.guided.guides[0] if self.guides else None


def models_of(state: State) -> Models:
    """The models of a state.

    Raises:
        InputError: there is no such network.
    """

    def model(choice: Any, classes: str) -> ScoreModel:
        if choice.exact:
            return catalogue.distribution(state.distribution, classes)
        return network(state.distribution, choice.family, ModelName(classes, choice.width, choice.steps))

    main = model(state.main, state.classes)
    classes_of_guides = guide_classes(state.method, state.distribution, state.classes)
    guides: list[ScoreModel] = [model(state.guide, classes) for classes in classes_of_guides]
    if any(role.classifies for role in METHODS[state.method].guides):
        name = classifier_name(state.distribution, state.classes, exact=state.guide.exact)
        guides = [open_model(name, state.distribution)]
    # Always a curve, so that bending it compiles nothing.
    weight = WeightCurve(KNOTS, state.weight_curve or (state.weight,) * len(KNOTS))
    guided = guide(state.method, main, *guides, weight=weight, interval=state.interval, share=state.share)
    return Models(catalogue.distribution(state.distribution, state.classes), main, tuple(guides), guided)


def kept(maxsize: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`lru_cache`, for a function whose first argument is a state: another row for its method is another result."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @lru_cache(maxsize)
        def of_row(row: Method, state: State, *others: Any) -> Any:
            return function(state, *others)

        call = wraps(function)(lambda state, *others: of_row(METHODS[state.method], state, *others))
        vars(call)["cache_clear"] = of_row.cache_clear
        return call

    return decorate


def sampling_part(state: State) -> State:
    """The state with everything that does not move the points at its default."""
    defaults = {name: getattr(State(), name) for name in ("step", "layers", "view", "points", "probe")}
    return replace(state, **defaults)


def trajectory(state: State, quality: Quality) -> Trajectory:
    """The guided points at every noise level, kept for the last states."""
    return _trajectory(sampling_part(state), quality._replace(resolution=0))


@kept(maxsize=16)
def _trajectory(state: State, quality: Quality) -> Trajectory:
    return _sample(state, quality)


def _sample(state: State, quality: Quality) -> Trajectory:
    models, quality = models_of(state), solved(state, quality)
    start = _start(state.distribution, state.classes, state.seed, quality.points)
    options: Any = {"schedule": quality.levels, "solver": quality.solver, "start": start}
    return jax.block_until_ready(sample(models.guided, 0, quality.points, **options))


@lru_cache(maxsize=12)
def _start(distribution: catalogue.Source, classes: str, seed: int, n: int) -> jax.Array:
    return catalogue.distribution(distribution, classes).sample(seed, n, SIGMA_MAX)


def compile_ahead(state: State) -> Iterator[None]:
    """Compile the sampling of other widths and methods, the likelier ones first, a step each.

    Widths and methods decide what is compiled; everything else that a slider moves is traced.
    """
    widths = [[] if m.exact else available(state.distribution, m.family)[0] for m in (state.main, state.guide)]
    mains = [replace(state, main=replace(state.main, width=width)) for width in widths[0]]
    guides = [replace(state, guide=replace(state.guide, width=width)) for width in widths[1]]
    methods = [replace(state, method=name, weight=row.weight, weight_curve=None) for name, row in METHODS.items()]
    reaches = METHODS[state.method].reach.moving
    strengths = [replace(state, weight=w, weight_curve=None) for w in (*reaches, reaches[-1] + 1)]
    near = [
        (other, quality)
        for quality in (QUICK, Quality.full(state))
        for other in (*strengths, *guides, *mains, *methods)
    ]
    for other, quality in near:
        families = [None if model.exact else (model.width, model.family) for model in other.models]
        kind = (other.distribution, other.classes, other.method, *families, solved(other, quality))
        if kind not in _compiled_ahead:
            with suppress(InputError):  # a family need not have the networks of every method
                _sample(other, quality)
                _compiled_ahead.add(kind)
            yield


_compiled_ahead: set[tuple[Any, ...]] = set()


def outliers(state: State, quality: Quality) -> np.ndarray:
    """Which points end below the 0.1% quantile of the exact log density, [n]."""
    return _outliers(sampling_part(state), quality._replace(resolution=0))


@kept(maxsize=12)
def _outliers(state: State, quality: Quality) -> np.ndarray:
    reference = reference_of(state.distribution, state.classes)
    return metrics.outliers(metrics.Scored(_trajectory(state, quality).samples, reference), 0.001)


def unguided(state: State) -> State:
    """The same start and main model without guidance."""
    return replace(state, method="unguided", weight=1.0)


def sigma_of(state: State) -> float:
    """Noise level at which densities and arrows are drawn: the scrubber's, but no lower than the solver's last."""
    return max(float(noise_schedule()[state.step]), SIGMA_MIN)


def step_in(state: State, quality: Quality) -> int:
    """The step of a coarser solver that is nearest to the scrubber's noise level."""
    levels = solved(state, quality).levels
    if state.step == STEPS:
        return len(levels) - 1
    return int(np.abs(np.log(np.array(levels[:-1]) / noise_schedule()[state.step])).argmin())


def points_now(state: State, quality: Quality) -> np.ndarray:
    """The points at the scrubber's noise level, [n, 2]."""
    return np.asarray(trajectory(state, quality).x[step_in(state, quality)])


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


def measure(state: State, quality: Quality, names: Iterable[str] = SHOWN_METRICS) -> dict[str, Number]:
    """Metrics of the samples, each beside its floor; the class leakage only where there are other classes."""
    return _measure(state, trajectory(state, quality).samples, names)


def _measure(state: State, points: jax.Array, names: Iterable[str]) -> dict[str, Number]:
    reference = reference_of(state.distribution, state.classes)
    samples, floor = metrics.Scored(points, reference), _floor(state.distribution, state.classes, len(points))
    return {name: Number(metrics.METRICS[name].function(samples), floor[name]) for name in names if name in floor}


def same_sample(states: Sequence[State], panel: int, x: float, y: float) -> np.ndarray:
    """Where the sample nearest to (x, y) in one panel stands in all, [panels, 2]: they start from the same noise."""
    now = [points_now(state, Quality.full(state)) for state in states]
    i = np.square(now[panel] - np.array([x, y], np.float32)).sum(1).argmin()
    return np.stack([points[i] for points in now])


@lru_cache(maxsize=16)
def _floor(distribution: catalogue.Source, classes: str, n: int) -> dict[str, float]:
    """The shown metrics of as many exact samples."""
    reference = reference_of(distribution, classes)
    exact = metrics.Scored(reference.truth.sample(1_000_003, n), reference)
    rows = {name: metrics.METRICS[name] for name in SHOWN_METRICS}
    return {name: row.function(exact) for name, row in rows.items() if row.applies(reference)}


CURVE_WEIGHTS = tuple(np.linspace(0, 5, 11).tolist())


def curve(state: State) -> Iterator[tuple[float, float]]:
    """Outlier rate and branch coverage at each of `CURVE_WEIGHTS`, of 2048 samples; one at a time, and kept."""
    state = sampling_part(state)
    return (_curve_point(replace(state, weight=w, weight_curve=None)) for w in CURVE_WEIGHTS)


@kept(maxsize=256)
def _curve_point(state: State) -> tuple[float, float]:
    scores = _measure(state, _sample(state, CURVE).samples, SHOWN_METRICS[:2])
    outlier_rate, coverage = (scores[name].value for name in SHOWN_METRICS[:2])
    return outlier_rate, coverage
