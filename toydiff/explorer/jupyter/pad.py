"""A drawing pad as a widget: strokes of two classes, drawn with the mouse, a finger or a pen."""

from pathlib import Path

import anywidget
import traitlets

from toydiff.results.style import CLASS, OTHER


class Pad(anywidget.AnyWidget):
    """Shows `strokes` and adds those that a person draws, each when it is finished. Ctrl+Z takes the last one back."""

    _esm = Path(__file__).parents[1] / "front" / "pad.js"
    _css = Path(__file__).parents[1] / "front" / "explorer.css"
    strokes = traitlets.List(traitlets.Dict()).tag(sync=True)
    """{"class": "A" or "B", "thickness": float, "points": [[x, y], ...]} each, from -1 to 1 with y upwards."""
    pen = traitlets.Enum(("A", "B"), "A").tag(sync=True)
    """The class of the strokes to come."""
    thickness = traitlets.Float(0.12).tag(sync=True)
    """Of the strokes to come; the pad is 2 wide."""
    colours = traitlets.Dict({"A": CLASS.strong, "B": OTHER.dark}).tag(sync=True)
    """By class; the light grey of OTHER would be lost on a projector."""
