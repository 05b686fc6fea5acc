"""The bundled weights: train, list and load them, and the paper's methods by the names of their models."""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from toydiff import datasets
from toydiff.checks import InputError, choice, count, number
from toydiff.classifier import exact_classifier, load_classifier, save_classifier, train_classifier
from toydiff.denoiser import Denoiser
from toydiff.ema import EMA_RANGE, STORED_LENGTHS
from toydiff.guidance import ALL_SIGMAS, METHODS, Guided, guide
from toydiff.model_file import load_averages, load_weights, save_averages, save_model
from toydiff.perturbed import CHANGES, INPUT_NOISE, perturb
from toydiff.recipe import Recipe
from toydiff.score_model import Exact, ScoreModel
from toydiff.storage import PathLike, check_writable
from toydiff.strokes import Drawing
from toydiff.training import train

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
    guide: str | None
    """Width and steps of all guides where none are named; None: those that the table of methods names."""
    further: tuple[tuple[Recipe, int], ...] = ()
    """Recipes of one width for networks of other training seeds and for averages, kept at one step each."""
    classifier: int = 0
    """Training steps of a bundled classifier of noisy points; 0: there is none."""


def _of_drawing(name: str) -> Bundle:
    recipes = tuple(Recipe(name, classes, widths=(16, 32, 64)) for classes in ("A", "AB"))
    return Bundle(recipes, (128, 512, 2048), "A/64/2048", "16/128")


_MAIN_AND_GUIDES = ("A", 64, 4096), ("A", 64, 1024), ("A", 32, 512), ("AB", 32, 512)

BUNDLES: dict[str, Bundle] = {
    "fractal_tree": Bundle(
        (
            Recipe(classes="A", widths=(8, 16, 32, 64, 128)),
            Recipe(classes="AB", widths=(8, 16, 32, 64, 128)),
            Recipe(classes="AB", widths=(64,), labelled=True),
        ),
        SNAPSHOTS,
        MAIN,
        None,
        (
            *((Recipe(classes=c, widths=(w,), seed=s), steps) for s in (1, 2) for c, w, steps in _MAIN_AND_GUIDES),
            (Recipe(widths=(64,), averages=STORED_LENGTHS), 4096),
            (Recipe(widths=(32,), averages=STORED_LENGTHS), 512),
        ),
        classifier=1024,
    ),
    "spirals": _of_drawing("spirals"),
    "letters": _of_drawing("letters"),
    "rings": _of_drawing("rings"),
}
"""By the name of the distribution; `train_zoo` trains them."""


class ModelName(NamedTuple):
    """A network of the zoo: "A/64/4096", or "A/64/4096/labelled" for the label-dropout network given A.

    "A/64/4096/seed1" was trained with another seed, and "A/64/4096/ema0.05" is averaged over another length.
    """

    classes: str
    width: int
    steps: int
    labelled: bool = False
    seed: int = 0
    ema: float | None = None  # None: the recipe's own

    def __str__(self) -> str:
        seed = f"/seed{self.seed}" if self.seed else ""
        ema = "" if self.ema is None else f"/ema{self.ema}"
        return f"{self.classes}/{self.width}/{self.steps}" + "/labelled" * self.labelled + seed + ema


def train_zoo(
    folder: PathLike, *, only: Sequence[str] = tuple(BUNDLES), steps: int | None = None, progress: bool = True
) -> list[Path]:
    """Train every bundled network and classifier, or those of some distributions, and write them; the files written.

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
    runs = [(recipe, bundle.snapshots) for bundle in bundles for recipe in bundle.recipes]
    runs += [(recipe, (step,)) for bundle in bundles for recipe, step in bundle.further]
    written = []
    for recipe, snapshots in runs:
        place = Path(folder) / str(recipe.distribution)
        check_writable(place / "any")
        kept = [s for s in snapshots if steps is None or s <= steps]
        if kept:
            written += _train_run(recipe, kept, place, progress)
    for name in [name for name in only if BUNDLES[name].classifier]:
        trained = train_classifier(name, min(steps or 1_000_000, BUNDLES[name].classifier), progress=progress)
        written.append(_classifier_file(name, Path(folder)))
        save_classifier(written[-1], trained, name)
    return written


def _train_run(recipe: Recipe, snapshots: list[int], folder: Path, progress: bool) -> list[Path]:
    """Train a recipe of the table and write its networks or, where it has them, its averages; the files."""
    training = train(recipe, snapshots[-1], snapshots=snapshots, progress=progress)
    if training.interrupted:
        raise KeyboardInterrupt
    written = []
    for width, step in training.snapshots:
        name = _trained_name(recipe, width, step)
        written.append(_file(name, folder, averages=bool(recipe.averages)))
        if recipe.averages:
            save_averages(written[-1], training, width)
        else:
            save_model(written[-1], training, width, step)
    return written


def _trained_name(recipe: Recipe, width: int, step: int) -> ModelName:
    return ModelName(recipe.classes, width, step, recipe.labelled, recipe.seed)


def load_model(
    classes: str = "A",
    width: int = 64,
    steps: int = 4096,
    *,
    labelled: bool = False,
    seed: int = 0,
    ema: float | None = None,
    distribution: datasets.Source = "fractal_tree",
) -> Denoiser:
    """A bundled network.

    Args:
        classes: what it was trained on, "A" or "AB"; with `labelled`, what it is given: a class, or "AB"
            for the null label.
        width: of its layers.
        steps: of training after which the average was taken.
        labelled: the one network trained with label dropout, in place of one network for each choice of classes.
        seed: of the training.
        ema: length of the average of the parameters, relative to the training time, from 0.005 to 0.25; any but the
            default, 0.010, is made of stored averages (see `toydiff.ema`), of the main model and its autoguide.
        distribution: that it was trained on; of a drawing of your own there are no bundled networks.

    Raises:
        InputError: there is no such network; the message lists those that exist.
    """
    length = None if ema is None else float(number("ema", ema, *EMA_RANGE))
    name = ModelName(
        str(classes),
        count("width", width),
        count("steps", steps),
        bool(labelled),
        count("seed", seed, 0, 2**32 - 1),
        None if length == Recipe.ema else length,
    )
    return _load_bundled(name, distribution)


@lru_cache(maxsize=256)
def _load_bundled(name: ModelName, distribution: datasets.Source) -> Denoiser:
    every = datasets.all_classes(distribution)
    known = name.classes in ([*every, every] if name.labelled else datasets.class_choices(every))
    stored = name._replace(classes=every) if name.labelled and known else name
    if not known or stored._replace(seed=0, ema=None) not in list_models(distribution):
        raise InputError(f"no bundled model {name} of {distribution}; there are {describe_models(distribution)}")
    path = _file(stored, WEIGHTS / str(distribution), averages=name.ema is not None)
    if not path.exists():
        raise InputError(f"no bundled model {name} of {distribution}; {_describe_further(distribution)}")
    model = load_weights(path) if name.ema is None else load_averages(path, name.ema)
    return model.given(name.classes) if name.labelled else model


def _file(name: ModelName, folder: Path, *, averages: bool = False) -> Path:
    """Of a network, or of all its averages."""
    stem = str(name._replace(seed=0, ema=None)).replace("/", "-")
    folders = [f"seed{name.seed}"] * bool(name.seed) + ["averages"] * averages
    return folder.joinpath(*folders, f"{stem}.safetensors")


@cache
def list_models(distribution: datasets.Source = "fractal_tree") -> tuple[ModelName, ...]:
    """The bundled networks of a distribution, by class, width and steps; none of a drawing of your own."""
    if isinstance(distribution, Drawing):
        return ()
    stems = [path.stem.split("-") for path in (WEIGHTS / distribution).glob("*.safetensors")]
    return tuple(sorted(ModelName(c, int(w), int(s), bool(rest)) for c, w, s, *rest in stems))


def _describe_further(distribution: datasets.Source) -> str:
    """What is bundled beside `list_models`, in a line."""
    names = [
        f"{_trained_name(recipe, recipe.widths[0], step)}" + "/emaLENGTH" * bool(recipe.averages)
        for recipe, step in _bundle(distribution).further
    ]
    return f"beside seed 0 and ema {Recipe.ema} there are {', '.join(names) or 'none'}"


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


def _classifier_file(distribution: datasets.Source, folder: Path = WEIGHTS) -> Path:
    return folder / str(distribution) / "classifier" / "AB.safetensors"


def classifier_name(distribution: datasets.Source, given: str, *, exact: bool = False) -> str:
    """The name of the classifier of a class: the bundled one or, where there is none, the exact one."""
    bundled = not isinstance(distribution, Drawing) and _classifier_file(distribution).exists()
    return f"classifier/{given}" if bundled and not exact else f"exact-classifier/{given}"


_CHANGED_NAME = re.compile(rf"(.+)\+({'|'.join((INPUT_NOISE, *CHANGES))})([0-9]{{0,3}}\.?[0-9]{{1,9}})", re.DOTALL)
_LENGTH = r"/ema([0-9]{0,3}\.?[0-9]{1,9})"
_BUNDLED_NAME = re.compile(rf"([^/]*)/([0-9]{{1,7}})/([0-9]{{1,7}})(/labelled)?(?:/seed([0-9]{{1,10}}))?(?:{_LENGTH})?")
_FILE_NAME = re.compile(rf"(.*\.safetensors)(?:{_LENGTH})?", re.DOTALL)


def open_model(name: str, distribution: datasets.Source = "fractal_tree") -> ScoreModel:
    """A score model by name, as the command line takes it.

    "A/64/4096": a bundled network by classes, width and steps. "A/64/4096/labelled": the label-dropout
    network given A ("AB/...": given the null label). "A/64/4096/seed1": of another training seed.
    "A/64/4096/ema0.05": averaged over another length. "exact/A": the exact mixture, the oracle.
    A path that ends in .safetensors: the network in that file; with "/ema0.05" after it: that of a file of averages.
    "classifier/A": the bundled classifier's p(A | x; sigma); "exact-classifier/A": the exact one's.
    Any of them with "+dropout0.05", "+input-noise0.1", "+identity0.3" or "+layer-noise0.3" after it: made worse on
    purpose (see `toydiff.perturb`).

    Raises:
        InputError: it is none of these, or there is no such model.
    """
    name = str(name)
    if file := _FILE_NAME.fullmatch(name):
        path, ema = file.groups()
        return load_weights(path) if ema is None else load_averages(path, float(ema))
    if changed := _CHANGED_NAME.fullmatch(name):
        base, change, amount = changed.groups()
        return perturb(open_model(base, distribution), change, float(amount))
    head, *rest = name.split("/")
    if head == "exact" and len(rest) == 1:
        return datasets.distribution(distribution, rest[0])
    if head == "exact-classifier" and len(rest) == 1:
        return exact_classifier(distribution, rest[0])
    if head == "classifier" and len(rest) == 1:
        if classifier_name(distribution, rest[0]) != name:
            raise InputError(f"no bundled classifier of {distribution}; exact-{name} is the exact one")
        return load_classifier(_classifier_file(distribution), rest[0])
    if bundled := _BUNDLED_NAME.fullmatch(name):
        classes, width, steps, labelled, seed, ema = bundled.groups()
        return load_model(
            classes,
            int(width),
            int(steps),
            labelled=bool(labelled),
            seed=int(seed or 0),
            ema=None if ema is None else float(ema),
            distribution=distribution,
        )
    raise InputError(
        f"unknown model {name!r}; name one as CLASSES/WIDTH/STEPS such as {MAIN} (and /labelled, /seed1, /ema0.05), "
        "as exact/CLASSES, classifier/CLASS or exact-classifier/CLASS, or by a file that ends in .safetensors"
    )


def default_main(distribution: datasets.Source = "fractal_tree") -> str:
    """The name of the main model where none is given: of the tree the paper's."""
    return _bundle(distribution).main


def default_guides(method: str, distribution: datasets.Source = "fractal_tree") -> tuple[str, ...]:
    """The names of a method's guides where none are given: of the tree the paper's.

    Raises:
        InputError: there is no such method.
    """
    size = _bundle(distribution).guide

    def here(name: str) -> str:
        head, *rest = name.split("/")
        if not is_network(name):
            return classifier_name(distribution, *rest)
        return name if size is None else f"{head}/{size}"

    return tuple(map(here, METHODS[choice("method", method, METHODS)].guides))


def is_network(name: str) -> bool:
    """Whether a guide in the table of methods is a network, CLASSES/WIDTH/STEPS, and not a classifier."""
    return _BUNDLED_NAME.fullmatch(name) is not None


def _bundle(distribution: datasets.Source) -> Bundle:
    """The row of a distribution; where there is none that of the tree, whose names then lead nowhere."""
    name = "fractal_tree" if isinstance(distribution, Drawing) else distribution
    return BUNDLES.get(name, BUNDLES["fractal_tree"])


def _same(a: Exact, b: Exact) -> bool:
    """Whether two distributions are of the same arrays."""
    alike: bool = jax.tree.structure(a) == jax.tree.structure(b)  # type: ignore[operator]
    return alike and jax.tree.all(jax.tree.map(np.array_equal, a, b))


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

    Example:
        >>> import toydiff
        >>> model = toydiff.guided_model("autoguidance", 2.0)
        >>> model.main.architecture.width, model.guides[0].architecture.width
        (64, 32)
    """
    names = default_guides(method, distribution) if guides is None else guides
    chosen = (default_main(distribution) if main is None else main, *names)
    models = [model if isinstance(model, ScoreModel) else open_model(model, distribution) for model in chosen]
    if guides is None and names:
        guided = datasets.distribution(distribution, "A")
        if not _same(models[0].truth(), guided):
            raise InputError(
                f"the guides of {method} are of class A of {distribution}, the main model is not: name its guides"
            )
    return guide(method, *models, weight=weight, interval=interval, share=share)
