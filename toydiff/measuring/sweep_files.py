"""The files of a sweep that goes on: its table and, where several processes share it, a part for each of them."""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toydiff.base.checks import InputError, choice, shown
from toydiff.base.files import PathLike, check_writable
from toydiff.base.hosts import Team
from toydiff.measuring.metrics import METRICS
from toydiff.measuring.setting import Setting
from toydiff.measuring.sweep_table import Sweep, load_sweep, save_sweep


def open_table(n: int, metrics: Sequence[str], out: PathLike | None) -> tuple[Sweep, list[Path]]:
    """The table so far: what stands in the file and in the parts beside it. And these parts.

    Raises:
        InputError: there is no such metric, the file cannot be one or be read, or it or a part is of another kind.
    """
    names = dict.fromkeys(choice("metric", name, METRICS) for name in metrics)
    if not names:
        raise InputError(f"the list of metrics is empty; it must have one or more of {', '.join(METRICS)}")
    table = Sweep(n, tuple(names))
    if out is None:
        return table, []
    if not isinstance(out, str | os.PathLike) or Path(out).suffix != ".csv":
        raise InputError(f"the table's file is {shown(out)}; it must be a path that ends in .csv")
    check_writable(out)
    parts = _find_parts(Path(out))
    for file in [Path(out)] * Path(out).exists() + parts:
        table.rows.update(_load_same_kind(file, table).rows)
    return table, parts


def _load_same_kind(file: Path, wanted: Sweep) -> Sweep:
    found = load_sweep(file)
    for what in ("n", "metrics", "version"):
        had, now = getattr(found, what), getattr(wanted, what)
        if had != now:
            raise InputError(f"{file} has {what} {_listed(had)}, not {_listed(now)}; sweep into another file")
    return found


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def part_file(out: PathLike, index: int) -> Path:
    """Where a process writes its rows: sweep.part2.csv beside sweep.csv."""
    return Path(out).with_suffix(f".part{index}.csv")


def _find_parts(out: Path) -> list[Path]:
    name = re.compile(re.escape(out.stem) + r"\.part\d+\.csv")
    return sorted(file for file in out.parent.iterdir() if name.fullmatch(file.name))


def in_order(table: Sweep, settings: Sequence[Setting]) -> Sweep:
    """The table with the rows of a grid last and in its order, however the work was shared."""
    rows, grid = table.rows, set(settings)
    others = {setting: row for setting, row in rows.items() if setting not in grid}
    return replace(table, rows=others | {setting: rows[setting] for setting in settings if setting in rows})


def put_together(out: PathLike, table: Sweep, parts: Iterable[Path]) -> None:
    """Write the table, then remove the parts, whose rows it holds."""
    save_sweep(out, table)
    for part in parts:
        part.unlink(missing_ok=True)


def begin_parts(team: Team, out: PathLike | None, table: Sweep, missing: Iterable[Setting]) -> Path:
    """Have all processes begin alike; the file of this one's rows. Nothing is written before all have read.

    Raises:
        InputError: there is no file for the table, or the processes do not see the same files.
    """
    if out is None:
        raise InputError("several processes share this sweep: it needs out, the table's file, .csv")
    known = repr((table.n, table.metrics, table.version, list(missing)))
    if len(team.meet("read", hashlib.sha256(known.encode()).hexdigest())) > 1:
        raise InputError(f"the processes do not see the same {out}, or were not given the same grid, n and metrics")
    own = part_file(out, team.index)
    if team.index == 0 and (parts := _find_parts(Path(out))):
        put_together(out, table, parts)
    team.meet("tidied")
    save_sweep(own, replace(table, rows={}))
    team.meet("begun")
    for index in range(team.size):
        if not part_file(out, index).exists():
            raise InputError(f"{out} must be in a folder that all processes share; process {index} writes elsewhere")
    return own
