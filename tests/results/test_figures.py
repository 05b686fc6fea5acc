import re
from functools import cache

import matplotlib as mpl
import numpy as np
import pytest
from helpers import ROOT
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

import toydiff
from toydiff import FIGURES, InputError, draw_figures
from toydiff.results import figures, gallery, panels, paper, plotting, style
from toydiff.results.plotting import FULL_VIEW, View
from toydiff.sampling.sampler import Trajectory


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture(scope="module")
def draw(few_draws_throughout):
    """Figures of few samples by name, each drawn once."""

    @cache
    def draw(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(paper, "SAMPLES", 500)
            patch.setattr(paper, "IMPLIED_GRID", 16)
            patch.setattr(gallery, "CROWD", 300)
            patch.setattr(gallery, "PARETO_SAMPLES", 2048)
            return FIGURES[name](0)

    return draw


def test_the_outline_holds_the_stated_share_of_the_class(tree):
    v = plotting.compress(np.asarray(tree.log_density(tree.sample(0, 40_000))), plotting.peak_log_density(tree))
    assert (v > plotting.OUTLINE_LEVEL).mean() == pytest.approx(0.9865, abs=0.003)


def test_the_peak_is_the_highest_density(tree):
    """No point of a fine grid around the trunk lies higher, nor by more than a hair lower."""
    grid = plotting.grid(View(0.15, 0.2, 0.2), 1000)
    assert plotting.peak_log_density(tree) == pytest.approx(float(tree.log_density(grid).max()), abs=5e-3)


def test_v_is_the_papers_and_a_distance_for_a_gaussian():
    one = toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [0.01 * np.eye(2)])
    r = np.array([0.0, 0.1, 0.2])
    v = plotting.compress(np.asarray(one.log_density(np.stack([r, 0 * r], 1))))
    np.testing.assert_allclose(v, -r / (np.sqrt(2) * 0.1), atol=1e-3)


def test_density_draws_filled_contours_in_the_hue(ax, tree):
    drawn = plotting.plot_density(tree, 0.3, hue=plotting.GUIDE, levels=5, resolution=32, ax=ax)
    assert drawn.filled
    assert len(drawn.levels) == 6
    assert drawn.cmap(1.0) == mpl.colors.to_rgba(plotting.GUIDE.strong)
    assert ax.get_xlim() == FULL_VIEW.limits[0]
    assert ax.get_aspect() == 1


def test_outline_draws_one_level(ax, tree):
    drawn = plotting.plot_outline(tree, resolution=64, ax=ax)
    assert list(drawn.levels) == [plotting.OUTLINE_LEVEL]
    assert not drawn.filled


def test_samples_outside_the_view_are_left_out(ax):
    dots = plotting.plot_samples([[0.3, 0.3], [9.0, 0.0]], ax=ax)
    assert len(dots.get_offsets()) == 1
    assert not dots.get_rasterized()
    assert plotting.plot_samples(np.full((3000, 2), 0.3), ax=ax).get_rasterized()


def test_arrows_end_at_the_denoised_point(ax, tree):
    x, sigma = np.asarray(tree.sample(0, 7, 0.1)), 0.1
    arrows = plotting.plot_scores(tree, x, sigma, ax=ax)
    np.testing.assert_allclose(x + np.stack([arrows.U, arrows.V], 1), tree.denoise(x, sigma), rtol=1e-4, atol=1e-5)


def test_trajectories_are_drawn_whole(ax, tree):
    trajectory = toydiff.sample(tree, 0, 5, steps=4)
    lines = plotting.plot_trajectories(trajectory, ax=ax)
    assert isinstance(lines, LineCollection)
    assert [len(path.vertices) for path in lines.get_paths()] == [5] * 5
    with pytest.raises(InputError, match="path=True"):
        plotting.plot_trajectories(toydiff.sample(tree, 0, 5, steps=4, path=False), ax=ax)


def test_thinned_points_keep_their_distance(tree):
    points = plotting.thin_points(tree.sample(0, 2000), 0.05)
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    assert distances[~np.eye(len(points), dtype=bool)].min() >= 0.05
    every = np.asarray(tree.sample(0, 2000))
    assert np.hypot(*(every[:, None] - points[None]).transpose(2, 0, 1)).min(1).max() < 0.05


def test_axes_functions_use_the_current_axes_by_default(tree):
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots()
    plotting.plot_samples(tree.sample(0, 5))
    assert len(ax.collections) == 1
    plt.close(figure)


@pytest.mark.parametrize(
    ("name", "panel_count"),
    [
        pytest.param("fig1", 5, marks=pytest.mark.slow),
        pytest.param("fig2", 5, marks=pytest.mark.slow),
        pytest.param("fig2-autoguidance", 5, marks=pytest.mark.slow),
        pytest.param("fig9", 25, marks=pytest.mark.slow),
        pytest.param("implied", 6, marks=pytest.mark.slow),
        pytest.param("methods", len(toydiff.METHODS) + 1, marks=pytest.mark.slow),
        ("three-gaussians", 8),
        pytest.param("ratio-fields", 10, marks=pytest.mark.slow),
        pytest.param("best-weight", 5, marks=pytest.mark.slow),  # with the colour bar
        pytest.param("same-noise", len(toydiff.METHODS) + 1, marks=pytest.mark.slow),
    ],
)
def test_figures_are_drawn(name, panel_count, draw):
    figure = draw(name)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == panel_count
    assert all(ax.collections for ax in drawn)
    assert figure.get_size_inches()[0] == style.WIDTH


def test_figures_are_written(draw, tmp_path):
    figures.save_figure(draw("three-gaussians"), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] == pytest.approx(style.WIDTH * 300, abs=2)


GALLERY = ("ratio-fields", "best-weight", "same-noise", "pareto")


def test_no_text_overlaps_or_is_clipped(draw, monkeypatch):
    draw("fig1"), draw("three-gaussians")  # as they are; to compile the sampling of every method would take long

    def exact_samples(model, seed, n, **_):
        return Trajectory(np.stack(2 * [model.truth().sample(seed, n)]), np.zeros(2))

    monkeypatch.setattr(paper, "sample", exact_samples)
    for name in set(FIGURES) - {"fig2-autoguidance", "implied", *GALLERY}:  # the texts of fig2, and slow
        check_texts(draw(name), name)


@pytest.mark.slow
def test_no_text_of_the_gallery_overlaps_or_is_clipped(draw):
    for name in GALLERY:
        check_texts(draw(name), name)


def check_texts(figure, name):
    """No text overlaps another one or leaves the figure."""
    with mpl.rc_context(style.STYLE):
        figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [t for ax in figure.axes for t in (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)]
    texts = [t for t in texts if t.get_text().strip() and not t.get_text().isdigit()]  # digits are on their points
    boxes = [t.get_window_extent(renderer) for t in texts]
    assert boxes
    for i, box in enumerate(boxes):
        assert box.x0 >= 0, name
        assert box.y0 >= 0, name
        assert box.x1 <= figure.bbox.x1, name
        assert box.y1 <= figure.bbox.y1, name
        assert not any(box.overlaps(other) for other in boxes[i + 1 :]), name


def test_numbers_under_the_panels_are_measured(draw):
    texts = [text.get_text() for text in draw("fig1").axes[3].texts]  # truncation
    rate, coverage = (float(re.search(r"([\d.]+)%", text)[1]) for text in texts)
    assert rate < 1
    assert coverage < 20


def guided_class(weight, x, y):
    """p_w of class A of the three Gaussians, unnormalised, in float64 from the formula: p_1 (p_1 / p_0)^(w - 1)."""
    angles = np.pi / 2 + 2 * np.pi / 3 * np.arange(3)
    a, b, c = (
        np.exp(-((x - 0.375**0.5 * np.cos(t)) ** 2 + (y - 0.375**0.5 * np.sin(t)) ** 2) / (2 * 0.25**2)) for t in angles
    )
    return a * (3 * a / (a + b + c)) ** (weight - 1)


@pytest.mark.parametrize("weight", [1, 8])
def test_a_guided_class_is_normalised(weight):
    model = toydiff.guide("cfg", *map(toydiff.three_gaussians, ("A", "ABC")), weight=weight)
    points = plotting.grid(paper.CLASS_VIEW, 256)
    density = np.exp(plotting.normalise(np.asarray(model.log_density(points)), paper.CLASS_VIEW))
    axes = points[0, :, 0], points[:, 0, 1]
    assert np.trapezoid(np.trapezoid(density, axes[0]), axes[1]) == pytest.approx(1, abs=1e-4)
    wide = np.linspace(-3, 3, 601)
    total = guided_class(weight, *np.meshgrid(wide, wide)).sum() * 0.01**2
    np.testing.assert_allclose(density, guided_class(weight, *np.moveaxis(points, -1, 0)) / total, atol=1e-4)


def test_the_places_of_the_classes_are_measured(draw):
    """Those of p_w to both digits; the samples begin as the class and are pushed further than p_w."""
    axes = draw("three-gaussians").axes
    drawn = np.array([[float(text.get_text().split()[1]) for text in ax.texts] for ax in axes]).reshape(2, 4, 2)
    x, y = np.meshgrid(*2 * [np.linspace(-3, 3, 601)])
    for weight, (distance, spread) in zip((1, 2, 4, 8), drawn[0], strict=True):
        p = guided_class(weight, x, y)
        mean = (p * y).sum() / p.sum()
        variance = (p * (x**2 + (y - mean) ** 2)).sum() / p.sum() / 2
        assert (distance, spread) == pytest.approx((mean, np.sqrt(variance)), abs=0.0051)
    np.testing.assert_allclose(drawn[1, 0], (0.61, 0.25), atol=0.06)
    assert (np.diff(drawn[1], axis=0) * (1, -1) > 0).all()  # further and narrower with each weight
    assert drawn[1, 2, 0] > 0.9


def test_the_line_over_the_samples_holds_its_share():
    """Of a round Gaussian, 90% lie within sqrt(-2 ln 0.1) standard deviations."""
    log_density = plotting.normalise(-0.5 * (plotting.grid(View(0, 0, 6), 400) ** 2).sum(-1), View(0, 0, 6))
    assert paper.level_holding(0.9, log_density) == pytest.approx(np.log(0.1) - np.log(2 * np.pi), abs=5e-3)


@pytest.mark.slow
def test_vector_formats_are_vector_with_points_as_pixels(tmp_path, few_draws, monkeypatch):
    monkeypatch.setattr(paper, "SAMPLES", 4096)
    files = draw_figures(["fig1"], tmp_path, formats=["svg", "pdf"], progress=False)
    svg = (tmp_path / "fig1.svg").read_text()
    assert [path.name for path in files] == ["fig1.svg", "fig1.pdf"]
    assert svg.count("<image") >= 2
    assert svg.count("<path") > 20
    assert "(a) Ground truth" in svg
    assert b"/FontFile2" in (tmp_path / "fig1.pdf").read_bytes()
    assert max(path.stat().st_size for path in files) < 4e6


def test_the_same_seed_gives_the_same_file(tmp_path, few_draws, monkeypatch):
    monkeypatch.setattr(paper, "SAMPLES", 500)
    for folder in ("first", "second"):
        draw_figures(["fig1"], tmp_path / folder, formats=["png", "svg"], seed=3, progress=False)
    for name in ("fig1.png", "fig1.svg"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_an_added_figure_is_drawn_by_name(monkeypatch, tmp_path):
    def dot(seed):
        figure = Figure(figsize=(1, 1))
        plotting.plot_samples([[0.3, 0.3]], ax=figure.subplots())
        return figure

    monkeypatch.setitem(FIGURES, "dot", dot)
    assert draw_figures(["dot"], tmp_path, progress=False) == [tmp_path / "dot.png"]


def test_bad_names_and_folders_are_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(InputError, match="unknown figure 'fig3'; there are fig1, fig2"):
        draw_figures(["fig1", "fig3"], tmp_path)
    with pytest.raises(InputError, match="unknown format 'jpg'; there are png, pdf, svg"):
        draw_figures(["fig1"], tmp_path, formats=["png", "jpg"])
    with pytest.raises(InputError, match="names are 'fig1'; they must be a list"):
        draw_figures("fig1", tmp_path)
    with pytest.raises(InputError, match="seed is -1"):
        draw_figures(["fig1"], tmp_path, seed=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        draw_figures(["fig1"], tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_committed_pictures_are_small():
    pictures = list((ROOT / "figures").glob("*.png"))
    assert {path.stem for path in pictures} >= set(FIGURES)
    films = list((ROOT / "figures").glob("*.gif"))
    assert films
    assert max(path.stat().st_size for path in pictures + films) < 1e6


def test_the_figures_settings_are_the_papers(monkeypatch):
    assert (paper.SAMPLES, paper.SIGMA_MID, paper.THINNED) == (16_384, 0.03, 0.045)
    assert panels.NOISE_LEVELS == (0.5, 0.25, 0.08, 0.03, 0.01)
    assert (plotting.OUTLINE_LEVEL, plotting.NOISY_OUTLINE_LEVEL) == (-2.12, -1.41)
    assert plotting.FULL_VIEW == (0.30, 0.30, 1.2)
    assert plotting.ZOOM_VIEW == (0.45, 1.22, 0.3)
    levels = []
    monkeypatch.setattr(plotting, "plot_density", lambda model, sigma, **_: levels.append(sigma))
    FIGURES["fig2"](0)
    FIGURES["fig9"](0)
    assert levels == [0.03] * 3 + [sigma for sigma in panels.NOISE_LEVELS for _ in range(5)]
    weights = {"unguided": 1.0, "cfg": 4.0, "truncation": 1.4, "autoguidance": 3.0}
    assert weights == {name: toydiff.METHODS[name].weight for name in weights}
