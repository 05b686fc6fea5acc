"""The training loop: networks of several widths, and several of each, learn side by side on shared batches."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.checks import InputError, count
from toydiff.base.devices import in_threads, over_devices, threads
from toydiff.base.files import PathLike, read_arrays, read_header, write_arrays
from toydiff.base.progress import deferred_interrupt, progress_bar
from toydiff.base.random import as_key
from toydiff.base.score_model import Exact
from toydiff.base.version import __version__
from toydiff.networks.adam import STEPS_PER_CALL, Adam, many_steps
from toydiff.networks.averages import power_decay, power_gamma
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Architecture, Params, init_params, normalize_rows
from toydiff.networks.objective import GRADIENT_BLOCK, draw_batch, loss_and_gradient
from toydiff.networks.recipe import Recipe


class TrainState(NamedTuple):
    """Everything that the next step depends on: the same state continues bit for bit."""

    step: jax.Array
    params: tuple[Params, ...]
    optimizer: Any
    ema: tuple[Params, ...]
    averages: tuple[tuple[Params, ...], ...]
    """One `ema` more for each length of the recipe's `averages`."""


@dataclass(frozen=True)
class Training:
    """What `train` returns.

    Attributes:
        recipe: how.
        state: where it stopped.
        losses: of each step and network, [steps, networks]: width by width, the members of each in order.
        snapshots: the averaged parameters by (width, step), those of several members stacked; the last step is always
            among them.
        interrupted: whether Ctrl-C or `should_stop` ended it early.
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

    def denoiser(self, width: int | None = None, step: int | None = None, member: int = 0) -> Denoiser:
        """The averaged network of a width (default: the first) at a snapshot (default: the last).

        Raises:
            InputError: there is no such snapshot or member.
        """
        key = (self.recipe.widths[0] if width is None else width, self.step if step is None else step)
        if key not in self.snapshots:
            raise InputError(f"no snapshot (width, step) {key}; there are {sorted(self.snapshots)}")
        return self.recipe.denoiser(key[0], self.recipe.member_of(self.snapshots[key], member))


def init_state(recipe: Recipe) -> TrainState:
    """The state before the first step. A width starts the same whichever others train beside it; so does a member."""
    key_init, _ = jax.random.split(as_key(recipe.seed))

    def init(architecture: Architecture) -> Params:
        key = jax.random.fold_in(key_init, architecture.width)
        if recipe.members == 1:
            return init_params(architecture, key)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(recipe.members)).at[0].set(key)
        return jax.vmap(partial(init_params, architecture))(keys)

    params = tuple(init(architecture) for architecture in recipe.architectures)
    optimizer = _adam(recipe).init(params)
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer, params, (params,) * len(recipe.averages))


def _adam(recipe: Recipe) -> Adam:
    return Adam(recipe.learning_rate, recipe.decay_start)


def _normalize(recipe: Recipe, params: tuple[Params, ...]) -> tuple[Params, ...]:
    return normalize_rows(params) if recipe.members == 1 else jax.vmap(normalize_rows)(params)


Gradients = tuple[tuple[jax.Array, Params], ...]
"""Losses [] or [members] and gradients for each width, of a batch or, to be added up, of a part of it."""


def gradients(
    recipe: Recipe,
    mixtures: tuple[Exact, ...],
    key: jax.Array,
    state: TrainState,
    *,
    part: int | jax.Array = 0,
    parts: int = 1,
) -> Gradients:
    """Of all networks on the batch of the next step, or on a part of it. Devices share the members."""
    batch = draw_batch(recipe, mixtures, jax.random.fold_in(key, state.step), part, parts)
    together = None if jax.default_backend() == "cpu" else recipe.members

    def of_members(architecture: Architecture, params: Params) -> tuple[jax.Array, Params]:
        of_one = partial(loss_and_gradient, architecture, batch=batch)
        if recipe.members == 1:
            return of_one(params)
        return over_devices(lambda params: jax.lax.map(of_one, params, batch_size=together), params)

    params = _normalize(recipe, state.params)
    return tuple(of_members(a, p) for a, p in zip(recipe.architectures, params, strict=True))


def _descend(recipe: Recipe, state: TrainState, found: Gradients) -> tuple[TrainState, jax.Array]:
    """The state after a step, and the step's losses [networks]."""
    params = _normalize(recipe, state.params)
    losses, slopes = zip(*found, strict=True)
    params, moments = _adam(recipe).step(params, state.optimizer, slopes)
    if recipe.negative_gain:
        # Adam's first step is as long as its learning rate: a gain that falls by itself is not touched.
        params = tuple(p | {"gain": jnp.minimum(p["gain"], -recipe.learning_rate)} for p in params)
    step = state.step + 1

    def follow(average: tuple[Params, ...], length: float) -> tuple[Params, ...]:
        decay = power_decay(step, power_gamma(length))
        return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, params)

    averages = tuple(follow(average, a) for average, a in zip(state.averages, recipe.averages, strict=True))
    state = TrainState(step, params, moments, follow(state.ema, recipe.ema), averages)
    return state, jnp.concatenate([jnp.ravel(loss) for loss in losses])


Data = tuple[tuple[Exact, ...], jax.Array]
"""What a recipe learns, and the key of its batches."""


def _step(recipe: Recipe, data: Data, state: TrainState) -> tuple[TrainState, jax.Array]:
    """A training step on a whole batch."""
    return _descend(recipe, state, gradients(recipe, *data, state))


part_of_gradients = jax.jit(gradients, static_argnames=("recipe", "parts"))


@partial(jax.jit, static_argnames="recipe")
def _descend_by_parts(recipe: Recipe, state: TrainState, parts: Sequence[Gradients]) -> tuple[TrainState, jax.Array]:
    return _descend(recipe, state, jax.tree.map(lambda *summands: sum(summands), *parts))


def run_steps(
    recipe: Recipe, mixtures: tuple[Exact, ...], key: jax.Array, state: TrainState, steps: int
) -> tuple[TrainState, np.ndarray]:
    """At most STEPS_PER_CALL steps, each batch in parts on all cores of a CPU; the state after, and their losses."""
    parts = min(threads(), -(-recipe.batch // GRADIENT_BLOCK))
    if parts == 1:
        state, losses = many_steps(_step, recipe, (mixtures, key), state, jnp.asarray(steps))
        return state, np.asarray(losses[:steps])
    history = []
    for _ in range(steps):
        one = partial(part_of_gradients, recipe, mixtures, key, state, parts=parts)
        summands = in_threads([partial(one, part=part) for part in range(parts)])
        state, losses = _descend_by_parts(recipe, state, summands)
        history.append(losses)
    return state, np.stack(history)


def train(
    recipe: Recipe,
    steps: int = 4096,
    *,
    resume: Training | None = None,
    snapshots: Iterable[int] = (),
    progress: bool = True,
    on_progress: Callable[[Training], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
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
        should_stop: asked after every 32 steps or less, after `on_progress`; True ends it as Ctrl-C does.

    Raises:
        InputError: `steps` is out of range or already passed, or `resume` has another recipe.

    Example:
        >>> import toydiff
        >>> recipe = toydiff.Recipe("three_gaussians", widths=(4,), batch=64)
        >>> toydiff.train(recipe, 2, progress=False).denoiser().architecture.width
        4
    """
    count("steps", steps, 1, 10_000_000)
    wanted = {count("snapshots", s, 1, steps) for s in snapshots} | {steps}
    if resume is None:
        resume = Training(recipe, init_state(recipe), np.zeros((0, recipe.networks), np.float32), {})
    check_same_recipe(resume.recipe, recipe)
    if resume.step > steps:
        raise InputError(f"steps is {steps}; the training to resume has already done {resume.step}")
    passed = sorted(s for s in wanted if s < resume.step and (recipe.widths[0], s) not in resume.snapshots)
    if passed:
        raise InputError(f"snapshots {passed} have passed; the training to resume has already done {resume.step}")
    mixtures = recipe.mixtures()
    _, key = jax.random.split(as_key(recipe.seed))
    done = resume
    bar = progress_bar(total=steps, initial=done.step, unit="step", show=progress)
    interrupted = False
    with bar, deferred_interrupt() as stop_wanted:
        while done.step < steps and not interrupted:
            stop = min(s for s in wanted if s > done.step)
            run = min(STEPS_PER_CALL, stop - done.step)
            state, history = run_steps(recipe, mixtures, key, done.state, run)
            losses = np.concatenate([done.losses, history])
            done = replace(done, state=state, losses=losses)
            if done.step in wanted:
                done = with_snapshot(done)
            if on_progress is not None:
                on_progress(done)
            bar.update(run)
            bar.set_postfix_str(f"loss {losses[-run:].mean():.4f}", refresh=False)
            stopped = stop_wanted() or (should_stop is not None and should_stop())
            interrupted = stopped and done.step < steps
    return replace(with_snapshot(done), interrupted=interrupted)


def with_snapshot(training: Training) -> Training:
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
    ours, theirs = vars(wanted), vars(found)
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
    losses = jax.ShapeDtypeStruct((step, recipe.networks), np.float32)
    content = read_arrays(path, {"state": shapes, "losses": losses})
    if content["state"].step != step:
        raise InputError(f"{path} does not fit its header: it is at step {content['state'].step}, not {step}")
    return with_snapshot(Training(recipe, jax.tree.map(jnp.asarray, content["state"]), content["losses"], {}))
