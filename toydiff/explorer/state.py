"""All that a person has set in the explorer: a setting and what is drawn of it, to and from JSON."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from toydiff.base.checks import choice, count, number
from toydiff.base.score_model import LARGEST_SIGMA
from toydiff.distributions import catalogue
from toydiff.explorer.layers import LAYERS as LAYERS  # noqa: PLC0414 - what a state can show
from toydiff.guidance.methods import METHODS
from toydiff.guidance.named import default_guide_networks
from toydiff.measuring.setting import ModelChoice as ModelChoice  # noqa: PLC0414 - a state is made of them
from toydiff.measuring.setting import Setting, check_networks, json_values, known_fields, numbers
from toydiff.networks.bundles import default_main
from toydiff.networks.library import BUNDLE, BUNDLED, Library
from toydiff.results.view import ZOOM_VIEW, View
from toydiff.sampling.schedules import STEPS, noise_schedule

SIGMAS = tuple(noise_schedule().tolist())
"""The noise levels of the paper's solver, from sigma_max to 0, the data: stops of the slider."""
TREE_VIEW = View(0.4, 0.42, 1.12)
"""Fits class A of the tree, which fills no more than three quarters of the paper's view."""
GUIDE_SIZE = 16, 1 / 16
"""Width, and part of the main model's steps, of a guide on a drawing: of five that were tried, the one that left the
fewest outliers on each of the three that are bundled."""


@dataclass(frozen=True)
class State(Setting):
    """The explorer's state: a setting, and what is drawn of it.

    Raises:
        InputError: a field is out of range; the message names it and says what would be accepted.
    """

    points: int = 4096  #: drawn when nothing moves
    sigma: float = 0.0  #: the noise level on show; 0 is the data
    layers: tuple[str, ...] = ("outlines", "samples", "outliers")
    view: View = TREE_VIEW
    probe: tuple[float, float] | None = None  #: the point that is looked at closely

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.layers if isinstance(self.layers, Sequence) else [self.layers]:
            choice("layer", name, LAYERS)
        x, y, half_width = numbers("view", self.view, 3)
        checked: dict[str, Any] = {
            "points": count("points", self.points, 1, 100_000),
            "sigma": number("sigma", self.sigma, 0, LARGEST_SIGMA),
            "layers": tuple(name for name in LAYERS if name in self.layers),  # one order, so that equal is equal
            "view": View(
                number("view x", x, -100, 100),
                number("view y", y, -100, 100),
                number("view half_width", half_width, 1e-3, 100),
            ),
        }
        if self.probe is not None:
            at = zip("xy", numbers("probe", self.probe, 2), strict=True)
            checked["probe"] = tuple(number(f"probe {axis}", value, -100, 100) for axis, value in at)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def setting(self) -> Setting:
        """What decides which samples come out: without what is drawn of them."""
        return Setting(**{name: getattr(self, name) for name in Setting.__dataclass_fields__})

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return super().to_json() | {"view": self.view._asdict()}

    @classmethod
    def from_json(cls, values: Any, library: Library = BUNDLE) -> "State":
        """What `to_json` gave, now or in version 0.1, or the JSON text of it; what is left out has its default.

        Raises:
            InputError: it is no JSON object, a field is unknown or out of range, or the library has no such network.
        """
        state = cls(**cls.fields_from_json(json_values(values)))
        check_networks(state, library)
        return state

    @classmethod
    def fields_from_json(cls, values: Any) -> dict[str, Any]:
        """The fields that JSON values give; version 0.1 counted the noise level in steps of the paper's solver."""
        old = isinstance(values, dict) and "step" in values
        rest = {name: value for name, value in values.items() if name != "step"} if old else values
        fields = super().fields_from_json(rest)
        if old:
            fields.setdefault("sigma", SIGMAS[count("step", values["step"], 0, STEPS)])
        if "view" in fields:
            fields["view"] = TREE_VIEW._replace(**known_fields("view", fields["view"], set(View._fields)))
        return fields


def default_models(
    distribution: catalogue.Source, classes: str, library: Library = BUNDLE
) -> tuple[ModelChoice, ModelChoice]:
    """A main model and a guide of the first family that has these classes; exact where there are no networks."""
    taught = (name for name in library.families(distribution) if library.teaches(distribution, name, classes))
    family = next(taught, None)
    if family == BUNDLED:
        (guide,) = default_guide_networks("autoguidance", distribution)
        return ModelChoice.named(default_main(distribution)), ModelChoice.named(guide)
    main = newest(distribution, family, [classes], library=library) if family else None
    if main is None:
        return ModelChoice(exact=True), ModelChoice(exact=True)
    return main, newest(distribution, main.family, [classes], *GUIDE_SIZE, library=library) or main


def with_method(state: State, method: str) -> State:
    """The state with another method, its weight, its interval and, where bundled networks stand for it, its guide.

    Raises:
        InputError: there is no such method.
    """
    row = METHODS[choice("method", method, METHODS)]
    guides = default_guide_networks(method, state.distribution)
    own = state.guide.exact or state.guide.family != BUNDLED or not guides
    guide = state.guide if own else ModelChoice.named(guides[0])
    brought = replace(state, method=method, knobs=(), weight=row.weight, weight_curve=None)
    return replace(brought, interval=row.interval, guide=guide)


def newest(
    distribution: catalogue.Source,
    family: str,
    classes: Sequence[str],
    width: int = 64,
    part: float = 1.0,
    *,
    library: Library = BUNDLE,
) -> ModelChoice | None:
    """The network nearest to a width and a part of the longest training that a family has for all of `classes`."""
    sizes = [{n[1:3] for n in library.networks(distribution, family) if n.classes == c} for c in classes]
    common = set.intersection(*sizes) if sizes else set()
    if not common:
        return None
    longest = max(steps for _, steps in common)
    return ModelChoice(*min(sorted(common), key=lambda size: _distance(size, (width, part * longest))), family=family)


def nearest(
    distribution: catalogue.Source, family: str, width: int, steps: int, library: Library = BUNDLE
) -> ModelChoice:
    """The network of a family that is nearest, in ratio, to a width and a number of steps."""
    widths, snapshots = library.available(distribution, family)
    sizes = [(w, s) for w in widths for s in snapshots]
    return ModelChoice(*min(sizes, key=lambda size: _distance(size, (width, steps))), family=family)


def _distance(size: tuple[int, int], wanted: tuple[float, float]) -> float:
    return sum(abs(math.log(value / max(goal, 1))) for value, goal in zip(size, wanted, strict=True))


def with_classes(state: State, distribution: catalogue.Source, classes: str, library: Library = BUNDLE) -> State:
    """The state with another class in view, and other models where these do not know it."""
    main, guide = state.main, state.guide
    changed = replace(state, distribution=distribution, classes=classes)
    known = distribution == state.distribution and all(
        library.has_networks(distribution, c) for c in (state.classes, classes)
    )
    of_guide = changed.guide_classes if known else []
    kept = known and (main.exact or library.teaches(distribution, main.family, classes))
    if not kept or not (guide.exact or all(library.teaches(distribution, guide.family, c) for c in of_guide)):
        main, guide = default_models(distribution, classes, library)
    return replace(changed, main=main, guide=guide, view=whole_view(distribution, classes))


PRESETS: dict[str, State] = {
    "Fig. 1b: unguided": State(method="unguided", weight=1.0),
    "Fig. 1c: CFG": State(method="cfg", weight=4.0),
    "Fig. 1d: truncation": State(method="truncation", weight=1.4),
    "Fig. 1e: autoguidance": State(),
    # What counts as kept depends on how many samples there are: of as many as these.
    "Fewest outliers, 95% kept": State(
        method="sharpened", weight=2.0, interval=(0.003, 0.04), guide=ModelChoice(64, 1024), points=8192
    ),
    "Fig. 2: ratio": State(
        method="cfg", weight=4.0, sigma=SIGMAS[23], layers=("outlines", "ratio", "arrows_difference"), view=ZOOM_VIEW
    ),
    "Fig. 2: trajectories": State(
        method="cfg", weight=4.0, points=2048, layers=("outlines", "trajectories", "samples"), view=ZOOM_VIEW
    ),
    "Fig. 9: density": State(sigma=SIGMAS[20], layers=("outlines", "density_main")),
    "Fig. 9: ratio": State(sigma=SIGMAS[20], layers=("outlines", "ratio")),
}
"""Views of the paper's figures."""


def whole_view(distribution: catalogue.Source, classes: str) -> View:
    """A view of all that is sampled."""
    if (distribution, classes) == ("fractal_tree", "A"):
        return TREE_VIEW
    low, high = catalogue.distribution(distribution, classes).extent()
    x, y = (float(v) for v in (low + high) / 2)
    return View(x, y, 0.53 * float((high - low).max()))
