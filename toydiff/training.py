"""Score matching: networks of several widths learn side by side on shared batches."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm.auto import tqdm

from toydiff import __version__, datasets
from toydiff.checks import InputError, choice, count, number
from toydiff.denoiser import Denoiser
from toydiff.ema import power_decay, power_gamma
from toydiff.mixture import GaussianMixture, Seed, as_key
from toydiff.network import Architecture, Params, energy, init_params, normalize_rows
from toydiff.score_model import ScoreModel, split_blocks
from toydiff.storage import PathLike, read_arrays, read_header, write_arrays

LOSSES = ("exact", "denoising")
STEPS_PER_CALL = 32
GRADIENT_BLOCK = 1024
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -2.3, 1.5
"""ln sigma ~ N(mean, std^2), in training and in validation."""


@dataclass(frozen=True)
class Recipe:
    """How networks are trained; the paper's constants by default. Everything but the number of steps.

    Raises:
        InputError: a field is out of range.
    """

    distribution: str = "fractal_tree"
    classes: str = "A"
    widths: tuple[int, ...] = (64,)  # one network each, on the same batches
    depth: int = 4
    labelled: bool = False  # one network for each class and, by the null label, for all of them
    label_dropout: float = 0.1  # how often the label is the null label; Ho & Salimans: 0.1 to 0.2
    loss: str = "exact"  # "exact": against the mixture's score; "denoising": against the noise, as for real data
    seed: int = 0
    batch: int = 4096
    learning_rate: float = 0.01
    decay_start: int = 512  # from here on the learning rate falls as 1 / sqrt(step)
    # The gain g starts at 0, and chance decides its sign at the first step. Where it becomes positive (half of
    # the seeds) the network learns worse: A/32/512 ends at a loss of 0.048 to 0.077 in place of 0.036 to 0.040.
    # True holds it below 0; False leaves it to chance, as in the paper's appendix.
    negative_gain: bool = True
    ema: float = 0.010  # width of the average, relative to the training time

    def __post_init__(self) -> None:
        truth = datasets.distribution(self.distribution, self.classes)
        every = datasets.DISTRIBUTIONS[self.distribution].classes
        if self.labelled and self.classes != every:
            raise InputError(f"classes is {self.classes!r}; with labels a network learns all, {every!r}")
        del truth
        if not self.widths or len(set(self.widths)) != len(self.widths):
            raise InputError(f"widths are {self.widths}; give one or more different ones")
        self.architectures  # noqa: B018  (checks widths and depth)
        number("label_dropout", self.label_dropout, 0, 1)
        choice("loss", self.loss, LOSSES)
        count("seed", self.seed, 0, 2**32 - 1)
        count("batch", self.batch, 1, 1_000_000)
        number("learning_rate", self.learning_rate, high=1, above=0)
        count("decay_start", self.decay_start)
        power_gamma(self.ema)

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """One a width."""
        labels = len(datasets.DISTRIBUTIONS[self.distribution].classes) if self.labelled else 0
        return tuple(Architecture(width, self.depth, labels) for width in self.widths)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self) | {"widths": list(self.widths)}

    @classmethod
    def from_json(cls, values: Any) -> "Recipe":
        """The recipe that `to_json` wrote.

        Raises:
            InputError: it is not a recipe, or a field is unknown, missing or out of range.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            raise InputError(f"not a recipe: it must have the fields {', '.join(sorted(names))}")
        if not isinstance(values["widths"], list):
            raise InputError("not a recipe: widths must be a list")
        return cls(**values | {"widths": tuple(values["widths"])})

    def denoiser(self, width: int, params: Params) -> Denoiser:
        """The network of this width with these parameters."""
        architecture = self.architectures[self.widths.index(width)]
        model = Denoiser(params, None, architecture, self.distribution, self.classes)
        return model.given(self.classes) if self.labelled else model


class TrainState(NamedTuple):
    """Everything that the next step depends on: the same state continues bit for bit."""

    step: jax.Array
    params: tuple[Params, ...]
    optimizer: Any
    ema: tuple[Params, ...]


@dataclass(frozen=True)
class Training:
    """What `train` returns.

    Attributes:
        recipe: how.
        state: where it stopped.
        losses: of each step and width, [steps, widths].
        snapshots: the averaged parameters by (width, step); the last step is always among them.
        interrupted: whether Ctrl-C ended it early.
    """

    recipe: Recipe
    state: TrainState
    losses: np.ndarray
    snapshots: dict[tuple[int, int], Params]
    interrupted: bool = False

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.state.step)

    def denoiser(self, width: int | None = None, step: int | None = None) -> Denoiser:
        """The averaged network of a width (default: the first) at a snapshot (default: the last).

        Raises:
            InputError: there is no such snapshot.
        """
        key = (self.recipe.widths[0] if width is None else width, self.step if step is None else step)
        if key not in self.snapshots:
            raise InputError(f"no snapshot (width, step) {key}; there are {sorted(self.snapshots)}")
        return self.recipe.denoiser(key[0], self.snapshots[key])


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

    `mixtures` are those of `recipe_mixtures`. With labels, x ~ p(x | c; sigma) for c by the classes'
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


def recipe_mixtures(recipe: Recipe) -> tuple[GaussianMixture, ...]:
    """The mixture that is learned or, with labels, that of each class and then of all."""
    names = [*recipe.classes, recipe.classes] if recipe.labelled else [recipe.classes]
    return tuple(datasets.distribution(recipe.distribution, name) for name in names)


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


@cache
def _optimizer(learning_rate: float, decay_start: int) -> optax.GradientTransformation:
    """Adam with learning rate lr / sqrt(max(t / decay_start, 1))."""

    def schedule(done: Any) -> jax.Array:
        return learning_rate / jnp.sqrt(jnp.maximum((done + 1) / decay_start, 1))

    return optax.adam(schedule, b1=0.9, b2=0.99)


def init_state(recipe: Recipe) -> TrainState:
    """The state before the first step. A width starts the same whichever others train beside it."""
    key_init, _ = jax.random.split(as_key(recipe.seed))
    params = tuple(init_params(a, jax.random.fold_in(key_init, a.width)) for a in recipe.architectures)
    optimizer = _optimizer(recipe.learning_rate, recipe.decay_start).init(params)
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer, params)


@partial(jax.jit, static_argnames="recipe")
def _run_steps(
    recipe: Recipe,
    mixtures: tuple[GaussianMixture, ...],
    key: jax.Array,
    state: TrainState,
    steps: jax.Array,
) -> tuple[TrainState, jax.Array]:
    """`steps` (traced, at most STEPS_PER_CALL) training steps; the state after, and their losses."""
    optimizer = _optimizer(recipe.learning_rate, recipe.decay_start)
    gamma = power_gamma(recipe.ema)

    def body(i: jax.Array, carry: tuple[TrainState, jax.Array]) -> tuple[TrainState, jax.Array]:
        state, history = carry
        batch = draw_batch(recipe, mixtures, jax.random.fold_in(key, state.step))
        params = normalize_rows(state.params)
        pairs = [loss_and_gradient(a, p, batch) for a, p in zip(recipe.architectures, params, strict=True)]
        losses, gradients = zip(*pairs, strict=True)
        updates, moments = optimizer.update(gradients, state.optimizer, params)
        params = optax.apply_updates(params, updates)
        if recipe.negative_gain:
            # Adam's first step is as long as its learning rate: a gain that falls by itself is not touched.
            params = tuple(p | {"gain": jnp.minimum(p["gain"], -recipe.learning_rate)} for p in params)
        step = state.step + 1
        decay = power_decay(step, gamma)
        ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, params)
        return TrainState(step, params, moments, ema), history.at[i].set(jnp.stack(losses))

    history = jnp.zeros((STEPS_PER_CALL, len(recipe.widths)))
    return jax.lax.fori_loop(0, steps, body, (state, history))


def train(
    recipe: Recipe,
    steps: int = 4096,
    *,
    resume: Training | None = None,
    snapshots: Iterable[int] = (),
    progress: bool = True,
    on_progress: Callable[[Training], object] | None = None,
) -> Training:
    """Train the networks of `recipe` up to step `steps`.

    E sigma^2 mean_axes (grad_x G - target)^2 with Adam and a power-function average of the parameters;
    appendix C of Karras et al. 2024 (arXiv 2406.02507). Ctrl-C ends it early and keeps what is done.

    Args:
        recipe: what to train and how.
        steps: the step to stop at.
        resume: an earlier training to go on from; the result is bit for bit that of a run without a stop.
        snapshots: steps at which the averaged parameters are kept, beside the last.
        progress: show a progress bar (on a terminal or in a notebook).
        on_progress: called after every 32 steps or less.

    Raises:
        InputError: `steps` is out of range or already passed, or `resume` has another recipe.
    """
    count("steps", steps, 1, 10_000_000)
    wanted = {count("snapshots", s, 1, steps) for s in snapshots} | {steps}
    if resume is None:
        resume = Training(recipe, init_state(recipe), np.zeros((0, len(recipe.widths)), np.float32), {})
    check_same_recipe(resume.recipe, recipe)
    if resume.step > steps:
        raise InputError(f"steps is {steps}; the training to resume has already done {resume.step}")
    mixtures = recipe_mixtures(recipe)
    _, key = jax.random.split(as_key(recipe.seed))
    done = resume
    with tqdm(total=steps, initial=done.step, unit="step", disable=None if progress else True) as bar:
        try:
            while done.step < steps:
                stop = min(s for s in wanted if s > done.step)
                run = min(STEPS_PER_CALL, stop - done.step)
                state, history = _run_steps(recipe, mixtures, key, done.state, jnp.asarray(run))
                losses = np.concatenate([done.losses, np.asarray(history[:run])])
                done = replace(done, state=state, losses=losses)
                if done.step in wanted:
                    done = _with_snapshot(done)
                if on_progress is not None:
                    on_progress(done)
                bar.update(run)
                bar.set_postfix_str(f"loss {losses[-run:].mean():.4f}", refresh=False)
        except KeyboardInterrupt:
            return replace(_with_snapshot(done), interrupted=True)
    return _with_snapshot(done)


def _with_snapshot(training: Training) -> Training:
    """The training with its present averages among its snapshots."""
    present = {
        (width, training.step): ema for width, ema in zip(training.recipe.widths, training.state.ema, strict=True)
    }
    return replace(training, snapshots=training.snapshots | present)


def check_same_recipe(found: Recipe, wanted: Recipe) -> None:
    """Refuse to go on with a training under another recipe.

    Raises:
        InputError: they differ; the message says in what.
    """
    ours, theirs = wanted.to_json(), found.to_json()
    differing = [f"{name} {theirs[name]!r}, not {ours[name]!r}" for name in ours if ours[name] != theirs[name]]
    if differing:
        raise InputError(f"cannot resume: the earlier training has {'; '.join(differing)}")


def save_checkpoint(path: PathLike, training: Training) -> None:
    """Write all that `load_checkpoint` needs to go on from here.

    Raises:
        InputError: the file cannot be written.
    """
    header = {
        "kind": "checkpoint",
        "recipe": training.recipe.to_json(),
        "step": training.step,
        "toydiff": __version__,
    }
    write_arrays(path, {"state": training.state, "losses": training.losses}, header)


def load_checkpoint(path: PathLike) -> Training:
    """The training that `save_checkpoint` wrote, without its earlier snapshots.

    Raises:
        InputError: it is not a checkpoint that this version can read.
    """
    header = read_header(path, "checkpoint")
    recipe = Recipe.from_json(header.get("recipe"))
    step = count("step of the checkpoint", header.get("step"), 0)
    shapes = jax.eval_shape(lambda: init_state(recipe))
    losses = jax.ShapeDtypeStruct((step, len(recipe.widths)), np.float32)
    content = read_arrays(path, {"state": shapes, "losses": losses})
    return _with_snapshot(Training(recipe, jax.tree.map(jnp.asarray, content["state"]), content["losses"], {}))


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
    count("levels", levels, 1, count("n", n))
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
