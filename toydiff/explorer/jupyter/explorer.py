"""The explorer: its controls beside the views of what `compute` and `drawing` make of a scene."""

import asyncio
import base64
import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as w
import numpy as np

from toydiff.base.checks import InputError
from toydiff.base.compile_cache import keep_compiled
from toydiff.explorer import compute, drawing
from toydiff.explorer.help import HELP
from toydiff.explorer.jupyter import views
from toydiff.explorer.jupyter.controls import Controls
from toydiff.explorer.jupyter.draw_tab import DrawTab
from toydiff.explorer.jupyter.keep_tab import TakeAlong
from toydiff.explorer.jupyter.picture import Picture
from toydiff.explorer.jupyter.sweep_tab import SweepTab
from toydiff.explorer.jupyter.train_tab import TrainTab
from toydiff.explorer.probe import probe
from toydiff.explorer.scene import Scene, default_scenes
from toydiff.explorer.state import State, pan, reset_view, zoom
from toydiff.explorer.worker import Worker
from toydiff.measuring.setting import check_networks
from toydiff.networks.library import Library

MIME = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "json": "application/json",
    "safetensors": "application/octet-stream",
}


class Explorer(w.HBox):
    """Drag the weight and the capacity, and watch; `scene` is what is shown, `state` what the controls are set to."""

    _with_threads: tuple[Any, ...] = ()  # none as long as it is not made

    def __init__(
        self,
        scene: Scene | State | None = None,
        *,
        scenes: Mapping[str, Scene] | None = None,
        library: Library | None = None,
    ):
        """Show `scene`, by default autoguidance as in Figure 1 of the paper; `scenes` stand in the menu.

        What is trained or loaded here is put into `library`, by default one of its own.
        """
        self.library = Library() if library is None else library
        self.scene = _as_scene(State() if scene is None else scene)
        given = default_scenes() if scenes is None else dict(scenes)
        self.scenes = {str(name): _as_scene(other) for name, other in given.items()}
        keep_compiled()
        self.message, self.banner, self.legend, self.numbers = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.sigma, self.probe, self.download = w.HTML(), w.HTML(), w.HTML()
        self.curve = w.Image(format="svg+xml", layout=w.Layout(display="none"))
        self.pictures: list[Picture] = []
        self.grid = w.Box()
        self._ringed = False
        self._finished: Scene | None = None  # the scene whose pictures are all there in full
        self.controls = Controls(self.scene.state, self.set, self.complain, self.library)
        self.menu = w.Dropdown()
        self.menu.observe(self._on_menu, "value")
        self.keep, self.train, self.draw = TakeAlong(self), TrainTab(self), DrawTab(self)
        self.sweep = SweepTab(self)
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # in a plain script
            self._loop = None
        self._lay_out()
        self.worker = Worker(self._show_picture, self._show_numbers, self.complain, self.library)
        self._with_threads = self.train, self.keep, self.worker
        self.fill_menu()
        self.show(self.scene)

    @property
    def state(self) -> State:
        """The state of the active panel."""
        return self.scene.state

    @property
    def picture(self) -> Picture:
        """The picture of the active panel."""
        return self.pictures[self.scene.active]

    def set(self, state: State) -> None:
        """Show another state in the active panel; what is linked follows in the others."""
        self.show(self.scene.with_state(state, self.library))

    def show(self, scene: Scene, *, by_person: bool = True) -> None:
        """Show another scene, controls and all; when a person did it, messages and downloads of before go."""
        try:
            for state in scene.panels:
                check_networks(state, self.library)
            self.controls.fill(scene.state)
            self.train.fill(scene.state)
        except Exception:
            self.controls.fill(self.scene.state)
            raise
        self.keep.fill(self.scene, scene)
        self.scene = scene
        self._fill_grid()
        self._ring([None] * len(self.pictures))
        self._hide()
        self._name_scene()
        if by_person:
            self.message.value = ""
            if any(f"toydiff.{kind}" in self.download.value for kind in ("png", "svg", "pdf")):
                self.download.value = ""  # it is a picture of before
        self.banner.value = views.banner(scene)
        (self.add_class if self.banner.value else self.remove_class)("toydiff-titled")
        self.sigma.value = f"<div class='toydiff-sigma'>noise level σ = {scene.state.sigma:.3g}</div>"
        self.legend.value = views.legend(scene)
        self.measured.add_class("toydiff-stale")  # until the numbers have followed
        self.worker.submit(scene)

    def fill_menu(self) -> None:
        """Bring the menu to the scenes that there are."""
        self.menu.options = [("scene …", ""), *((name, name) for name in self.scenes)]
        self._name_scene()

    def _name_scene(self) -> None:
        self.menu.value = next((name for name, scene in self.scenes.items() if scene == self.scene), "")

    def complain(self, error: Exception) -> None:
        """Say what went wrong."""
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        self.message.value = f"<div class='toydiff-error' role='alert'>{html.escape(what)}</div>"

    def say(self, text: str) -> None:
        """Say what was done."""
        self.message.value = f"<div class='toydiff-note' role='status'>{html.escape(text)}</div>"

    def offer(self, name: str, content: bytes) -> None:
        """Offer a file as a download: a picture until it changes, anything else until the next offer."""
        data = f"data:{MIME[Path(name).suffix[1:]]};base64,{base64.b64encode(content).decode()}"
        self.download.value = f'<a class="toydiff-download" download="{name}" href="{data}">download {name}</a>'

    def attempt(self, act: Callable[[], object]) -> None:
        """Do something for a callback, where an exception would otherwise only be logged."""
        try:
            act()
        except Exception as error:
            self.complain(error)

    def post(self, act: Callable[[], object]) -> None:
        """Do something on the thread of the callbacks, so that two threads never change the scene at once."""
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self.attempt, act)
        else:
            self.attempt(act)

    def close(self) -> None:
        """End the threads with the widget."""
        for part in self._with_threads:
            part.close()
        super().close()

    def _lay_out(self) -> None:
        add = w.Button(description="compare", tooltip="Another picture beside this one, from the same noise")
        add.layout = w.Layout(width="auto", flex="0 0 auto")
        add.on_click(lambda _: self.attempt(lambda: self.show(self.scene.with_panel())))
        self.controls.time.children = [*self.controls.time.children, add]
        self._tabs = {
            "guidance": ("Guidance", self.controls.guidance),
            "layers": ("Layers", self.controls.layers),
            "draw": ("Draw", self.draw),
            "train": ("Train", self.train),
            "sweep": ("Sweep", self.sweep),
            "take-along": ("Keep", self.keep),
        }
        self.tabs = w.Tab()
        middle = w.VBox([self.banner, self.message, self.grid, self.controls.time])
        self.measured = w.VBox([self.numbers, self.curve])
        side = w.VBox([self.sigma, self.legend, self.probe, self.measured])
        self._parts: dict[str, w.Widget] = self.controls.parts() | {
            "scene": self.menu,
            "compare": add,
            "numbers": self.numbers,
            "curve": self.curve,
            "legend": self.legend,
            "noise": self.controls.time,
            "tabs": self.tabs,
        }
        for name, part in self._parts.items():
            part.add_class(f"toydiff-{name}")
        for name, part in {
            "message": self.message,
            "scene-title": self.banner,
            "grid": self.grid,
            "probe": self.probe,
        }.items():
            part.add_class(f"toydiff-{name}")
        left = w.VBox([self.menu, self.tabs, self.download])
        for name, part in {"controls": left, "middle": middle, "side": side, "measured": self.measured}.items():
            part.add_class(f"toydiff-{name}")
        w.HBox.__init__(self, [left, middle, side])
        self.add_class("toydiff-explorer")

    def _fill_grid(self) -> None:
        panels = self.scene.panels
        while len(self.pictures) < len(panels):
            picture = Picture(help=HELP)
            w.link((self.controls.probing, "value"), (picture, "probing"))
            picture.on_msg(partial(self._on_pointer, len(self.pictures)))
            self.pictures.append(picture)
        for i, state in enumerate(panels):
            picture = self.pictures[i]
            picture.comparing, picture.active = len(panels) > 1, i == self.scene.active
            picture.caption = f"{i + 1}  {drawing.caption(state)}" if len(panels) > 1 else ""
        if len(self.grid.children) != len(panels):
            self.grid.children = self.pictures[: len(panels)]
            for n in range(1, 5):
                (self.add_class if n == len(panels) else self.remove_class)(f"toydiff-panels-{n}")

    def _hide(self) -> None:
        """Hide what the scene hides; and the curve where the probe's table takes its place."""
        hidden = {*self.scene.hidden, *({"curve"} if self.state.probe else ())}
        shown = [tab for name, tab in self._tabs.items() if name not in hidden]
        if [child for _, child in shown] != list(self.tabs.children):
            self.tabs.children = [child for _, child in shown]
            self.tabs.titles = [title for title, _ in shown]
            self.tabs.selected_index = 0 if shown else None
        for name, part in self._parts.items():
            (part.add_class if name in hidden else part.remove_class)("toydiff-hidden")

    def _on_menu(self, event: Any) -> None:
        name = event["new"]
        if name and self.scenes[name] != self.scene:
            self.attempt(lambda: self.show(self.scenes[name]))

    def _on_pointer(self, panel: int, _: Any, content: dict[str, Any], __: Any) -> None:
        self.attempt(lambda: self._move(panel, content))

    def _move(self, panel: int, content: dict[str, Any]) -> None:
        view = self.state.view

        def at(position: list[float]) -> tuple[float, float]:
            return view.x + view.half_width * position[0], view.y + view.half_width * position[1]

        if "shown" in content:
            self.worker.acknowledge()
        elif "ask" in content:
            self.pictures[panel].send({"answer": content["ask"]})
        elif "choose" in content:
            self.show(replace(self.scene, active=panel))
        elif "close" in content:
            self.show(self.scene.without_panel(panel))
        elif "hover" in content:
            self._mark(panel, content["hover"] and at(content["hover"]))
        elif "zoom" in content:
            self.set(zoom(self.state, content["zoom"], *at([content["x"], content["y"]])))
        elif "probe" in content:
            self.set(replace(self.state, probe=at(content["probe"])))
        elif "pan" in content:
            self.set(pan(self.state, *(view.half_width * d for d in content["pan"])))
        elif "reset" in content:
            self.set(reset_view(self.state))

    def _mark(self, panel: int, at: tuple[float, float] | None) -> None:
        """Ring the sample nearest to the pointer in all pictures; it starts from the same noise."""
        scene, view = self.scene, self.state.view
        if at is not None and scene is not self._finished:
            return  # the points under the pointer are not those that are drawn in full
        marks: list[Any] = [None] * len(scene.panels)
        if at is not None:
            places = compute.same_sample(scene.panels, panel, *at, self.library)
            marks = ((places - [view.x, view.y]) / view.half_width).tolist()
        self._ring(marks)

    def _ring(self, marks: list[Any]) -> None:
        """Show or take away the rings; nothing is sent where there is none to take away."""
        if self._ringed or any(marks):
            for picture, mark in zip(self.pictures, marks, strict=False):
                picture.send({"mark": mark})
        self._ringed = any(marks)

    # What comes back, on the worker's thread.

    def _show_picture(self, panel: int, state: State, content: bytes, full: bool) -> None:
        picture = self.pictures[panel]
        with picture.hold_sync():
            picture.image, picture.full = content, full
            picture.frame += 1
        scene = self.scene  # once: it may change meanwhile
        self.probe.value = views.probe_table([probe(state, self.library) for state in scene.panels], scene.active)

    def _show_numbers(self, scene: Scene) -> Iterator[None]:
        self._finished = scene
        scores = []
        for state in scene.panels:
            scores.append(compute.measure(state, compute.Quality.full(state), self.library))
            yield
        self.numbers.value = views.numbers_table(scene, scores)
        if not scene.state.row.is_guided:
            self.curve.layout.display = "none"
        else:
            values = []
            for point in compute.curve(scene.state, self.library):
                values.append(point)
                yield
            self.curve.value = views.curve_picture(scene.state, np.array(values), scores[scene.active])
            self.curve.layout.display = None
        if scene is self.scene:
            self.measured.remove_class("toydiff-stale")


def _as_scene(scene: Any) -> Scene:
    if not isinstance(scene, Scene | State):
        raise InputError(f"the scene is {scene!r:.80}; it must be a State, or a Scene of some")
    return scene if isinstance(scene, Scene) else Scene((scene,))


def explore(
    scene: Scene | State | None = None,
    *,
    scenes: Mapping[str, Scene] | None = None,
    library: Library | None = None,
) -> Explorer:
    """The explorer as a widget, for any notebook.

    Args:
        scene: what it shows first: a `State`, or a `Scene` of one to four panels with a title and a question.
        scenes: what stands in its menu, by name; by default the paper's figures and comparisons.
        library: a `toydiff.networks.library.Library`, with networks of your own beside the bundled ones.

    Example:
        >>> import toydiff
        >>> from toydiff.explorer.state import State
        >>> explorer = toydiff.explore(State(method="cfg", weight=4.0))
        >>> explorer.close()
    """
    return Explorer(scene, scenes=scenes, library=library)
