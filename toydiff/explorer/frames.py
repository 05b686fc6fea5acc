"""What the browser draws, as numbers: each part of a picture as a header and its buffers."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from toydiff.base.checks import InputError
from toydiff.distributions import catalogue
from toydiff.explorer.compute import (
    QUICK,
    SHOWN_METRICS,
    Quality,
    measure,
    models_of,
    outliers,
    sigma_of,
    step_in,
    trajectory,
    unguided,
)
from toydiff.explorer.drawing import arrow_points, drawn_layers, outlined
from toydiff.explorer.layers import ALL
from toydiff.explorer.probe import probe
from toydiff.explorer.state import State, whole_view
from toydiff.networks.library import BUNDLE, Library
from toydiff.results import plotting
from toydiff.results.view import View

MOST_LEVELS = 34
"""Noise levels that a path is sent at: those of the paper's solver; of more steps those that are nearest to as many."""
OUTLINE_RESOLUTION, OUTLINE_VIEW = 640, 2.0
"""Points of the grid on each axis, and its width in views of all that is sampled."""
FIELD_DEPTH, FIELD_VIEW, FIELD_STEPS = 3.0, 1.25, 2**16 - 1
"""Values v below -depth are white; fields reach beyond the view, so that it can be moved."""
CLOSE = 0.5
"""Outlines are sent anew for a view that is closer than this part of all that is sampled."""


class Frame(NamedTuple):
    """A part of a panel's picture."""

    header: dict[str, Any]
    """JSON values; "frame" names the part."""
    buffers: tuple[bytes, ...] = ()


def points(state: State, quality: Quality, library: Library = BUNDLE) -> Frame:
    """The samples at the noise level on show, and which of them end as outliers; in full their whole ways too.

    Buffers: float32 [n, 2]; a bit for each sample; float16 [levels, n, 2] where the header has levels.
    """
    full, quality = quality is not QUICK, no_more(quality, state)
    out = outliers(state, quality, library)
    path = trajectory(state, quality, library)
    ways, sigma = np.asarray(path.ways), np.asarray(path.sigma, float)
    wanted = full or {"trajectories"} & set(state.layers)
    levels = np.unique(np.linspace(0, len(sigma) - 1, min(len(sigma), MOST_LEVELS)).round().astype(int))
    shown = ways[-1] if full else np.asarray(path.x[step_in(state, quality)])
    header = {"frame": "points", "count": len(shown), "sigma": 0.0 if full else state.sigma}
    buffers = [_float32(shown), np.packbits(out).tobytes()]
    if wanted:
        header["levels"] = sigma[levels].tolist()
        buffers.append(np.clip(ways[levels], -6e4, 6e4).astype("<f2").tobytes())
    return Frame(header, tuple(buffers))


def no_more(quality: Quality, state: State) -> Quality:
    """The quality with no more points than rest."""
    return quality._replace(points=min(quality.points, state.points))


def unguided_ends(state: State, quality: Quality, library: Library = BUNDLE) -> Frame:
    """Where the same noise ends without guidance, and which of it as outliers: float32 [n, 2], and a bit each."""
    plain, quality = unguided(state), no_more(quality, state)
    ends = np.asarray(trajectory(plain, quality, library).samples)
    packed = np.packbits(outliers(plain, quality, library)).tobytes()
    return Frame({"frame": "unguided", "count": len(ends)}, (_float32(ends), packed))


@lru_cache(maxsize=16)
def outlines(distribution: catalogue.Source, classes: str, view: View | None = None) -> Frame:
    """The closed contours of each class, the one that is sampled last: of all of it, or finer of a close view.

    Buffers: float32 points, one a class.
    """
    wide = view or whole_view(distribution, classes)
    wide = wide._replace(half_width=OUTLINE_VIEW * wide.half_width)
    header: dict[str, Any] = {"frame": "detail", "view": wide._asdict()} if view else {"frame": "outlines"}
    header["items"], buffers = [], []
    for truth, hue in outlined(distribution, classes):
        lines = plotting.outline_lines(truth, view=wide, resolution=OUTLINE_RESOLUTION)
        header["items"].append({"light": hue.light, "strong": hue.strong, "counts": [len(line) for line in lines]})
        buffers.append(_float32(np.concatenate(lines) if lines else np.zeros((0, 2))))
    return Frame(header, tuple(buffers))


def field(state: State, layer: str, quality: Quality, library: Library = BUNDLE) -> Frame:
    """A density or ratio as v = -sqrt(max(log p) - log p), 16 bits from -depth to 0, rows from bottom to top."""
    models, sigma = models_of(state, library), sigma_of(state)
    row, model = drawn_layers(state, models, "field")[layer]
    view = state.view._replace(half_width=FIELD_VIEW * state.view.half_width)
    size = round(quality.resolution * FIELD_VIEW / (2 if quality is QUICK else 1))
    grid = plotting.grid(view, size)
    values = np.asarray(model.log_density(grid, sigma))
    inner = np.abs(grid - (view.x, view.y)).max(-1) <= state.view.half_width
    peak = float(values[inner].max())
    if row.peak_in_data:
        peak = float(np.quantile(model.log_density(models.truth.sample(0, 2048, sigma), sigma), 0.99))
    v = np.nan_to_num(plotting.compress(values, peak), nan=-FIELD_DEPTH)
    scaled = np.rint((np.clip(v, -FIELD_DEPTH, 0) / FIELD_DEPTH + 1) * FIELD_STEPS).astype("<u2")
    header = {"frame": "field", "layer": layer, "size": size, "sigma": sigma, "view": view._asdict()}
    return Frame(header, (scaled.tobytes(),))


def arrows(state: State, layer: str, library: Library = BUNDLE) -> Frame:
    """Score arrows as float32 [n, 4]: the point, and the step sigma^2 score."""
    sigma = sigma_of(state)
    _, model = drawn_layers(state, models_of(state, library), "arrows")[layer]
    at = arrow_points(state.distribution, state.classes, state.view, sigma)
    steps = sigma**2 * np.asarray(model.score(at, sigma))
    seen = np.abs(at).max(-1) < 1e5  # the rest only fills one compiled size
    return Frame({"frame": "arrows", "layer": layer}, (_float32(np.concatenate([at, steps], -1)[seen]),))


def probed(state: State, library: Library = BUNDLE) -> Frame:
    """The probe: arrows with their lengths and angles, the best weight here, and the trajectories that start here."""
    seen = probe(state, library)
    if seen is None:
        return Frame({"frame": "probe", "x": None})
    arrows = {
        name: {"step": arrow.step.tolist(), "length": arrow.length, "angle": _finite(arrow.angle)}
        for name, arrow in seen.arrows.items()
        if np.isfinite(arrow.step).all()
    }
    paths = {name: path[np.isfinite(path).all(-1)].tolist() for name, path in seen.paths.items()}
    return Frame({"frame": "probe", "x": seen.x, "arrows": arrows, "best": _finite(seen.best_weight), "paths": paths})


def _float32(values: np.ndarray) -> bytes:
    return np.asarray(values, "<f4").tobytes()


def _finite(value: float | None) -> float | None:
    """A number as JSON knows it: neither NaN nor infinity."""
    return float(value) if value is not None and np.isfinite(value) else None


def numbers(state: State, quality: Quality, library: Library = BUNDLE) -> Frame:
    """The shown metrics beside those of exact samples, when nothing moves with standard errors; else the first two."""
    live, quality = quality is QUICK, no_more(quality, state)
    names = SHOWN_METRICS[:2] if live else SHOWN_METRICS
    with np.errstate(invalid="ignore"):  # where guidance is too strong, samples become NaN
        found = measure(state, quality, library, names=names, errors=not live)
    rows = {name: {key: _finite(value) for key, value in row._asdict().items()} for name, row in found.items()}
    count = len(trajectory(state, quality, library).samples)
    return Frame({"frame": "numbers", "count": count, "rows": rows})


def kit(state: State, library: Library = BUNDLE) -> Frame:
    """What a browser needs to move the points by itself; where something cannot be translated, why not."""
    from toydiff.explorer.engine.kit import kit_of  # late: few need it, and none for the first picture

    try:
        header, buffers = kit_of(state, library)
    except InputError as error:
        return Frame({"frame": "kit", "why": str(error)})
    return Frame({"frame": "kit", **header}, tuple(buffers))


Make = Callable[[], Frame]
Part = tuple[str, Any, Any, Make]
"""A part's name, what it depends on, what else while something moves (None: it is final), and itself."""


def parts(state: State, quality: Quality, library: Library = BUNDLE) -> Iterator[Part]:
    """The parts of a panel's picture, those first that a person waits for."""
    full, here = quality is not QUICK, (state.distribution, state.classes)
    sampled = state.row, state.setting, state.points
    on_show = None if full else (state.sigma, "trajectories" in state.layers)
    draft = None if full else "draft"
    yield "points", sampled, on_show, lambda: points(state, quality, library)
    yield "outlines", here, None, lambda: outlines(*here)
    if full and state.view.half_width < CLOSE * whole_view(*here).half_width:  # finer ones, when nothing moves
        yield "detail", (*here, state.view), None, lambda: outlines(*here, state.view)
    if "rescue" in state.layers:
        plain = unguided(state).setting, state.points
        yield "unguided", plain, draft, lambda: unguided_ends(state, quality, library)
    models = models_of(state, library)

    def seen(*needs: str) -> tuple[Any, ...]:
        return sigma_of(state), *here, *(getattr(state, name) for name in needs)

    for layer, (row, _) in drawn_layers(state, models, "field").items():
        yield layer, seen("view", *row.needs), draft, partial(field, state, layer, quality, library)
    for layer, (row, _) in drawn_layers(state, models, "arrows").items():
        yield layer, seen("view", *row.needs), None, partial(arrows, state, layer, library)
    yield "probe", state.probe and seen("probe", *ALL), None, lambda: probed(state, library)
