"""The axes of a sweep, and grids of settings over them."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from toydiff.base.checks import InputError, choice, count, number, parse_number, shown
from toydiff.base.score_model import LARGEST_SIGMA
from toydiff.distributions import catalogue
from toydiff.guidance.methods import METHODS, all_knobs
from toydiff.guidance.named import default_guide_networks
from toydiff.guidance.row import MAX_WEIGHT
from toydiff.measuring.setting import ModelChoice, Setting
from toydiff.networks.bundles import default_main
from toydiff.sampling.solvers import SOLVERS

LONGEST_RANGE = 10_000
"""Values of a range such as 0:1:0.001."""
LARGEST_END = 1e15
"""Of a range: up to here all whole numbers are exact."""
MOST_SETTINGS = 1_000_000
"""Combinations of a grid: more would take weeks."""


class Axis(NamedTuple):
    """What can be swept."""

    check: Callable[[Any], Any]
    """Takes a value, and refuses it or hands it on."""
    read: Callable[[Setting], Any]
    """The value of a setting; None where it has none, as the width of a guide that there is not."""


def _of_main(name: str) -> Callable[[Setting], Any]:
    return lambda setting: getattr(setting.main, name)


def _of_guide(name: str) -> Callable[[Setting], Any]:
    return lambda setting: getattr(setting.guide, name) if setting.row.networks else None


def _field(name: str) -> Callable[[Setting], Any]:
    return lambda setting: getattr(setting, name)


def _knob(name: str, low: float, high: float) -> Axis:
    return Axis(lambda v: number(name, v, low, high), lambda setting: setting.knob(name))


def _known_distribution(name: Any) -> Any:
    if not isinstance(catalogue.open_distribution(name), str):
        known = ", ".join(catalogue.DISTRIBUTIONS)
        raise InputError(f"distribution is {shown(name)}, a drawing, which has no bundled networks; there are {known}")
    return name


AXES: dict[str, Axis] = {
    "method": Axis(lambda v: choice("method", v, METHODS), _field("method")),
    "weight": Axis(lambda v: number("weight", v, 0, MAX_WEIGHT), _field("weight")),
    "lo": Axis(lambda v: number("lo", v, 0), lambda setting: setting.interval[0]),
    "hi": Axis(lambda v: number("hi", v, 0), lambda setting: setting.interval[1]),
    **{name: _knob(name, knob.low, knob.high) for name, knob in all_knobs().items()},
    "distribution": Axis(_known_distribution, _field("distribution")),
    "classes": Axis(lambda v: v, _field("classes")),
    "main_width": Axis(lambda v: count("main_width", v), _of_main("width")),
    "main_steps": Axis(lambda v: count("main_steps", v), _of_main("steps")),
    "main_ema": Axis(lambda v: number("main_ema", v, above=0), _of_main("ema")),
    "guide_width": Axis(lambda v: count("guide_width", v), _of_guide("width")),
    "guide_steps": Axis(lambda v: count("guide_steps", v), _of_guide("steps")),
    "guide_ema": Axis(lambda v: number("guide_ema", v, above=0), _of_guide("ema")),
    "training_seed": Axis(lambda v: count("training_seed", v, 0, 2**32 - 1), _of_main("seed")),
    "solver": Axis(lambda v: choice("solver", v, SOLVERS), _field("solver")),
    "steps": Axis(lambda v: count("steps", v, 1, 100_000), _field("steps")),
    "seed": Axis(lambda v: count("seed", v, 0, 2**32 - 1), _field("seed")),
}
"""By name; knobs of the methods are among them."""
TEXT_AXES = ("method", "distribution", "classes", "solver")
SEEDS = ("training_seed", "seed")
"""Axes over which the same thing is tried again."""


def axis_values(setting: Setting) -> dict[str, Any]:
    """The value of a setting on each axis."""
    return {name: axis.read(setting) for name, axis in AXES.items()}


def describe(values: Mapping[str, Any]) -> str:
    """Axes and their values in a line, those without a value left out."""
    return ", ".join(f"{axis}={_text(value)}" for axis, value in values.items() if value is not None)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def make_setting(**values: Any) -> Setting:
    """A setting from its values on some axes; the others are those of the paper, or of the distribution's own models.

    What a method does not take is the same for all its settings, so that equal pictures are equal settings.

    Raises:
        InputError: there is no such axis, or a value is of the wrong type or out of range.
    """
    for axis in values:
        choice("axis", axis, AXES)
    given = {axis: AXES[axis].check(value) for axis, value in values.items() if value is not None}
    start = default_setting(given.get("method", "autoguidance"), given.get("distribution", "fractal_tree"))
    if "classes" in given:
        choice("classes", given["classes"], catalogue.class_choices(catalogue.all_classes(start.distribution)))
    main, guide = ({n: given[f"{m}_{n}"] for n in _SIZES if f"{m}_{n}" in given} for m in ("main", "guide"))
    if "training_seed" in given:
        main["seed"] = guide["seed"] = given["training_seed"]
    if not start.row.networks:
        guide = {}
    changed: dict[str, Any] = {
        name: given[name] for name in ("classes", "weight", "solver", "steps", "seed") if name in given
    }
    if start.row.is_guided:
        hi = given.get("hi", math.inf)
        changed["interval"] = given.get("lo", 0.0), hi if hi < LARGEST_SIGMA else math.inf
    changed["knobs"] = {name: given[name] for name in start.row.other_knobs if name in given}
    return replace(start, main=replace(start.main, **main), guide=replace(start.guide, **guide), **changed)


_SIZES = ("width", "steps", "ema")


def default_setting(method: str, source: catalogue.Source) -> Setting:
    """A method of a distribution with the models that it has where none are named."""
    main, guides = default_main(source), default_guide_networks(method, source)
    classes, chosen = main.split("/")[0], ModelChoice.named(main)
    setting = Setting(method, METHODS[method].weight, distribution=source, classes=classes, main=chosen)
    return replace(setting, guide=ModelChoice.named(guides[0])) if guides else setting


def settings_of(grid: Mapping[str, Iterable[Any]]) -> tuple[Setting, ...]:
    """Every combination of the values of the axes, each once; the first axis changes most slowly.

    Raises:
        InputError: the grid is empty or too large, an axis is empty, there is no such axis, or a value cannot be.
    """
    if not isinstance(grid, Mapping):
        raise InputError(f"the grid is {shown(grid)}; it must be a dictionary from axes to lists of values")
    if not grid:
        raise InputError(f"the grid is empty; give values to some of the axes {', '.join(AXES)}")
    lists = {choice("axis", axis, AXES): as_list(f"axis {axis}", values) for axis, values in grid.items()}
    for axis, values in lists.items():
        if not values:
            raise InputError(f"axis {axis} is empty; it must have one value or more")
    if math.prod(map(len, lists.values())) > MOST_SETTINGS:
        raise InputError(f"the grid has more than {MOST_SETTINGS:,} combinations; leave some of its values out")
    cells = itertools.product(*lists.values())
    return tuple(dict.fromkeys(make_setting(**dict(zip(lists, cell, strict=True))) for cell in cells))


def as_list(name: str, values: Any) -> list[Any]:
    """The values of a list, an array, a generator or the like; of an endless one as many as a grid cannot have.

    Raises:
        InputError: it is a text, or nothing that has values.
    """
    try:
        if not isinstance(values, str | bytes):
            return list(itertools.islice(values, MOST_SETTINGS + 1))
    except TypeError:
        pass
    raise InputError(f"{name} is {shown(values)}; it must be a list of values")


def parse_grid(words: Sequence[str]) -> dict[str, list[Any]]:
    """A grid from words such as method=cfg,autoguidance and weight=1:4:0.5: lists, and ranges that hold their end.

    Raises:
        InputError: a word has no "=", names an axis again, or has a range that cannot be.
    """
    grid: dict[str, list[Any]] = {}
    for word in words:
        axis, equals, text = word.partition("=")
        if not equals or not axis:
            raise InputError(f"cannot read {word!r}; give an axis and its values, such as weight=1:4:0.5 or seed=0,1")
        if axis in grid:
            raise InputError(f"axis {axis} is there twice; name all its values at once, such as {axis}={text},...")
        is_text = axis in TEXT_AXES
        parts = [part.strip() for part in text.split(",") if part.strip()]
        grid[axis] = [v for part in parts for v in ([part] if is_text else _parse_range(axis, part))]
    return grid


def _parse_range(axis: str, text: str) -> list[Any]:
    """The values of START:STOP:STEP, both ends among them, or one value."""
    if ":" not in text:
        return [parse_number(text)]
    ends = [parse_number(part) for part in text.split(":")]
    if len(ends) != 3 or not all(isinstance(end, int | float) and abs(end) <= LARGEST_END for end in ends):
        raise InputError(
            f"{axis} has the range {shown(text)}; it must be START:STOP:STEP, three numbers of at most {LARGEST_END:g}"
        )
    start, stop, step = ends
    length = (stop - start) / step + 1e-6 if step else -1
    if not 0 <= length < LONGEST_RANGE:
        raise InputError(f"{axis} has the range {text!r}; its steps must lead from start to stop, fewer than 10,000")
    steps = math.floor(length)
    return [start + i * step if isinstance(step, int) else round(start + i * step, 10) for i in range(steps + 1)]
