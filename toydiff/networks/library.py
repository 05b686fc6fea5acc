"""The networks at hand: the bundled ones, and families that were trained or loaded beside them."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from toydiff.base.checks import InputError, choice
from toydiff.base.files import read_header
from toydiff.distributions.catalogue import Source
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.model_file import load_weights, save_model
from toydiff.networks.names import ModelName
from toydiff.networks.training import Training
from toydiff.networks.zoo import list_models, load_model

BUNDLED = "bundled"
"""The family of the networks that come with toydiff."""


class Network(NamedTuple):
    """A network that is not bundled."""

    denoiser: Denoiser
    save: Callable[[Path], object]
    """Writes it as `toydiff.save_model` does."""


class _Family(NamedTuple):
    distribution: Source
    networks: dict[ModelName, Network]


class Library:
    """Families of networks by their names: the bundled one of each distribution, and those that are put in.

    A key of caches by its identity: the same family name may stand for other networks in another library.
    """

    def __init__(self) -> None:
        """The bundled networks alone."""
        self._own: dict[str, _Family] = {}

    def families(self, distribution: Source) -> list[str]:
        """The names of the families of a distribution, the bundled one first where there is one."""
        # A list: the thread that draws asks while others add.
        own = [name for name, f in list(self._own.items()) if f.distribution == distribution and f.networks]
        return [BUNDLED] * bool(list_models(distribution)) + own

    def networks(self, distribution: Source, family: str) -> list[ModelName]:
        """The networks of a family, by classes, width and steps.

        Raises:
            InputError: the distribution has no such family.
        """
        choice("family of networks", family, self.families(distribution))
        names = list_models(distribution) if family == BUNDLED else sorted(self._own[family].networks)
        return [name for name in names if not name.labelled]

    def available(self, distribution: Source, family: str) -> tuple[list[int], list[int]]:
        """Widths and steps of the networks of a family."""
        names = self.networks(distribution, family)
        return sorted({name.width for name in names}), sorted({name.steps for name in names})

    def teaches(self, distribution: Source, family: str, classes: str) -> bool:
        """Whether a family has networks of these classes."""
        return any(name.classes == classes for name in self.networks(distribution, family))

    def has_networks(self, distribution: Source, classes: str) -> bool:
        """Whether there are networks of these classes; elsewhere only exact densities."""
        return any(self.teaches(distribution, family, classes) for family in self.families(distribution))

    def network(self, distribution: Source, family: str, name: ModelName) -> Denoiser:
        """A network of a family.

        Raises:
            InputError: there is none of this name.
        """
        if family == BUNDLED:
            options = {"seed": name.seed, "ema": name.ema, "distribution": distribution}
            return load_model(name.classes, name.width, name.steps, **options)  # type: ignore[arg-type]
        return self.own_network(distribution, family, name).denoiser

    def own_network(self, distribution: Source, family: str, name: ModelName) -> Network:
        """A network of a family that is not bundled.

        Raises:
            InputError: there is none of this name.
        """
        known = self.networks(distribution, family)
        if name not in known:
            of_classes = sorted({other.classes for other in known})
            hint = f"it has {', '.join(map(str, known))}" if name.classes in of_classes else f"train {name.classes} too"
            raise InputError(f"{family} has no network {name}: {hint}, or set it exact")
        return self._own[family].networks[name]

    def file_of(self, distribution: Source, family: str, name: ModelName) -> bytes:
        """The file of a network, as `toydiff.save_model` writes it.

        Raises:
            InputError: there is none of this name, or it is bundled.
        """
        if family == BUNDLED:
            raise InputError(f"{name} is bundled: everyone has it under this name")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.safetensors"
            self.own_network(distribution, family, name).save(path)
            return path.read_bytes()

    def distribution_of(self, family: str) -> Source:
        """The distribution that a family of one's own was trained on."""
        return self._own[family].distribution

    def new_family(self, distribution: Source, kind: str = "training") -> str:
        """An empty family under a name that was never used: a name stands for the same networks for ever."""
        own = self._own
        name = next(name for i in range(1, len(own) + 2) if (name := f"{kind} {i}") not in own)
        own[name] = _Family(distribution, {})
        return name

    def add_snapshots(self, family: str, training: Training) -> None:
        """Put the snapshots of a training into a family.

        Raises:
            InputError: the family is of another distribution.
        """
        if training.recipe.distribution != self._own[family].distribution:
            raise InputError(f"{family} is of another distribution than the training")
        for width, step in training.snapshots:
            name = ModelName(training.recipe.classes, width, step)
            if name not in self._own[family].networks:
                save = partial(_save_snapshot, training=training, width=width, step=step)
                self._own[family].networks[name] = Network(training.denoiser(width, step), save)

    def holds(self, family: str, path: Path) -> bool:
        """Whether a family that is at hand has exactly the network in a file.

        Raises:
            InputError: it is no file of weights that this version can read.
        """
        model, name = _read(path)
        known = self._own[family].networks.get(name) if family in self._own else None
        if known is None or known.denoiser.architecture != model.architecture:
            return False
        alike: bool = jax.tree.all(jax.tree.map(np.array_equal, known.denoiser.params, model.params))
        return alike

    def forget(self, family: str) -> None:
        """Take a family away again."""
        self._own.pop(family, None)

    def load_files(self, paths: Sequence[Path]) -> tuple[str, list[ModelName]]:
        """Put the networks in files into a new family, all or none of them; the family, and their names in it.

        Raises:
            InputError: a file holds no weights that this version can read, or a network that takes labels; or they are
                of several distributions, or two have the same name.
        """
        read = [(*_read(path), path.read_bytes()) for path in paths]
        loaded: dict[ModelName, Network] = {}
        for model, name, content in read:
            if model.architecture.labels:
                raise InputError("the network takes a label; the explorer shows those without")
            if model.distribution != read[0][0].distribution or name in loaded:
                raise InputError(f"{name} does not go with the other files: load those of one training, each once")
            loaded[name] = Network(model, partial(_write, content))
        family = self.new_family(read[0][0].distribution, "loaded")
        self._own[family].networks.update(loaded)
        return family, list(loaded)


BUNDLE = Library()
"""The bundled networks alone: what is meant where no library is passed in. Nothing is put into it."""


def _read(path: Path) -> tuple[Denoiser, ModelName]:
    try:
        model, header = load_weights(path), read_header(path, "model")
    except InputError as error:  # the folder is a passing one
        raise InputError(str(error).replace(str(path), path.name)) from None
    return model, ModelName(model.classes, model.architecture.width, int(header["step"]))


def _save_snapshot(path: Path, *, training: Training, width: int, step: int) -> None:
    save_model(path, training, width, step)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
