"""The threads that draw: always the newest state, first quickly, then, when nothing moves, in full."""

import atexit
import threading
from collections.abc import Callable, Iterator

from toydiff.explorer.compute import QUICK, Quality, compile_ahead
from toydiff.explorer.drawing import Renderer
from toydiff.explorer.state import State

REST_S = 0.12
"""Seconds without a new state after which the full picture is drawn."""
ACKNOWLEDGE_S = 0.5
"""How long to wait until the browser shows a picture before the next one is sent."""

_drawing = threading.Lock()
"""Explorers of one notebook draw in turn: Matplotlib does not promise to draw in two threads at once."""


class Worker:
    """Draws the newest state that was submitted and drops the older ones, so that no queue builds up.

    `on_picture(state, content, full)` gets each picture. After a full one `on_rest(state)` gives an iterator, whose
    steps are done as long as nothing moves. `on_error(error)` gets what went wrong, and the worker goes on. All of them
    are called on the worker's thread. A second thread, while nothing moves, compiles what the next drag may need.
    """

    def __init__(
        self,
        on_picture: Callable[[State, bytes, bool], object],
        on_rest: Callable[[State], Iterator[object]],
        on_error: Callable[[Exception], object],
    ):
        """Start the threads."""
        self._on_picture, self._on_rest, self._on_error = on_picture, on_rest, on_error
        self._renderer = Renderer()
        self._newest: State | None = None
        self._arrived, self._shown, self._resting = threading.Event(), threading.Event(), threading.Event()
        self._shown.set()
        self._closed = False
        self._threads = [
            threading.Thread(target=target, name="toydiff-explorer", daemon=True)
            for target in (self._draw_newest, self._compile_ahead)
        ]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)  # the interpreter must not end while a thread computes

    def submit(self, state: State) -> None:
        """Draw this state next."""
        self._newest = state
        self._resting.clear()
        self._arrived.set()

    def acknowledge(self) -> None:
        """The last picture is on the screen."""
        self._shown.set()

    def close(self) -> None:
        """End the threads after what is at hand."""
        self._closed = True
        self._arrived.set()
        self._resting.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=10)
        atexit.unregister(self.close)

    def _draw_newest(self) -> None:
        drawn: State | None = None
        while not self._closed:
            rested = not self._arrived.wait(timeout=REST_S if drawn is not None else None)
            if not rested:  # else a state that arrives just now would be forgotten
                self._arrived.clear()
            if self._closed or self._newest is None:
                continue
            try:
                if rested and drawn is not None:
                    finished, drawn = drawn, None
                    self._send(finished, Quality.full(finished))
                    for _ in self._on_rest(finished):
                        if self._arrived.is_set():
                            break
                    else:
                        self._resting.set()
                else:
                    drawn = self._newest
                    self._send(drawn, QUICK)
            except Exception as error:  # whatever it is, it belongs in the interface
                drawn = None
                self._on_error(error)

    def _send(self, state: State, quality: Quality) -> None:
        with _drawing:
            content = self._renderer.render(state, quality)
        self._shown.wait(ACKNOWLEDGE_S)
        self._shown.clear()
        self._on_picture(state, content, quality is not QUICK)

    def _compile_ahead(self) -> None:
        while not self._closed:
            self._resting.wait()
            if self._closed or self._newest is None:
                continue
            try:
                for _ in compile_ahead(self._newest):
                    if self._closed or not self._resting.is_set():
                        break
                else:
                    self._resting.clear()
            except Exception as error:
                self._resting.clear()
                self._on_error(error)
