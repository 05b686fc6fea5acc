"""What a row of the table of guidance methods carries: a rule, the models it takes as guides, and its knobs."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from toydiff.base.score_model import ScoreModel

MAX_WEIGHT = 100.0
Knobs = Mapping[str, Any]
"""By name the values of a method's knobs, traced; the weight is that of the noise level at hand."""


class Prediction(NamedTuple):
    """What a rule makes of its models' denoised points."""

    denoised: jax.Array
    """Where the step goes, [2]."""
    renoise: jax.Array | None = None
    """The denoised point whose noise the step keeps, [2]; None: its own."""


Parts = Callable[[ScoreModel, Sequence[ScoreModel]], Sequence[ScoreModel]]
"""(main, guides) -> the models whose denoised points are combined, the main one first."""
Combine = Callable[[Sequence[jax.Array], jax.Array, jax.Array, Knobs, Any], tuple[Prediction, Any]]
"""([D_1, D_0, ...], x [2], sigma [], knobs, memory) -> the prediction, and the memory after it."""


def as_given(main: ScoreModel, guides: Sequence[ScoreModel]) -> Sequence[ScoreModel]:
    """The main model, then the guides."""
    return (main, *guides)


class Rule(NamedTuple):
    """How a method makes one denoiser of several: `linear` and `bent` make one."""

    parts: Parts
    weights: Callable[[Knobs], Sequence[Any]] | None = None
    """Of a linear rule: knobs -> the weight of each part but the first."""
    combine: Combine | None = None
    """Of any other rule."""
    memory: Callable[[], Any] = tuple
    """What is remembered along a trajectory, at its start: a tree of arrays, () for most."""
    renoises: bool = False
    """Whether its predictions have a `renoise`."""

    @property
    def is_linear(self) -> bool:
        """Whether log p_w exists, where the parts have densities."""
        return self.weights is not None


def linear(weights: Callable[[Knobs], Sequence[Any]], parts: Parts = as_given) -> Rule:
    """D_w = D_1 + sum_i (w_i - 1) (D_1 - D_i) over the parts: it keeps the log density."""
    return Rule(parts, weights)


def bent(
    combine: Combine, parts: Parts = as_given, memory: Callable[[], Any] = tuple, *, renoises: bool = False
) -> Rule:
    """Any other rule: it may project or limit, remember, and change the step."""
    return Rule(parts, None, combine, memory, renoises)


class Knob(NamedTuple):
    """A number of a method that a person can turn; traced, so that turning it compiles nothing."""

    low: float
    high: float
    default: float
    help: str


WEIGHT_HELP = "w = 1: no guidance; w = 0: the guide alone; above 1: away from the guide (Karras' convention)"


def weight_knob(default: float, help: str = WEIGHT_HELP) -> Knob:
    """The knob of a guidance weight in Karras' convention, from 0 to 100."""
    return Knob(0.0, MAX_WEIGHT, default, help)


class Role(ABC):
    """What a method takes as a guide: not a name, so that it can be found for any distribution and class."""

    size: tuple[int, int] | None = None
    """Width and steps of training in the paper; None where it is no network of the zoo."""
    classifies: bool = False
    """Whether it is a classifier of noisy points."""

    @abstractmethod
    def classes(self, of: str, every: str) -> str:
        """The classes that it knows, where the main model knows `of` and the distribution has `every`."""

    def __str__(self) -> str:
        width, steps = self.size or (0, 0)
        return f"{self.classes('A', 'AB')}/{width}/{steps}"


@dataclass(frozen=True)
class Bad(Role):
    """A bad version of the main model, of the same classes."""

    width: int = 32
    steps: int = 512

    @property
    def size(self) -> tuple[int, int]:  # type: ignore[override]
        """Width and steps."""
        return self.width, self.steps

    def classes(self, of: str, every: str) -> str:
        """Those of the main model."""
        return of


@dataclass(frozen=True)
class Unconditional(Bad):
    """A model of all classes together."""

    def classes(self, of: str, every: str) -> str:
        """All."""
        return every


@dataclass(frozen=True)
class Classifier(Role):
    """A classifier of noisy points, of the main model's class."""

    classifies = True

    def classes(self, of: str, every: str) -> str:
        """That of the main model."""
        return of

    def __str__(self) -> str:
        return "classifier/A"


class Reach(NamedTuple):
    """How strong a weight the quick solvers bear under a method: beyond it they are off the trajectories."""

    moving: tuple[float, float, float] = (3.0, 4.5, 6.0)
    """Of those with 9, 14 and 20 evaluations: up to there they show some 3% more outliers than there are, at most."""
    curve: float = 3.0
    """Of the one with 24."""


class Method(NamedTuple):
    """A row of the table of guidance methods."""

    rule: Rule
    """How it makes one denoiser of several."""
    title: str
    """As it stands in menus."""
    short: str
    """As it stands over a panel of a figure."""
    source: str = ""
    """Authors, year and number of the paper."""
    guides: tuple[Role, ...] = ()
    """What the rule takes; the sizes are the paper's."""
    knobs: Mapping[str, Knob] = {"weight": weight_knob(1.0)}
    """What can be turned; the weight's default is the paper's for its figures. Without a weight nothing is guided."""
    reach: Reach = Reach()
    interval: tuple[float, float] = (0.0, math.inf)
    """The noise levels lo < sigma <= hi at which it is meant to act; what chooses the method by itself begins there."""

    @property
    def is_guided(self) -> bool:
        """Whether there is a weight to turn."""
        return "weight" in self.knobs

    @property
    def weight(self) -> float:
        """The weight when none is given."""
        return self.knobs["weight"].default if self.is_guided else 1.0

    @property
    def other_knobs(self) -> dict[str, Knob]:
        """The knobs beside the weight."""
        return {name: knob for name, knob in self.knobs.items() if name != "weight"}

    @property
    def networks(self) -> tuple[Role, ...]:
        """Of the guides those that are networks."""
        return tuple(role for role in self.guides if not role.classifies)

    def __hash__(self) -> int:
        """By what is hashable of it: a row is a key of caches."""
        return hash((self.rule, self.title, self.guides))
