import numpy as np
import pytest

import toydiff
from toydiff import InputError, evaluate
from toydiff.metrics import METRICS, Reference, Scored

LIMITS = {  # five standard errors at n = 16,384, from the spread over seeds
    "outlier_rate_0.001": 5 * np.sqrt(0.001 / 16_384) + 0.0002,
    "outlier_rate_0.01": 5 * np.sqrt(0.01 / 16_384) + 0.0005,
    "mean_log_density": 5 * 1.2 / 128,
    "median_log_density": 5 * 1.2 * 1.25 / 128,
    "occupancy_distance": 0.01,
    "branch_coverage": 0.0,
    "sliced_wasserstein": 0.006,
}


@pytest.mark.parametrize("seed", [1, 2])
def test_exact_samples_score_at_the_floor(tree, reference, seed):
    scores = evaluate(tree.sample(100 + seed, 16_384), reference, seed=seed)
    assert set(scores) == set(METRICS)
    for name, (value, exact) in scores.items():
        assert abs(value - exact) <= np.sqrt(2) * LIMITS[name], name


def test_exact_scores_through_the_sampler_score_at_the_floor(tree, reference):
    samples = toydiff.sample(tree, 5, 16_384, path=False).samples
    for name, (value, exact) in evaluate(samples, reference, seed=5).items():
        assert abs(value - exact) <= np.sqrt(2) * LIMITS[name], name


def test_quantiles_are_those_of_exact_samples(tree, reference):
    values = np.asarray(tree.log_density(tree.sample(77, 400_000)))
    for q in (0.001, 0.01):
        assert abs((values < reference.quantile(q)).mean() - q) < 5 * np.sqrt(q / 400_000) * 2


def test_outliers_are_counted(tree, reference):
    x = np.asarray(tree.sample(3, 1000)).copy()
    x[:100] = [3.0, -3.0]
    scores = evaluate(x, reference)
    assert scores["outlier_rate_0.001"].value == pytest.approx(0.1, abs=0.01)
    assert scores["outlier_rate_0.01"].value >= scores["outlier_rate_0.001"].value


def test_dropped_branches_are_counted(tree, reference):
    x = np.asarray(tree.sample(3, 40_000))
    kept = x[x[:, 1] > x[:, 0]]  # about half of the tree
    scores = evaluate(kept, reference)
    assert 0.3 < scores["branch_coverage"].value < 0.7
    assert scores["occupancy_distance"].value > 0.3
    assert scores["branch_coverage"].exact > 0.99
    assert scores["outlier_rate_0.001"].value < 0.005


def test_occupancy_sums_to_one_and_its_expectation_is_the_mass(tree, reference):
    samples = Scored(tree.sample(1, 100_000), reference)
    assert samples.occupancy.sum() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(samples.occupancy, reference.branch_mass, atol=5 * np.sqrt(0.26 / 100_000))


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection(tree, reference):
    shift = np.array([0.3, 0.0])
    x = np.asarray(tree.sample(1, 20_000)) + shift
    # mean over directions of |shift . direction| = 2 / pi |shift|
    assert evaluate(x, reference)["sliced_wasserstein"].value == pytest.approx(0.6 / np.pi, abs=0.01)


def test_an_added_metric_is_reported(tree, reference, monkeypatch, capsys):
    from toydiff.cli import main
    from toydiff.metrics import Metric

    monkeypatch.setitem(METRICS, "spread", Metric(lambda s: float(np.std(s.x)), "spread", "as exact"))
    assert "spread" in evaluate(tree.sample(0, 100), reference)
    assert main(["evaluate", "--main", "exact/A", "-n", "50", "--steps", "2", "--json"]) == 0
    assert '"spread"' in capsys.readouterr().out


def test_few_samples_are_enough(tree, reference):
    assert set(evaluate(tree.sample(0, 1), reference)) == set(METRICS)


def test_other_distributions_are_measured():
    grid = toydiff.grid_of_gaussians()
    scores = evaluate(grid.sample(0, 4000), Reference(grid, n=20_000))
    assert scores["branch_coverage"].value == 1


def test_a_reference_must_be_a_mixture():
    for wrong in (None, "fractal_tree", toydiff.load_model()):
        with pytest.raises(InputError, match="it must be a GaussianMixture"):
            evaluate([[0.0, 0.0]], wrong)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([[0.0, np.nan], [0.0, 0.0]], "1 of 2 samples are NaN or infinite"),
        (np.zeros((0, 2)), "must be points"),
        (np.zeros((2, 3)), "samples has shape"),
        ("samples", "not an array of numbers"),
    ],
)
def test_bad_samples_are_refused(reference, samples, words):
    with pytest.raises(InputError, match=words):
        evaluate(samples, reference)
