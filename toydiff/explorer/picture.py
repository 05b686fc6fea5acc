"""The picture as a widget: shows what the kernel draws, and reports the pointer."""

from pathlib import Path

import anywidget
import traitlets


class Picture(anywidget.AnyWidget):
    """The image that the kernel draws; reports the pointer, and each picture that is on the screen."""

    _esm = Path(__file__).parent / "picture.js"
    _css = """
    .toydiff-picture { width: min(100%, 78vh, 880px); aspect-ratio: 1; border: 1px solid #ccc; cursor: grab;
      touch-action: none; display: block; }
    .toydiff-picture:active { cursor: grabbing; }
    """
    image = traitlets.Bytes(b"").tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
