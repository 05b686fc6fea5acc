"""A sweep as a picture: a metric as curves over one axis, or as a heat map over two."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from toydiff.base.checks import InputError, choice
from toydiff.base.files import PathLike
from toydiff.measuring.setting import Setting
from toydiff.measuring.sweep_axes import AXES, SEEDS, TEXT_AXES
from toydiff.measuring.sweep_table import Pivot, Sweep, metric_title, pivot
from toydiff.results import plotting
from toydiff.results.figures import FORMATS, save_figure
from toydiff.results.style import COLOURS, STYLE, WIDTH


def draw_sweep(
    path: PathLike,
    sweep: Sweep,
    *,
    metric: str | None = None,
    x: str | None = None,
    y: str | None = None,
    by: str | None = None,
) -> None:
    """Draw a metric of a sweep: curves over the axis `x`, or a heat map over `x` and `y`; the others are averaged.

    The bars of the curves are standard errors: over the seeds, or of the metric where there is one seed. What has no
    place on the axis of the curves, an infinite noise level or the size of a guide that there is not, is left out.

    Args:
        path: of the picture, .png, .pdf or .svg.
        sweep: the table.
        metric: one that was measured; by default the first.
        x: a numeric axis for curves, any for a heat map; by default the weight or the first that varies.
        y: the other axis of a heat map. Without `x`, `y` and `by` the second numeric axis that varies.
        by: an axis with a curve for each of its values. Without `x`, `y` and `by` the second that varies, if of words.

    Raises:
        InputError: there is no such metric or axis, `x` is of words where curves are wanted, both `y` and `by`
            are given, or the file cannot be written.
    """
    save_figure(sweep_figure(sweep, metric=metric, x=x, y=y, by=by), path)


def check_picture(path: PathLike, settings: Iterable[Setting], metrics: Sequence[str], **options: str | None) -> None:
    """See that `draw_sweep` will be able to draw these settings with these options: before they are measured.

    Raises:
        InputError: it will not.
    """
    choice("format", Path(path).suffix.lstrip("."), FORMATS)
    planned = Sweep(1, tuple(metrics))
    planned.rows.update(dict.fromkeys(settings, dict.fromkeys(planned.columns, math.nan)))
    _choose(planned, **options)


@mpl.rc_context(STYLE)
def sweep_figure(
    sweep: Sweep, *, metric: str | None = None, x: str | None = None, y: str | None = None, by: str | None = None
) -> Figure:
    """What `draw_sweep` writes; its arguments and errors."""
    chosen, is_heat_map = _choose(sweep, metric, x, y, by)
    return (_heat_map if is_heat_map else _curves)(chosen, sweep.n)


def _choose(
    sweep: Sweep, metric: str | None = None, x: str | None = None, y: str | None = None, by: str | None = None
) -> tuple[Pivot, bool]:
    """What is drawn, and whether as a heat map."""
    if y is not None and by is not None:
        raise InputError(f"y is {y} and by is {by}; a picture is a heat map over y or has a curve for each value of by")
    if x is None:
        x, guess = _default_axes(sweep, {y, by})
        if y is None and by is None:
            y, by = (None, guess) if guess in TEXT_AXES else (guess, None)
    chosen = pivot(sweep, sweep.metrics[0] if metric is None else metric, x, by or y)
    if y is None:
        choice("axis x of a curve", x, [axis for axis in AXES if axis not in TEXT_AXES])
    return chosen, y is not None


def _default_axes(sweep: Sweep, taken: set[str | None]) -> tuple[str, str | None]:
    """The first numeric axis that varies and is not taken, the weight before all others; and a second of any kind."""
    varying = [axis for axis in sweep.axes if axis not in taken]
    numeric = [axis for axis in varying if axis not in TEXT_AXES]
    x = next((axis for axis in sorted(numeric, key=lambda axis: axis in SEEDS)), "weight")
    return x, next((axis for axis in varying if axis not in (x, *SEEDS)), None)


def _curves(chosen: Pivot, n: int) -> Figure:
    figure = Figure(figsize=(WIDTH / 2, 2.4), layout="constrained")
    ax = figure.subplots()
    points = np.array([np.nan if value is None else value for value in chosen.x_values], float)
    for i, value in enumerate(chosen.y_values):
        label = None if chosen.y is None else f"{chosen.y} {axis_label(value)}"
        style: Any = {"color": COLOURS[i % len(COLOURS)], "label": label, "ax": ax}
        known = np.isfinite(chosen.mean[i]) & np.isfinite(points)
        plotting.plot_curve(points[known], chosen.mean[i][known], error=chosen.error[i][known], **style)
    ax.set(xlabel=chosen.x, ylabel=chosen.metric)
    ax.grid(linewidth=0.3, color="#dddddd")
    if chosen.y is not None:
        ax.legend(frameon=False, fontsize=6)
    _set_titles(figure, chosen, n)
    return figure


def _heat_map(chosen: Pivot, n: int) -> Figure:
    rows, columns = chosen.mean.shape
    figure = Figure(figsize=(max(WIDTH / 2, 0.9 + 0.36 * columns), 1.2 + 0.24 * rows), layout="constrained")
    ax = figure.subplots()
    labels = [[axis_label(value) for value in values] for values in (chosen.x_values, chosen.y_values)]
    image = plotting.plot_heat_map(chosen.mean, *labels, ax=ax)
    figure.colorbar(image, ax=ax, aspect=30, pad=0.02).outline.set_linewidth(0.3)
    ax.set(xlabel=chosen.x, ylabel=chosen.y)
    _set_titles(figure, chosen, n)
    return figure


def axis_label(value: Any) -> str:
    """A value of an axis as it stands beside a picture; a dash where the method has none."""
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _set_titles(figure: Figure, chosen: Pivot, n: int) -> None:
    """The metric, and what the numbers are means of."""
    mean = f"; mean over {', '.join(chosen.averaged)}" * bool(chosen.averaged)
    figure.axes[0].set_title(f"{metric_title(chosen.metric)}\n{n:,} samples{mean}")
