"""Log-likelihood along the ODE, against densities that are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mass_on_a_grid

import toydiff
from toydiff import InputError, divergences, guide, log_likelihood, sample_with_log_density
from toydiff.sampling.sampler import starting_points
from toydiff.sampling.schedules import SIGMA_MAX, SIGMA_MIN

STD = 0.5


@pytest.fixture
def gaussian():
    return toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [STD**2 * np.eye(2)])


def gaussian_log_density(x, variance):
    return -(np.asarray(x, float) ** 2).sum(-1) / (2 * variance) - np.log(2 * np.pi * variance)


@pytest.mark.parametrize("sigma", [pytest.param(0.002, marks=pytest.mark.slow), 0.05])
def test_with_the_exact_score_it_is_the_exact_density(tree, sigma):
    x = tree.sample(1, 128, sigma)
    np.testing.assert_allclose(log_likelihood(tree, x, sigma=sigma), tree.log_density(x, sigma), atol=1e-3)


@pytest.mark.slow
def test_samples_of_the_exact_score_carry_the_exact_density(tree):
    samples, log_q = sample_with_log_density(tree, 1, 128, sigma=0.01)
    np.testing.assert_allclose(log_q, tree.log_density(samples, 0.01), atol=5e-3)


def test_a_guided_gaussian_is_sampled_as_the_formula_says(gaussian):
    """Score times w on N(0, s^2): q is a Gaussian whose log variance falls w times as fast, which p_w is not."""
    w = 2.0
    truncated = guide("truncation", gaussian, weight=w)
    first = STD**2 + SIGMA_MAX**2
    variance = first * ((STD**2 + SIGMA_MIN**2) / first) ** w
    x = np.array([[0.0, 0.0], [0.01, -0.02], [0.1, 0.05]])
    np.testing.assert_allclose(log_likelihood(truncated, x), gaussian_log_density(x, variance), rtol=1e-3, atol=2e-3)
    samples, log_q = sample_with_log_density(truncated, 0, 1024)
    assert np.asarray(samples).std() == pytest.approx(np.sqrt(variance), rel=0.06)
    np.testing.assert_allclose(log_q, gaussian_log_density(samples, variance), atol=2e-3)


@pytest.mark.parametrize(("start", "variance"), [("noise", SIGMA_MAX**2), ("mixture", 1 + SIGMA_MAX**2)])
def test_another_start_gives_another_density(gaussian, start, variance):
    if start == "mixture":
        start = toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    variance *= (STD**2 + SIGMA_MIN**2) / (STD**2 + SIGMA_MAX**2)
    samples, log_q = sample_with_log_density(gaussian, 0, 8, start=start)
    np.testing.assert_allclose(log_q, gaussian_log_density(samples, variance), atol=1e-3)
    np.testing.assert_allclose(log_likelihood(gaussian, samples, start=start), log_q, atol=1e-3)


def test_the_samples_are_those_of_the_sampler_before_its_last_step(tiny_mixture):
    model = guide("truncation", tiny_mixture, weight=1.5)
    samples, _ = sample_with_log_density(model, 3, 64, sigma=0.05)
    fine = toydiff.sample(model, 3, 64, steps=256, sigma_min=0.05).x[-2]
    np.testing.assert_allclose(samples, fine, atol=1e-3)
    still, log_q = sample_with_log_density(model, 3, 64, sigma=SIGMA_MAX * 0.999, steps=1)
    start = starting_points(model, 3, 64, SIGMA_MAX, None)
    np.testing.assert_allclose(still, start, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(log_q, tiny_mixture.log_density(start, SIGMA_MAX), atol=1e-2)


@pytest.mark.slow
def test_way_up_and_way_down_agree_and_so_do_half_steps():
    """With networks, where guidance does not squeeze points together beyond what float32 tells apart."""
    model = toydiff.guided_model("autoguidance", 2.0)
    samples, down = sample_with_log_density(model, 0, 64, sigma=0.03, steps=48)
    up = log_likelihood(model, samples, sigma=0.03, steps=48)
    np.testing.assert_allclose(up, down, atol=5e-3)
    draws = model.truth().sample(0, 64, 0.03)
    fine, coarse = (log_likelihood(model, draws, sigma=0.03, steps=steps) for steps in (48, 24))
    np.testing.assert_allclose(coarse, fine, atol=0.05)
    assert np.abs(np.asarray(coarse - fine)).mean() < 5e-3


def test_it_integrates_to_1(tiny_mixture):
    """With a guided density that has no closed form."""
    model = guide("autoguidance", tiny_mixture, guide("truncation", tiny_mixture, weight=0.8), weight=2.0)
    assert mass_on_a_grid(lambda x: log_likelihood(model, x, sigma=0.05), 1.5, 61) == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_divergences_are_zero_for_exact_scores(tree):
    exact = divergences(tree, n=128)
    assert abs(exact.of_samples) < 5 * exact.of_samples_error + 5e-3
    assert abs(exact.of_truth) < 5 * exact.of_truth_error + 5e-3


def test_divergences_between_gaussians_are_those_of_the_formula(gaussian):
    """KL(N(0, a I) || N(0, b I)) = a/b - 1 - ln(a/b) in two dimensions."""
    w, sigma = 1.2, 0.03
    first, last = STD**2 + SIGMA_MAX**2, STD**2 + sigma**2
    ratio = (last / first) ** (w - 1)
    of_samples, error, of_truth, error_of_truth = divergences(guide("truncation", gaussian, weight=w), n=2048)
    assert of_samples == pytest.approx(ratio - 1 - np.log(ratio), abs=5 * error)
    assert of_truth == pytest.approx(1 / ratio - 1 + np.log(ratio), abs=5 * error_of_truth)
    assert error < 0.03
    assert error_of_truth < 0.1


@pytest.mark.slow
def test_guidance_with_networks_has_positive_divergences():
    """Those of samples once came out below 0, computed on the way up again from where CFG had squeezed them."""
    kl = divergences(toydiff.guided_model("cfg", 4.0), n=64, steps=24)
    assert kl.of_samples > 5 * kl.of_samples_error
    assert kl.of_truth > kl.of_samples  # half the tree is dropped


def test_what_leaves_float32_is_said(gaussian):
    wild = guide("truncation", gaussian, weight=100.0)
    assert float(log_likelihood(wild, [[1.0, 1.0]], steps=64)[0]) == -np.inf
    assert divergences(guide("truncation", gaussian, weight=30.0), n=8).of_truth == np.inf
    with pytest.raises(InputError, match="8 of 8 samples are NaN or infinite after 8 steps; take more steps"):
        sample_with_log_density(wild, 0, 8, steps=8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": 0}, "sigma is 0; it must be a number"),
        ({"sigma_max": 0.001}, "sigma_max is 0.001; it must be a number, above 0.002"),
        ({"steps": 0}, "steps is 0"),
        ({"start": "exact"}, "start is 'exact'; it must be None, a mixture, or 'noise'"),
        ({"start": jnp.zeros((1, 2))}, "it must be None, a mixture, or 'noise'"),
    ],
)
def test_bad_arguments_are_refused(tiny_mixture, options, words):
    with pytest.raises(InputError, match=words):
        log_likelihood(tiny_mixture, np.zeros((1, 2)), **options)
    with pytest.raises(InputError, match=words):
        sample_with_log_density(tiny_mixture, 0, 1, **options)


def test_bad_points_models_and_counts_are_refused(tiny_mixture):
    with pytest.raises(InputError, match="x holds NaN or infinity"):
        log_likelihood(tiny_mixture, [[0.0, np.nan]])
    with pytest.raises(InputError, match="model is 'tree'"):
        divergences("tree")
    with pytest.raises(InputError, match="n is 1; it must be a whole number from 2"):
        divergences(tiny_mixture, n=1)
