"""All that a person has set in the explorer, as one frozen value that goes to and from JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from toydiff.base.checks import InputError, choice, count, number, shown
from toydiff.base.score_model import LARGEST_SIGMA
from toydiff.distributions import catalogue
from toydiff.explorer.library import BUNDLED, available, families, networks
from toydiff.guidance.methods import METHODS
from toydiff.guidance.named import default_guides
from toydiff.guidance.row import MAX_WEIGHT
from toydiff.networks.bundles import default_main
from toydiff.networks.names import is_network
from toydiff.networks.zoo import classifier_name
from toydiff.results.plotting import FULL_VIEW, ZOOM_VIEW, View
from toydiff.sampling.schedules import KNOTS, STEPS

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

GUIDE_SIZE = 16, 1 / 16
"""Width, and part of the main model's steps, of a guide on a drawing: of five that were tried, the one that left the
fewest outliers on each of the three that are bundled."""


@dataclass(frozen=True)
class ModelChoice:
    """A network of a family by width and steps of training, or the exact density in its place."""

    width: int = 64
    steps: int = 4096
    exact: bool = False
    family: str = BUNDLED


@dataclass(frozen=True)
class State:
    """The explorer's state.

    Raises:
        InputError: a field is out of range; the message names it and says what would be accepted.
    """

    method: str = "autoguidance"
    weight: float = 3.0  #: w; 1 is no guidance
    weight_curve: tuple[float, ...] | None = None  #: w at the noise levels KNOTS, in place of one w for all
    interval: tuple[float, float] = (0.0, LARGEST_SIGMA)  #: the weight acts where lo < sigma <= hi
    share: float = 0.5  #: of autoguidance in the mix
    distribution: catalogue.Source = "fractal_tree"  #: by name, or a drawing
    classes: str = "A"
    main: ModelChoice = ModelChoice()  #: the paper's
    guide: ModelChoice = ModelChoice(32, 512)  #: the paper's
    seed: int = 0  #: of the noise
    points: int = 8192  #: drawn when nothing moves
    step: int = STEPS  #: of the solver, from 0, sigma_max, to STEPS, the data
    layers: tuple[str, ...] = ("outlines", "samples", "outliers")
    view: View = FULL_VIEW
    probe: tuple[float, float] | None = None  #: the point that is looked at closely

    def __post_init__(self) -> None:
        choice("method", self.method, METHODS)
        choice("classes", self.classes, catalogue.class_choices(catalogue.all_classes(self.distribution)))
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
        if self.weight_curve is not None:
            curve = zip(KNOTS, _numbers("weight_curve", self.weight_curve, len(KNOTS)), strict=True)
            checked["weight_curve"] = tuple(number(f"weight at sigma {s:.3g}", w, 0, MAX_WEIGHT) for s, w in curve)
        if self.method == "unguided":
            checked |= {"weight": 1.0, "weight_curve": None}  # whatever it says: one picture, one state
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _check_model(self, name: str, model: Any) -> ModelChoice:
        if not isinstance(model, ModelChoice) or not isinstance(model.exact, bool):
            raise InputError(f"{name} is {shown(model)}; it must have a width, steps, and exact as true or false")
        for what in ("width", "steps"):
            count(f"{name} {what}", getattr(model, what))
        if not isinstance(model.family, str):
            raise InputError(f"{name} family is {shown(model.family)}; it must be the name of a family of networks")
        if model.exact:
            return model
        if not has_networks(self.distribution, self.classes):
            raise InputError(f"there are no networks of {self.distribution} {self.classes}: set {name} exact")
        widths, steps = available(self.distribution, model.family)
        for what, value, options in (("width", model.width, widths), ("steps", model.steps, steps)):
            if value not in options:
                listed = ", ".join(map(str, options))
                raise InputError(f"no network with {name} {what} {value!r}; there are {listed}")
        return model

    @property
    def models(self) -> tuple[ModelChoice, ...]:
        """Those that the method takes: the main model, and the guide where there is one."""
        return (self.main, self.guide) if METHODS[self.method].guides else (self.main,)

    @property
    def exact_guide(self) -> bool:
        """Whether the guide is exact: because it is set so, or as a classifier of which none is bundled."""
        exact = classifier_name(self.distribution, self.classes, exact=True)
        only = self.method == "classifier" and classifier_name(self.distribution, self.classes) == exact
        return only or self.guide.exact

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        models = {name: dict(vars(values[name])) for name in ("main", "guide")}
        source = catalogue.source_to_json(self.distribution)
        return values | models | {"view": self.view._asdict(), "distribution": source}

    @classmethod
    def from_json(cls, values: Any) -> "State":
        """The state that `to_json` gave, or the JSON text of it; fields that are left out have their defaults.

        Raises:
            InputError: it is no JSON object, or a field is unknown or out of range.
        """
        values = json_values(values)
        values = _known("state", values, {field.name for field in fields(cls)})
        for name in ("main", "guide"):
            if name in values:
                values[name] = ModelChoice(**_known(name, values[name], {f.name for f in fields(ModelChoice)}))
        if "distribution" in values:
            values["distribution"] = catalogue.source_from_json(values["distribution"])
        if "view" in values:
            view = _known("view", values["view"], set(View._fields))
            values["view"] = FULL_VIEW._replace(**view)
        return cls(**values)


def json_values(values: Any) -> Any:
    """JSON values as they are, and those of a JSON text.

    Raises:
        InputError: it is a text that is not JSON.
    """
    if not isinstance(values, str | bytes):
        return values
    try:
        return json.loads(values)
    except (ValueError, RecursionError):
        raise InputError("the state is not JSON; paste what the explorer copied") from None


def _known(name: str, values: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise InputError(f"{name} is {shown(values)}; it must be an object with {', '.join(sorted(names))}")
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(f"unknown field {shown(unknown[0])} of the {name}; there are {', '.join(sorted(names))}")
    return dict(values)


def _numbers(name: str, values: Any, n: int) -> list[Any]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != n:
        raise InputError(f"{name} is {shown(values)}; it must be {n} numbers")
    return list(values)


def has_networks(distribution: catalogue.Source, classes: str) -> bool:
    """Whether there are networks of these classes; elsewhere only exact densities."""
    return any(_teaches(distribution, family, classes) for family in families(distribution))


def _teaches(distribution: catalogue.Source, family: str, classes: str) -> bool:
    return any(name.classes == classes for name in networks(distribution, family))


def default_models(distribution: catalogue.Source, classes: str) -> tuple[ModelChoice, ModelChoice]:
    """A main model and a guide of the first family that has these classes; exact where there are no networks."""
    family = next((name for name in families(distribution) if _teaches(distribution, name, classes)), None)
    if family == BUNDLED:
        (guide,) = default_guides("autoguidance", distribution)
        return _bundled(default_main(distribution)), _bundled(guide)
    main = newest(distribution, family, [classes]) if family else None
    if main is None:
        return ModelChoice(exact=True), ModelChoice(exact=True)
    return main, newest(distribution, main.family, [classes], *GUIDE_SIZE) or main


def with_method(state: State, method: str) -> State:
    """The state with another method, its weight and, where networks of the family stand for it, its guide.

    Raises:
        InputError: there is no such method.
    """
    guides = [name for name in default_guides(method, state.distribution) if is_network(name)]
    own = state.guide.exact or state.guide.family != BUNDLED or not guides
    guide = state.guide if own else _bundled(guides[0])
    return replace(state, method=method, weight=METHODS[method].weight, weight_curve=None, guide=guide)


def _bundled(name: str) -> ModelChoice:
    _, width, steps = name.split("/")
    return ModelChoice(int(width), int(steps))


def newest(
    distribution: catalogue.Source, family: str, classes: Sequence[str], width: int = 64, part: float = 1.0
) -> ModelChoice | None:
    """The network nearest to a width and a part of the longest training that a family has for all of `classes`."""
    sizes = [{n[1:3] for n in networks(distribution, family) if n.classes == c} for c in classes]
    common = set.intersection(*sizes) if sizes else set()
    if not common:
        return None
    longest = max(steps for _, steps in common)
    return ModelChoice(*min(sorted(common), key=lambda size: _distance(size, (width, part * longest))), family=family)


def nearest(distribution: catalogue.Source, family: str, width: int, steps: int) -> ModelChoice:
    """The network of a family that is nearest, in ratio, to a width and a number of steps."""
    widths, snapshots = available(distribution, family)
    sizes = [(w, s) for w in widths for s in snapshots]
    return ModelChoice(*min(sizes, key=lambda size: _distance(size, (width, steps))), family=family)


def _distance(size: tuple[int, int], wanted: tuple[float, float]) -> float:
    return sum(abs(math.log(value / max(goal, 1))) for value, goal in zip(size, wanted, strict=True))


def guide_classes(method: str, distribution: catalogue.Source, classes: str) -> list[str]:
    """The classes that each guiding network is of."""
    every = catalogue.all_classes(distribution)
    return [role.classes(classes, every) for role in METHODS[method].networks]


def with_classes(state: State, distribution: catalogue.Source, classes: str) -> State:
    """The state with another class in view, and other models where these do not know it."""
    main, guide = state.main, state.guide
    known = distribution == state.distribution and all(has_networks(distribution, c) for c in (state.classes, classes))
    of_guide = guide_classes(state.method, distribution, classes) if known else []
    kept = known and (main.exact or _teaches(distribution, main.family, classes))
    if not kept or not (guide.exact or all(_teaches(distribution, guide.family, c) for c in of_guide)):
        main, guide = default_models(distribution, classes)
    view = whole_view(distribution, classes)
    return replace(state, distribution=distribution, classes=classes, main=main, guide=guide, view=view)


PRESETS: dict[str, State] = {
    "Figure 1 (b): unguided": State(method="unguided", weight=1.0),
    "Figure 1 (c): CFG": State(method="cfg", weight=4.0),
    "Figure 1 (d): truncation": State(method="truncation", weight=1.4),
    "Figure 1 (e): autoguidance": State(),
    "Fewest outliers with 95% of the branches": State(
        method="sharpened", weight=2.5, interval=(0.003, 0.04), guide=ModelChoice(64, 1024)
    ),
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


def whole_view(distribution: catalogue.Source, classes: str) -> View:
    """A view of all that is sampled; of the tree's class A the paper's."""
    if (distribution, classes) == ("fractal_tree", "A"):
        return FULL_VIEW
    low, high = catalogue.distribution(distribution, classes).extent()
    x, y = (float(v) for v in (low + high) / 2)
    return View(x, y, 0.55 * float((high - low).max()))


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
