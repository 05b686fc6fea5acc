"""A message and its buffers as one WebSocket message, both ways; `host.js` does the same in the browser.

Without buffers it is a text: the message as JSON. With buffers it is binary: the length of the header (four bytes, the
lowest first); the header, `{"message": ..., "sizes": [bytes of each buffer]}` as JSON, with spaces at the end so that
the buffers begin at a multiple of 8; the buffers, each filled up to a multiple of 8: numbers can be read in place.
"""

import json
from collections.abc import Sequence
from typing import Any


def pack(message: Any, buffers: Sequence[bytes] = ()) -> str | bytes:
    """What is sent.

    Raises:
        ValueError: the message holds NaN or infinity, which JSON does not know.
    """
    if not buffers:
        return _to_json(message)
    header = _to_json({"message": message, "sizes": [len(buffer) for buffer in buffers]}).encode()
    header += b" " * (-(4 + len(header)) % 8)
    padded = (part for buffer in buffers for part in (buffer, bytes(-len(buffer) % 8)))
    return b"".join([len(header).to_bytes(4, "little"), header, *padded])


def unpack(data: str | bytes) -> tuple[Any, list[bytes]]:
    """The message and its buffers.

    Raises:
        ValueError: it is cut short, too long, or not JSON.
    """
    try:
        if isinstance(data, str):
            return json.loads(data), []
        at = 4 + int.from_bytes(data[:4], "little")
        header = json.loads(data[4:at].decode())
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    match header:
        case {"message": message, "sizes": [*sizes]} if all(type(size) is int and size >= 0 for size in sizes):
            pass
        case _:
            raise ValueError("the header names no message and sizes")
    if len(data) != at + sum(size + -size % 8 for size in sizes):
        raise ValueError("the sizes do not fit")
    buffers = []
    for size in sizes:
        buffers.append(data[at : at + size])
        at += size + -size % 8
    return message, buffers


def _to_json(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"), allow_nan=False)
