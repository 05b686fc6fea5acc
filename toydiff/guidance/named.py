"""Guided models by the names of their networks: by default the paper's."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from toydiff.base.checks import InputError, choice
from toydiff.base.score_model import Exact, ScoreModel
from toydiff.distributions import catalogue
from toydiff.guidance.guided import Guided
from toydiff.guidance.methods import ALL_SIGMAS, METHODS, guide
from toydiff.guidance.row import Role
from toydiff.networks.bundles import bundle_of, default_main
from toydiff.networks.zoo import classifier_name, open_model


def default_guides(method: str, distribution: catalogue.Source = "fractal_tree", classes: str = "A") -> tuple[str, ...]:
    """The names of a method's guides where none are given: of the tree the paper's.

    Args:
        method: a row of `METHODS`.
        distribution: whose models they are.
        classes: those of the main model.

    Raises:
        InputError: there is no such method.
    """
    every, size = catalogue.all_classes(distribution), bundle_of(distribution).guide

    def here(role: Role) -> str:
        known = role.classes(classes, every)
        if role.size is None:
            return classifier_name(distribution, known)
        return f"{known}/{size or '{}/{}'.format(*role.size)}"

    return tuple(map(here, METHODS[choice("method", method, METHODS)].guides))


def default_guide_networks(method: str, distribution: catalogue.Source = "fractal_tree") -> list[str]:
    """Of `default_guides` those that are networks.

    Raises:
        InputError: there is no such method.
    """
    names = default_guides(method, distribution)
    return [name for role, name in zip(METHODS[method].guides, names, strict=True) if not role.classifies]


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
    distribution: catalogue.Source = "fractal_tree",
    **knobs: Any,
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
        distribution: whose models the names mean.
        knobs: the method's other knobs, such as `share`, of autoguidance in the mix.

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
        guided = catalogue.distribution(distribution, "A")
        if not _same(models[0].truth(), guided):
            raise InputError(
                f"the guides of {method} are of class A of {distribution}, the main model is not: name its guides"
            )
    return guide(method, *models, weight=weight, interval=interval, **knobs)
