"""What the figures share: panels with the tree in them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from toydiff.base.score_model import Exact
from toydiff.distributions import catalogue
from toydiff.guidance.methods import METHODS
from toydiff.measuring import metrics
from toydiff.results import plotting
from toydiff.results.plotting import FULL_VIEW
from toydiff.results.style import CLASS, OTHER, OUTLIER, WIDTH, Hue

NOISE_LEVELS = (0.5, 0.25, 0.08, 0.03, 0.01)
"""Of Figure 9."""


def new_figure(height: float, rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """A figure over two columns, of a height in inches, and its axes [rows, columns]."""
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02, compress=True)
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False)


def tree(classes: str) -> Exact:
    """The fractal tree, one object for each choice of classes."""
    return catalogue.distribution("fractal_tree", classes)


def draw_classes(ax: Axes, view: plotting.View = FULL_VIEW) -> None:
    """The outlines of both classes."""
    for classes, hue in (("B", OTHER), ("A", CLASS)):
        plotting.plot_outline(tree(classes), hue=hue, linewidth=0.35, view=view, ax=ax)


def draw_samples(ax: Axes, x: np.ndarray, hue: Hue, reference: metrics.Reference) -> None:
    """Samples over the outlines of both classes, outliers apart, and underneath what was measured."""
    draw_classes(ax)
    samples = metrics.Scored(x, reference)
    outlier = metrics.outliers(samples, 0.001)
    plotting.plot_samples(x[~outlier], color=hue.dark, size=0.25, ax=ax)
    plotting.plot_samples(x[outlier], color=OUTLIER, size=0.9, ax=ax)
    left, right = f"outliers {outlier.mean():.1%}", f"branches {metrics.branch_coverage(samples):.0%}"
    write_below(ax, left, right, OUTLIER, hue.dark)


def write_below(ax: Axes, left: str, right: str, left_color: str = "black", right_color: str = "black") -> None:
    """Two short texts under a panel."""
    ax.set_xlabel(" ", fontsize=6.5, labelpad=2)  # keeps the room for the two
    below: Any = {"transform": ax.transAxes, "fontsize": 6.5, "va": "top"}
    ax.text(0.01, -0.03, left, ha="left", color=left_color, **below)
    ax.text(0.99, -0.03, right, ha="right", color=right_color, **below)


def method_title(letter: str, method: str) -> str:
    """The title of a panel that shows a method with its default weight."""
    row = METHODS[method]
    return f"({letter}) {row.short}" + ("" if row.weight == 1 else f", w = {row.weight:g}")
