"""Averages of any length from stored ones, against quadrature and against averages that were tracked."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toydiff import InputError, Recipe, load_averages, load_weights, open_model, save_averages, train
from toydiff.networks import training
from toydiff.networks.averages import EMA_RANGE, STORED_LENGTHS, combine, posthoc_weights, power_gamma

LENGTHS = (0.005, 0.007, 0.01, 0.05, 0.19, 0.25)
SMALL = Recipe(widths=(8,), batch=64, averages=STORED_LENGTHS)


def flat(params):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)]).astype(float)


def assert_same(ours, theirs):
    for our, their in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(our, their)


@pytest.fixture(scope="module")
def tracked():
    """A short training that tracks both the stored lengths and those to be made of them."""
    return train(replace(SMALL, averages=STORED_LENGTHS + LENGTHS), 256, snapshots=[64], progress=False)


def test_the_profiles_come_out_by_quadrature():
    nodes, masses = np.polynomial.legendre.leggauss(300)
    t, masses = (nodes + 1) / 2, masses / 2

    def profile(length):
        gamma = power_gamma(length)
        return (gamma + 1) * t**gamma

    stored = np.stack([profile(length) for length in STORED_LENGTHS])
    inner = (stored * masses) @ stored.T
    for length in np.geomspace(*EMA_RANGE, 60):
        weights, wanted = posthoc_weights(STORED_LENGTHS, length), profile(length)
        norm = np.sqrt(masses @ wanted**2)
        distance = np.sqrt(masses @ (weights @ stored - wanted) ** 2) / norm
        assert distance < 0.0022
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        assert np.abs(weights).max() < 1.3
        # Least squares under the sum: the residual's inner products with all stored profiles are the same.
        slope = inner @ weights - (stored * masses) @ wanted
        assert np.ptp(slope) < 1e-8 * norm**2


def test_the_stored_lengths_are_zolotarevs():
    """The distance swings to the same height between all the nodes."""
    gammas = np.array([power_gamma(length) for length in STORED_LENGTHS])
    at = np.array([power_gamma(length) for length in np.geomspace(*EMA_RANGE, 4000)])[:, None]
    distance = np.abs(np.prod((at - gammas) / (at + gammas + 1), 1))
    inside = (distance[1:-1] > distance[:-2]) & (distance[1:-1] > distance[2:])
    peaks = np.array([distance[0], *distance[1:-1][inside], distance[-1]])
    assert len(peaks) == len(STORED_LENGTHS) + 1
    np.testing.assert_allclose(peaks, 0.0021, rtol=0.03)


def test_a_stored_length_is_taken_as_it_is():
    np.testing.assert_allclose(posthoc_weights(STORED_LENGTHS, STORED_LENGTHS[3]), np.eye(9)[3], atol=1e-7)
    still = {"layers": jnp.full((2, 3), 0.7), "gain": jnp.float32(-0.3)}
    same = combine([still] * 9, posthoc_weights(STORED_LENGTHS, 0.123))
    assert same["gain"].dtype == jnp.float32
    np.testing.assert_allclose(flat(same), flat(still), rtol=1e-6)


@pytest.mark.parametrize("index", range(len(LENGTHS)))
def test_made_of_stored_averages_it_is_the_tracked_one(tracked, index):
    every = [average[0] for average in tracked.state.averages]
    direct = every[len(STORED_LENGTHS) + index]
    made = combine(every[: len(STORED_LENGTHS)], posthoc_weights(STORED_LENGTHS, LENGTHS[index]))
    start, last = training.init_state(SMALL).params[0], tracked.state.params[0]
    error = np.linalg.norm(flat(made) - flat(direct))
    assert error < 1e-3 * np.linalg.norm(flat(direct) - flat(start))
    assert error < 0.1 * np.linalg.norm(flat(direct) - flat(last))
    x, sigma = jax.random.normal(jax.random.key(1), (512, 2)), jnp.geomspace(0.02, 2, 512)
    scores = [np.asarray(SMALL.denoiser(8, params).score(x, sigma)) for params in (made, direct)]
    assert np.linalg.norm(scores[0] - scores[1]) < 3e-3 * np.linalg.norm(scores[1])


def test_lengths_out_of_reach_are_refused():
    for length in (0.0049, 0.26, float("nan"), "long"):
        with pytest.raises(InputError, match=r"ema is .*; it must be a number, at least 0.005 and at most 0.25"):
            posthoc_weights(STORED_LENGTHS, length)
    with pytest.raises(InputError, match=r"ema is 0.1; averages of the lengths 0.01, 0.2 do not give it to within 1%"):
        posthoc_weights((0.01, 0.2), 0.1)
    with pytest.raises(InputError, match="do not give it"):
        posthoc_weights((), 0.1)


def test_averages_leave_the_training_as_it_is(tracked):
    without = train(replace(SMALL, averages=()), 64, progress=False)
    assert without.state.averages == ()
    assert np.array_equal(without.losses, tracked.losses[:64])
    assert_same(without.snapshots[8, 64], tracked.snapshots[8, 64])


def test_resume_continues_the_averages_bit_for_bit(tracked, tmp_path):
    half = train(tracked.recipe, 217, progress=False)
    training.save_checkpoint(tmp_path / "c.safetensors", half)
    again = training.load_checkpoint(tmp_path / "c.safetensors")
    assert_same(train(tracked.recipe, 256, resume=again, progress=False).state, tracked.state)


def test_averages_are_saved_and_loaded(tracked, tmp_path):
    path = tmp_path / "a.safetensors"
    stored = tracked.state.averages[: len(STORED_LENGTHS)]
    save_averages(path, replace(tracked, recipe=SMALL, state=tracked.state._replace(averages=stored)))
    for length, average in zip(STORED_LENGTHS[1:3], stored[1:3], strict=True):
        np.testing.assert_allclose(flat(load_averages(path, length).params), flat(average), rtol=1e-5, atol=1e-6)
    made = combine([average[0] for average in stored], posthoc_weights(STORED_LENGTHS, 0.07))
    assert_same(open_model(f"{path}/ema0.07").params, made)
    with pytest.raises(InputError, match="is a set of averages; a model is wanted"):
        load_weights(path)
    with pytest.raises(InputError, match=r"ema is 0.3; it must be a number, at least 0.005 and at most 0.25"):
        open_model(f"{path}/ema0.3")


def test_of_several_widths_the_one_that_is_named_is_saved(tmp_path):
    recipe = Recipe(widths=(4, 8), averages=(0.02, 0.1))
    fresh = training.Training(recipe, training.init_state(recipe), np.zeros((0, 2)), {})
    save_averages(tmp_path / "a.safetensors", fresh, 8)
    assert_same(load_averages(tmp_path / "a.safetensors", 0.1).params, fresh.state.params[1])
    with pytest.raises(InputError, match="unknown width '16'; there are 4, 8"):
        save_averages(tmp_path / "a.safetensors", fresh, 16)
    with pytest.raises(InputError, match=r"train with Recipe\(averages=toydiff.STORED_LENGTHS\)"):
        save_averages(tmp_path / "a.safetensors", replace(fresh, recipe=replace(recipe, averages=())))


def test_recipes_carry_averages():
    recipe = Recipe(averages=[np.float64(0.02), 0.1])
    assert recipe == Recipe(averages=(0.02, 0.1))
    assert Recipe.from_json(recipe.to_json()) == recipe
    before = {name: value for name, value in Recipe().to_json().items() if name != "averages"}
    assert Recipe.from_json(before) == Recipe()
    for averages, words in ((0.1, "must be a tuple"), ((0.1, 0.1), "all be different"), ((0.4,), "ema is 0.4")):
        with pytest.raises(InputError, match=words):
            Recipe(averages=averages)
