"""A population sampler as a row of the table: all points at once, with weights and ancestors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import toydiff
from toydiff import SOLVERS, GaussianMixture, InputError, sample, sample_chunks
from toydiff.sampling.solvers import Sampler, euler

TILT = jnp.array([1.5, -0.5])
VARIANCE = np.array([0.25, 0.09])


@pytest.fixture
def gaussian():
    return GaussianMixture([1.0], [[0.0, 0.0]], [np.diag(VARIANCE)])


def move(evaluate, crowd, row):
    """Euler's step for all, each in its own memory, which must not be mixed up with that of another."""
    return euler(evaluate, crowd, row)


def tilt(evaluate, crowd, row):
    """The last step: weights exp(<x, TILT>), and as many draws by them."""
    assert crowd.x.ndim == 2, "all points are there at once"
    moved, here = euler(evaluate, crowd, row)
    log_weight = moved.x @ TILT
    chosen = jax.random.categorical(crowd.own, log_weight, shape=crowd.log_weight.shape)
    here = here._replace(log_weight=log_weight)
    return moved._replace(x=moved.x[chosen], ancestors=chosen), here


def wrapped(x, rows, key):
    return jax.random.wrap_key_data(key)


@pytest.fixture
def tilted(monkeypatch):
    row = Sampler(move, SOLVERS["euler"].rows, wrapped, last=tilt, stochastic=True, population=True)
    monkeypatch.setitem(SOLVERS, "tilted", row)
    return row


def test_a_population_samples_what_its_weights_say(gaussian, tilted):
    """N(0, C) tilted by exp(<x, a>) is N(C a, C)."""
    n = 8192
    x = np.asarray(sample(gaussian, 0, n, solver="tilted", steps=64).samples)
    effective = n / np.exp(np.asarray(TILT) ** 2 @ VARIANCE)  # of the weights, and so of the draws by them
    error = np.sqrt(VARIANCE * (1 / effective + 1 / n))
    assert (np.abs(x.mean(0) - VARIANCE * np.asarray(TILT)) < 5 * error + 0.01).all()  # 0.01: Euler's


def test_weights_and_ancestors_come_with_the_trajectory(gaussian, tilted):
    n, steps = 300, 8
    way = sample(gaussian, 1, n, solver="tilted", steps=steps)
    assert way.x.shape == (steps + 1, n, 2)
    assert way.log_weight.shape == way.ancestors.shape == (steps + 1, n)
    np.testing.assert_array_equal(way.ancestors[:-1], np.tile(np.arange(n), (steps, 1)))
    survivors = np.unique(way.ancestors[-1])
    assert 1 < len(survivors) < n
    plain = sample(gaussian, 1, n, solver="euler", steps=steps)
    np.testing.assert_allclose(way.x[:-1], plain.x[:-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(way.log_weight[-2], plain.samples @ TILT, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(way.ways, plain.x[:, way.ancestors[-1]], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(plain.ways, plain.x)
    ends = sample(gaussian, 1, n, solver="tilted", steps=steps, path=False)
    np.testing.assert_array_equal(ends.samples, way.samples)
    assert ends.log_weight.shape == ends.ancestors.shape == (1, n)
    assert plain.log_weight is None


def test_a_population_is_whole_also_beyond_the_models_block(tree, tilted, monkeypatch):
    """The model is asked a block at a time; the points stay one population."""
    seen = []
    row = tilted._replace(step=lambda evaluate, crowd, r: seen.append(crowd.x.shape) or move(evaluate, crowd, r))
    monkeypatch.setitem(SOLVERS, "tilted", row)
    n = 2 * tree.block + 3
    assert sample(tree, 0, n, solver="tilted", steps=4, path=False).samples.shape == (n, 2)
    assert set(seen) == {(n, 2)}


def test_a_population_cannot_be_drawn_in_parts(gaussian, tilted):
    with pytest.raises(InputError, match="'tilted' moves all points together; it cannot draw them in chunks"):
        next(sample_chunks(gaussian, 0, 10, solver="tilted"))
    with pytest.raises(InputError, match="they have no part from number 5 on"):
        sample(gaussian, 0, 10, solver="tilted", first=5)


def test_the_command_draws_a_population_whole(tilted, tmp_path):
    from toydiff import cli

    out = tmp_path / "x.npz"
    arguments = ["sample", "--main", "exact/A", "--solver", "tilted", "-n", "50", "--steps", "4", "--out", str(out)]
    assert cli.main(arguments) == 0
    expected = sample(toydiff.guided_model("unguided", main="exact/A"), 0, 50, steps=4, solver="tilted").samples
    np.testing.assert_array_equal(np.load(out)["samples"], expected)


def test_lines_follow_the_ancestors(gaussian, tilted):
    from matplotlib.figure import Figure

    from toydiff import plotting

    way = sample(gaussian, 1, 40, solver="tilted", steps=6)
    lines = plotting.plot_trajectories(way, ax=Figure().subplots())
    drawn = np.stack([path.vertices for path in lines.get_paths()], 1)
    np.testing.assert_allclose(drawn, way.ways, rtol=1e-6)
    assert not np.allclose(drawn, way.x)


def test_a_row_is_compiled_once_for_all_that_a_slider_moves(gaussian, tilted, compilations):
    @partial(jax.jit, static_argnames="n")
    def ends(model, sigma, key, n):
        return sample(model, key, n, start=sigma * jnp.ones((n, 2)), solver="tilted", steps=4, path=False).samples

    with compilations() as count:
        for seed, sigma in ((0, 1.0), (1, 2.0)):
            ends(gaussian, sigma, jax.random.key(seed), 16)
    assert count(ends) == 1
