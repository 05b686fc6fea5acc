"""Rules that are no weighted sums, as a user would write them: projected, remembering, and changing the step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import read_golden

import toydiff
from toydiff import METHODS, GaussianMixture, InputError, guide, sample
from toydiff.base.score_model import DensityModel
from toydiff.guidance import Knob, Method, Prediction, Unconditional, bent, linear, weight_knob

GOLDEN = read_golden("guidance")
PATHS = GOLDEN["paths"]


@pytest.fixture(scope="module")
def triangle():
    """One of three Gaussians, and all three."""
    return tuple(GaussianMixture(*GOLDEN["triangle"][name].values()) for name in ("main", "guide"))


def projected(denoised, x, sigma, knobs, memory):
    """APG (Sadat et al. 2024, arXiv 2410.02416), its momentum remembered along the trajectory."""
    main, other = denoised
    change = main - other + knobs["momentum"] * memory
    remembered = change
    change *= jnp.minimum(1, knobs["limit"] / jnp.linalg.norm(change))
    along = main * (change @ main) / (main @ main)
    return Prediction(main + (knobs["weight"] - 1) * (change - along + knobs["eta"] * along)), remembered


def keep_the_guides_noise(denoised, x, sigma, knobs, memory):
    """CFG++ (Chung et al. 2024, arXiv 2406.08070): a step to one point that keeps another's noise."""
    main, other = denoised
    return Prediction(other + knobs["lam"] * (main - other), renoise=other), memory


APG_KNOBS = {
    "weight": weight_knob(3.0),
    "eta": Knob(0, 1, 0.0, "Of the part along D_1"),
    "limit": Knob(0, 1e6, 1e6, "Longest difference"),
    "momentum": Knob(-1, 0, 0.0, "Of the last step's difference"),
}


@pytest.fixture(autouse=True)
def rows(monkeypatch):
    roles = (Unconditional(),)
    apg = Method(bent(projected, memory=lambda: np.zeros(2)), "Projected", "APG", "Sadat 2024", roles, APG_KNOBS)
    step = bent(keep_the_guides_noise, renoises=True)
    changed = Method(
        step, "CFG++", "CFG++", "Chung 2024", roles, {"weight": weight_knob(1.0), "lam": Knob(0, 1, 0.6, "")}
    )
    monkeypatch.setitem(METHODS, "apg", apg)
    monkeypatch.setitem(METHODS, "cfg++", changed)


@pytest.mark.parametrize("row", GOLDEN["rules"]["rows"], ids=lambda row: f"sigma {row['sigma']}")
def test_a_projected_rule_is_its_formula(triangle, row):
    with jax.enable_x64(True):
        models = [GaussianMixture(*GOLDEN["triangle"][name].values()) for name in ("main", "guide")]
        for eta, limit, name in ((0, 1e6, "eta0_rhoinf"), (0.5, 1e6, "eta0.5_rhoinf"), (0.5, 0.1, "eta0.5_rho0.1")):
            model = guide("apg", *models, weight=3.0, eta=eta, limit=limit)
            np.testing.assert_allclose(model.denoise(row["x"], row["sigma"]), row[f"apg_{name}"], atol=1e-7)
    single = guide("apg", *triangle, weight=3.0)
    np.testing.assert_allclose(single.denoise(row["x"], row["sigma"]), row["apg_eta0_rhoinf"], rtol=1e-4, atol=1e-5)


def test_memory_goes_along_each_trajectory(triangle):
    options = {"schedule": PATHS["levels"], "solver": "euler", "start": PATHS["starts"]}
    knobs = {"eta": PATHS["apg"]["eta"], "limit": PATHS["apg"]["rho"], "momentum": PATHS["apg"]["beta"]}
    model = guide("apg", *triangle, weight=PATHS["w"], **knobs)
    together = sample(model, 0, 4, **options)
    np.testing.assert_allclose(together.samples, PATHS["apg_momentum"], atol=1e-4)
    alone = sample(model, 0, 1, **options | {"start": PATHS["starts"][2:3]})
    np.testing.assert_allclose(alone.samples, together.samples[2:3], rtol=1e-5, atol=1e-6)
    forgetful = guide("apg", *triangle, weight=PATHS["w"], **knobs | {"momentum": 0.0})
    assert np.abs(np.asarray(sample(forgetful, 0, 4, **options).samples) - PATHS["apg_momentum"]).max() > 0.01


def test_a_second_evaluation_sees_the_memory_of_the_first_and_leaves_none(triangle):
    """Heun's step: the memory after it is that of its beginning."""
    seen = []

    def watched(denoised, x, sigma, knobs, memory):
        jax.debug.callback(lambda *values: seen.append([float(v) for v in values]), sigma, memory)
        return Prediction(denoised[0]), sigma

    row = Method(bent(watched, memory=lambda: np.zeros(())), "Watched", "Watched")
    METHODS["watched"] = row
    try:
        sample(guide("watched", triangle[0]), 0, 1, schedule=[3.0, 2.0, 1.0, 0.0]).x.block_until_ready()
        jax.effects_barrier()
    finally:
        del METHODS["watched"]
    assert seen[-5:] == [[3, 0], [2, 3], [2, 3], [1, 2], [1, 2]]


def test_a_changed_step_keeps_the_noise_of_the_other_point(triangle):
    options = {"schedule": PATHS["levels"], "solver": "euler", "start": PATHS["starts"]}
    model = guide("cfg++", *triangle, lam=PATHS["lam"])
    np.testing.assert_allclose(sample(model, 0, 4, **options).samples, PATHS["cfgpp"], atol=1e-4)
    plain = sample(guide("cfg", *triangle, weight=PATHS["w"]), 0, 4, **options)
    np.testing.assert_allclose(plain.samples, PATHS["euler"], atol=1e-4)
    with pytest.raises(InputError, match=r"solver 'heun' keeps the noise of .*; solvers that can are euler"):
        sample(model, 0, 4)


def test_a_rule_that_is_no_sum_is_no_density(triangle):
    model = guide("apg", *triangle)
    assert not isinstance(model, DensityModel)
    assert isinstance(guide("cfg", *triangle), DensityModel)
    with pytest.raises(InputError, match="GuidedByRule has scores and no log density, which is wanted here; an exact"):
        model.log_density([0.0, 0.0], 0.1)
    with pytest.raises(InputError, match="has scores and no log density"):
        guide("cfg", model, triangle[1]).log_density([0.0, 0.0], 0.1)
    with pytest.raises(InputError, match="has scores and no log density"):
        toydiff.Ratio(model, triangle[1]).log_density([0.0, 0.0], 0.1)
    x = [0.3, 0.4]
    nested = guide("cfg", model, triangle[1], weight=2.0).score(x, 0.2)
    np.testing.assert_allclose(nested, 2 * model.score(x, 0.2) - triangle[1].score(x, 0.2), rtol=1e-4, atol=1e-4)


def test_what_remembers_has_no_likelihood(triangle):
    for name in ("apg", "cfg++"):
        with pytest.raises(InputError, match="its samples have no known density"):
            toydiff.log_likelihood(guide(name, *triangle), [[0.0, 0.0]])


def test_outside_of_its_interval_a_rule_does_nothing(triangle):
    model = guide("apg", *triangle, weight=3.0, interval=(0.1, 0.5))
    for sigma, inside in ((0.1, False), (0.11, True), (0.5, True), (0.51, False)):
        same = np.allclose(model.denoise([0.3, 0.1], sigma), triangle[0].denoise([0.3, 0.1], sigma), atol=1e-6)
        assert same != inside


def test_knobs_are_traced(triangle, compilations):
    @jax.jit
    def score(model):
        return model.score_at(jnp.array([0.3, 0.2]), jnp.float32(0.2))

    with compilations() as count:
        for w, eta in ((1.0, 0.0), (3.0, 0.4), (7.0, 1.0)):
            score(guide("apg", *triangle, weight=w, eta=eta))
    assert count(score) == 1


def test_a_weight_curve_serves_any_rule(triangle):
    model = guide("apg", *triangle, weight=toydiff.WeightCurve((0.1, 1.0), (1.0, 3.0)))
    for sigma, w in ((0.05, 1.0), (0.1**0.5, 2.0), (2.0, 3.0)):
        expected = guide("apg", *triangle, weight=w).denoise([0.3, 0.1], sigma)
        np.testing.assert_allclose(model.denoise([0.3, 0.1], sigma), expected, rtol=1e-4, atol=1e-5)


BROKEN = {
    "a point of three": (
        lambda d, x, s, k, m: (Prediction(jnp.zeros(3)), m),
        r"gives a denoised of shape \(3,\); it must be a point \(2,\)",
    ),
    "a forgotten memory": (
        lambda d, x, s, k, m: (Prediction(d[0]), jnp.zeros(3)),
        "begins with memory .*; keep its kind",
    ),
    "NaN": (
        lambda d, x, s, k, m: (Prediction(d[0] * jnp.log(k["weight"] - 5)), m),
        "gives NaN or infinity with weight = 3",
    ),
    "an unknown knob": (
        lambda d, x, s, k, m: (Prediction(d[0] * k["gain"]), m),
        "asks for a knob 'gain', and its row has weight",
    ),
    "a noise unsaid": (lambda d, x, s, k, m: (Prediction(d[0], d[0]), m), "must say renoises=True"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_named_in_a_line(triangle, monkeypatch, name):
    combine, words = BROKEN[name]
    monkeypatch.setitem(
        METHODS, "broken", Method(bent(combine), "Broken", "Broken", knobs={"weight": weight_knob(3.0)})
    )
    with pytest.raises(InputError, match=f"the rule of method 'broken' .*{words}"):
        guide("broken", triangle[0])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (lambda k: (np.zeros((3, 2)),), r"gives weights of shape \(3, 2\); each must be a number"),
        (lambda k: (k["weight"] * jnp.nan,), "gives NaN or infinity with weight = 2"),
        (lambda k: (k["wait"],), "asks for a knob 'wait', and its row has weight"),
    ],
)
def test_a_broken_sum_is_named_in_a_line(triangle, monkeypatch, weights, words):
    row = Method(linear(weights), "Broken", "Broken", guides=(Unconditional(),))
    monkeypatch.setitem(METHODS, "broken", row)
    with pytest.raises(InputError, match=f"the rule of method 'broken' .*{words}"):
        guide("broken", *triangle, weight=2.0)


def test_unknown_knobs_and_values_out_of_range_are_refused(triangle):
    with pytest.raises(InputError, match="method 'cfg' has no knob 'heat'; beside the weight there are share, eta"):
        guide("cfg", *triangle, heat=1.0)
    with pytest.raises(InputError, match="eta is 2; it must be a number, at least 0 and at most 1"):
        guide("apg", *triangle, eta=2)
    with pytest.raises(InputError, match="share is 7; it must be a number, at least 0 and at most 1"):
        guide("cfg", *triangle, share=7)


def test_roles_find_their_classes():
    row = METHODS["mix"]
    assert [role.classes("A", "ABC") for role in row.guides] == ["ABC", "A"]
    assert [str(role) for role in row.guides] == ["AB/32/512", "A/32/512"]
    from toydiff.guidance.named import default_guides

    assert default_guides("cfg", "three_gaussians") == ("ABC/32/512",)
    assert default_guides("mix", "letters", "B") == ("AB/16/128", "B/16/128")
