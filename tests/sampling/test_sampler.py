from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import numbers

import toydiff
from toydiff import GaussianMixture, InputError, sample
from toydiff.base import devices
from toydiff.base.score_model import ScoreModel
from toydiff.sampling.schedules import adams_schedule, noise_schedule, normal_schedule
from toydiff.sampling.solvers import SOLVERS

VARIANCE = np.array([0.04, 0.25])


@pytest.fixture
def gaussian():
    """Its ODE has the solution x(sigma) = x(s0) sqrt((c^2 + sigma^2) / (c^2 + s0^2)) on each axis."""
    return GaussianMixture([1.0], [[0.0, 0.0]], [np.diag(VARIANCE)])


def exact_path(start, sigma, sigma_max):
    return np.asarray(start, float) * np.sqrt((VARIANCE + np.square(sigma)[:, None, None]) / (VARIANCE + sigma_max**2))


def test_schedule_is_the_papers():
    sigma = noise_schedule()
    assert sigma.shape == (33,)
    np.testing.assert_allclose(sigma[[0, 31, 32]], [5, 0.002, 0], atol=1e-12)
    i = np.arange(32)
    expected = (5 ** (1 / 7) + i / 31 * (0.002 ** (1 / 7) - 5 ** (1 / 7))) ** 7
    np.testing.assert_allclose(sigma[:-1], expected, rtol=1e-12)


def test_trajectory_keeps_every_step_and_follows_the_solution(gaussian):
    trajectory = sample(gaussian, 0, 50)
    assert trajectory.x.shape == (33, 50, 2)
    expected = exact_path(trajectory.x[0], np.asarray(trajectory.sigma), 5.0)
    np.testing.assert_allclose(trajectory.x, expected, atol=0.02)
    np.testing.assert_array_equal(trajectory.samples, trajectory.x[-1])


ORDERS = {"heun": 2, "euler": 1, "adams2": 2, "adams3": 3, "adams34": 3}
FACTORS = {1: 4, 2: 20, 3: 200}
"""An error that falls with the order is below this over steps^order, of any Gaussian of at least 0.125."""


def test_the_solvers_of_the_ode_are_all_tried():
    assert list(ORDERS) == [name for name, row in SOLVERS.items() if not (row.stochastic or row.population)]


@pytest.mark.parametrize("solver", ORDERS)
@given(numbers(-1, 1, 2), numbers(0.125, 1, 2), numbers(-8, 8, 4, 2))
def test_solvers_send_any_gaussian_where_the_formula_says(solver, mean, deviation, start):
    """x(0) = mean + (x - mean) c / sqrt(c^2 + sigma_max^2) on each axis, the nearer the more steps there are."""
    model = GaussianMixture([1.0], [mean], [np.diag(deviation**2)])
    way = (start - mean) * deviation / np.sqrt(deviation**2 + 5**2)
    last = 0.002**2 / (2 * deviation**2)  # of the step to 0, whatever the solver
    for steps in (16, 64):
        found = sample(model, 0, 4, steps=steps, solver=solver, start=start, path=False).samples
        error = np.abs(np.asarray(found, float) - mean - way)
        assert (error <= np.abs(way) * (FACTORS[ORDERS[solver]] / steps ** ORDERS[solver] + last) + 1e-4).all()


@pytest.mark.parametrize(("solver", "order"), list(ORDERS.items()))
def test_solvers_converge_at_their_order(gaussian, solver, order):
    """Error at the last level before 0 in float64: halving the step twice divides it by 4^order."""
    with jax.enable_x64(True):
        model = GaussianMixture([1.0], [[0.0, 0.0]], [np.diag(VARIANCE)])
        start = np.array([[1.0, -2.0], [0.5, 3.0]])
        errors = []
        for steps in (128, 512):
            path = sample(model, 0, 2, steps=steps, sigma_min=0.1, sigma_max=2.0, solver=solver, start=start)
            expected = exact_path(start, np.array([0.1]), 2.0)[0]
            errors.append(np.abs(np.asarray(path.x[-2]) - expected).max())
    assert np.log2(errors[0] / errors[1]) / 2 == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize(("solver", "steps", "evaluations"), [("heun", 32, 63), ("euler", 32, 32), ("adams3", 10, 10)])
def test_evaluations_are_as_many_as_said(gaussian, solver, steps, evaluations):
    calls = []

    @jax.tree_util.register_dataclass
    @dataclass(frozen=True)
    class Counting(ScoreModel):
        def score_at(self, x, sigma):
            jax.debug.callback(lambda: calls.append(1))
            return -x / (jnp.asarray(VARIANCE, x.dtype) + sigma**2)

        def truth(self):
            return gaussian

    sample(Counting(), 0, 1, solver=solver, steps=steps, path=False).x.block_until_ready()
    jax.effects_barrier()
    assert len(calls) == evaluations


def test_blocks_and_path_do_not_change_the_samples(tree):
    x = sample(tree, 3, 2 * tree.block + 5)
    np.testing.assert_array_equal(sample(tree, 3, 2 * tree.block + 5, path=False).x[0], x.samples)
    start = x.x[0]
    alone = sample(tree, 3, 7, start=start[:7])
    np.testing.assert_allclose(alone.samples, x.samples[:7], atol=2e-3)


@pytest.mark.parametrize("n", [100, 600, 1024])
def test_cores_do_not_change_the_samples(tiny_denoiser, monkeypatch, n):
    start = np.asarray(toydiff.fractal_tree("A").sample(0, n, 5.0))
    many = sample(tiny_denoiser, 0, n, start=start, steps=4).x
    scores = tiny_denoiser.score(start, np.linspace(0.1, 1, n))
    monkeypatch.setattr(devices, "threads", lambda: 1)
    np.testing.assert_array_equal(many, sample(tiny_denoiser, 0, n, start=start, steps=4).x)
    np.testing.assert_array_equal(scores, tiny_denoiser.score(start, np.linspace(0.1, 1, n)))


def test_parts_for_the_cores_are_compiled_once_and_keep_their_order(tiny_denoiser, monkeypatch):
    monkeypatch.setattr(devices, "threads", lambda: 3)
    compiled = []

    @jax.jit
    def twice(model, x):
        compiled.append(x.shape)
        return 2 * x

    x = np.arange(2000.0)
    np.testing.assert_array_equal(devices.on_all_cores(twice, tiny_denoiser, 256, x), 2 * x)
    assert compiled == [(768,)]


@pytest.mark.parametrize("weight", [pytest.param(1.0, marks=pytest.mark.slow), 3.0])
def test_adams_on_its_schedule_needs_fewer_evaluations_than_heun(weight):
    """10 evaluations end nearer to the solution than Heun's 17; 24 nearer than the paper's 63, most of them by far."""
    model = toydiff.guided_model("autoguidance", weight)
    start = toydiff.fractal_tree("A").sample(0, 512, 5.0)
    exact = np.asarray(sample(model, 0, 512, start=start, steps=256, solver="adams3").samples)

    def errors(**options):
        return np.hypot(*(np.asarray(sample(model, 0, 512, start=start, **options).samples) - exact).T)

    quick = errors(schedule=normal_schedule(10), solver="adams2")
    assert np.median(quick) < np.median(errors(steps=9))  # Heun's method with 17 evaluations
    fast, papers = errors(schedule=adams_schedule(), solver="adams34"), errors()
    assert np.median(fast) < np.median(papers) / 2
    assert np.quantile(fast, 0.95) < np.quantile(papers, 0.95)


@pytest.mark.parametrize(("solver", "schedule"), [("heun", None), ("adams34", adams_schedule())])
def test_float32_ends_where_float64_does(solver, schedule):
    """The bundled models, guided: the typical end point agrees to a hundredth of the solvers' own error."""
    model = toydiff.guided_model("autoguidance", 2.0)
    start = np.asarray(toydiff.fractal_tree("A").sample(0, 256, 5.0))
    options = {"start": start, "solver": solver, "schedule": schedule, "path": False}
    single = np.asarray(sample(model, 0, 256, **options).samples)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), model)
        reference = sample(double, 0, 256, **options | {"start": start.astype(np.float64)}).samples
        assert reference.dtype == np.float64
        difference = np.hypot(*(single - np.asarray(reference)).T)
    assert np.median(difference) < 2e-5
    assert np.quantile(difference, 0.95) < 1e-3


def test_adams_schedule_falls_between_its_ends():
    sigma = adams_schedule()
    assert sigma.shape == (25,)
    np.testing.assert_allclose(sigma[[0, -2, -1]], [5, 0.002, 0])
    assert (np.diff(sigma) < 0).all()
    half = adams_schedule(12, sigma_min=0.01, sigma_max=1.0)  # the same density over another range
    np.testing.assert_allclose(half[[0, -2, -1]], [1, 0.01, 0])
    place = np.log(np.divide(sigma[:-1], 5)) / np.log(0.002 / 5)
    np.testing.assert_allclose(
        np.log(half[:-1]) / np.log(0.01), np.interp(np.linspace(0, 1, 12), np.linspace(0, 1, 24), place), atol=2e-3
    )
    with pytest.raises(InputError, match="steps is 1"):
        adams_schedule(1)


def test_normal_schedule_falls_between_its_ends():
    sigma = normal_schedule(12)
    assert sigma.shape == (13,)
    np.testing.assert_allclose(sigma[[0, -2, -1]], [5, 0.002, 0])
    assert (np.diff(sigma) < 0).all()
    middle = (np.log(sigma[:-1]) > -4.3) & (np.log(sigma[:-1]) < -0.3)
    assert middle.sum() > 7  # of 6 when evenly spaced


def test_starts(tree, tiny_denoiser):
    exact = sample(tree, 1, 4000, steps=2).x[0]
    noise = sample(tree, 1, 4000, steps=2, start="noise").x[0]
    assert np.abs(np.asarray(exact).mean(0) - [0.3719, 0.3646]).max() < 5 * 5 / np.sqrt(4000)
    assert np.asarray(noise).std() == pytest.approx(5, rel=0.05)
    other = toydiff.three_gaussians("B")
    np.testing.assert_array_equal(sample(tree, 1, 9, steps=2, start=other).x[0], other.sample(1, 9, 5.0))
    np.testing.assert_array_equal(sample(tiny_denoiser, 1, 9, steps=2).x[0], tree.sample(1, 9, 5.0))


def test_one_compilation_for_all_weights_seeds_and_noise_levels(tiny_denoiser, tree, compilations):
    def draw(weight, seed, sigma_max):
        guided = toydiff.guide("cfg", tiny_denoiser, tree, weight=weight, interval=(0.0, sigma_max))
        sample(guided, seed, 10, sigma_max=sigma_max, steps=4, path=False)

    draw(1, 0, 5.0)
    with compilations() as count:
        draw(2.5, 1, 3.0)
        draw(4, 2, 5)
    assert count() == 0


def test_same_seed_same_trajectory(tiny_denoiser):
    first, second = (sample(tiny_denoiser, 4, 20) for _ in range(2))
    np.testing.assert_array_equal(first.x, second.x)


def test_float32_follows_float64(tree):
    start = np.asarray(tree.sample(0, 64, 5.0))
    single = sample(tree, 0, 64, start=start).samples
    with jax.enable_x64(True):
        double = sample(toydiff.fractal_tree("A"), 0, 64, start=start.astype(float)).samples
        assert double.dtype == jnp.float64
    assert np.median(np.abs(np.asarray(single) - np.asarray(double))) < 1e-4


@pytest.mark.parametrize("solver", ["heun", "stochastic"])
def test_float64_begins_with_the_noise_of_float32(solver):
    def ends():
        gaussian = GaussianMixture([1.0], [[0.0, 0.0]], [np.diag(VARIANCE)])
        return sample(gaussian, 1, 9, steps=3, start="noise", solver=solver).x

    single = ends()
    with jax.enable_x64(True):
        double = ends()
    assert double.dtype == np.float64
    np.testing.assert_allclose(double[0], single[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "n is 0"),
        ({"n": 10**10}, "n is 10000000000; it must be a whole number from 1 to 100,000,000"),
        ({"steps": 0}, "steps is 0"),
        ({"sigma_max": float("nan")}, "sigma_max is nan"),
        ({"sigma_max": -5}, "sigma_max is -5"),
        ({"sigma_max": 1e9}, "sigma_max"),
        ({"sigma_min": 6}, "sigma_min is 6; it must be a number, at least 1e-06 and at most 5"),
        ({"rho": 0}, "rho"),
        ({"solver": "rk4"}, "unknown solver 'rk4'; there are heun, euler, adams2, adams3"),
        ({"schedule": "karras"}, "schedule is not an array of numbers"),
        ({"schedule": [1.0, 2.0, 0.0]}, "schedule is .*; it must be falling noise levels, then 0"),
        ({"schedule": [1.0, 0.5]}, "it must be falling noise levels, then 0"),
        ({"schedule": [1.0, np.nan, 0.0]}, "it must be falling noise levels, then 0"),
        ({"schedule": [0.0]}, "it must be falling noise levels, then 0"),
        ({"schedule": [1e9, 0.1, 0.0]}, "highest level"),
        ({"start": "data"}, "unknown start 'data'; there are noise"),
        ({"start": np.full((4, 2), np.nan)}, "start holds NaN"),
        ({"model": None}, "model is None; it must be a score model"),
        ({"model": "A/64/4096"}, "it must be a score model"),
        ({"sigma_min": 1e-45}, "sigma_min"),
        ({"start": np.zeros((3, 2))}, r"start has shape \(3, 2\)"),
    ],
)
def test_bad_input_is_refused(tree, options, words):
    with pytest.raises(InputError, match=words):
        sample(**{"model": tree, "key": 0, "n": 4} | options)


@pytest.mark.slow
def test_a_million_points_fit(tree):
    samples = sample(toydiff.guided_model("autoguidance"), 0, 1_000_000, path=False).samples
    assert np.isfinite(samples).all()


@pytest.mark.slow
def test_the_stochastic_solver_samples_the_distribution(tiny_mixture):
    """Mean and covariance of the exact mixture; another key gives other points from the same start."""
    n = 20_000
    x = np.asarray(sample(tiny_mixture, 0, n, solver="stochastic", path=False).samples, float)
    mean = np.asarray(tiny_mixture.weights @ tiny_mixture.means, float)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.015)
    exact = np.cov(np.asarray(tiny_mixture.sample(1, n), float).T)
    np.testing.assert_allclose(np.cov(x.T), exact, atol=0.012)
    start = tiny_mixture.sample(2, 600, 5.0)
    one, again, other = (
        sample(tiny_mixture, key, 600, solver="stochastic", start=start, steps=8).x for key in (0, 0, 1)
    )
    assert one.shape == (9, 600, 2)
    np.testing.assert_array_equal(one, again)
    assert np.abs(np.asarray(one - other))[-1].mean() > 0.1
