"""A progress bar on a terminal and in a notebook, and none where the output goes to a file."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm


def progress_bar(iterable: Iterable[Any] | None = None, *, show: bool = True, **options: Any) -> Any:
    """A `tqdm` bar; silent where `show` is false or nobody watches.

    A notebook's output is no terminal to tqdm's own test, so it is recognised by its kernel.
    """
    watched = "ipykernel" in sys.modules or sys.stderr.isatty()
    return tqdm(iterable, disable=not (show and watched), **options)
