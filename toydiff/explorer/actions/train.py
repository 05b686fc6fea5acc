"""Training networks on the distribution in view: how, how far, and the samples as they sharpen."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toydiff.base.checks import InputError, choice, count, parse_number
from toydiff.explorer.actions.work import Action, Progress
from toydiff.explorer.state import GUIDE_SIZE, newest, with_classes
from toydiff.explorer.trainer import Plan, Report, Trainer
from toydiff.measuring.setting import ModelChoice
from toydiff.networks.names import ModelName
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import Training

if TYPE_CHECKING:
    from toydiff.explorer.session import Session

MOST_LOSSES = 200
"""Points of a loss curve; each is the mean of 32 steps or more."""


class Coach:
    """A session's trainer; the networks then stand in the menus of both models.

    Attributes:
        trained: the family that is trained.
        followed: the family whose newest networks are shown.
    """

    def __init__(self, session: "Session"):
        self.session = session
        self.trainer = Trainer(self._on_progress, self._on_end)
        self.close = self.trainer.close  # at the session's end
        self.progress = Progress(session, "train", fraction=0.0, status="", running=False, losses=None)
        self.trained = self.followed = ""
        self._shown: dict[str, ModelChoice] = {}

    def begin(self, values: Mapping[str, Any]) -> None:
        """Train what the boxes say.

        Raises:
            InputError: a box holds what cannot be, or a training is running.
        """
        distribution, text = self.session.state.distribution, {name: str(value) for name, value in values.items()}
        options: dict[str, Any] = {name: text.get(name, "") for name in ("loss", "network")}
        options["widths"] = tuple(parse_number(part.strip()) for part in text.get("widths", "").split(","))
        options["seed"] = parse_number(text.get("seed", ""))
        recipes = (Recipe(distribution, classes, **options) for classes in text.get("classes", "").split(","))
        plan = Plan(tuple(recipes), count("steps", parse_number(text.get("steps", "")), 1, 1_000_000))
        if self.trainer.running:
            raise InputError("a training is running: stop it first")
        self.trained, self._shown = self.session.library.new_family(distribution), {}
        self.followed = self.trained
        self.session.paused = True
        self.progress.tell(fraction=0.0, status="compiling …", running=True, losses=None)  # first: it may end at once
        try:
            self.trainer.start(plan)
        except Exception:
            self._finish("failed")
            raise

    def _finish(self, status: str) -> None:
        self.session.paused = False
        self.progress.tell(status=status, running=False)

    # What the trainer says, on its thread.

    def _on_progress(self, report: Report) -> None:
        recipe, losses = report.training.recipe, report.training.losses[-32:].mean(0)
        listed = ", ".join(f"{loss:.4f} ({width})" for width, loss in zip(recipe.widths, losses, strict=True))
        status = f"{recipe.classes}: step {report.training.step} of {report.plan.steps}, loss {listed}"
        self.progress.tell(
            more_follows=True, fraction=report.fraction, status=status, losses=loss_curves(report.training)
        )
        if report.new_snapshot:
            self.session.library.add_snapshots(self.trained, report.training)
            self.session.post(self._show)

    def _on_end(self, plan: Plan, trainings: tuple[Training, ...], error: Exception | None) -> None:
        family = self.trained
        try:
            for training in trainings:
                self.session.library.add_snapshots(family, training)
        except Exception as failure:
            error = error or failure

        def finish() -> None:
            if trainings:
                self._show()
            stopped = any(training.interrupted for training in trainings) or len(trainings) < len(plan.recipes)
            if error is not None:
                self.session.complain(error)
                self._finish("failed")
            elif trainings:
                self._finish(("stopped; " if stopped else "") + f"{family} stands in the menus")
            else:
                self._finish("stopped before the first step")

        self.session.post(finish)

    def _show(self) -> None:
        """Bring the newest networks into the picture, in place of those that a person has not chosen otherwise."""
        session, family = self.session, self.followed
        state, library = session.state, session.library
        if state.distribution != library.distribution_of(family):
            return
        found = {
            "main": newest(state.distribution, family, [state.classes], library=library),
            "guide": newest(state.distribution, family, state.guide_classes, *GUIDE_SIZE, library=library),
        }
        followed: dict[str, Any] = {
            name: model
            for name, model in found.items()
            if model is not None and getattr(state, name) == self._shown.get(name, getattr(state, name))
        }
        self._shown |= followed
        if followed:
            session.show(session.scene.with_state(replace(state, **followed), library), by_person=False)
        else:
            session.announce()

    def load(self, names: Any, contents: Sequence[bytes]) -> None:
        """Load the networks in files, and show them.

        Raises:
            InputError: there are none, or they do not go together.
        """
        if not isinstance(names, list) or not names or len(names) != len(contents):
            raise InputError("no networks came; choose .safetensors files that were saved, each with its name")
        with tempfile.TemporaryDirectory() as folder:
            plain = (re.sub(r"[^\w.-]+|^[.]+$", "-", str(name))[-100:] for name in names)  # whatever a browser says
            paths = [Path(folder) / str(i) / name for i, name in enumerate(plain)]
            for path, content in zip(paths, contents, strict=True):
                path.parent.mkdir()
                path.write_bytes(content)
            family, loaded = self.session.library.load_files(paths)
        self.followed, self._shown = family, {}
        state, library = self.session.state, self.session.library
        distribution = library.distribution_of(family)
        if state.distribution != distribution or not newest(distribution, family, [state.classes], library=library):
            classes = library.networks(distribution, family)[0].classes
            self.session.set(with_classes(state, distribution, classes, library))
        self._show()
        self.session.say(f"{family} stands in the menus: {', '.join(map(str, loaded))}")


def loss_curves(training: Training) -> dict[str, Any]:
    """The loss of each width over the steps."""
    losses = training.losses
    groups = np.array_split(losses, min(MOST_LOSSES, max(1, len(losses) // 32)))
    means = np.array([group.mean(0) for group in groups]).T.tolist()
    steps = np.cumsum([len(group) for group in groups]).tolist()
    return {"steps": steps, "curves": dict(zip(map(str, training.recipe.widths), means, strict=True))}


def save(session: "Session", values: Mapping[str, Any], _: Sequence[bytes]) -> None:
    """Offer the network of the main model or the guide as a file."""
    which, state = choice("network", values.get("which"), ("main", "guide")), session.state
    model: ModelChoice = getattr(state, which)
    if model.exact:
        raise InputError(f"the {which} is the exact score; there is no network to save")
    classes = state.classes if which == "main" else next(iter(state.guide_classes), state.classes)
    name = ModelName(classes, model.width, model.steps)
    content = session.library.file_of(state.distribution, model.family, name)
    session.offer(f"{classes}-{model.width}-{model.steps}.safetensors", content)


ACTIONS: dict[str, Action] = {
    "train": lambda session, values, _: session.kept(Coach).begin(values),
    "stop-training": lambda session, *_: session.kept(Coach).trainer.stop(),
    "save-network": save,
    "load-networks": lambda session, values, buffers: session.kept(Coach).load(values.get("names"), buffers),
}
