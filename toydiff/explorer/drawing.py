"""From a state to its picture; no widget is imported here."""

import io
import re
import threading
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from toydiff.base.checks import InputError, count
from toydiff.base.score_model import Exact, ScoreModel
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import Drawing
from toydiff.explorer.compute import Quality, models_of, outliers, points_now, sigma_of, step_in, trajectory, unguided
from toydiff.explorer.layers import INK, KEPT, LAYERS, OUTLIER_RADIUS, PROBE_COLOURS, RESCUED, SAMPLE_RADIUS, Layer
from toydiff.explorer.probe import probe
from toydiff.explorer.sheet import FONT, PROJECTORS, font, sheet_of_width, wrapped
from toydiff.explorer.state import State
from toydiff.measuring.setting import ModelChoice, Models
from toydiff.networks.library import BUNDLE, BUNDLED, Library
from toydiff.results import plotting
from toydiff.results.style import CLASS, OTHER, OUTLIER, Hue
from toydiff.sampling.sampler import Trajectory

drawing_lock = threading.Lock()
"""Who draws holds it: Matplotlib does not promise to draw in two threads at once."""


def background_part(state: State, quality: Quality) -> tuple[Any, ...]:
    """What the background depends on: the same again means that it need not be drawn again."""
    layers = tuple(name for name in state.layers if name.startswith(("outlines", "density", "ratio")))
    only_classes = set(layers) <= {"outlines"}
    level = () if only_classes else (sigma_of(state), state.main, state.guide, state.method)
    weight = (state.weight, state.weight_curve, state.interval, state.knobs) if "density_guided" in layers else ()
    return (state.distribution, state.classes, state.view, layers, level, weight, quality.resolution)


def draw_background(ax: Axes, state: State, quality: Quality, library: Library = BUNDLE) -> None:
    """Densities and outlines."""
    ax.set_axis_off()
    models, sigma = models_of(state, library), sigma_of(state)
    fields = drawn_layers(state, models, "field")
    for row, model in fields.values():
        peak_among = models.truth.sample(0, 2048, sigma) if row.peak_in_data else None
        options: Any = {"hue": row.hue, "peak_among": peak_among, "resolution": quality.resolution // 2}
        plotting.plot_density(model, sigma, view=state.view, ax=ax, **options)
    if "outlines" in state.layers:
        for truth, hue in outlined(state.distribution, state.classes):
            options = {"hue": hue, "fill": not fields, "linewidth": 0.9, "resolution": quality.resolution}
            plotting.plot_outline(truth, view=state.view, ax=ax, **options)
    plotting.frame(state.view, ax=ax)


def drawn_layers(state: State, models: Models, kind: str) -> dict[str, tuple[Layer, ScoreModel]]:
    """The layers of a kind that are on and have a model to draw."""
    on = {name: (LAYERS[name], LAYERS[name].model(models)) for name in state.layers if LAYERS[name].kind == kind}
    return {name: (row, model) for name, (row, model) in on.items() if model is not None}


def outlined(distribution: catalogue.Source, classes: str) -> list[tuple[Exact, Hue]]:
    """What the outlines are of, with its colours, from back to front: each other class, and those that are sampled."""
    rest = [c for c in catalogue.all_classes(distribution) if c not in classes]
    return [
        (catalogue.distribution(distribution, c), hue) for c, hue in [*((c, OTHER) for c in rest), (classes, CLASS)]
    ]


def draw_foreground(
    ax: Axes, state: State, quality: Quality, now: np.ndarray | None = None, library: Library = BUNDLE
) -> list[Artist]:
    """What moves: points (at `now` [n, 2], if that is given), paths and arrows; the artists, from back to front."""
    artists: list[Artist] = []
    if {"samples", "outliers", "trajectories", "rescue"} & set(state.layers):
        path = trajectory(state, quality, library)
        now = points_now(state, quality, library) if now is None else now
        out = outliers(state, quality, library)
        if "trajectories" in state.layers:
            # Of those that end in view: all paths come from far outside it.
            chosen = np.flatnonzero(state.view.contains(np.asarray(path.samples)))[:150]
            few = Trajectory(path.x[: step_in(state, quality) + 1, chosen], path.sigma)
            if len(few.x) > 1:
                artists.append(plotting.plot_trajectories(few, linewidth=0.6, view=state.view, ax=ax))
        if "rescue" in state.layers:
            artists.append(_draw_rescue(ax, state, quality, library))
        inside = now[~out] if "outliers" in state.layers else now
        for name, points, radius in (("samples", inside, SAMPLE_RADIUS), ("outliers", now[out], OUTLIER_RADIUS)):
            if name in state.layers:
                look: Any = {"size": _area(radius), "color": LAYERS[name].colour}
                artists.append(plotting.plot_samples(points, **look, view=state.view, ax=ax))
    return artists + _draw_arrows(ax, state, library) + _draw_probe(ax, state, library)


def _area(radius: float) -> float:
    """Of a disc, as Matplotlib counts it: squared points, in a picture of 7.2 inches."""
    return (2 * radius * 7.2 * 72) ** 2


def _draw_rescue(ax: Axes, state: State, quality: Quality, library: Library) -> Artist:
    """From where each point ends without guidance to where guidance takes it: rescued green, lost pink."""
    before, after = (np.asarray(trajectory(s, quality, library).samples) for s in (unguided(state), state))
    was, now = (outliers(s, quality, library) for s in (unguided(state), state))
    colours = np.where(was & ~now, RESCUED, np.where(~was & now, OUTLIER, KEPT))
    plain = colours == KEPT
    chosen = np.concatenate([np.flatnonzero(plain)[:400], np.flatnonzero(~plain)[:800]])
    lines = LineCollection(
        list(np.stack([before, after], 1)[chosen]), colors=list(colours[chosen]), linewidths=0.7, alpha=0.8, zorder=2.6
    )
    ax.add_collection(lines, autolim=False)
    return lines


def _draw_arrows(ax: Axes, state: State, library: Library) -> list[Artist]:
    drawn = drawn_layers(state, models_of(state, library), "arrows")
    if not drawn:
        return []
    sigma = sigma_of(state)
    points = arrow_points(state.distribution, state.classes, state.view, sigma)
    return [
        plotting.plot_scores(model, points, sigma, color=row.colour, view=state.view, ax=ax)
        for row, model in drawn.values()
    ]


def _draw_probe(ax: Axes, state: State, library: Library) -> list[Artist]:
    """The scores at the probed point as arrows to the denoised points, and the trajectories that start there."""
    seen = probe(state, library)
    if seen is None:
        return []
    artists: list[Artist] = []
    for name, path in seen.paths.items():
        artists += ax.plot(*path.T, color=PROBE_COLOURS[name], linewidth=1.6, linestyle=(0, (3, 1.5)), zorder=4)
    for name, arrow in seen.arrows.items():
        artists.append(
            plotting.plot_arrows(np.array([seen.x]), arrow.step[None], color=PROBE_COLOURS[name], width=0.0035, ax=ax)
        )
    artists.append(ax.scatter(*seen.x, s=30, c="white", edgecolors=INK, linewidths=1.2, zorder=5))
    return artists


@lru_cache(maxsize=32)
def arrow_points(distribution: catalogue.Source, classes: str, view: plotting.View, sigma: float) -> np.ndarray:
    """Points of the data at this noise level, spread over the view; one fixed number for one compilation."""
    draws = np.asarray(catalogue.distribution(distribution, classes).sample(0, 1 << 14, sigma))
    points = plotting.thin_points(draws[view.contains(draws)][:1500], view.half_width / 9)[:128]
    return np.concatenate([points, np.full((128 - len(points), 2), 1e6)])


def caption(state: State) -> str:
    """A state in a line: method, weight and models."""
    row = state.row
    weight = f", w = {state.weight:g}" if state.weight_curve is None else ", w drawn"
    text = row.short + weight * row.is_guided + f" · {_name(state.main)}"
    if row.guides and not row.networks:
        return text + " + exact classifier" * state.exact_guide
    return text + f" − {_name(state.guide)}" * bool(row.guides)


def _name(model: ModelChoice) -> str:
    own = "" if model.family == BUNDLED else f", {model.family}"
    return "exact" if model.exact else f"{model.width}/{model.steps}{own}"


def draw(*states: State, library: Library = BUNDLE, width: int = PROJECTORS[0]) -> Figure:
    """The picture of a state, or those of several side by side, as a figure `width` pixels wide."""
    captions = [caption(state) for state in states]

    def broken(room: int, text: int) -> list[list[str]]:
        return [wrapped(line, room, font(FONT, text)) for line in captions]

    sheet = sheet_of_width(len(states), count("width", width, 640, 7680), broken)
    (across, up), side, dpi = sheet.size, sheet.side, sheet.side / 7.2  # as Canvas: marks keep their share of it
    figure = Figure(figsize=((across + 0.01) / dpi, (up + 0.01) / dpi), dpi=dpi)  # it rounds down
    for i, (state, lines) in enumerate(zip(states, broken(sheet.room, sheet.text), strict=True)):
        x, y = sheet.place(i)
        ax = figure.add_axes((x / across, 1 - (y + side) / up, side / across, side / up))
        draw_background(ax, state, Quality.full(state), library)
        draw_foreground(ax, state, Quality.full(state), library=library)
        options: Any = {"fontsize": 72 * sheet.text / dpi, "family": "DejaVu Sans", "linespacing": 1.1, "color": INK}
        at = sheet.margin / side, 1 + (sheet.top - sheet.margin / 2) / side
        ax.text(*at, "\n".join(lines), transform=ax.transAxes, va="top", **options)
    return figure


class Canvas:
    """A square picture; its background is kept while only the points move."""

    def __init__(self, pixels: int, library: Library = BUNDLE):
        """Prepare a picture of `pixels` on each side; marks and lines keep their share of it."""
        self._library = library
        self._figure = Figure(figsize=(7.2, 7.2), dpi=pixels / 7.2)
        self._canvas = FigureCanvasAgg(self._figure)
        self._ax = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._key: Any = None
        self._background: Any = None
        self._fixed: set[Artist] = set()

    def paint(self, state: State, quality: Quality, now: np.ndarray | None = None) -> Image.Image:
        """The picture of a state; `now` as for `draw_foreground`."""
        key = background_part(state, quality)
        if key != self._key:
            self._key = None  # a failure below must not leave half a background behind
            self._ax.clear()
            draw_background(self._ax, state, quality, self._library)
            self._canvas.draw()
            self._background, self._key = self._canvas.copy_from_bbox(self._figure.bbox), key
            self._fixed = set(self._ax.get_children())
        self._canvas.restore_region(self._background)
        for artist in draw_foreground(self._ax, state, quality, now, self._library):
            self._ax.draw_artist(artist)
        for artist in set(self._ax.get_children()) - self._fixed:
            artist.remove()
        size = self._canvas.get_width_height()
        return Image.frombuffer("RGBX", size, self._canvas.buffer_rgba(), "raw", "RGBX", 0, 1)


def picture_bytes(kind: str, *states: State, library: Library = BUNDLE, width: int = PROJECTORS[0]) -> bytes:
    """The picture at full quality as PNG, `width` pixels wide, SVG or PDF."""
    content = io.BytesIO()
    dpi: Any = "figure" if kind == "png" else 200  # of what a vector format has as pixels
    draw(*states, library=library, width=width).savefig(content, format=kind, dpi=dpi)
    return content.getvalue()


STATED = ("method", "weight", "distribution", "classes", "main", "seed", "points", "sigma", "layers", "view")
"""What the code of a picture says in any case; the rest where it is not the default."""
IMPORTS = {
    "Drawing": "toydiff",
    "draw": "toydiff.explorer.drawing",
    "ModelChoice": "toydiff.explorer.state",
    "State": "toydiff.explorer.state",
    "View": "toydiff.results.plotting",
}


def python_code(*states: State) -> str:
    """Python that makes exactly this picture and runs as pasted.

    Raises:
        InputError: a network in it was trained or loaded here, so that other programs do not have it.
    """
    own = [m.family for s in states for m in s.models_used if not m.exact and m.family != BUNDLED]
    if own:
        raise InputError(f"other programs do not have the networks of {own[0]}: save the laboratory's file instead")
    parts = ""
    for state in states:
        stated = [*STATED, *["guide"] * bool(state.row.guides)]
        rest = [f.name for f in fields(State) if getattr(state, f.name) != getattr(State(), f.name)]
        arguments = [f"{name}={_code(getattr(state, name))}" for name in dict.fromkeys([*stated, *rest])]
        parts += "".join(["    State(\n", *(f"        {argument},\n" for argument in arguments), "    ),\n"])
    body = f'states = [\n{parts}]\ndraw(*states).savefig("toydiff.png", dpi="figure")\n'
    used: dict[str, list[str]] = {}
    for name, module in IMPORTS.items():
        if re.search(rf"\b{name}\b", body):
            used.setdefault(module, []).append(name)
    return "".join(f"from {module} import {', '.join(names)}\n" for module, names in used.items()) + "\n" + body


def _code(value: Any) -> str:
    if isinstance(value, Drawing):
        return f"Drawing.from_json({value.to_json()!r})"
    return re.sub(r"\binf\b", 'float("inf")', repr(value))
