"""Drawing a distribution: strokes of two classes, which become an exact mixture."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toydiff.base.checks import InputError
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import FORMAT, Drawing
from toydiff.explorer.actions.work import Action
from toydiff.explorer.state import with_classes

if TYPE_CHECKING:
    from toydiff.explorer.session import Session


def drawing_of(values: Mapping[str, Any]) -> Drawing:
    """What is on the pad.

    Raises:
        InputError: it cannot be a distribution; the message says why.
    """
    return Drawing.from_json({"toydiff": "drawing", "format": FORMAT, "strokes": values.get("strokes")})


def explore(session: "Session", values: Mapping[str, Any], _: Sequence[bytes]) -> None:
    """Make a distribution of the drawing, and show it."""
    drawing = drawing_of(values)
    session.set(with_classes(session.state, drawing, "A", session.library))
    k = drawing.mixture(drawing.classes).weights.size
    session.say(f"{drawing.classes}: {k:,} Gaussian{'s' * (k > 1)}, exact scores. Train makes networks of it.")


def save(session: "Session", values: Mapping[str, Any], _: Sequence[bytes]) -> None:
    """Offer the drawing as a file."""
    session.offer("drawing.json", json.dumps(drawing_of(values).to_json()).encode())


def opened(content: bytes) -> Drawing:
    """The drawing in a file.

    Raises:
        InputError: it is no drawing.
    """
    try:
        return Drawing.from_json(json.loads(content))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise InputError("the file is not JSON; open a drawing that was saved") from None


def put(session: "Session", drawing: Drawing) -> None:
    """Put a drawing on the pads of all views."""
    session.send({"strokes": drawing.to_json()["strokes"]})


ACTIONS: dict[str, Action] = {
    "explore-drawing": explore,
    "save-drawing": save,
    "open-drawing": lambda session, _, buffers: put(session, opened(b"".join(buffers))),
    "bundled-drawing": lambda session, values, _: put(session, catalogue.bundled_drawing(values.get("name", ""))),
}
