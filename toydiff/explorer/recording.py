"""Films of states: the points on their way from noise to data, and the weight going up and down."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from toydiff.checks import choice, count
from toydiff.explorer.compute import Quality
from toydiff.explorer.drawing import INK, Canvas
from toydiff.explorer.scene import MOST_PANELS
from toydiff.explorer.state import State
from toydiff.guidance import METHODS
from toydiff.schedules import STEPS, noise_schedule

FPS = 12
"""Pictures a second, for `film.write_film`."""
SWEEP_FRAMES = 60
SWEEP_WEIGHTS = (1.0, 5.0)
"""From no guidance to the largest weight of the explorer's curve."""


class Kind(NamedTuple):
    """A row of the table of films."""

    title: str
    """As it stands in menus."""
    changes: Callable[[], list[dict[str, Any]]]
    """What is set in every state, for one picture after another."""


def play_changes() -> list[dict[str, Any]]:
    """The sampling run, whose end stands for a second before the loop begins again."""
    return [{"step": step} for step in [*range(STEPS + 1), *[STEPS] * (FPS - 1)]]


def sweep_changes() -> list[dict[str, Any]]:
    """The weight up and down, slow at both ends; the noise stays the same, so the points move smoothly."""
    low, high = SWEEP_WEIGHTS
    half = SWEEP_FRAMES // 2
    up = [low + (high - low) * (1 - math.cos(math.pi * i / half)) / 2 for i in range(half + 1)]
    return [{"weight": w, "weight_curve": None} for w in [*up, *up[-2:0:-1]]]


KINDS: dict[str, Kind] = {
    "play": Kind("from noise to data", play_changes),
    "sweep": Kind("the weight up and down", sweep_changes),
}
"""The films; another one is one function and one row."""


def frames(states: Sequence[State], kind: str, pixels: int) -> Iterator[Image.Image]:
    """The pictures of a film, drawn as they are asked for; Matplotlib wants no other thread drawing meanwhile.

    Args:
        states: one to four, side by side; three and four in two rows.
        kind: a row of `KINDS`.
        pixels: of each side of each state's picture; its caption stands above it.

    Raises:
        InputError: the number of states, the kind or the size is out of range, or a network does not exist.
    """
    row = KINDS[choice("film", kind, KINDS)]
    count("number of states of a film", len(states), 1, MOST_PANELS)
    return _draw(list(states), row, count("pixels", pixels, 64, 4096))


def _draw(states: list[State], row: Kind, pixels: int) -> Iterator[Image.Image]:
    canvases = [Canvas(pixels) for _ in states]  # one each: its background stays where it does not change
    drawn: dict[tuple[State, ...], Image.Image] = {}  # the way back, or the end that stands, is not drawn again
    for change in row.changes():
        now = tuple(replace(state, **change) for state in states)
        if now not in drawn:
            # The paper's solver, although slower: multistep solvers diverge where truncation's weight is 3 or more.
            qualities = [Quality.full(state) for state in now]
            pictures = [c.paint(state, q, q) for c, state, q in zip(canvases, now, qualities, strict=True)]
            drawn[now] = _arrange([_captioned(p, state) for p, state in zip(pictures, now, strict=True)])
        yield drawn[now]


def caption(state: State) -> tuple[str, str]:
    """Two lines: the method, then the weight and the noise level, in digits that keep their places."""
    sigma = float(noise_schedule()[state.step])
    weight = f"w = {state.weight:.2f}" if state.weight_curve is None else "w drawn"
    return METHODS[state.method].title, f"{weight}   σ = {sigma:.3f}"


def _captioned(picture: Image.Image, state: State) -> Image.Image:
    """The picture under its caption, which covers nothing."""
    width, height = picture.size
    size, margin = width // 19, width // 40
    lines = list(zip(caption(state), ("DejaVuSans-Bold", "DejaVuSans"), strict=True))
    top = round(2.6 * size) + margin
    result = Image.new("RGB", (width, top + height), "white")
    draw = ImageDraw.Draw(result)
    for i, (line, font) in enumerate(lines):
        draw.text((margin, margin // 2 + round(1.3 * size * i)), line, INK, _font(font, size))
    result.paste(picture.convert("RGB"), (0, top))
    return result


@lru_cache(maxsize=16)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that comes with Matplotlib: the same on every machine."""
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", size)


def _arrange(pictures: list[Image.Image]) -> Image.Image:
    """Side by side; three and four in two rows."""
    columns = min(len(pictures), 2)
    width, height = pictures[0].size
    gap = width // 40 if columns > 1 else 0
    size = columns * width + (columns - 1) * gap, -(-len(pictures) // columns) * height
    result = Image.new("RGB", size, "white")
    for i, picture in enumerate(pictures):
        result.paste(picture, (i % columns * (width + gap), i // columns * height))
    return result
