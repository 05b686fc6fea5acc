"""How networks are trained, as one frozen value that goes to and from JSON."""

from dataclasses import dataclass, fields
from typing import Any

import jax

from toydiff.base.checks import InputError, choice, count, number
from toydiff.base.score_model import Exact
from toydiff.distributions import catalogue
from toydiff.networks.averages import power_gamma
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import NETWORKS, Architecture, Params

LOSSES = ("exact", "denoising")


@dataclass(frozen=True)
class Recipe:
    """How networks are trained; the paper's constants by default. Everything but the number of steps.

    Raises:
        InputError: a field is out of range.
    """

    distribution: catalogue.Source = "fractal_tree"  #: by name, or a drawing
    classes: str = "A"
    widths: tuple[int, ...] = (64,)  #: on the same batches
    members: int = 1  #: networks of each width, an ensemble that differs in its first weights only
    depth: int = 4
    network: str = "energy"  #: the kind, a row of `toydiff.networks.energy.NETWORKS`
    labelled: bool = False  #: one network for each class and, by the null label, for all of them
    label_dropout: float = 0.1  #: how often the label is the null label; 0.1 to 0.2 in Ho & Salimans
    loss: str = "exact"  #: "exact", against the mixture's score, or "denoising", against the noise, as for real data
    seed: int = 0
    batch: int = 4096
    learning_rate: float = 0.01
    decay_start: int = 512  #: from here on the learning rate falls as 1 / sqrt(step)
    #: The gain g starts at 0, and chance decides its sign at the first step. Where it becomes positive (half of
    #: the seeds) the network learns worse: A/32/512 ends at a loss of 0.047 to 0.076 in place of 0.036 to 0.039.
    #: True holds it below 0; False leaves it to chance, as in the paper's appendix.
    negative_gain: bool = True
    ema: float = 0.010  #: length of the average, relative to the training time
    averages: tuple[float, ...] = ()  #: lengths of further averages; of ema.STORED_LENGTHS any length can be made

    def __post_init__(self) -> None:
        every = catalogue.all_classes(self.distribution)
        choice("classes", self.classes, catalogue.class_choices(every))
        if self.labelled and self.classes != every:
            raise InputError(f"classes is {self.classes!r}; with labels a network learns all, {every!r}")
        if not isinstance(self.widths, tuple | list) or not self.widths:
            raise InputError(f"widths are {self.widths!r}; they must be a tuple of one or more")
        if not isinstance(self.averages, tuple | list):
            raise InputError(f"averages are {self.averages!r}; they must be a tuple of lengths")
        choice("loss", self.loss, LOSSES)
        choice("network", self.network, NETWORKS)
        for length in (self.ema, *self.averages):
            power_gamma(length)
        # Plain Python numbers, so that a recipe is hashable, equal to itself from JSON, and JSON.
        checked = {
            "widths": tuple(count("width", width, 1, 4096) for width in self.widths),
            "members": count("members", self.members, 1, 4096),
            "depth": count("depth", self.depth, 1, 64),
            "labelled": bool(self.labelled),
            "label_dropout": number("label_dropout", self.label_dropout, 0, 1),
            "seed": count("seed", self.seed, 0, 2**32 - 1),
            "batch": count("batch", self.batch, 1, 1_000_000),
            "learning_rate": number("learning_rate", self.learning_rate, high=1, above=0),
            "decay_start": count("decay_start", self.decay_start),
            "negative_gain": bool(self.negative_gain),
            "ema": float(self.ema),
            "averages": tuple(float(length) for length in self.averages),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name, values in (("widths", self.widths), ("averages", self.averages)):
            if len(set(values)) != len(values):
                raise InputError(f"{name} are {values}; they must all be different")

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """One a width."""
        labels = len(catalogue.all_classes(self.distribution)) if self.labelled else 0
        return tuple(Architecture(width, self.depth, labels, self.network) for width in self.widths)

    @property
    def networks(self) -> int:
        """How many there are."""
        return len(self.widths) * self.members

    def member_of(self, params: Params, member: int) -> Params:
        """The parameters of one member, from those of all members of a width.

        Raises:
            InputError: there is no such member.
        """
        count("member", member, 0, self.members - 1)
        return params if self.members == 1 else jax.tree.map(lambda leaf: leaf[member], params)

    def mixtures(self) -> tuple[Exact, ...]:
        """The mixture that is learned or, with labels, that of each class and then of all."""
        names = [*self.classes, self.classes] if self.labelled else [self.classes]
        return tuple(catalogue.distribution(self.distribution, name) for name in names)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, a drawing with all its strokes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"widths": list(self.widths), "averages": list(self.averages)}
        return values | {"distribution": catalogue.source_to_json(self.distribution)}

    @classmethod
    def from_json(cls, values: Any) -> "Recipe":
        """The recipe that `to_json` wrote, now or before there were `averages`, `members` and kinds of `network`.

        Raises:
            InputError: it is not a recipe, or a field is unknown, missing or out of range.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or {"averages", "members", "network", *values} != names:
            raise InputError(f"not a recipe: it must have the fields {', '.join(sorted(names))}")
        return cls(**values | {"distribution": catalogue.source_from_json(values["distribution"])})

    def denoiser(self, width: int, params: Params) -> Denoiser:
        """The network of this width with these parameters."""
        architecture = self.architectures[self.widths.index(width)]
        model = Denoiser(params, None, architecture, self.distribution, self.classes)
        return model.given(self.classes) if self.labelled else model
