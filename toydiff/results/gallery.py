"""Figures beside the paper's that explain more, composed from `plotting`: each a function of the seed."""

from collections.abc import Callable
from itertools import cycle
from typing import Any, NamedTuple

import jax
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from toydiff.base.score_model import ScoreModel
from toydiff.distributions.ratio import Ratio
from toydiff.guidance.guided import Guided, best_weight
from toydiff.guidance.methods import ALL_SIGMAS, METHODS, UNGUIDED
from toydiff.guidance.named import default_guides, guided_model
from toydiff.measuring import metrics
from toydiff.measuring.reference import reference_of
from toydiff.networks.bundles import MAIN as MAIN_MODEL
from toydiff.networks.zoo import open_model
from toydiff.results import plotting
from toydiff.results.panels import NOISE_LEVELS, draw_classes, method_title, new_figure, tree, write_below
from toydiff.results.plotting import FULL_VIEW, ZOOM_VIEW
from toydiff.results.style import CLASS, COLOURS, MAIN, OTHER, OUTLIER, RATIO, STYLE, WIDTH
from toydiff.sampling.sampler import sample
from toydiff.sampling.schedules import SIGMA_MAX

GUIDED = ("cfg", "autoguidance")
"""The methods whose guides are looked at closely."""

ARROW_SPACING = 0.17
ARROW_LENGTH = 0.15
"""Of the 90% quantile of the arrows of a panel; longer ones are cut at the spacing."""


@mpl.rc_context(STYLE)
def ratio_fields(seed: int = 0) -> Figure:
    """The ratio p_1/p_0 at five noise levels with the arrows along which guidance pushes, for both guides."""
    figure, axes = new_figure(3.24, len(GUIDED), len(NOISE_LEVELS))
    main, truth = open_model(MAIN_MODEL), tree("A")
    for row, method in zip(axes, GUIDED, strict=True):
        ratio = Ratio(main, open_model(*default_guides(method)))
        row[0].set_ylabel(METHODS[method].short, fontsize=8)
        for ax, sigma in zip(row, NOISE_LEVELS, strict=True):
            data = np.asarray(truth.sample(seed, 4096, sigma))
            plotting.plot_density(ratio, sigma, hue=RATIO, peak_among=data, ax=ax)
            plotting.plot_outline(truth, fill=False, linewidth=0.35, ax=ax)
            longer = draw_pushes(ax, ratio, plotting.thin_points(data[FULL_VIEW.contains(data)], ARROW_SPACING), sigma)
            write_below(ax, "", f"arrows × {longer:.2g}", right_color=RATIO.dark)
    for ax, sigma in zip(axes[0], NOISE_LEVELS, strict=True):
        ax.set_title(rf"$\sigma$ = {sigma:g}")
    return figure


def draw_pushes(ax: Axes, ratio: Ratio, points: np.ndarray, sigma: float) -> float:
    """The change of the denoised points by a unit of weight, as arrows of legible length; how much longer they are."""
    steps = sigma**2 * np.asarray(ratio.score(points, sigma))
    lengths = np.hypot(*steps.T)
    longer = ARROW_LENGTH / float(np.quantile(lengths, 0.9))
    cut = np.minimum(1, ARROW_SPACING / (longer * lengths))
    plotting.plot_arrows(points, longer * cut[:, None] * steps, color=RATIO.dark, width=0.009, ax=ax)
    return longer


BEST_VIEWS = ((FULL_VIEW, 0.25, 0.13), (ZOOM_VIEW, 0.06, 0.036))
"""View, noise level at which the trajectories start, distance of their starting points."""
BEST_LIMITS = (-1.0, 3.0)


BEST_COLOURS = LinearSegmentedColormap.from_list("", ["#4a1578", "#9a6fbf", "#c9c9c9", "#56a860", "#0b4f27"])
"""Grey where no guidance is best."""


@mpl.rc_context(STYLE)
def best_weights(seed: int = 0) -> Figure:
    """Guided trajectories, coloured by the weight that would be best at each of their points."""
    figure, axes = new_figure(6.75, 2, len(GUIDED))
    for column, method in zip(axes.T, GUIDED, strict=True):
        model = guided_model(method)
        for ax, (view, sigma, spacing) in zip(column, BEST_VIEWS, strict=True):
            draws = np.asarray(tree("A").sample(seed, 1 << 14, sigma))
            start = plotting.thin_points(draws[view.contains(draws)][:3000], spacing)
            draw_classes(ax, view)
            lines = _draw_best(ax, method, model, start, sigma)
        column[0].set_title(method_title("ab"[GUIDED.index(method)], method))
    for ax, (_, sigma, _) in zip(axes[:, 0], BEST_VIEWS, strict=True):
        ax.set_ylabel(rf"from $\sigma$ = {sigma:g} to 0", fontsize=8)
    bar = figure.colorbar(lines, ax=axes, shrink=0.5, pad=0.01, extend="both", ticks=range(-1, 4))
    bar.set_label("best weight here (1: no guidance)", fontsize=8)
    return figure


def _draw_best(ax: Axes, method: str, model: Guided, start: np.ndarray, sigma: float) -> LineCollection:
    path = sample(model, 0, len(start), sigma_max=sigma, start=start)
    x, sigmas = np.asarray(path.x), np.asarray(path.sigma)
    seen, level = x[:-1], sigmas[:-1, None]
    models = model.main, guided_model(method, 2.0), model.truth()
    best = best_weight(*(level[..., None] ** 2 * np.asarray(m.score(seen, level)) for m in models))
    segments = np.stack([x[:-1], x[1:]], 2).reshape(-1, 2, 2)
    style: Any = {"linewidths": 1.1, "capstyle": "round", "zorder": 3}
    lines = LineCollection(list(segments), cmap=BEST_COLOURS, norm=Normalize(*BEST_LIMITS), **style)
    lines.set_array(best.ravel())
    ax.add_collection(lines, autolim=False)
    return lines


CROWD = 2048
"""Points that are counted; those that are marked are some of them."""
MARKED = 7
"""Of the outliers, and of the others, without guidance."""


@mpl.rc_context(STYLE)
def same_noise(seed: int = 0) -> Figure:
    """Where each method sends the same noise: some marked samples, traced from where they end without guidance."""
    main, truth, reference = open_model(MAIN_MODEL), tree("A"), reference_of("fractal_tree", "A")
    start = truth.sample(seed, CROWD, SIGMA_MAX)
    plain = _end(main, start, reference)
    marked = spread_out(plain)
    rows = -(-(len(METHODS) + 1) // 3)
    figure, axes = new_figure(2.55 * rows, rows, 3)
    names = [None, *METHODS]
    for letter, ax, method in zip("abcdefghijklmnopqrstuvwxyz", axes.flat, names, strict=False):
        model = truth if method is None else guided_model(method, main=main)
        ended = _end(model, start, reference)
        draw_classes(ax)
        _draw_marked(ax, plain, ended, marked)
        ax.set_title(f"({letter}) Exact scores" if method is None else method_title(letter, method))
        if method == UNGUIDED:
            write_below(ax, "", f"outliers {plain.outlier.mean():.1%}", right_color=OUTLIER)
        else:
            write_moves(ax, plain, ended)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    return figure


class Ended(NamedTuple):
    """Where points end."""

    x: np.ndarray
    """[n, 2]"""
    outlier: np.ndarray
    """Which of them are outliers, [n]."""
    branch: np.ndarray
    """The likeliest branch of each, [n]."""


def _end(model: ScoreModel, start: jax.Array, reference: metrics.Reference) -> Ended:
    x = sample(model, 0, len(start), start=start, path=False).samples
    branch = np.asarray(reference.truth.branch_posterior(x)).argmax(-1)
    return Ended(np.asarray(x), metrics.outliers(metrics.Scored(x, reference), 0.001), branch)


def spread_out(plain: Ended) -> np.ndarray:
    """As many outliers as others, far from each other where they end without guidance, numbered around the trunk."""
    inside = FULL_VIEW.contains(plain.x)
    chosen: list[int] = []
    for kind in (plain.outlier, ~plain.outlier):
        candidates = np.flatnonzero(kind & inside)
        for _ in range(MARKED):
            others = plain.x[chosen] if chosen else np.zeros((1, 2))
            distance = np.hypot(*(plain.x[candidates, None] - others).T).min(0)
            chosen.append(int(candidates[distance.argmax()]))
    x, y = (plain.x[chosen] - [FULL_VIEW.x, FULL_VIEW.y]).T
    return np.array(chosen)[np.argsort(-np.arctan2(y, x))]


def _draw_marked(ax: Axes, plain: Ended, ended: Ended, marked: np.ndarray) -> None:
    """Numbered discs where the marked samples end, each with a line from its place without guidance."""
    colours = np.where(ended.outlier, OUTLIER, MAIN.dark)[marked]
    lines = np.stack([plain.x, ended.x], 1)[marked]
    ax.add_collection(LineCollection(list(lines), colors=list(colours), linewidths=0.7, zorder=3), autolim=False)
    before = list(np.where(plain.outlier, OUTLIER, MAIN.dark)[marked])
    ring: Any = {"s": 8, "facecolors": "white", "edgecolors": before, "linewidths": 0.6, "zorder": 3.5}
    ax.scatter(*lines[:, 0].T, **ring)
    disc: Any = {"s": 42, "edgecolors": "white", "linewidths": 0.4}
    text: Any = {"color": "white", "fontsize": 4.5, "fontweight": "bold", "ha": "center", "va": "center_baseline"}
    for i, ((x, y), colour) in enumerate(zip(lines[:, 1].tolist(), colours, strict=True), 1):
        height = 4 + i / 100  # of a disc and its number: the next one may cover both
        ax.scatter(x, y, color=colour, zorder=height, **disc)
        ax.text(x, y, str(i), zorder=height, clip_on=True, **text)


def write_moves(ax: Axes, plain: Ended, ended: Ended) -> None:
    """What becomes of all samples, marked or not."""
    rescued, lost = (plain.outlier & ~ended.outlier).mean(), (~plain.outlier & ended.outlier).mean()
    moved = (plain.branch != ended.branch).mean()
    write_below(ax, f"other branch {moved:.0%}", f"rescued {rescued:.1%}, lost {lost:.1%}", OTHER.dark, MAIN.dark)


class Line(NamedTuple):
    """Settings that differ in their weight only: a line of the Pareto plot."""

    title: str
    marker: str
    method: str
    weights: tuple[float, ...]
    interval: tuple[float, float] = ALL_SIGMAS


LINES = (
    Line("CFG", "o", "cfg", (1.25, 1.5, 2.0, 3.0, 4.0)),
    Line("truncation", "s", "truncation", (1.025, 1.05, 1.1)),
    Line("autoguidance", "^", "autoguidance", (1.25, 1.5, 2.0, 2.5, 3.0)),
    Line("CFG + autoguidance", "D", "mix", (1.25, 1.5, 2.0, 3.0)),
    Line("self-guidance", "v", "self-guidance", (1.25, 1.5, 2.0)),
    Line(r"sharpened, $0.003 < \sigma \leq 0.04$", "h", "sharpened", (1.5, 2.0, 2.5, 3.0, 4.0), (0.003, 0.04)),
    Line(r"truncation, $\sigma \leq 0.02$", "X", "truncation", (1.5, 2.0, 3.0), (0.0, 0.02)),
    Line("classifier", "P", "classifier", (1.25, 1.5, 2.0)),
)
"""Each goes out from w = 1, no guidance."""
PARETO_SAMPLES = 4096
ROOM = np.array([0.75, 2.0])
"""That a weight takes beside its point, of outliers and of branches, in per cent."""


@mpl.rc_context(STYLE)
def pareto(seed: int = 0) -> Figure:
    """Outliers against branches kept over the weight, by method, and the settings that no other one beats in both."""
    main, truth = open_model(MAIN_MODEL), tree("A")
    plain = _outliers_and_coverage(sample(main, seed, PARETO_SAMPLES, path=False).samples)
    found = {line: np.array([plain, *(_measure(line, w, main, seed) for w in line.weights)]) for line in LINES}
    figure = Figure(figsize=(WIDTH, 4.3), layout="constrained")
    ax = figure.subplots()
    style: Any = {"linewidth": 1.1, "markersize": 4.5, "markevery": slice(1, None)}
    for (line, points), colour in zip(found.items(), cycle(COLOURS), strict=False):
        ax.plot(*points.T, color=colour, marker=line.marker, label=line.title, **style)
    behind: Any = {"color": "#222222", "linewidth": 5, "alpha": 0.13, "zorder": 1}
    ax.step(
        *front(np.concatenate(list(found.values()))).T, where="post", label="front: none is better in both", **behind
    )
    ax.plot(*plain, "*", color="#222222", markersize=10, zorder=5, label="unguided, w = 1")
    exact = _outliers_and_coverage(truth.sample(seed, PARETO_SAMPLES))
    ax.plot(*exact, "o", color=CLASS.strong, markersize=7, fillstyle="none", markeredgewidth=1.5, label="exact samples")
    _write_weights(ax, found)
    ax.set(xlabel="outliers (%)", ylabel="branches kept (%)", ylim=(None, 102), xlim=(-0.3, 9))
    ax.grid(linewidth=0.3, color="#dddddd")
    ax.legend(frameon=False, fontsize=6.5, loc="lower left")
    return figure


def _measure(line: Line, weight: float, main: ScoreModel, seed: int) -> tuple[float, float]:
    model = guided_model(line.method, weight, main=main, interval=line.interval)
    return _outliers_and_coverage(sample(model, seed, PARETO_SAMPLES, path=False).samples)


def _outliers_and_coverage(x: jax.Array) -> tuple[float, float]:
    """Of samples [n, 2], in per cent."""
    samples = metrics.Scored(x, reference_of("fractal_tree", "A"))
    rate, coverage = (metrics.METRICS[name].function(samples) for name in ("outlier_rate_0.001", "branch_coverage"))
    return 100 * rate, 100 * coverage


def _write_weights(ax: Axes, found: dict[Line, np.ndarray]) -> None:
    """The weights beside the points, outside of the front, where no point and no other weight is in the way."""
    every = np.concatenate(list(found.values()))
    best = front(every)
    written: list[np.ndarray] = []
    style: Any = {"textcoords": "offset points", "fontsize": 6, "va": "center"}
    style["path_effects"] = [withStroke(linewidth=1.5, foreground="white")]
    for (line, points), colour in zip(found.items(), cycle(COLOURS), strict=False):
        for at, w in zip(points[1:], line.weights, strict=True):
            side, anchor = (-1, "right") if (best == at).all(1).any() else (1, "left")
            middle = at + np.array([side * ROOM[0] / 2, 0])
            in_the_way = every[(every != at).any(1)]
            free = (np.abs(in_the_way - middle) > ROOM / 2).any(1).all()
            if free and all((np.abs(other - middle) > ROOM).any() for other in written):
                written.append(middle)
                ax.annotate(f"w = {w:g}", at.tolist(), (4.5 * side, 0), ha=anchor, color=colour, **style)


def front(points: np.ndarray) -> np.ndarray:
    """Of points [n, 2] those that no other one beats, with less of the first and more of the second, in order."""
    order = points[np.lexsort((-points[:, 1], points[:, 0]))]
    best = np.maximum.accumulate(order[:, 1])
    return order[np.r_[True, best[1:] > best[:-1]]]


GALLERY: dict[str, Callable[[int], Figure]] = {
    "ratio-fields": ratio_fields,
    "best-weight": best_weights,
    "same-noise": same_noise,
    "pareto": pareto,
}
"""Rows of the table of figures: each draws with a seed of the noise."""
