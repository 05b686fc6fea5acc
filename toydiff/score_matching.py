"""The objective: batches of noisy points, the score-matching loss and its gradient, and its value on fresh draws."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.checks import count
from toydiff.mixture import GaussianMixture, Seed, as_key
from toydiff.network import Architecture, Params, energy
from toydiff.recipe import Recipe
from toydiff.score_model import ScoreModel, check_model, split_blocks

GRADIENT_BLOCK = 1024
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -2.3, 1.5
"""ln sigma ~ N(mean, std^2), in training and in validation."""


class Batch(NamedTuple):
    """Noisy points [n, 2], their noise levels [n], the scores to match [n, 2], and labels [n] if any."""

    x: jax.Array
    sigma: jax.Array
    score: jax.Array
    label: jax.Array | None


def draw_sigma(key: jax.Array, n: int) -> jax.Array:
    """`n` noise levels with ln sigma ~ N(-2.3, 1.5^2), [n]."""
    return jnp.exp(LOG_SIGMA_MEAN + LOG_SIGMA_STD * jax.random.normal(key, (n,)))


def draw_batch(recipe: Recipe, mixtures: tuple[GaussianMixture, ...], key: jax.Array) -> Batch:
    """One batch: x ~ p(x; sigma), and the score there (exact) or of the noise alone (denoising).

    `mixtures` are the recipe's. With labels, x ~ p(x | c; sigma) for c by the classes'
    mass, and the target is that of c or, where the label is dropped, that of all classes.
    """
    key_sigma, key_class, key_drop, key_x, key_noise = jax.random.split(key, 5)
    sigma = draw_sigma(key_sigma, recipe.batch)
    clean = recipe.loss == "denoising"
    draws = [m.sample(key_x, recipe.batch, 0.0 if clean else sigma) for m in mixtures]
    if recipe.labelled:
        classes = mixtures[:-1]
        sizes = np.cumsum([m.weights.size for m in classes])[:-1]
        mass = jnp.stack([part.sum() for part in jnp.split(mixtures[-1].weights, sizes)])
        drawn = jax.random.categorical(key_class, jnp.log(mass), shape=(recipe.batch,))
        dropped = jax.random.bernoulli(key_drop, recipe.label_dropout, (recipe.batch,))
        label = jnp.where(dropped, len(classes), drawn)
    else:
        drawn, label = jnp.zeros(recipe.batch, jnp.int32), None
    x = _pick(draws, drawn)
    if clean:
        noise = jax.random.normal(key_noise, x.shape)
        return Batch(x + sigma[:, None] * noise, sigma, -noise / sigma[:, None], label)
    scores = [m.score(x, sigma) for m in mixtures]
    return Batch(x, sigma, _pick(scores, drawn if label is None else label), label)


def _pick(options: list[jax.Array], index: jax.Array) -> jax.Array:
    """For each row, the row of the option that `index` [n] names: [n, 2]."""
    return jnp.take_along_axis(jnp.stack(options), index[None, :, None], axis=0)[0]


def score_matching_loss(score: jax.Array, target: jax.Array, sigma: jax.Array) -> jax.Array:
    """sigma^2 * mean over the axes of (score - target)^2, for each point: [n]."""
    return sigma**2 * jnp.mean((score - target) ** 2, axis=-1)


def loss_and_gradient(architecture: Architecture, params: Params, batch: Batch) -> tuple[jax.Array, Params]:
    """Score-matching loss of a batch, and its gradient in the parameters.

    With c = sigma^2 (score - target) / n held fixed, d loss / d params = d/d params sum c . grad_x G, a
    derivative of G along c. That is a third of the work of differentiating grad_x G itself, and a block of
    points at a time it stays in the cache: together 5 times faster on two cores.
    """
    n = batch.sigma.size
    blocks = split_blocks(batch, GRADIENT_BLOCK)
    weights = jnp.zeros(blocks.sigma.size).at[:n].set(1 / n).reshape(blocks.sigma.shape)

    def point_energy(params: Params, x: jax.Array, sigma: jax.Array, label: jax.Array | None) -> jax.Array:
        return energy(architecture, params, x, sigma, label)

    def slope(params: Params, direction: jax.Array, x: jax.Array, *rest: Any) -> jax.Array:
        return jax.jvp(lambda x: point_energy(params, x, *rest), (x,), (direction,))[1]

    def body(total: tuple[jax.Array, Params], block: tuple[Batch, jax.Array]) -> tuple[Any, None]:
        batch, weight = block
        points = batch.x, batch.sigma, batch.label
        axes = (0, 0, None if batch.label is None else 0)
        score = jax.vmap(jax.grad(point_energy, argnums=1), (None, *axes))(params, *points)
        loss = weight @ score_matching_loss(score, batch.score, batch.sigma)
        # d loss / d score: the mean over two axes takes the 2 of the square.
        direction = (weight * batch.sigma**2)[:, None] * (score - batch.score)
        slopes = jax.vmap(slope, (None, 0, *axes))
        gradient = jax.grad(lambda p: slopes(p, direction, *points).sum())(params)
        return jax.tree.map(jnp.add, total, (loss, gradient)), None

    zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
    return jax.lax.scan(body, zero, (blocks, weights))[0]


class ValidationLoss(NamedTuple):
    """The score-matching loss on fresh draws with exact scores."""

    overall: float
    standard_error: float
    edges: list[float]
    """Noise levels that part the levels, [levels + 1]."""
    by_level: list[float]
    """Loss of the draws between two edges, [levels]."""


def validation_loss(model: ScoreModel, seed: Seed = 1_000_003, n: int = 65_536, levels: int = 8) -> ValidationLoss:
    """E sigma^2 mean_axes (score - true score)^2, ln sigma ~ N(-2.3, 1.5^2), x ~ p(x; sigma).

    Args:
        model: any score model; its truth is what it is compared with.
        seed: of the draws.
        n: how many.
        levels: the draws are parted into that many, equally many in each, by noise level.

    Raises:
        InputError: an argument is out of range.
    """
    check_model(model)
    n = count("n", n)
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
