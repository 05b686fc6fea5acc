"""Pictures side by side under their captions: where they stand, and how captions are broken to fit above them."""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from PIL import ImageFont

PROJECTORS = (1280, 1920)
"""Pixels across."""
FONT, BOLD = "DejaVuSans", "DejaVuSans-Bold"
"""They come with Matplotlib: the same on every machine."""
Broken = Callable[[int, int], Collection[list[Any]]]
"""(room in pixels, size of the text) -> the lines of each caption."""


class Sheet(NamedTuple):
    """Square pictures in rows, each under a caption; all in pixels."""

    n: int
    columns: int
    width: int
    side: int
    """Of each picture."""
    gap: int
    text: int
    """Size of the letters."""
    lines: int = 1
    """Of each caption."""

    @property
    def margin(self) -> int:
        """Beside a caption."""
        return self.text // 2

    @property
    def room(self) -> int:
        """For a line of a caption."""
        return self.side - 2 * self.margin

    @property
    def top(self) -> int:
        """Height of a caption, which covers nothing of its picture."""
        return round(1.3 * self.text * self.lines) + self.margin

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of it all."""
        return self.width, -(-self.n // self.columns) * (self.top + self.side)

    def place(self, i: int) -> tuple[int, int]:
        """Upper left corner of a picture; its caption ends there."""
        left = (self.width - self.columns * (self.side + self.gap) + self.gap) // 2
        down, across = divmod(i, self.columns)
        return left + across * (self.side + self.gap), self.top + down * (self.top + self.side)


def sheet_of_side(n: int, side: int, broken: Broken) -> Sheet:
    """Pictures of a given side, all as wide together as they are; four in two rows."""
    columns, gap, text = 2 if n == 4 else n, side // 40, side // 19
    sheet = Sheet(n, columns, columns * (side + gap) - gap, side, gap, text)
    return sheet._replace(lines=max(map(len, broken(sheet.room, text))))


def sheet_of_width(n: int, width: int, broken: Broken) -> Sheet:
    """Pictures in one row of a given width, which a projector shows as they are: no higher than 9/16 of it."""
    gap, text = width // 80, width // 60
    widest = (width - (n - 1) * gap) // n
    sheet = Sheet(n, n, width, widest, gap, text)
    while True:  # a longer caption leaves less for the picture, and so for itself
        sheet = sheet._replace(side=max(min(widest, width * 9 // 16 - sheet.top), widest // 3))
        lines = max(map(len, broken(sheet.room, text)))
        if lines <= sheet.lines:
            return sheet
        sheet = sheet._replace(lines=lines)


@lru_cache(maxsize=16)
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of `FONT` and `BOLD`."""
    file = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(file), size)  # Pillow 10.0 takes no Path


def wrapped(text: str, room: int, face: ImageFont.FreeTypeFont) -> list[str]:
    """The lines of a text, none longer than `room`: broken between words, not in a formula, if need be anywhere."""
    lines = [""]
    for word in re.split(r"(?<![=·−+]) (?!=)", text):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if face.getlength(longer.strip()) <= room:
            lines[-1] = longer
            continue
        lines += [""] * bool(lines[-1])
        for letter in word:
            if lines[-1] and face.getlength(lines[-1] + letter) > room:
                lines.append("")
            lines[-1] += letter
    return [line.strip(" ·") for line in lines]
