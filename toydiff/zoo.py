"""The bundled weights: train, list, load and save them, and the paper's methods by the names of their models."""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff import __version__, datasets
from toydiff.checks import InputError, choice, count
from toydiff.denoiser import Denoiser
from toydiff.guidance import ALL_SIGMAS, METHODS, Guided, guide
from toydiff.network import param_shapes
from toydiff.recipe import Recipe
from toydiff.score_matching import validation_loss
from toydiff.score_model import ScoreModel
from toydiff.storage import PathLike, check_writable, read_arrays, read_header, write_arrays
from toydiff.strokes import Drawing
from toydiff.training import Training, train

WEIGHTS = Path(__file__).parent / "weights"
MAIN = "A/64/4096"
"""The paper's main model."""

SNAPSHOTS = (128, 256, 512, 1024, 2048, 4096)
"""Steps at which the networks of the fractal tree are bundled."""


class Bundle(NamedTuple):
    """A row of the table of what is bundled: the networks of a distribution."""

    recipes: tuple[Recipe, ...]
    """How they are trained."""
    snapshots: tuple[int, ...]
    """Steps at which each is kept."""
    main: str
    """The main model where none is named."""
    guide: str
    """Width and steps of the guides where none are named."""


def _of_drawing(name: str) -> Bundle:
    recipes = tuple(Recipe(name, classes, widths=(16, 32, 64)) for classes in ("A", "AB"))
    return Bundle(recipes, (128, 512, 2048), "A/64/2048", "16/128")


BUNDLES: dict[str, Bundle] = {
    "fractal_tree": Bundle(
        (
            Recipe(classes="A", widths=(8, 16, 32, 64, 128)),
            Recipe(classes="AB", widths=(8, 16, 32, 64, 128)),
            Recipe(classes="AB", widths=(64,), labelled=True),
        ),
        SNAPSHOTS,
        MAIN,
        "32/512",
    ),
    "spirals": _of_drawing("spirals"),
    "letters": _of_drawing("letters"),
    "rings": _of_drawing("rings"),
}
"""By the name of the distribution; `train_zoo` trains them."""


class ModelName(NamedTuple):
    """A network of the zoo: "A/64/4096", or "A/64/4096/labelled" for the label-dropout network given A."""

    classes: str
    width: int
    steps: int
    labelled: bool = False

    def __str__(self) -> str:
        return f"{self.classes}/{self.width}/{self.steps}" + "/labelled" * self.labelled


def train_zoo(
    folder: PathLike, *, only: Sequence[str] = tuple(BUNDLES), steps: int | None = None, progress: bool = True
) -> list[Path]:
    """Train every bundled network, or those of some distributions, and write its snapshots; the files written.

    Args:
        folder: where; a folder for each distribution is made in it.
        only: the distributions, rows of `BUNDLES`.
        steps: leave out the snapshots after this step.
        progress: show progress bars.

    Raises:
        InputError: a distribution has no row, `steps` comes before the first snapshot, or the folder cannot
            be written.
        KeyboardInterrupt: Ctrl-C; the recipes finished before it have been written.
    """
    bundles = [BUNDLES[choice("bundled distribution", name, BUNDLES)] for name in only]
    if steps is not None:
        count("steps", steps, max(bundle.snapshots[0] for bundle in bundles))
    written = []
    for recipe, snapshots in [(recipe, bundle.snapshots) for bundle in bundles for recipe in bundle.recipes]:
        place = Path(folder) / str(recipe.distribution)
        check_writable(place / "any")
        kept = [s for s in snapshots if steps is None or s <= steps]
        training = train(recipe, kept[-1], snapshots=kept, progress=progress)
        if training.interrupted:
            raise KeyboardInterrupt
        for width, step in training.snapshots:
            name = ModelName(recipe.classes, width, step, recipe.labelled)
            written.append(_file(name, place))
            save_model(written[-1], training, width, step)
    return written


def save_model(path: PathLike, training: Training, width: int | None = None, step: int | None = None) -> dict[str, Any]:
    """Write the averaged network of a width (default: the first) at a snapshot (default: the last).

    The header, which is returned, holds the recipe, width, seed, step, validation loss and toydiff's version.

    Raises:
        InputError: there is no such snapshot, or the file cannot be written.
    """
    width = training.recipe.widths[0] if width is None else int(width)
    step = training.step if step is None else int(step)
    model = training.denoiser(width, step)
    header = {
        "kind": "model",
        "recipe": training.recipe.to_json(),
        "width": width,
        "seed": training.recipe.seed,
        "step": step,
        "validation_loss": validation_loss(model).overall,
        "toydiff": __version__,
    }
    write_arrays(path, model.params, header)
    return header


def load_weights(path: PathLike) -> Denoiser:
    """The network in a file that `save_model` wrote.

    A network with labels comes given the null label; `Denoiser.given` chooses a class.

    Raises:
        InputError: the file is missing, truncated, not safetensors (nothing is ever unpickled), of another
            version, of the wrong shapes, or holds NaN.
    """
    header = read_header(path, "model")
    try:
        recipe = Recipe.from_json(header.get("recipe"))
        choice("width", str(header.get("width")), [str(width) for width in recipe.widths])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    width = int(header["width"])
    params = read_arrays(path, param_shapes(recipe.architectures[recipe.widths.index(width)]))
    return recipe.denoiser(width, jax.tree.map(jnp.asarray, params))


def load_model(
    classes: str = "A",
    width: int = 64,
    steps: int = 4096,
    *,
    labelled: bool = False,
    distribution: datasets.Source = "fractal_tree",
) -> Denoiser:
    """A bundled network.

    Args:
        classes: what it was trained on, "A" or "AB"; with `labelled`, what it is given: a class, or "AB"
            for the null label.
        width: of its layers.
        steps: of training after which the average was taken.
        labelled: the one network trained with label dropout, in place of one network for each choice of classes.
        distribution: that it was trained on; of a drawing of your own there are no bundled networks.

    Raises:
        InputError: there is no such network; the message lists those that exist.
    """
    name = ModelName(str(classes), count("width", width), count("steps", steps), bool(labelled))
    return _load_bundled(name, distribution)


@lru_cache(maxsize=256)
def _load_bundled(name: ModelName, distribution: datasets.Source) -> Denoiser:
    every = datasets.all_classes(distribution)
    known = name.classes in ([*every, every] if name.labelled else datasets.class_choices(every))
    stored = name._replace(classes=every) if name.labelled and known else name
    if not known or stored not in list_models(distribution):
        raise InputError(f"no bundled model {name} of {distribution}; there are {describe_models(distribution)}")
    model = load_weights(_file(stored, WEIGHTS / str(distribution)))
    return model.given(name.classes) if name.labelled else model


def _file(name: ModelName, folder: Path) -> Path:
    return folder / f"{str(name).replace('/', '-')}.safetensors"


@cache
def list_models(distribution: datasets.Source = "fractal_tree") -> tuple[ModelName, ...]:
    """The bundled networks of a distribution, by class, width and steps; none of a drawing of your own."""
    if isinstance(distribution, Drawing):
        return ()
    stems = [path.stem.split("-") for path in (WEIGHTS / distribution).glob("*.safetensors")]
    return tuple(sorted(ModelName(c, int(w), int(s), bool(rest)) for c, w, s, *rest in stems))


def describe_models(distribution: datasets.Source = "fractal_tree") -> str:
    """`list_models` in a line."""
    groups: dict[tuple[str, str], tuple[set[int], set[int]]] = {}
    for name in list_models(distribution):
        key = name.classes, "/labelled" * name.labelled
        widths, steps = groups.setdefault(key, (set(), set()))
        widths.add(name.width)
        steps.add(name.steps)
    return (
        "; ".join(
            f"{classes}/WIDTH/STEPS{end} with width {_join(widths)} and steps {_join(steps)}"
            for (classes, end), (widths, steps) in groups.items()
        )
        or f"none; exact/{datasets.all_classes(distribution)} names the exact distribution"
    )


def _join(values: set[int]) -> str:
    return ", ".join(map(str, sorted(values)))


def open_model(name: str, distribution: datasets.Source = "fractal_tree") -> ScoreModel:
    """A score model by name, as the command line takes it.

    "A/64/4096": a bundled network by classes, width and steps. "A/64/4096/labelled": the label-dropout
    network given A ("AB/...": given the null label). "exact/A": the exact mixture, the oracle.
    A path that ends in .safetensors: the network in that file.

    Raises:
        InputError: it is none of these, or there is no such model.
    """
    name = str(name)
    if name.endswith(".safetensors"):
        return load_weights(name)
    head, *rest = name.split("/")
    if head == "exact" and len(rest) == 1:
        return datasets.distribution(distribution, rest[0])
    if rest[2:] in ([], ["labelled"]) and len(rest) >= 2 and all(re.fullmatch("[0-9]{1,7}", part) for part in rest[:2]):
        return load_model(head, int(rest[0]), int(rest[1]), labelled=len(rest) == 3, distribution=distribution)
    raise InputError(
        f"unknown model {name!r}; name one as CLASSES/WIDTH/STEPS such as {MAIN} (and /labelled), "
        "as exact/CLASSES, or by a file that ends in .safetensors"
    )


def default_main(distribution: datasets.Source = "fractal_tree") -> str:
    """The name of the main model where none is given: of the tree the paper's."""
    return _bundle(distribution).main


def default_guides(method: str, distribution: datasets.Source = "fractal_tree") -> tuple[str, ...]:
    """The names of a method's guides where none are given: of the tree the paper's.

    Raises:
        InputError: there is no such method.
    """
    names = METHODS[choice("method", method, METHODS)].guides
    return tuple(f"{name.split('/')[0]}/{_bundle(distribution).guide}" for name in names)


def _bundle(distribution: datasets.Source) -> Bundle:
    """The row of a distribution; where there is none that of the tree, whose names then lead nowhere."""
    name = "fractal_tree" if isinstance(distribution, Drawing) else distribution
    return BUNDLES.get(name, BUNDLES["fractal_tree"])


def guided_model(
    method: str = "unguided",
    weight: float | jax.Array | None = None,
    *,
    main: str | ScoreModel | None = None,
    guides: Sequence[str | ScoreModel] | None = None,
    interval: tuple[float, float] = ALL_SIGMAS,
    share: float | jax.Array = 0.5,
    distribution: datasets.Source = "fractal_tree",
) -> Guided:
    """A guided model from the zoo; by default the paper's.

    Args:
        method: a row of `toydiff.METHODS`.
        weight: w; 1 is no guidance; by default the method's.
        main: the model that is guided, itself or its name (see `open_model`); by default width 64 at the last
            snapshot of class A.
        guides: the models that it is steered away from, likewise; by default the
            distribution's.
        interval: (lo, hi): the weight is 1 outside lo < sigma <= hi.
        share: of autoguidance in the mix.
        distribution: whose models the names mean.

    Raises:
        InputError: a model or the method does not exist, a number is out of range, or the method's own guides
            are of another class or distribution than the main model.
    """
    names = default_guides(method, distribution) if guides is None else guides
    chosen = (default_main(distribution) if main is None else main, *names)
    models = [model if isinstance(model, ScoreModel) else open_model(model, distribution) for model in chosen]
    if guides is None and names:
        guided = datasets.distribution(distribution, "A")
        if not np.array_equal(models[0].truth().means, guided.means):
            raise InputError(
                f"the guides of {method} are of class A of {distribution}, the main model is not: name its guides"
            )
    return guide(method, *models, weight=weight, interval=interval, share=share)
