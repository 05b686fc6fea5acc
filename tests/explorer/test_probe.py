from dataclasses import replace

import numpy as np
import pytest

import toydiff
from toydiff import METHODS, InputError, noise_schedule
from toydiff.explorer import compute, drawing
from toydiff.explorer.probe import probe, probe_of
from toydiff.explorer.state import SIGMAS, ModelChoice, State
from toydiff.guidance.guided import WeightCurve
from toydiff.sampling.schedules import KNOTS

AT = (0.62, 0.41)


@pytest.fixture
def no_paths(monkeypatch):
    """The probe without its trajectories: compiling the sampling of every method takes longest."""
    monkeypatch.setattr("toydiff.explorer.probe.paths", lambda *_: {})
    monkeypatch.setattr("toydiff.explorer.probe.probe_of", probe_of.__wrapped__)  # nothing of it is kept


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("no_paths")
def test_scores_lengths_and_angles_are_those_of_the_models(method):
    state = State(method=method, weight=1.0 if method == "unguided" else 2.5, sigma=SIGMAS[20], probe=AT)
    seen, sigma = probe(state), noise_schedule()[20]
    guides = ["A/32/512"] if method == "sharpened" else None  # the state's, where the row has another
    weight = WeightCurve(KNOTS, (state.weight,) * len(KNOTS))
    guided = toydiff.guided_model(method, weight, guides=guides)
    expected = {"main": toydiff.load_model("A", 64, 4096), "guided": guided, "exact": toydiff.fractal_tree("A")}
    for name, model in expected.items():
        step = sigma**2 * np.asarray(model.score(AT, sigma))  # D(x; sigma) - x
        np.testing.assert_allclose(seen.arrows[name].step, step, atol=2e-5)
        assert seen.arrows[name].length == pytest.approx(np.linalg.norm(step), abs=3e-5)
    exact, main = (np.arctan2(*np.asarray(expected[name].score(AT, sigma))[::-1]) for name in ("exact", "main"))
    turned = np.degrees(abs((exact - main + np.pi) % (2 * np.pi) - np.pi))
    assert seen.arrows["main"].angle == pytest.approx(turned, abs=0.1)
    assert seen.arrows["exact"].angle == pytest.approx(0, abs=0.1)
    assert ("guide" in seen.arrows) == bool(METHODS[method].guides)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "unguided"])
@pytest.mark.usefixtures("no_paths")
def test_no_weight_is_nearer_to_the_exact_score_than_the_best_one(method):
    at = (-0.02, 0.03) if method == "classifier" else AT  # where the other class is near
    state = State(method=method, weight=1.5, sigma=SIGMAS[22], probe=at)
    best, sigma = probe(state).best_weight, noise_schedule()[22]
    exact = np.asarray(toydiff.fractal_tree("A").score(at, sigma))
    main = toydiff.load_model("A", 64, 4096)
    # The guided score is a straight line in the weight: two weights give it everywhere.
    at_one = np.asarray(main.score(at, sigma))
    slope = np.asarray(compute.models_of(replace(state, weight=2.0)).guided.score(at, sigma)) - at_one
    weights = np.linspace(best - 5, best + 5, 1001)
    errors = np.linalg.norm(at_one + (weights[:, None] - 1) * slope - exact, axis=1)
    assert weights[errors.argmin()] == pytest.approx(best, abs=0.011)


def test_paths_start_at_the_point_and_end_where_fine_sampling_ends():
    state = State(sigma=SIGMAS[16], probe=AT, weight=2.0)
    seen, sigma = probe(state), noise_schedule()[16]
    assert set(seen.paths) == {"unguided", "guided", "exact"}
    models = compute.models_of(state)
    for name, model in {"unguided": models.main, "guided": models.guided, "exact": models.truth}.items():
        np.testing.assert_allclose(seen.paths[name][0], AT, atol=1e-6)
        fine = toydiff.sample(model, 0, 1, steps=256, sigma_max=sigma, start=np.array([AT])).samples[0]
        np.testing.assert_allclose(seen.paths[name][-1], fine, atol=0.02)
    assert not probe(replace(state, sigma=SIGMAS[32])).paths


def test_moving_the_probe_and_the_noise_level_does_not_compile_again(compilations):
    probe(State(sigma=SIGMAS[15], probe=AT))
    with compilations() as count:
        for step, at, weight in ((17, (0.1, 0.2), 2.0), (25, (0.9, 0.9), 4.0)):
            probe(State(sigma=SIGMAS[step], probe=at, weight=weight))
    assert count("_solve") == 0


def test_equal_models_have_no_best_weight():
    exact = ModelChoice(exact=True)
    assert probe(State(probe=AT, main=exact, guide=exact)).best_weight is None
    assert probe(State(method="unguided", weight=1.0, probe=AT)).best_weight is None
    assert probe(State()) is None


def test_the_probe_is_drawn_and_goes_to_json():
    state = State(layers=(), probe=AT, sigma=SIGMAS[20])
    assert State.from_json(state.to_json()) == state
    ax = drawing.draw(state).axes[0]
    assert len(ax.lines) == 3
    np.testing.assert_allclose(ax.lines[0].get_xydata()[0], AT, atol=1e-6)
    assert not drawing.draw(State(layers=())).axes[0].lines


@pytest.mark.parametrize(
    ("value", "words"), [((1,), "it must be 2 numbers"), (("a", 0), "probe x is 'a'"), (3, "2 num")]
)
def test_bad_probes_are_refused(value, words):
    with pytest.raises(InputError, match=words):
        State(probe=value)
