"""The explorer's last tab: the scene, the picture and the code to take along, and a lecture to prepare."""

import atexit
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets as w

from toydiff.base.checks import InputError
from toydiff.explorer import drawing, films
from toydiff.explorer.drawing import drawing_lock
from toydiff.explorer.help import HIDEABLE
from toydiff.explorer.jupyter.controls import button, upload
from toydiff.explorer.lab_file import file_bytes, open_file
from toydiff.explorer.scene import Scene, default_scenes
from toydiff.results.film_file import film_bytes

FILMS = ("gif", "mp4")


class TakeAlong(w.VBox):
    """Buttons that put the scene into a box, a file or a picture, and bring it back."""

    def __init__(self, explorer: Any):
        """Of this explorer."""
        self.explorer = explorer
        self._recording: threading.Thread | None = None
        self._closed = threading.Event()
        atexit.register(self.close)
        self.text = w.Textarea(
            placeholder="Paste a state here, then press Restore", tooltip="A scene as JSON, or Python"
        )
        self.text.add_class("toydiff-text")
        self.upload = upload("Open", ".json", self._open, explorer.attempt)
        self.upload.add_class("toydiff-open")
        make = partial(button, attempt=explorer.attempt)
        states = [
            make("State", "Put the scene into the box", self._put_state),
            make("Restore", "Show the scene that is in the box", self._restore),
            make("Python", "Put the Python that makes exactly this picture into the box", self._put_python),
        ]
        files = [make("Save file", "Scene, views and trained networks in one file", self._save), self.upload]
        pictures = [
            make(kind.upper(), f"The picture as {kind.upper()}", partial(self._picture, kind))
            for kind in ("png", "svg", "pdf")
        ]
        self.film = w.Dropdown(options=[(row.title, name) for name, row in films.KINDS.items()])
        self.film.layout = w.Layout(width="auto", flex="1 1 auto", min_width="0")
        self.film.add_class("toydiff-film")
        self.recorders = [
            make(kind.upper(), f"A film of the pictures as {kind.upper()}", partial(self._record, kind))
            for kind in FILMS
        ]
        self.bar = w.FloatProgress(max=1.0, layout=w.Layout(width="100%", display="none"))
        film_row = w.HBox([self.film, *self.recorders])
        super().__init__(
            [w.HBox(states), self.text, w.HBox(files), w.HBox(pictures), film_row, self.bar, *self._lecture(make)]
        )

    def _lecture(self, make: Callable[..., w.Button]) -> list[w.Widget]:
        """A title, a question and what is hidden: what a class sees."""
        self.title = w.Text(description="title")
        self.question = w.Textarea(description="question", rows=2)
        self.hidden = w.SelectMultiple(options=HIDEABLE, description="hide", rows=5)
        for name in ("title", "question", "hidden"):
            getattr(self, name).add_class(f"toydiff-lecture-{name}")
        views = [
            make("Preview", "Show the scene as the class sees it", self._preview),
            make("Add view", "Put the scene under its title into the menu of scenes", self._add_view),
        ]
        return [w.HTML("<b>For a lecture</b>"), self.title, self.question, self.hidden, w.HBox(views)]

    def fill(self, before: Scene, scene: Scene) -> None:
        """Bring the lecture's boxes to a scene, unless only something else has changed."""
        names = ("title", "question", "hidden")
        if any(getattr(before, name) != getattr(scene, name) for name in names):
            for name in names:
                getattr(self, name).value = getattr(scene, name)

    def _put_state(self) -> None:
        self.text.value = json.dumps(self.explorer.scene.to_json())

    def _put_python(self) -> None:
        self.text.value = drawing.python_code(*self.explorer.scene.panels)

    def _restore(self) -> None:
        self.explorer.show(Scene.from_json(self.text.value, self.explorer.library))

    def _save(self) -> None:
        self.explorer.offer(
            "toydiff-laboratory.json", file_bytes(self.explorer.scene, self.explorer.scenes, self.explorer.library)
        )

    def _open(self, files: Sequence[Any]) -> None:
        scene, scenes = open_file(bytes(files[0]["content"]), self.explorer.library)
        self.explorer.show(scene)
        self.explorer.scenes |= scenes
        self.explorer.fill_menu()

    def _picture(self, kind: str) -> None:
        with drawing_lock:
            content = drawing.picture_bytes(kind, *self.explorer.scene.panels, library=self.explorer.library)
        self.explorer.offer(f"toydiff.{kind}", content)

    def _record(self, kind: str) -> None:
        """Draw a film on a thread of its own; other pictures are drawn between its own."""
        scene = self.explorer.scene
        pixels = 480 if len(scene.panels) == 1 else 360
        frames = films.frames(scene.panels, self.film.value, pixels, library=self.explorer.library)
        self._set_recording(True)

        def drawn() -> Iterator[Any]:
            for i in range(1, films.FRAMES + 1):
                if self._closed.is_set():
                    raise InputError("the recording was ended")
                with drawing_lock:
                    frame = next(frames)
                self.bar.value = i / films.FRAMES
                yield frame

        def record() -> None:
            try:
                content = film_bytes(kind, drawn(), fps=films.FPS)
                self.explorer.post(lambda: self.explorer.offer(f"toydiff.{kind}", content))
            except Exception as error:
                failure = error
                self.explorer.post(lambda: self.explorer.complain(failure))
            finally:
                self.explorer.post(lambda: self._set_recording(False))

        self._recording = threading.Thread(target=record, name="toydiff-recording", daemon=True)
        self._recording.start()

    def close(self) -> None:
        """End a recording with the widget; the interpreter must not end while its thread computes."""
        self._closed.set()
        if self._recording is not None:
            self._recording.join(timeout=10)
        atexit.unregister(self.close)
        super().close()

    def _set_recording(self, on: bool) -> None:
        self.bar.value, self.bar.layout.display = 0.0, None if on else "none"
        for recorder in self.recorders:
            recorder.disabled = on

    def _preview(self) -> None:
        lecture = {"title": self.title.value, "question": self.question.value, "hidden": tuple(self.hidden.value)}
        self.explorer.show(replace(self.explorer.scene, **lecture))

    def _add_view(self) -> None:
        if not self.title.value.strip():
            raise InputError("the view has no title; it stands under its title in the menu")
        if self.title.value.strip() in default_scenes():
            raise InputError("there is a scene of this name; give the view another title")
        self._preview()
        self.explorer.scenes[self.title.value.strip()] = self.explorer.scene
        self.explorer.fill_menu()
