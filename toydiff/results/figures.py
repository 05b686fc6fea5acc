"""The table of figures, and how they are written."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from toydiff.base.checks import choice, count, several
from toydiff.base.files import PathLike, check_writable, replacing
from toydiff.base.progress import progress_bar
from toydiff.results import gallery, paper
from toydiff.results.paper import methods
from toydiff.results.style import STYLE

FIGURES: dict[str, Callable[[int], Figure]] = {
    "fig1": paper.fig1,
    "fig2": paper.fig2,
    "fig2-autoguidance": paper.fig2_autoguidance,
    "fig9": paper.fig9,
    "implied": paper.implied,
    "methods": methods,  # which draws some methods only, too
    "three-gaussians": paper.three_gaussians,
    **gallery.GALLERY,
}
"""Each draws with a seed of the noise; another figure is one function and one row, as in `gallery`."""
FORMATS = ("png", "pdf", "svg")


def save_figure(figure: Figure, path: PathLike) -> None:
    """Write a figure in the format of the path's ending, whole or not at all, the same bytes each time.

    Raises:
        InputError: the file cannot be written.
    """
    kind = Path(path).suffix.lstrip(".")
    metadata: dict[str, Any] = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with mpl.rc_context(STYLE), replacing(path) as temporary:
        figure.savefig(temporary, format=choice("format", kind, FORMATS), metadata=metadata[kind])
        if kind == "png":
            _reduce_colours(temporary)


def _reduce_colours(path: Path) -> None:
    """256 colours in place of 24 bits: a third of the size, with no difference that the eye sees."""
    with Image.open(path) as image:
        dpi, reduced = image.info["dpi"], image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True, dpi=dpi)


def draw_figures(
    names: Iterable[str] = tuple(FIGURES),
    folder: PathLike = "figures",
    *,
    formats: Iterable[str] = ("png",),
    seed: int = 0,
    progress: bool = True,
) -> list[Path]:
    """Draw figures of the table and write each in each format; the files written.

    Raises:
        InputError: there is no such figure or format, or a file cannot be written.
    """
    names, formats = several("names", names), several("formats", formats)
    for name in names:
        choice("figure", name, FIGURES)
    for kind in formats:
        choice("format", kind, FORMATS)
    count("seed", seed, 0, 2**32 - 1)
    for path in (Path(folder) / f"{name}.{kind}" for name in names for kind in formats):
        check_writable(path)
    written = []
    for name in progress_bar(names, unit="figure", show=progress):
        figure = FIGURES[name](seed)
        for kind in formats:
            written.append(Path(folder) / f"{name}.{kind}")
            save_figure(figure, written[-1])
    return written
