import io
from dataclasses import replace

import jax
import numpy as np
import pytest
from PIL import Image

import toydiff
from toydiff import METHODS, InputError, noise_schedule, normal_schedule
from toydiff.explorer import compute, drawing
from toydiff.explorer.compute import QUICK, Quality
from toydiff.explorer.drawing import Canvas
from toydiff.explorer.state import LAYERS, PRESETS, SIGMAS, TREE_VIEW, ModelChoice, State, whole_view, with_classes
from toydiff.guidance.guided import WeightCurve
from toydiff.measuring.reference import reference_of
from toydiff.networks.library import Library
from toydiff.results.plotting import ZOOM_VIEW, View
from toydiff.sampling.schedules import KNOTS

pytestmark = pytest.mark.usefixtures("few_draws_throughout")
SMALL = Quality(300, 120, "adams2", tuple(normal_schedule(6)))


@pytest.fixture(scope="module")
def canvas():
    return Canvas(180)


def painted(canvas, state):
    return np.array(canvas.paint(state, SMALL).convert("RGB"), float)


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), float)


def differ(first, second):
    return np.abs(first - second).max() > 50


@pytest.mark.parametrize("state", [State(), *PRESETS.values()])
def test_states_go_to_json_and_back(state):
    assert State.from_json(state.to_json()) == state


def test_left_out_fields_have_their_defaults():
    assert State.from_json('{"weight": 2, "main": {"width": 128}}') == State(weight=2.0, main=ModelChoice(128))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"wieght": 2}', "unknown field 'wieght' of the state; there are"),
        ('{"weight": null}', "weight is None"),
        ('{"weight": NaN}', "weight is nan"),
        ('{"weight": -1}', "weight is -1"),
        ('{"method": "cgf"}', "unknown method"),
        ('{"classes": "Q"}', "unknown classes"),
        ('{"distribution": "oak"}', "unknown distribution"),
        ('{"distribution": "three_gaussians"}', "there are no networks of three_gaussians A: set main exact"),
        ('{"classes": "B"}', "there are no networks of fractal_tree B: set main exact"),
        ('{"weight": "' + "x" * 3000 + '"}', r"weight is 'xx.* \(3,002 characters\); it must be a number"),
        ('{"main": {"width": 999}}', "no network with main width 999"),
        ('{"main": {"family": "training 7"}}', "unknown family of networks 'training 7'; there are bundled"),
        ('{"weight_curve": [1, 2]}', r"weight_curve is \[1, 2\]; it must be 13 numbers"),
        (
            '{"weight_curve": [1,1,1,1,1,1,1,1,1,1,1,1,NaN]}',
            "weight at sigma 5 is nan; it must be a number, at least 0",
        ),
        ('{"guide": {"exact": true, "steps": null}}', "guide steps is None; it must be a whole number"),
        ('{"main": 3}', "main is 3"),
        ('{"main": {"width": 7}}', "no network with main width 7; there are 8, 16, 32, 64, 128"),
        ('{"guide": {"exact": 1}}', "exact as true or false"),
        ('{"layers": ["clouds"]}', "unknown layer 'clouds'"),
        ('{"layers": 5}', "unknown layer 5"),
        ('{"view": {"x": "a"}}', "view x is 'a'"),
        ('{"interval": [2, 1]}', "interval hi"),
        ('{"interval": 1}', "it must be 2 numbers"),
        ('{"step": 33}', "step is 33"),
        ('{"points": 1e9}', "points is"),
    ],
)
def test_bad_states_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        State.from_json(text)


def test_the_first_view_fits_what_is_sampled():
    """Class A fills more than two thirds of it on each axis, and nothing of it is cut off."""
    assert State().view == whole_view("fractal_tree", "A") == TREE_VIEW
    assert State().points == 4096
    x = np.asarray(toydiff.fractal_tree("A").sample(0, 4096))
    low, high = np.quantile(x, 0.001, axis=0), np.quantile(x, 0.999, axis=0)
    (left, right), (bottom, top) = TREE_VIEW.limits
    assert ((high - low) / (2 * TREE_VIEW.half_width) > 0.67).all()
    assert (low > (left, bottom)).all()
    assert (high < (right, top)).all()
    assert TREE_VIEW.contains(x).mean() > 0.999


@pytest.mark.parametrize("method", METHODS)
def test_models_are_those_of_the_method(method):
    """To the last parameter, so that they need not be evaluated."""
    weight = 1.0 if method == "unguided" else 2.0
    networks = METHODS[method].networks
    guide = ModelChoice(*networks[0].size) if networks else ModelChoice()
    models = compute.models_of(State(method=method, weight=weight, guide=guide))
    curve = WeightCurve(KNOTS, (weight,) * len(KNOTS))
    expected = toydiff.guided_model(method, curve, interval=State().interval)
    assert jax.tree.structure(models.guided) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(models.guided), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    exact = State(method=method, main=ModelChoice(exact=True), guide=ModelChoice(exact=True))
    if method == "self-guidance":
        with pytest.raises(InputError, match="choose a trained network"):
            compute.models_of(exact)
    else:
        assert isinstance(compute.models_of(exact).main, toydiff.GaussianMixture)


def test_the_caption_names_an_exact_classifier():
    state = State(method="classifier")
    assert drawing.caption(state) == "Classifier, w = 3 · 64/4096"
    assert drawing.caption(replace(state, guide=ModelChoice(exact=True))).endswith("+ exact classifier")
    assert drawing.caption(with_classes(state, "rings", "A")).endswith("+ exact classifier")  # none is bundled


def test_full_quality_is_the_papers_sampling():
    state = State(points=64)
    path = compute.trajectory(state, Quality.full(state))
    expected = toydiff.sample(toydiff.guided_model("autoguidance", 3.0), 0, 64)
    np.testing.assert_allclose(path.samples, expected.samples, atol=1e-4)


def test_what_does_not_move_the_points_does_not_sample_again():
    first = compute.trajectory(State(), SMALL)
    moved = State(layers=("outlines",), view=View(0.0, 0.0, 0.5), sigma=SIGMAS[3])
    assert compute.trajectory(moved, SMALL._replace(resolution=9)) is first
    assert compute.trajectory(State(weight=2.0), SMALL) is not first


@pytest.mark.parametrize(
    ("method", "weight"),
    [
        ("truncation", 4.0),
        ("cfg", 4.5),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("truncation", 1.2), ("cfg", 3), ("cfg", 6), ("cfg", 8))
        ),
    ],
)
def test_quick_pictures_follow_the_trajectories_at_every_weight(method, weight):
    """Solvers of few evaluations diverge where the weight is strong: half the points stay within 0.07."""
    state = State(method=method, weight=weight)
    reference = Quality(500, 0, "heun", tuple(noise_schedule(128)))
    exact = np.asarray(compute.trajectory(state, reference).samples)
    for quality, error in ((QUICK, 0.07), (compute.CURVE, 0.03)):
        quick = np.asarray(compute.trajectory(state, quality._replace(points=500)).samples)
        assert np.median(np.hypot(*(quick - exact).T)) < error


@pytest.mark.slow
def test_the_curve_counts_what_the_papers_solver_counts():
    for weight in (2.5, 5.0):
        state = State(weight=weight)
        (outliers, coverage), paper = compute.curve_point(state), compute.CURVE._replace(solver="heun")
        scores = compute.measure(state, paper._replace(levels=tuple(noise_schedule())), names=compute.SHOWN_METRICS[:2])
        assert outliers == pytest.approx(scores["outlier_rate_0.001"].value, abs=0.005)
        assert coverage == pytest.approx(scores["branch_coverage"].value, abs=0.02)


def test_with_classes_takes_exact_models_where_there_are_no_networks():
    exact = ModelChoice(exact=True)
    other = with_classes(State(main=exact), "fractal_tree", "B")
    assert (other.main, other.guide) == (exact, exact)
    assert with_classes(State(main=exact), "fractal_tree", "AB").main == exact
    assert with_classes(other, "fractal_tree", "A").main == ModelChoice()


def test_dragging_the_weight_does_not_compile_again(compilations):
    compute.trajectory(State(weight=1.5), SMALL)
    with compilations() as count:
        for weight, lo in ((1.7, 0.0), (2.9, 0.1), (3.0, 0.02)):
            compute.trajectory(State(weight=weight, interval=(lo, 5.0)), SMALL)
    assert count() == 0


def test_the_scrubber_finds_its_noise_level_in_the_coarse_solver():
    assert compute.step_in(State(), QUICK) == 9
    assert compute.step_in(State(sigma=SIGMAS[0]), QUICK) == 0
    steps = [compute.step_in(State(sigma=SIGMAS[i]), QUICK) for i in range(33)]
    assert steps == sorted(steps)
    assert compute.sigma_of(State()) == pytest.approx(0.002)
    assert compute.sigma_of(State(sigma=SIGMAS[0])) == pytest.approx(5.0)


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_changes_the_picture(canvas, layer):
    empty = painted(canvas, State(sigma=SIGMAS[20], layers=()))
    layers = ("samples", layer) if layer == "outliers" else (layer,)
    assert differ(empty, painted(canvas, State(sigma=SIGMAS[20], layers=layers)))


@pytest.mark.slow
def test_the_picture_follows_the_state(canvas):
    state = State()
    seen = [painted(canvas, state)]
    for change in (
        {"weight": 1.0}, {"method": "cfg"}, {"main": ModelChoice(8)}, {"guide": ModelChoice(8, 128)},
        {"sigma": SIGMAS[14]}, {"view": View(0.45, 1.22, 0.3)}, {"seed": 1}, {"interval": (0.5, 2.0)},
        {"classes": "AB"}, {"main": ModelChoice(exact=True)},
    ):  # fmt: skip
        seen.append(painted(canvas, replace(state, **change)))
        assert differ(seen[0], seen[-1]), change


def test_the_cached_background_gives_the_same_picture(canvas):
    state = State(layers=("outlines", "samples", "outliers", "arrows_main"))
    fresh = painted(Canvas(180), state)
    painted(canvas, replace(state, weight=1.5))
    np.testing.assert_array_equal(painted(canvas, state), fresh)


def test_other_distributions_are_shown_with_exact_scores(canvas):
    exact = ModelChoice(exact=True)
    state = State(distribution="three_gaussians", classes="A", method="cfg", main=exact, guide=exact)
    assert differ(painted(canvas, state), painted(canvas, replace(state, weight=1.0)))


def test_numbers_are_those_of_the_samples():
    state, reference = State(), reference_of("fractal_tree", "A")
    scores = compute.measure(state, SMALL)
    assert set(scores) == set(compute.SHOWN_METRICS)
    samples = compute.trajectory(state, SMALL).samples
    rows = {name: toydiff.METRICS[name] for name in ("branch_coverage", "class_leakage")}
    for name, expected in toydiff.evaluate(samples, reference, metrics=rows).items():
        assert scores[name].value == expected.value
    both = replace(state, classes="AB", main=ModelChoice(8))
    assert not compute.measure(both, SMALL, names=["class_leakage"])


def test_samples_that_became_nan_are_outliers():
    """Where the weight is too strong: they lie nowhere, and not on a branch."""
    state, quality = State(method="truncation", weight=100.0), QUICK._replace(points=300)
    assert np.isnan(np.asarray(compute.trajectory(state, quality).samples)).any(1).all()
    assert compute.outliers(state, quality).all()
    found = compute.measure(state, quality, names=compute.SHOWN_METRICS[:2])
    assert [number.value for number in found.values()] == [1, 0]


def test_without_guidance_all_guidance_is_the_same():
    """So that lines from unguided to guided begin where they began, and nothing is sampled again."""
    for change in ({"weight": 2.0}, {"interval": (0.1, 1.0)}, {"guide": ModelChoice(8)}, {"method": "cfg"}):
        assert compute.unguided(replace(State(), **change)).setting == compute.unguided(State()).setting
    mixed = State(method="mix", knobs={"share": 0.2})
    assert compute.unguided(mixed).setting == compute.unguided(State()).setting
    assert compute.unguided(State(main=ModelChoice(8))).setting != compute.unguided(State()).setting


def test_the_curve_runs_over_the_weight(monkeypatch):
    monkeypatch.setattr(compute, "CURVE_WEIGHTS", (1.0, 3.0, 4.5))  # with both solvers
    values = list(compute.curve(State(weight=2.2)))
    assert len(values) == len(compute.CURVE_WEIGHTS)
    assert list(compute.curve(State(weight=4.0))) == values
    at_three = compute.measure(State(weight=3.0), compute.CURVE)
    row = values[compute.CURVE_WEIGHTS.index(3.0)]
    assert row == tuple(at_three[name].value for name in compute.SHOWN_METRICS[:2])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_pictures_are_saved_in_each_format(kind):
    content = drawing.picture_bytes(kind, State(points=64, layers=("outlines", "samples")))
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])


CLOSE_UP = State(
    method="cfg", points=64, sigma=SIGMAS[23], layers=("outlines", "ratio", "arrows_difference"), view=ZOOM_VIEW
)


@pytest.mark.parametrize("state", [State(points=64), CLOSE_UP])
def test_copied_code_runs_as_pasted_and_makes_the_picture(tmp_path, monkeypatch, state):
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(drawing.python_code(state), scope)
    assert scope["states"] == [state]
    np.testing.assert_array_equal(
        pixels((tmp_path / "toydiff.png").read_bytes()), pixels(drawing.picture_bytes("png", state))
    )


@pytest.mark.slow
def test_what_was_compiled_ahead_is_not_compiled_when_a_width_moves(monkeypatch, compilations):
    class TwoWidths(Library):
        def available(self, distribution, family):
            return [8, 16], [128, 256, 512]

    library = TwoWidths()
    monkeypatch.setattr(compute, "METHODS", {"autoguidance": METHODS["autoguidance"]})
    compute.compiled_ahead.clear()
    state = State(points=300, main=ModelChoice(8, 512), guide=ModelChoice(16, 512))
    # 3 pairs of widths quickly and in full, and three solvers for stronger weights.
    assert len(list(compute.compile_ahead(state, library))) >= 9
    assert len(compute.compiled_ahead) == 9
    compiled = len(compute.compiled_ahead)
    list(compute.compile_ahead(replace(state, weight=2.0, seed=5), library))
    assert len(compute.compiled_ahead) == compiled
    with compilations() as count:
        for main, guide in ((8, 8), (16, 16), (8, 16)):
            moved = replace(state, main=ModelChoice(main, 128), guide=ModelChoice(guide, 256))
            compute.trajectory(moved, QUICK, library)
    assert count("_solve") == 0


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.is_guided])
def test_outliers_while_something_moves_are_near_those_at_rest(name):
    """At each method's own weight, within what 2,048 samples tell."""
    row = METHODS[name]
    state = State(method=name, weight=row.weight, interval=row.interval, points=2048)
    live, rest = (compute.outliers(state, quality).mean() for quality in (QUICK, Quality.full(state)))
    assert live == pytest.approx(rest, abs=0.035)
