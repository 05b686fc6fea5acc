"""What stands on the screen before anything is computed: the first scene's messages, recorded once and bundled."""

import base64
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toydiff.base.files import write_bytes
from toydiff.explorer.session import Session

FILE = Path(__file__).parent / "front" / "opening.json"
Message = tuple[dict[str, Any], Sequence[bytes]]


def record() -> list[Message]:
    """What a session sends of its first scene until it rests; of several of a kind the last, and no ways."""
    kept: dict[str, Message] = {}
    rested = threading.Event()

    def send(message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        frame = message.get("frame", {})
        name = frame.get("layer", frame.get("frame", next(iter(message))))
        if name == "points":
            message, buffers = {"frame": {k: v for k, v in frame.items() if k != "levels"}}, buffers[:2]
        elif frame or name == "scene":
            message = {k: v for k, v in message.items() if k not in ("serial", "heard")}
        kept[name] = message, buffers
        if "rest" in message:
            rested.set()

    session = Session(send)
    try:
        session.receive({"hello": "opening"})
        if not rested.wait(120):
            raise TimeoutError("the first scene never came to rest")
    finally:
        session.close()
    return [kept[name] for name in ("about", "scene", "outlines", "points", "numbers", "curve")]


def as_text(messages: Sequence[Message]) -> str:
    """Messages as JSON, their buffers in base64: the form in which the front end keeps and reads them."""
    lines = [json.dumps([message, [base64.b64encode(one).decode() for one in bytes_]]) for message, bytes_ in messages]
    return "[" + ",\n".join(lines) + "]\n"


if __name__ == "__main__":
    write_bytes(FILE, as_text(record()).encode())
