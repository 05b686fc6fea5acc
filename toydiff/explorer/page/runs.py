"""What the page shows: the same noise under several methods and guides, at every weight of a grid."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from toydiff.base.checks import InputError, choice, several
from toydiff.explorer.compute import Quality, outliers, trajectory
from toydiff.explorer.frames import numbers
from toydiff.explorer.state import State, with_method
from toydiff.guidance.methods import METHODS
from toydiff.guidance.row import Method
from toydiff.measuring.setting import ModelChoice
from toydiff.networks.library import BUNDLE

LEVELS = (0, 5, 9, 12, 15, 17, 19, 21, 23, 25, 28, 32)
"""Of the solver's 32 steps those whose points are kept; between them the points go nearly straight in
x* = x / sqrt(sigma^2 + sigma_data^2): the median error is below 0.02, where the data has standard deviation 0.5."""
GRID = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Weights, in steps from w = 1 on."""
WIDE, NARROW = 0.25, 0.1
"""A step of the grid, and that for methods whose own weight is below 2, as truncation's."""
PAPERS = ("unguided", "cfg", "truncation", "autoguidance")
"""The methods of the paper's Figure 1."""


class Run(NamedTuple):
    """A method with one guide, from the same noise at every weight."""

    states: Sequence[State]  # one for each weight
    path: np.ndarray  # the points that are shown, at the noise levels of LEVELS: [weights, levels, points, 2]
    outliers: np.ndarray  # which of them end as outliers, [weights, points]
    numbers: list[dict[str, Any]]  # for each weight, of more samples than are shown

    @property
    def method(self) -> str:
        """Of all its states."""
        return self.states[0].method

    @property
    def sized(self) -> bool:
        """Whether its guide is a network, of which there are several sizes."""
        return bool(self.states[0].row.networks) and not self.states[0].guide.exact


def weights_of(row: Method) -> tuple[float, ...]:
    """The weights of a method's grid; a method without guidance has one."""
    unit = WIDE if row.weight >= 2 else NARROW
    return tuple(round(1 + unit * step, 2) for step in GRID) if row.is_guided else (1.0,)


def guides_of(state: State) -> list[ModelChoice]:
    """The guides that the page offers in place of the state's.

    Of bundled networks every width up to that of the main model, each with three lengths of training: the
    shortest, the state's and the longest.
    """
    if not state.row.networks or state.guide.exact:
        return [state.guide]
    widths, steps = BUNDLE.available(state.distribution, state.guide.family)
    widths = [width for width in widths if state.main.exact or width <= max(state.main.width, state.guide.width)]
    lengths = sorted({steps[0], state.guide.steps, steps[-1]}) if len(steps) > 3 else steps
    return [replace(state.guide, width=width, steps=length) for width in widths for length in lengths]


def states_of(state: State, methods: Sequence[str]) -> list[list[State]]:
    """The states of every run, one for each weight.

    Raises:
        InputError: there is no method, or no such one, or one is there twice.
    """
    methods = [choice("method", name, METHODS) for name in several("methods", methods)]
    if not methods or len(set(methods)) < len(methods):
        raise InputError(f"methods are {', '.join(methods) or 'none'}; name one or more, each once")
    rows = [replace(state_of(state, name), weight=1.0, weight_curve=None) for name in methods]
    return [
        [replace(row, weight=weight, guide=guide) for weight in weights_of(row.row)]
        for row in rows
        for guide in guides_of(row)
    ]


def state_of(state: State, method: str) -> State:
    """The state, or another method with what it brings; its guide only where the state has its method's own."""
    if method == state.method:
        return state
    usual = state.guide == with_method(state, state.method).guide
    changed = with_method(state, method)
    return changed if usual else replace(changed, guide=state.guide)


def compute_runs(states: Sequence[Sequence[State]], points: int, samples: int) -> Iterator[Run]:
    """The runs of `states_of`, one after the other: of `samples` that are measured, the first `points` are shown."""
    quality = Quality(samples, 0)
    for run in states:
        paths = [np.asarray(trajectory(state, quality).x)[list(LEVELS), :points] for state in run]
        ends = [outliers(state, quality)[:points] for state in run]
        yield Run(run, np.stack(paths), np.stack(ends), [numbers(state, quality).header for state in run])
