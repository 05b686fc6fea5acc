"""What can be chosen in a state, what each choice brings with it, and why a control has no effect."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from toydiff.base.checks import choice
from toydiff.distributions import catalogue
from toydiff.explorer.state import ModelChoice, State, default_models, nearest, whole_view, with_classes, with_method
from toydiff.guidance.methods import METHODS
from toydiff.networks.library import BUNDLE, Library

OWN = "own"
"""In the menu of data: the drawing, or whatever is no name of the catalogue."""
SAME_EXACT = "main and guide are the same exact density: train networks"


def _family(which: str, state: State, family: Any, library: Library) -> State:
    model: ModelChoice = getattr(state, which)
    known = choice("family", family, library.families(state.distribution))
    found: dict[str, Any] = {which: nearest(state.distribution, known, model.width, model.steps, library)}
    return replace(state, **found)


def _exact(which: str, state: State, exact: Any, library: Library) -> State:
    model: ModelChoice = getattr(state, which)
    default = default_models(state.distribution, state.classes, library)[which == "guide"]
    known = model.family in library.families(state.distribution)
    found: dict[str, Any] = {which: replace(model if exact or known else default, exact=exact)}
    return replace(state, **found)


def _data(state: State, name: Any, library: Library) -> State:
    if name == OWN:
        return state
    known = choice("data", name, catalogue.DISTRIBUTIONS)
    return with_classes(state, known, catalogue.all_classes(known)[0], library)


CHOICES: dict[str, Callable[[State, Any, Library], State]] = {
    "method": lambda state, name, library: with_method(state, name),
    "distribution": _data,
    "classes": lambda state, classes, library: with_classes(state, state.distribution, classes, library),
    "main-family": partial(_family, "main"),
    "guide-family": partial(_family, "guide"),
    "main-exact": partial(_exact, "main"),
    "guide-exact": partial(_exact, "guide"),
}
"""(state, what was chosen, library) -> the state with all that this brings."""


def choose(state: State, name: Any, value: Any, library: Library = BUNDLE) -> State:
    """The state after a choice of a person.

    Raises:
        InputError: there is no such choice, or no such thing to choose.
    """
    return CHOICES[choice("choice", name, CHOICES)](state, value, library)


def menus(state: State, library: Library = BUNDLE) -> dict[str, Any]:
    """What the controls of a panel offer, as JSON values."""
    own = [] if isinstance(state.distribution, str) else [[OWN, "your drawing"]]
    every = catalogue.all_classes(state.distribution)
    knobs = {name: {**knob._asdict(), "value": state.knob(name)} for name, knob in state.row.other_knobs.items()}
    return {
        "method": [[name, row.short] for name, row in METHODS.items()],
        "distribution": [*([name, name.replace("_", " ")] for name in catalogue.DISTRIBUTIONS), *own],
        "data": OWN if own else state.distribution,
        "classes": [
            [c, f"class {c}" if len(c) == 1 else "all classes" if c == every else f"classes {c}"]
            for c in catalogue.class_choices(every)
        ],
        "knobs": knobs,
        "weight": state.row.knobs["weight"]._asdict() if state.row.is_guided else None,
        "main": _sizes(state, "main", library),
        "guide": _sizes(state, "guide", library),
        "whole": whole_view(state.distribution, state.classes)._asdict(),
        "words": {name: getattr(state.row, name) for name in ("short", "title", "source")}
        | {"guide": guide_in_words(state)},
        "reasons": reasons(state, library),
        "has_guide": bool(state.row.guides),
    }


def _sizes(state: State, which: str, library: Library) -> dict[str, Any]:
    model: ModelChoice = getattr(state, which)
    families = library.families(state.distribution)
    families = families if model.family in families or model.exact else [*families, model.family]
    widths, steps = ([], []) if model.exact else library.available(state.distribution, model.family)
    return {"families": families, "widths": widths, "steps": steps, "ladder": ladder(widths, steps, model)}


def ladder(widths: list[int], steps: list[int], model: ModelChoice) -> list[list[int]]:
    """Sizes from bad to good, the chosen one among them: both width and training grow, or one of them."""
    if model.exact or not widths:
        return []
    n = max(len(widths), len(steps))
    at = [i / max(n - 1, 1) for i in range(n)]
    sizes = {(widths[round(i * (len(widths) - 1))], steps[round(i * (len(steps) - 1))]) for i in at}
    below = [size for size in sizes if size[0] <= model.width and size[1] <= model.steps]
    above = [size for size in sizes if size[0] >= model.width and size[1] >= model.steps]
    return [list(size) for size in sorted({*below, (model.width, model.steps), *above})]


def guide_in_words(state: State) -> str:
    """The guide as one says it: "both classes, smaller"; empty without one."""
    if not state.row.guides:
        return ""
    if state.exact_guide:
        return "exact"
    if not state.row.networks:
        return "trained classifier"
    every = catalogue.all_classes(state.distribution)
    others = state.guide_classes[0] != state.classes
    words = [("both classes" if len(every) == 2 else "all classes") if others else "same class"]
    main, guide = state.main, state.guide
    if guide.family != main.family:
        return ", ".join([*words, guide.family])
    words += ["smaller"] * (main.exact or guide.width < main.width) + ["wider"] * (guide.width > main.width)
    words += ["less trained"] * (not main.exact and guide.steps < main.steps)
    return ", ".join(words if len(words) > 1 else [*words, "as good"])


def reasons(state: State, library: Library = BUNDLE) -> dict[str, str]:
    """By control: why it has no effect now."""
    found: dict[str, str] = {}
    roles = state.row.networks
    same_classes = bool(roles) and all(classes == state.classes for classes in state.guide_classes)
    if not state.row.is_guided:
        found["weight"] = "nothing to weigh without guidance: choose a method"
    elif same_classes and state.main.exact and state.guide.exact and len(roles) == len(state.row.guides):
        found["weight"] = SAME_EXACT
    elif same_classes and not state.main.exact and state.main == state.guide:
        found["weight"] = "main and guide are the same network: choose a worse guide"
    known = library.has_networks(state.distribution, state.classes)
    for which in ("main", "guide"):
        model: ModelChoice = getattr(state, which)
        if model.exact:
            found[f"{which}-size"] = "an exact score has no size"
        if not known:
            found[f"{which}-exact"] = "no networks know this class: train some"
    if not state.row.guides:
        found["guide-size"] = found["guide-exact"] = "this method has no guide"
    elif not roles:
        found["guide-size"] = "the guide is a classifier: it has no size here"
        if state.exact_guide and not state.guide.exact:
            found["guide-exact"] = "no trained classifier knows this class"
    return found
