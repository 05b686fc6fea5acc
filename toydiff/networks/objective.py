"""The objective: batches of noisy points, the score-matching loss and its gradient, and its value on fresh draws."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base import random
from toydiff.base.checks import count
from toydiff.base.devices import split_blocks
from toydiff.base.effort import current_effort
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import Exact, ScoreModel, check_model
from toydiff.networks.energy import Architecture, Params, energy
from toydiff.networks.recipe import Recipe

GRADIENT_BLOCK = 128
"""Points at once on a CPU: their activations stay in the cache, and products this small each in one thread."""

LOG_SIGMA_MEAN, LOG_SIGMA_STD = -2.3, 1.5
"""ln sigma ~ N(mean, std^2), in training and in validation."""


class Batch(NamedTuple):
    """Noisy points, or some of a batch of them."""

    x: jax.Array
    """[n, 2]."""
    sigma: jax.Array
    """Their noise levels, [n]."""
    score: jax.Array
    """The scores to match, [n, 2]."""
    label: jax.Array | None
    """Labels [n], if any."""
    weight: jax.Array
    """Of each in the mean over the whole batch, [n]."""


def draw_sigma(key: jax.Array, n: int, first: int | jax.Array = 0) -> jax.Array:
    """`n` noise levels with ln sigma ~ N(-2.3, 1.5^2), [n], from number `first` of the key's on."""
    return jnp.exp(LOG_SIGMA_MEAN + LOG_SIGMA_STD * random.normals(key, first, n))


def draw_batch(
    recipe: Recipe, mixtures: tuple[Exact, ...], key: jax.Array, part: int | jax.Array = 0, parts: int = 1
) -> Batch:
    """One batch, or the part with that number of it: x ~ p(x; sigma), and the score there or of the noise alone.

    `mixtures` are the recipe's. With labels, x ~ p(x | c; sigma) for c by the classes' mass, and the target is that
    of c or, where the label is dropped, that of all classes. All parts have one size, filled up by rows of weight 0.
    """
    key_sigma, key_class, key_drop, key_x, key_noise = jax.random.split(key, 5)
    size = -(-recipe.batch // parts)
    first = jnp.uint32(part * size)
    rows = first + jnp.arange(size)
    sigma = draw_sigma(key_sigma, size, first)
    clean = recipe.loss == "denoising"
    options = [m.draw(key_x, jnp.zeros(()) if clean else sigma, first, size) for m in mixtures]
    if recipe.labelled:
        classes = mixtures[:-1]
        mass = mixtures[-1].masses_of(classes)
        drawn = jax.random.categorical(key_class, jnp.log(mass), shape=(recipe.batch,))
        dropped = jax.random.bernoulli(key_drop, recipe.label_dropout, (recipe.batch,))
        drawn, dropped = drawn[rows], dropped[rows]  # beyond the last row JAX takes the last
        label = jnp.where(dropped, len(classes), drawn)
    else:
        drawn, label = jnp.zeros(size, jnp.int32), None
    x = _pick(options, drawn)
    weight = jnp.where(rows < recipe.batch, 1 / recipe.batch, 0.0)
    if clean:
        noise = random.normal_points(key_noise, first, size)
        return Batch(x + sigma[:, None] * noise, sigma, -noise / sigma[:, None], label, weight)
    scores = [m.score_of_draws(x, sigma) for m in mixtures]
    return Batch(x, sigma, _pick(scores, drawn if label is None else label), label, weight)


def _pick(options: list[jax.Array], index: jax.Array) -> jax.Array:
    """For each row, the row of the option that `index` [n] names: [n, 2]."""
    return jnp.take_along_axis(jnp.stack(options), index[None, :, None], axis=0)[0]


def score_matching_loss(score: jax.Array, target: jax.Array, sigma: jax.Array) -> jax.Array:
    """sigma^2 * mean over the axes of (score - target)^2, for each point: [n]."""
    return sigma**2 * jnp.mean((score - target) ** 2, axis=-1)


def loss_and_gradient(architecture: Architecture, params: Params, batch: Batch) -> tuple[jax.Array, Params]:
    """Score-matching loss of a batch (or a part of one), and its gradient in the parameters.

    With c = d loss / d score held fixed, d loss / d params = d/d params sum c . grad_x G: the derivative of
    d G / d params along c. So the network's forward and backward pass serve the score, and their derivative along c
    the gradient: together six times the products of one evaluation, which is as few as there can be. A block of
    points at a time it stays in the cache.
    """

    def total(params: Params, x: jax.Array, *rest: Any) -> jax.Array:
        return jax.vmap(partial(energy, architecture, params))(x, *rest).sum()

    def add(sums: tuple[jax.Array, Params], block: Batch) -> tuple[Any, None]:
        rest = (block.sigma,) if block.label is None else (block.sigma, block.label)
        (_, score), derivative = jax.linearize(lambda x: jax.grad(total, (0, 1))(params, x, *rest), block.x)
        loss = block.weight @ score_matching_loss(score, block.score, block.sigma)
        # The mean over two axes takes the 2 of the square.
        gradient, _ = derivative((block.weight * block.sigma**2)[:, None] * (score - block.score))
        return jax.tree.map(jnp.add, sums, (loss, gradient)), None

    n, size = batch.sigma.size, GRADIENT_BLOCK if jax.default_backend() == "cpu" else batch.sigma.size
    blocks = split_blocks(batch, size)
    weights = jnp.zeros(blocks.sigma.size).at[:n].set(batch.weight)
    blocks = blocks._replace(weight=weights.reshape(blocks.sigma.shape))
    return jax.lax.scan(add, (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)), blocks)[0]


class ValidationLoss(NamedTuple):
    """The score-matching loss on fresh draws with exact scores."""

    overall: float
    standard_error: float
    edges: list[float]
    """Noise levels that part the levels, [levels + 1]."""
    by_level: list[float]
    """Loss of the draws between two edges, [levels]."""


def validation_loss(model: ScoreModel, seed: Seed = 1_000_003, n: int | None = None, levels: int = 8) -> ValidationLoss:
    """E sigma^2 mean_axes (score - true score)^2, ln sigma ~ N(-2.3, 1.5^2), x ~ p(x; sigma).

    Args:
        model: any score model; its truth is what it is compared with.
        seed: of the draws.
        n: how many; by default 65,536, `validation_draws` of the effort in force.
        levels: the draws are parted into that many, equally many in each, by noise level.

    Raises:
        InputError: an argument is out of range.
    """
    check_model(model)
    n = count("n", current_effort().validation_draws if n is None else n)
    levels = count("levels", levels, 1, n)
    key_sigma, key_x = jax.random.split(as_key(seed))
    sigma = draw_sigma(key_sigma, n)
    truth = model.truth()
    x = truth.sample(key_x, n, sigma)
    losses = np.asarray(score_matching_loss(model.score(x, sigma), truth.score(x, sigma), sigma), float)
    parts = np.array_split(np.argsort(np.asarray(sigma)), levels)
    edges = np.quantile(np.asarray(sigma), np.linspace(0, 1, levels + 1))
    return ValidationLoss(
        float(losses.mean()),
        float(losses.std() / np.sqrt(n)),
        [float(edge) for edge in edges],
        [float(losses[part].mean()) for part in parts],
    )
