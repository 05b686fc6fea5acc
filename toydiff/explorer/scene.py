"""What stands on the explorer's screen: one to four panels from the same noise, a title and a question."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, fields, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from toydiff.base.checks import InputError, choice, count, shown
from toydiff.explorer.help import HIDEABLE
from toydiff.explorer.state import PRESETS, State, with_classes
from toydiff.measuring.setting import json_values, known_fields
from toydiff.networks.library import BUNDLE, Library

MOST_PANELS = 4
LINKED = ("distribution", "classes", "seed", "points", "sigma", "layers", "view", "probe")
"""What all panels share; each has the rest, its method and its models, for itself."""
LONGEST_TEXT = 1000


@dataclass(frozen=True)
class Scene:
    """One to four panels, of which the controls move one.

    Attributes:
        panels: a state each; what `LINKED` names is that of the active one in all of them.
        active: the panel that the controls show, from 0.
        title: over the picture.
        question: below the title; what the class should find out.
        hidden: names of controls and parts that are not shown, of `toydiff.explorer.help.HIDEABLE`.
        library: where models are found for panels that must follow to other data; it is not kept.

    Raises:
        InputError: a field is out of range.
    """

    panels: tuple[State, ...] = (State(),)
    active: int = 0
    title: str = ""
    question: str = ""
    hidden: tuple[str, ...] = ()
    library: InitVar[Library] = BUNDLE

    def __post_init__(self, library: Library) -> None:
        panels = self.panels
        if not isinstance(panels, tuple | list) or not all(isinstance(state, State) for state in panels):
            raise InputError("the panels of a scene must be a list of states")
        if not 1 <= len(panels) <= MOST_PANELS:
            raise InputError(f"a scene has {len(panels)} panels; it must have 1 to {MOST_PANELS}")
        active = count("active", self.active, 0, len(panels) - 1)
        for name in ("title", "question"):
            text = getattr(self, name)
            if not isinstance(text, str) or len(text) > LONGEST_TEXT or not _is_unicode(text):
                raise InputError(f"the {name} of a scene must be text of at most {LONGEST_TEXT} characters")
        if not isinstance(self.hidden, tuple | list):
            raise InputError(f"hidden is {shown(self.hidden)}; it must be a list of names of controls")
        for name in self.hidden:
            choice("control to hide", name, HIDEABLE)
        linked = tuple(_link(state, panels[active], library) for state in panels)
        for name, value in {"panels": linked, "active": active, "hidden": tuple(sorted(set(self.hidden)))}.items():
            object.__setattr__(self, name, value)

    @property
    def state(self) -> State:
        """The state of the active panel."""
        return self.panels[self.active]

    def with_state(self, state: State, library: Library = BUNDLE) -> "Scene":
        """The scene with another state in the active panel; the others follow in what is linked."""
        panels = (*self.panels[: self.active], state, *self.panels[self.active + 1 :])
        return replace(self, panels=panels, library=library)

    def to_json(self) -> dict[str, Any]:
        """The scene as JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"panels": [state.to_json() for state in self.panels]}

    @classmethod
    def from_json(cls, values: Any, library: Library = BUNDLE) -> "Scene":
        """The scene that `to_json` gave, one picture of a state that `State.to_json` gave, or the JSON text of either.

        Raises:
            InputError: it is neither, or a field is unknown or out of range.
        """
        values = json_values(values)
        if not isinstance(values, dict) or "panels" not in values:
            return cls((State.from_json(values, library),))
        values = known_fields("scene", values, {field.name for field in fields(cls)})
        if not isinstance(values["panels"], list):
            raise InputError(f"panels is {shown(values['panels'])}; it must be a list of states")
        panels = tuple(State.from_json(state, library) for state in values["panels"])
        return cls(**values | {"panels": panels, "library": library})


def _is_unicode(text: str) -> bool:
    """Whether a text has no half of a character, which JSON can hold but no message can carry."""
    return text == text.encode("utf-8", "ignore").decode()


def _link(state: State, lead: State, library: Library) -> State:
    """A state with all that is linked as in the leading one; models that do not know its data give way to hers."""
    changed = {name: getattr(lead, name) for name in LINKED if getattr(state, name) != getattr(lead, name)}
    if {"distribution", "classes"} & set(changed):
        state = with_classes(state, lead.distribution, lead.classes, library)
    return replace(state, **changed) if changed else state


def compare(*states: State, title: str = "", question: str = "", hidden: Sequence[str] = ()) -> Scene:
    """The states side by side, with the data, the noise level and the view of the first; the rest as in `Scene`.

    Raises:
        InputError: there are none, or more than four.
    """
    return Scene(states, title=title, question=question, hidden=tuple(hidden))


@cache
def default_scenes() -> Mapping[str, Scene]:
    """Views to begin with, by name: the paper's figures, and comparisons.

    Made when first asked for: the view of a drawing needs its mixture, and an import must start no backend of JAX.
    """
    alone = {name: Scene((state,)) for name, state in PRESETS.items()}
    cfg, autoguidance = (PRESETS[f"Fig. 1{name}"] for name in ("c: CFG", "e: autoguidance"))
    letters = [with_classes(State(method=method, weight=2.0), "letters", "A") for method in ("cfg", "autoguidance")]
    return MappingProxyType(
        alone
        | {
            "CFG and autoguidance": compare(cfg, autoguidance),
            "Fig. 1: all four": compare(*list(PRESETS.values())[:4]),
            "Letters": compare(*letters),
        }
    )
