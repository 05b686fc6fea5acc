import numpy as np
import pytest

import toydiff
from toydiff import InputError
from toydiff.distributions import catalogue


@pytest.mark.parametrize("name", list(toydiff.DISTRIBUTIONS))
def test_each_distribution_has_standard_deviation_one_half(name):
    row = toydiff.DISTRIBUTIONS[name]
    mixture = row.mixture(row.classes)
    w, mean, cov = (np.asarray(a, float) for a in (mixture.weights, mixture.means, mixture.covariances))
    variance = w @ (np.einsum("kii->ki", cov) + mean**2) - (w @ mean) ** 2
    np.testing.assert_allclose(np.sqrt(variance.mean()), 0.5, rtol=5e-3)


@pytest.mark.parametrize("name", list(toydiff.DISTRIBUTIONS))
def test_classes_together_are_the_whole(name):
    row = toydiff.DISTRIBUTIONS[name]
    whole, parts = row.mixture(row.classes), [row.mixture(c) for c in row.classes]
    assert sum(part.branch_count for part in parts) == whole.branch_count
    np.testing.assert_array_equal(np.concatenate([part.means for part in parts]), whole.means)
    assert len(np.unique(whole.branches)) == whole.branch_count


def test_a_branch_of_the_tree_starts_where_one_of_the_depth_before_ends():
    tree = toydiff.fractal_tree("AB")
    depths, means = np.asarray(tree.depths), np.asarray(tree.means, float).reshape(-1, 8, 2)
    np.testing.assert_array_equal(np.bincount(depths), 2 ** np.arange(1, 8))
    beyond = 0.07 / 0.86 * (means[:, -1] - means[:, 0])  # the components lie from 7% to 93% of a branch
    starts, ends = means[:, 0] - beyond, means[:, -1] + beyond
    for depth in range(1, 7):
        gap = np.hypot(*(starts[depths == depth, None] - ends[depths == depth - 1]).transpose(2, 0, 1)).min(1)
        assert gap.max() < 1e-5
    assert toydiff.grid_of_gaussians().depths is None


def test_shapes_of_the_simple_distributions():
    three, grid = toydiff.three_gaussians(), toydiff.grid_of_gaussians()
    assert three.weights.shape == (3,)
    assert [toydiff.three_gaussians(c).weights.shape for c in "ABC"] == [(1,)] * 3
    assert grid.weights.shape == (25,)
    np.testing.assert_allclose(np.unique(np.round(np.diff(np.unique(np.round(grid.means, 5))), 4)).size, 1)


@pytest.mark.parametrize("function", [row.mixture for row in toydiff.DISTRIBUTIONS.values()])
@pytest.mark.parametrize("classes", ["Z", "", "BA", "AA", None, ["A"]])
def test_unknown_classes_are_refused(function, classes):
    with pytest.raises(InputError, match=r"unknown classes .*; there are A, B"):
        function(classes)


def test_unknown_distribution_is_refused():
    with pytest.raises(InputError, match="there are fractal_tree"):
        catalogue.distribution("fractal_treee", "A")


@pytest.mark.slow
def test_an_added_distribution_is_found_everywhere(extra_distribution, few_draws, capsys):
    from toydiff.cli import main

    recipe = toydiff.Recipe(distribution="two_blobs", classes="A", widths=(4,), batch=64)
    model = toydiff.train(recipe, 2, progress=False).denoiser()
    assert model.truth() is extra_distribution
    assert toydiff.open_model("exact/A", "two_blobs") is extra_distribution
    status = main(["evaluate", "--distribution", "two_blobs", "--main", "exact/A", "-n", "64", "--steps", "4"])
    assert status == 0
    assert "sliced Wasserstein" in capsys.readouterr().out
