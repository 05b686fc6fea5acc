"""Long work: a progress bar where somebody watches, and an end by Ctrl-C that loses nothing."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tqdm.auto import tqdm


def progress_bar(iterable: Iterable[Any] | None = None, *, show: bool = True, **options: Any) -> Any:
    """A `tqdm` bar; silent where `show` is false or nobody watches.

    A notebook's output is no terminal to tqdm's own test, so it is recognised by its kernel.
    """
    watched = "ipykernel" in sys.modules or sys.stderr.isatty()
    return tqdm(iterable, disable=not (show and watched), **options)


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Within the block, Ctrl-C (or a notebook's stop button) only makes the yielded function return True.

    An exception thrown into the middle of a compilation can bring the process down when it ends. Outside the
    main thread, where no signal arrives, the function returns False. A second Ctrl-C stops at once.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def press(*_: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    previous = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
