"""The table of a sweep: a row for each setting, to and from CSV, and seen over one or two of its axes."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from toydiff.base.checks import InputError, choice, count, parse_number, shown
from toydiff.base.files import PathLike, write_bytes
from toydiff.base.version import __version__
from toydiff.measuring.metrics import METRICS
from toydiff.measuring.setting import Setting
from toydiff.measuring.sweep_axes import AXES, SEEDS, TEXT_AXES, axis_values, make_setting

FORMAT = 1
"""Version of the file's layout; raised when an older toydiff could not read it."""


@dataclass(frozen=True)
class Sweep:
    """What was measured, setting by setting."""

    n: int
    """Samples of each setting."""
    metrics: tuple[str, ...]
    """Rows of `toydiff.METRICS`."""
    rows: dict[Setting, dict[str, float]] = field(default_factory=dict)
    """By setting the value in each of `columns`."""
    version: str = __version__
    """Of the toydiff that measured."""
    interrupted: bool = False
    """Whether Ctrl-C ended it before all settings were measured."""

    @property
    def columns(self) -> list[str]:
        """What is measured of each setting: each metric and its standard error."""
        return [column for metric in self.metrics for column in (metric, f"{metric}_error")]

    @property
    def axes(self) -> list[str]:
        """The axes on which the settings differ."""
        return [name for name, axis in AXES.items() if len({axis.read(setting) for setting in self.rows} - {None}) > 1]


def save_sweep(path: PathLike, sweep: Sweep) -> None:
    """Write the table as CSV, whole or not at all: a comment with a JSON header, then a row for each setting.

    `pandas.read_csv(path, comment="#")` reads it.

    Raises:
        InputError: it cannot be written; what stood there before is untouched.
    """
    header = {"toydiff": "sweep", "format": FORMAT, "version": sweep.version}
    text = io.StringIO()
    text.write(f"# {json.dumps(header | {'n': sweep.n, 'metrics': sweep.metrics})}\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*AXES, *sweep.columns])
    for setting, values in sweep.rows.items():
        cells = [*axis_values(setting).values(), *(values[name] for name in sweep.columns)]
        table.writerow(["" if cell is None else cell for cell in cells])
    write_bytes(path, text.getvalue().encode())


def load_sweep(path: PathLike) -> Sweep:
    """The table that `save_sweep` wrote.

    Raises:
        InputError: there is no such file, it is not a sweep, of another version, or a row cannot be read.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123, a path may be a text
            content = file.read()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        return read_sweep(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_sweep(content: bytes) -> Sweep:
    """The table in the content of a file; errors as for `load_sweep`."""
    try:
        first, *lines = content.decode("utf-8-sig").splitlines()  # spreadsheets put a mark before the text
        header = json.loads(first.removeprefix("#"))
        kind, version = header["toydiff"], header["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError("it is not a sweep; toydiff sweep writes one") from None
    if kind != "sweep":
        raise InputError(f"it is a {shown(kind)}; a sweep is wanted")
    if version != FORMAT:
        raise InputError(f"it has format {shown(version)}; this toydiff reads format {FORMAT}")
    sweep = _empty(header)
    if not content.endswith(b"\n"):  # a number cut short would be read as another one
        raise InputError("its last line is cut off; take it out to go on")
    try:
        columns, *table = [*csv.reader(lines)] or [[]]
    except csv.Error as error:
        raise InputError(f"its table cannot be read ({error}); sweep into another file") from None
    if columns != [*AXES, *sweep.columns]:
        raise InputError("its columns are not those of its first line and of this toydiff; sweep into another file")
    for line, cells in enumerate(table, 3):
        setting, values = _read_row(cells, columns, line)
        if setting in sweep.rows:
            first_line = 3 + [*sweep.rows].index(setting)
            raise InputError(f"line {line} has the setting of line {first_line} again; take one of them out to go on")
        sweep.rows[setting] = values
    return sweep


def _empty(header: dict[str, Any]) -> Sweep:
    """The table of a header, without rows."""
    try:
        n, metrics, version = header["n"], header["metrics"], header["version"]
    except KeyError:
        raise InputError("its first line has lost n, metrics or version; sweep again into another file") from None
    names = isinstance(metrics, list) and all(isinstance(name, str) for name in metrics)
    if not names or not metrics or len(set(metrics)) < len(metrics):
        raise InputError(f"metrics are {shown(metrics)}; they must be a list of different names")
    return Sweep(count("n", n), tuple(metrics), {}, str(version))


def _read_row(cells: list[str], columns: list[str], line: int) -> tuple[Setting, dict[str, float]]:
    if len(cells) != len(columns):
        raise InputError(f"line {line} has {len(cells)} cells, not {len(columns)}; take the line out to go on")
    row = dict(zip(columns, cells, strict=True))
    try:
        axes = {axis: row[axis] if axis in TEXT_AXES else parse_number(row[axis]) for axis in AXES if row[axis]}
        return make_setting(**axes), {name: float(row[name]) for name in columns[len(AXES) :]}
    except ValueError as error:
        raise InputError(f"line {line}: {error}") from None


class Pivot(NamedTuple):
    """A metric over one or two axes; the other axes are averaged."""

    metric: str
    x: str
    y: str | None
    x_values: list[Any]
    """Rising, or for words in the order of the table."""
    y_values: list[Any]
    """Likewise; [None] without a second axis."""
    mean: np.ndarray
    """[y_values, x_values], NaN where there is no setting."""
    error: np.ndarray
    """Standard error of the mean over the seeds; that of the metric where there is one seed only."""
    settings: list[list[list[Setting]]]
    """Those that were averaged, by y and x."""
    averaged: tuple[str, ...]
    """The axes that were."""


def pivot(sweep: Sweep, metric: str, x: str, y: str | None = None) -> Pivot:
    """The means of a metric at each value of one axis, or at each pair of values of two.

    The runs of a seed (of the training and of the noise) are averaged first, then the seeds; the spread between these
    gives the error, and with one seed the errors of the metric itself, as if they were independent.

    Raises:
        InputError: there is no such axis or metric in the table, both axes are the same, or the table is empty.
    """
    choice("metric", metric, sweep.metrics)
    choice("axis x", x, AXES)
    if y is not None and choice("axis y", y, AXES) == x:
        raise InputError(f"both axes are {x}; choose two different ones")
    if not sweep.rows:
        raise InputError("the sweep has no rows yet")
    xs, ys = _values(sweep, x), [None] if y is None else _values(sweep, y)
    settings: list[list[list[Setting]]] = [[[] for _ in xs] for _ in ys]
    for setting in sweep.rows:
        row = 0 if y is None else ys.index(AXES[y].read(setting))
        settings[row][xs.index(AXES[x].read(setting))].append(setting)
    summaries = [[_summarise(sweep, metric, cell) for cell in row] for row in settings]
    mean, error = np.moveaxis(np.array(summaries, float), -1, 0)
    averaged = tuple(axis for axis in sweep.axes if axis not in (x, y))
    return Pivot(metric, x, y, xs, ys, mean, error, settings, averaged)


def _values(sweep: Sweep, axis: str) -> list[Any]:
    values = dict.fromkeys(AXES[axis].read(setting) for setting in sweep.rows)
    if axis in TEXT_AXES:
        return list(values)
    return sorted(values, key=lambda value: (value is None, value))


def _summarise(sweep: Sweep, metric: str, settings: Sequence[Setting]) -> tuple[float, float]:
    """Mean over the seeds and its standard error."""
    if not settings:
        return np.nan, np.nan
    runs: dict[tuple[int, ...], list[float]] = {}
    for setting in settings:
        runs.setdefault(tuple(AXES[axis].read(setting) for axis in SEEDS), []).append(sweep.rows[setting][metric])
    means = [float(np.mean(values)) for values in runs.values()]
    if len(means) > 1:
        return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(len(means)))
    errors = [sweep.rows[setting][f"{metric}_error"] for setting in settings]
    return means[0], float(np.linalg.norm(errors)) / len(errors)


def metric_title(metric: str) -> str:
    """A metric as it stands over a picture, with the way that is better."""
    if metric not in METRICS:
        return metric
    row = METRICS[metric]
    return f"{row.title} ({'nearer to exact' if row.better == 'as exact' else row.better} is better)"
