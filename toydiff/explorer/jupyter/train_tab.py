"""The explorer's tab that trains networks: how, how far, and the samples as they sharpen."""

import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as w
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from toydiff.base.checks import InputError, count, parse_number
from toydiff.distributions import catalogue
from toydiff.explorer.drawing import drawing_lock
from toydiff.explorer.jupyter.controls import button, upload
from toydiff.explorer.state import GUIDE_SIZE, State, newest, with_classes
from toydiff.explorer.trainer import Plan, Report, Trainer
from toydiff.measuring.setting import ModelChoice
from toydiff.networks.energy import NETWORKS
from toydiff.networks.names import ModelName
from toydiff.networks.recipe import LOSSES, Recipe
from toydiff.networks.training import Training
from toydiff.results.style import GUIDE, MAIN


class TrainTab(w.VBox):
    """Trains on the distribution in view; the networks then stand in the menus of both models."""

    def __init__(self, explorer: Any):
        """Of this explorer."""
        self.explorer = explorer
        self.trainer = Trainer(self._on_progress, self._on_end)
        self.trained = self.followed = ""  # families: of the training, and the one whose networks are shown
        self._shown: dict[str, ModelChoice] = {}
        make = partial(button, attempt=explorer.attempt)
        self.classes = w.Dropdown(description="classes")
        self.widths = w.Text(value="16, 64", description="widths", continuous_update=False)
        self.steps = w.Text(value="1024", description="steps", continuous_update=False)
        self.loss = w.Dropdown(options=LOSSES, description="loss")
        self.network = w.Dropdown(options=list(NETWORKS), description="network")
        self.network.layout.display = None if len(NETWORKS) > 1 else "none"
        self.seed = w.Text(value="0", description="seed", continuous_update=False)
        self.start, self.stop = make("Train", "Train these networks", self.begin), make("Stop", "", self.trainer.stop)
        self.stop.tooltip = "End now; what has been learned is kept"
        self.stop.disabled = True
        self.bar = w.FloatProgress(max=1.0, layout=w.Layout(width="100%"))
        self.status = w.HTML()
        self.curve = w.Image(format="svg+xml", layout=w.Layout(display="none"))
        self.upload = upload("Load", ".safetensors", self._load, explorer.attempt, multiple=True)
        save = [
            make(f"Save {name}", f"The network of the {name} as a file", partial(self._save, name))
            for name in ("main", "guide")
        ]
        super().__init__(
            [
                *(self.classes, self.widths, self.steps, self.loss, self.network, self.seed),
                *(w.HBox([self.start, self.stop]), self.bar, self.status, self.curve),
                *(w.HTML("<b>Networks as files</b>"), w.HBox([*save, self.upload])),
            ]
        )
        parts = ("classes", "widths", "steps", "loss", "network", "seed", "bar", "status", "curve", "upload")
        for name in parts:
            getattr(self, name).add_class(f"toydiff-train-{name}")

    def fill(self, state: State) -> None:
        """Offer the classes of the state's distribution."""
        every = catalogue.all_classes(state.distribution)
        both = [(f"{state.classes} and {every}, for CFG", f"{state.classes},{every}")] * (state.classes != every)
        options = [*both, *((classes, classes) for classes in catalogue.class_choices(every))]
        if self.classes.options != tuple(options):
            self.classes.options, self.classes.value = options, options[0][1]

    def close(self) -> None:
        """End what is trained with the widget."""
        self.trainer.close()
        super().close()

    def begin(self) -> None:
        """Train what the boxes say.

        Raises:
            InputError: a box holds what cannot be, or a training is running.
        """
        state = self.explorer.state
        widths = tuple(parse_number(part.strip()) for part in self.widths.value.split(","))
        options = {
            "widths": widths,
            "loss": self.loss.value,
            "network": self.network.value,
            "seed": parse_number(self.seed.value),
        }
        recipes = (Recipe(state.distribution, c, **options) for c in self.classes.value.split(","))
        plan = Plan(tuple(recipes), count("steps", parse_number(self.steps.value), 1, 1_000_000))
        if self.trainer.running:
            raise InputError("a training is running: stop it first")
        self.trained, self._shown = self.explorer.library.new_family(state.distribution), {}
        self.followed = self.trained
        self.bar.value, self.status.value = 0.0, "compiling …"
        self._set_running(True)  # before it starts: it may end at once
        try:
            self.trainer.start(plan)
        except Exception:
            self._set_running(False)
            raise

    def _set_running(self, running: bool) -> None:
        self.explorer.worker.paused = running
        self.start.disabled, self.stop.disabled = running, not running

    # What the trainer says, on its thread.

    def _on_progress(self, report: Report) -> None:
        self.bar.value = report.fraction
        recipe, losses = report.training.recipe, report.training.losses[-32:].mean(0)
        listed = ", ".join(f"{loss:.4f} ({width})" for width, loss in zip(recipe.widths, losses, strict=True))
        self.status.value = f"{recipe.classes}: step {report.training.step} of {report.plan.steps}, loss {listed}"
        if report.new_snapshot:
            self.curve.value = loss_picture(report.training)
            self.curve.layout.display = None
            self.explorer.library.add_snapshots(self.trained, report.training)
            self.explorer.post(self._show)

    def _on_end(self, plan: Plan, trainings: tuple[Training, ...], error: Exception | None) -> None:
        family = self.trained
        try:
            for training in trainings:
                self.explorer.library.add_snapshots(family, training)
        except Exception as failure:
            error = error or failure

        def finish() -> None:
            if trainings:
                self._show()
            stopped = any(training.interrupted for training in trainings) or len(trainings) < len(plan.recipes)
            if error is not None:
                self.status.value = "failed"
                self.explorer.complain(error)
            elif trainings:
                self.status.value = ("stopped; " if stopped else "") + f"{family} stands in the menus"
            else:
                self.status.value = "stopped before the first step"
            self._set_running(False)

        self.explorer.post(finish)

    def _show(self) -> None:
        """Bring the newest networks into the picture, in place of those that a person has not chosen otherwise."""
        state, family, library = self.explorer.state, self.followed, self.explorer.library
        if state.distribution != self.explorer.library.distribution_of(family):
            return
        found = {
            "main": newest(state.distribution, family, [state.classes], library=library),
            "guide": newest(state.distribution, family, state.guide_classes, *GUIDE_SIZE, library=library),
        }
        followed = {
            name: model
            for name, model in found.items()
            if model is not None and getattr(state, name) == self._shown.get(name, getattr(state, name))
        }
        self._shown |= followed
        if followed:
            self.explorer.show(self.explorer.scene.with_state(replace(state, **followed), library), by_person=False)

    def _save(self, name: str) -> None:
        state = self.explorer.state
        model: ModelChoice = getattr(state, name)
        if model.exact:
            raise InputError(f"the {name} is the exact score; there is no network to save")
        classes = state.classes if name == "main" else next(iter(state.guide_classes), state.classes)
        content = self.explorer.library.file_of(
            state.distribution, model.family, ModelName(classes, model.width, model.steps)
        )
        self.explorer.offer(f"{classes}-{model.width}-{model.steps}.safetensors", content)

    def _load(self, files: Sequence[Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / str(i) / Path(file["name"]).name for i, file in enumerate(files)]
            for path, file in zip(paths, files, strict=True):
                path.parent.mkdir()
                path.write_bytes(file["content"])
            family, names = self.explorer.library.load_files(paths)
        self.followed, self._shown = family, {}
        state = self.explorer.state
        distribution = self.explorer.library.distribution_of(family)
        if state.distribution != distribution or not newest(
            distribution, family, [state.classes], library=self.explorer.library
        ):
            classes = self.explorer.library.networks(distribution, family)[0].classes
            self.explorer.set(with_classes(state, distribution, classes, self.explorer.library))
        self._show()
        self.explorer.say(f"{family} stands in the menus: {', '.join(map(str, names))}")


def loss_picture(training: Training) -> bytes:
    """The loss of each width over the steps as SVG, the mean of 32 steps a point."""
    losses = training.losses
    groups = np.array_split(losses, max(1, len(losses) // 32))
    means, ends = np.stack([group.mean(0) for group in groups]), np.cumsum([len(group) for group in groups])
    with drawing_lock:
        figure = Figure(figsize=(4, 2.2), layout="constrained")
        ax = figure.subplots()
        for i, width in enumerate(training.recipe.widths):
            colour = MAIN.strong if width == max(training.recipe.widths) else GUIDE.strong
            ax.plot(ends, means[:, i], color=colour, label=f"width {width}", alpha=1 if i < 2 else 0.5)
        ax.set(xlim=(0, None), yscale="log")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("steps", fontsize=12)
        ax.set_ylabel("loss", fontsize=12)
        ax.legend(fontsize=11, frameon=False)
        content = io.BytesIO()
        figure.savefig(content, format="svg")
    return content.getvalue()
