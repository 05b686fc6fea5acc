"""A trained network with its parameters, as a score model."""

from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp

from toydiff.base.checks import InputError, choice
from toydiff.base.score_model import DensityModel, Exact
from toydiff.distributions import catalogue
from toydiff.networks.energy import Architecture, Params, energy


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Denoiser(DensityModel):
    """log p(x; sigma) = G(x; sigma), a network's unnormalised log density; score = grad_x G.

    Attributes:
        params: the network's parameters.
        label: for a network with labels the class that it is given, [] integer; the last is the null label.
        architecture: width, depth and labels.
        distribution: that it was trained on, by name or as a drawing.
        classes: the classes that it answers for.
    """

    params: Params
    label: jax.Array | None = None
    architecture: Architecture = field(default=Architecture(), metadata={"static": True})
    distribution: catalogue.Source = field(default="fractal_tree", metadata={"static": True})
    classes: str = field(default="A", metadata={"static": True})

    @property
    def block(self) -> int:
        """256 points: the activations then stay in the cache; on two cores 1.7 times faster than 2048."""
        return 256

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """G at one point x [2] and one noise level sigma []."""
        return energy(self.architecture, self.params, x, sigma, self.label)

    def truth(self) -> Exact:
        """The mixture that it stands for: that of its classes."""
        return catalogue.distribution(self.distribution, self.classes)

    def given(self, classes: str) -> "Denoiser":
        """The same network with labels, given one class ("A"), or the null label by naming all ("AB").

        This is what makes one network serve both halves of classifier-free guidance,
        D(x; sigma, c) and D(x; sigma, none); Ho & Salimans 2022 (arXiv 2207.12598).

        Raises:
            InputError: the network has no labels, or `classes` is neither one class nor all of them.
        """
        if not self.architecture.labels:
            raise InputError("this network takes no label; train one with labels, or load it with labelled=True")
        every = catalogue.all_classes(self.distribution)
        choice("classes", classes, [*every, every])
        label = self.architecture.labels if classes == every else every.index(classes)
        return replace(self, label=jnp.asarray(label), classes=classes)
