"""Axes-level drawing: each function draws one layer on `ax` (default: the current axes) and returns its artists."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from contourpy import contour_generator
from jax.typing import ArrayLike
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.contour import QuadContourSet
from matplotlib.image import AxesImage
from matplotlib.path import Path
from matplotlib.quiver import Quiver

from toydiff.base.checks import InputError, number
from toydiff.base.effort import current_effort
from toydiff.base.score_model import Exact, ScoreModel, check_points
from toydiff.results.style import CLASS, GUIDE, MAIN, OTHER, OUTLIER, RATIO, THIRD, Hue  # noqa: F401 - known from here
from toydiff.results.view import FULL_VIEW as FULL_VIEW  # noqa: PLC0414 - known from here
from toydiff.results.view import ZOOM_VIEW as ZOOM_VIEW  # noqa: PLC0414
from toydiff.results.view import View as View  # noqa: PLC0414
from toydiff.sampling.sampler import Trajectory

OUTLINE_LEVEL = -2.12
"""Contour of v that outlines a class: 98.65% of it lies inside."""
NOISY_OUTLINE_LEVEL = -1.41
"""The same for p(x; sigma) at the noise level of Figure 2."""
RASTERIZE_ABOVE = 2000
"""In vector formats more points than this are drawn as pixels; everything else stays vector."""


def frame(view: View, *, ax: Axes | None = None) -> Axes:
    """Show exactly `view`, with equal axes and without ticks."""
    ax = ax or plt.gca()
    ax.set(xlim=view.limits[0], ylim=view.limits[1], xticks=[], yticks=[], aspect="equal")
    return ax


def grid(view: View, resolution: int) -> np.ndarray:
    """Points [resolution, resolution, 2] that cover the view, rows from bottom to top."""
    (left, right), (bottom, top) = view.limits
    return np.stack(np.meshgrid(np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)), -1)


def compress(log_density: np.ndarray, peak: float | None = None) -> np.ndarray:
    """v = -sqrt(max(log p) - log p): for a Gaussian, minus the distance from its centre over sqrt(2) sigma.

    Contours of v are evenly spaced where contours of p would crowd. Appendix C of Karras et al. 2024.
    `peak` is max(log p) where the array does not hold it.
    """
    top = log_density.max() if peak is None else peak
    return -np.sqrt(np.maximum(top - log_density, 0))


def normalise(log_density: np.ndarray, view: View) -> np.ndarray:
    """log p [h, w] on the points of `grid(view, h)`, shifted so that p integrates to 1 over the view.

    A sum over the points: where p has fallen to nothing at the edge, that is exact to far below a grid step.
    """
    top = log_density.max()
    cell = (2 * view.half_width / (len(log_density) - 1)) ** 2
    return log_density - top - np.log(np.exp(log_density - top).sum() * cell)


def peak_log_density(truth: Exact, sigma: float = 0.0) -> float:
    """The largest log density of an exact distribution, found by 20 denoising steps uphill from its landmarks."""
    x = truth.landmarks()
    smoothing = max(float(sigma), 0.005)
    for _ in range(20):
        x = truth.denoise(x, smoothing)
    return float(jnp.maximum(truth.log_density(x, sigma).max(), truth.log_density(truth.landmarks(), sigma).max()))


def plot_density(
    model: ScoreModel,
    sigma: float,
    *,
    view: View = FULL_VIEW,
    hue: Hue = MAIN,
    peak_among: ArrayLike | None = None,
    depth: float = 3.0,
    levels: int = 12,
    resolution: int | None = None,
    ax: Axes | None = None,
) -> QuadContourSet:
    """Filled contours of v = -sqrt(max(log p) - log p) of any score model at a noise level.

    Args:
        model: whose log density is drawn.
        peak_among: points [n, 2]; the 99% quantile of log p among them then stands for max(log p), which by
            default is that of the grid. For ratios: their highest peaks lie where there is no data.
        sigma: noise level.
        view: part of the plane.
        hue: colours.
        depth: v from -depth to 0 is coloured, the rest stays white.
        levels: how many steps.
        resolution: points of the grid on each axis; by default 256, `density_grid` of the effort in force.
        ax: axes.

    Raises:
        InputError: sigma is out of range for the model.
    """
    peak = None if peak_among is None else float(np.quantile(model.log_density(peak_among, sigma), 0.99))
    points = grid(view, current_effort().density_grid if resolution is None else resolution)
    values = np.asarray(model.log_density(points, sigma))
    return plot_log_density(values, peak, view=view, hue=hue, depth=depth, levels=levels, ax=ax)


def plot_log_density(
    log_density: np.ndarray,
    peak: float | None = None,
    *,
    view: View = FULL_VIEW,
    hue: Hue = MAIN,
    depth: float = 3.0,
    levels: int = 12,
    ax: Axes | None = None,
) -> QuadContourSet:
    """The same for log p [h, w] on the points of `grid(view, h)`; `peak` stands for max(log p) as in `compress`."""
    ax = frame(view, ax=ax)
    points = grid(view, len(log_density))
    v = compress(log_density, peak)
    edges = np.linspace(-number("depth", depth, above=0), 0, levels + 1)
    edges[-1] = 1e-6  # the peak itself belongs to the highest step
    filled = ax.contourf(points[..., 0], points[..., 1], v, edges, cmap=hue.cmap)
    ax.contour(filled, levels=edges[:-1], colors=hue.dark, linewidths=0.2, alpha=0.3, linestyles="solid")
    return filled


def plot_outline(
    truth: Exact,
    sigma: float = 0.0,
    *,
    level: float = OUTLINE_LEVEL,
    view: View = FULL_VIEW,
    hue: Hue = CLASS,
    fill: bool = True,
    within_view: bool = False,
    linewidth: float = 0.6,
    resolution: int | None = None,
    ax: Axes | None = None,
) -> QuadContourSet:
    """The contour v = `level` of an exact distribution at a noise level, by default with its inside light.

    max(log p) is that of the whole plane, or of the view alone where `within_view` is true. The grid has `resolution`
    points on each axis; by default 720, `outline_grid` of the effort in force.
    """
    ax = frame(view, ax=ax)
    resolution = current_effort().outline_grid if resolution is None else resolution
    x, y, v = _outline_field(truth, sigma, view, within_view, resolution)
    if fill:
        ax.contourf(x, y, v, [level, 1e-6], colors=[hue.light])
    return ax.contour(x, y, v, [level], colors=[hue.strong], linewidths=linewidth, linestyles="solid")


def outline_lines(truth: Exact, *, view: View, resolution: int) -> list[np.ndarray]:
    """The lines of `plot_outline` [n, 2] each, all closed: where they leave the view, along its edge."""
    x, y, v = _outline_field(truth, 0.0, view, False, resolution)
    inside = np.full_like(v, 10 * OUTLINE_LEVEL)
    inside[1:-1, 1:-1] = v[1:-1, 1:-1]
    lines: Any = contour_generator(x, y, inside).lines(OUTLINE_LEVEL)
    unit = view.half_width / 2000  # points that lie closer than a ninth of it to a straight line are left out
    simple = (Path(line / unit).cleaned(simplify=True, curves=False).vertices for line in lines)
    return [np.asarray(line, float)[:-1] * unit for line in simple]


@lru_cache(maxsize=16)
def _outline_field(
    truth: Exact, sigma: float, view: View, within_view: bool, resolution: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and v on the grid; kept, since the panels of a figure share their outlines.

    As whole arrays in float64: Matplotlib copies any other for each contour, and keeps 12 MB as long as the figure.
    """
    points = grid(view, resolution)
    peak = None if within_view else peak_log_density(truth, sigma)
    v = compress(np.asarray(truth.log_density(points, sigma)), peak)
    return points[..., 0].copy(), points[..., 1].copy(), v.astype(float)


def plot_samples(
    samples: ArrayLike,
    *,
    color: str = MAIN.dark,
    size: float = 0.5,
    alpha: float = 1.0,
    view: View = FULL_VIEW,
    ax: Axes | None = None,
) -> PathCollection:
    """Points [n, 2] as dots; those outside the view are left out, many are rasterised in vector formats."""
    ax = frame(view, ax=ax)
    x = np.asarray(check_points(samples, "samples")).reshape(-1, 2)
    x = x[view.contains(x)]
    return ax.scatter(
        x[:, 0], x[:, 1], s=size, c=color, alpha=alpha, linewidths=0, rasterized=len(x) > RASTERIZE_ABOVE, zorder=3
    )


def plot_scores(
    model: ScoreModel,
    x: ArrayLike,
    sigma: float,
    *,
    scale: float = 1.0,
    color: str = MAIN.dark,
    view: View = FULL_VIEW,
    ax: Axes | None = None,
) -> Quiver:
    """Arrows from points [n, 2] along the score, of length `scale` times sigma^2 |score|.

    At scale 1 an arrow ends at the denoised point D(x; sigma) (for a ratio: it is the difference of two).
    """
    ax = frame(view, ax=ax)
    points = np.asarray(check_points(x)).reshape(-1, 2)
    arrows = scale * sigma**2 * np.asarray(model.score(points, sigma))
    return plot_arrows(points, arrows, color=color, ax=ax)


def plot_arrows(
    x: ArrayLike, steps: ArrayLike, *, color: str = MAIN.dark, width: float = 0.007, ax: Axes | None = None
) -> Quiver:
    """Arrows from points [n, 2] by steps [n, 2] in the units of the axes, of a `width` in shares of the axes'."""
    style: Any = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "width", "zorder": 3}
    return (ax or plt.gca()).quiver(
        *np.asarray(x).T,
        *np.asarray(steps).T,
        color=color,
        width=width,
        headwidth=3.6,
        headlength=4,
        headaxislength=3.6,
        minlength=0,
        **style,
    )


def plot_trajectories(
    trajectory: Trajectory,
    *,
    color: str = MAIN.dark,
    linewidth: float = 0.5,
    view: View = FULL_VIEW,
    ax: Axes | None = None,
) -> LineCollection:
    """The paths of all points, with a dot where each ends.

    Raises:
        InputError: the trajectory kept the samples only.
    """
    if len(trajectory.x) < 2:
        raise InputError("the trajectory holds the samples only; sample with path=True")
    ax = frame(view, ax=ax)
    paths = np.moveaxis(np.asarray(trajectory.ways), 0, 1)
    lines = LineCollection(list(paths), colors=color, linewidths=linewidth, alpha=0.8, zorder=2.5)
    ax.add_collection(lines, autolim=False)
    ax.scatter(paths[:, -1, 0], paths[:, -1, 1], s=5 * linewidth, c=color, linewidths=0, zorder=3)
    return lines


def thin_points(points: ArrayLike, distance: float) -> np.ndarray:
    """The points [n, 2], in order, less those within `distance` of one already kept: [m, 2]."""
    kept: list[np.ndarray] = []
    for point in np.asarray(check_points(points)).reshape(-1, 2):
        if not kept or (np.hypot(*(np.stack(kept) - point).T) >= distance).all():
            kept.append(point)
    return np.reshape(kept, (-1, 2))


def plot_curve(
    x: ArrayLike,
    y: ArrayLike,
    *,
    error: ArrayLike | None = None,
    color: str = MAIN.strong,
    label: str | None = None,
    ax: Axes | None = None,
) -> ErrorbarContainer:
    """A line through points x [n], y [n], with a bar of `error` [n] up and down where that is known."""
    style: Any = {"marker": "o", "markersize": 2, "linewidth": 0.8, "elinewidth": 0.6, "capsize": 1.5}
    y = np.asarray(y, float)
    bars = np.zeros_like(y) if error is None else np.nan_to_num(np.asarray(error, float))
    return (ax or plt.gca()).errorbar(np.asarray(x, float), y, bars, color=color, label=label, **style)


def plot_heat_map(
    values: ArrayLike,
    columns: Sequence[str],
    rows: Sequence[str],
    *,
    hue: Hue = RATIO,
    fontsize: float = 6,
    ax: Axes | None = None,
) -> AxesImage:
    """Values [rows, columns] as colours with the numbers on them, the first row at the bottom; NaN stays grey."""
    ax = ax or plt.gca()
    table = np.asarray(values, float)
    image = ax.imshow(np.ma.masked_invalid(table), cmap=hue.cmap, origin="lower", aspect="auto")
    ax.set_facecolor(OTHER.light)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            ax.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=fontsize)
    return image
