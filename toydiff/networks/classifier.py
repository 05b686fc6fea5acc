"""Noise-aware classifiers p(c | x; sigma), exact and trained, as score models: their score is what guides."""

from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from toydiff.base.checks import InputError, choice, count
from toydiff.base.files import PathLike, read_arrays, read_header, write_arrays
from toydiff.base.progress import progress_bar
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import DensityModel, Exact
from toydiff.base.version import __version__
from toydiff.distributions import catalogue
from toydiff.distributions.ratio import Ratio
from toydiff.networks.adam import STEPS_PER_CALL, Adam, many_steps
from toydiff.networks.energy import Params, Trunk, normalize_rows, scale_point
from toydiff.networks.objective import draw_sigma

WIDTH, DEPTH, STEPS, BATCH = 32, 2, 1024, 4096


class ClassifierNetwork(Trunk):
    """Logits s F(x*, log(sigma) / 4, 1) of each class: layers as the denoiser's, a learned scale s that starts at 1."""

    def __init__(self, classes: int, *, rngs: nnx.Rngs):
        super().__init__([4, *[WIDTH] * DEPTH, classes], rngs=rngs)
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """[classes] at one point x [2] and one noise level sigma []."""
        return self.scale[...] * self.features(scale_point(x, sigma), sigma)


@cache
def _graph(classes: int) -> tuple[nnx.GraphDef, Params]:
    abstract = nnx.eval_shape(lambda: ClassifierNetwork(classes, rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(abstract, nnx.Param)
    return graphdef, nnx.to_pure_dict(state)


def _logits(params: Params, classes: int, x: jax.Array, sigma: jax.Array) -> jax.Array:
    return nnx.merge(_graph(classes)[0], params)(x, sigma)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Classifier(DensityModel):
    """log p(c | x; sigma) of a trained network, for one class c.

    Attributes:
        params: the network's parameters.
        distribution: that it was trained on, by name or as a drawing.
        given: the class c.
    """

    params: Params
    distribution: catalogue.Source = field(default="fractal_tree", metadata={"static": True})
    given: str = field(default="A", metadata={"static": True})

    @property
    def classifies(self) -> bool:
        """True: it is no density of x."""
        return True

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """log p(c | x; sigma) at one point x [2] and one noise level sigma []."""
        every = catalogue.all_classes(self.distribution)
        return jax.nn.log_softmax(_logits(self.params, len(every), x, sigma))[every.index(self.given)]

    def truth(self) -> Exact:
        """The mixture of its class."""
        return catalogue.distribution(self.distribution, self.given)


def exact_classifier(distribution: catalogue.Source = "fractal_tree", given: str = "A") -> Ratio:
    """log p(c | x; sigma) = log p(x | c; sigma) - log p(x; sigma), up to the class's log mass: Bayes, exact.

    Raises:
        InputError: the distribution has one class only, or not this one.
    """
    every = _several_classes(distribution)
    choice("class of the classifier", given, every)
    return Ratio(catalogue.distribution(distribution, given), catalogue.distribution(distribution, every))


def _several_classes(distribution: catalogue.Source) -> str:
    every = catalogue.all_classes(distribution)
    if len(every) < 2:
        raise InputError(f"{distribution} has the class {every} only: there is nothing to classify")
    return every


def train_classifier(
    distribution: catalogue.Source = "fractal_tree", steps: int = STEPS, *, seed: Seed = 0, progress: bool = True
) -> Params:
    """The parameters of a small classifier: cross-entropy against the exact posterior, at the denoisers' noise levels.

    x ~ p(x; sigma) of all classes together, ln sigma ~ N(-2.3, 1.5^2), batch 4096, Adam 0.01 / sqrt(max(t / 256, 1)).

    Raises:
        InputError: the distribution has one class only, or `steps` is out of range.
    """
    every = _several_classes(distribution)
    count("steps", steps, 1, 1_000_000)
    whole = catalogue.distribution(distribution, every)
    exact = tuple(exact_classifier(distribution, name) for name in every)
    mass = tuple(np.asarray(whole.masses_of(tuple(ratio.main.truth() for ratio in exact))).tolist())
    key_init, key = jax.random.split(as_key(seed))
    params = nnx.to_pure_dict(nnx.state(ClassifierNetwork(len(every), rngs=nnx.Rngs(params=key_init)), nnx.Param))
    state = Progress(jnp.zeros((), jnp.int32), params, ADAM.init(params))
    with progress_bar(total=steps, unit="step", show=progress) as bar:
        for start in range(0, steps, STEPS_PER_CALL):
            run = min(STEPS_PER_CALL, steps - start)
            state, _ = many_steps(_step, len(every), (whole, exact, mass, key), state, jnp.asarray(run))
            bar.update(run)
    return state.params


class Progress(NamedTuple):
    """Everything that the next step depends on."""

    step: jax.Array
    params: Params
    moments: Any


ADAM = Adam(0.01, 256, b2=0.999)


def _step(classes: int, data: tuple[Any, ...], state: Progress) -> tuple[Progress, jax.Array]:
    """The state after a step on a fresh batch, and its loss."""
    whole, exact, mass, key = data
    params = normalize_rows(state.params)
    key_sigma, key_x = jax.random.split(jax.random.fold_in(key, state.step))
    sigma = draw_sigma(key_sigma, BATCH)
    x = whole.sample(key_x, BATCH, sigma)
    target = jnp.stack([m * jnp.exp(ratio.log_density(x, sigma)) for m, ratio in zip(mass, exact, strict=True)], -1)

    def mean_entropy(params: Params) -> jax.Array:
        logits = jax.vmap(partial(_logits, params, classes))(x, sigma)
        return optax.softmax_cross_entropy(logits, target).mean()

    loss, slopes = jax.value_and_grad(mean_entropy)(params)
    return Progress(state.step + 1, *ADAM.step(params, state.moments, slopes)), loss


def save_classifier(path: PathLike, params: Params, distribution: catalogue.Source) -> None:
    """Write a classifier.

    Raises:
        InputError: the file cannot be written.
    """
    header = {"kind": "classifier", "distribution": catalogue.source_to_json(distribution), "toydiff": __version__}
    write_arrays(path, params, header)


def load_classifier(path: PathLike, given: str = "A") -> Classifier:
    """The classifier in a file that `save_classifier` wrote, for one class.

    Raises:
        InputError: it is not such a file, or there is no such class.
    """
    header = read_header(path, "classifier")
    distribution = catalogue.source_from_json(header.get("distribution"))
    every = _several_classes(distribution)
    choice("class of the classifier", given, every)
    params = read_arrays(path, _graph(len(every))[1])
    return Classifier(jax.tree.map(jnp.asarray, params), distribution, given)
