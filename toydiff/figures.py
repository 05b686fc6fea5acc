"""The paper-style figures, composed from `plotting`: each a function of the seed, and a row in the table."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from toydiff import datasets, metrics, plotting
from toydiff.checks import choice, count
from toydiff.guidance import METHODS, Ratio, guide
from toydiff.likelihood import log_likelihood
from toydiff.mixture import GaussianMixture
from toydiff.plotting import CLASS, FULL_VIEW, GUIDE, MAIN, OTHER, RATIO, THIRD, ZOOM_VIEW, Hue
from toydiff.progress import progress_bar
from toydiff.sampling import sample
from toydiff.score_model import ScoreModel
from toydiff.storage import PathLike, check_writable, replacing
from toydiff.zoo import MAIN as MAIN_MODEL
from toydiff.zoo import guided_model, open_model

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlepad": 3,
    "axes.linewidth": 0.4,
    "axes.edgecolor": "#555555",
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # text stays text, which journals ask for
    "svg.fonttype": "none",
    "svg.hashsalt": "toydiff",  # the same picture gives the same file
}
WIDTH = 7.16
"""Inches: two columns of a paper."""

SAMPLES = 16_384
SIGMA_MID = 0.03
THINNED = 0.045
"""Distance of the points that carry arrows and trajectories in Figure 2."""
NOISE_LEVELS = (0.5, 0.25, 0.08, 0.03, 0.01)
SIGMA_IMPLIED = 0.1
IMPLIED_GRID = 128
"""Points on each axis of the grid on which the sampled density is integrated."""
THREE_VIEW = plotting.View(0.0, 0.7, 1.0)

CLASS_WEIGHTS = (1, 2, 4, 8)
CLASS_HUES = {"A": CLASS, "B": MAIN, "C": THIRD}
CLASS_VIEW = plotting.View(0.0, 0.25, 1.65)
"""Holds all but 2e-5 of each guided class, so that its density can be normalised on it."""
CLASS_DEPTH = 1.5
"""Down to this v, from the highest peak of all panels, a class is coloured; further, neighbours would overlap."""
HELD = 0.9
"""Share of the guided density within the line over its samples."""


def _figure(height: float, rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02, compress=True)
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False)


@cache
def _tree(classes: str) -> GaussianMixture:
    """One object a choice of classes, so that its outlines are computed once."""
    return datasets.fractal_tree(classes)


def _draw_classes(ax: Axes, view: plotting.View = FULL_VIEW) -> None:
    for classes, hue in (("B", OTHER), ("A", CLASS)):
        plotting.plot_outline(_tree(classes), hue=hue, linewidth=0.35, view=view, ax=ax)


def _draw_samples(ax: Axes, x: np.ndarray, hue: Hue, reference: metrics.Reference, seed: int) -> None:
    """Samples over the outlines of both classes, outliers apart, and underneath what was measured."""
    _draw_classes(ax)
    samples = metrics.Scored(x, reference)
    outlier = metrics.outliers(samples, 0.001)
    plotting.plot_samples(x[~outlier], color=hue.dark, size=0.25, ax=ax)
    plotting.plot_samples(x[outlier], color=plotting.OUTLIER, size=0.9, ax=ax)
    left, right = f"outliers {outlier.mean():.1%}", f"branches {metrics.branch_coverage(samples):.0%}"
    _write_below(ax, left, right, plotting.OUTLIER, hue.dark)


def _write_below(ax: Axes, left: str, right: str, left_color: str = "black", right_color: str = "black") -> None:
    ax.set_xlabel(" ", fontsize=6.5, labelpad=2)  # keeps the room for the two
    below: Any = {"transform": ax.transAxes, "fontsize": 6.5, "va": "top"}
    ax.text(0.01, -0.03, left, ha="left", color=left_color, **below)
    ax.text(0.99, -0.03, right, ha="right", color=right_color, **below)


def _method_panels(axes: Iterable[Axes], methods: Iterable[str], seed: int, main: ScoreModel) -> None:
    """The first panel shows exact samples, each further one a method with its default weight and guides."""
    first, *others = axes
    truth = main.truth()
    reference = metrics.Reference(truth)
    _draw_samples(first, np.asarray(truth.sample(seed, SAMPLES)), CLASS, reference, seed)
    first.set_title("(a) Ground truth")
    for letter, ax, method in zip("bcdefghijklmnopqrstuvwxyz", others, methods, strict=False):
        model = guided_model(method, main=main)
        x = np.asarray(sample(model, seed, SAMPLES, path=False).samples)
        _draw_samples(ax, x, MAIN, reference, seed)
        ax.set_title(_method_title(letter, method))


def _method_title(letter: str, method: str) -> str:
    row = METHODS[method]
    return f"({letter}) {row.short}" + ("" if row.weight == 1 else f", w = {row.weight:g}")


@mpl.rc_context(STYLE)
def fig1(seed: int = 0) -> Figure:
    """Samples: ground truth, unguided, CFG, naive truncation, autoguidance (Figure 1 of the paper)."""
    figure, axes = _figure(1.72, 1, 5)
    _method_panels(axes.flat, ("unguided", "cfg", "truncation", "autoguidance"), seed, open_model(MAIN_MODEL))
    return figure


@mpl.rc_context(STYLE)
def methods(seed: int = 0, names: Iterable[str] | None = None) -> Figure:
    """The same as Figure 1 for every method in the table, or for some.

    Raises:
        InputError: there is no such method.
    """
    names = [choice("method", name, METHODS) for name in (METHODS if names is None else names)]
    rows = -(-(len(names) + 1) // 3)
    figure, axes = _figure(2.68 * rows, rows, 3)
    _method_panels(axes.flat, names, seed, open_model(MAIN_MODEL))
    for ax in axes.flat[len(names) + 1 :]:
        ax.set_axis_off()
    return figure


def fig2(seed: int = 0) -> Figure:
    """Why CFG works: two densities and their ratio at sigma = 0.03, and trajectories (Figure 2 of the paper)."""
    return _zoom_figure("cfg", "unconditional", seed)


def fig2_autoguidance(seed: int = 0) -> Figure:
    """The same as Figure 2 for autoguidance."""
    return _zoom_figure("autoguidance", "bad version", seed)


@mpl.rc_context(STYLE)
def _zoom_figure(method: str, guide_title: str, seed: int) -> Figure:
    main, guided = open_model(MAIN_MODEL), guided_model(method)
    (guide,) = guided.guides
    truth = main.truth()
    draws = np.asarray(truth.sample(seed, 1 << 16, SIGMA_MID))
    points = plotting.thin_points(draws[ZOOM_VIEW.contains(draws)], THINNED)
    figure, axes = _figure(1.58, 1, 5)
    fields: list[tuple[ScoreModel, Hue, str]] = [
        (main, MAIN, r"(a) $p_1$, main"),
        (guide, GUIDE, rf"(b) $p_0$, {guide_title}"),
        (Ratio(main, guide), RATIO, r"(c) ratio $p_1/p_0$"),
    ]
    for ax, (model, hue, title) in zip(axes.flat, fields, strict=False):
        peak_among = points if hue is RATIO else None
        plotting.plot_density(model, SIGMA_MID, hue=hue, peak_among=peak_among, view=ZOOM_VIEW, ax=ax)
        _draw_noisy_class(ax, truth, ZOOM_VIEW)
        plotting.plot_scores(model, points, SIGMA_MID, color=hue.dark, view=ZOOM_VIEW, ax=ax)
        ax.set_title(title)
    panels = zip(axes.flat[3:], "de", ("unguided", method), (main, guided), strict=True)
    for ax, letter, name, model in panels:
        _draw_classes(ax, ZOOM_VIEW)
        path = sample(model, seed, len(points), sigma_max=SIGMA_MID, start=points)
        plotting.plot_trajectories(path, view=ZOOM_VIEW, ax=ax)
        ax.set_title(_method_title(letter, name))
    return figure


def _draw_noisy_class(ax: Axes, truth: GaussianMixture, view: plotting.View) -> None:
    plotting.plot_outline(
        truth,
        SIGMA_MID,
        level=plotting.NOISY_OUTLINE_LEVEL,
        within_view=True,
        fill=False,
        linewidth=0.8,
        view=view,
        ax=ax,
    )


@mpl.rc_context(STYLE)
def fig9(seed: int = 0) -> Figure:
    """Learned densities and ratios at five noise levels (Figure 9 of the paper)."""
    main, uncond, bad = (
        open_model(name) for name in (MAIN_MODEL, *METHODS["cfg"].guides, *METHODS["autoguidance"].guides)
    )
    columns: list[tuple[str, ScoreModel, Hue]] = [
        ("(a) main $p_1$", main, MAIN),
        ("(b) CFG guide $p_0$", uncond, GUIDE),
        ("(c) autoguide $p_0$", bad, GUIDE),
        ("(d) CFG $p_1/p_0$", Ratio(main, uncond), RATIO),
        ("(e) autoguidance $p_1/p_0$", Ratio(main, bad), RATIO),
    ]
    figure, axes = _figure(7.22, len(NOISE_LEVELS), len(columns))
    truth = _tree("A")
    for row, sigma in zip(axes, NOISE_LEVELS, strict=True):
        data = truth.sample(seed, 4096, sigma)
        for ax, (_, model, hue) in zip(row, columns, strict=True):
            plotting.plot_density(model, sigma, hue=hue, peak_among=data if hue is RATIO else None, ax=ax)
            plotting.plot_outline(truth, fill=False, linewidth=0.35, ax=ax)
        row[0].set_ylabel(rf"$\sigma$ = {sigma:g}", fontsize=8)
    for ax, (title, _, _) in zip(axes[0], columns, strict=True):
        ax.set_title(title)
    return figure


@mpl.rc_context(STYLE)
def implied(seed: int = 0) -> Figure:
    """Guidance does not sample p_w: the implied density above, the one that the ODE produces below."""
    three = (datasets.three_gaussians(classes) for classes in ("A", "ABC"))
    columns: list[tuple[str, ScoreModel, plotting.View]] = [
        ("three Gaussians, CFG w = 4", guide("cfg", *three, weight=4.0), THREE_VIEW),
        ("tree, CFG w = 4", guided_model("cfg", 4.0), FULL_VIEW),
        ("tree, autoguidance w = 3", guided_model("autoguidance", 3.0), FULL_VIEW),
    ]
    figure, axes = _figure(5.02, 2, len(columns))
    for letters, (above, below), (title, model, view) in zip(("ad", "be", "cf"), axes.T, columns, strict=True):
        truth = model.truth()
        data = truth.sample(seed, 4096, SIGMA_IMPLIED)
        plotting.plot_density(model, SIGMA_IMPLIED, hue=RATIO, peak_among=data, view=view, ax=above)
        q = log_likelihood(model, plotting.grid(view, IMPLIED_GRID), sigma=SIGMA_IMPLIED, steps=24)
        plotting.plot_log_density(np.asarray(q), hue=MAIN, view=view, ax=below)
        for ax, letter, density in zip((above, below), letters, ("implied $p_w$", "sampled $q$"), strict=True):
            plotting.plot_outline(truth, SIGMA_IMPLIED, fill=False, view=view, ax=ax)
            ax.set_title(f"({letter}) {density}: {title}")
    return figure


@mpl.rc_context(STYLE)
def three_gaussians(seed: int = 0) -> Figure:
    """Three classes at the data, each guided by exact scores: the normalised p_w above, the ODE's samples below.

    The row above follows Figure 2 of Ho & Salimans 2022 (arXiv 2207.12598), whose weight is w - 1.
    """
    figure, axes = _figure(4.16, 2, len(CLASS_WEIGHTS))
    points = plotting.grid(CLASS_VIEW, 256)
    columns = [_guided_classes(weight) for weight in CLASS_WEIGHTS]
    densities = [
        {name: plotting.normalise(np.asarray(m.log_density(points), float), CLASS_VIEW) for name, m in models.items()}
        for models in columns
    ]
    peak = max(log_density.max() for classes in densities for log_density in classes.values())
    for i, (weight, models, classes) in enumerate(zip(CLASS_WEIGHTS, columns, densities, strict=True)):
        samples = {name: np.asarray(sample(m, seed, SAMPLES // 4, path=False).samples) for name, m in models.items()}
        for ax, letter, what in zip(axes[:, i], ("abcd"[i], "efgh"[i]), ("$p_w$", "samples"), strict=True):
            ax.set_title(f"({letter}) {what}, w = {weight}")
        _draw_class_densities(axes[0, i], classes, peak)
        _draw_class_samples(axes[1, i], samples, classes)
    return figure


def _guided_classes(weight: float) -> dict[str, ScoreModel]:
    """Each class with its exact scores, guided away from all three."""
    everything = datasets.three_gaussians("ABC")
    return {name: guide("cfg", datasets.three_gaussians(name), everything, weight=weight) for name in CLASS_HUES}


def _draw_class_densities(ax: Axes, classes: dict[str, np.ndarray], peak: float) -> None:
    """Normalised log densities on the grid, as areas; one shade is one density in every panel."""
    points = plotting.grid(CLASS_VIEW, len(classes["A"])).reshape(-1, 2)
    style: Any = {"view": CLASS_VIEW, "depth": CLASS_DEPTH, "levels": 6, "ax": ax}
    for name, log_density in classes.items():
        plotting.plot_log_density(log_density, peak, hue=CLASS_HUES[name], **style)
    _write_place(ax, [_distance_and_spread(points, np.exp(each).ravel()) for each in classes.values()])


def _draw_class_samples(ax: Axes, samples: dict[str, np.ndarray], classes: dict[str, np.ndarray]) -> None:
    """Samples, each class under the line that holds most of its p_w."""
    x, y = np.moveaxis(plotting.grid(CLASS_VIEW, len(classes["A"])), -1, 0)
    style: Any = {"linewidths": 0.8, "linestyles": "solid", "zorder": 4}
    for name, log_density in classes.items():
        hue = CLASS_HUES[name]
        plotting.plot_samples(samples[name], color=hue.strong, size=0.3, view=CLASS_VIEW, ax=ax)
        ax.contour(x, y, log_density, [_level_holding(HELD, log_density)], colors=hue.dark, **style)
    _write_place(ax, [_distance_and_spread(each) for each in samples.values()])


def _level_holding(share: float, log_density: np.ndarray) -> float:
    """The log density that is exceeded on this share of the whole, of values on a grid."""
    falling = np.sort(log_density, axis=None)[::-1]
    held = np.cumsum(np.exp(falling))
    return float(falling[np.searchsorted(held, share * held[-1])])


def _distance_and_spread(x: np.ndarray, share: np.ndarray | None = None) -> tuple[float, float]:
    """How far the mean of points [n, 2] lies from the origin, and their standard deviation on an axis."""
    mean = np.average(x, 0, share)
    return float(np.hypot(*mean)), float(np.sqrt(np.average((x - mean) ** 2, 0, share).mean()))


def _write_place(ax: Axes, classes: list[tuple[float, float]]) -> None:
    """Mean over the classes, and a cross at the origin, from which the distance is taken."""
    ax.plot(0, 0, "+", color=OTHER.dark, markersize=4, markeredgewidth=0.6, zorder=5)
    distance, spread = np.mean(classes, 0)
    _write_below(ax, f"distance {distance:.2f}", f"spread {spread:.2f}")


FIGURES: dict[str, Callable[[int], Figure]] = {
    "fig1": fig1,
    "fig2": fig2,
    "fig2-autoguidance": fig2_autoguidance,
    "fig9": fig9,
    "implied": implied,
    "methods": methods,
    "three-gaussians": three_gaussians,
}
FORMATS = ("png", "pdf", "svg")


def save_figure(figure: Figure, path: PathLike) -> None:
    """Write a figure in the format of the path's ending, whole or not at all, the same bytes each time.

    Raises:
        InputError: the file cannot be written.
    """
    kind = Path(path).suffix.lstrip(".")
    metadata: dict[str, Any] = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with mpl.rc_context(STYLE), replacing(path) as temporary:
        figure.savefig(temporary, format=choice("format", kind, FORMATS), metadata=metadata[kind])
        if kind == "png":
            _reduce_colours(temporary)


def _reduce_colours(path: Path) -> None:
    """256 colours in place of 24 bits: a third of the size, with no difference that the eye sees."""
    with Image.open(path) as image:
        dpi, reduced = image.info["dpi"], image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True, dpi=dpi)


def draw_figures(
    names: Iterable[str] = tuple(FIGURES),
    folder: PathLike = "figures",
    *,
    formats: Iterable[str] = ("png",),
    seed: int = 0,
    progress: bool = True,
) -> list[Path]:
    """Draw figures of the table and write each in each format; the files written.

    Raises:
        InputError: there is no such figure or format, or a file cannot be written.
    """
    names, formats = list(names), list(formats)
    for name in names:
        choice("figure", name, FIGURES)
    for kind in formats:
        choice("format", kind, FORMATS)
    count("seed", seed, 0, 2**32 - 1)
    for path in (Path(folder) / f"{name}.{kind}" for name in names for kind in formats):
        check_writable(path)
    written = []
    for name in progress_bar(names, unit="figure", show=progress):
        figure = FIGURES[name](seed)
        for kind in formats:
            written.append(Path(folder) / f"{name}.{kind}")
            save_figure(figure, written[-1])
    return written
