from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import mixtures, numbers

import toydiff
from toydiff import METHODS, InputError, Ratio, guide
from toydiff.guidance.guided import WeightCurve
from toydiff.guidance.row import Method, linear, weight_knob
from toydiff.guidance.rules import with_flat


@pytest.fixture
def models(tree, tiny_denoiser):
    """A main model, an unconditional one and a bad one, all different."""
    return tiny_denoiser, toydiff.fractal_tree("AB"), tree


X = np.array([[0.3, 0.3], [1.0, 0.2], [-0.4, 0.9]])
SIGMA = 0.2


def scores(model, sigma=SIGMA):
    return np.asarray(model.score(X, sigma))


def guides_of(row, main, other):
    """`other` for each role of a row, also as the classifier that says how much likelier the main model is than it."""
    return [Ratio(main, other) if role.classifies else other for role in row.guides]


PLACES = st.tuples(numbers(-2, 2, 8, 2), numbers(0.0625, 2, 8))
"""Points and noise levels."""


def assert_same(guided, expected, models, place, weight=1.0):
    """Up to the rounding in float32 of the scores that are added, which the weight multiplies."""
    largest = max(np.abs(np.asarray(model.score(*place))).max() for model in models)
    tolerance = 1e-5 * (1 + weight) * (1 + largest)
    np.testing.assert_allclose(guided.score(*place), expected.score(*place), rtol=0, atol=tolerance)


OF_MIXTURES = [name for name, row in METHODS.items() if row.is_guided and name != "self-guidance"]
"""Methods that take any models: self-guidance takes a network to pieces."""
BY_SUM_ALONE = [name for name in OF_MIXTURES if METHODS[name].guides and METHODS[name].rule.parts is not with_flat]
"""Those of them that steer away from their guides alone."""


@pytest.mark.parametrize("method", OF_MIXTURES)
@given(mixtures(), mixtures(), PLACES)
def test_weight_one_is_the_main_model_wherever(method, main, other, place):
    guided = guide(method, main, *guides_of(METHODS[method], main, other), weight=1.0)
    assert_same(guided, main, (main, other), place)


@pytest.mark.parametrize("method", BY_SUM_ALONE)
@given(mixtures(), mixtures(), PLACES)
def test_weight_zero_is_the_guide_wherever(method, main, other, place):
    guided = guide(method, main, *guides_of(METHODS[method], main, other), weight=0.0)
    assert_same(guided, other, (main, other), place)


@pytest.mark.parametrize("method", BY_SUM_ALONE)
@given(mixtures(), PLACES, numbers(0, 16))
def test_equal_models_cancel_wherever_at_any_weight(method, main, place, weight):
    guided = guide(method, main, *guides_of(METHODS[method], main, main), weight=weight)
    assert_same(guided, main, (main,), place, float(weight))


def test_guided_denoiser_is_the_formula(models):
    main, other, _ = models
    w = 3.5
    expected = w * main.denoise(X, SIGMA) + (1 - w) * other.denoise(X, SIGMA)
    np.testing.assert_allclose(guide("cfg", main, other, weight=w).denoise(X, SIGMA), expected, rtol=1e-4, atol=1e-5)


def test_truncation_scales_the_score_and_unguided_does_nothing(models):
    main = models[0]
    np.testing.assert_allclose(scores(guide("truncation", main, weight=1.4)), 1.4 * scores(main), rtol=1e-5)
    np.testing.assert_array_equal(scores(guide("unguided", main)), scores(main))


def test_the_guided_score_is_the_gradient_of_the_guided_log_density(models):
    for method, row in METHODS.items():
        guides = [Ratio(*models[:2])] if method == "classifier" else models[1 : 1 + len(row.guides)]
        guided = guide(method, models[0], *guides)
        point = [partial(f, sigma=jnp.float32(SIGMA)) for f in (guided.score_at, jax.grad(guided.log_density_at))]
        score, gradient = jax.jit(jax.vmap(lambda x, point=point: [f(x) for f in point]))(jnp.asarray(X))
        np.testing.assert_allclose(score, gradient, rtol=1e-3, atol=1e-3)


def test_a_weight_curve_is_linear_in_ln_sigma_and_constant_beyond(models):
    curve = WeightCurve((0.01, 0.1, 1.0), (1.0, 3.0, 0.0))
    guided = guide("autoguidance", *models[:2], weight=curve)
    for sigma, w in {0.001: 1, 0.01: 1, 0.1**1.5: 2, 0.1: 3, 0.1**0.5: 1.5, 1: 0, 5: 0}.items():
        constant = guide("autoguidance", *models[:2], weight=w)
        np.testing.assert_allclose(scores(guided, sigma), scores(constant, sigma), rtol=1e-4, atol=1e-3)
    flat = guide("autoguidance", *models[:2], weight=WeightCurve((0.01, 0.1, 1.0), (3.0, 3.0, 3.0)))
    np.testing.assert_array_equal(scores(flat), scores(guide("autoguidance", *models[:2], weight=3.0)))


def test_a_weight_curve_goes_with_interval_and_mix(models):
    main, uncond, bad = models
    curve = WeightCurve((0.01, 1.0), (2.0, 4.0))
    guided = guide("mix", main, uncond, bad, weight=curve, share=0.25, interval=(0.05, 5))
    np.testing.assert_allclose(scores(guided, 0.04), scores(main, 0.04), rtol=1e-6)
    w = 2 + 2 * (np.log(SIGMA / 0.01) / np.log(100))
    expected = scores(guide("mix", main, uncond, bad, weight=w, share=0.25))
    np.testing.assert_allclose(scores(guided), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (((), ()), "0 noise levels and 0 weights"),
        (((0.1, 0.2), (1.0,)), "2 noise levels and 1 weights; it must have as many of each"),
        (((0.1, 0.2), (1.0, np.nan)), "weight at sigma 0.2 is .*nan.*; it must be a number, at least 0"),
        (((0.1, 0.2), (1.0, 101.0)), "weight at sigma 0.2 is .*101.*at most 100"),
        (((0.0, 0.2), (1.0, 1.0)), "noise level of the weight curve is .*0.*above 0"),
        (((0.2, 0.1), (1.0, 1.0)), "must rise from knot to knot"),
        ((("a",), (1.0,)), "must have noise levels and weights that are numbers"),
    ],
)
def test_bad_weight_curves_are_refused(models, curve, message):
    with pytest.raises(InputError, match=message):
        guide("autoguidance", *models[:2], weight=WeightCurve(*curve))


def test_an_unguided_curve_must_be_one(models):
    guide("unguided", models[0], weight=WeightCurve((0.1, 1.0), (1.0, 1.0)))
    with pytest.raises(InputError, match="without guidance it can only be 1"):
        guide("unguided", models[0], weight=WeightCurve((0.1, 1.0), (1.0, 2.0)))


def test_mix_is_the_papers(models):
    main, uncond, bad = models
    w, share = 3.0, 0.25
    mixed = guide("mix", main, uncond, bad, weight=w, share=share)
    w_u, w_c = (1 - share) * (w - 1) + 1, share * (w - 1) + 1
    d_m, d_u, d_c = (m.denoise(X, SIGMA) for m in models)
    expected = d_m + (w_u - 1) * (d_m - d_u) + (w_c - 1) * (d_m - d_c)
    np.testing.assert_allclose(mixed.denoise(X, SIGMA), expected, rtol=1e-4, atol=1e-5)


def test_mix_ends_at_cfg_and_at_autoguidance(models):
    main, uncond, bad = models
    for share, method, guide_model in ((0, "cfg", uncond), (1, "autoguidance", bad)):
        mixed = guide("mix", main, uncond, bad, weight=2.5, share=share)
        np.testing.assert_allclose(
            scores(mixed), scores(guide(method, main, guide_model, weight=2.5)), rtol=1e-4, atol=1e-4
        )


def test_interval_guides_above_lo_up_to_hi(models):
    main, other, _ = models
    guided = guide("cfg", main, other, weight=3, interval=(0.1, 0.5))
    full = guide("cfg", main, other, weight=3)
    for sigma, expected in ((0.1, main), (0.11, full), (0.5, full), (0.51, main)):
        np.testing.assert_allclose(scores(guided, sigma), scores(expected, sigma), rtol=1e-5)


def test_ratio_is_the_difference(models):
    main, other, _ = models
    ratio = Ratio(main, other)
    np.testing.assert_allclose(scores(ratio), scores(main) - scores(other), rtol=1e-4, atol=1e-4)
    difference = main.log_density(X, SIGMA) - other.log_density(X, SIGMA)
    np.testing.assert_allclose(ratio.log_density(X, SIGMA), difference, rtol=1e-4, atol=1e-4)


def test_the_oracle_needs_no_network(tree):
    guided = toydiff.guided_model("cfg", 2.0, main="exact/A", guides=["exact/AB"])
    expected = 2 * scores(tree) - scores(toydiff.fractal_tree("AB"))
    np.testing.assert_allclose(scores(guided), expected, rtol=1e-4, atol=1e-3)
    assert np.isfinite(guided.score(X, 0.0)).all()
    truncated = toydiff.guided_model("truncation", 1.4, main="exact/A")
    np.testing.assert_allclose(scores(truncated, 0.0), 1.4 * scores(tree, 0.0), rtol=1e-5)
    assert truncated.block == tree.block


def test_everything_that_a_slider_moves_is_traced(models, compilations):
    main, other, bad = models

    @jax.jit
    def score(model, x, sigma):
        return model.score(x, sigma)

    with compilations() as count:
        for w, lo, hi, share, sigma in ((1, 0, 1, 0, 0.1), (3.5, 0.1, np.inf, 1, 0.2), (2, 0, 9, 0.5, 1)):
            mixed = guide("mix", main, other, bad, weight=w, share=share, interval=(lo, hi))
            score(mixed, jnp.asarray(X), jnp.float32(sigma))
    assert count(score) == 1


def test_guide_works_under_jit(models):
    main, other, _ = models
    score = jax.jit(lambda w: guide("cfg", main, other, weight=w).score_at(jnp.asarray(X[0]), jnp.float32(SIGMA)))
    np.testing.assert_allclose(score(2.0), scores(guide("cfg", main, other, weight=2.0))[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": float("nan")}, "weight is nan"),
        ({"weight": -1}, "weight is -1; it must be a number, at least 0 and at most 100"),
        ({"weight": 1e9}, "at most 100"),
        ({"weight": "three"}, "weight is 'three'"),
        ({"interval": (-1, 2)}, "interval lo"),
        ({"interval": (2, 1)}, "interval hi is 1; it must be a number, at least 2"),
        ({"share": 1.5}, "share is 1.5"),
        ({"interval": None}, "interval is None; it must be two numbers"),
        ({"interval": (0, 1, 2)}, "it must be two numbers"),
        ({"weight": 10**400}, "weight is 1"),
    ],
)
def test_bad_numbers_are_refused(tree, options, words):
    with pytest.raises(InputError, match=words):
        guide("cfg", tree, tree, **options)


def test_bad_methods_and_guides_are_refused(tree):
    with pytest.raises(InputError, match="unknown method 'cgf'; there are unguided, "):
        guide("cgf", tree)
    with pytest.raises(InputError, match="it must be a score model"):
        guide("cfg", tree, "AB/32/512")
    with pytest.raises(InputError, match="got 0 guide models; it takes 1"):
        guide("autoguidance", tree)
    with pytest.raises(InputError, match="without guidance it can only be 1"):
        guide("unguided", tree, weight=2)
    with pytest.raises(InputError, match="stands for no distribution"):
        toydiff.Flat().truth()


def test_an_added_method_is_found_everywhere(keep_rows, few_draws, monkeypatch, capsys, tmp_path):
    from toydiff import cli
    from toydiff.results import paper

    half = linear(lambda knobs: ((knobs["weight"] + 1) / 2,), with_flat)
    keep_rows(METHODS, "unguided", "cfg")
    monkeypatch.setitem(METHODS, "half", Method(half, "Half truncation", "Half", knobs={"weight": weight_knob(1.2)}))
    out = tmp_path / "samples.npz"
    assert cli.main(["sample", "--method", "half", "-n", "32", "--steps", "3", "--out", str(out)]) == 0
    assert out.exists()
    with pytest.raises(SystemExit):
        cli.main(["sample", "--help"])
    assert "half" in capsys.readouterr().out
    monkeypatch.setattr(paper, "SAMPLES", 500)
    figure = paper.methods(0)
    assert any("Half, w = 1.2" in ax.get_title() for ax in figure.axes)
    some = paper.methods(0, ["half"])
    assert [ax.get_title() for ax in some.axes] == ["(a) Ground truth", "(b) Half, w = 1.2", ""]
    with pytest.raises(InputError, match="unknown method 'quarter'"):
        paper.methods(0, ["half", "quarter"])


def test_a_rule_gives_a_weight_for_each_model(tree, monkeypatch):
    """A weight of its own may be one number, whatever the knots of the curve."""
    curve = toydiff.WeightCurve((0.1, 1.0), (1.0, 3.0))
    monkeypatch.setitem(METHODS, "fixed", Method(linear(lambda knobs: (2.0,), with_flat), "Fixed", "Fixed"))
    x = tree.sample(0, 8, 0.1)
    np.testing.assert_allclose(guide("fixed", tree, weight=curve).score(x, 0.1), 2 * tree.score(x, 0.1), rtol=1e-4)
    monkeypatch.setitem(METHODS, "short", Method(linear(lambda knobs: (), with_flat), "Short", "Short"))
    with pytest.raises(InputError, match="rule of method 'short' gives 1 models and 0 weights"):
        guide("short", tree, weight=curve)
