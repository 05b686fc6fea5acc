"""Long work of a session: what is told of it while it goes on, and what is drawn on a thread of its own."""

import atexit
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from toydiff.base.checks import InputError

if TYPE_CHECKING:
    from toydiff.explorer.session import Session

Action = Callable[["Session", Mapping[str, Any], Sequence[bytes]], object]
"""(session, values, buffers): what it raises is said to the person who asked."""
INTERVAL_S = 0.1
"""Between two reports of progress."""
CLOSE_S = 10
"""Seconds that a session waits at most for what is being drawn when it is closed."""


class Progress:
    """Values that are told to every view under a name, when they change, on any thread."""

    def __init__(self, session: "Session", name: str, **values: Any):
        """Start with these values; nothing is told yet."""
        self._session, self._name, self._told = session, name, 0.0
        self.values = values

    def tell(self, *, more_follows: bool = False, **changes: Any) -> None:
        """Change values and tell all of them; where more follows, not if others were told just now."""
        self.values = self.values | changes
        now = time.monotonic()
        if not more_follows or now - self._told >= INTERVAL_S:
            self._told = now
            self._session.send({self._name: self.values})


class Work:
    """Draws one file at a time, so that the explorer goes on meanwhile."""

    name = ""

    def __init__(self, session: "Session"):
        self.session, self.progress = session, Progress(session, self.name, fraction=0.0, running=False)
        self.stopped = threading.Event()
        self._thread: threading.Thread | None = None
        atexit.register(self.close)  # the interpreter must not end while a thread computes

    def start(self, file: str, make: Callable[[], bytes]) -> None:
        """Offer a file when `make` has given its content.

        Raises:
            InputError: another one is being drawn.
        """
        if self.progress.values["running"]:
            raise InputError(f"a {self.name} is being drawn: wait for it")
        self.stopped.clear()
        self.progress.tell(fraction=0.0, running=True)

        def draw() -> None:
            then: Callable[[], object]
            try:
                then = partial(self.session.offer, file, make())
            except Exception as error:
                stopped = partial(self.session.say, f"the {self.name} was stopped")
                then = stopped if self.stopped.is_set() else partial(self.session.complain, error)
            self.session.post(partial(self.progress.tell, running=False))
            self.session.post(then)

        self._thread = threading.Thread(target=draw, name=f"toydiff-{self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End with the session."""
        self.stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=CLOSE_S)
        atexit.unregister(self.close)
