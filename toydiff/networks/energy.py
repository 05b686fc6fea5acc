"""The energy MLP: a small bias-free network whose scalar output is an unnormalised log density."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from toydiff.base.checks import choice, count
from toydiff.base.score_model import SIGMA_DATA

Params = dict[str, Any]
"""The parameters of a network: nested dictionaries of arrays."""

Tree = TypeVar("Tree")

Layer = Callable[[jax.Array], jax.Array]
PassLayer = Callable[[int, Layer, jax.Array], jax.Array]
"""(number of a hidden layer from 0, the layer, its input [width]) -> its output [width]."""

_EPS = 1e-4


@dataclass(frozen=True)
class Architecture:
    """What decides the shapes of a network; static under `jit`.

    Raises:
        InputError: a field is out of range.
    """

    width: int = 64  # 64 is the paper's main model, 32 its guide
    depth: int = 4  # hidden layers of width x width after the first linear layer
    labels: int = 0  # classes that it can be conditioned on; 0: it takes no label
    kind: str = "energy"  # a row of NETWORKS

    def __post_init__(self) -> None:
        count("width", self.width, 1, 4096)
        count("depth", self.depth, 1, 64)
        count("labels", self.labels, 0, 26)
        choice("network", self.kind, NETWORKS)


def row_scale(weight: jax.Array) -> jax.Array:
    """1 / (eps + |v| / sqrt(fan_in)) for each row v of `weight` [out, in]: [out, 1]."""
    norm = jnp.linalg.norm(weight, axis=1, keepdims=True)
    return 1 / (_EPS + norm / jnp.sqrt(jnp.float32(weight.shape[1])))


class MagnitudePreservingLinear(nnx.Module):
    """y = W x, W's rows v / (eps + |v| / sqrt(fan_in)) / sqrt(fan_in): unit variance in, unit variance out.

    Karras et al. 2023 (arXiv 2312.02696), eq. 47 and appendix B.4.
    """

    def __init__(self, fan_in: int, fan_out: int, *, rngs: nnx.Rngs):
        self.weight = nnx.Param(jax.random.normal(rngs.params(), (fan_out, fan_in)))

    def __call__(self, x: jax.Array) -> jax.Array:
        """[fan_in] -> [fan_out]."""
        weight = self.weight[...]
        # x @ W.T: mapped over points it is one product of row-major arrays, 1.7 times faster on a CPU than W @ x.
        return x @ (weight * row_scale(weight) / jnp.sqrt(jnp.float32(weight.shape[1]))).T


def pass_layer(number: int, layer: Layer, h: jax.Array) -> jax.Array:
    """A hidden layer as it was trained; `toydiff.networks.perturbed` has others."""
    return layer(h)


class Trunk(nnx.Module):
    """Features F(x*, log(sigma) / 4, 1) of a point: linear, then [silu(h) / 0.596, linear] for each further layer.

    x* = x / sqrt(sigma^2 + sigma_data^2).
    """

    def __init__(self, sizes: Sequence[int], *, rngs: nnx.Rngs):
        """`sizes`: of the inputs, 4 and what is given `beside` them, then of each layer's outputs."""
        self.layers = nnx.List([MagnitudePreservingLinear(*pair, rngs=rngs) for pair in pairwise(sizes)])

    def features(
        self,
        scaled: jax.Array,
        sigma: jax.Array,
        *,
        beside: Sequence[jax.Array] = (),
        hidden: PassLayer = pass_layer,
    ) -> jax.Array:
        """[last size] at one point x* [2] and one noise level sigma []; `hidden` passes each layer but the first."""
        first, *rest = self.layers
        h = first(jnp.concatenate([scaled, jnp.stack([jnp.log(sigma) / 4, jnp.ones_like(sigma)]), *beside]))
        for i, layer in enumerate(rest):
            h = hidden(i, layer, self.activate(h))
        return h

    def activate(self, h: jax.Array) -> jax.Array:
        """Between two layers; of standard normal inputs the outputs have a mean square of 1."""
        return jax.nn.silu(h) / 0.596


def scale_point(x: jax.Array, sigma: jax.Array) -> jax.Array:
    """x* = x / sqrt(sigma^2 + sigma_data^2), [2]."""
    return x / jnp.sqrt(sigma**2 + SIGMA_DATA**2)


class EnergyNetwork(Trunk):
    """G(x; sigma) = -|x*|^2 / 2 + (g / sigma) mean_i F_i(x*, log(sigma) / 4, 1)^2.

    g is a learned scalar that starts at 0. Karras et al. 2024 (arXiv 2406.02507), appendix C.

    With labels, F also sees a one-hot vector of length labels + 1, its last place the null label,
    scaled to the mean square of 1 that magnitude preservation wants.
    """

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs):
        width, label_inputs = architecture.width, architecture.labels + 1 if architecture.labels else 0
        super().__init__([4 + label_inputs, width] + [width] * architecture.depth, rngs=rngs)
        self.gain = nnx.Param(jnp.zeros(()))
        self.label_inputs = label_inputs

    def __call__(
        self, x: jax.Array, sigma: jax.Array, label: jax.Array | None = None, hidden: PassLayer = pass_layer
    ) -> jax.Array:
        """G at one point x [2], one noise level sigma [] and, with labels, one label []; `hidden` passes each layer."""
        x = scale_point(x, sigma)
        beside = []
        if self.label_inputs:
            beside.append(jax.nn.one_hot(label, self.label_inputs) * jnp.sqrt(jnp.float32(self.label_inputs)))
        h = self.features(x, sigma, beside=beside, hidden=hidden)
        return -0.5 * jnp.sum(x**2) + self.gain[...] / sigma * jnp.mean(h**2)


NETWORKS: dict[str, Callable[..., EnergyNetwork]] = {
    "energy": EnergyNetwork,
}
"""Kinds of networks by name: (architecture, rngs) -> a module that gives an energy as `EnergyNetwork` does."""


@cache
def _graph(architecture: Architecture) -> tuple[Any, Params]:
    """The static half of the network and the shapes of its parameters, without computing anything."""
    abstract = nnx.eval_shape(lambda: NETWORKS[architecture.kind](architecture, rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(abstract, nnx.Param)
    return graphdef, nnx.to_pure_dict(state)


def init_params(architecture: Architecture, key: jax.Array) -> Params:
    """Fresh parameters: standard-normal rows, gain 0."""
    network = NETWORKS[architecture.kind](architecture, rngs=nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.state(network, nnx.Param))


def param_shapes(architecture: Architecture) -> Params:
    """The tree of the parameters with a `jax.ShapeDtypeStruct` at each leaf."""
    return _graph(architecture)[1]


def energy(
    architecture: Architecture,
    params: Params,
    x: jax.Array,
    sigma: jax.Array,
    label: jax.Array | None = None,
    *,
    hidden: PassLayer = pass_layer,
) -> jax.Array:
    """G(x; sigma) [] of the network with these parameters, at one point x [2] and sigma []."""
    return nnx.merge(_graph(architecture)[0], params)(x, sigma, label, hidden)


def normalize_rows(params: Tree) -> Tree:
    """The parameters of one or more networks with each row v of each layer replaced by v / (eps + |v| / sqrt(fan_in)).

    Forced weight normalisation, before each training step: it keeps the effective learning rate from
    drifting as rows grow. Karras et al. 2023 (arXiv 2312.02696), appendix B.4.
    """
    return jax.tree.map(lambda p: p * row_scale(p) if p.ndim == 2 else p, params)
