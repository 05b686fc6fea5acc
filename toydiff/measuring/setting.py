"""A cell of a sweep: all that decides which samples come out, and the grids of such settings."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toydiff.base.checks import InputError, choice, count, number, parse_number, shown
from toydiff.distributions import catalogue
from toydiff.guidance.guided import Guided
from toydiff.guidance.methods import METHODS
from toydiff.guidance.named import default_guides, guided_model
from toydiff.guidance.row import MAX_WEIGHT
from toydiff.networks.bundles import default_main
from toydiff.networks.names import ModelName, is_network
from toydiff.networks.recipe import Recipe
from toydiff.sampling.schedules import STEPS
from toydiff.sampling.solvers import SOLVERS

PAPER_EMA = Recipe().ema
LONGEST_RANGE = 10_000
"""Values of a range such as 0:1:0.001."""
LARGEST_END = 1e15
"""Of a range: up to here all whole numbers are exact."""
MOST_SETTINGS = 1_000_000
"""Combinations of a grid: more would take weeks."""


@dataclass(frozen=True)
class Setting:
    """One cell of a sweep; `make_setting` makes it, with defaults for what is not named.

    What a method does not take is the same for all its settings, so that equal pictures are equal settings: a
    weight of 1 at all noise levels for no guidance, None for the guide of a method that takes no network as a guide,
    a share of 0.5 for any method but the mix.
    """

    method: str
    weight: float  # w; 1 is no guidance
    lo: float  # the weight acts where lo < sigma <= hi
    hi: float
    share: float  # of autoguidance in the mix
    distribution: str  # by name
    classes: str  # that the main model is of
    main_width: int
    main_steps: int
    main_ema: float  # relative width of the average of the parameters
    guide_width: int | None
    guide_steps: int | None
    guide_ema: float | None
    training_seed: int  # of all networks
    solver: str
    steps: int
    seed: int  # of the noise

    @property
    def main(self) -> str:
        """The name of the main model in the zoo."""
        return _network(self.classes, self.main_width, self.main_steps, self.training_seed, self.main_ema)

    @property
    def guides(self) -> tuple[str, ...]:
        """The names of the guides in the zoo: CLASSES/WIDTH/STEPS, or HEAD/CLASS as of a classifier."""
        source = catalogue.open_distribution(self.distribution)
        return tuple(self._guide(name) for name in default_guides(self.method, source))

    def _guide(self, name: str) -> str:
        classes = name.split("/", maxsplit=1)[0]
        if not (is_network(name) and self.guide_width and self.guide_steps and self.guide_ema):
            return f"{classes}/{self.classes}"
        of = classes if len(classes) > 1 else self.classes  # all of them, or those that the main model is of
        return _network(of, self.guide_width, self.guide_steps, self.training_seed, self.guide_ema)

    def model(self) -> Guided:
        """The guided model.

        Raises:
            InputError: there is no such network, or the interval's ends are the wrong way round.
        """
        return guided_model(
            self.method,
            self.weight,
            main=self.main,
            guides=self.guides,
            interval=(self.lo, self.hi),
            share=self.share,
            distribution=catalogue.open_distribution(self.distribution),
        )

    def __str__(self) -> str:
        """The axes and their values, in a line."""
        return describe(asdict(self))


def describe(values: Mapping[str, Any]) -> str:
    """Axes and their values in a line, those without a value left out."""
    return ", ".join(f"{axis}={_text(value)}" for axis, value in values.items() if value is not None)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _network(classes: str, width: int, steps: int, seed: int, ema: float) -> str:
    return str(ModelName(classes, width, steps, seed=seed, ema=None if ema == PAPER_EMA else ema))


def _known_distribution(name: Any) -> Any:
    if not isinstance(catalogue.open_distribution(name), str):
        known = ", ".join(catalogue.DISTRIBUTIONS)
        raise InputError(f"distribution is {shown(name)}, a drawing, which has no bundled networks; there are {known}")
    return name


AXES: dict[str, Callable[[Any], Any]] = {
    "method": lambda v: choice("method", v, METHODS),
    "weight": lambda v: number("weight", v, 0, MAX_WEIGHT),
    "lo": lambda v: number("lo", v, 0),
    "hi": lambda v: number("hi", v, 0),
    "share": lambda v: number("share", v, 0, 1),
    "distribution": _known_distribution,
    "classes": lambda v: v,
    "main_width": lambda v: count("main_width", v),
    "main_steps": lambda v: count("main_steps", v),
    "main_ema": lambda v: number("main_ema", v, above=0),
    "guide_width": lambda v: count("guide_width", v),
    "guide_steps": lambda v: count("guide_steps", v),
    "guide_ema": lambda v: number("guide_ema", v, above=0),
    "training_seed": lambda v: count("training_seed", v, 0, 2**32 - 1),
    "solver": lambda v: choice("solver", v, SOLVERS),
    "steps": lambda v: count("steps", v, 1, 100_000),
    "seed": lambda v: count("seed", v, 0, 2**32 - 1),
}
"""What can be swept, the fields of `Setting`: each takes a value, refuses it or hands it on."""
TEXT_AXES = ("method", "distribution", "classes", "solver")
SEEDS = ("training_seed", "seed")
"""Axes over which the same thing is tried again."""


def make_setting(**values: Any) -> Setting:
    """A setting from some of its fields; the others are those of the paper, or of the distribution's default models.

    Raises:
        InputError: there is no such axis, or a value is of the wrong type or out of range.
    """
    for axis in values:
        choice("axis", axis, AXES)
    given = {axis: AXES[axis](value) for axis, value in values.items() if value is not None}
    method, name = given.get("method", "autoguidance"), given.get("distribution", "fractal_tree")
    source = catalogue.open_distribution(name)
    if "classes" in given:
        choice("classes", given["classes"], catalogue.class_choices(catalogue.all_classes(source)))
    classes, width, steps = default_main(source).split("/")
    guide = _default_guide(method, source)
    defaults = {
        "method": method,
        "weight": METHODS[method].weight,
        "lo": 0.0,
        "hi": math.inf,
        "share": 0.5,
        "distribution": name,
        "classes": classes,
        "main_width": int(width),
        "main_steps": int(steps),
        "main_ema": PAPER_EMA,
        "training_seed": 0,
        "solver": "heun",
        "steps": STEPS,
        "seed": 0,
    }
    effectless = {} if guide["guide_width"] else guide
    if method == "unguided":
        effectless |= {axis: defaults[axis] for axis in ("weight", "lo", "hi")}
    if method != "mix":
        effectless["share"] = defaults["share"]
    return Setting(**defaults | guide | given | effectless)


def _default_guide(method: str, source: catalogue.Source) -> dict[str, Any]:
    """Width, steps and average of a method's guides; None where they are no networks of the zoo."""
    networks = [name for name in default_guides(method, source) if is_network(name)]
    width, steps = map(int, networks[0].split("/")[1:]) if networks else (None, None)
    return {"guide_width": width, "guide_steps": steps, "guide_ema": PAPER_EMA if networks else None}


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
