"""A session of the explorer: takes what a person wants as messages, keeps the newest scene, and sends it as frames."""

import mimetypes
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from toydiff.base.checks import InputError, choice, count, shown
from toydiff.base.compile_cache import keep_compiled
from toydiff.explorer.about import about
from toydiff.explorer.actions import ACTIONS, greet, trainable
from toydiff.explorer.choices import CHOICES, choose, menus
from toydiff.explorer.painter import Painter
from toydiff.explorer.scene import Scene, default_scenes
from toydiff.explorer.state import State
from toydiff.measuring.setting import check_networks, known_fields
from toydiff.networks.library import Library

Send = Callable[[dict[str, Any], Sequence[bytes]], None]
Act = Callable[[], object]
Kept = TypeVar("Kept")
MOST_VIEWS = 16
"""Of one session whose last change is remembered."""


class Session:
    """One scene and all that is set in it, without a widget; any host carries its messages.

    Messages that it takes are objects with one of these names:

    - hello: a view is there; everything is sent anew. Its value is the view's own name; `shows` says whether it has a
      picture already, so that only a better one is wanted. `bye`: it is gone.
    - set: fields of the state of a panel, as JSON. `choose`: what brings other things with it, as in `choices`.
    - scene: a whole scene, as JSON. `named`: the name of one in the menu.
    - do: the name of an action, its values under "with".

    With `set`, `choose`, `scene` and `named` go the `panel`, the `view`, and `n`, by which a view counts its changes;
    every frame says in `heard` which of them it shows, so that a view knows what is still to come. `here` with a `set`
    says that the view has moved the points by itself, and wants those at rest.
    """

    def __init__(
        self,
        send: Send,
        scene: Scene | State | None = None,
        *,
        scenes: Mapping[str, Scene] | None = None,
        library: Library | None = None,
        post: Callable[[Act], object] | None = None,
    ):
        """Show a scene.

        Args:
            send: carries a message and its buffers to all views; called on any thread.
            scene: by default autoguidance as in Figure 1 of the paper.
            scenes: in the menu, by name; by default the paper's figures and comparisons.
            library: where the networks are, and where those go that are trained here; by default one of its own.
            post: does something on the thread on which `receive` is called; by default at once.
        """
        self.library = Library() if library is None else library
        self.scene = self.checked(State() if scene is None else scene)
        given = default_scenes() if scenes is None else dict(scenes)
        self.scenes = {str(name): as_scene(other) for name, other in given.items()}
        self._send, self._post = send, post or (lambda act: act())
        self._listeners: list[Callable[[Scene], object]] = []
        self._kept: dict[Any, Any] = {}
        self._heard: dict[str, int] = {}
        self._views: set[str] = set()
        self._offered: Any = None
        self._lock = threading.RLock()
        self._saying = self._closed = False
        self._painter = Painter(self)
        keep_compiled()

    # What Python calls.

    @property
    def state(self) -> State:
        """The state of the active panel."""
        return self.scene.state

    def set(self, state: State) -> None:
        """Show another state in the active panel; what is linked follows in the others."""
        self.show(self.scene.with_state(state, self.library))

    def show(self, scene: Scene, *, by_person: bool = True) -> None:
        """Show another scene; when a person did it, what was said before goes.

        Raises:
            InputError: a network of it does not exist; what is shown stays.
        """
        self._show(self.checked(scene), by_person=by_person)

    def _show(self, scene: Scene, *, by_person: bool = True, by: str = "") -> None:
        """Show a scene whose networks are there; `by` names the view that shows it already."""
        if by_person:
            self._quiet()
        self.scene = scene
        self.announce(by)
        for listener in self._listeners:
            listener(scene)

    def checked(self, scene: Any) -> Scene:
        """A scene whose networks are there, from a scene or a state.

        Raises:
            InputError: it is neither, or a network of it does not exist.
        """
        scene = as_scene(scene)
        for state in scene.panels:
            check_networks(state, self.library)
        return scene

    def on_scene(self, listener: Callable[[Scene], object]) -> None:
        """Tell of each scene that is shown."""
        self._listeners.append(listener)

    def say(self, text: str) -> None:
        """Say what was done."""
        self._saying = True
        self.send({"say": {"text": text, "error": False}})

    def complain(self, error: Exception) -> None:
        """Say what went wrong."""
        self._saying = True
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        self.send({"say": {"text": text, "error": True}})

    @contextmanager
    def complaining(self) -> Iterator[None]:
        """Say what goes wrong in the block, or in a function that this decorates."""
        try:
            yield
        except Exception as error:  # whatever it is, it belongs in the interface
            self.complain(error)

    def offer(self, name: str, content: bytes) -> None:
        """Offer a file to be saved."""
        mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.send({"offer": {"name": name, "mime": mime}}, [content])

    def send(self, message: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send a message to all views."""
        with self._lock:
            if not self._closed:
                self._send(message, buffers)

    def give_kits(self) -> None:
        """Send views what they need to move the points by themselves."""
        self._painter.give_kits()

    def post(self, act: Act) -> None:
        """Do something on the thread of the callbacks, so that two threads never change the scene at once."""
        self._post(self.complaining()(act))

    def kept(self, kind: Callable[["Session"], Kept]) -> Kept:
        """The one instance of a class that this session keeps."""
        if kind not in self._kept:
            self._kept[kind] = kind(self)
        return self._kept[kind]

    @property
    def paused(self) -> bool:
        """Whether only quick pictures are made, and nothing is compiled ahead: networks are trained meanwhile."""
        return self._painter.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._painter.pause(paused)

    def close(self) -> None:
        """End all that it does."""
        with self._lock:
            self._closed = True
        self._painter.close()
        for one in self._kept.values():
            if hasattr(one, "close"):
                one.close()
        self._kept.clear()

    # What a view says.

    def receive(self, message: Any, buffers: Sequence[bytes] = ()) -> None:
        """Take a message of a view; what is wrong with it is said, and nothing changes."""
        with self.complaining():
            self._take(message, buffers)

    def _take(self, message: Any, buffers: Sequence[bytes]) -> None:
        if not isinstance(message, dict):
            raise InputError(f"the message is {shown(message)}; it must be an object")
        if "hello" in message:
            self._greet(str(message["hello"])[:80], bool(message.get("shows")))
        elif "bye" in message:
            self._views.discard(str(message["bye"])[:80])
        elif "do" in message:
            self._do(message, buffers)
        elif {"set", "choose", "scene", "named"} & set(message):
            self._change(message)
        else:
            raise InputError(f"the message {shown(message)} has none of hello, set, choose, scene, named, do")

    def _do(self, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        action, values = ACTIONS.get(str(message["do"])), message.get("with", {})
        if action is None or not isinstance(values, dict):
            raise InputError(f"there is no action {shown(message['do'])} with values {shown(values)}")
        self._quiet()
        action(self, values, buffers)

    def _change(self, message: dict[str, Any]) -> None:
        view, n = str(message.get("view", ""))[:80], count("n", message.get("n", 0), 0, 2**53)
        try:
            scene = self.checked(self._changed(message))
        except Exception:
            self._hear(view, n)
            self.announce()  # the view takes back what it showed
            raise
        self._hear(view, n)
        if message.get("here"):
            self._painter.resend("points", "numbers")
        self._show(scene, by=view if "set" in message else "")

    def _changed(self, message: dict[str, Any]) -> Scene:
        """The scene that a message asks for."""
        if "scene" in message:
            return Scene.from_json(message["scene"], self.library)
        if "named" in message:
            return self.scenes[choice("scene", message["named"], self.scenes)]
        scene = self.scene
        panel = count("panel", message.get("panel", scene.active), 0, len(scene.panels) - 1)
        if panel != scene.active:
            scene = replace(scene, active=panel)
        state = scene.state
        if "choose" in message:
            for name, value in known_fields("choice", message["choose"], set(CHOICES)).items():
                state = choose(state, name, value, self.library)
        else:
            state = replace(state, **State.fields_from_json(message["set"]))
        return scene.with_state(state, self.library)

    def _hear(self, view: str, n: int) -> None:
        others = {name: heard for name, heard in self._heard.items() if name != view}
        self._heard = dict(list((others | {view: n}).items())[-MOST_VIEWS:])  # those that have changed something last

    def _quiet(self) -> None:
        if self._saying:
            self._saying = False
            self.send({"say": {"text": "", "error": False}})

    def _greet(self, view: str, shows: bool) -> None:
        self._views = set(sorted({*self._views, view})[:MOST_VIEWS])
        self.send({"about": about()})
        self._painter.forget(shows)
        self._offered = None
        self.announce()
        greet(self)

    def announce(self, by: str = "") -> None:
        """Tell the views of the scene and its menus, less the only one, which has shown it; and let it be drawn."""
        with self._lock:
            scene = self.scene
            serial = self._painter.draw(scene, self._heard)
            offered = [menus(state, self.library) | {"trainable": trainable(state)} for state in scene.panels]
            menu = list(self.scenes), next((name for name, other in self.scenes.items() if other == scene), "")
            changed = (offered, menu) != self._offered  # a drag changes no menu
            if not changed and self._views == {by}:
                return
            told: dict[str, Any] = {"scene": scene.to_json(), "serial": serial, "heard": self._heard}
            if changed:
                self._offered = offered, menu
                told |= {"menus": offered, "scenes": menu[0], "named": menu[1]}
            self.send(told)


def as_scene(scene: Any) -> Scene:
    """A scene, or a state as the scene of one picture.

    Raises:
        InputError: it is neither.
    """
    if not isinstance(scene, Scene | State):
        raise InputError(f"the scene is {scene!r:.80}; it must be a State, or a Scene of some")
    return scene if isinstance(scene, Scene) else Scene((scene,))
