"""Classifiers of noisy points, exact and trained, and guidance by them."""

import numpy as np
import pytest

import toydiff
from toydiff import InputError, guide
from toydiff.networks.classifier import Classifier, exact_classifier, load_classifier, save_classifier, train_classifier


def test_the_exact_one_is_bayes_rule():
    tree = {c: toydiff.fractal_tree(c) for c in ("A", "B", "AB")}
    x = np.asarray(tree["AB"].sample(0, 100, 0.3))
    ratio = {c: np.asarray(exact_classifier(given=c).log_density(x, 0.3), float) for c in "AB"}
    mass = {"A": 0.4771, "B": 0.5229}
    total = sum(mass[c] * np.exp(ratio[c]) for c in "AB")
    np.testing.assert_allclose(total, 1, atol=2e-3)


def test_an_oracle_classifier_equals_exact_cfg():
    main, whole = toydiff.fractal_tree("A"), toydiff.fractal_tree("AB")
    x = np.asarray(whole.sample(0, 200, 0.2))
    for weight in (0.5, 1.0, 4.0):
        ours = guide("classifier", main, exact_classifier(), weight=weight)
        cfg = guide("cfg", main, whole, weight=weight)
        scale = np.abs(np.asarray(cfg.score(x, 0.2))).max()
        np.testing.assert_allclose(ours.score(x, 0.2), cfg.score(x, 0.2), atol=1e-5 * scale)


@pytest.fixture(scope="module")
def trained():
    return train_classifier("three_gaussians", 192, progress=False)


@pytest.mark.slow
def test_a_trained_one_learns_the_posterior(trained):
    whole = toydiff.three_gaussians("ABC")
    x = np.asarray(whole.sample(3, 2000, 0.3))
    for given in "ABC":
        ours = np.exp(np.asarray(Classifier(trained, "three_gaussians", given).log_density(x, 0.3)))
        exact = np.exp(np.asarray(exact_classifier("three_gaussians", given).log_density(x, 0.3))) / 3
        assert np.abs(ours - exact).mean() < 0.03


def test_training_again_gives_the_same():
    first, again = (train_classifier("three_gaussians", 8, progress=False) for _ in range(2))
    np.testing.assert_array_equal(first["scale"], again["scale"])


def test_it_is_saved_and_loaded(trained, tmp_path):
    save_classifier(tmp_path / "c.safetensors", trained, "three_gaussians")
    loaded = load_classifier(tmp_path / "c.safetensors", "B")
    x = np.zeros((3, 2))
    np.testing.assert_array_equal(loaded.score(x, 0.1), Classifier(trained, "three_gaussians", "B").score(x, 0.1))
    with pytest.raises(InputError, match="unknown class of the classifier 'D'"):
        load_classifier(tmp_path / "c.safetensors", "D")
    with pytest.raises(InputError, match="is a classifier; a model is wanted"):
        toydiff.load_weights(tmp_path / "c.safetensors")


def test_one_class_is_nothing_to_classify(extra_distribution):
    for act in (exact_classifier, train_classifier):
        with pytest.raises(InputError, match="two_blobs has the class A only"):
            act("two_blobs")
    with pytest.raises(InputError, match="unknown class of the classifier 'AB'"):
        exact_classifier("fractal_tree", "AB")


def test_the_bundled_one_agrees_with_bayes():
    ours, exact = (toydiff.open_model(name) for name in ("classifier/A", "exact-classifier/A"))
    for sigma in (0.02, 0.1, 0.5):
        x = np.asarray(toydiff.fractal_tree("AB").sample(5, 1000, sigma))
        p = 0.4771 * np.exp(np.asarray(exact.log_density(x, sigma)))
        assert np.abs(np.exp(np.asarray(ours.log_density(x, sigma))) - p).mean() < 0.02


def test_classifiers_by_name():
    assert toydiff.guided_model("classifier").guides[0].guide.given == "A"
    exact = toydiff.guided_model("classifier", distribution="three_gaussians", main="exact/A")
    assert isinstance(exact.guides[0].guide, toydiff.Ratio)
    with pytest.raises(InputError, match="no bundled classifier of three_gaussians; exact-classifier/A is the exact"):
        toydiff.open_model("classifier/A", "three_gaussians")
