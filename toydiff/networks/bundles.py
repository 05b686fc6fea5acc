"""What is bundled: the table of the networks of each distribution, and the training that makes them again."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from toydiff.base.checks import choice, count
from toydiff.base.files import PathLike, check_writable
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import Drawing
from toydiff.networks.averages import STORED_LENGTHS
from toydiff.networks.classifier import save_classifier, train_classifier
from toydiff.networks.model_file import save_averages, save_model
from toydiff.networks.names import classifier_file, trained_name, weights_file
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import train

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
        written.append(classifier_file(name, Path(folder)))
        save_classifier(written[-1], trained, name)
    return written


def _train_run(recipe: Recipe, snapshots: list[int], folder: Path, progress: bool) -> list[Path]:
    """Train a recipe of the table and write its networks or, where it has them, its averages; the files."""
    training = train(recipe, snapshots[-1], snapshots=snapshots, progress=progress)
    if training.interrupted:
        raise KeyboardInterrupt
    written = []
    for width, step in training.snapshots:
        name = trained_name(recipe, width, step)
        written.append(weights_file(name, folder, averages=bool(recipe.averages)))
        if recipe.averages:
            save_averages(written[-1], training, width)
        else:
            save_model(written[-1], training, width, step)
    return written


def default_main(distribution: catalogue.Source = "fractal_tree") -> str:
    """The name of the main model where none is given: of the tree the paper's."""
    return bundle_of(distribution).main


def bundle_of(distribution: catalogue.Source) -> Bundle:
    """The row of a distribution; where there is none that of the tree, whose names then lead nowhere."""
    name = "fractal_tree" if isinstance(distribution, Drawing) else distribution
    return BUNDLES.get(name, BUNDLES["fractal_tree"])
