"""`export_html`: one HTML file that shows the runs, from any address, a file's among them."""

import base64
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from toydiff.base.checks import InputError, count, shown
from toydiff.base.files import PathLike, check_writable, write_bytes
from toydiff.base.progress import progress_bar
from toydiff.base.version import __version__
from toydiff.explorer.drawing import COLOURS, RESCUED, outlined
from toydiff.explorer.page.pack import in_steps, pack, quanta
from toydiff.explorer.page.runs import LEVELS, PAPERS, Run, compute_runs, state_of, states_of
from toydiff.explorer.state import State, whole_view
from toydiff.guidance.methods import METHODS, knob_of
from toydiff.measuring.metrics import METRICS
from toydiff.results import plotting
from toydiff.results.plotting import View
from toydiff.sampling.schedules import noise_schedule

TITLE = "What does guidance do to a diffusion model?"
OUTLINE_RESOLUTION = 560
SCRIPTS = ("points.js", "picture.js", "panel.js", "page.js")
"""One after the other: each uses those before it."""
MOST_SAMPLES = 100_000
"""As many as the explorer takes: more would not fit into memory with their ways."""


def export_html(
    path: PathLike,
    state: State | None = None,
    *,
    methods: Sequence[str] = PAPERS,
    points: int = 1024,
    samples: int = 4096,
    title: str = TITLE,
    progress: bool = True,
) -> int:
    """Write a page with sliders for weight, guide and noise level that needs neither Python nor a network.

    Each method is sampled from the same noise at every weight of a grid and, where its guide is a network, with
    guides of several widths and lengths of training; dragging moves the points between these runs, and what stands
    still is one of them.

    Args:
        path: ends in .html; an existing file is replaced.
        state: the distribution, classes, main model, seed, interval and share, and the guide that is shown first; by
            default the paper's.
        methods: rows of `toydiff.METHODS`, in the menu's order.
        points: how many are shown.
        samples: how many the numbers are measured on, those shown among them.
        title: over the page.
        progress: show a bar.

    Returns:
        The size of the file in bytes.

    Raises:
        InputError: an argument is out of range, a network does not exist or the file cannot be written.
    """
    if not str(path).endswith(".html"):
        raise InputError(f"the page is {str(path)!r}; its name must end in .html")
    if not isinstance(title, str) or not title.strip():
        raise InputError(f"title is {title!r}; it must be a text")
    state = State() if state is None else state
    if not isinstance(state, State):
        raise InputError(f"state is {shown(state)}; it must be a toydiff.explorer.state.State")
    samples = count("samples", samples, 100, MOST_SAMPLES)
    points = count("points", points, 1, min(samples, 8192))
    states = states_of(state, methods)
    check_writable(path)
    runs = []
    with progress_bar(total=len(states), unit="run", show=progress) as bar:
        for run in compute_runs(states, points, samples):
            runs.append(run)
            bar.update()
    content = _page(state, runs, samples, title)
    write_bytes(path, content)
    return len(content)


def _page(state: State, runs: Sequence[Run], samples: int, title: str) -> bytes:
    sigma = noise_schedule()[list(LEVELS)]
    paths = [in_steps(run.path, sigma) for run in runs]
    base = paths[0][0]
    nothing = np.zeros((1, base.shape[1]), bool)
    packed = [pack(base[None], np.zeros_like(base), nothing, sigma)]
    packed += [pack(path, base, run.outliers, sigma) for path, run in zip(paths, runs, strict=True)]
    blocks = [
        f'<script type="text/plain" id="run{i}">{base64.b64encode(content).decode()}</script>'
        for i, content in enumerate(packed)
    ]
    manifest = json.dumps(_manifest(state, runs, samples), separators=(",", ":")).replace("<", "\\u003c")
    filled = {
        "title": escape(title),
        "style": text_of("page.css"),
        "script": "\n".join(map(text_of, SCRIPTS)),
        "manifest": manifest,
        "runs": "\n".join(blocks),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], text_of("page.html")).encode()


def text_of(name: str) -> str:
    """A part of the page."""
    return files("toydiff.explorer.page").joinpath(name).read_text("utf-8")


def _manifest(state: State, runs: Sequence[Run], samples: int) -> dict[str, Any]:
    """All but the points: what page.js reads."""
    view = whole_view(state.distribution, state.classes)
    schedule = noise_schedule()
    first = runs[0].numbers[0]
    chosen = state.method if state.method in {run.method for run in runs} else runs[-1].method
    return {
        "made": {"version": __version__, "samples": samples, "seed": state.seed, "main": _model(state.main)}
        | {"set": unusual_settings(state)},
        "view": view._asdict(),
        "colours": {name: COLOURS[name] for name in ("samples", "outliers", "trajectories")} | {"rescue": RESCUED},
        "outlines": _outlines(state, view),
        "sigma": [_short(s) for s in schedule],
        "levels": list(LEVELS),
        "quanta": quanta(schedule[list(LEVELS)]).tolist(),
        "points": runs[0].path.shape[2],
        "metrics": [
            {"title": METRICS[name].column, "meaning": METRICS[name].title, "percent": METRICS[name].share}
            | {"exact": _short(number.exact)}
            for name, number in first.items()
        ],
        "methods": {run.method: METHODS[run.method].title for run in runs},
        "first": {
            "method": chosen,
            "guides": {run.method: _model(state_of(state, run.method).guide) for run in runs},
            "weights": _default_weights(runs),
        },
        "runs": [
            {
                "method": run.method,
                "guide": _model(run.guide),
                "weights": run.weights,
                "numbers": [[_short(number.value) for number in numbers.values()] for numbers in run.numbers],
            }
            for run in runs
        ],
    }


def unusual_settings(state: State) -> str:
    """What the page has no slider for, in words, where it is not as usual."""
    interval, usual = state.interval, State().interval
    words = [f"weight only at {interval[0]:g} < σ ≤ {interval[1]:g}"] if interval != usual else []
    for name, value in dict(state.knobs).items():
        said = knob_of(state.method, name).help
        words.append(f"{name} {value:g} ({said[0].lower()}{said[1:]})")
    return ", ".join(words)


def _default_weights(runs: Sequence[Run]) -> dict[str, float]:
    """For each method the weight of its grid that is nearest to its own."""
    return {run.method: min(run.weights, key=lambda w: abs(w - METHODS[run.method].weight)) for run in runs}


def _model(model: Any) -> dict[str, Any] | None:
    return None if model is None else {"width": model.width, "steps": model.steps, "exact": model.exact}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _outlines(state: State, view: View) -> list[dict[str, Any]]:
    """The contours that outline each class, the one that is sampled last, in thousandths of a unit."""
    wide = view._replace(half_width=2 * view.half_width)
    ax = Figure().subplots()
    outlines = []
    for truth, hue in outlined(state.distribution, state.classes):
        contour = plotting.plot_outline(truth, view=wide, fill=False, resolution=OUTLINE_RESOLUTION, ax=ax)
        lines = [np.rint(1000 * line).astype(int).ravel().tolist() for line in contour.allsegs[0]]
        outlines.append({"light": hue.light, "strong": hue.strong, "lines": lines})
    return outlines
