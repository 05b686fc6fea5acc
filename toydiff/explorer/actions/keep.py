"""What is taken along: the scene, pictures, films and the code; and the views of a lecture."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from toydiff.base.checks import InputError, choice, count
from toydiff.explorer import drawing, films
from toydiff.explorer.actions.work import Action, Work
from toydiff.explorer.drawing import drawing_lock
from toydiff.explorer.lab_file import file_bytes, open_file
from toydiff.explorer.scene import Scene, default_scenes
from toydiff.explorer.sheet import PROJECTORS
from toydiff.results.film_file import film_bytes

if TYPE_CHECKING:
    from toydiff.explorer.session import Session


class Pictures(Work):
    """Draws pictures."""

    name = "picture"


class Films(Work):
    """Draws films; other pictures are drawn between their own."""

    name = "film"

    def frames(self, drawn: Iterator[Any]) -> Iterator[Any]:
        """The pictures of a film, until it is stopped.

        Raises:
            InputError: it was.
        """
        for i in range(1, films.FRAMES + 1):
            if self.stopped.is_set():
                raise InputError("the film was stopped")
            with drawing_lock:
                frame = next(drawn)
            self.progress.tell(more_follows=True, fraction=i / films.FRAMES)
            yield frame


def file_stem(scene: Scene) -> str:
    """The name of a file of a scene: its title, else its methods."""
    words = scene.title or " ".join(state.method for state in scene.panels)
    return "-".join(["toydiff", *re.findall(r"[^\W_]+", words.lower())])[:60]


def restore(session: "Session", values: Mapping[str, Any], _: Sequence[bytes]) -> None:
    """Show the scene or the state in a text."""
    session.show(Scene.from_json(values.get("text", ""), session.library))


def open_lab(session: "Session", _: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
    """Bring back what a saved file holds."""
    scene, scenes = open_file(b"".join(buffers), session.library)
    session.scenes.update(scenes)
    session.show(scene)


def picture(session: "Session", values: Mapping[str, Any], _: Sequence[bytes]) -> None:
    """Offer the picture as PNG, SVG or PDF."""
    kind = choice("format", values.get("kind"), ("png", "svg", "pdf"))
    width, panels = count("pixels", values.get("pixels", PROJECTORS[0]), 640, 7680), session.scene.panels

    def make() -> bytes:
        with drawing_lock:
            return drawing.picture_bytes(kind, *panels, library=session.library, width=width)

    session.kept(Pictures).start(f"{file_stem(session.scene)}.{kind}", make)


def film(session: "Session", values: Mapping[str, Any], _: Sequence[bytes]) -> None:
    """Offer a film of the pictures as GIF or MP4."""
    film, kind = str(values.get("film")), choice("format", values.get("kind"), ("gif", "mp4"))
    width, work = values.get("width", PROJECTORS[0]), session.kept(Films)
    drawn = films.frames_of_width(session.scene.panels, film, width, library=session.library)
    make = partial(film_bytes, kind, work.frames(drawn), fps=films.FPS)
    work.start(f"{file_stem(session.scene)}-{film}.{kind}", make)


def prepared(session: "Session", values: Mapping[str, Any]) -> Scene:
    """The scene as a class sees it: under a title and a question, without what is hidden."""
    return replace(session.scene, **{name: values[name] for name in ("title", "question", "hidden") if name in values})


def add_view(session: "Session", values: Mapping[str, Any], _: Sequence[bytes]) -> None:
    """Put the scene as a class sees it under its title into the menu of scenes."""
    scene = prepared(session, values)
    if not scene.title.strip():
        raise InputError("the view has no title; it stands under its title in the menu")
    if scene.title.strip() in default_scenes():
        raise InputError("there is a scene of this name; give the view another title")
    session.scenes[scene.title.strip()] = scene
    session.show(scene)


def save_file(session: "Session", *_: Any) -> None:
    """Offer scene, views and trained networks in one file."""
    session.offer("toydiff-laboratory.json", file_bytes(session.scene, session.scenes, session.library))


ACTIONS: dict[str, Action] = {
    "restore": restore,
    "python": lambda session, *_: session.send({"text": drawing.python_code(*session.scene.panels)}),
    "save-file": save_file,
    "open-file": open_lab,
    "picture": picture,
    "film": film,
    "stop-film": lambda session, *_: session.kept(Films).stopped.set(),
    "lecture": lambda session, values, _: session.show(prepared(session, values)),
    "add-view": add_view,
}
