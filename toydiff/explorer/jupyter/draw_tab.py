"""The explorer's tab to draw a distribution: strokes of two classes, which become an exact mixture."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import ipywidgets as w

from toydiff.base.checks import InputError
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import FORMAT, Drawing
from toydiff.explorer.jupyter.controls import button, upload
from toydiff.explorer.jupyter.pad import Pad
from toydiff.explorer.state import with_classes


class DrawTab(w.VBox):
    """A pad, and the buttons that make a distribution of what is on it."""

    def __init__(self, explorer: Any):
        """Of this explorer."""
        self.explorer = explorer
        self.pad = Pad()
        make = partial(button, attempt=explorer.attempt)
        self.pen = w.ToggleButtons(options=[("class A", "A"), ("class B", "B")], style={"button_width": "5.5em"})
        w.link((self.pen, "value"), (self.pad, "pen"))
        self.thickness = w.FloatSlider(value=0.1, min=0.02, max=0.3, step=0.01, description="thickness", readout=False)
        w.link((self.thickness, "value"), (self.pad, "thickness"))
        self.bundled = w.Dropdown(
            options=[("put on the pad …", ""), *((name, name) for name in catalogue.bundled_drawings())]
        )
        self.bundled.layout = w.Layout(width="auto", flex="1 1 auto", min_width="0")
        self.bundled.observe(self._on_bundled, "value")
        self.upload = upload("Open", ".json", self._open, explorer.attempt)
        edit = [
            make("Undo", "Take the last stroke back (Ctrl+Z)", self._undo),
            make("Clear", "An empty pad", lambda: self._put([])),
            make("Explore", "Make a distribution of the drawing, and show it", self._explore),
        ]
        files = [make("Save drawing", "The drawing as a file", self._save), self.upload]
        super().__init__([self.pen, self.pad, self.thickness, w.HBox(edit), self.bundled, w.HBox(files)])
        for name in ("pen", "thickness", "bundled", "upload"):
            getattr(self, name).add_class(f"toydiff-draw-{name}")

    def drawing(self) -> Drawing:
        """What is on the pad.

        Raises:
            InputError: it cannot be a distribution; the message says why.
        """
        return Drawing.from_json({"toydiff": "drawing", "format": FORMAT, "strokes": self.pad.strokes})

    def _put(self, strokes: list[Any]) -> None:
        self.pad.strokes = strokes

    def _undo(self) -> None:
        if not self.pad.strokes:
            raise InputError("there is no stroke to take back")
        self._put(self.pad.strokes[:-1])

    def _explore(self) -> None:
        drawing = self.drawing()
        self.explorer.set(with_classes(self.explorer.state, drawing, "A", self.explorer.library))
        k = drawing.mixture(drawing.classes).weights.size
        self.explorer.say(
            f"{drawing.classes}: {k:,} Gaussian{'s' * (k > 1)}, exact scores. The tab Train makes networks of it."
        )

    def _save(self) -> None:
        self.explorer.offer("drawing.json", json.dumps(self.drawing().to_json()).encode())

    def _on_bundled(self, event: Any) -> None:
        name, self.bundled.value = event["new"], ""
        if name:
            self._put(catalogue.bundled_drawing(name).to_json()["strokes"])

    def _open(self, files: Sequence[Any]) -> None:
        try:
            values = json.loads(bytes(files[0]["content"]))
        except (ValueError, RecursionError):
            raise InputError("the file is not JSON; open a drawing that was saved") from None
        self._put(Drawing.from_json(values).to_json()["strokes"])
