"""The table of a sweep as a heat map, each cell of which shows its setting."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex

from toydiff.base.checks import InputError, count
from toydiff.explorer.actions.work import Action
from toydiff.explorer.state import State, default_models, with_classes
from toydiff.measuring.setting import PAPER_EMA, Setting
from toydiff.measuring.sweep_axes import AXES, SEEDS, TEXT_AXES, axis_values, describe
from toydiff.measuring.sweep_table import Pivot, Sweep, metric_title, pivot, read_sweep
from toydiff.networks.library import BUNDLE, Library
from toydiff.results.style import RATIO
from toydiff.results.sweep_figure import axis_label
from toydiff.sampling.schedules import STEPS

if TYPE_CHECKING:
    from toydiff.explorer.session import Session

MOST_CELLS = 600
"""More buttons than this would keep the page busy for seconds."""
MOST_COLUMNS = 60
"""More would be too narrow to press; a single row is broken into several."""


class OpenSweep:
    """The sweep that a session has open, seen over two of its axes."""

    def __init__(self, session: "Session"):
        self.session = session
        self.sweep: Sweep | None = None
        self.chosen: dict[str, str] = {}
        self.pivot: Pivot | None = None
        self._seen: dict[str, Any] | None = None

    def open(self, content: bytes) -> None:
        """Open the table that `toydiff sweep` wrote.

        Raises:
            InputError: it is no such table, or has no rows or too many cells.
        """
        sweep = read_sweep(content)
        if not sweep.rows:
            raise InputError("the sweep has no rows yet")
        first, *others = sorted(_axes(sweep), key=lambda axis: (axis in SEEDS, axis in TEXT_AXES))
        self.sweep = sweep
        self.look({"metric": sweep.metrics[0], "x": first, "y": next(iter(others), "")})

    def look(self, wanted: Mapping[str, Any]) -> None:
        """Look at another metric or over other axes; what is not among `wanted` stays.

        Raises:
            InputError: there are none such, or too many cells; the heat map is then empty.
        """
        if self.sweep is None:
            return
        self.chosen |= {name: str(wanted[name]) for name in ("metric", "x", "y") if name in wanted}
        self.pivot, seen = None, {"title": "", "note": "", "rows": [], "columns": [], "cells": []}
        try:
            metric, x, y = (self.chosen[name] for name in ("metric", "x", "y"))
            found = pivot(self.sweep, metric, x, y or None)
            rows, columns = found.mean.shape
            if rows * columns > MOST_CELLS or (rows > 1 and columns > MOST_COLUMNS):
                raise InputError(f"{rows} times {columns} cells are too many for the page; choose other axes")
            self.pivot, seen = found, heat_map(found, self.sweep.n)
        finally:
            offered = {"metrics": list(self.sweep.metrics), "axes": _axes(self.sweep)}
            self._seen = {**offered, **self.chosen, **seen}
            self.tell()

    def tell(self) -> None:
        """Tell the views what is open."""
        if self._seen is not None:
            self.session.send({"sweep": self._seen})

    def show(self, row: Any, column: Any) -> None:
        """The first setting of a cell, counted from the upper left, in the active panel.

        Raises:
            InputError: there is no such cell, or the explorer cannot show it.
        """
        if self.pivot is None:
            raise InputError("there is no sweep on show; open one")
        rows, columns = self.pivot.mean.shape
        up, across = rows - 1 - count("row", row, 0, rows - 1), count("column", column, 0, columns - 1)
        settings = self.pivot.settings[up][across]
        if not settings:
            raise InputError("there is no setting in this cell; choose another one")
        self.session.set(state_of(settings[0], self.session.state, self.session.library))
        differing = {
            axis: value
            for axis, value in axis_values(settings[0]).items()
            if any(AXES[axis].read(setting) != value for setting in settings)
        }
        if differing:
            self.session.say(f"One of the {len(settings)} settings of this cell: {describe(differing)}")


def _axes(sweep: Sweep) -> list[str]:
    return sweep.axes or ["weight"]


def heat_map(found: Pivot, n: int) -> dict[str, Any]:
    """What is drawn of a table, the first row on top: it has the last value, as in a picture."""
    colours = RATIO.cmap(shades(found.mean))
    rows, columns = found.mean.shape
    cells = [
        [_cell(found, row, column, to_hex(colours[row, column])) for column in range(columns)]
        for row in reversed(range(rows))
    ]
    mean = f"; mean over {', '.join(found.averaged)}" * bool(found.averaged)
    return {
        "title": metric_title(found.metric),
        "note": f"{n:,} samples{mean}",
        "rows": [axis_label(value) if found.y else "" for value in reversed(found.y_values)],
        "columns": [axis_label(value) for value in found.x_values],
        "cells": cells,
    }


def _cell(found: Pivot, row: int, column: int, colour: str) -> dict[str, str] | None:
    """A cell; None where there is no setting."""
    settings = found.settings[row][column]
    if not settings:
        return None
    value, error = found.mean[row, column], found.error[row, column]
    spread = f" ± {error:.2g}" if np.isfinite(error) else ""
    several = f" (mean of {len(settings)} settings)" * (len(settings) > 1)
    help = f"{value:.4g}{spread}{several}: {describe(axis_values(settings[0]))}"
    return {"text": _short(value), "colour": colour, "help": help}


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
    if not setting.row.networks:  # the guide of another method stays in its menu
        guide = default_models(setting.distribution, setting.classes, library)[1] if state.guide.exact else state.guide
        setting = replace(setting, guide=guide)
    return replace(state, **vars(setting))


ACTIONS: dict[str, Action] = {
    "open-sweep": lambda session, _, buffers: session.kept(OpenSweep).open(b"".join(buffers)),
    "sweep-view": lambda session, values, _: session.kept(OpenSweep).look(values),
    "sweep-cell": lambda session, values, _: session.kept(OpenSweep).show(values.get("row"), values.get("column")),
}
