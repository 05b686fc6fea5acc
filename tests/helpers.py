"""What the tests of several folders share and what is no fixture."""

import json
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

from toydiff import cli
from toydiff.networks.energy import init_params
from toydiff.networks.training import Training

ROOT = Path(__file__).parents[1]
"""Of the repository."""


def read_golden(name):
    """Numbers of an independent implementation."""
    return json.loads((ROOT / "tests" / "golden" / f"{name}.json").read_text())


def mass_on_a_grid(log_density, half_width=3.0, n=601):
    """The integral of a density, whose logarithm is a function of points [n, n, 2], over a square around the origin.

    A sum: it is exact where the density falls to nothing at the edge and its features are wider than a step.
    """
    axis, step = np.linspace(-half_width, half_width, n, retstep=True)
    points = np.stack(np.meshgrid(axis, axis), -1)
    return float(np.exp(np.asarray(log_density(points), float)).sum() * step**2)


def run(*words):
    """Exit status of a command in this process."""
    try:
        return cli.main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


def refused(capsys, *words):
    """The one line on stderr of a command that must end with status 2."""
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1, err
    assert err.startswith("toydiff")
    return err


def untrained(recipe, *steps):
    """What a training of a recipe would give, in no time: networks that only began, another one at each of `steps`."""
    snapshots = {}
    for architecture in recipe.architectures:
        for step in steps:
            key = jax.random.key(recipe.seed * 1000 + architecture.width + step)
            params = init_params(architecture, key) | {"gain": jax.numpy.float32(-0.2)}
            snapshots[architecture.width, step] = params
    losses = np.ones((steps[-1], len(recipe.architectures)))
    return Training(recipe, SimpleNamespace(step=steps[-1]), losses, snapshots)
