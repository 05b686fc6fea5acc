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
from toydiff.explorer.drawing import Renderer
from toydiff.explorer.state import LAYERS, PRESETS, SIGMAS, ModelChoice, State, pan, reset_view, with_classes, zoom
from toydiff.guidance.guided import WeightCurve
from toydiff.networks.library import Library
from toydiff.results.plotting import FULL_VIEW, View
from toydiff.sampling.schedules import KNOTS

SMALL = Quality(300, 120, "adams2", tuple(normal_schedule(6)))


@pytest.fixture(scope="module")
def renderer():
    return Renderer(360, 180)


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), float)


def differ(first, second):
    return np.abs(pixels(first) - pixels(second)).max() > 50


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


def test_zoom_keeps_the_point_under_the_pointer_and_pan_moves():
    state = zoom(State(), 0.5, 0.9, 0.0)
    assert state.view.half_width == pytest.approx(0.6)
    for old, new, point in ((FULL_VIEW.x, state.view.x, 0.9), (FULL_VIEW.y, state.view.y, 0.0)):
        assert (point - new) / state.view.half_width == pytest.approx((point - old) / FULL_VIEW.half_width)
    moved = pan(state, 0.1, -0.2)
    assert moved.view == pytest.approx((state.view.x + 0.1, state.view.y - 0.2, 0.6))
    assert reset_view(moved).view == FULL_VIEW
    for _ in range(40):
        state = pan(zoom(state, 0.5, 0.3, 0.3), 5, 5)
    assert state.view.half_width >= 0.01


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
def test_each_layer_changes_the_picture(renderer, layer):
    empty = renderer.render(State(sigma=SIGMAS[20], layers=()), SMALL)
    layers = ("samples", layer) if layer == "outliers" else (layer,)
    shown = renderer.render(State(sigma=SIGMAS[20], layers=layers), SMALL)
    assert differ(empty, shown)


@pytest.mark.slow
def test_the_picture_follows_the_state(renderer):
    state = State()
    seen = [renderer.render(state, SMALL)]
    for change in (
        {"weight": 1.0}, {"method": "cfg"}, {"main": ModelChoice(8)}, {"guide": ModelChoice(8, 128)},
        {"sigma": SIGMAS[14]}, {"view": View(0.45, 1.22, 0.3)}, {"seed": 1}, {"interval": (0.5, 2.0)},
        {"classes": "AB"}, {"main": ModelChoice(exact=True)},
    ):  # fmt: skip
        seen.append(renderer.render(replace(state, **change), SMALL))
        assert differ(seen[0], seen[-1]), change


def test_the_cached_background_gives_the_same_picture(renderer):
    state = State(layers=("outlines", "samples", "outliers", "arrows_main"))
    fresh = Renderer(360, 180).render(state, SMALL)
    renderer.render(replace(state, weight=1.5), SMALL)
    np.testing.assert_array_equal(pixels(renderer.render(state, SMALL)), pixels(fresh))


def test_other_distributions_are_shown_with_exact_scores(renderer):
    exact = ModelChoice(exact=True)
    state = State(distribution="three_gaussians", classes="A", method="cfg", main=exact, guide=exact)
    assert differ(renderer.render(state, SMALL), renderer.render(replace(state, weight=1.0), SMALL))


def test_numbers_are_those_of_the_samples(reference):
    state = State(points=1000)
    scores = compute.measure(state, Quality.full(state))
    assert set(scores) == set(compute.SHOWN_METRICS)
    samples = compute.trajectory(state, Quality.full(state)).samples
    rows = {name: toydiff.METRICS[name] for name in ("branch_coverage", "class_leakage")}
    for name, expected in toydiff.evaluate(samples, reference, metrics=rows).items():
        assert scores[name].value == expected.value
    assert "class_leakage" not in compute.measure(replace(state, classes="AB"), SMALL)


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
    content = drawing.picture_bytes(kind, State(points=200, layers=("outlines", "samples")))
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])


@pytest.mark.parametrize("state", [State(points=100), replace(PRESETS["Figure 2: ratio close up"], points=50)])
def test_copied_code_runs_as_pasted_and_makes_the_picture(tmp_path, monkeypatch, state):
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(drawing.python_code(state), scope)
    assert scope["states"] == [state]
    np.testing.assert_array_equal(
        pixels((tmp_path / "toydiff.png").read_bytes()), pixels(drawing.picture_bytes("png", state))
    )


def test_a_state_that_arrives_as_the_rest_begins_is_not_forgotten(nothing_ahead, monkeypatch):
    """The race of a state with the end of the wait, at every attempt."""
    import threading

    from toydiff.explorer.scene import Scene
    from toydiff.explorer.worker import Worker

    drawn, failed, last = [], [], threading.Event()
    first, second = State(points=50, layers=("outlines",)), State(points=50, layers=())

    class Arrived(threading.Event):
        """Another state arrives between the end of the wait and what follows."""

        def wait(self, timeout=None):
            happened = super().wait(timeout)
            if not happened and not last.is_set():
                last.set()
                worker.submit(Scene((second,)))
            return happened

    def on_picture(panel, state, content, full):
        drawn.append(state)
        worker.acknowledge()

    monkeypatch.setattr("toydiff.explorer.worker.threading.Event", Arrived)
    worker = Worker(on_picture, lambda scene: iter(()), failed.append)
    monkeypatch.undo()
    worker.submit(Scene((first,)))
    assert last.wait(60)
    for _ in range(200):
        if second in drawn:
            break
        threading.Event().wait(0.05)
    worker.close()
    assert second in drawn
    assert not failed


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


def test_the_noise_level_and_the_view_move_at_full_quality_once_it_is_at_hand(monkeypatch):
    sampled = []
    monkeypatch.setattr(drawing, "trajectory", lambda s, q, *_: sampled.append(q) or compute.trajectory(s, q))
    renderer, state = Renderer(360, 180), State(points=300, layers=("samples",))
    renderer.render(state, QUICK)
    renderer.render(state, Quality.full(state))
    for moved in (replace(state, sigma=SIGMAS[12]), pan(state, 0.1, 0), replace(state, weight=1.7)):
        renderer.render(moved, QUICK)
    assert [q.points for q in sampled] == [2048, 300, 300, 300, 2048]
