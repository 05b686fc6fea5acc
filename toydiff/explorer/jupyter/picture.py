"""The picture as a widget: shows what the kernel draws, and reports the pointer."""

from pathlib import Path

import anywidget
import traitlets


class Picture(anywidget.AnyWidget):
    """The image that the kernel draws; reports the pointer, each picture that is shown, and a kernel that is silent.

    The message {"mark": [x, y]} rings a point, in positions from -1 to 1 across the picture; null takes the ring away.
    """

    _esm = Path(__file__).parents[1] / "front" / "picture.js"
    _css = Path(__file__).parents[1] / "front" / "explorer.css"
    image = traitlets.Bytes(b"").tag(sync=True)
    help = traitlets.Dict({}).tag(sync=True)
    """Help texts by the name of the control, which carries the class toydiff-NAME."""
    full = traitlets.Bool(False).tag(sync=True)
    """Whether the image is drawn in full, as it is when nothing moves."""
    probing = traitlets.Bool(False).tag(sync=True)
    """Whether the pointer moves the probe in place of the view."""
    comparing = traitlets.Bool(False).tag(sync=True)
    """Whether there are other pictures: then it has a caption, can be chosen and closed, and reports hovering."""
    caption = traitlets.Unicode("").tag(sync=True)
    active = traitlets.Bool(True).tag(sync=True)
    """Whether the controls move this picture."""
    frame = traitlets.Int(0).tag(sync=True)
