"""The one description of a run: all that decides which samples come out, to and from JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

from toydiff.base.checks import InputError, choice, count, number, shown
from toydiff.base.score_model import LARGEST_SIGMA, Exact, ScoreModel
from toydiff.distributions import catalogue
from toydiff.guidance.guided import Guided, WeightCurve
from toydiff.guidance.methods import METHODS, guide, knob_of
from toydiff.guidance.row import MAX_WEIGHT, Method
from toydiff.networks.library import BUNDLE, BUNDLED, Library
from toydiff.networks.names import ModelName
from toydiff.networks.recipe import Recipe
from toydiff.networks.zoo import classifier_name, open_model
from toydiff.sampling.schedules import KNOTS, STEPS
from toydiff.sampling.solvers import SOLVERS

PAPER_EMA = Recipe().ema
STARTS = ("exact", "noise")
"""From exact draws at the highest noise level, as in the paper, or from pure noise."""


@dataclass(frozen=True)
class ModelChoice:
    """A network of a family by width and steps of training, or the exact density in its place."""

    width: int = 64
    steps: int = 4096
    exact: bool = False
    family: str = BUNDLED
    seed: int = 0  #: of the training
    ema: float = PAPER_EMA  #: length of the average of the parameters, relative to the training

    @classmethod
    def named(cls, name: str) -> Self:
        """The bundled one of a name such as "A/64/4096", whose classes are the setting's to say."""
        _, width, steps = name.split("/")
        return cls(int(width), int(steps))

    def name(self, classes: str) -> ModelName:
        """Its name in its family, for these classes."""
        return ModelName(
            classes, self.width, self.steps, seed=self.seed, ema=None if self.ema == PAPER_EMA else self.ema
        )


class Models(NamedTuple):
    """The score models of a setting."""

    truth: Exact
    main: ScoreModel
    guides: tuple[ScoreModel, ...]
    """The networks, or what stands in their place; not what a rule makes by itself."""
    guided: Guided

    @property
    def guide(self) -> ScoreModel | None:
        """The first model that is steered away from, where there are guides."""
        return self.guided.guides[0] if self.guides else None


@dataclass(frozen=True)
class Setting:
    """What is sampled, and how; by default autoguidance as in the paper's Figure 1.

    Whether there are such networks shows when a library is asked for its models.

    Raises:
        InputError: a field is out of range; the message names it and says what would be accepted.
    """

    method: str = "autoguidance"
    weight: float = 3.0  #: w; 1 is no guidance
    weight_curve: tuple[float, ...] | None = None  #: w at the noise levels KNOTS, in place of one w for all
    interval: tuple[float, float] = (0.0, math.inf)  #: the weight acts where lo < sigma <= hi
    knobs: Mapping[str, float] | tuple[tuple[str, float], ...] = ()  #: the method's other knobs, where turned
    distribution: catalogue.Source = "fractal_tree"  #: by name, or a drawing
    classes: str = "A"
    main: ModelChoice = ModelChoice()  #: the paper's
    guide: ModelChoice = ModelChoice(32, 512)  #: the paper's; of the classes that the method's roles say
    solver: str = "heun"
    steps: int = STEPS
    start: str = "exact"  #: one of STARTS
    seed: int = 0  #: of the noise

    def __post_init__(self) -> None:
        choice("method", self.method, METHODS)
        choice("classes", self.classes, catalogue.class_choices(catalogue.all_classes(self.distribution)))
        lo, hi = numbers("interval", self.interval, 2)
        lo = number("interval lo", lo, 0, LARGEST_SIGMA)
        hi = math.inf if hi == math.inf else number("interval hi", hi, lo, LARGEST_SIGMA)
        checked: dict[str, Any] = {
            "weight": number("weight", self.weight, 0, MAX_WEIGHT),
            "interval": (lo, math.inf if hi == LARGEST_SIGMA else hi),  # as JSON says it, which has no infinity
            "knobs": _checked_knobs(self.method, self.knobs),
            "main": _checked_model("main", self.main),
            "guide": _checked_model("guide", self.guide),
            "solver": choice("solver", self.solver, SOLVERS),
            "steps": count("steps", self.steps, 1, 100_000),
            "start": choice("start", self.start, STARTS),
            "seed": count("seed", self.seed, 0, 2**32 - 1),
        }
        if self.weight_curve is not None:
            curve = zip(KNOTS, numbers("weight_curve", self.weight_curve, len(KNOTS)), strict=True)
            checked["weight_curve"] = tuple(number(f"weight at sigma {s:.3g}", w, 0, MAX_WEIGHT) for s, w in curve)
        if not self.row.is_guided:
            checked |= {"weight": 1.0, "weight_curve": None}  # whatever it says: one picture, one setting
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def row(self) -> Method:
        """Of the table of methods."""
        return METHODS[self.method]

    def knob(self, name: str) -> float:
        """The value of one of the method's knobs."""
        return dict(self.knobs).get(name, knob_of(self.method, name).default)

    @property
    def models_used(self) -> tuple[ModelChoice, ...]:
        """The main model, and the guide where the method takes one."""
        return (self.main, self.guide) if self.row.guides else (self.main,)

    @property
    def guide_classes(self) -> list[str]:
        """The classes that each guiding network is of."""
        every = catalogue.all_classes(self.distribution)
        return [role.classes(self.classes, every) for role in self.row.networks]

    @property
    def exact_guide(self) -> bool:
        """Whether the guide is exact: because it is set so, or as a classifier of which none is bundled."""
        exact = classifier_name(self.distribution, self.classes, exact=True)
        classifies = any(role.classifies for role in self.row.guides)
        return self.guide.exact or (classifies and classifier_name(self.distribution, self.classes) == exact)

    def models(self, library: Library = BUNDLE, *, bendable: bool = False) -> Models:
        """The score models.

        Args:
            library: where the networks are.
            bendable: give the weight as a curve even where it is one number, so that bending it compiles nothing.

        Raises:
            InputError: there is no such network.
        """
        main = self._model(library, self.main, self.classes)
        every = catalogue.all_classes(self.distribution)
        guides: list[ScoreModel] = []
        for role in self.row.guides:
            known = role.classes(self.classes, every)
            if role.classifies:
                name = classifier_name(self.distribution, known, exact=self.guide.exact)
                guides.append(open_model(name, self.distribution))
            else:
                guides.append(self._model(library, self.guide, known))
        curved = bendable or self.weight_curve is not None
        weight: Any = WeightCurve(KNOTS, self.weight_curve or (self.weight,) * len(KNOTS)) if curved else self.weight
        guided = guide(self.method, main, *guides, weight=weight, interval=self.interval, **dict(self.knobs))
        return Models(catalogue.distribution(self.distribution, self.classes), main, tuple(guides), guided)

    def _model(self, library: Library, chosen: ModelChoice, classes: str) -> ScoreModel:
        if chosen.exact:
            return catalogue.distribution(self.distribution, classes)
        return library.network(self.distribution, chosen.family, chosen.name(classes))

    def to_json(self) -> dict[str, Any]:
        """The setting as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {name: dict(vars(values[name])) for name in ("main", "guide")}
        lo, hi = self.interval
        values |= {"interval": [lo, min(hi, LARGEST_SIGMA)], "knobs": dict(self.knobs)}
        return values | {"distribution": catalogue.source_to_json(self.distribution)}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """What `to_json` gave, now or in version 0.1, or the JSON text of it; what is left out has its default.

        Raises:
            InputError: it is no JSON object, or a field is unknown or out of range.
        """
        return cls(**cls.fields_from_json(json_values(values)))

    @classmethod
    def fields_from_json(cls, values: Any) -> dict[str, Any]:
        """The fields that JSON values give."""
        names = {f.name for f in fields(cls)}
        values = known_fields(cls.__name__.lower(), values, names | {"share"})
        for name in ("main", "guide"):
            if name in values:
                given = known_fields(name, values[name], {f.name for f in fields(ModelChoice)})
                values[name] = ModelChoice(**given)
        if "distribution" in values:
            values["distribution"] = catalogue.source_from_json(values["distribution"])
        if "share" in values:  # version 0.1 knew one knob beside the weight
            values["knobs"] = {**dict(values.get("knobs", {})), "share": values.pop("share")}
        return values


def _checked_knobs(method: str, knobs: Any) -> tuple[tuple[str, float], ...]:
    """The knobs that are turned, in order: one picture, one setting."""
    try:
        given = dict(knobs)
    except (TypeError, ValueError):
        raise InputError(f"knobs are {shown(knobs)}; they must be values by name, such as {{'share': 0.5}}") from None
    checked = {}
    for name in sorted(given, key=str):
        knob = knob_of(method, name)
        value = number(name, given[name], knob.low, knob.high)
        if value != knob.default:
            checked[name] = value
    return tuple(checked.items())


def _checked_model(name: str, model: Any) -> ModelChoice:
    if not isinstance(model, ModelChoice) or not isinstance(model.exact, bool):
        raise InputError(f"{name} is {shown(model)}; it must have a width, steps, and exact as true or false")
    for what in ("width", "steps"):
        count(f"{name} {what}", getattr(model, what))
    if not isinstance(model.family, str):
        raise InputError(f"{name} family is {shown(model.family)}; it must be the name of a family of networks")
    count(f"{name} seed", model.seed, 0, 2**32 - 1)
    number(f"{name} ema", model.ema, above=0)
    return model


def check_networks(setting: Setting, library: Library) -> None:
    """See that a library has the networks of a setting, by width and steps.

    Raises:
        InputError: it has not; the message lists what there is.
    """
    for name, model in (("main", setting.main), ("guide", setting.guide)):
        if model.exact:
            continue
        if not library.has_networks(setting.distribution, setting.classes):
            raise InputError(f"there are no networks of {setting.distribution} {setting.classes}: set {name} exact")
        widths, steps = library.available(setting.distribution, model.family)
        for what, value, options in (("width", model.width, widths), ("steps", model.steps, steps)):
            if value not in options:
                listed = ", ".join(map(str, options))
                raise InputError(f"no network with {name} {what} {value!r}; there are {listed}")


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


def known_fields(name: str, values: Any, names: set[str]) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        InputError: it is something else, or has a field that is not among `names`.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{name} is {shown(values)}; it must be an object with {', '.join(sorted(names))}")
    unknown = sorted(set(values) - names, key=str)
    if unknown:
        raise InputError(f"unknown field {shown(unknown[0])} of the {name}; there are {', '.join(sorted(names))}")
    return dict(values)


def numbers(name: str, values: Any, n: int) -> list[Any]:
    """The n values of a list, each to be checked by itself.

    Raises:
        InputError: it is no list, or of another length.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != n:
        raise InputError(f"{name} is {shown(values)}; it must be {n} numbers")
    return list(values)
