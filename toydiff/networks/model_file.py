"""Files of trained networks: a network, or its averages, of which the average of any length is made."""

from typing import Any

import jax
import jax.numpy as jnp

from toydiff.base.checks import InputError, choice
from toydiff.base.files import PathLike, read_arrays, read_header, write_arrays
from toydiff.base.version import __version__
from toydiff.networks.averages import combine, posthoc_weights
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Params, param_shapes
from toydiff.networks.objective import validation_loss
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import Training


def save_model(
    path: PathLike, training: Training, width: int | None = None, step: int | None = None, member: int = 0
) -> dict[str, Any]:
    """Write the averaged network of a width (default: the first) at a snapshot (default: the last).

    The header, which is returned, holds the recipe, width, seed, step, validation loss and toydiff's version.

    Raises:
        InputError: there is no such snapshot or member, or the file cannot be written.
    """
    width = training.recipe.widths[0] if width is None else int(width)
    step = training.step if step is None else int(step)
    model = training.denoiser(width, step, member)
    header = _header("model", training.recipe, width, step) | {"validation_loss": validation_loss(model).overall}
    write_arrays(path, model.params, header)
    return header


def save_averages(path: PathLike, training: Training, width: int | None = None, member: int = 0) -> None:
    """Write the further averages of a width (default: the first), those of the recipe's `averages`, at the last step.

    Raises:
        InputError: the recipe has no `averages`, there is no such width or member, or the file cannot be written.
    """
    recipe = training.recipe
    if not recipe.averages:
        raise InputError("there are no averages to write; train with Recipe(averages=toydiff.STORED_LENGTHS)")
    width = recipe.widths[0] if width is None else int(width)
    index = _index(recipe, width)
    averages = [recipe.member_of(average[index], member) for average in training.state.averages]
    write_arrays(path, averages, _header("set of averages", recipe, width, training.step))


def load_weights(path: PathLike) -> Denoiser:
    """The network in a file that `save_model` wrote.

    A network with labels comes given the null label; `Denoiser.given` chooses a class.

    Raises:
        InputError: the file is missing, truncated, not safetensors (nothing is ever unpickled), of another
            version, of the wrong shapes, or holds NaN.
    """
    recipe, width, shapes = _contents(path, "model")
    return recipe.denoiser(width, jax.tree.map(jnp.asarray, read_arrays(path, shapes)))


def load_averages(path: PathLike, ema: float) -> Denoiser:
    """The network averaged over the relative length `ema`, made of the averages that `save_averages` wrote.

    Raises:
        InputError: `ema` is out of the range that they span (see `toydiff.ema`), or the file as with `load_weights`.
    """
    recipe, width, shapes = _contents(path, "set of averages")
    weights = posthoc_weights(recipe.averages, ema)
    return recipe.denoiser(width, combine(read_arrays(path, [shapes] * len(weights)), weights))


def _header(kind: str, recipe: Recipe, width: int, step: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "recipe": recipe.to_json(),
        "width": width,
        "seed": recipe.seed,
        "step": step,
        "toydiff": __version__,
    }


def _contents(path: PathLike, kind: str) -> tuple[Recipe, int, Params]:
    """Recipe, width and shapes of the parameters of a network in a file."""
    header = read_header(path, kind)
    try:
        recipe = Recipe.from_json(header.get("recipe"))
        index = _index(recipe, header.get("width"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return recipe, recipe.widths[index], param_shapes(recipe.architectures[index])


def _index(recipe: Recipe, width: Any) -> int:
    """Which of the recipe's networks has this width."""
    widths = [str(other) for other in recipe.widths]
    return widths.index(choice("width", str(width), widths))
