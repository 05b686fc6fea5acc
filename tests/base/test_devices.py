"""Eight devices, simulated in a process of their own, give what one gives."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import toydiff

EIGHT = """
import sys
import jax, numpy as np, toydiff
from toydiff import Recipe, train
from toydiff.base import devices
from toydiff.base.compile_cache import keep_compiled
from toydiff.base.effort import effort
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Architecture, init_params

keep_compiled()
assert jax.local_device_count() == int(sys.argv[2]), jax.devices()
assert devices.threads() == 1 or jax.local_device_count() == 1
small = Architecture(8, 2)
model = Denoiser(init_params(small, jax.random.key(0)) | {"gain": np.float32(-0.1)}, None, small)
tree = toydiff.fractal_tree("A")
start = tree.sample(0, 1003, 5.0)  # eight parts of unequal size, of more than a block each and of less
recipe = Recipe(widths=(4,), members=3, batch=256)
trained = train(recipe, 4, progress=False)
results = {
    "samples": toydiff.sample(model, 0, 1003, start=start, steps=4).x,
    "log_density": tree.log_density(start, 0.1),
    "losses": trained.losses,
    "weights": np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(trained.state.ema)]),
}
with effort(reference_draws=1 << 14):
    table = toydiff.run_sweep(
        {"method": ["cfg"], "weight": [1.0, 1.2, 1.4], "main_width": [8], "guide_width": [8], "steps": [8]},
        n=50, metrics=["mean_log_density"], progress=False,
    )
results["sweep"] = [row["mean_log_density"] for row in table.rows.values()]
np.savez(sys.argv[1], **results)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one device computes, and what eight do."""
    folder = tmp_path_factory.mktemp("devices")
    found = {}
    for devices in (1, 8):
        out = folder / f"{devices}.npz"
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        program = [sys.executable, "-W", "error", "-c", EIGHT, str(out), str(devices)]
        environment = os.environ | flags
        run = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert run.returncode == 0, run.stderr
        found[devices] = dict(np.load(out))
    return found


NAMES = ["samples", "log_density", "losses", "weights", "sweep"]


@pytest.mark.parametrize("name", NAMES)
def test_eight_devices_compute_what_one_does(results, name):
    one, eight = results[1][name], results[8][name]
    assert one.shape == eight.shape
    assert np.isfinite(one).all()
    np.testing.assert_allclose(eight, one, rtol=1e-4, atol=1e-4)


def test_everything_is_compared(results):
    assert set(results[8]) == set(NAMES)


SHARED = """
import jax, numpy as np
from toydiff.base.devices import over_devices

for n in (1, 7, 8, 27):
    seen = []
    def double(tree):
        seen.append(jax.tree.map(np.shape, tree))
        return {"x": 2 * tree["x"]}
    tree = {"x": np.arange(float(n)), "y": np.ones((n, 3))}
    out = jax.jit(lambda tree: over_devices(double, tree))(tree)
    np.testing.assert_array_equal(out["x"], 2 * tree["x"])
    each = -(-n // 8)
    assert seen == [{"x": (each,), "y": (each, 3)}], seen
"""


def test_rows_are_shared_among_eight_devices():
    """Each gets as many, the last ones copies where they are short."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    run = subprocess.run(
        [sys.executable, "-c", SHARED], env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(jax.default_backend() == "cpu", reason="needs an accelerator; JAX sees none")
def test_an_accelerator_computes_what_the_cpu_does(tree):
    """The bundled main model, guided, on the same starts."""
    model = toydiff.guided_model("autoguidance", 2.0)
    start = np.asarray(tree.sample(0, 2000, 5.0))
    here = np.asarray(toydiff.sample(model, 0, 2000, start=start, path=False).samples)
    with jax.default_device(jax.devices("cpu")[0]):
        there = np.asarray(toydiff.sample(model, 0, 2000, start=start, path=False).samples)
    assert np.median(np.hypot(*(here - there).T)) < 1e-3
