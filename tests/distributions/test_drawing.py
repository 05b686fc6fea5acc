import json
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from helpers import mass_on_a_grid
from hypothesis import given
from strategies import drawings

import toydiff
from toydiff import Drawing, InputError, Recipe, Stroke, load_drawing, save_drawing
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import MAX_COMPONENTS, MAX_POINTS
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Architecture, init_params

WAVE = tuple((x, 0.4 * np.sin(5 * x)) for x in np.linspace(-0.9, 0.8, 40).tolist())
STROKES = (Stroke("A", 0.1, WAVE), Stroke("B", 0.06, ((-0.2, -0.8), (0.9, 0.7))), Stroke("A", 0.3, ((0.5, 0.9),)))


@pytest.fixture
def drawing():
    return Drawing(STROKES)


@pytest.mark.parametrize("classes", ["A", "B", "AB"])
def test_the_density_integrates_to_one(drawing, classes):
    mixture = drawing.mixture(classes)
    assert float(mixture.weights.sum()) == pytest.approx(1, abs=1e-6)
    assert mass_on_a_grid(mixture.log_density) == pytest.approx(1, abs=1e-4)


def test_all_classes_together_have_mean_0_and_standard_deviation_one_half(drawing):
    mixture, n = drawing.mixture(), 200_000
    w, means, covariances = (np.asarray(a, float) for a in (mixture.weights, mixture.means, mixture.covariances))
    np.testing.assert_allclose(w @ means, 0, atol=1e-6)
    variance = w @ (means**2) + w @ covariances[:, [0, 1], [0, 1]]
    assert np.sqrt(variance.mean()) == pytest.approx(0.5, abs=1e-6)
    x = np.asarray(mixture.sample(0, n), float)
    np.testing.assert_allclose(x.mean(0), 0, atol=5 * np.sqrt(variance.max() / n))
    assert np.sqrt(x.var(0).mean()) == pytest.approx(0.5, abs=5e-3)


def test_the_classes_are_parts_of_the_whole_at_the_same_places(drawing):
    a, b, both = (drawing.mixture(classes) for classes in ("A", "B", "AB"))
    np.testing.assert_array_equal(np.concatenate([a.means, b.means]), both.means)
    np.testing.assert_array_equal(np.concatenate([a.covariances, b.covariances]), both.covariances)
    np.testing.assert_array_equal(np.concatenate([a.branches, b.branches + a.branch_count]), both.branches)
    share = float(both.weights[: len(a.weights)].sum())
    np.testing.assert_allclose(a.weights * share, both.weights[: len(a.weights)], rtol=1e-5)


def test_proportions_are_kept(drawing):
    centre, scale = drawing.transform
    bar = drawing.mixture("B").means
    ends = (np.asarray(STROKES[1].points) - centre) * scale
    direction = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    away = (np.asarray(bar) - ends[0]) @ [-direction[1], direction[0]]
    np.testing.assert_allclose(away, 0, atol=1e-6)


@pytest.mark.parametrize("thickness", [0.005, 0.03, 0.17])
def test_a_straight_stroke_has_no_beads(thickness):
    line = Drawing((Stroke("A", thickness, ((-0.9, -0.5), (0.9, 0.5))),))
    ends = (np.array([[-0.9, -0.5], [0.9, 0.5]]) - line.transform[0]) * line.transform[1]
    along = np.linspace(0.25, 0.75, 2001)[:, None]
    middle = np.asarray(line.mixture("A").log_density(ends[0] + along * (ends[1] - ends[0]), 0.0))
    assert np.ptp(middle) < 5e-3


def test_across_a_stroke_the_standard_deviation_is_half_its_thickness():
    line = Drawing((Stroke("A", 0.08, ((-1.0, 0.0), (1.0, 0.0))),))
    x = np.asarray(line.mixture("A").sample(0, 100_000), float)
    assert x[:, 1].std() / line.transform[1] == pytest.approx(0.04, rel=0.02)


@pytest.mark.parametrize("points", [((0.3, 0.2),), ((0.3, 0.2),) * 3])
def test_a_dot_is_one_round_gaussian_and_a_branch(points):
    drawing = Drawing((Stroke("A", 0.1, points), Stroke("A", 0.1, ((-0.5, 0.0), (0.5, 0.0)))))
    mixture, scale = drawing.mixture("A"), drawing.transform[1]
    np.testing.assert_allclose(mixture.covariances[0], np.eye(2) * (0.05 * scale) ** 2, rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(mixture.branches, [0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    alone = Drawing((Stroke("A", 0.1, points),)).mixture("A")
    np.testing.assert_allclose(alone.covariances, [np.eye(2) * 0.25])


def test_thick_thin_and_dot_are_equally_dense_in_their_middle():
    drawing = Drawing(
        (
            Stroke("A", 0.03, ((-1.0, -0.8), (1.0, -0.8))),
            Stroke("A", 0.12, ((-1.0, 0.8), (1.0, 0.8))),
            Stroke("A", 0.2, ((0.0, 0.0),)),
        )
    )
    (x, y), scale = drawing.transform
    middles = (np.array([[0.0, -0.8], [0.0, 0.8], [0.0, 0.0]]) - [x, y]) * scale
    log_density = np.asarray(drawing.mixture("A").log_density(middles, 0.0))
    np.testing.assert_allclose(log_density, log_density[0], atol=5e-3)


def test_branches_are_runs_of_at_most_8_neighbours(drawing):
    branches = np.asarray(drawing.mixture().branches)
    assert set(np.diff(branches)) <= {0, 1}
    assert np.bincount(branches).max() <= 8
    assert np.bincount(branches).min() >= 1


def test_json_round_trip_and_equality(drawing, tmp_path):
    again = Drawing.from_json(json.loads(json.dumps(drawing.to_json())))
    save_drawing(tmp_path / "d.json", drawing)
    for same in (again, load_drawing(tmp_path / "d.json"), Drawing(list(STROKES))):
        assert same == drawing
        assert hash(same) == hash(drawing)
        assert same.digest == drawing.digest
    np.testing.assert_array_equal(again.mixture().means, drawing.mixture().means)
    other = Drawing(STROKES[:2])
    assert other != drawing
    assert drawing != "letters"
    assert len({drawing, again, other}) == 2
    assert repr(other).startswith("Drawing(1 of class A and 1 of class B, ")


@given(drawings)
def test_any_drawing_is_equal_to_itself_from_json(drawing):
    again = Drawing.from_json(json.loads(json.dumps(drawing.to_json())))
    assert (again, again.strokes, hash(again)) == (drawing, drawing.strokes, hash(drawing))


def test_ten_thousand_points_are_resampled():
    t = np.linspace(0, 20, 10_000)
    spiral = Drawing((Stroke("A", 0.03, np.stack([t * np.cos(t), t * np.sin(t)], -1) / 20),))
    assert 100 < len(spiral.mixture("A").weights) < MAX_COMPONENTS
    assert spiral.mixture("A").branch_count == -(-len(spiral.mixture("A").weights) // 8)


LONG = [[float(x), float(y)] for x, y in zip(np.arange(400) % 2 * 2 - 1, np.linspace(-1, 1, 400), strict=True)]


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        ([], "the drawing is empty: it must have a stroke of class A"),
        ([("B", 0.1, [[0, 0]])], "class A is empty"),
        ([("C", 0.1, [[0, 0]])], "stroke 1: unknown class of a stroke 'C'; there are A, B"),
        ([(["A"], 0.1, [[0, 0]])], "unknown class of a stroke"),
        ([("A", 0.1, [[0, 0]]), ("A", 0.1, [[0, float("nan")]])], r"stroke 2: a point of a stroke is \(0, nan\)"),
        ([("A", 0.1, [[float("inf"), 0]])], "both must be from -2 to 2"),
        ([("A", 0.1, [[0, 0], [2.5, 0]])], r"is \(2.5, 0\); both must be from -2 to 2"),
        ([("A", 0.1, [])], "one or more pairs of numbers"),
        ([("A", 0.1, [[0, 0], [1]])], "one or more pairs of numbers"),
        ([("A", 0.1, [["0", "1"]])], "one or more pairs of numbers"),
        ([("A", 0.1, [[0, 10**400]])], "one or more pairs of numbers"),
        ([("A", 0.1, {"x": 0})], "one or more pairs of numbers"),
        ([("A", 0.004, [[0, 0]])], "thickness of a stroke is 0.004; it must be a number, at least 0.005"),
        ([("A", 0.6, [[0, 0]])], "at most 0.5"),
        ([("A", None, [[0, 0]])], "thickness of a stroke is None"),
        ([("A", 0.02, LONG)], r"takes \d\d,\d{3} Gaussians.*can be 2,048: use a thicker pen or fewer strokes"),
        ([("A", 0.1, [[0, 0]] * 60_000)] * 2, "has 120,000 points; there can be 100,000"),
        ([("A", 0.1, [[0, 0]] * (MAX_POINTS + 1))], "has 100,001 points"),
    ],
)
def test_bad_strokes_are_refused_in_one_line(strokes, words):
    listed = [{"class": label, "thickness": thickness, "points": points} for label, thickness, points in strokes]
    with pytest.raises(InputError, match=words) as error:
        Drawing.from_json({"toydiff": "drawing", "format": 1, "strokes": listed})
    assert "\n" not in str(error.value)


GOOD = {"toydiff": "drawing", "format": 1, "strokes": [{"class": "A", "thickness": 0.1, "points": [[0, 0]]}]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", "not a drawing"),
        ('"A"', "not a drawing"),
        ('{"toydiff": "model"}', "not a drawing"),
        (json.dumps(GOOD | {"format": 2}), "has format 2; this toydiff reads format 1"),
        (json.dumps(GOOD | {"colour": "red"}), "a drawing must have the fields toydiff, format, strokes; it has"),
        (json.dumps(GOOD | {"strokes": {}}), "strokes must be a list"),
        (json.dumps(GOOD | {"strokes": [3]}), "stroke 1: a stroke must have the fields class, thickness, points"),
        (json.dumps(GOOD | {"strokes": [{"class": "A"}]}), "it has class"),
        (" " * 7_000_000, "too large for a drawing"),
    ],
    ids=range(13),
)
def test_bad_files_are_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "d.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=words) as error:
        load_drawing(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        load_drawing(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot read"):
        load_drawing(tmp_path)


def test_a_drawing_stands_where_a_name_stands(drawing):
    assert catalogue.all_classes(drawing) == "AB"
    np.testing.assert_array_equal(catalogue.distribution(drawing, "B").means, drawing.mixture("B").means)
    one = Drawing(STROKES[:1])
    assert one.classes == "A"
    with pytest.raises(InputError, match="unknown classes 'B'; there are A"):
        one.mixture("B")
    assert toydiff.list_models(drawing) == ()
    with pytest.raises(InputError, match=r"no bundled model A/64/4096 of Drawing\(.*exact/AB names the exact"):
        toydiff.load_model(distribution=drawing)
    model = toydiff.guided_model("cfg", 2.0, main="exact/A", guides=["exact/AB"], distribution=drawing)
    assert toydiff.sample(model, 0, 16, steps=4).samples.shape == (16, 2)


@pytest.mark.slow
def test_recipe_and_weights_hold_the_drawing(drawing, tmp_path):
    recipe = Recipe(distribution=drawing, classes="AB", widths=(4,), batch=64, labelled=True)
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert again == recipe
    assert hash(again) == hash(recipe)
    training = toydiff.train(recipe, 2, progress=False)
    toydiff.save_model(tmp_path / "m.safetensors", training)
    model = toydiff.load_weights(tmp_path / "m.safetensors")
    assert model.distribution == drawing
    np.testing.assert_array_equal(model.given("B").truth().means, drawing.mixture("B").means)
    np.testing.assert_array_equal(model.score([0.1, 0.2], 0.5), training.denoiser().score([0.1, 0.2], 0.5))
    assert toydiff.train(again, 3, resume=training, progress=False).step == 3
    with pytest.raises(InputError, match=r"distribution 'letters', not Drawing\("):
        other = Recipe(distribution="letters", classes="AB", widths=(4,), batch=64, labelled=True)
        toydiff.train(recipe, 3, resume=replace(training, recipe=other), progress=False)


def test_equal_drawings_compile_once(drawing, key, compilations):
    @jax.jit
    def log_density(model, x):
        return model.log_density_at(x, np.float32(0.5))

    model = partial(Denoiser, init_params(Architecture(4), key), None, Architecture(4))
    with compilations() as count:
        for same in (drawing, Drawing.from_json(drawing.to_json()), Drawing(STROKES)):
            log_density(model(same), np.zeros(2, np.float32))
        assert count(log_density) == 1
        log_density(model(Drawing(STROKES[:2])), np.zeros(2, np.float32))
        assert count(log_density) == 2


@pytest.mark.parametrize("name", ["spirals", "letters", "rings"])
def test_bundled_drawings_are_rows_of_the_table(name):
    drawing = catalogue.bundled_drawing(name)
    assert drawing.classes == "AB"
    np.testing.assert_array_equal(catalogue.distribution(name, "A").means, drawing.mixture("A").means)
    with pytest.raises(InputError, match="unknown drawing 'oak'; there are letters, rings, spirals"):
        catalogue.bundled_drawing("oak")
