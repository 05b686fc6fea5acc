import numpy as np
import pytest

import toydiff
from toydiff import InputError, evaluate_model
from toydiff.measuring.distances import Estimate
from toydiff.measuring.model_metrics import MODEL_METRICS, ModelMetric

ENDPOINT = {"endpoint_distance": MODEL_METRICS["endpoint_distance"]}


def test_exact_scores_end_where_exact_scores_end(tiny_mixture):
    found = evaluate_model(tiny_mixture, 0, 100)
    assert found["endpoint_distance"] == (0.0, 0.0)
    for name in ("kl_of_samples", "kl_of_truth"):
        assert abs(found[name].value) < 5 * found[name].error + 1e-3


def test_divergences_stand_in_their_rows(tiny_mixture):
    model = toydiff.guide("truncation", tiny_mixture, weight=1.2)
    found, expected = evaluate_model(model, 3, 100), toydiff.divergences(model, 3, 100)
    assert (*found["kl_of_samples"], *found["kl_of_truth"]) == expected


def test_a_sharpened_gaussian_ends_where_it_can_be_computed():
    """Scores of N(0, s^2) times w: x ends at x_max (s / r)^w, r^2 = s^2 + sigma_max^2, in place of x_max s / r."""
    s, w = 0.5, 1.2
    gaussian = toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [s**2 * np.eye(2)])
    ratio = s / np.hypot(s, 5.0)
    start = np.linalg.norm(np.asarray(gaussian.sample(7, 200, 5.0)), axis=1)
    expected = np.median(start) * (ratio - ratio**w)
    value, error = evaluate_model(toydiff.guide("truncation", gaussian, weight=w), 7, 200, metrics=ENDPOINT)[
        "endpoint_distance"
    ]
    assert value == pytest.approx(expected, rel=0.02)
    assert 0 < error < 0.2 * value


@pytest.mark.slow
def test_the_error_is_the_scatter_over_seeds(tiny_mixture):
    model = toydiff.guide("truncation", tiny_mixture, weight=1.5)
    measured = [evaluate_model(model, seed, 200, metrics=ENDPOINT)["endpoint_distance"] for seed in range(40)]
    value, error = np.array(measured).T
    assert 1 / 1.5 < np.sqrt((error**2).mean()) / value.std(ddof=1) < 1.5


def test_rows_share_what_is_measured(tiny_mixture, monkeypatch):
    calls = []

    def both(model, seed, n):
        calls.append((model, seed, n))
        return (1.0, 0.1), (2.0, 0.2)

    for i in range(2):
        row = ModelMetric(both, f"number {i}", "lower", lambda measured, i=i: Estimate(*measured[i]))
        monkeypatch.setitem(MODEL_METRICS, f"number_{i}", row)
    found = evaluate_model(tiny_mixture, 3, 10)
    assert calls == [(tiny_mixture, 3, 10)]
    assert (found["number_0"], found["number_1"].value) == ((1.0, 0.1), 2.0)


def test_bad_models_are_refused(tiny_mixture):
    with pytest.raises(InputError, match="must be a score model"):
        evaluate_model("A/64/4096", 0, 10)
    with pytest.raises(InputError, match="n is 0"):
        evaluate_model(tiny_mixture, 0, 0)
