"""The names of networks: what they say, and where the bundled ones lie."""

import re
from pathlib import Path
from typing import NamedTuple

from toydiff.distributions.catalogue import Source
from toydiff.networks.perturbed import CHANGES, INPUT_NOISE
from toydiff.networks.recipe import Recipe

WEIGHTS = Path(__file__).parent / "weights"
CHANGED_NAME = re.compile(rf"(.+)\+({'|'.join((INPUT_NOISE, *CHANGES))})([0-9]{{0,3}}\.?[0-9]{{1,9}})", re.DOTALL)
"""A name, and how the model was made worse on purpose."""
_LENGTH = r"/ema([0-9]{0,3}\.?[0-9]{1,9})"
BUNDLED_NAME = re.compile(rf"([^/]*)/([0-9]{{1,7}})/([0-9]{{1,7}})(/labelled)?(?:/seed([0-9]{{1,10}}))?(?:{_LENGTH})?")
FILE_NAME = re.compile(rf"(.*\.safetensors)(?:{_LENGTH})?", re.DOTALL)


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


def is_network(name: str) -> bool:
    """Whether a guide in the table of methods is a network, CLASSES/WIDTH/STEPS, and not a classifier."""
    return BUNDLED_NAME.fullmatch(name) is not None


def trained_name(recipe: Recipe, width: int, step: int) -> ModelName:
    """The name of a network that a recipe trained."""
    return ModelName(recipe.classes, width, step, recipe.labelled, recipe.seed)


def weights_file(name: ModelName, folder: Path, *, averages: bool = False) -> Path:
    """Where a network lies, or all its averages."""
    stem = str(name._replace(seed=0, ema=None)).replace("/", "-")
    folders = [f"seed{name.seed}"] * bool(name.seed) + ["averages"] * averages
    return folder.joinpath(*folders, f"{stem}.safetensors")


def classifier_file(distribution: Source, folder: Path = WEIGHTS) -> Path:
    """Where the classifier of a distribution lies."""
    return folder / str(distribution) / "classifier" / "AB.safetensors"
