"""The zoo: the bundled networks, listed and loaded, and any model by its name."""

from functools import cache, lru_cache
from pathlib import Path

from toydiff.base.checks import InputError, count, number
from toydiff.base.score_model import ScoreModel
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import Drawing
from toydiff.networks.averages import EMA_RANGE
from toydiff.networks.bundles import MAIN, bundle_of
from toydiff.networks.classifier import exact_classifier, load_classifier
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.model_file import load_averages, load_weights
from toydiff.networks.names import (
    BUNDLED_NAME,
    CHANGED_NAME,
    FILE_NAME,
    WEIGHTS,
    ModelName,
    classifier_file,
    trained_name,
    weights_file,
)
from toydiff.networks.perturbed import perturb
from toydiff.networks.recipe import Recipe


def load_model(
    classes: str = "A",
    width: int = 64,
    steps: int = 4096,
    *,
    labelled: bool = False,
    seed: int = 0,
    ema: float | None = None,
    distribution: catalogue.Source = "fractal_tree",
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
    return _load_bundled(name, distribution, WEIGHTS)


@lru_cache(maxsize=256)
def _load_bundled(name: ModelName, distribution: catalogue.Source, folder: Path) -> Denoiser:
    every = catalogue.all_classes(distribution)
    known = name.classes in ([*every, every] if name.labelled else catalogue.class_choices(every))
    stored = name._replace(classes=every) if name.labelled and known else name
    if not known or stored._replace(seed=0, ema=None) not in list_models(distribution):
        raise InputError(f"no bundled model {name} of {distribution}; there are {describe_models(distribution)}")
    path = weights_file(stored, folder / str(distribution), averages=name.ema is not None)
    if not path.exists():
        raise InputError(f"no bundled model {name} of {distribution}; {_describe_further(distribution)}")
    model = load_weights(path) if name.ema is None else load_averages(path, name.ema)
    return model.given(name.classes) if name.labelled else model


def list_models(distribution: catalogue.Source = "fractal_tree") -> tuple[ModelName, ...]:
    """The bundled networks of a distribution, by class, width and steps; none of a drawing of your own."""
    if isinstance(distribution, Drawing):
        return ()
    return _listed(f"{WEIGHTS}/{distribution}")


@cache
def _listed(folder: str) -> tuple[ModelName, ...]:
    """By the name of the folder: a path is made anew each time, and a drag asks often."""
    stems = [path.stem.split("-") for path in Path(folder).glob("*.safetensors")]
    return tuple(sorted(ModelName(c, int(w), int(s), bool(rest)) for c, w, s, *rest in stems))


def _describe_further(distribution: catalogue.Source) -> str:
    """What is bundled beside `list_models`, in a line."""
    names = [
        f"{trained_name(recipe, recipe.widths[0], step)}" + "/emaLENGTH" * bool(recipe.averages)
        for recipe, step in bundle_of(distribution).further
    ]
    return f"beside seed 0 and ema {Recipe.ema} there are {', '.join(names) or 'none'}"


def describe_models(distribution: catalogue.Source = "fractal_tree") -> str:
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
        or f"none; exact/{catalogue.all_classes(distribution)} names the exact distribution"
    )


def _join(values: set[int]) -> str:
    return ", ".join(map(str, sorted(values)))


def classifier_name(distribution: catalogue.Source, given: str, *, exact: bool = False) -> str:
    """The name of the classifier of a class: the bundled one or, where there is none, the exact one."""
    bundled = not isinstance(distribution, Drawing) and classifier_file(distribution).exists()
    return f"classifier/{given}" if bundled and not exact else f"exact-classifier/{given}"


def open_model(name: str, distribution: catalogue.Source = "fractal_tree") -> ScoreModel:
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
    if file := FILE_NAME.fullmatch(name):
        path, ema = file.groups()
        return load_weights(path) if ema is None else load_averages(path, float(ema))
    if changed := CHANGED_NAME.fullmatch(name):
        base, change, amount = changed.groups()
        return perturb(open_model(base, distribution), change, float(amount))
    head, *rest = name.split("/")
    if head == "exact" and len(rest) == 1:
        return catalogue.distribution(distribution, rest[0])
    if head == "exact-classifier" and len(rest) == 1:
        return exact_classifier(distribution, rest[0])
    if head == "classifier" and len(rest) == 1:
        if classifier_name(distribution, rest[0]) != name:
            raise InputError(f"no bundled classifier of {distribution}; exact-{name} is the exact one")
        return load_classifier(classifier_file(distribution), rest[0])
    if bundled := BUNDLED_NAME.fullmatch(name):
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
