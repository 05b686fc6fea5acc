"""Models made worse on purpose, as score models: dropout, a hidden layer that does not do its work, input noise."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from toydiff.base.checks import InputError, choice, number
from toydiff.base.score_model import DensityModel, Exact, ScoreModel, check_model
from toydiff.distributions.catalogue import Source
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Layer, energy

LAYER = 0
"""The hidden layer that is changed where none is named: of the four, the one whose change makes the best guide."""


def key_at(x: jax.Array, sigma: jax.Array, amount: jax.Array) -> jax.Array:
    """A random key that depends on the last bits of the point x [2], the noise level sigma [] and the amount [].

    A model is a function of point and noise level, so the chance in one that is perturbed at random must be one too.
    Models perturbed by different amounts draw independently: shared chance would cancel in guidance by itself.
    """
    numbers = jax.lax.stop_gradient(jnp.append(x, jnp.stack([sigma, amount]))).astype(jnp.float32)
    bits = jax.lax.bitcast_convert_type(numbers, jnp.uint32)
    key = jax.random.key(0)
    for word in bits:
        key = jax.random.fold_in(key, word)
    return key


class Where(NamedTuple):
    """What a change of a hidden layer may depend on."""

    key: jax.Array
    """A random key, another one for each layer, point and noise level."""
    amount: jax.Array
    """How much, []."""
    chosen: bool
    """Whether the layer is the one that was named."""


Change = Callable[[Where, Layer, jax.Array], jax.Array]
"""(where, the layer, its input) -> its output."""


def drop_out(where: Where, layer: Layer, h: jax.Array) -> jax.Array:
    """Each input of each hidden layer is 0 with probability `amount`, else scaled by 1 / (1 - amount)."""
    kept = jax.random.bernoulli(where.key, 1 - where.amount, h.shape)
    return layer(jnp.where(kept, h / (1 - where.amount), 0))


def bypass(where: Where, layer: Layer, h: jax.Array) -> jax.Array:
    """(1 - amount) times the chosen layer's output plus `amount` times its input: at 1 the identity in its place."""
    return (1 - where.amount) * layer(h) + where.amount * h if where.chosen else layer(h)


def blur(where: Where, layer: Layer, h: jax.Array) -> jax.Array:
    """The chosen layer's output plus `amount` times fresh normal noise; outputs have a mean square of about 1."""
    out = layer(h)
    return out + where.amount * jax.random.normal(where.key, out.shape) if where.chosen else out


CHANGES: dict[str, Change] = {"dropout": drop_out, "identity": bypass, "layer-noise": blur}
"""What can be done to a network's hidden layers."""
INPUT_NOISE = "input-noise"
"""What can be done to the input of any score model."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Perturbed(DensityModel):
    """A network with its hidden layers changed; its score is the gradient of the changed energy.

    Attributes:
        model: the network.
        amount: how much, [].
        change: a row of `CHANGES`.
        layer: the number of the layer that is replaced; dropout is in all.
    """

    model: Denoiser
    amount: jax.Array
    change: str = field(metadata={"static": True})
    layer: int = field(default=LAYER, metadata={"static": True})

    @property
    def block(self) -> int:
        """That of the network."""
        return self.model.block

    @property
    def distribution(self) -> Source:
        """That which the network was trained on."""
        return self.model.distribution

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The changed energy at one point x [2] and one noise level sigma []."""
        key, change = key_at(x, sigma, self.amount), CHANGES[self.change]

        def hidden(number: int, layer: Layer, h: jax.Array) -> jax.Array:
            return change(Where(jax.random.fold_in(key, number), self.amount, number == self.layer), layer, h)

        return energy(self.model.architecture, self.model.params, x, sigma, self.model.label, hidden=hidden)

    def truth(self) -> Exact:
        """That of the network."""
        return self.model.truth()


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NoisyInput(DensityModel):
    """Any score model that sees x + amount sigma e, e ~ N(0, I) fresh at each point, in place of x.

    So the input holds noise of level sigma sqrt(1 + amount^2) while the model is told sigma.
    """

    model: ScoreModel
    amount: jax.Array

    @property
    def block(self) -> int:
        """That of the model."""
        return self.model.block

    @property
    def distribution(self) -> Source:
        """That which the model was trained on; as the model itself, an exact one has none."""
        return getattr(self.model, "distribution")  # noqa: B009

    @property
    def positive_sigma(self) -> bool:
        """As the model."""
        return self.model.positive_sigma

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The model's log density at the disturbed point, for one x [2] and one noise level sigma []."""
        return self.model.log_density_at(self._disturb(x, sigma), sigma)

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The model's score [2] at the disturbed point, for one x [2] and one noise level sigma []."""
        return self.model.score_at(self._disturb(x, sigma), sigma)

    def _disturb(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        return x + self.amount * sigma * jax.random.normal(key_at(x, sigma, self.amount), x.shape)

    def truth(self) -> Exact:
        """That of the model."""
        return self.model.truth()


def perturb(model: ScoreModel, change: str, amount: Any, *, layer: int = LAYER) -> ScoreModel:
    """A model made worse on purpose.

    Args:
        model: what is made worse; a network, but for "input-noise", which takes any score model.
        change: "input-noise" or a row of `CHANGES`: "dropout", "identity", "layer-noise".
        amount: how much: of dropout the probability, below 1; of noise its size relative to sigma or to the layer's
            output; of "identity" the share of the layer's work that is lost, at most 1. Traced.
        layer: the hidden layer, from 0, that loses its work.

    Raises:
        InputError: there is no such change or layer, the amount is out of range, or the model is no network.
    """
    check_model(model)
    choice("change", change, [INPUT_NOISE, *CHANGES])
    high = {"dropout": 0.99, "identity": 1.0}.get(change, 100.0)
    amount = jnp.asarray(number(f"amount of {change}", amount, 0, high), float)
    if change == INPUT_NOISE:
        return NoisyInput(model, amount)
    if not isinstance(model, Denoiser):
        raise InputError(
            f"{change} changes the layers of a network, and this model is no plain one: choose a trained network"
        )
    if isinstance(layer, bool) or not isinstance(layer, int) or layer not in range(model.architecture.depth):
        raise InputError(f"layer is {layer}; the network has hidden layers 0 to {model.architecture.depth - 1}")
    return Perturbed(model, amount, change, layer)
