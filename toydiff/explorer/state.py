"""All that a person has set in the explorer, as one frozen value that goes to and from JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from toydiff import datasets
from toydiff.checks import InputError, choice, count, number
from toydiff.guidance import MAX_WEIGHT, METHODS
from toydiff.plotting import FULL_VIEW, ZOOM_VIEW, View
from toydiff.sampling import STEPS
from toydiff.score_model import LARGEST_SIGMA
from toydiff.zoo import SNAPSHOTS, list_models

LAYERS: dict[str, str] = {
    "outlines": "class outlines",
    "samples": "samples",
    "outliers": "outliers in pink",
    "trajectories": "trajectories",
    "rescue": "lines from unguided to guided",
    "density_main": "density p1, main",
    "density_guide": "density p0, guide",
    "density_guided": "guided density",
    "ratio": "ratio p1/p0",
    "arrows_main": "score arrows, main",
    "arrows_guide": "score arrows, guide",
    "arrows_difference": "score arrows, difference",
    "arrows_guided": "score arrows, guided",
    "arrows_exact": "score arrows, exact",
}
"""What can be switched on and off, with its label, from back to front."""


@dataclass(frozen=True)
class ModelChoice:
    """A network of the zoo by width and steps of training, or the exact density in its place."""

    width: int = 64
    steps: int = SNAPSHOTS[-1]
    exact: bool = False


@dataclass(frozen=True)
class State:
    """The explorer's state.

    Raises:
        InputError: a field is out of range; the message names it and says what would be accepted.
    """

    method: str = "autoguidance"
    weight: float = 3.0  # w; 1 is no guidance
    interval: tuple[float, float] = (0.0, LARGEST_SIGMA)  # the weight acts where lo < sigma <= hi
    share: float = 0.5  # of autoguidance in the mix
    distribution: str = "fractal_tree"
    classes: str = "A"
    main: ModelChoice = ModelChoice()  # the paper's
    guide: ModelChoice = ModelChoice(32, 512)  # the paper's
    seed: int = 0  # of the noise
    points: int = 8192  # drawn when nothing moves
    step: int = STEPS  # of the solver: 0 is sigma_max, STEPS the data
    layers: tuple[str, ...] = ("outlines", "samples", "outliers")
    view: View = FULL_VIEW
    probe: tuple[float, float] | None = None  # the point that is looked at closely

    def __post_init__(self) -> None:
        choice("method", self.method, METHODS)
        choice("classes", self.classes, datasets.class_choices(datasets.all_classes(self.distribution)))
        for name in self.layers if isinstance(self.layers, Sequence) else [self.layers]:
            choice("layer", name, LAYERS)
        lo, hi = _numbers("interval", self.interval, 2)
        x, y, half_width = _numbers("view", self.view, 3)
        checked = {
            "weight": number("weight", self.weight, 0, MAX_WEIGHT),
            "interval": (number("interval lo", lo, 0, LARGEST_SIGMA), number("interval hi", hi, lo, LARGEST_SIGMA)),
            "share": number("share", self.share, 0, 1),
            "main": self._check_model("main", self.main),
            "guide": self._check_model("guide", self.guide),
            "seed": count("seed", self.seed, 0, 2**32 - 1),
            "points": count("points", self.points, 1, 100_000),
            "step": count("step", self.step, 0, STEPS),
            "layers": tuple(name for name in LAYERS if name in self.layers),  # one order, so that equal is equal
            "view": View(
                number("view x", x, -100, 100),
                number("view y", y, -100, 100),
                number("view half_width", half_width, 1e-3, 100),
            ),
        }
        if self.probe is not None:
            at = zip("xy", _numbers("probe", self.probe, 2), strict=True)
            checked["probe"] = tuple(number(f"probe {axis}", value, -100, 100) for axis, value in at)
        if self.method == "unguided":
            checked["weight"] = 1.0  # whatever it says: one picture, one state
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _check_model(self, name: str, model: Any) -> ModelChoice:
        if not isinstance(model, ModelChoice) or not isinstance(model.exact, bool):
            raise InputError(f"{name} is {model!r}; it must have a width, steps, and exact as true or false")
        if not model.exact and not has_networks(self.distribution, self.classes):
            raise InputError(f"there are no networks of {self.distribution} {self.classes}: set {name} exact")
        widths, steps = available("fractal_tree")
        for what, value, options in (("width", model.width, widths), ("steps", model.steps, steps)):
            if value not in options:
                listed = ", ".join(map(str, options))
                raise InputError(f"no network with {name} {what} {value!r}; there are {listed}")
        return model

    def to_json(self) -> str:
        """The state as JSON text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        models = {name: vars(values[name]) for name in ("main", "guide")}
        return json.dumps(values | models | {"view": self.view._asdict()})

    @classmethod
    def from_json(cls, text: str) -> "State":
        """The state that `to_json` wrote; fields that are left out have their defaults.

        Raises:
            InputError: it is no JSON object, or a field is unknown or out of range.
        """
        try:
            values = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            raise InputError("the state is not JSON; paste what the explorer copied") from None
        values = _known("state", values, {field.name for field in fields(cls)})
        for name in ("main", "guide"):
            if name in values:
                values[name] = ModelChoice(**_known(name, values[name], {"width", "steps", "exact"}))
        if "view" in values:
            view = _known("view", values["view"], set(View._fields))
            values["view"] = FULL_VIEW._replace(**view)
        return cls(**values)


def _known(name: str, values: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InputError(f"{name} is {values!r}; it must be an object with {', '.join(sorted(names))}")
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r} of the {name}; there are {', '.join(sorted(names))}")
    return dict(values)


def _numbers(name: str, values: Any, n: int) -> list[Any]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != n:
        raise InputError(f"{name} is {values!r}; it must be {n} numbers")
    return list(values)


def available(distribution: str) -> tuple[list[int], list[int]]:
    """Widths and steps of the networks of a distribution; empty where there are only exact densities."""
    names = [name for name in list_models(distribution) if not name.labelled]
    return sorted({name.width for name in names}), sorted({name.steps for name in names})


def has_networks(distribution: str, classes: str) -> bool:
    """Whether there are networks of these classes; elsewhere only exact densities."""
    return any(name.classes == classes and not name.labelled for name in list_models(distribution))


def with_classes(state: State, distribution: str, classes: str) -> State:
    """The state with another class in view, and exact models where it has no networks."""
    default, exact = State(), ModelChoice(exact=True)
    main, guide = (exact, exact)
    if has_networks(distribution, classes):
        kept = state if has_networks(state.distribution, state.classes) else default
        main, guide = kept.main, kept.guide
    view = whole_view(distribution, classes)
    return replace(state, distribution=distribution, classes=classes, main=main, guide=guide, view=view)


PRESETS: dict[str, State] = {
    "Figure 1 (b): unguided": State(method="unguided", weight=1.0),
    "Figure 1 (c): CFG": State(method="cfg", weight=4.0),
    "Figure 1 (d): truncation": State(method="truncation", weight=1.4),
    "Figure 1 (e): autoguidance": State(),
    "Figure 2: ratio close up": State(
        method="cfg", weight=4.0, step=23, layers=("outlines", "ratio", "arrows_difference"), view=ZOOM_VIEW
    ),
    "Figure 2: trajectories close up": State(
        method="cfg", weight=4.0, points=2048, layers=("outlines", "trajectories", "samples"), view=ZOOM_VIEW
    ),
    "Figure 9: main density": State(step=20, layers=("outlines", "density_main")),
    "Figure 9: autoguidance ratio": State(step=20, layers=("outlines", "ratio")),
}
"""Views of the paper's figures."""


def whole_view(distribution: str, classes: str) -> View:
    """A view of all that is sampled; of the tree's class A the paper's."""
    if (distribution, classes) == ("fractal_tree", "A"):
        return FULL_VIEW
    means = np.asarray(datasets.distribution(distribution, classes).means)
    low, high = means.min(0), means.max(0)
    x, y = (float(v) for v in (low + high) / 2)
    return View(x, y, 0.6 * float((high - low).max()) + 0.1)


def reset_view(state: State) -> State:
    """The state with all that is sampled in view."""
    return replace(state, view=whole_view(state.distribution, state.classes))


def zoom(state: State, factor: float, x: float, y: float) -> State:
    """The state zoomed by `factor` (below 1: closer) with the point (x, y) kept in its place."""
    old = state.view
    half_width = min(max(old.half_width * factor, 0.01), 10.0)
    ratio = half_width / old.half_width
    return replace(state, view=View(x + (old.x - x) * ratio, y + (old.y - y) * ratio, half_width))


def pan(state: State, dx: float, dy: float) -> State:
    """The state with the view moved by (dx, dy)."""
    limit = 10.0
    x, y = (math.copysign(min(abs(v), limit), v) for v in (state.view.x + dx, state.view.y + dy))
    return replace(state, view=state.view._replace(x=x, y=y))
