"""Sweeps: the samples of many settings, measured; together where they are compiled alike, and resumed where ended."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.checks import InputError, count
from toydiff.base.devices import on_all_cores, threads
from toydiff.base.files import PathLike
from toydiff.base.hosts import Team
from toydiff.base.progress import deferred_interrupt, progress_bar
from toydiff.base.random import as_key
from toydiff.guidance.guided import Guided
from toydiff.measuring.metrics import METRICS, USUAL, evaluate
from toydiff.measuring.reference import reference_of
from toydiff.measuring.setting import Setting
from toydiff.measuring.sweep_axes import as_list, axis_values, describe, settings_of
from toydiff.measuring.sweep_files import begin_parts, in_order, open_table, put_together
from toydiff.measuring.sweep_table import Sweep, save_sweep
from toydiff.sampling.sampler import sample, starting_points
from toydiff.sampling.schedules import SIGMA_MAX

SECONDS_BETWEEN_SAVES = 2.0
CELLS_AT_ONCE = 16
"""On an accelerator."""


def run_sweep(
    grid: Mapping[str, Iterable[Any]],
    *,
    n: int = 4096,
    metrics: Iterable[str] = USUAL,
    out: PathLike | None = None,
    progress: bool = True,
) -> Sweep:
    """Sample and measure every setting of a grid, each as `sample` and `evaluate` would with its seed.

    Settings of one seed start from the same noise, so that their differences are those of the settings.

    Several processes that joined (`toydiff.hosts.join`) call it alike and share the settings: each writes its rows into
    a part file beside the table, and in the end the first puts the parts together. Parts that an ended sweep left
    are taken in by the next, of however many processes.

    Args:
        grid: values of some of the axes, see `toydiff sweep --help`; all their combinations are measured.
        n: samples of each.
        metrics: rows of `toydiff.METRICS`.
        out: the table's file, .csv. It is written while the sweep goes on; what it already holds is not measured again.
        progress: show a bar.

    Returns:
        The table, of all that is in the file; after Ctrl-C of what was finished, and it says that it was interrupted.

    Raises:
        InputError: the grid is empty or has values that cannot be, a model does not exist, the file is of another
            n, set of metrics or version, or several processes do not see the same files: all before any work. Or
            samples became NaN: after all other settings were measured and written.
    """
    team = Team()
    try:
        settings, n = settings_of(grid), count("n", n)
        metrics = as_list("the list of metrics", metrics)
        table, parts = open_table(n, metrics, out)
        missing = {setting: setting.models().guided for setting in settings if setting not in table.rows}
    except InputError as error:  # the others must not wait for this process in `begin_parts`
        team.meet("read", str(error))
        raise
    own, file = table, out
    if team.size > 1:
        own, file = replace(table, rows={}), begin_parts(team, out, table, missing)
    elif out is not None and parts:
        put_together(out, in_order(table, settings), parts)
    with deferred_interrupt() as interrupted:
        stopping = partial(team.stopping, interrupted)
        write = partial(_write, file, own, settings)
        try:
            lost = _measure_all(_share(missing, team), own, write, stopping, progress)
        except InputError as error:  # as of a full disk: nobody must wait for this process
            team.stop()
            lost = [f"then the sweep ended: {error}"]
        reasons = team.meet("measured", lost[0] if lost else "", meanwhile=stopping) - {""}
        stopped = stopping()
    if team.size > 1:
        table = _join_parts(team, n, metrics, out, settings)
    measured = len(missing.keys() & table.rows.keys())
    if reasons:  # "then" is the last of them
        raise InputError(f"{measured} of {len(missing)} settings were measured, {max(reasons)}")
    return replace(in_order(table, settings), interrupted=stopped and measured < len(missing))


def _measure_all(
    missing: Mapping[Setting, Guided],
    table: Sweep,
    write: Callable[[], None],
    stopping: Callable[[], bool],
    progress: bool,
) -> list[str]:
    """Measure settings into the table, which is written now and then; those that were lost, and why."""
    saved = monotonic()
    lost = []
    with progress_bar(total=len(missing), unit="setting", show=progress) as bar:
        try:
            for chunk in _chunks(missing):
                if stopping():
                    break
                for setting, x in sample_together(chunk, table.n).items():
                    try:
                        table.rows[setting] = measure_setting(setting, x, table.metrics)
                    except InputError as error:  # the other settings are worth having
                        lost.append(f"not {describe(axis_values(setting))}: {error}")
                    bar.update()
                if monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    write()
                    saved = monotonic()
        finally:
            if missing:
                write()
    return lost


def _write(file: PathLike | None, table: Sweep, settings: Sequence[Setting]) -> None:
    if file is not None:
        save_sweep(file, in_order(table, settings))


def _join_parts(team: Team, n: int, metrics: Sequence[str], out: Any, settings: Sequence[Setting]) -> Sweep:
    """The table of all processes, which the first of them puts together while the others wait."""
    failure = ""
    if team.index == 0:
        try:
            table, parts = open_table(n, metrics, out)
            put_together(out, in_order(table, settings), parts)
        except InputError as error:
            failure = str(error)
    for reason in team.meet("joined", failure) - {""}:
        raise InputError(reason)
    return open_table(n, metrics, out)[0]


def _share(models: Mapping[Setting, Guided], team: Team) -> dict[Setting, Guided]:
    """The settings of this process. They are dealt out like cards, those that take equally long one after the other."""
    dealt = [item for group in _alike(models) for item in group.items()]
    return dict(dealt[team.index :: team.size])


def _chunks(models: Mapping[Setting, Guided]) -> Iterator[dict[Setting, Guided]]:
    """The settings in groups that are compiled alike, a few at a time."""
    size = threads() if jax.default_backend() == "cpu" else CELLS_AT_ONCE
    for group in _alike(models):
        items = list(group.items())
        yield from (dict(items[i : i + size]) for i in range(0, len(items), size))


def _alike(models: Mapping[Setting, Guided]) -> list[dict[Setting, Guided]]:
    """The settings in groups that are compiled alike."""
    groups: dict[Any, dict[Setting, Guided]] = {}
    for setting, model in models.items():
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(model))
        alike = jax.tree.structure(model), shapes, setting.solver, setting.steps
        groups.setdefault(alike, {})[setting] = model
    return list(groups.values())


def sample_together(chunk: Mapping[Setting, Guided], n: int) -> dict[Setting, np.ndarray]:
    """The samples [n, 2] of settings that are compiled alike: one map over their stacked models and starts."""
    cells = [
        (model, starting_points(model, setting.seed, n, SIGMA_MAX, None), jax.random.key_data(as_key(setting.seed)))
        for setting, model in chunk.items()
    ]
    leaves, structure = jax.tree.flatten(jax.tree.map(lambda *parts: jnp.stack(parts), *cells))
    setting = next(iter(chunk))
    solve = partial(solve_cells, structure=structure, solver=setting.solver, steps=setting.steps)
    samples = on_all_cores(lambda _, *leaves: solve(leaves), None, 1, *leaves)
    return dict(zip(chunk, np.asarray(samples), strict=True))


@partial(jax.jit, static_argnames=("structure", "solver", "steps"))
def solve_cells(leaves: Sequence[jax.Array], *, structure: Any, solver: str, steps: int) -> jax.Array:
    """The samples [cells, n, 2] of stacked cells, one after the other on a CPU, where more at once are no faster."""

    def solve(cell: tuple[Guided, jax.Array, jax.Array]) -> jax.Array:
        model, start, key = cell
        return sample(model, key, len(start), start=start, solver=solver, steps=steps, path=False).samples

    together = None if jax.default_backend() == "cpu" else CELLS_AT_ONCE
    return jax.lax.map(solve, jax.tree.unflatten(structure, leaves), batch_size=together)


def measure_setting(setting: Setting, x: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    """Each metric and its error; NaN where it does not apply, as leakage where there is no other class."""
    reference = reference_of(setting.distribution, setting.classes)
    scores = evaluate(x, reference, seed=setting.seed, metrics={name: METRICS[name] for name in metrics})
    unknown = {column: math.nan for name in metrics for column in (name, f"{name}_error")}
    values = {name: score.value for name, score in scores.items()}
    return unknown | values | {f"{name}_error": score.error for name, score in scores.items()}
