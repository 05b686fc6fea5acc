"""The explorer as a widget: a session whose messages go to every view of it in a notebook.

Nothing that computes is imported here: the first scene is on the screen while JAX is loaded.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from toydiff.explorer.front import opening, script, style

if TYPE_CHECKING:
    from toydiff.explorer.scene import Scene
    from toydiff.explorer.session import Session
    from toydiff.explorer.state import State
    from toydiff.networks.library import Library


class Explorer(anywidget.AnyWidget):
    """Drag the weight and the capacity, and watch.

    `scene` is what is shown, and can be observed and linked; `state` is what the controls of the active picture are
    set to. `weight` and `sigma` of that picture are in the browser too, so that `ipywidgets.jslink` works with them.
    """

    _esm = script() + files(__package__).joinpath("host.js").read_text("utf-8")
    _css = style()
    scene = traitlets.TraitType[Any, Any]()
    weight = traitlets.Float().tag(sync=True)
    sigma = traitlets.Float().tag(sync=True)
    snapshot = traitlets.Unicode().tag(sync=True)
    """What stands on the screen before, or without, a kernel."""

    def __init__(
        self,
        scene: "Scene | State | None" = None,
        *,
        scenes: "Mapping[str, Scene] | None" = None,
        library: "Library | None" = None,
    ):
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # in a plain script
            self._loop = None
        self._made: Future[Session] = Future()
        self._begun = False
        self._early: list[tuple[Any, list[bytes]]] | None = []
        super().__init__()
        given = scene, scenes, library
        if given == (None, None, None):
            threading.Thread(target=self._make, args=given, daemon=True).start()
            self.snapshot = opening()
            first = next(message for message, _ in json.loads(self.snapshot) if "scene" in message)
            self.weight, self.sigma = (float(first["scene"]["panels"][0][name]) for name in ("weight", "sigma"))
            self._words = first["menus"][0]["words"]["short"]
        else:
            self._make(*given)
            if self._made.exception():
                super().close()
            self._follow(self.session.scene)  # what is wrong is raised here
        self._begun = True
        self.on_msg(self._hear)

    def _make(self, scene: Any, scenes: Any, library: Any) -> None:
        try:
            if library is None:
                from toydiff.explorer.compute import prepare
                from toydiff.networks.library import Library

                library = Library()
                threading.Thread(target=prepare, args=(library,), daemon=False).start()  # Python waits for it
            from toydiff.explorer.session import Session

            session = Session(self._carry, scene, scenes=scenes, library=library, post=self._post)
            session.on_scene(self._follow)
            self._made.set_result(session)
            self._post(self._catch_up)
        except BaseException as error:
            self._made.set_exception(error)

    def _hear(self, _: Any, message: Any, buffers: Sequence[Any]) -> None:
        """Hand on what a view says, in order, as soon as there is a session."""
        parts = [bytes(one) for one in buffers]
        if self._early is None:
            self.session.receive(message, parts)
        else:
            self._early.append((message, parts))

    def _catch_up(self) -> None:
        early, self._early = self._early or [], None
        for message, parts in early:
            self.session.receive(message, parts)

    @traitlets.default("scene")
    def _first_scene(self) -> "Scene":
        return self.session.scene

    @property
    def session(self) -> "Session":
        """What computes."""
        return self._made.result()

    @property
    def state(self) -> "State":
        """The state of the active picture."""
        return self.session.state

    @property
    def library(self) -> "Library":
        """The networks that it knows, with those that were trained or loaded here."""
        return self.session.library

    @property
    def scenes(self) -> "dict[str, Scene]":
        """What stands in its menu."""
        return self.session.scenes

    def __repr__(self) -> str:
        """What stands in the place of the widget where there is no kernel."""
        words = self.state.row.short if self._made.done() else self._words
        return f"toydiff.explore(): {words}, w = {self.weight:g} (run the cell, and drag)"

    def set(self, state: "State") -> None:
        """Show another state in the active picture; what is linked follows in the others.

        Raises:
            InputError: a network of it does not exist.
        """
        self.session.set(state)

    def show(self, scene: "Scene") -> None:
        """Show another scene.

        Raises:
            InputError: a network of it does not exist.
        """
        self.session.show(scene)

    def close(self) -> None:
        """End the session with the widget."""
        made = vars(self).get("_made")  # what could not be made is closed too
        if made is not None and made.exception() is None:
            self.session.close()
        super().close()

    def send_state(self, key: Any = None) -> None:
        """Send traits to the browser, less those that it knows by the scene: late, they would move what is dragged."""
        if key not in ("weight", "sigma"):
            super().send_state(key)

    def _carry(self, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        self.send(message, buffers=list(buffers))

    def _post(self, act: Callable[[], object]) -> None:
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(act)
        else:
            act()

    def _follow(self, scene: "Scene") -> None:
        self.scene = scene
        self.weight, self.sigma = self.state.weight, self.state.sigma  # whoever hears of a scene may show another one

    @traitlets.validate("scene")
    def _checked_scene(self, proposal: Any) -> "Scene":
        return self.session.checked(proposal["value"])

    @traitlets.observe("scene")
    def _on_scene(self, change: Any) -> None:
        """Somebody has set the trait, for instance by a link."""
        if change["new"] != self.session.scene:
            self.session.show(change["new"])

    @traitlets.observe("weight", "sigma")
    def _on_number(self, change: Any) -> None:
        name, value = change["name"], change["new"]
        if not self._begun or getattr(self.state, name) == value:
            return
        straight: dict[str, Any] = {"weight_curve": None} if name == "weight" else {}
        try:
            self.set(replace(self.state, **{name: value}, **straight))
        except Exception as error:
            self.session.complain(error)
            raise
        finally:
            self.weight, self.sigma = self.state.weight, self.state.sigma


def explore(
    scene: "Scene | State | None" = None,
    *,
    scenes: "Mapping[str, Scene] | None" = None,
    library: "Library | None" = None,
) -> Explorer:
    """The explorer as a widget, for any notebook.

    Args:
        scene: what it shows first: a `State`, or a `Scene` of one to four panels with a title and a question; by
            default autoguidance as in Figure 1 of the paper.
        scenes: what stands in its menu, by name; by default the paper's figures and comparisons.
        library: a `toydiff.networks.library.Library`, with networks of your own beside the bundled ones; what is
            trained or loaded here is put into it. By default one of its own.

    Example:
        >>> import toydiff
        >>> from toydiff.explorer.state import State
        >>> explorer = toydiff.explore(State(method="cfg", weight=4.0))
        >>> explorer.close()
    """
    return Explorer(scene, scenes=scenes, library=library)
