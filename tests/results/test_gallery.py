import numpy as np
import pytest
from matplotlib.figure import Figure

import toydiff
from toydiff.guidance.guided import best_weight
from toydiff.results import gallery, plotting
from toydiff.results.gallery import Ended


def test_the_best_weight_is_the_least_squares_one():
    """Against a search over weights."""
    first, second, exact = np.random.default_rng(0).normal(size=(3, 5, 4, 2))
    found = best_weight(first, 2 * first - second, exact)
    assert found.shape == (5, 4)
    weights = np.linspace(-60, 60, 120_001)[:, None, None, None]
    errors = np.square(weights * first + (1 - weights) * second - exact).sum(-1)
    assert np.abs(found).max() < 60
    np.testing.assert_allclose(found, weights.ravel()[errors.argmin(0)], atol=1e-3)


def test_there_is_no_best_weight_without_a_direction():
    steps = np.ones((3, 2))
    assert np.isnan(best_weight(steps, steps, 2 * steps)).all()


def test_arrows_say_how_much_longer_they_are_and_none_is_too_long(tree):
    everything = toydiff.fractal_tree("AB")
    points = plotting.thin_points(np.asarray(tree.sample(0, 200, 0.25)), 0.2)
    ax = Figure().subplots()
    ratio = toydiff.Ratio(tree, everything)
    longer = gallery.draw_pushes(ax, ratio, points, 0.25)
    drawn = np.stack([ax.collections[-1].U, ax.collections[-1].V], 1)
    pushes = np.asarray(tree.denoise(points, 0.25)) - np.asarray(everything.denoise(points, 0.25))
    short = np.hypot(*drawn.T) < 0.99 * gallery.ARROW_SPACING
    assert short.sum() > 3
    np.testing.assert_allclose(drawn[short], longer * pushes[short], atol=2e-3)
    assert np.hypot(*drawn.T).max() <= 1.001 * gallery.ARROW_SPACING


def test_marked_samples_are_both_kinds_far_apart_and_in_view():
    x = np.random.default_rng(0).uniform(-1, 2, (400, 2))
    ended = Ended(x, np.arange(400) % 3 == 0, np.zeros(400, int))
    marked = gallery.spread_out(ended)
    assert len(set(marked)) == 2 * gallery.MARKED
    assert ended.outlier[marked].sum() == gallery.MARKED
    assert plotting.FULL_VIEW.contains(x[marked]).all()
    distances = np.hypot(*(x[marked, None] - x[marked]).transpose(2, 0, 1))
    assert distances[~np.eye(len(marked), dtype=bool)].min() > 0.2
    angles = np.arctan2(*(x[marked] - [0.3, 0.3]).T[::-1])
    assert (np.diff(angles) < 0).all()  # numbered clockwise


def test_what_becomes_of_the_samples_is_counted():
    ax = Figure().subplots()
    x = np.zeros((4, 2))
    before = Ended(x, np.array([True, True, False, False]), np.array([1, 2, 3, 4]))
    after = Ended(x, np.array([False, True, True, True]), np.array([1, 2, 3, 9]))
    gallery.write_moves(ax, before, after)
    assert [text.get_text() for text in ax.texts] == ["other branch 25%", "rescued 25.0%, lost 50.0%"]


def test_the_front_is_what_no_other_setting_beats():
    points = np.random.default_rng(1).integers(0, 12, (60, 2)).astype(float)
    beaten = [
        any(((other[0] < p[0]) & (other[1] >= p[1])) | ((other[0] <= p[0]) & (other[1] > p[1])) for other in points)
        for p in points
    ]
    expected = np.unique(points[~np.array(beaten)], axis=0)
    np.testing.assert_array_equal(gallery.front(points), expected)


def test_lines_of_the_pareto_plot_begin_without_guidance_and_are_measured(monkeypatch, few_draws):
    monkeypatch.setattr(gallery, "PARETO_SAMPLES", 256)
    monkeypatch.setattr(gallery, "LINES", (gallery.Line("CFG", "o", "cfg", (1.0, 4.0)),))
    line, _, star, exact = gallery.pareto(0).axes[0].lines
    begin, same, end = line.get_xydata()
    np.testing.assert_allclose(begin, same)  # w = 1 is no guidance
    np.testing.assert_allclose(begin, star.get_xydata()[0])
    assert end[1] < begin[1] - 10  # CFG at w = 4 drops branches
    assert exact.get_xydata()[0][0] < 2
    x = toydiff.sample(toydiff.guided_model("cfg", 4.0), 0, 256).samples
    outliers = np.asarray(toydiff.fractal_tree("A").log_density(x)) < gallery.reference_of(
        "fractal_tree", "A"
    ).quantile(1e-3)
    assert end[0] == pytest.approx(100 * outliers.mean())
