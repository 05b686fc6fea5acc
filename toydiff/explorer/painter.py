"""Sends the newest scene of a session as frames: quickly while it moves, in full when it rests, each part once."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from toydiff.explorer import compute, frames
from toydiff.explorer.compute import QUICK, Quality
from toydiff.explorer.frames import Frame
from toydiff.explorer.probe import probe
from toydiff.explorer.scene import Scene
from toydiff.explorer.scheduler import scheduler
from toydiff.explorer.state import SIGMAS
from toydiff.guidance.methods import ALL_SIGMAS
from toydiff.sampling.schedules import STEPS

LIVE_S = 0.25
"""Seconds between two sets of numbers while something moves."""


class Now(NamedTuple):
    """What is to be drawn."""

    scene: Scene
    serial: int
    """Counts the scenes, so that a view knows a frame that comes late."""
    heard: Mapping[str, int]
    """How many changes of each view the scene holds."""


class Painter:
    """What the scheduler has to do for a session, on its threads; see `Work`."""

    def __init__(self, session: Any):
        """Paint for a session; what goes wrong with one panel is said, and keeps the others not back."""
        self._session = session
        self._now: Now | None = None
        self._sent: list[dict[str, Any]] = []
        self._serial, self._live_at, self._messages = 0, 0.0, 0
        self.paused = self._in_full = self.kits = False

    def draw(self, scene: Scene, heard: Mapping[str, int]) -> int:
        """Draw this scene next, which shows what was `heard` of each view; its number."""
        self._serial += 1
        self._sent = self._sent[: len(scene.panels)]  # a picture that is closed is forgotten: another one begins empty
        self._now = Now(scene, self._serial, dict(heard))
        scheduler.submit(self)
        return self._serial

    def forget(self, shows: bool = False) -> None:
        """Send everything anew, but at once in full where a view `shows` something already."""
        self._sent, self._in_full = [], shows

    def give_kits(self) -> None:
        """Send, at rest, what views need to move the points by themselves."""
        self.kits = True
        if self._now is not None:
            scheduler.submit(self)

    def resend(self, *parts: str) -> None:
        """Send some parts anew and at once in full: a view has moved them by itself."""
        self._in_full = True
        for sent in self._sent:
            for part in parts:
                sent.pop(part, None)

    def close(self) -> None:
        """Draw no more."""
        self._now = None
        scheduler.remove(self)

    def pause(self, paused: bool) -> None:
        """Make only quick pictures, or what was left out too."""
        self.paused = paused
        if self._now is not None:
            scheduler.submit(self)

    def move(self) -> None:
        """Send the newest scene quickly, the active panel first."""
        now = self._now
        if now is None:
            return
        before, panels = self._messages, _active_first(now.scene)
        if self._in_full:
            self._in_full = False
            return
        for panel in panels:
            with self._session.complaining():
                self._send_parts(now, panel, QUICK)
        if time.monotonic() - self._live_at >= LIVE_S:
            self._live_at = time.monotonic()
            for panel in panels:
                with self._session.complaining():
                    self._send_numbers(now, panel, QUICK)
        if self._messages == before:
            self._tell(now, {"moved": True})

    def rest(self) -> Iterator[object]:
        """Send it in full, then its numbers with errors and its curves."""
        now = self._now
        if now is None or self.paused:
            return
        panels = _active_first(now.scene)
        for send, done in ((self._send_parts, "true"), (self._send_numbers, "measured")):
            for panel in panels:
                with self._session.complaining():
                    send(now, panel, None)
                yield None
            self._tell(now, {done: True})
        for panel in panels:
            with self._session.complaining():
                yield from self._send_curve(now, panel)
        for panel in panels if self.kits else ():
            with self._session.complaining():
                self._send_kit(now, panel)
            yield None
        self._tell(now, {"rest": True})

    def ahead(self) -> Iterator[object]:
        """Compile what a person may do next: probe, then choose another width or method."""
        if self._now is None or self.paused:
            return
        state, library = self._now.scene.state, self._session.library
        with self._session.complaining():
            probe(replace(state, probe=state.view[:2], sigma=SIGMAS[STEPS // 2]), library)
        yield None
        with self._session.complaining():
            yield from compute.compile_ahead(state, library)

    def _tell(self, now: "Now", message: dict[str, Any], buffers: tuple[bytes, ...] = ()) -> None:
        if self._now is not None:
            self._messages += 1
            self._session.send(message | {"serial": now.serial, "heard": now.heard}, buffers)

    def _send(self, now: "Now", panel: int, frame: Frame, full: bool = True) -> None:
        self._tell(now, {"frame": frame.header | {"panel": panel, "full": full}}, frame.buffers)

    def _sent_of(self, panel: int) -> dict[str, Any]:
        sent = self._sent  # another thread may put another list in its place
        while len(sent) <= panel:
            sent.append({})
        return sent[panel]

    def _send_parts(self, now: "Now", panel: int, quality: Quality | None) -> None:
        state, sent = now.scene.panels[panel], self._sent_of(panel)
        for name, part, detail, make in frames.parts(state, quality or Quality.full(state), self._session.library):
            if sent.get(name) in ((part, None), (part, detail)):
                continue
            sent.pop(name, None)  # a failure leaves it to be sent again
            self._send(now, panel, make(), detail is None)
            sent[name] = part, detail
            if name == "outlines":
                sent.pop("detail", None)  # it was of other classes

    def _send_numbers(self, now: "Now", panel: int, quality: Quality | None) -> None:
        state, sent = now.scene.panels[panel], self._sent_of(panel)
        key = state.row, state.setting, state.points
        if sent.get("numbers") in ((key, None), (key, quality)):
            return
        frame = frames.numbers(state, quality or Quality.full(state), self._session.library)
        self._send(now, panel, frame, quality is None)
        sent["numbers"] = key, quality

    def _send_curve(self, now: "Now", panel: int) -> Iterator[object]:
        """Outlier rate and branches over constant weights, when all are there."""
        state, sent = now.scene.panels[panel], self._sent_of(panel)
        key = state.row, replace(state.setting, weight=1.0, weight_curve=None)
        if sent.get("curve") == key:
            return
        values: list[Any] = []
        if state.row.is_guided:
            for point in compute.curve(state, self._session.library):
                values.append(point)
                yield None
        self._send(now, panel, Frame({"frame": "curve", "weights": list(compute.CURVE_WEIGHTS), "values": values}))
        sent["curve"] = key

    def _send_kit(self, now: "Now", panel: int) -> None:
        """What a view needs that moves the points by itself, since Python is far away."""
        state, sent = now.scene.panels[panel], self._sent_of(panel)
        fixed = replace(state.setting, weight=1.0, weight_curve=None, interval=ALL_SIGMAS, knobs=())
        key = state.row, fixed, state.points
        if sent.get("kit") != key:
            self._send(now, panel, frames.kit(state, self._session.library))
            sent["kit"] = key


def _active_first(scene: Scene) -> list[int]:
    return sorted(range(len(scene.panels)), key=lambda panel: panel != scene.active)
