"""The explorer's tab that opens a sweep: a heat map of buttons, each of which shows its setting."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets as w
import numpy as np
from matplotlib.colors import to_hex

from toydiff.base.checks import InputError
from toydiff.explorer.jupyter.controls import upload
from toydiff.explorer.state import State, default_models, with_classes
from toydiff.measuring.setting import PAPER_EMA, Setting
from toydiff.measuring.sweep_axes import AXES, SEEDS, TEXT_AXES, axis_values, describe
from toydiff.measuring.sweep_table import Pivot, Sweep, metric_title, pivot, read_sweep
from toydiff.networks.library import BUNDLE, Library
from toydiff.results.style import RATIO
from toydiff.results.sweep_figure import axis_label
from toydiff.sampling.schedules import STEPS

MOST_CELLS = 600
"""More buttons than this would keep the page busy for seconds."""


class SweepTab(w.VBox):
    """Opens the table of a sweep, shows it over two of its axes, and the explorer at the cell that is pressed."""

    def __init__(self, explorer: Any):
        """Of this explorer."""
        self.explorer = explorer
        self.sweep: Sweep | None = None
        self._filling = False
        self.upload = upload("Open sweep", ".csv", self._open, explorer.attempt)
        self.metric, self.x, self.y = (w.Dropdown(description=name) for name in ("metric", "across", "upwards"))
        self.title = w.HTML("The table that <code>toydiff sweep</code> wrote: press a cell to see its samples.")
        self.cells = w.GridBox()
        self.menus = w.VBox([self.metric, self.x, self.y], layout=w.Layout(display="none"))
        super().__init__([self.upload, self.menus, self.title, self.cells])
        for name in ("upload", "metric", "x", "y", "title", "cells"):
            getattr(self, name).add_class(f"toydiff-sweep-{name}")
        for menu in (self.metric, self.x, self.y):
            menu.observe(lambda _: self._filling or explorer.attempt(self._draw), "value")

    def _open(self, files: Sequence[Any]) -> None:
        sweep = read_sweep(bytes(files[0]["content"]))
        if not sweep.rows:
            raise InputError("the sweep has no rows yet")
        axes = sweep.axes or ["weight"]
        first, *others = sorted(axes, key=lambda axis: (axis in SEEDS, axis in TEXT_AXES))
        self.sweep, self._filling = sweep, True
        try:
            self.metric.options, self.x.options = sweep.metrics, axes
            self.y.options = [("–", ""), *((axis, axis) for axis in axes)]  # the page shows None as a blank
            self.metric.value, self.x.value, self.y.value = sweep.metrics[0], first, next(iter(others), "")
        finally:
            self._filling = False
        self.menus.layout.display = None
        self._draw()

    def _draw(self) -> None:
        """The heat map, the first row at the bottom as in a picture."""
        if self.sweep is None:
            return
        old, self.cells.children, self.title.value = self.cells.children, (), ""
        for child in old:
            child.close()
        chosen = pivot(self.sweep, self.metric.value, self.x.value, self.y.value or None)
        rows, columns = chosen.mean.shape
        if rows * columns > MOST_CELLS:
            raise InputError(f"{rows} times {columns} cells are too many for the page; choose other axes")
        mean = f"; mean over {', '.join(chosen.averaged)}" * bool(chosen.averaged)
        self.title.value = f"<b>{metric_title(chosen.metric)}</b><br>{self.sweep.n:,} samples{mean}"
        colours = RATIO.cmap(shades(chosen.mean))
        children: list[w.Widget] = []
        for row in reversed(range(rows)):
            children.append(w.Label(axis_label(chosen.y_values[row]) if chosen.y else ""))
            children += [self._cell(chosen, row, column, to_hex(colours[row, column])) for column in range(columns)]
        children += [w.Label(""), *(w.Label(axis_label(v)) for v in chosen.x_values)]
        self.cells.layout.grid_template_columns = f"max-content repeat({columns}, minmax(2.6em, 1fr))"
        self.cells.children = children

    def _cell(self, chosen: Pivot, row: int, column: int, colour: str) -> w.Widget:
        settings = chosen.settings[row][column]
        if not settings:
            return w.Label("")
        value, error = chosen.mean[row, column], chosen.error[row, column]
        made = w.Button(description=_short(value), layout=w.Layout(width="auto"))
        made.style.button_color, made.style.text_color = colour, "black"
        spread = f" ± {error:.2g}" if np.isfinite(error) else ""
        several = f" (mean of {len(settings)} settings)" * (len(settings) > 1)
        made.tooltip = f"{value:.4g}{spread}{several}: {describe(axis_values(settings[0]))}"
        made.on_click(lambda _: self.explorer.attempt(partial(self._show, settings)))
        return made

    def _show(self, settings: Sequence[Setting]) -> None:
        """The first setting of a cell in the explorer's active panel."""
        state = state_of(settings[0], self.explorer.state, self.explorer.library)
        self.explorer.set(state)
        differing = {
            axis: value
            for axis, value in axis_values(settings[0]).items()
            if any(AXES[axis].read(setting) != value for setting in settings)
        }
        if differing:
            self.explorer.say(f"One of the {len(settings)} settings of this cell: {describe(differing)}")


def _short(value: float) -> str:
    """Two digits, in as little room as can be."""
    text = f"{value:.2g}"
    return text.replace("0.", ".") if abs(value) < 1 else text


def shades(values: np.ndarray) -> np.ndarray:
    """Values of any shape as their places between the least, 0, and the largest, 1; 0 where there is none."""
    known = values[np.isfinite(values)]
    if not known.size or np.ptp(known) == 0:
        return np.zeros_like(values)
    return np.nan_to_num((values - known.min()) / np.ptp(known))


def state_of(setting: Setting, state: State, library: Library = BUNDLE) -> State:
    """The explorer's state with the setting of a cell in it; points, view, layers and noise level stay.

    Raises:
        InputError: the explorer has no such networks or solver; the message names the axis.
    """
    shown = {"training_seed": 0, "main_ema": PAPER_EMA, "guide_ema": PAPER_EMA, "solver": "heun", "steps": STEPS}
    for axis, value in shown.items():
        wanted = AXES[axis].read(setting)
        if wanted not in (value, None):
            raise InputError(f"the explorer has no {axis} {axis_label(wanted)}; it shows {axis_label(value)} only")
    if (setting.distribution, setting.classes) != (state.distribution, state.classes):
        state = with_classes(state, setting.distribution, setting.classes, library)
    drawn = {name: getattr(state, name) for name in State.__dataclass_fields__ if name not in vars(setting)}
    if not setting.row.networks:  # the guide of another method stays in its menu
        guide = default_models(setting.distribution, setting.classes, library)[1] if state.guide.exact else state.guide
        setting = replace(setting, guide=guide)
    return State(**vars(setting), **drawn)
