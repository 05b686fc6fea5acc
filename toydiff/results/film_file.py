"""Films from one picture after another: a GIF by Pillow, an MP4 by ffmpeg, or a folder of PNGs."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, cast

from PIL import Image

from toydiff.base.checks import InputError, choice, number, shown
from toydiff.base.files import PathLike, new_folder, replacing

GIF_COLOURS = 255
"""Colours of a GIF; the last of the 256 places stands for "as before"."""
GIF_FLAT_COLOURS = 32
"""How many of them are the commonest ones, unchanged."""
PALETTE_STRIDE = 4
"""Of each picture, every fourth pixel in both directions counts for the palette."""


def write_film(path: PathLike, frames: Iterable[Image.Image], *, fps: float = 20) -> None:
    """Write pictures as a film, whole or not at all; they are taken one at a time, as they are needed.

    Args:
        path: ends in .gif (loops for ever) or .mp4 (H.264; an odd side gets one white pixel more); without an ending,
            a new or empty folder for frame-0001.png, frame-0002.png, ...
        frames: RGB pictures, all of one size.
        fps: pictures a second, 1 to 50; a GIF keeps their sum to 1/100 s.

    Raises:
        InputError: the ending is unknown, there is no picture, they differ in size, `fps` is out of range,
            the file cannot be written, the folder is not empty, or there is no ffmpeg for an MP4, or it failed.
    """
    kind, fps = film_format(path), number("fps", fps, 1, 50)
    checked = _check_frames(frames)
    first = next(checked)  # a mistake shows before anything is written
    with replacing(path) if kind else new_folder(path) as temporary:
        WRITERS[kind](temporary, first.size, chain([first], checked), fps)


def film_format(path: PathLike) -> str:
    """A row of `WRITERS` by the ending of a path, "" for a folder.

    Raises:
        InputError: the ending is another one, or it is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"the film is {shown(path)}; it must be a path")
    ending = Path(path).suffix.lstrip(".").lower()
    if ending not in WRITERS:
        raise InputError(f"{path} ends in .{ending}; a film ends in .gif or .mp4, a folder of PNGs in nothing")
    return ending


def film_bytes(kind: str, frames: Iterable[Image.Image], *, fps: float = 20) -> bytes:
    """The content of the film that `write_film` writes; `kind` is "gif" or "mp4".

    Raises:
        InputError: as `write_film`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film.{choice('format', kind, filter(None, WRITERS))}"
        write_film(path, frames, fps=fps)
        return path.read_bytes()


def _check_frames(frames: Iterable[Image.Image]) -> Iterator[Image.Image]:
    size = None
    for frame in frames:
        if size is not None and frame.size != size:
            raise InputError(f"a picture is {frame.size} pixels, those before it {size}; all must be of one size")
        size = frame.size
        yield frame if frame.mode == "RGB" else frame.convert("RGB")
    if size is None:
        raise InputError("there are no pictures; a film needs one or more")


def _write_gif(path: Path, size: tuple[int, int], frames: Iterable[Image.Image], fps: float) -> None:
    """One palette for all pictures and no dithering: what stands still does not flicker, and is stored once."""
    kept, thumbnails = [], []
    for frame in frames:  # compressed until all are there: the palette is that of all of them
        kept.append(zlib.compress(frame.tobytes(), 1))
        thumbnails.append(frame.resize([-(-side // PALETTE_STRIDE) for side in size], Image.Resampling.NEAREST))
    palette = _shared_palette(thumbnails)
    shown = [min(255, round(value * 255 / 252)) for value in palette.getpalette() or []]  # white is white again

    def with_palette(content: bytes) -> Image.Image:
        frame = Image.frombytes("RGB", size, zlib.decompress(content))
        indexed = frame.quantize(palette=palette, dither=Image.Dither.NONE)
        indexed.putpalette(shown)
        return indexed

    pictures = map(with_palette, kept)
    ends = [round(100 * (i + 1) / fps) for i in range(len(kept))]  # a GIF counts in 1/100 s
    durations = [10 * (end - start) for start, end in zip([0, *ends], ends, strict=False)]
    # Given the palette, Pillow writes it once; "optimize" stores what has not changed as transparent.
    options: Any = {"palette": bytes(shown), "transparency": GIF_COLOURS, "optimize": True}
    options |= {"duration": durations, "loop": 0, "disposal": 1}
    next(pictures).save(path, "GIF", save_all=True, append_images=pictures, **options)


def _shared_palette(pictures: list[Image.Image]) -> Image.Image:
    """A picture whose palette suits all of `pictures`: the commonest colours as they are, the others by median cut.

    Without the former, white and the other flat colours would be mixed with the edges beside them. Its colours are
    in Pillow's 64 levels of each channel, 0, 4, ... 252, in which `quantize` looks for the nearest one.
    """
    width, height = pictures[0].size
    together = Image.new("RGB", (width, height * len(pictures)))
    for i, picture in enumerate(pictures):
        together.paste(picture.point(lambda value: value & 252), (0, i * height))
    counts = cast(list[tuple[int, tuple[int, ...]]], together.getcolors(1 << 18))
    colours = [colour for _, colour in sorted(counts, reverse=True)]
    flat, others = colours[:GIF_FLAT_COLOURS], colours[GIF_FLAT_COLOURS:]
    values = [value for colour in flat for value in colour]
    if others:
        rest = Image.new("RGB", (len(others), 1))
        rest.putdata(others)
        values += rest.quantize(GIF_COLOURS - len(flat), dither=Image.Dither.NONE).getpalette() or []
    values = values[: 3 * GIF_COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette(values + values[:3] * (256 - len(values) // 3))  # the first of equal colours is taken
    return palette


def _write_mp4(path: Path, size: tuple[int, int], frames: Iterable[Image.Image], fps: float) -> None:
    # The colours are converted by the rule of HD video, and the file says so: players guess otherwise.
    filters = "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    command = (
        f"-loglevel error -y -f rawvideo -pix_fmt rgb24 -s {size[0]}x{size[1]} -r {fps} -i pipe:0 -vf {filters} "
        "-c:v libx264 -preset medium -crf 20 -colorspace bt709 -color_primaries bt709 -color_trc bt709 "
        "-movflags +faststart -f mp4"
    ).split()
    # A file takes what ffmpeg says: a pipe that nobody reads would fill, and both would wait for ever.
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            [find_ffmpeg(), *command, str(path)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        ) as process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:  # it has ended early, and says why
                for frame in frames:
                    process.stdin.write(frame.tobytes())
        if process.returncode != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise InputError(f"ffmpeg failed: {lines[-1] if lines else f'exit status {process.returncode}'}")


def find_ffmpeg() -> str:
    """The system's ffmpeg, else the one in the wheel imageio-ffmpeg.

    Raises:
        InputError: there is neither.
    """
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # RuntimeError: a wheel without the program
        raise InputError("writing MP4 needs ffmpeg: install it, or pip install 'toydiff[film]'") from None


def _write_pngs(folder: Path, size: tuple[int, int], frames: Iterable[Image.Image], fps: float) -> None:
    for i, frame in enumerate(frames, 1):
        frame.save(folder / f"frame-{i:04}.png")


WRITERS: dict[str, Callable[[Path, tuple[int, int], Iterable[Image.Image], float], None]] = {
    "gif": _write_gif,
    "mp4": _write_mp4,
    "": _write_pngs,
}
"""How a film of each ending is written."""
