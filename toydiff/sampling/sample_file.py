"""Samples as a file, written while they are drawn: however many, in bounded memory, and whole or not at all."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from zipfile import ZipFile

import numpy as np

from toydiff.base.checks import LOST, check_finite
from toydiff.base.files import PathLike, replacing
from toydiff.base.progress import deferred_interrupt, progress_bar


def write_samples(path: PathLike, chunks: Iterable[np.ndarray], n: int, recipe: Mapping[str, Any]) -> None:
    """Write `samples` [n, 2] in float32, from chunks as they come, and `recipe` as JSON: what `np.savez` would write.

    Raises:
        InputError: the file cannot be written. Then, and whatever stops the chunks, what stood there is untouched.
    """
    with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
        with archive.open("samples.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n, 2)}
            np.lib.format.write_array_header_1_0(file, header)
            for chunk in chunks:
                file.write(np.ascontiguousarray(chunk, "<f4").data)
        with archive.open("recipe.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, np.array(json.dumps(recipe)))


def attend(chunks: Iterable[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """The chunks, with a progress bar where they take long; Ctrl-C ends them after the one that is being computed.

    Raises:
        InputError: a sample is not finite.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    bar = progress_bar(total=n, unit=" samples", unit_scale=True, delay=1, leave=False)
    with deferred_interrupt() as stopped, bar:
        for chunk in chunks:
            if stopped():
                raise KeyboardInterrupt
            check_finite(chunk, LOST, "lower the weight or sigma-max, or raise steps")
            bar.update(len(chunk))
            yield chunk
