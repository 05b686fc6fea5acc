"""The threads that draw: always the newest scene, first quickly, then, when nothing moves, in full."""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from toydiff.explorer.compute import QUICK, Quality, compile_ahead
from toydiff.explorer.drawing import Renderer, drawing_lock
from toydiff.explorer.probe import probe
from toydiff.explorer.scene import Scene
from toydiff.explorer.state import SIGMAS, State
from toydiff.networks.library import BUNDLE, Library
from toydiff.sampling.schedules import STEPS

REST_S = 0.12
"""Seconds without a new scene after which the full pictures are drawn."""
ACKNOWLEDGE_S = 0.5
"""How long to wait until the browser shows the pictures before the next ones are sent."""


class Worker:
    """Draws the newest scene that was submitted and drops the older ones, so that no queue builds up.

    `on_picture(panel, state, content, full)` gets each picture. After full ones `on_rest(scene)` gives an iterator,
    whose steps are done as long as nothing moves. `on_error(error)` gets what went wrong, and the worker goes on. They
    are called on the worker's thread. A second thread, while nothing moves, compiles what the next drag may need.
    """

    def __init__(
        self,
        on_picture: Callable[[int, State, bytes, bool], object],
        on_rest: Callable[[Scene], Iterator[object]],
        on_error: Callable[[Exception], object],
        library: Library = BUNDLE,
    ):
        """Start the threads; `library` has the networks of the scenes."""
        self._library = library
        self._on_picture, self._on_rest, self._on_error = on_picture, on_rest, on_error
        self._renderers: list[Renderer] = []
        self._drawn: dict[int, tuple[State, bool]] = {}
        self._newest: Scene | None = None
        self._arrived, self._resting = threading.Event(), threading.Event()
        self._unseen, self._seen = 0, threading.Condition()
        self._closed = False
        self._paused = False
        self._threads = [
            threading.Thread(target=target, name="toydiff-explorer", daemon=True)
            for target in (self._draw_newest, self._compile_ahead)
        ]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)  # the interpreter must not end while a thread computes

    def submit(self, scene: Scene) -> None:
        """Draw this scene next."""
        self._newest = scene
        self._resting.clear()
        self._arrived.set()

    def has_drawn(self, panel: int, state: State) -> bool:
        """Whether a panel shows a state in full."""
        return self._drawn.get(panel) == (state, True)

    @property
    def paused(self) -> bool:
        """Whether only quick pictures are drawn, and nothing is compiled ahead: networks are trained meanwhile."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._resting.clear()
        self._arrived.set()  # what was left out follows

    def acknowledge(self) -> None:
        """One more of the pictures that were sent is on the screen."""
        with self._seen:
            self._unseen = max(0, self._unseen - 1)
            self._seen.notify_all()

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
        moving: Scene | None = None
        while not self._closed:
            rested = not self._arrived.wait(timeout=REST_S if moving is not None else None)
            if not rested:  # else a scene that arrives just now would be forgotten
                self._arrived.clear()
            if self._closed or self._newest is None:
                continue
            try:
                if rested and moving is not None:
                    finished, moving = moving, None
                    if self._paused:
                        continue
                    for _ in self._finish(finished):
                        if self._arrived.is_set():
                            break
                    else:
                        self._resting.set()
                else:
                    moving = self._newest
                    for panel in _active_first(moving):
                        if self._drawn.get(panel, (None, False))[0] != moving.panels[panel]:
                            self._try_to_send(panel, moving.panels[panel], QUICK)
            except Exception as error:  # whatever it is, it belongs in the interface
                moving = None
                self._on_error(error)

    def _finish(self, scene: Scene) -> Iterator[object]:
        for panel in _active_first(scene):
            state = scene.panels[panel]
            if not self.has_drawn(panel, state):
                self._try_to_send(panel, state, Quality.full(state))
                yield None
        yield from self._on_rest(scene)

    def _try_to_send(self, panel: int, state: State, quality: Quality) -> None:
        """Send a picture; what goes wrong with it must not keep the others back."""
        try:
            self._send(panel, state, quality)
        except Exception as error:
            self._on_error(error)

    def _send(self, panel: int, state: State, quality: Quality) -> None:
        while len(self._renderers) <= panel:
            self._renderers.append(Renderer(library=self._library))
        self._drawn.pop(panel, None)  # a failure leaves it to be drawn again
        with drawing_lock:
            content = self._renderers[panel].render(state, quality)
        full = quality is not QUICK
        at_once = len(self._newest.panels) if self._newest is not None else 1
        with self._seen:
            self._seen.wait_for(lambda: self._unseen < at_once, ACKNOWLEDGE_S)
            self._unseen = min(self._unseen, at_once - 1) + 1
        self._drawn[panel] = state, full
        self._on_picture(panel, state, content, full)

    def _compile_ahead(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own: what a person waits for goes first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        while not self._closed:
            self._resting.wait()
            if self._closed or self._newest is None:
                continue
            try:
                for _ in _ahead(self._newest.state, self._library):
                    if self._closed or not self._resting.is_set():
                        break
                else:
                    self._resting.clear()
            except Exception as error:
                self._resting.clear()
                self._on_error(error)


def _active_first(scene: Scene) -> list[int]:
    return sorted(range(len(scene.panels)), key=lambda panel: panel != scene.active)


def _ahead(state: State, library: Library) -> Iterator[object]:
    """What a person may do next: probe, then choose another width or method."""
    yield probe(replace(state, probe=(state.view.x, state.view.y), sigma=SIGMAS[STEPS // 2]), library)
    yield from compile_ahead(state, library)
