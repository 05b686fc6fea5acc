import numpy as np
import pytest

import toydiff
from toydiff import InputError, evaluate
from toydiff.measuring import distances
from toydiff.measuring.metrics import METRICS, Metric, Reference, Scored, branch_recalls

NEEDS_NO_TREE = [name for name in METRICS if not name.startswith("recall_depth")]


def assert_at_the_floor(scores):
    for name, (value, error, exact, exact_error) in scores.items():
        assert abs(value - exact) <= 5 * np.hypot(error, exact_error) + 1e-6, (name, scores[name])


@pytest.mark.parametrize("n", [1, 100, *(pytest.param(n, marks=pytest.mark.slow) for n in (10, 1000, 10_000))])
def test_exact_samples_score_at_the_floor(tree, reference, n):
    for seed in range(4):
        scores = evaluate(tree.sample(100 + seed, n), reference, seed=seed)
        assert set(scores) == set(METRICS)
        assert np.isfinite(list(scores.values())).all()
        assert_at_the_floor(scores)


@pytest.mark.parametrize("n", [1, 100])
def test_exact_samples_of_other_distributions_score_at_the_floor(n):
    reference = Reference(toydiff.grid_of_gaussians("B"), whole=toydiff.grid_of_gaussians("AB"), n=1 << 15)
    for seed in (1, 2):  # at n = 1 one seed in a hundred gives an outlier: of the first 600, 10 below the 1% quantile
        scores = evaluate(reference.truth.sample(seed, n), reference)
        assert list(scores) == NEEDS_NO_TREE
        assert_at_the_floor(scores)


@pytest.mark.slow
def test_exact_scores_through_the_sampler_score_at_the_floor(tree, reference):
    """By the metrics whose floor is a formula."""
    rows = {name: row for name, row in METRICS.items() if row.floor is not None}
    samples = toydiff.sample(tree, 5, 4096, path=False).samples
    assert_at_the_floor(evaluate(samples, reference, seed=5, metrics=rows))


@pytest.fixture(scope="module")
def scores_over_seeds(tree, reference):
    """Scores of exact samples by name, [seeds, 4]."""
    seeds = [evaluate(tree.sample(900 + seed, 1000), reference, seed=seed) for seed in range(40)]
    return {name: np.array([scores[name] for scores in seeds]) for name in METRICS}


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
def test_errors_are_the_scatter_over_seeds(scores_over_seeds, name):
    value, error, _, exact_error = scores_over_seeds[name].T
    scatter = value.std(ddof=1)
    assert 1 / 1.5 < np.sqrt((error**2).mean()) / scatter < 1.5
    assert 1 / 1.5 < exact_error[0] / scatter < 1.5


def test_errors_off_the_floor_are_the_scatter_over_seeds(tiny_mixture, tiny_reference):
    names = ("mean_log_density", "median_log_density", "sliced_wasserstein", "energy_distance", "mmd")
    rows = {name: METRICS[name] for name in names}
    shifted = [np.asarray(tiny_mixture.sample(seed, 300)) + np.array([0.1, 0.0]) for seed in range(40)]
    seeds = [evaluate(x, tiny_reference, seed=seed, metrics=rows) for seed, x in enumerate(shifted)]
    for name in names:
        value, error, exact, exact_error = np.array([scores[name] for scores in seeds]).T
        assert abs(value.mean() - exact[0]) > 2 * exact_error[0], name
        assert 1 / 1.5 < np.sqrt((error**2).mean()) / value.std(ddof=1) < 1.5, name


def test_quantiles_are_those_of_exact_samples(tree, reference):
    values = np.asarray(tree.log_density(tree.sample(77, 1 << 18)))
    for q in (0.001, 0.01):
        assert abs((values < reference.quantile(q)).mean() - q) < 5 * np.sqrt(q / (1 << 18)) * 2


def measured(name, samples, reference):
    return METRICS[name].function(Scored(samples, reference))


def test_outliers_are_counted(tree, reference):
    x = np.asarray(tree.sample(3, 1000)).copy()
    x[:100] = [3.0, -3.0]
    assert measured("outlier_rate_0.001", x, reference) == pytest.approx(0.1, abs=0.01)
    assert measured("outlier_rate_0.01", x, reference) >= measured("outlier_rate_0.001", x, reference)


def test_dropped_branches_are_counted(tree, reference):
    x = np.asarray(tree.sample(3, 20_000))
    kept = x[x[:, 1] > x[:, 0]]  # about half of the tree
    assert 0.3 < measured("branch_coverage", kept, reference) < 0.7
    assert 0.3 < measured("branch_recall", kept, reference) < 0.7
    assert measured("occupancy_distance", kept, reference) > 0.3
    assert measured("outlier_rate_0.001", kept, reference) < 0.005


def test_a_removed_branch_is_not_recalled():
    grid = toydiff.grid_of_gaussians()
    kept = np.arange(25) != 7
    rest = toydiff.GaussianMixture(grid.weights[kept], grid.means[kept], grid.covariances[kept])
    samples = Scored(rest.sample(0, 20_000), Reference(grid, n=1000))
    recalls = branch_recalls(samples)
    assert recalls[7] < 1e-4
    np.testing.assert_allclose(recalls[kept], 1, atol=0.1)  # each then has 1 / 24 in place of 1 / 25
    assert METRICS["branch_recall"].function(samples) == pytest.approx(24 / 25, abs=0.005)


def densities(mixture, x):
    """Weight times density of each component in float64 NumPy, [n, k]."""
    w, mean, cov = (np.asarray(a, np.float64) for a in (mixture.weights, mixture.means, mixture.covariances))
    d = np.asarray(x, np.float64)[:, None] - mean
    squared = np.einsum("nki,kij,nkj->nk", d, np.linalg.inv(cov), d)
    return w * np.exp(-squared / 2) / (2 * np.pi * np.sqrt(np.linalg.det(cov)))


def test_recall_by_depth_is_that_of_independent_posteriors(tree, reference):
    x = tree.sample(4, 100)
    components = densities(tree, x)
    posterior = (components / components.sum(1, keepdims=True)).mean(0).reshape(127, 8).sum(1)
    mass = np.asarray(tree.weights, np.float64).reshape(127, 8).sum(1)
    recalls = np.minimum(1, posterior / mass)
    scores = evaluate(x, reference)
    assert scores["branch_recall"].value == pytest.approx(recalls.mean(), rel=1e-3)
    for depth in range(7):
        at_depth = recalls[np.asarray(tree.depths) == depth]
        assert scores[f"recall_depth_{depth}"].value == pytest.approx(at_depth.mean(), rel=1e-3)


def test_a_dropped_depth_is_not_recalled(tree, reference):
    kept = np.repeat(np.asarray(tree.depths), 8) != 6
    stump = toydiff.GaussianMixture(tree.weights[kept], tree.means[kept], tree.covariances[kept])
    samples = Scored(stump.sample(0, 20_000), reference)
    recalls = [METRICS[f"recall_depth_{depth}"].function(samples) for depth in range(7)]
    assert recalls[6] < 0.3
    assert min(recalls[:6]) > 0.9


def test_class_leakage_is_that_of_independent_posteriors(tree, reference):
    other = toydiff.fractal_tree("B")
    x = np.concatenate([tree.sample(0, 300, 0.1), other.sample(0, 100, 0.1)])
    leaks = 0.523 * densities(other, x).sum(1) > 0.477 * densities(tree, x).sum(1)
    assert 0.2 < leaks.mean() < 0.4
    assert measured("class_leakage", x, reference) == pytest.approx(leaks.mean(), abs=2 / 400)  # 0.477 is rounded
    assert not METRICS["class_leakage"].applies(Reference(tree, n=1000))


def test_the_whole_must_hold_the_class(tree):
    with pytest.raises(InputError, match="without some of the components"):
        Reference(tree, whole=toydiff.fractal_tree("B"))


def test_occupancy_sums_to_one_and_its_expectation_is_the_mass(tree, reference):
    samples = Scored(tree.sample(1, 20_000), reference)
    assert samples.occupancy.sum() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(samples.occupancy, reference.branch_mass, atol=5 * np.sqrt(0.26 / 20_000))


def test_sums_over_blocks_are_those_of_the_whole_posterior(tiny_mixture, tiny_reference, monkeypatch):
    monkeypatch.setattr("toydiff.measuring.reference.BLOCK", 64)
    samples = Scored(tiny_mixture.sample(1, 150), tiny_reference, seed=3)
    posterior = np.asarray(tiny_mixture.branch_posterior(samples.x), np.float64)
    np.testing.assert_allclose(samples.occupancy, posterior.mean(0), rtol=1e-6)
    resampled = [posterior[drawn].mean(0) for drawn in samples.draws]
    np.testing.assert_allclose([again.occupancy for again in samples.resamples], resampled, rtol=1e-6)


def test_what_is_kept_of_a_sample_is_bounded(tree, reference):
    """Its place in 64 directions, and how often each of 40 resamples holds it; no posterior of 127 branches."""
    samples = Scored(tree.sample(1, 2000), reference)
    for row in METRICS.values():
        row.function(samples)
        [row.function(again) for again in samples.resamples[:2] if row.error is None]
        row.error and row.error(samples)
    kept = [a for owner in (samples, samples.projected, *samples.resamples) for a in vars(owner).values()]
    arrays = {id(a): a.nbytes for a in kept if hasattr(a, "nbytes")}
    assert sum(arrays.values()) / 2000 < 4 * 64 + 6 * 40 + 100


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection(tree, reference):
    shift = np.array([0.3, 0.0])
    x = np.asarray(tree.sample(1, 20_000)) + shift
    # mean over directions of |shift . direction| = 2 / pi |shift|
    assert measured("sliced_wasserstein", x, reference) == pytest.approx(0.6 / np.pi, abs=0.01)


@pytest.fixture(scope="module")
def tiny_reference(tiny_mixture):
    return Reference(tiny_mixture, n=1 << 16)


def kernel_distance(kernel, x, mixture, *, pairs):
    """Mean K(x, x') - 2 E K(x, Y) + E K(Y, Y') in float64, the expectations by quadrature on a grid."""
    axis = np.linspace(-3, 3, 301)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    i, j = np.indices((2, 2)).reshape(2, -1)
    w, mean, cov = (np.asarray(a, np.float64) for a in (mixture.weights, mixture.means, mixture.covariances))
    difference = toydiff.GaussianMixture(w[i] * w[j], mean[i] - mean[j], cov[i] + cov[j])  # the law of Y - Y'
    at_grid, of_difference = (densities(m, grid).sum(1) * 0.02**2 for m in (mixture, difference))
    across = np.mean([kernel(point - grid) @ at_grid for point in x])
    return kernel(x[:, None] - x)[pairs].mean() - 2 * across + kernel(grid) @ of_difference


def test_energy_distance_is_that_of_the_formula(tiny_mixture, tiny_reference):
    x = np.asarray(tiny_mixture.sample(0, 30), np.float64) + np.array([0.1, 0.0])
    exact = kernel_distance(lambda d: -np.hypot(d[..., 0], d[..., 1]), x, tiny_mixture, pairs=np.ones((30, 30), bool))
    assert exact > 0.01
    assert measured("energy_distance", x, tiny_reference) == pytest.approx(exact, rel=0.01)


def test_far_samples_have_a_far_energy_distance(tiny_mixture, tiny_reference):
    far = measured("energy_distance", np.array([[100.0, 0.0], [100.0, 0.0]]), tiny_reference)
    mean = np.asarray(tiny_mixture.weights @ tiny_mixture.means)
    assert far == pytest.approx(2 * (100 - mean[0]) - tiny_reference.projections.mean_pair_distance, rel=1e-3)


def test_mmd_is_that_of_the_formula(tiny_mixture, tiny_reference):
    x = np.asarray(tiny_mixture.sample(0, 30), np.float64) + np.array([0.05, 0.0])

    def kernel(d):
        return np.exp(-(d**2).sum(-1) / (2 * distances.BANDWIDTH**2))

    exact = kernel_distance(kernel, x, tiny_mixture, pairs=~np.eye(30, dtype=bool))
    assert exact > 0.01
    assert measured("mmd", x, tiny_reference) == pytest.approx(exact, abs=2e-5)


def test_the_floor_is_kept_and_the_seed_moves_the_errors_only(tree, reference):
    x = tree.sample(0, 100)
    first, again, other = (evaluate(x, reference, seed=seed) for seed in (1, 1, 2))
    assert first == again
    row = "branch_recall"
    assert first[row].error != other[row].error
    assert first[row]._replace(error=0) == other[row]._replace(error=0)


@pytest.mark.usefixtures("few_draws")
def test_an_added_metric_is_reported(keep_rows, tree, reference, monkeypatch, capsys):
    from toydiff.cli import main

    keep_rows(METRICS, "mean_log_density")
    monkeypatch.setitem(METRICS, "spread", Metric(lambda s: float(np.std(s.x)), "spread", "as exact"))
    spread = evaluate(tree.sample(0, 100), reference)["spread"]
    assert spread.value == pytest.approx(spread.exact, abs=5 * np.hypot(spread.error, spread.exact_error))
    assert 0 < spread.error < 0.1
    assert main(["evaluate", "--main", "exact/A", "-n", "50", "--steps", "2", "--json"]) == 0
    assert '"spread"' in capsys.readouterr().out


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
