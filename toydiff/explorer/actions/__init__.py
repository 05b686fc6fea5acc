"""What the front end can ask of a session besides the scene: drawing, training, sweeps, and what is taken along."""

from typing import TYPE_CHECKING, Any

from toydiff.distributions import catalogue
from toydiff.explorer import films
from toydiff.explorer.actions import draw, keep, sweep, train
from toydiff.explorer.help import HIDEABLE
from toydiff.explorer.state import State
from toydiff.networks.energy import NETWORKS
from toydiff.networks.recipe import LOSSES
from toydiff.results.style import GUIDE, MAIN

if TYPE_CHECKING:
    from toydiff.explorer.session import Session

ACTIONS = (
    draw.ACTIONS
    | train.ACTIONS
    | sweep.ACTIONS
    | keep.ACTIONS
    | {"kits": lambda session, values, buffers: session.give_kits()}
)
"""By name; another one is one function and one row."""


def greet(session: "Session") -> None:
    """Tell a view that has just come what is going on, and what is open."""
    for told in (session.kept(train.Coach), session.kept(keep.Pictures), session.kept(keep.Films)):
        told.progress.tell()
    session.kept(sweep.OpenSweep).tell()


def tables() -> dict[str, Any]:
    """What the sections of these actions offer, whatever the scene."""
    colours = {"largest": MAIN.strong, "others": GUIDE.strong}
    return {
        "train": {"losses": list(LOSSES), "networks": list(NETWORKS), "colours": colours},
        "drawings": list(catalogue.bundled_drawings()),
        "films": [[name, row.title] for name, row in films.KINDS.items()],
        "hideable": list(HIDEABLE),
    }


def trainable(state: State) -> list[list[str]]:
    """The classes that networks can be trained on, as [value, label]: first what guidance needs."""
    every = catalogue.all_classes(state.distribution)
    both = [[f"{state.classes},{every}", f"{state.classes} and {every}, for CFG"]] * (state.classes != every)
    return [*both, *([classes, classes] for classes in catalogue.class_choices(every))]
