"""`export_html`: one HTML file that shows runs in the explorer's own front end, from any address, a file's too."""

import base64
import json
import re
import zlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from toydiff.base.checks import InputError, count, shown
from toydiff.base.files import PathLike, check_writable, write_bytes
from toydiff.base.progress import progress_bar
from toydiff.explorer import front
from toydiff.explorer.about import about
from toydiff.explorer.frames import outlines
from toydiff.explorer.page.manifest import manifest
from toydiff.explorer.page.pack import in_steps, pack
from toydiff.explorer.page.runs import LEVELS, PAPERS, Run, compute_runs, states_of
from toydiff.explorer.scene import Scene
from toydiff.explorer.state import State
from toydiff.sampling.schedules import noise_schedule

TITLE = "What does guidance do to a diffusion model?"
SCRIPTS = ("unpack.js", "engine.js")
"""After the front end's own, each after what it uses."""
MOST_SAMPLES = 100_000
"""As many as the explorer takes: more would not fit into memory with their ways."""
PYTHONS = ("train", "drawings", "films")
"""Tables without which the front end leaves out what only Python can do."""


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
    """Write the explorer as a page that needs neither Python nor a network, with what was recorded for it.

    Each method is sampled from the same noise at every weight of a grid and, where its guide is a network, with
    guides of several widths and lengths of training; dragging moves the points between these runs, and what stands
    still is one of them.

    Args:
        path: ends in .html; an existing file is replaced.
        state: what is shown first; all methods have its distribution, classes, main model and seed. By default the
            paper's.
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
    state = State() if state is None else state
    if not isinstance(state, State):
        raise InputError(f"state is {shown(state)}; it must be a toydiff.explorer.state.State")
    if not isinstance(title, str) or not title.strip():
        raise InputError(f"title is {title!r}; it must be a text")
    scene = Scene((state,), title=title)
    samples = count("samples", samples, 100, MOST_SAMPLES)
    points = count("points", points, 1, min(samples, 8192))
    states = states_of(state, methods)
    check_writable(path)
    computed = compute_runs(states, points, samples)
    runs = list(progress_bar(computed, total=len(states), unit="run", show=progress))
    filled = {"title": escape(title), "manifest": _json(manifest(scene, runs)), "blocks": _blocks(state, runs)}
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], renewed(_text("page.html"))).encode()
    write_bytes(path, page)
    return len(page)


def renewed(page: str) -> str:
    """A page that was written before, with the front end of today around its runs."""
    tables = {name: table for name, table in about().items() if name not in PYTHONS}
    script = "\n".join((f"const TABLES = {_json(tables)};", front.script(), *map(_text, SCRIPTS)))
    for tag, content in (("<style>", front.style()), ('<script type="module">', script)):
        before, rest = page.split(f"{tag}\n", 1)
        page = "\n".join((before + tag, content, "</" + rest.split("\n</", 1)[1]))
    return page


def _text(name: str) -> str:
    return files("toydiff.explorer.page").joinpath(name).read_text("utf-8")


def _json(values: Any) -> str:
    return json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")


def _blocks(state: State, runs: Sequence[Run]) -> str:
    """What is packed: the outlines of each class, the points without guidance, and the runs that are told from them."""
    sigma = noise_schedule()[list(LEVELS)]
    paths = [in_steps(run.path, sigma) for run in runs]
    base = paths[0][0]  # at w = 1, where all methods are without guidance
    packed = {"base": pack(base[None], np.zeros_like(base), runs[0].outliers[:1], sigma)}
    packed |= {f"run{i}": pack(path, base, runs[i].outliers, sigma) for i, path in enumerate(paths)}
    lines = outlines(state.distribution, state.classes).buffers
    packed |= {f"outlines{i}": zlib.compress(line, 9) for i, line in enumerate(lines)}
    blocks = ((name, base64.b64encode(content).decode()) for name, content in packed.items())
    return "\n".join(f'<script type="text/plain" id="{name}">{text}</script>' for name, text in blocks)
