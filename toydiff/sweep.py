"""Sweeps: the samples of many settings, measured; together where they are compiled alike, and resumed where ended."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from time import monotonic
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toydiff import datasets
from toydiff.checks import InputError, choice, count, shown
from toydiff.devices import on_all_cores, threads
from toydiff.guidance import Guided
from toydiff.metrics import METRICS, Reference, evaluate
from toydiff.mixture import as_key
from toydiff.progress import deferred_interrupt, progress_bar
from toydiff.sampling import sample, starting_points
from toydiff.schedules import SIGMA_MAX
from toydiff.setting import Setting, as_list, settings_of
from toydiff.storage import PathLike, check_writable
from toydiff.sweep_table import Sweep, load_sweep, save_sweep

DEFAULT_METRICS = ("outlier_rate_0.001", "branch_coverage", "sliced_wasserstein")
SECONDS_BETWEEN_SAVES = 2.0
CELLS_AT_ONCE = 16
"""On an accelerator."""


def run_sweep(
    grid: Mapping[str, Iterable[Any]],
    *,
    n: int = 4096,
    metrics: Iterable[str] = DEFAULT_METRICS,
    out: PathLike | None = None,
    progress: bool = True,
) -> Sweep:
    """Sample and measure every setting of a grid, each as `sample` and `evaluate` would with its seed.

    Settings of one seed start from the same noise, so that their differences are those of the settings.

    Args:
        grid: values of some of the axes, the fields of `toydiff.setting.Setting`; all their combinations are measured.
        n: samples of each.
        metrics: rows of `toydiff.METRICS`.
        out: the table's file, .csv. It is written while the sweep goes on; what it already holds is not measured again.
        progress: show a bar.

    Returns:
        The table, of all that is in the file; after Ctrl-C of what was finished, and it says that it was interrupted.

    Raises:
        InputError: the grid is empty or has values that cannot be, a model does not exist, or the file is of another
            n, set of metrics or version: all before any work. Or samples became NaN: after all other settings were
            measured and written.
    """
    settings, n = settings_of(grid), count("n", n)
    table = _open_table(n, metrics, out)
    missing = {setting: setting.model() for setting in settings if setting not in table.rows}
    finished, saved = 0, monotonic()
    lost: dict[Setting, InputError] = {}
    bar = progress_bar(total=len(missing), unit="setting", show=progress)
    with deferred_interrupt() as interrupted, bar:
        try:
            for chunk in _chunks(missing):
                if interrupted():
                    break
                for setting, x in _sample_together(chunk, n).items():
                    try:
                        table.rows[setting] = _measure(setting, x, table.metrics)
                    except InputError as error:  # the other settings are worth having
                        lost[setting] = error
                    bar.update()
                finished += len(chunk)
                if out is not None and monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    save_sweep(out, table)
                    saved = monotonic()
        finally:
            if out is not None and missing:
                save_sweep(out, table)
    if finished < len(missing):
        return replace(table, interrupted=True)
    for setting, reason in lost.items():
        measured = f"{len(missing) - len(lost)} of {len(missing)} settings were measured"
        raise InputError(f"{measured}, not {setting}: {reason}")
    return table


def _open_table(n: int, metrics: Iterable[str], out: PathLike | None) -> Sweep:
    """An empty table, or the one in the file if it is of the same kind."""
    names = dict.fromkeys(choice("metric", name, METRICS) for name in as_list("the list of metrics", metrics))
    if not names:
        raise InputError(f"the list of metrics is empty; it must have one or more of {', '.join(METRICS)}")
    wanted = Sweep(n, tuple(names))
    if out is None:
        return wanted
    if not isinstance(out, str | os.PathLike) or Path(out).suffix != ".csv":
        raise InputError(f"the table's file is {shown(out)}; it must be a path that ends in .csv")
    check_writable(out)
    if not Path(out).exists():
        return wanted
    found = load_sweep(out)
    for what in ("n", "metrics", "version"):
        had, now = getattr(found, what), getattr(wanted, what)
        if had != now:
            raise InputError(f"{out} has {what} {_listed(had)}, not {_listed(now)}; sweep into another file")
    return found


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _chunks(models: Mapping[Setting, Guided]) -> Iterator[dict[Setting, Guided]]:
    """The settings in groups that are compiled alike, a few at a time."""
    groups: dict[Any, dict[Setting, Guided]] = {}
    for setting, model in models.items():
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(model))
        alike = jax.tree.structure(model), shapes, setting.solver, setting.steps
        groups.setdefault(alike, {})[setting] = model
    size = threads() if jax.default_backend() == "cpu" else CELLS_AT_ONCE
    for group in groups.values():
        items = list(group.items())
        yield from (dict(items[i : i + size]) for i in range(0, len(items), size))


def _sample_together(chunk: Mapping[Setting, Guided], n: int) -> dict[Setting, np.ndarray]:
    """The samples [n, 2] of settings that are compiled alike: one map over their stacked models and starts."""
    cells = [
        (model, starting_points(model, setting.seed, n, SIGMA_MAX, None), jax.random.key_data(as_key(setting.seed)))
        for setting, model in chunk.items()
    ]
    leaves, structure = jax.tree.flatten(jax.tree.map(lambda *parts: jnp.stack(parts), *cells))
    setting = next(iter(chunk))
    solve = partial(_solve_cells, structure=structure, solver=setting.solver, steps=setting.steps)
    samples = on_all_cores(lambda _, *leaves: solve(leaves), None, 1, *leaves)
    return dict(zip(chunk, np.asarray(samples), strict=True))


@partial(jax.jit, static_argnames=("structure", "solver", "steps"))
def _solve_cells(leaves: Sequence[jax.Array], *, structure: Any, solver: str, steps: int) -> jax.Array:
    """The samples [cells, n, 2] of stacked cells, one after the other on a CPU, where more at once are no faster."""

    def solve(cell: tuple[Guided, jax.Array, jax.Array]) -> jax.Array:
        model, start, key = cell
        return sample(model, key, len(start), start=start, solver=solver, steps=steps, path=False).samples

    together = None if jax.default_backend() == "cpu" else CELLS_AT_ONCE
    return jax.lax.map(solve, jax.tree.unflatten(structure, leaves), batch_size=together)


def _measure(setting: Setting, x: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    """Each metric and its error; NaN where it does not apply, as leakage where there is no other class."""
    reference = reference_of(datasets.open_distribution(setting.distribution), setting.classes)
    scores = evaluate(x, reference, seed=setting.seed, metrics={name: METRICS[name] for name in metrics})
    unknown = {column: math.nan for name in metrics for column in (name, f"{name}_error")}
    values = {name: score.value for name, score in scores.items()}
    return unknown | values | {f"{name}_error": score.error for name, score in scores.items()}


@lru_cache(maxsize=8)
def reference_of(source: datasets.Source, classes: str) -> Reference:
    """What samples of these classes are compared with; kept, for preparing it takes as long as ten settings."""
    whole = datasets.distribution(source, datasets.all_classes(source))
    return Reference(datasets.distribution(source, classes), whole=whole)
