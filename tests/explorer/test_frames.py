"""What the browser draws, as numbers: every buffer against what it stands for, and what is sent anew when."""

import base64
import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from toydiff import METRICS
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import Drawing
from toydiff.explorer import compute, frames
from toydiff.explorer.about import about
from toydiff.explorer.compute import QUICK, Quality
from toydiff.explorer.front import opening
from toydiff.explorer.layers import LAYERS
from toydiff.explorer.probe import Arrow, Probe, probe
from toydiff.explorer.scene import Scene, default_scenes
from toydiff.explorer.state import SIGMAS, ModelChoice, State, whole_view, with_classes
from toydiff.guidance.methods import METHODS
from toydiff.measuring.metrics import standard_error
from toydiff.measuring.reference import Scored, reference_of
from toydiff.results import plotting
from toydiff.results.plotting import OUTLINE_LEVEL, View, compress
from toydiff.results.style import CLASS, OTHER
from toydiff.sampling.sampler import Trajectory

pytestmark = pytest.mark.usefixtures("few_draws_throughout")
STATE = State()
FULL = Quality.full(STATE)
HALF = 2.0**-11
"""Of what float16 rounds to: half of the last of its 11 digits."""


def numbers_of(buffer, kind="<f4", width=2):
    return np.frombuffer(buffer, kind).reshape(-1, width)


def bits_of(buffer, count):
    assert len(buffer) == -(-count // 8)
    return np.unpackbits(np.frombuffer(buffer, np.uint8), count=count).astype(bool)


def is_json(frame):
    return json.loads(json.dumps(frame.header, allow_nan=False)) is not None


# Points.


def test_at_rest_all_points_come_with_their_whole_ways():
    path = compute.trajectory(STATE, FULL)
    header, (ends, out, ways) = frames.points(replace(STATE, sigma=SIGMAS[9]), FULL)
    assert (header["frame"], header["count"], header["sigma"]) == ("points", 4096, 0.0)  # the browser knows the rest
    np.testing.assert_array_equal(numbers_of(ends), path.samples)
    np.testing.assert_array_equal(bits_of(out, 4096), compute.outliers(STATE, FULL))
    assert 0 < bits_of(out, 4096).mean() < 0.2
    assert header["levels"] == pytest.approx(SIGMAS)
    exact = np.asarray(path.x, float)
    sent = np.frombuffer(ways, "<f2").reshape(exact.shape)
    assert (np.abs(sent - exact) <= HALF * np.abs(exact) + 1e-7).all()


def test_while_something_moves_the_same_points_come_where_they_stand():
    """Half of those at rest, from the same noise, each beside itself."""
    moved = replace(STATE, sigma=SIGMAS[16])
    header, (now, out) = frames.points(moved, QUICK)
    assert (header["count"], header["sigma"], "levels" in header) == (2048, moved.sigma, False)
    path = compute.trajectory(STATE, QUICK)
    np.testing.assert_array_equal(numbers_of(now), path.x[compute.step_in(moved, QUICK)])
    rest = compute.trajectory(STATE, FULL)
    np.testing.assert_allclose(path.x[0], rest.x[0][:2048], rtol=1e-6)
    apart = np.linalg.norm(path.samples - np.asarray(rest.samples)[:2048], axis=1)
    assert np.median(apart) < 0.05
    _, (_, finally_out, _) = frames.points(STATE, FULL)
    assert (bits_of(out, 2048) == bits_of(finally_out, 4096)[:2048]).mean() > 0.85


def test_trajectories_are_sent_while_something_moves_where_they_are_drawn():
    header, (_, _, ways) = frames.points(replace(STATE, layers=("trajectories",)), QUICK)
    assert header["levels"] == pytest.approx(QUICK.levels)
    assert len(ways) == 2 * 2 * 2048 * len(QUICK.levels)


@pytest.fixture
def made_up(monkeypatch):
    """`made_up(x, sigma)` puts a trajectory in the place of what is sampled."""

    def put(x, sigma):
        path = Trajectory(np.asarray(x, np.float32), np.asarray(sigma, np.float32))
        monkeypatch.setattr(frames, "trajectory", lambda *_: path)
        monkeypatch.setattr(frames, "outliers", lambda *_: np.zeros(path.x.shape[1], bool))
        return path

    return put


@pytest.mark.parametrize("steps", [1, 8, 33, 34, 500])
def test_of_many_steps_some_levels_are_sent_from_the_first_to_the_last(made_up, steps):
    levels = np.append(np.geomspace(5, 0.002, steps), 0)
    made_up(np.arange(steps + 1)[:, None, None] * np.ones((1, 9, 2)), levels)
    header, (_, _, ways) = frames.points(STATE, FULL)
    sent = np.array(header["levels"])
    assert len(sent) == min(steps + 1, frames.MOST_LEVELS)
    assert (sent[0], sent[-1]) == pytest.approx((5, 0))
    assert (np.diff(sent) < 0).all()
    places = np.frombuffer(ways, "<f2").reshape(len(sent), 9, 2)[:, 0, 0]
    np.testing.assert_allclose(sent, levels[places.astype(int)], rtol=1e-6)
    assert np.ptp(np.diff(places)) <= 1  # evenly


def test_points_that_are_nan_or_far_away_survive(made_up):
    x = np.zeros((3, 4, 2))
    x[1:, 1], x[1:, 2], x[1:, 3] = np.nan, [np.inf, -np.inf], [1e20, 7e4]
    made_up(x, (5, 1, 0))
    frame = frames.points(STATE, FULL)
    assert is_json(frame)
    ends, out, ways = frame.buffers
    np.testing.assert_array_equal(numbers_of(ends), x[-1].astype(np.float32))
    assert not bits_of(out, 4).any()
    sent = np.frombuffer(ways, "<f2").reshape(x.shape)
    assert np.isnan(sent[1:, 1]).all()
    assert (sent[1:, 2] == np.array([6e4, -6e4], np.float16)).all()  # outside of every view
    assert (sent[1:, 3] == np.float16(6e4)).all()


def test_unguided_ends_are_those_of_the_same_noise_without_guidance():
    header, (ends, out) = frames.unguided_ends(STATE, QUICK)
    plain = State(method="unguided", guide=STATE.main)
    assert header == {"frame": "unguided", "count": 2048}
    np.testing.assert_array_equal(numbers_of(ends), compute.trajectory(plain, QUICK).samples)
    np.testing.assert_array_equal(bits_of(out, 2048), compute.outliers(plain, QUICK))


# Outlines.


def loops(buffer, counts):
    assert len(buffer) == 8 * sum(counts)
    return np.split(numbers_of(buffer), np.cumsum(counts)[:-1])


def test_outlines_are_closed_lines_around_each_class():
    header, buffers = frames.outlines("fractal_tree", "A")
    assert [(item["light"], item["strong"]) for item in header["items"]] == [
        (hue.light, hue.strong) for hue in (OTHER, CLASS)
    ]  # the one that is sampled is in front
    assert (header["frame"], "view" in header) == ("outlines", False)
    for item, buffer, classes in zip(header["items"], buffers, "BA", strict=True):
        truth = catalogue.distribution("fractal_tree", classes)
        for line in loops(buffer, item["counts"]):
            np.testing.assert_array_equal(line[0], line[-1])
            v = -np.sqrt(plotting.peak_log_density(truth) - np.asarray(truth.log_density(line)))
            assert np.median(np.abs(v - OUTLINE_LEVEL)) < 0.05
        x = np.asarray(truth.sample(0, 4096))
        low, high = numbers_of(buffer).min(0), numbers_of(buffer).max(0)
        assert ((x > low) & (x < high)).all(1).mean() > 0.98


def test_outlines_of_a_close_view_are_finer_and_closed_where_they_leave_it():
    view = View(0.45, 1.22, 0.05)
    header, (_, buffer) = frames.outlines("fractal_tree", "A", view)
    wide = view._replace(half_width=frames.OUTLINE_VIEW * view.half_width)
    assert (header["frame"], header["view"]) == ("detail", wide._asdict())
    step = 2 * wide.half_width / (frames.OUTLINE_RESOLUTION - 1)
    from_centre = np.abs(numbers_of(buffer) - (view.x, view.y)).max(1)
    at_edge = from_centre > wide.half_width - 2 * step
    assert at_edge.sum() >= 4  # it does leave the view
    assert from_centre.max() <= wide.half_width
    for line in loops(buffer, header["items"][1]["counts"]):
        np.testing.assert_array_equal(line[0], line[-1])
    truth = catalogue.distribution("fractal_tree", "A")
    v = -np.sqrt(plotting.peak_log_density(truth) - np.asarray(truth.log_density(numbers_of(buffer)[~at_edge])))
    assert np.abs(v - OUTLINE_LEVEL).max() < 0.05


def test_a_class_of_which_nothing_is_in_view_has_no_lines():
    header, buffers = frames.outlines("fractal_tree", "A", View(50.0, 50.0, 0.1))
    assert [(item["counts"], buffer) for item, buffer in zip(header["items"], buffers, strict=True)] == [([], b"")] * 2
    header, buffers = frames.outlines("three_gaussians", "A")
    assert [len(item["counts"]) for item in header["items"]] == [1] * len(buffers) == [1, 1, 1]
    assert [item["strong"] for item in header["items"]] == [OTHER.strong, OTHER.strong, CLASS.strong]


# Densities.

NOISY = replace(STATE, sigma=SIGMAS[20])
FIELDS = [name for name, row in LAYERS.items() if row.kind == "field"]
ARROWS = [name for name, row in LAYERS.items() if row.kind == "arrows"]


def field_of(state, layer, quality=QUICK):
    """The values of a frame from 0 to 65535, [size, size], its points, and its header."""
    frame = frames.field(replace(state, layers=(layer,)), layer, quality)
    header, (buffer,) = frame
    assert is_json(frame)
    values = np.frombuffer(buffer, "<u2").reshape(header["size"], header["size"])
    return values, plotting.grid(View(**header["view"]), header["size"]), header


@pytest.mark.parametrize("layer", FIELDS)
def test_a_field_is_the_density_on_its_grid_beyond_the_view(layer):
    values, grid, header = field_of(NOISY, layer)
    view, sigma = NOISY.view, NOISY.sigma
    assert (header["size"], header["sigma"], header["layer"]) == (125, sigma, layer)
    assert header["view"] == view._replace(half_width=1.25 * view.half_width)._asdict()
    models = compute.models_of(NOISY)
    log_density = np.asarray(LAYERS[layer].model(models).log_density(grid, sigma))
    peak = log_density[view.contains(grid)].max()
    if layer == "ratio":  # its highest peaks lie where there is no data
        peak = np.quantile(LAYERS[layer].model(models).log_density(models.truth.sample(0, 2048, sigma), sigma), 0.99)
    v = np.clip(compress(log_density, peak), -3, 0)
    assert np.abs(values / 65535 * 3 - 3 - v).max() < 3 / 65535
    assert (np.ptp(values), values.max()) == (65535, 65535)  # all colours are used
    assert values[view.contains(grid)].mean() > values[~view.contains(grid)].mean()


def test_a_field_is_finer_at_rest_and_no_lower_than_the_last_noise_level():
    values, _, header = field_of(STATE, "density_main", FULL)
    assert (header["size"], values.shape) == (500, (500, 500))
    assert header["sigma"] == pytest.approx(SIGMAS[31])


def test_a_density_that_is_nan_is_white(monkeypatch):
    real = frames.drawn_layers

    class Broken:
        def log_density(self, x, sigma):
            values = -np.square(x).sum(-1)
            values[3:9] = np.nan
            return values

    def drawn(state, models, kind):
        return {name: (row, Broken()) for name, (row, _) in real(state, models, kind).items()}

    monkeypatch.setattr(frames, "drawn_layers", drawn)
    values, *_ = field_of(NOISY, "density_main")
    assert (values[3:9] == 0).all()
    assert values.max() == 65535


@pytest.mark.parametrize("layer", FIELDS)
def test_a_field_has_the_colours_that_matplotlib_gives_it(layer):
    """In steps: the browser's colour of each value against the pixel of filled contours there."""
    values, _, header = field_of(NOISY, layer)
    v, size = np.where(values == 0, -4, values / 65535 * 3 - 3), header["size"]  # 0: anything below
    figure = plt.figure(figsize=(5, 5), dpi=200)
    ax = figure.add_axes((0, 0, 1, 1))
    plotting.plot_log_density(-np.square(v), 0.0, view=View(**header["view"]), hue=LAYERS[layer].hue, ax=ax)
    ax.set_axis_off()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3] / 255
    at = np.round(np.linspace(0, len(pixels) - 1, size)).astype(int)[2:-2]
    place = values[2:-2, 2:-2] / 65536 * 12
    clear = np.abs(place - np.round(place)) > 0.2  # no line is near
    bands = np.array([to_rgb(colour) for colour in about()["layers"][layer]["bands"]])
    assert len(bands) == 12
    wrong = np.abs(pixels[np.ix_(at, at)] - bands[place.astype(int)]).max(-1)[clear] > 3 / 255
    assert clear.mean() > 0.05
    assert wrong.mean() < 0.01
    white = values[2:-2, 2:-2] == 0
    assert (pixels[np.ix_(at, at)][white] == 1).all(-1).mean() > 0.95


# Arrows and the probe.


@pytest.mark.parametrize("layer", ARROWS)
def test_arrows_go_along_the_score_to_the_denoised_points(layer):
    state = replace(NOISY, layers=(layer,))
    header, (buffer,) = frames.arrows(state, layer)
    assert header == {"frame": "arrows", "layer": layer}
    at, steps = np.split(numbers_of(buffer, width=4), 2, axis=1)
    assert 30 < len(at) <= 128
    assert state.view.contains(at).all()
    model = LAYERS[layer].model(compute.models_of(state))
    np.testing.assert_allclose(steps, state.sigma**2 * np.asarray(model.score(at, state.sigma)), atol=1e-4)


PROBED = replace(NOISY, probe=(0.62, 0.41))


def test_the_probe_is_sent_as_numbers():
    seen, frame = probe(PROBED), frames.probed(PROBED)
    assert is_json(frame)
    header = frame.header
    assert not frame.buffers
    assert (header["x"], header["best"]) == ((0.62, 0.41), pytest.approx(seen.best_weight))
    assert list(header["arrows"]) == list(seen.arrows) == ["main", "guide", "guided", "exact"]
    for name, arrow in seen.arrows.items():
        assert header["arrows"][name] == {"step": list(arrow.step), "length": arrow.length, "angle": arrow.angle}
    for name, path in seen.paths.items():
        np.testing.assert_allclose(header["paths"][name], path)
    assert frames.probed(STATE) == ({"frame": "probe", "x": None}, ())


def test_a_probe_that_is_not_finite_is_told_in_part(monkeypatch):
    nan = float("nan")
    arrows = {
        "main": Arrow(np.array([0.1, 0.2]), 0.3, nan),
        "guided": Arrow(np.array([np.inf, 0.0]), np.inf, 1.0),
    }
    paths = {"guided": np.array([[0.0, 0.0], [1.0, 1.0], [nan, 1.0], [nan, nan]])}
    monkeypatch.setattr(frames, "probe", lambda *_: Probe((0.0, 0.0), arrows, float("inf"), paths))
    frame = frames.probed(PROBED)
    assert is_json(frame)
    assert frame.header["arrows"] == {"main": {"step": [0.1, 0.2], "length": 0.3, "angle": None}}
    assert frame.header["paths"] == {"guided": [[0.0, 0.0], [1.0, 1.0]]}
    assert frame.header["best"] is None


# Numbers.


def test_two_numbers_are_live_and_all_come_at_rest_with_their_errors():
    live, still = (frames.numbers(STATE, quality).header for quality in (QUICK, FULL))
    assert (live["count"], still["count"]) == (2048, 4096)
    assert list(live["rows"]) == ["outlier_rate_0.001", "branch_coverage"]
    assert list(still["rows"]) == list(compute.SHOWN_METRICS)
    assert all(row["error"] is None for row in live["rows"].values())
    scored = Scored(compute.trajectory(STATE, FULL).samples, reference_of("fractal_tree", "A"))
    floor = compute.measure(STATE, FULL)
    for name, row in still["rows"].items():
        assert row["value"] == METRICS[name].function(scored)
        assert row["error"] == standard_error(METRICS[name], scored) > 0
        assert row["exact"] == floor[name].exact != row["value"]
    assert set(still["rows"]) == set(about()["metrics"])


def test_numbers_of_samples_that_are_nan_are_json(monkeypatch):
    """Where the weight is too strong; the outliers are counted all the same."""
    x = np.asarray(compute.trajectory(STATE, QUICK).x).copy()
    x[:, ::2] = np.nan
    path = Trajectory(x, np.asarray(QUICK.levels, np.float32))
    monkeypatch.setattr(frames, "trajectory", lambda *_: path)
    monkeypatch.setattr(compute, "scored", lambda *_: Scored(path.samples, reference_of("fractal_tree", "A")))
    frame = frames.numbers(STATE, QUICK._replace(resolution=1))
    assert is_json(frame)
    assert frame.header["rows"]["outlier_rate_0.001"]["value"] >= 0.5
    assert frame.header["rows"]["sliced_wasserstein"]["value"] is None
    assert frame.header["rows"]["sliced_wasserstein"]["exact"] > 0


# What is sent anew when.

LENS = View(0.4, 0.4, 0.2)
ALL_ON = replace(NOISY, layers=tuple(LAYERS), probe=(0.1, 0.2), view=LENS, knobs={"share": 0.25}, method="mix")
MODELS = {*FIELDS, *ARROWS}
OF_GUIDED = {"density_guided", "arrows_guided", "probe"}
OF_GUIDE = MODELS - {"density_main", "arrows_main", "arrows_exact"} | {"probe"}


def keys(state, quality=FULL):
    return {name: (key, detail) for name, key, detail, _ in frames.parts(state, quality)}


def differ(first, second):
    return {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"weight": 1.5}, {"points", *OF_GUIDED}),
        ({"weight_curve": (1.5,) * 13}, {"points", *OF_GUIDED}),
        ({"interval": (0.1, 2.0)}, {"points", *OF_GUIDED}),
        ({"knobs": {"share": 0.75}}, {"points", *OF_GUIDED}),
        ({"method": "cfg"}, {"points", *OF_GUIDE}),
        ({"guide": ModelChoice(8, 128)}, {"points", *OF_GUIDE}),
        ({"main": ModelChoice(32, 2048)}, {"points", "unguided", "probe", *MODELS - {"arrows_exact"}}),
        ({"seed": 1}, {"points", "unguided"}),
        ({"solver": "euler"}, {"points", "unguided"}),
        ({"steps": 16}, {"points", "unguided"}),
        ({"start": "noise"}, {"points", "unguided"}),
        ({"points": 100}, {"points", "unguided"}),
        ({"sigma": SIGMAS[5]}, {"probe", *MODELS}),
        ({"view": LENS._replace(x=0.5)}, {"detail", *MODELS}),
        ({"probe": (0.3, 0.3)}, {"probe"}),
        ({"probe": None}, {"probe"}),
        ({"layers": ()}, {"unguided", *MODELS}),
        ({"layers": tuple(set(LAYERS) - {"ratio", "trajectories", "samples", "outliers", "outlines"})}, {"ratio"}),
        ({}, set()),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_depends_on_a_change_is_sent_anew_and_nothing_else(change, anew):
    assert differ(keys(ALL_ON), keys(replace(ALL_ON, **change))) == anew


def test_with_other_classes_everything_is_sent_anew():
    before = keys(ALL_ON)
    after = keys(replace(with_classes(ALL_ON, "fractal_tree", "AB"), view=ALL_ON.view, probe=ALL_ON.probe))
    assert differ(before, after) == {*before}
    assert list(before) == [
        *("points", "outlines", "detail", "unguided", *FIELDS, *ARROWS, "probe")
    ]  # what one waits for comes first


def test_while_something_moves_only_what_is_final_is_not_sent_again():
    quick, full = keys(ALL_ON, QUICK), keys(ALL_ON)
    assert all(detail is None for _, detail in full.values())
    drafts = {name for name, (_, detail) in quick.items() if detail is not None}
    assert drafts == {"points", "unguided", *FIELDS}
    assert set(full) - set(quick) == {"detail"}  # outlines of a close view wait
    for name in set(quick) - drafts:
        assert quick[name] == full[name]
    moved = replace(ALL_ON, sigma=SIGMAS[5])
    assert "points" in differ(quick, keys(moved, QUICK))  # the browser has no ways yet


def test_a_method_without_a_guide_has_no_layers_of_it():
    parts = keys(replace(ALL_ON, method="truncation"))
    assert {"density_guided", "arrows_guided", "density_main", "arrows_exact"} <= set(parts)
    assert not {"density_guide", "ratio", "arrows_guide", "arrows_difference"} & set(parts)
    assert {name for name, row in LAYERS.items() if row.of_guide} == {
        *("density_guide", "ratio", "arrows_guide", "arrows_difference")
    }


def test_a_whole_view_needs_no_finer_outlines():
    assert "detail" not in keys(STATE)
    assert set(keys(STATE)) == {"points", "outlines", "probe"}
    assert keys(STATE)["probe"] == (None, None)


def test_every_part_makes_the_frame_of_its_name():
    state = replace(STATE, layers=("outlines", "samples", "rescue", "ratio", "arrows_main"), sigma=SIGMAS[20])
    for name, _, _, make in frames.parts(state, QUICK):
        frame = make()
        assert frame.header.get("layer", frame.header["frame"]) == name
        assert is_json(frame)
        assert all(isinstance(buffer, bytes) for buffer in frame.buffers)


def test_every_picture_of_the_menu_has_parts():
    for scene in default_scenes().values():
        for state in scene.panels:
            drawn = set(keys(state))
            assert {"points", "outlines", "probe"} <= drawn
            assert drawn & MODELS == {name for name in state.layers if LAYERS[name].kind}
            assert ("detail" in drawn) == (state.view.half_width < 0.5 * whole_view("fractal_tree", "A").half_width)


def test_a_drawing_is_sent_like_anything_else():
    stroke = {"class": "A", "thickness": 0.2, "points": [[-0.5, 0.0], [0.5, 0.2]]}
    drawing = Drawing.from_json({"toydiff": "drawing", "format": 1, "strokes": [stroke]})
    state = with_classes(STATE, drawing, "A")
    header, (buffer,) = frames.outlines(state.distribution, state.classes)
    (line,) = loops(buffer, header["items"][0]["counts"])
    assert line[:, 0].min() < -0.5 < 0.5 < line[:, 0].max()
    assert set(keys(state)) == {"points", "outlines", "probe"}


def test_what_stands_on_the_screen_before_anything_is_computed_is_true():
    """Recorded once: the first scene's points, outliers, outlines and numbers, and the tables of today."""
    messages = {}
    for message, buffers in json.loads(opening()):
        name = message["frame"]["frame"] if "frame" in message else next(iter(message))
        messages[name] = message, [base64.b64decode(buffer) for buffer in buffers]
    assert Scene.from_json(messages["scene"][0]["scene"]) == Scene((STATE,))
    ends, out = messages["points"][1]
    apart = np.linalg.norm(numbers_of(ends) - compute.trajectory(STATE, FULL).samples, axis=1)
    assert (apart < 1e-3).mean() > 0.99  # another machine rounds otherwise
    assert (bits_of(out, 4096) == compute.outliers(STATE, FULL)).mean() > 0.98  # of fewer draws in this test
    header, lines = frames.outlines("fractal_tree", "A")
    assert [item["strong"] for item in messages["outlines"][0]["frame"]["items"]] == [
        item["strong"] for item in header["items"]
    ]
    for recorded, now in zip(messages["outlines"][1], lines, strict=True):
        assert len(recorded) == pytest.approx(len(now), rel=0.1)
    rows, now = messages["numbers"][0]["frame"]["rows"], frames.numbers(STATE, FULL).header["rows"]
    assert {name: row["value"] for name, row in rows.items()} == pytest.approx(
        {name: row["value"] for name, row in now.items()}, abs=0.02
    )
    assert messages["about"][0]["about"]["layers"].keys() == about()["layers"].keys()


# The tables.


def test_the_tables_are_json_and_name_all_that_a_frame_can_have():
    tables = about()
    assert json.loads(json.dumps(tables, allow_nan=False)).keys() == tables.keys()
    assert list(tables["layers"]) == list(LAYERS)
    for name, row in tables["layers"].items():
        assert ("bands" in row) == (LAYERS[name].kind == "field")
        assert row["colour"] == (LAYERS[name].hue.dark if name in ARROWS else LAYERS[name].hue.strong)
    for state in (STATE, *(replace(STATE, method=name) for name in METHODS)):
        assert {"main", "guide", "guided", "exact", "unguided"} == set(tables["colours"]["probe"]), state
    assert tables["depth"] == frames.FIELD_DEPTH
