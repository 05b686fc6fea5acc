"""The explorer's front end: plain JavaScript modules and styles, as one script and one style for any host."""

import re
from functools import cache
from importlib.resources import files

START = "main.js"
STYLES = ("front.css", "parts.css", "drawer.css")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


@cache
def modules() -> dict[str, str]:
    """The modules by name, each after those that it imports."""
    found: dict[str, str] = {}

    def visit(name: str) -> None:
        text = _text(name)
        for other in _IMPORT.findall(text):
            if other not in found:
                visit(other)
        found[name] = text

    visit(START)
    return found


@cache
def script() -> str:
    """All modules in one: `mount` and the rest are names at its top."""
    parts = (re.sub(r"^export ", "", _IMPORT.sub("", text), flags=re.MULTILINE) for text in modules().values())
    return "\n".join(parts)


@cache
def style() -> str:
    """All styles in one."""
    return "\n".join(map(_text, STYLES))


def opening() -> str:
    """The first scene as recorded messages: what stands on the screen before anything is computed."""
    return _text("opening.json")
