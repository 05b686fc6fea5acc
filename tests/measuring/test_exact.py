"""A truth that is no mixture: a ring of uniform angle, whose radius is normal; only its density and draws are said."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import toydiff
from toydiff import Exact, InputError, Reference, evaluate, plotting
from toydiff.base import random
from toydiff.base.random import as_key
from toydiff.measuring.reference import Scored


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Ring(Exact):
    """Uniform on a circle of radius r, with normal noise of standard deviation s in the plane."""

    radius: float = 0.6
    spread: float = 0.1

    def log_density_at(self, x, sigma):
        """Rice's density of the radius over the circumference."""
        variance, r = self.spread**2 + sigma**2, jnp.linalg.norm(x)
        z = r * self.radius / variance
        bessel = jnp.log(jax.scipy.special.i0e(z)) + z
        return bessel - (r**2 + self.radius**2) / (2 * variance) - jnp.log(2 * jnp.pi * variance)

    def sample(self, key, n, sigma=0.0, *, first=0):
        key_angle, key_noise = jax.random.split(as_key(key))
        angle = 2 * jnp.pi * random.uniforms(key_angle, first, n)
        noise = jnp.sqrt(self.spread**2 + jnp.asarray(sigma) ** 2).reshape(-1, 1)
        circle = self.radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
        return circle + noise * random.normal_points(key_noise, first, n)


@pytest.fixture(scope="module")
def ring():
    return Ring()


def test_it_is_the_density_that_it_says(ring):
    side = plotting.grid(plotting.View(0, 0, 1.5), 301).reshape(-1, 2)
    mass = np.exp(np.asarray(ring.log_density(side, 0.05), float)).sum() * 0.01**2
    assert mass == pytest.approx(1, abs=1e-3)
    x = ring.sample(1, 5, 0.05)
    slope = jax.vmap(jax.grad(ring.log_density_at), (0, None))(x, jnp.float32(0.05))
    np.testing.assert_allclose(ring.score(x, 0.05), slope, rtol=1e-3, atol=1e-3)


def test_every_metric_that_applies_measures_it(ring):
    """Exact samples score the floor; branches and classes it has none of."""
    reference = Reference(ring, n=1 << 16)
    scores = evaluate(ring.sample(5, 2048), reference)
    expected = {"outlier_rate_0.001", "outlier_rate_0.01", "mean_log_density", "median_log_density"}
    assert set(scores) == expected | {"sliced_wasserstein", "energy_distance", "mmd"}
    for name, score in scores.items():
        assert abs(score.value - score.exact) < 5 * math.hypot(score.error, score.exact_error) + 1e-3, name
    moved = evaluate(ring.sample(5, 2048) + 0.1, reference)
    for name in ("sliced_wasserstein", "energy_distance", "mmd"):
        assert moved[name].value - moved[name].exact > 5 * math.hypot(moved[name].error, moved[name].exact_error)
    assert moved["sliced_wasserstein"].value == pytest.approx(0.1 * math.sqrt(2) * 2 / np.pi, rel=0.1)


def test_the_parts_that_are_taken_from_draws_are_near_the_closed_forms():
    """Of a mixture, by the general way and by its own."""
    tree = toydiff.fractal_tree("A")
    directions = np.array([[1.0, 0.0], [0.6, 0.8]])
    grid, cdf = Exact.projections(tree, directions, 512)
    own_grid, own_cdf = tree.projections(directions, 2048)
    for line in range(2):
        np.testing.assert_allclose(np.interp(grid[line], own_grid[line], own_cdf[line]), cdf[line], atol=0.005)
    assert Exact.mean_kernel(tree, 0.1) == pytest.approx(tree.mean_kernel(0.1), rel=0.02)
    lowest = Exact.lowest_log_densities(tree, 3, 5000, 60)
    np.testing.assert_allclose(tree.lowest_log_densities(3, 5000, 60), lowest, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(np.stack(Exact.extent(tree)), np.stack(tree.extent()), atol=0.15)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (100, 100), (5000, 1), (5000, 4999), (1 << 15, 40)])
def test_the_lowest_densities_are_those_of_all_draws(tree, n, count):
    every = np.sort(np.asarray(tree.log_density(tree.sample(11, n)), float))
    np.testing.assert_allclose(tree.lowest_log_densities(11, n, count), every[:count], rtol=1e-5, atol=1e-5)


def test_it_is_sampled_guided_and_drawn(ring):
    from matplotlib.figure import Figure

    samples = toydiff.sample(ring, 0, 500).samples
    assert evaluate(samples, Reference(ring, n=1 << 14))["sliced_wasserstein"].value < 0.06
    guided = toydiff.guide("autoguidance", ring, Ring(0.6, 0.3), weight=2.0)
    assert np.isfinite(toydiff.sample(guided, 0, 20).samples).all()
    ax = Figure().subplots()
    outline = plotting.plot_outline(ring, view=plotting.View(0, 0, 1.2), resolution=100, ax=ax)
    assert len(outline.allsegs[0]) >= 1
    assert toydiff.divergences(guided, 0, 64, sigma=0.2).of_samples > -0.5


def test_what_it_does_not_know_is_said_in_a_line(ring):
    with pytest.raises(InputError, match="Ring has no branches"):
        ring.branch_posterior([[0.0, 0.0]])
    with pytest.raises(InputError, match=r"Ring does not know what share of Ring.* it is: compare it with itself"):
        Reference(ring, whole=Ring(0.5))
    with pytest.raises(InputError, match="the reference is 'A'; it must be a GaussianMixture or another exact"):
        Reference("A")
    assert Scored(ring.sample(0, 10), Reference(ring, n=100)).reference.branch_mass.size == 0
