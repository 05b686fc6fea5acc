"""From a state to arrays, numbers and pictures; no widget is imported here."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from toydiff import datasets, metrics, plotting
from toydiff.explorer.state import State
from toydiff.guidance import METHODS, Guided, Ratio, guide
from toydiff.mixture import GaussianMixture
from toydiff.plotting import CLASS, GUIDE, MAIN, OTHER, RATIO
from toydiff.sampling import SIGMA_MAX, SIGMA_MIN, STEPS, Trajectory, noise_schedule, normal_schedule, sample
from toydiff.score_model import ScoreModel
from toydiff.zoo import load_model

GUIDED = plotting.Hue("#d5eef0", "#3aa0a8", "#0a5158")
INK = "#222222"


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


QUICK = Quality(2048, 200, "adams2", tuple(normal_schedule(10)))
"""While something moves: 10 evaluations in place of 63."""
CURVE = Quality(2048, 0, "adams3", tuple(normal_schedule(24, std=3.5)))
"""For the curve over the weight: nearer to the solution than the paper's 63 evaluations in the median."""


class Models(NamedTuple):
    """The score models of a state."""

    truth: GaussianMixture
    main: ScoreModel
    guide: ScoreModel | None
    guided: Guided


@lru_cache(maxsize=16)
def truth_of(distribution: str, classes: str) -> GaussianMixture:
    """One object for each choice, so that its outlines and quantiles are computed once."""
    return datasets.distribution(distribution, classes)


@lru_cache(maxsize=8)
def reference_of(distribution: str, classes: str) -> metrics.Reference:
    """What samples are measured against."""
    return metrics.Reference(truth_of(distribution, classes), n=1 << 18)


def models_of(state: State) -> Models:
    """The models of a state.

    Raises:
        InputError: there is no such network.
    """

    def model(choice: Any, classes: str) -> ScoreModel:
        if choice.exact:
            return truth_of(state.distribution, classes)
        return load_model(classes, choice.width, choice.steps, distribution=state.distribution)

    row, every = METHODS[state.method], datasets.all_classes(state.distribution)
    main = model(state.main, state.classes)
    # A method's guide is of all classes where the paper's is ("AB/..."), else of the class itself.
    paper_classes = [name.split("/")[0] for name in row.guides]
    guides = [model(state.guide, every if len(names) > 1 else state.classes) for names in paper_classes]
    weight = None if state.method == "unguided" else state.weight
    guided = guide(state.method, main, *guides, weight=weight, interval=state.interval, share=state.share)
    return Models(truth_of(state.distribution, state.classes), main, guides[0] if guides else None, guided)


def _sampling_part(state: State) -> State:
    """The state with everything that does not move the points at its default."""
    defaults = {name: getattr(State(), name) for name in ("step", "layers", "view", "points")}
    return replace(state, **defaults)


def trajectory(state: State, quality: Quality) -> Trajectory:
    """The guided points at every noise level, kept for the last states."""
    return _trajectory(_sampling_part(state), quality._replace(resolution=0))


@lru_cache(maxsize=12)
def _trajectory(state: State, quality: Quality) -> Trajectory:
    models = models_of(state)
    start = _start(state.distribution, state.classes, state.seed, quality.points)
    options: Any = {"schedule": quality.levels, "solver": quality.solver, "start": start}
    return jax.block_until_ready(sample(models.guided, 0, quality.points, **options))


@lru_cache(maxsize=12)
def _start(distribution: str, classes: str, seed: int, n: int) -> jax.Array:
    return truth_of(distribution, classes).sample(seed, n, SIGMA_MAX)


def outliers(state: State, quality: Quality) -> np.ndarray:
    """Which points end below the 0.1% quantile of the exact log density, [n]."""
    return _outliers(_sampling_part(state), quality._replace(resolution=0))


@lru_cache(maxsize=12)
def _outliers(state: State, quality: Quality) -> np.ndarray:
    log_density = truth_of(state.distribution, state.classes).log_density(_trajectory(state, quality).samples)
    return np.asarray(log_density) < _outlier_level(state.distribution, state.classes)


@lru_cache(maxsize=8)
def _outlier_level(distribution: str, classes: str) -> float:
    return reference_of(distribution, classes).quantile(0.001)


def unguided(state: State) -> State:
    """The same start and main model without guidance."""
    return replace(state, method="unguided", weight=1.0)


def sigma_of(state: State) -> float:
    """Noise level at which densities and arrows are drawn: the scrubber's, but no lower than the solver's last."""
    return max(float(noise_schedule()[state.step]), SIGMA_MIN)


def step_in(state: State, quality: Quality) -> int:
    """The step of a coarser solver that is nearest to the scrubber's noise level."""
    if state.step == STEPS:
        return len(quality.levels) - 1
    return int(np.abs(np.log(np.array(quality.levels[:-1]) / noise_schedule()[state.step])).argmin())


def background_part(state: State, quality: Quality) -> tuple[Any, ...]:
    """What the background depends on: the same again means that it need not be drawn again."""
    layers = tuple(name for name in state.layers if name.startswith(("outlines", "density", "ratio")))
    only_classes = set(layers) <= {"outlines"}
    level = () if only_classes else (sigma_of(state), state.main, state.guide, state.method)
    weight = (state.weight, state.interval, state.share) if "density_guided" in layers else ()
    return (state.distribution, state.classes, state.view, layers, level, weight, quality.resolution)


def draw_background(ax: Axes, state: State, quality: Quality) -> None:
    """Densities and outlines."""
    ax.set_axis_off()
    models, sigma = models_of(state), sigma_of(state)
    fields_by_layer: dict[str, tuple[ScoreModel | None, plotting.Hue]] = {
        "density_main": (models.main, MAIN),
        "density_guide": (models.guide, GUIDE),
        "density_guided": (models.guided, GUIDED),
        "ratio": (Ratio(models.main, models.guide) if models.guide is not None else None, RATIO),
    }
    density = False
    for layer, (model, hue) in fields_by_layer.items():
        if layer in state.layers and model is not None:
            density = True
            peak_among = models.truth.sample(0, 2048, sigma) if layer == "ratio" else None
            options: Any = {"hue": hue, "peak_among": peak_among, "resolution": quality.resolution // 2}
            plotting.plot_density(model, sigma, view=state.view, ax=ax, **options)
    if "outlines" in state.layers:
        rest = [c for c in datasets.all_classes(state.distribution) if c not in state.classes]
        for classes, hue in [*((c, OTHER) for c in rest), (state.classes, CLASS)]:
            options = {"hue": hue, "fill": not density, "linewidth": 0.9, "resolution": quality.resolution}
            plotting.plot_outline(truth_of(state.distribution, classes), view=state.view, ax=ax, **options)
    plotting.frame(state.view, ax=ax)


def draw_foreground(ax: Axes, state: State, quality: Quality) -> list[Artist]:
    """What moves: points, paths and arrows; the artists, from back to front."""
    artists: list[Artist] = []
    if {"samples", "outliers", "trajectories", "rescue"} & set(state.layers):
        path = trajectory(state, quality)
        now = np.asarray(path.x[step_in(state, quality)])
        out = outliers(state, quality)
        if "trajectories" in state.layers:
            # Of those that end in view: all paths come from far outside it.
            chosen = np.flatnonzero(state.view.contains(np.asarray(path.samples)))[:150]
            few = Trajectory(path.x[: step_in(state, quality) + 1, chosen], path.sigma)
            if len(few.x) > 1:
                artists.append(plotting.plot_trajectories(few, linewidth=0.6, view=state.view, ax=ax))
        if "rescue" in state.layers:
            artists.append(_draw_rescue(ax, state, quality))
        if "samples" in state.layers:
            shown = now[~out] if "outliers" in state.layers else now
            artists.append(plotting.plot_samples(shown, size=2.5, color=MAIN.dark, view=state.view, ax=ax))
        if "outliers" in state.layers:
            artists.append(plotting.plot_samples(now[out], size=6, color=plotting.OUTLIER, view=state.view, ax=ax))
    return artists + _draw_arrows(ax, state)


def _draw_rescue(ax: Axes, state: State, quality: Quality) -> Artist:
    """From where each point ends without guidance to where guidance takes it: rescued green, lost pink."""
    before, after = (np.asarray(trajectory(s, quality).samples) for s in (unguided(state), state))
    was, now = outliers(unguided(state), quality), outliers(state, quality)
    colours = np.where(was & ~now, MAIN.strong, np.where(~was & now, plotting.OUTLIER, "#9a9a9a"))
    plain = colours == "#9a9a9a"
    chosen = np.concatenate([np.flatnonzero(plain)[:400], np.flatnonzero(~plain)[:800]])
    lines = LineCollection(
        list(np.stack([before, after], 1)[chosen]), colors=list(colours[chosen]), linewidths=0.7, alpha=0.8, zorder=2.6
    )
    ax.add_collection(lines, autolim=False)
    return lines


def _draw_arrows(ax: Axes, state: State) -> list[Artist]:
    models = models_of(state)
    difference = None if models.guide is None else Ratio(models.main, models.guide)
    by_layer: dict[str, tuple[ScoreModel | None, str]] = {
        "arrows_main": (models.main, MAIN.dark),
        "arrows_guide": (models.guide, GUIDE.dark),
        "arrows_difference": (difference, RATIO.dark),
        "arrows_guided": (models.guided, GUIDED.dark),
        "arrows_exact": (models.truth, INK),
    }
    drawn = [(m, colour) for layer, (m, colour) in by_layer.items() if layer in state.layers and m is not None]
    if not drawn:
        return []
    sigma = sigma_of(state)
    points = _arrow_points(state.distribution, state.classes, state.view, sigma)
    return [plotting.plot_scores(m, points, sigma, color=colour, view=state.view, ax=ax) for m, colour in drawn]


@lru_cache(maxsize=32)
def _arrow_points(distribution: str, classes: str, view: plotting.View, sigma: float) -> np.ndarray:
    """Points of the data at this noise level, spread over the view; one fixed number for one compilation."""
    draws = np.asarray(truth_of(distribution, classes).sample(0, 1 << 14, sigma))
    points = plotting.thin_points(draws[view.contains(draws)][:1500], view.half_width / 9)[:128]
    return np.concatenate([points, np.full((128 - len(points), 2), 1e6)])


def draw(state: State, quality: Quality | None = None) -> Figure:
    """The picture of a state as a figure, to be saved in any format."""
    quality = Quality.full(state) if quality is None else quality
    figure = Figure(figsize=(7.2, 7.2), dpi=100)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw_background(ax, state, quality)
    draw_foreground(ax, state, quality)
    return figure


class Renderer:
    """Pictures of one state after another; the background is kept while only the points move."""

    def __init__(self, pixels: int = 720):
        """Prepare a square picture."""
        self._figure = Figure(figsize=(7.2, 7.2), dpi=pixels / 7.2)
        self._canvas = FigureCanvasAgg(self._figure)
        self._ax = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._key: Any = None
        self._background: Any = None
        self._fixed: set[Artist] = set()

    def render(self, state: State, quality: Quality) -> bytes:
        """The picture as JPEG.

        Raises:
            InputError: a network of the state does not exist.
        """
        key = background_part(state, quality)
        if key != self._key:
            self._key = None  # a failure below must not leave half a background behind
            self._ax.clear()
            draw_background(self._ax, state, quality)
            self._canvas.draw()
            self._background, self._key = self._canvas.copy_from_bbox(self._figure.bbox), key
            self._fixed = set(self._ax.collections)
        self._canvas.restore_region(self._background)
        for artist in draw_foreground(self._ax, state, quality):
            self._ax.draw_artist(artist)
        for artist in set(self._ax.collections) - self._fixed:
            artist.remove()
        image = Image.frombuffer(
            "RGBX", self._canvas.get_width_height(), self._canvas.buffer_rgba(), "raw", "RGBX", 0, 1
        )
        content = io.BytesIO()
        image.save(content, "JPEG", **({"quality": 80} if quality is QUICK else {"quality": 92, "subsampling": 0}))
        return content.getvalue()


def picture_bytes(state: State, kind: str) -> bytes:
    """The picture at full quality as PNG, SVG or PDF."""
    content = io.BytesIO()
    draw(state).savefig(content, format=kind, dpi=200)
    return content.getvalue()


SHOWN_METRICS = ("outlier_rate_0.001", "branch_coverage", "median_log_density", "sliced_wasserstein")


def measure(state: State, quality: Quality, names: Iterable[str] = SHOWN_METRICS) -> dict[str, metrics.Score]:
    """Metrics of the samples, each beside its floor; with the class leakage where there are other classes."""
    samples = metrics.Scored(trajectory(state, quality).samples, reference_of(state.distribution, state.classes))
    floor = _floor(state.distribution, state.classes, quality.points)
    rows = _metric_rows(state.distribution, state.classes)
    wanted = [name for name in rows if name in names or name == "class_leakage"]
    return {name: metrics.Score(rows[name](samples), floor[name]) for name in wanted}


def _metric_rows(distribution: str, classes: str) -> dict[str, Callable[[metrics.Scored], float]]:
    rows = {name: metrics.METRICS[name].function for name in SHOWN_METRICS}
    every = datasets.all_classes(distribution)
    if classes != every:
        rows["class_leakage"] = partial(metrics.class_leakage, whole=truth_of(distribution, every))
    return rows


@lru_cache(maxsize=16)
def _floor(distribution: str, classes: str, n: int) -> dict[str, float]:
    """The same metrics of as many exact samples."""
    reference = reference_of(distribution, classes)
    exact = metrics.Scored(reference.truth.sample(1_000_003, n), reference)
    return {name: function(exact) for name, function in _metric_rows(distribution, classes).items()}


CURVE_WEIGHTS = tuple(np.linspace(0, 5, 11).tolist())


def curve(state: State) -> Iterator[tuple[float, float]]:
    """Outlier rate and branch coverage at each of `CURVE_WEIGHTS`, of 2048 samples; one at a time, and kept."""
    state = _sampling_part(state)
    return (_curve_point(replace(state, weight=w)) for w in CURVE_WEIGHTS)


@lru_cache(maxsize=256)
def _curve_point(state: State) -> tuple[float, float]:
    scores = measure(state, CURVE, SHOWN_METRICS[:2])
    outlier_rate, coverage = (scores[name].value for name in SHOWN_METRICS[:2])
    return outlier_rate, coverage


def python_code(state: State) -> str:
    """Python that makes exactly this picture and runs as pasted."""
    default = State()
    changed = [f for f in fields(State) if getattr(state, f.name) != getattr(default, f.name)]
    arguments = "".join(f"    {f.name}={getattr(state, f.name)!r},\n" for f in changed)
    call = f"State(\n{arguments})" if arguments else "State()"
    return (
        "from toydiff.explorer.compute import draw\n"
        "from toydiff.explorer.state import ModelChoice, State\n"
        "from toydiff.plotting import View\n\n"
        f"state = {call}\n"
        'draw(state).savefig("toydiff.png", dpi=200)\n'
    )
