"""Films of guidance methods side by side, from the same noise, as a file or as a folder of pictures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from toydiff.base.checks import InputError, choice, count, number, several
from toydiff.base.files import PathLike, check_folder, check_writable
from toydiff.base.progress import progress_bar
from toydiff.distributions.catalogue import Source, all_classes
from toydiff.explorer import films
from toydiff.explorer.scene import MOST_PANELS
from toydiff.explorer.state import State, with_classes, with_method
from toydiff.guidance.methods import METHODS
from toydiff.results.film_file import film_format, find_ffmpeg, write_film

POINTS, PIXELS = 4096, 480
LONGEST = 60
"""Seconds."""


def animate(
    path: PathLike,
    film: str = "play",
    methods: Sequence[str] = ("cfg", "autoguidance"),
    *,
    weights: Sequence[float] | None = None,
    distribution: Source = "fractal_tree",
    classes: str = "A",
    layers: Sequence[str] = State.layers,
    view: Sequence[float] | None = None,
    points: int = POINTS,
    seed: int = 0,
    pixels: int = PIXELS,
    fps: float = films.FPS,
    seconds: float = films.SECONDS,
    progress: bool = True,
) -> None:
    """Write a film that loops, whole or not at all.

    Args:
        path: ends in .gif or .mp4 (which needs ffmpeg); without an ending, a new or empty folder for PNGs.
        film: "play" (the sampling run), "sweep" (the weight from 1 to 5 and back), "train" (the samples as the main
            model trains) or "train-guide": a row of `toydiff.explorer.films.KINDS`.
        methods: one to four rows of `toydiff.METHODS`, side by side.
        weights: w, one for all methods or one for each; by default each method's.
        distribution, classes: what is sampled; where there are no networks, by exact scores.
        layers: what is drawn, of `toydiff.explorer.state.LAYERS`.
        view: (x, y, half_width) of the square in view; by default all that is sampled.
        points: of each method.
        seed: of the noise.
        pixels: of each side of each method's picture.
        fps: pictures a second.
        seconds: length of the film.
        progress: show a bar.

    Raises:
        InputError: an argument is out of range, nothing would move, or the file or folder cannot be written. What
            stood there is then untouched.
    """
    fps, seconds = number("fps", fps, 1, 50), number("seconds", seconds, 0, LONGEST, above=0)
    n = count("number of pictures, fps times seconds,", round(fps * seconds), 2)
    _check_path(path)
    all_classes(distribution)  # which says what there is
    start = with_classes(State(), distribution, classes)
    given: dict[str, Any] = {"layers": layers, "view": start.view if view is None else view}
    start = replace(start, points=points, seed=seed, **given)
    if film == "sweep" and weights is not None:
        raise InputError("the film sweep goes through the weights itself: leave them out, or choose another film")
    frames = films.frames(side_by_side(start, methods, weights), film, pixels, n)
    write_film(path, progress_bar(frames, total=n, unit="picture", show=progress), fps=fps)


def _check_path(path: PathLike) -> None:
    """See that the film can be written: before minutes of drawing, not after."""
    kind = film_format(path)
    if kind:
        check_writable(path)
    else:
        check_folder(path)
    if kind == "mp4":
        find_ffmpeg()


def side_by_side(start: State, methods: Sequence[str], weights: Sequence[float] | None) -> list[State]:
    """A state for each method, with the weight that is given for it or its own."""
    methods = several("methods", methods)
    count("number of methods", len(methods), 1, MOST_PANELS)
    states = [with_method(start, choice("method", method, METHODS)) for method in methods]
    if weights is None:
        return states
    weights = several("weights", weights)
    if len(weights) not in (1, len(states)):
        raise InputError(f"there are {len(weights)} weights for {len(states)} methods; give one, or one for each")
    given = weights * (len(states) if len(weights) == 1 else 1)
    return [replace(state, weight=weight) for state, weight in zip(states, given, strict=True)]
