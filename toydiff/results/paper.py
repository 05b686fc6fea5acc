"""The paper's figures and some in their style, composed from `plotting`: each a function of the seed."""

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toydiff.base.checks import choice
from toydiff.base.score_model import Exact, ScoreModel
from toydiff.distributions import catalogue
from toydiff.distributions.ratio import Ratio
from toydiff.guidance.methods import METHODS, guide
from toydiff.guidance.named import default_guides, guided_model
from toydiff.measuring import metrics
from toydiff.networks.bundles import MAIN as MAIN_MODEL
from toydiff.networks.zoo import open_model
from toydiff.results import plotting
from toydiff.results.panels import NOISE_LEVELS, draw_classes, draw_samples, method_title, new_figure, tree, write_below
from toydiff.results.plotting import FULL_VIEW, ZOOM_VIEW
from toydiff.results.style import CLASS, GUIDE, MAIN, OTHER, RATIO, STYLE, THIRD, Hue
from toydiff.sampling.likelihood import log_likelihood
from toydiff.sampling.sampler import sample

SAMPLES = 16_384
SIGMA_MID = 0.03
THINNED = 0.045
"""Distance of the points that carry arrows and trajectories in Figure 2."""
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


def _method_panels(axes: Iterable[Axes], methods: Iterable[str], seed: int, main: ScoreModel) -> None:
    """The first panel shows exact samples, each further one a method with its default weight and guides."""
    first, *others = axes
    truth = main.truth()
    reference = metrics.Reference(truth)
    draw_samples(first, np.asarray(truth.sample(seed, SAMPLES)), CLASS, reference)
    first.set_title("(a) Ground truth")
    for letter, ax, method in zip("bcdefghijklmnopqrstuvwxyz", others, methods, strict=False):
        model = guided_model(method, main=main)
        x = np.asarray(sample(model, seed, SAMPLES, path=False).samples)
        draw_samples(ax, x, MAIN, reference)
        ax.set_title(method_title(letter, method))


@mpl.rc_context(STYLE)
def fig1(seed: int = 0) -> Figure:
    """Samples: ground truth, unguided, CFG, naive truncation, autoguidance (Figure 1 of the paper)."""
    figure, axes = new_figure(1.72, 1, 5)
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
    figure, axes = new_figure(2.68 * rows, rows, 3)
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
    figure, axes = new_figure(1.58, 1, 5)
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
        draw_classes(ax, ZOOM_VIEW)
        path = sample(model, seed, len(points), sigma_max=SIGMA_MID, start=points)
        plotting.plot_trajectories(path, view=ZOOM_VIEW, ax=ax)
        ax.set_title(method_title(letter, name))
    return figure


def _draw_noisy_class(ax: Axes, truth: Exact, view: plotting.View) -> None:
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
        open_model(name) for name in (MAIN_MODEL, *default_guides("cfg"), *default_guides("autoguidance"))
    )
    columns: list[tuple[str, ScoreModel, Hue]] = [
        ("(a) main $p_1$", main, MAIN),
        ("(b) CFG guide $p_0$", uncond, GUIDE),
        ("(c) autoguide $p_0$", bad, GUIDE),
        ("(d) CFG $p_1/p_0$", Ratio(main, uncond), RATIO),
        ("(e) autoguidance $p_1/p_0$", Ratio(main, bad), RATIO),
    ]
    figure, axes = new_figure(7.22, len(NOISE_LEVELS), len(columns))
    truth = tree("A")
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
    three = (catalogue.distribution("three_gaussians", classes) for classes in ("A", "ABC"))
    columns: list[tuple[str, ScoreModel, plotting.View]] = [
        ("three Gaussians, CFG w = 4", guide("cfg", *three, weight=4.0), THREE_VIEW),
        ("tree, CFG w = 4", guided_model("cfg", 4.0), FULL_VIEW),
        ("tree, autoguidance w = 3", guided_model("autoguidance", 3.0), FULL_VIEW),
    ]
    figure, axes = new_figure(5.02, 2, len(columns))
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
    figure, axes = new_figure(4.16, 2, len(CLASS_WEIGHTS))
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
    everything = catalogue.distribution("three_gaussians", "ABC")
    return {
        name: guide("cfg", catalogue.distribution("three_gaussians", name), everything, weight=weight)
        for name in CLASS_HUES
    }


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
        ax.contour(x, y, log_density, [level_holding(HELD, log_density)], colors=hue.dark, **style)
    _write_place(ax, [_distance_and_spread(each) for each in samples.values()])


def level_holding(share: float, log_density: np.ndarray) -> float:
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
    write_below(ax, f"distance {distance:.2f}", f"spread {spread:.2f}")
