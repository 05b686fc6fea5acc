import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mass_on_a_grid, read_golden
from hypothesis import given
from strategies import mixtures, numbers

from toydiff import GaussianMixture, InputError, fractal_tree

GOLDEN = read_golden("fractal_tree")
FAR = np.array([[10.0, 10.0], [-12.0, 3.0], [0.0, -11.0], [20.0, -20.0]])


def reference_log_densities(mixture, x, sigma):
    """Each component's log density by NumPy in float64, with explicit inverses."""
    weights, means, covariances = (
        np.asarray(a, np.float64) for a in (mixture.weights, mixture.means, mixture.covariances)
    )
    noisy = covariances + sigma**2 * np.eye(2)
    offset = np.asarray(x, np.float64)[:, None] - means
    distance = np.einsum("nki,kij,nkj->nk", offset, np.linalg.inv(noisy), offset)
    return np.log(weights) - 0.5 * (distance + np.log(np.linalg.det(2 * np.pi * noisy)))


def reference_log_density(mixture, x, sigma):
    terms = reference_log_densities(mixture, x, sigma)
    top = terms.max(1, keepdims=True)
    return (top + np.log(np.exp(terms - top).sum(1, keepdims=True)))[:, 0]


def reference_score(mixture, x, sigma):
    terms = reference_log_densities(mixture, x, sigma)
    posterior = np.exp(terms - terms.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    noisy = np.asarray(mixture.covariances, np.float64) + sigma**2 * np.eye(2)
    pull = np.einsum("kij,nkj->nki", np.linalg.inv(noisy), np.asarray(mixture.means, np.float64) - x[:, None])
    return np.einsum("nk,nki->ni", posterior, pull)


@pytest.mark.parametrize("classes", ["A", "B"])
def test_tree_components_equal_the_golden_ones(classes):
    mixture, golden = fractal_tree(classes), GOLDEN["classes"][classes]
    assert mixture.weights.shape == (golden["components"],)
    for component in golden["some_components"]:
        i = component["index"]
        np.testing.assert_allclose(mixture.weights[i], component["weight"], rtol=1e-6)
        np.testing.assert_allclose(mixture.means[i], component["mean"], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(mixture.covariances[i], component["covariance"], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("classes", ["A", "B", "AB"])
def test_tree_moments_equal_the_golden_ones(classes):
    mixture, golden = fractal_tree(classes), GOLDEN["classes"][classes]
    weights, means = np.asarray(mixture.weights, float), np.asarray(mixture.means, float)
    mean = weights @ means
    variance = weights @ (means**2 + np.diagonal(np.asarray(mixture.covariances), axis1=1, axis2=2)) - mean**2
    np.testing.assert_allclose(mean, golden["mean"], atol=1e-6)
    np.testing.assert_allclose(np.sqrt(variance), golden["std"], atol=1e-6)


def test_class_masses_and_mass_by_depth(tree):
    both = fractal_tree("AB")
    assert float(both.weights[:1016].sum()) == pytest.approx(GOLDEN["classes"]["AB"]["class_mass"]["A"], abs=5e-4)
    depth = []

    def visit(level):  # depth-first order of the branches
        depth.append(level)
        if level < 6:
            visit(level + 1)
            visit(level + 1)

    visit(0)
    mass = np.bincount(np.array(depth)[np.asarray(tree.branches)], np.asarray(tree.weights))
    np.testing.assert_allclose(mass, GOLDEN["class_A_mass_by_depth"], atol=1e-3)
    assert both.branch_count == 254


@pytest.mark.parametrize("value", GOLDEN["class_A_values"], ids=lambda v: f"{v['x']}-{v['sigma']}")
def test_tree_values_equal_the_golden_ones(tree, value):
    np.testing.assert_allclose(tree.log_density(value["x"], value["sigma"]), value["log_density"], rtol=1e-4)
    np.testing.assert_allclose(tree.score(value["x"], value["sigma"]), value["score"], rtol=1e-4)


@pytest.mark.parametrize("sigma", [0.0, 0.002, 0.03, 0.5, 5.0, 80.0])
@pytest.mark.parametrize("classes", ["A", "AB"])
def test_log_density_and_score_equal_float64(classes, sigma):
    mixture = fractal_tree(classes)
    x = np.concatenate([np.asarray(mixture.sample(3, 300, sigma)), FAR[:3]])
    log_density, score = reference_log_density(mixture, x, sigma), reference_score(mixture, x, sigma)
    np.testing.assert_allclose(mixture.log_density(x, sigma), log_density, rtol=1e-4, atol=1e-4)
    error = np.linalg.norm(mixture.score(x, sigma) - score, axis=1)
    assert (error <= 1e-4 * (np.linalg.norm(score, axis=1) + 1 / np.hypot(sigma, 0.005))).all()


@pytest.mark.parametrize("sigma", [0.0, 0.002, 80.0])
def test_nothing_overflows_far_out(tree, sigma):
    for values in (tree.log_density(FAR, sigma), tree.score(FAR, sigma), tree.denoise(FAR, sigma)):
        assert np.isfinite(values).all()


def test_score_is_the_gradient_of_the_log_density(tiny_mixture):
    x, sigma, h = np.asarray(tiny_mixture.sample(0, 50, 0.1)), 0.1, 1e-5
    for axis in range(2):
        step = h * np.eye(2)[axis]
        slope = reference_log_density(tiny_mixture, x + step, sigma) - reference_log_density(
            tiny_mixture, x - step, sigma
        )
        np.testing.assert_allclose(tiny_mixture.score(x, sigma)[:, axis], slope / (2 * h), rtol=2e-3, atol=2e-3)


def test_log_density_is_normalised(tiny_mixture):
    for sigma in (0.0, 0.3):
        assert mass_on_a_grid(lambda x, sigma=sigma: tiny_mixture.log_density(x, sigma)) == pytest.approx(1, abs=1e-4)


@given(mixtures(), numbers(-3, 3, 16, 2), numbers(0, 2, 16))
def test_any_mixture_has_the_density_and_score_of_float64(mixture, x, sigma):
    """The score as the slope of the logarithm of the density, which are two formulas in the package."""

    def log_density(x):
        each = zip(x[:, None], sigma, strict=True)
        return np.concatenate([reference_log_density(mixture, point, s) for point, s in each])

    expected, h = log_density(x), 1e-5
    np.testing.assert_allclose(mixture.log_density(x, sigma), expected, rtol=1e-4, atol=1e-4)
    slope = np.stack([(log_density(x + step) - log_density(x - step)) / (2 * h) for step in h * np.eye(2)], -1)
    np.testing.assert_allclose(mixture.score(x, sigma), slope, rtol=1e-3, atol=1e-3)


@given(mixtures(), numbers(0, 0.5))
def test_any_mixture_has_mass_one_at_any_noise_level(mixture, sigma):
    mass = mass_on_a_grid(lambda x: mixture.log_density(x, sigma), 6, 128)  # steps below the least deviation
    assert mass == pytest.approx(1, abs=1e-4)


def test_denoise_is_the_posterior_mean():
    one = GaussianMixture([1.0], [[0.2, -0.1]], [np.diag([0.04, 0.09])])
    x, sigma = np.array([[0.5, 0.5], [-1.0, 0.0]]), 0.3
    shrink = np.array([0.04, 0.09]) / (np.array([0.04, 0.09]) + sigma**2)
    np.testing.assert_allclose(one.denoise(x, sigma), [0.2, -0.1] + shrink * (x - [0.2, -0.1]), rtol=1e-5)


def test_sigma_broadcasts_over_the_leading_axes(tree):
    x, sigma = np.asarray(tree.sample(0, 6)).reshape(3, 2, 2), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    for method, tail in ((tree.log_density, ()), (tree.score, (2,)), (tree.denoise, (2,))):
        values = method(x, sigma)
        assert values.shape == (3, 2, *tail)
        np.testing.assert_allclose(values[2, 1], method(x[2, 1], 0.6), rtol=2e-5)
        np.testing.assert_allclose(method(x[0, 0], sigma)[1, 0], method(x[0, 0], 0.3), rtol=2e-5)
        np.testing.assert_allclose(method(x, [0.1, 0.2])[2, 1], method(x[2, 1], 0.2), rtol=2e-5)
    assert tree.score(np.zeros((0, 2))).shape == (0, 2)


def test_blocks_do_not_change_the_values(tree):
    x = tree.sample(0, 3 * tree.block + 17, 0.1)
    plain = jax.vmap(lambda point: tree.log_density_at(point, jnp.float32(0.1)))(x)
    np.testing.assert_allclose(tree.log_density(x, 0.1), plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.0, 0.4])
def test_samples_have_the_moments_and_the_log_density_of_the_mixture(tree, sigma):
    n = 200_000
    x = np.asarray(tree.sample(7, n, sigma), float)
    golden = GOLDEN["classes"]["A"]
    std = np.hypot(golden["std"], sigma)
    assert (np.abs(x.mean(0) - golden["mean"]) < 5 * std / np.sqrt(n)).all()
    assert (np.abs(x.std(0) / std - 1) < 5 / np.sqrt(n)).all()
    if sigma == 0:
        values, exact = np.asarray(tree.log_density(x), float), GOLDEN["class_A_log_density_of_exact_samples"]
        assert abs(values.mean() - exact["mean"]) < 5 * values.std() / np.sqrt(n) + 5e-4
        assert np.quantile(values, 0.01) == pytest.approx(exact["quantile_0.01"], abs=0.05)


def test_samples_fill_the_components_by_weight(tiny_mixture):
    n = 100_000
    share = (np.asarray(tiny_mixture.sample(1, n))[:, 0] < -0.1).mean()
    assert abs(share - 0.3) < 0.02


def test_branch_posterior_sums_to_one_and_finds_the_branch(tree):
    centres = tree.means[4::8]
    posterior = tree.branch_posterior(centres)
    np.testing.assert_allclose(posterior.sum(-1), 1, rtol=1e-5)
    assert (posterior.argmax(-1) == np.arange(127)).mean() > 0.9


def test_is_a_pytree_that_jit_takes(tree):
    again = jax.tree.unflatten(jax.tree.structure(tree), jax.tree.leaves(tree))
    x = tree.sample(0, 5)
    np.testing.assert_array_equal(jax.jit(lambda m, x: m.log_density(x))(again, x), tree.log_density(x))


def test_same_seed_same_samples(tree):
    np.testing.assert_array_equal(tree.sample(5, 9), tree.sample(jax.random.key(5), 9))
    assert not np.array_equal(tree.sample(5, 9), tree.sample(6, 9))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0], [[0, 0]], [np.zeros((2, 2))]), "positive definite"),
        (([1.0], [[0, 0]], [[[1, 0.5], [-0.5, 1]]]), "positive definite"),
        (([1.0, 0.0], np.zeros((2, 2)), [np.eye(2)] * 2), "above 0"),
        (([1.0], [[np.nan, 0]], [np.eye(2)]), "not finite"),
        (([1.0], np.zeros((2, 2)), [np.eye(2)]), "shapes"),
        (([], np.zeros((0, 2)), np.zeros((0, 2, 2))), "at least 1"),
        (([1.0], [[0, 0]], [np.eye(2)], [-1]), "branches"),
        (([1.0], [[0, 0]], [np.eye(2)], [7]), "branches must be 1 integers from 0 to 0"),
        (([1.0], [[0, 0]], [np.eye(2)], [0], [0, 1]), "depths must be 1 integers from 0"),
        (([1.0], [[0, 0]], [np.eye(2)], [0], [-1]), "depths must be 1 integers from 0"),
        ((["a"], [[0, 0]], [np.eye(2)]), "arrays of numbers"),
        (([1.0], [[1e300, 0]], [np.eye(2)]), "rescale"),
        (([1.0], [[0, 0]], [1e-300 * np.eye(2)]), "rescale"),
    ],
)
def test_bad_components_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        GaussianMixture(*arguments)


@pytest.mark.parametrize("sigma", [-1.0, np.nan, np.inf, [0.1, -0.1], "loud", 10**400])
def test_bad_sigma_is_refused(tree, sigma):
    with pytest.raises(InputError, match="sigma is"):
        tree.log_density([[0.0, 0.0], [1.0, 1.0]], sigma)


def test_bad_points_and_counts_are_refused(tree):
    with pytest.raises(InputError, match=r"shape \(3,\); it must be points"):
        tree.log_density([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="must broadcast"):
        tree.log_density(np.zeros((3, 2)), [0.1, 0.2])
    for n in (0, -1, 1.5, 10**12, float("nan"), True, "many"):
        with pytest.raises(InputError, match="n is"):
            tree.sample(0, n)
    for seed in (-1, 2**40, 0.5, "a"):
        with pytest.raises(InputError, match="seed is"):
            tree.sample(seed, 1)


@pytest.mark.parametrize("classes", ["A", "AB"])
def test_the_score_of_draws_is_the_score_at_draws(classes, key):
    """The fast path of training against NumPy in float64: off by 3e-5 of the typical score 1 / sigma at most."""
    mixture = fractal_tree(classes)
    sigma = jnp.geomspace(1e-3, 5.0, 4000)
    x = mixture.sample(key, 4000, sigma)
    fast = np.asarray(jax.jit(lambda m, x, sigma: m.score_of_draws(x, sigma))(mixture, x, sigma))
    plain = np.asarray(mixture.score(x, sigma))
    scale = np.asarray(sigma)[:, None]
    assert np.abs((fast - plain) * scale).max() < 3e-5
    for i in range(0, 4000, 97):
        expected = reference_score(mixture, np.asarray(x[i : i + 1], float), float(sigma[i]))
        assert np.abs((fast[i : i + 1] - expected) * float(sigma[i])).max() < 3e-5, float(sigma[i])


def test_the_score_of_draws_is_finite_everywhere():
    mixture = fractal_tree("A")
    scores = mixture.score_of_draws(jnp.asarray(FAR, float), jnp.full(len(FAR), 1e-3))
    assert np.isfinite(scores).all()


def test_keys_of_other_generators_are_refused():
    with pytest.raises(InputError, match=r"the key is of \"?rbg\"?; it must be of threefry2x32"):
        fractal_tree("A").sample(jax.random.key(0, impl="rbg"), 3)


def test_points_times_components_are_bounded():
    sizes = 1, 1016, 4096, 5000, 100_000
    mixtures = [GaussianMixture(np.ones(k), np.zeros((k, 2)), np.tile(np.eye(2), (k, 1, 1))) for k in sizes]
    assert [m.block for m in mixtures] == [256, 256, 256, 209, 10]
