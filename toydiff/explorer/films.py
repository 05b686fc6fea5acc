"""Films of states: the points on their way from noise to data, the weight going up and down, and training."""

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from toydiff.base.checks import InputError, choice, count
from toydiff.explorer.compute import Quality, points_now
from toydiff.explorer.drawing import Canvas
from toydiff.explorer.layers import INK
from toydiff.explorer.scene import MOST_PANELS
from toydiff.explorer.sheet import BOLD, FONT, Broken, Sheet, font, sheet_of_side, sheet_of_width, wrapped
from toydiff.explorer.state import SIGMAS, State
from toydiff.guidance.methods import METHODS
from toydiff.measuring.setting import ModelChoice
from toydiff.networks.library import BUNDLE, Library
from toydiff.sampling.schedules import STEPS

FPS, SECONDS = 15, 5
"""Pictures a second, for `film.write_film`, and the length of a film."""
FRAMES = FPS * SECONDS
SWEEP_WEIGHTS = (1.0, 5.0)
"""From no guidance to the largest weight of the explorer's curve."""
FORTH, BACK = 0.6, 0.25
"""Parts of the film of the sampling run for the way to the data, and back; in between it stands."""
REST = 0.4
"""Part of the time of each snapshot of a training in which its points stand before they go on to the next."""


class Moment(NamedTuple):
    """A picture of a film: the points of a state, or a part of the straight way from there to those of another."""

    state: State
    onward: State
    part: float

    @property
    def shown(self) -> State:
        """The state that is nearer; caption, outliers and everything but the points are its."""
        return self.state if self.part < 0.5 else self.onward


class Kind(NamedTuple):
    """A row of the table of films."""

    title: str
    """As it stands in menus."""
    course: Callable[[State, int, Library], list[Moment]]
    """(state, number of pictures, library) -> a moment for each; the last leads to the first."""
    says: Callable[[State], str]
    """What a caption says of a state besides its weight."""


def eased(part: float) -> float:
    """A part of a way, 0 to 1, that is slow at both ends; rounded, so that the way back meets the same moments."""
    return round((1 - math.cos(math.pi * min(max(part, 0.0), 1.0))) / 2, 6)


def play(state: State, n: int, library: Library = BUNDLE) -> list[Moment]:
    """The sampling run, its end, and quickly back into noise; between two steps of the solver points go straight."""
    moments = []
    for t in (i / n for i in range(n)):
        at = STEPS * min(t / FORTH, 1.0, eased((1 - t) / BACK))
        before, after = (replace(state, sigma=SIGMAS[stop(at)]) for stop in (math.floor, math.ceil))
        moments.append(Moment(before, after, at - math.floor(at)))
    return moments


def sweep(state: State, n: int, library: Library = BUNDLE) -> list[Moment]:
    """The weight up and down; the noise stays the same, so the points move smoothly."""
    low, high = SWEEP_WEIGHTS
    weights = [low + (high - low) * eased(2 * min(i, n - i) / n) for i in range(n)]
    states = [replace(state, weight=w, weight_curve=None, sigma=0.0) for w in weights]
    return [Moment(state, state, 0.0) for state in states]


def train(which: str, state: State, n: int, library: Library = BUNDLE) -> list[Moment]:
    """The samples as the "main" model or the "guide" trains.

    They rest and go on, snapshot by snapshot; rest for longer at the last, and go straight back to the first.
    """
    models: list[dict[str, Any]] = [{which: model} for model in snapshots(state, which, library)]
    states = [replace(state, sigma=0.0, **model) for model in models]
    last = len(states) - 1
    moments = []
    for i in range(n):
        at = (last + 2.5) * i / n  # in units of a snapshot; the last rests for 1.5, the way back takes 1
        if at < last:
            first, onward, passed = states[int(at)], states[int(at) + 1], (at % 1 - REST) / (1 - REST)
        else:
            first, onward, passed = states[-1], states[0], at - last - 1.5
        part = eased(passed) if onward != first else 0.0
        moments.append(Moment(first, onward if part else first, part))
    return moments


def snapshots(state: State, which: str, library: Library = BUNDLE) -> list[ModelChoice]:
    """The networks like a state's "main" or "guide" after fewer or more steps; only itself where it is not trained."""
    model: ModelChoice = getattr(state, which)
    classes = [state.classes] if which == "main" else state.guide_classes
    if model.exact or not classes:
        return [model]
    names = library.networks(state.distribution, model.family)
    steps = [{n.steps for n in names if (n.classes, n.width) == (c, model.width)} for c in classes]
    return [replace(model, steps=step) for step in sorted(set.intersection(*steps))] or [model]


def _size(model: ModelChoice) -> str:
    return "exact" if model.exact else f"{model.steps} steps"


def _say_guide(state: State) -> str:
    return f"guide: {_size(state.guide)}" if state.row.networks else "no trained guide"


KINDS: dict[str, Kind] = {
    "play": Kind("from noise to data", play, lambda state: f"σ = {state.sigma:.3f}"),
    "sweep": Kind("the weight up and down", sweep, lambda state: ""),
    "train": Kind("the main model trains", partial(train, "main"), lambda state: f"main: {_size(state.main)}"),
    "train-guide": Kind("the guide trains", partial(train, "guide"), _say_guide),
}
"""The films; another one is one function and one row."""


def frames(
    states: Sequence[State], kind: str, pixels: int, n: int = FRAMES, library: Library = BUNDLE
) -> Iterator[Image.Image]:
    """The pictures of a film, drawn as they are asked for; Matplotlib wants no other thread drawing meanwhile.

    Args:
        states: one to four, side by side; four in two rows.
        kind: a row of `KINDS`.
        pixels: of each side of each state's picture; its caption stands above it.
        n: how many pictures.
        library: where the networks are.

    Raises:
        InputError: a number or the kind is out of range, a network does not exist, or nothing would move.
    """
    side = count("pixels", pixels, 64, 4096)
    return _frames(states, kind, n, library, lambda broken: sheet_of_side(len(states), side, broken))


def frames_of_width(
    states: Sequence[State], kind: str, width: int, n: int = FRAMES, library: Library = BUNDLE
) -> Iterator[Image.Image]:
    """The pictures of a film for a projector that is `width` pixels wide, all states in one row; else as `frames`."""
    width = count("width", width, 640, 7680)
    return _frames(states, kind, n, library, lambda broken: sheet_of_width(len(states), width, broken))


def _frames(
    states: Sequence[State], kind: str, n: int, library: Library, lay_out: Callable[[Broken], Sheet]
) -> Iterator[Image.Image]:
    row = KINDS[choice("film", kind, KINDS)]
    count("number of states of a film", len(states), 1, MOST_PANELS)
    n = count("number of pictures", n, 2)
    courses = [row.course(state, n, library) for state in states]
    if all(len(set(course)) == 1 for course in courses):
        raise InputError(f"nothing would move: {row.title} changes none of these pictures; choose another film")
    captions = {moment.shown: caption(row, moment.shown) for course in courses for moment in course}
    broken = partial(_broken, set(captions.values()))
    sheet = lay_out(lambda room, text: broken(room, text).values())
    lines = broken(sheet.room, sheet.text)
    return _draw(courses, {state: lines[said] for state, said in captions.items()}, sheet, library)


Caption = tuple[str, str]
Line = tuple[str, ImageFont.FreeTypeFont]


def _broken(captions: Set[Caption], room: int, text: int) -> dict[Caption, list[Line]]:
    """The lines of each caption; weight and the rest stand apart in all of them where they must in one."""
    bold, plain = (font(name, text) for name in (BOLD, FONT))
    apart = any(plain.getlength(rest) > room for _, rest in captions)
    return {
        (title, rest): [(line, bold) for line in wrapped(title, room, bold)]
        + [(line, plain) for part in (rest.split("   ") if apart else [rest]) for line in wrapped(part, room, plain)]
        for title, rest in captions
    }


def _draw(
    courses: list[list[Moment]], captions: Mapping[State, list[Line]], sheet: Sheet, library: Library
) -> Iterator[Image.Image]:
    canvases = [Canvas(sheet.side, library) for _ in courses]  # one each: what does not change of it stays
    drawn: dict[tuple[Moment, ...], bytes] = {}  # the way back, or the end that stands, is not drawn again
    for now in zip(*courses, strict=True):
        if now not in drawn:
            pictures = [paint(canvas, moment, library) for canvas, moment in zip(canvases, now, strict=True)]
            together = _arrange(sheet, pictures, [captions[moment.shown] for moment in now])
            drawn[now] = zlib.compress(together.tobytes(), 1)
        yield Image.frombytes("RGB", sheet.size, zlib.decompress(drawn[now]))


def paint(canvas: Canvas, moment: Moment, library: Library = BUNDLE) -> Image.Image:
    """The picture of a moment on a canvas."""
    # The paper's solver, although slower: multistep solvers diverge where truncation's weight is 3 or more.
    quality = Quality.full(moment.shown)
    start, end = (points_now(state, quality, library) for state in moment[:2])
    now = start + np.float32(moment.part) * (end - start)
    return canvas.paint(moment.shown, quality, now)


def caption(row: Kind, state: State) -> tuple[str, str]:
    """Two lines: the method, then the weight and what the film changes, in digits that keep their places."""
    weight = f"w = {state.weight:.2f}" if state.weight_curve is None else "w drawn"
    return METHODS[state.method].title, f"{weight}   {row.says(state)}"


def _arrange(sheet: Sheet, pictures: list[Image.Image], captions: list[list[Line]]) -> Image.Image:
    """Pictures side by side, each under its caption."""
    result = Image.new("RGB", sheet.size, "white")
    draw = ImageDraw.Draw(result)
    for i, (picture, lines) in enumerate(zip(pictures, captions, strict=True)):
        x, y = sheet.place(i)
        result.paste(picture.convert("RGB"), (x, y))
        for k, (line, face) in enumerate(lines):
            down = sheet.margin // 2 + round(1.3 * sheet.text * k)
            draw.text((x + sheet.margin, y - sheet.top + down), line, INK, face)
    return result
