"""Models made worse on purpose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import toydiff
from toydiff import InputError, guide
from toydiff.networks.perturbed import CHANGES, key_at, perturb


@pytest.mark.parametrize("change", ["input-noise", *CHANGES])
def test_no_change_is_the_model_itself(tiny_denoiser, change):
    x = np.random.default_rng(0).normal(size=(64, 2))
    changed = perturb(tiny_denoiser, change, 0.0)
    np.testing.assert_allclose(changed.score(x, 0.1), tiny_denoiser.score(x, 0.1), rtol=1e-5, atol=1e-6)
    assert changed.truth() is not None
    worse = perturb(tiny_denoiser, change, 0.5)
    assert np.abs(np.asarray(worse.score(x, 0.1) - tiny_denoiser.score(x, 0.1))).max() > 1e-4


def test_chance_is_a_function_of_point_and_noise_level(tiny_denoiser):
    x = np.random.default_rng(0).normal(size=(600, 2))
    worse = perturb(tiny_denoiser, "layer-noise", 0.3)
    np.testing.assert_array_equal(worse.score(x, 0.1), worse.score(x, 0.1))
    np.testing.assert_allclose(worse.score(x, 0.1)[::-1], worse.score(x[::-1], 0.1), rtol=1e-5)
    keys = [
        key_at(jnp.array(p), jnp.float32(s), jnp.float32(amount))
        for p in ([0.0, 1.0], [1.0, 0.0], [0.0, 1.0000001])
        for s in (0.1, 0.2)
        for amount in (0.1, 0.2)
    ]
    assert len({tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}) == 12


def test_main_and_guide_draw_independently():
    """Of one Gaussian the score is linear: the errors of two noisy inputs, each over its amount, are uncorrelated."""
    gaussian = toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [0.25 * np.eye(2)])
    x = np.random.default_rng(2).normal(size=(4000, 2))
    errors = [
        np.asarray(perturb(gaussian, "input-noise", a).score(x, 0.5) - gaussian.score(x, 0.5)) for a in (0.1, 0.2)
    ]
    assert abs(np.corrcoef(errors[0].ravel(), errors[1].ravel())[0, 1]) < 0.06


def test_input_noise_has_the_stated_size(tiny_mixture):
    """Of one Gaussian the score is linear, so the disturbed scores scatter about the score with a known spread."""
    gaussian = toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [0.25 * np.eye(2)])
    sigma, amount = 0.5, 0.2
    x = np.random.default_rng(1).normal(size=(20_000, 2))
    scatter = np.asarray(perturb(gaussian, "input-noise", amount).score(x, sigma) - gaussian.score(x, sigma))
    assert scatter.std() == pytest.approx(amount * sigma / (0.25 + sigma**2), rel=0.03)
    assert abs(scatter.mean()) < 4 * scatter.std() / np.sqrt(scatter.size)


def test_dropout_drops_the_stated_share(tiny_denoiser):
    from toydiff.networks.perturbed import Where, drop_out

    where = Where(jax.random.key(0), jnp.float32(0.25), False)
    kept = np.asarray(drop_out(where, lambda h: h, jnp.ones(10_000)))
    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert kept.mean() == pytest.approx(1, abs=0.03)


def test_the_identity_takes_the_place_of_one_layer(tiny_denoiser):
    """An independent forward pass in NumPy, the second hidden layer left out."""
    layers = tiny_denoiser.params["layers"]
    matrices = []
    for i in range(5):
        v = np.asarray(layers[i]["weight"], float)
        norm = np.linalg.norm(v, axis=1, keepdims=True)
        matrices.append(v / (1e-4 + norm / np.sqrt(v.shape[1])) / np.sqrt(v.shape[1]))
    x, sigma = np.array([0.3, -0.2]), 0.1
    scaled = x / np.sqrt(sigma**2 + 0.25)
    h = matrices[0] @ np.array([*scaled, np.log(sigma) / 4, 1.0])
    for i, matrix in enumerate(matrices[1:]):
        h = h / (1 + np.exp(-h)) / 0.596
        h = h if i == 1 else matrix @ h
    expected = -0.5 * (scaled**2).sum() - 0.2 / sigma * (h**2).mean()
    changed = perturb(tiny_denoiser, "identity", 1.0, layer=1)
    assert float(changed.log_density(x, sigma)) == pytest.approx(expected, rel=1e-4)


def test_self_guidance_is_autoguidance_by_the_noisy_self(tiny_denoiser):
    x = np.random.default_rng(0).normal(size=(32, 2))
    ours = guide("self-guidance", tiny_denoiser, weight=2.0)
    plain = guide("autoguidance", tiny_denoiser, perturb(tiny_denoiser, "layer-noise", 0.3), weight=2.0)
    np.testing.assert_array_equal(ours.score(x, 0.2), plain.score(x, 0.2))


def test_its_amount_is_traced(tiny_denoiser, compilations):
    x = np.zeros((10, 2))
    perturb(tiny_denoiser, "dropout", 0.1).score(x, 0.1)
    with compilations() as count:
        perturb(tiny_denoiser, "dropout", 0.2).score(x, 0.1)
    assert count() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sleep", 0.1), "unknown change 'sleep'; there are input-noise, dropout"),
        (("dropout", 1.5), "amount of dropout is 1.5"),
        (("identity", -0.1), "amount of identity is -0.1"),
    ],
)
def test_bad_changes_are_refused(tiny_denoiser, arguments, words):
    with pytest.raises(InputError, match=words):
        perturb(tiny_denoiser, *arguments)


def test_only_networks_have_layers(tiny_mixture, tiny_denoiser):
    with pytest.raises(InputError, match="choose a trained network"):
        guide("self-guidance", tiny_mixture)
    with pytest.raises(InputError, match="layer is 4; the network has hidden layers 0 to 3"):
        perturb(tiny_denoiser, "identity", 1.0, layer=4)
