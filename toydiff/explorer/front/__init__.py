"""The explorer's front end: plain JavaScript modules and styles, as one script and one style for any host."""

import re
from functools import cache
from graphlib import TopologicalSorter
from importlib.resources import files

STYLES = ("front.css", "parts.css", "drawer.css")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


@cache
def script() -> str:
    """All modules in one, each after those that it imports: `mount` and the rest are names at its top."""
    names = sorted(file.name for file in files(__name__).iterdir() if file.name.endswith(".js"))
    texts = {name: _text(name) for name in names}
    order = TopologicalSorter({name: _IMPORT.findall(text) for name, text in texts.items()}).static_order()
    return "\n".join(re.sub(r"^export ", "", _IMPORT.sub("", texts[name]), flags=re.MULTILINE) for name in order)


@cache
def style() -> str:
    """All styles in one."""
    return "\n".join(map(_text, STYLES))


def opening() -> str:
    """The first scene as recorded messages: what stands on the screen before anything is computed."""
    return _text("opening.json")
