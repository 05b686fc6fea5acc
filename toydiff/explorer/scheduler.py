"""The threads that compute for all sessions of a process: what moves first, then what rests, then what may come."""

import atexit
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

REST_S = 0.12
"""Seconds without a change after which a session is at rest, and its pictures are made in full."""
PATIENCE_S = 1.0
"""How long a session at rest waits for others that move."""
DRAG_S, AHEAD_S = 1.0, 10.0
"""Changes that follow sooner are a drag. After one, how long nothing moves before what may come is prepared: another
drag is likely, and what is being compiled then cannot be stopped."""
_log = logging.getLogger(__name__)


class Work(Protocol):
    """What a session has to do; one that raises is given up."""

    def move(self) -> None:
        """Send the newest scene quickly."""

    def rest(self) -> Iterator[object]:
        """Send it in full, step by step, as long as nothing moves."""

    def ahead(self) -> Iterator[object]:
        """Prepare, step by step, what a person may do next."""


class Scheduler:
    """Two threads: one computes what is shown, the other, slower, compiles what the next drag may need."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._moving: dict[Work, None] = {}  # in order, each once: no queue builds up
        self._rest_at: dict[Work, float] = {}
        self._steps: dict[Work, Iterator[object]] = {}
        self._last: Work | None = None
        self._coming: Iterator[object] = iter(())
        self._moved_at = self._dragged_at = self._rested_at = -math.inf
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, work: Work) -> None:
        """Its scene has changed."""
        with self._changed:
            self._moving[work] = None
            self._rest_at.pop(work, None)
            self._steps.pop(work, None)
            self._start()
            self._changed.notify_all()

    def remove(self, work: Work) -> None:
        """Forget a session that is closed."""
        with self._changed:
            for waiting in (self._moving, self._rest_at, self._steps):
                waiting.pop(work, None)
            self._last = None if self._last is work else self._last
            self._changed.notify_all()

    def close(self) -> None:
        """End the threads after what is at hand: the interpreter must not end while one computes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=10)

    def _start(self) -> None:
        if not self._threads:
            for target in (self._show, self._prepare):
                thread = threading.Thread(target=target, name="toydiff-explorer", daemon=True)
                self._threads.append(thread)
                thread.start()
            atexit.register(self.close)

    def _show(self) -> None:
        while not self._closed:
            self._take_turn()  # what it knows of a session ends with it: one that is closed leaves nothing

    def _take_turn(self) -> None:
        """Let the session whose turn it is move or rest; else wait."""
        with self._changed:
            now = time.monotonic()
            resting, waits = self._due(now)
            work = next(iter(self._moving), None) if resting is None else None
            if work is not None:
                del self._moving[work]
                if now - self._moved_at < DRAG_S:
                    self._dragged_at = now
                self._last, self._moved_at = work, now
                self._rest_at[work] = now + REST_S
            elif resting is None and not self._closed:
                self._changed.wait(None if waits is None else max(0.001, min(waits, REST_S)))
        if resting is not None:
            self._let(resting, self._rest_a_step)
        elif work is not None:
            self._let(work, self._move)

    def _let(self, work: Work, act: Callable[[Work], None]) -> None:
        try:
            act(work)
        except Exception:  # its host may have gone: the others go on
            _log.exception("a session of the explorer is given up")
            self.remove(work)

    def _move(self, work: Work) -> None:
        work.move()
        with self._changed:
            if work in self._rest_at:
                self._rest_at[work] = time.monotonic() + REST_S

    def _due(self, now: float) -> tuple[Work | None, float | None]:
        """The session at rest whose turn it is, or None and the seconds until then. Called with the lock."""
        first = min(self._rest_at, key=self._rest_at.__getitem__, default=None)
        if first is None:
            return None, None
        if not self._moving and now - self._moved_at >= REST_S:
            waits = self._rest_at[first] - now
        else:  # one step at a time, so that what moves goes on
            waits = max(self._rest_at[first], self._rested_at) + PATIENCE_S - now
        return (first, None) if waits <= 0 else (None, waits)

    def _rest_a_step(self, work: Work) -> None:
        steps = self._steps.get(work)
        if steps is None:
            steps = work.rest()
        done = next(steps, self) is self
        with self._changed:
            self._rested_at = time.monotonic()
            if work not in self._rest_at:  # it has moved, or is closed
                return
            if done:
                del self._rest_at[work]
                self._steps.pop(work, None)
                self._changed.notify_all()
            else:
                self._steps[work] = steps
                self._rest_at[work] = time.monotonic()  # to the end of those that wait

    def _prepare(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own: what a person waits for goes first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        prepared: Work | None = None
        while True:
            with self._changed:
                if self._closed:
                    return
                busy, waits = bool(self._moving or self._rest_at), self._dragged_at + AHEAD_S - time.monotonic()
                if busy or waits > 0 or self._last is None:
                    prepared, self._coming = None, iter(())
                    self._changed.wait(None if busy or waits <= 0 else waits)
                    continue
                if self._last is not prepared:
                    prepared, self._coming = self._last, self._last.ahead()
            self._let(prepared, self._prepare_a_step)

    def _prepare_a_step(self, work: Work) -> None:
        if next(self._coming, self) is self:
            with self._changed:
                if not self._moving and not self._rest_at and self._last is work and not self._closed:
                    self._changed.wait()


scheduler = Scheduler()
"""Of this process: JAX computes with all cores, so several at once would only be slower."""
