"""The explorer: its controls beside the views of what `compute` and `drawing` make of a state."""

import base64
import html
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets as w
import numpy as np
from matplotlib.figure import Figure

from toydiff.checks import InputError
from toydiff.compiled import keep_compiled
from toydiff.explorer import compute, drawing
from toydiff.explorer.controls import HELP, Controls
from toydiff.explorer.picture import Picture
from toydiff.explorer.probe import Probe, probe
from toydiff.explorer.state import LAYERS, State, pan, reset_view, zoom
from toydiff.explorer.worker import Worker
from toydiff.guidance import METHODS
from toydiff.metrics import METRICS
from toydiff.plotting import OUTLIER
from toydiff.sampling import noise_schedule

MIME = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


class Explorer(w.HBox):
    """Drag the weight and the capacity, and watch; `state` is what is set."""

    def __init__(self, state: State | None = None):
        """Show `state`, by default autoguidance as in Figure 1 of the paper."""
        keep_compiled()
        self.state = State() if state is None else state
        self.picture = Picture(help=HELP)
        self.message, self.legend, self.numbers, self.sigma = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.download = w.HTML()
        self.curve = w.Image(format="svg+xml", layout=w.Layout(display="none"))
        self.curve.add_class("toydiff-curve")
        self.controls = Controls(self.state, self.set, self._show_error)
        tabs = w.Tab(
            [self.controls.guidance, self.controls.layers, self._take_along()],
            titles=("Guidance", "Layers", "Take it along"),
        )
        tabs.add_class("toydiff-controls")
        self.probe = w.HTML()
        w.link((self.controls.probing, "value"), (self.picture, "probing"))
        middle = w.VBox([self.message, self.picture, self.controls.time])
        middle.add_class("toydiff-middle")
        self.measured = w.VBox([self.numbers, self.curve])
        self.message.add_class("toydiff-message")
        side = w.VBox([self.sigma, self.legend, self.probe, self.measured])
        side.add_class("toydiff-side")
        super().__init__([tabs, middle, side])
        self.add_class("toydiff-explorer")
        self.worker = Worker(self._show_picture, self._show_numbers, self._show_error)
        self.picture.on_msg(self._on_pointer)
        self.set(self.state)

    def set(self, state: State) -> None:
        """Show another state, controls and all; a message of before goes."""
        try:
            self.controls.fill(state)
        except Exception:
            self.controls.fill(self.state)
            raise
        self.state = state
        self.message.value = self.download.value = ""
        self.sigma.value = f"<div class='toydiff-sigma'>noise level σ = {noise_schedule()[state.step]:.3g}</div>"
        self.legend.value = _legend(state)
        self.measured.add_class("toydiff-stale")  # until the numbers have followed
        self.worker.submit(state)

    def close(self) -> None:
        """End the worker with the widget."""
        self.worker.close()
        super().close()

    def _take_along(self) -> w.Widget:
        text = w.Textarea(placeholder="Paste a state here, then press Restore", tooltip="A state as JSON, or Python")
        text.add_class("toydiff-text")

        def button(label: str, tooltip: str, act: Callable[[], None]) -> w.Button:
            widget = w.Button(description=label, tooltip=tooltip, layout=w.Layout(width="auto"))
            widget.add_class(f"toydiff-button-{label.lower()}")

            def on_click(_: Any) -> None:
                try:
                    act()
                except Exception as error:
                    self._show_error(error)

            widget.on_click(on_click)
            return widget

        def save(kind: str) -> None:
            content = base64.b64encode(drawing.picture_bytes(self.state, kind)).decode()
            self.download.value = (
                f'<a class="toydiff-download" download="toydiff.{kind}" href="data:{MIME[kind]};base64,{content}">'
                f"download toydiff.{kind}</a>"
            )

        states = [
            button("State", "Put the state into the box", lambda: setattr(text, "value", self.state.to_json())),
            button("Restore", "Show the state that is in the box", lambda: self.set(State.from_json(text.value))),
            button(
                "Python",
                "Put the Python that makes exactly this picture into the box",
                lambda: setattr(text, "value", drawing.python_code(self.state)),
            ),
        ]
        pictures = [button(kind.upper(), f"The picture as {kind.upper()}", partial(save, kind)) for kind in MIME]
        return w.VBox([w.HBox(states), text, w.HBox(pictures), self.download])

    def _on_pointer(self, _: Any, content: dict[str, Any], __: Any) -> None:
        try:
            self._move_view(content)
        except Exception as error:  # in a callback it would otherwise only be logged
            self._show_error(error)

    def _move_view(self, content: dict[str, Any]) -> None:
        view = self.state.view
        if "shown" in content:
            self.worker.acknowledge()
        elif "ask" in content:
            self.picture.send({"answer": content["ask"]})
        elif "zoom" in content:
            x, y = (c + view.half_width * content[axis] for c, axis in ((view.x, "x"), (view.y, "y")))
            self.set(zoom(self.state, content["zoom"], x, y))
        elif "probe" in content:
            x, y = (c + view.half_width * d for c, d in zip((view.x, view.y), content["probe"], strict=True))
            self.set(replace(self.state, probe=(x, y)))
        elif "pan" in content:
            self.set(pan(self.state, *(view.half_width * d for d in content["pan"])))
        elif "reset" in content:
            self.set(reset_view(self.state))

    # What comes back, on the worker's thread.

    def _show_picture(self, state: State, content: bytes, full: bool) -> None:
        self.probe.value = _probe_table(probe(state))
        with self.picture.hold_sync():
            self.picture.image, self.picture.full = content, full
            self.picture.frame += 1

    def _show_numbers(self, state: State) -> Iterator[None]:
        self.numbers.value = _table(state, compute.measure(state, compute.Quality.full(state)))
        yield
        if state.method == "unguided":
            self.curve.layout.display = "none"
        else:
            values = []
            for point in compute.curve(state):
                values.append(point)
                yield
            self.curve.value = _curve_picture(state, np.array(values))
            self.curve.layout.display = None
        if state is self.state:
            self.measured.remove_class("toydiff-stale")

    def _show_error(self, error: Exception) -> None:
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        self.message.value = f"<div class='toydiff-error' role='alert'>{html.escape(what)}</div>"


def _legend(state: State) -> str:
    """The layers that are on, each with its colour."""
    absent = () if METHODS[state.method].guides else drawing.OF_THE_GUIDE
    colours = {name: drawing.COLOURS[name] for name in state.layers if name in drawing.COLOURS and name not in absent}
    rows = [(colour, LAYERS[name]) for name, colour in colours.items()]
    if "rescue" in state.layers:
        rows += [(drawing.RESCUED, "rescued by guidance"), (OUTLIER, "lost by guidance"), (drawing.KEPT, "neither")]
    swatches = (f"<span><i style='background:{colour}'></i>{label}</span>" for colour, label in rows)
    return f"<div class='toydiff-legend'>{''.join(swatches)}</div>"


def _probe_table(seen: Probe | None) -> str:
    """The scores at the probed point, and the weight that would be best there."""
    if seen is None:
        return ""
    rows = "".join(
        f"<tr><td><i style='background:{drawing.PROBE_COLOURS[name]}'></i>{name}</td><td>{arrow.length:.3f}</td>"
        f"<td>{'–' if np.isnan(arrow.angle) else f'{arrow.angle:.0f}°'}</td></tr>"
        for name, arrow in seen.arrows.items()
    )
    head = "<tr><th>σ² score at the probe</th><th>length</th><th>to exact</th></tr>"
    best = "–" if seen.best_weight is None else f"<b>{seen.best_weight:.2f}</b>"
    foot = f"<tr><td>best weight here</td><td colspan='2'>w* = {best}</td></tr>"
    return f"<table class='toydiff-numbers toydiff-probe'>{head}{rows}{foot}</table>"


def _table(state: State, scores: dict[str, Any]) -> str:
    """The numbers, each beside that of exact samples."""
    titles = {name: row.title for name, row in METRICS.items()} | {"class_leakage": "nearer to the other class"}
    rows = "".join(
        f"<tr><td>{titles[name]}</td><td><b>{value:.3f}</b></td><td>{exact:.3f}</td></tr>"
        for name, (value, exact) in scores.items()
    )
    head = f"<tr><th>{state.points:,} samples</th><th>here</th><th>exact</th></tr>"
    return f"<table class='toydiff-numbers'>{head}{rows}</table>"


def _curve_picture(state: State, values: np.ndarray) -> bytes:
    """Outlier rate and branch coverage over w, with a mark at the present w."""
    figure = Figure(figsize=(4, 2.9), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    left.plot(compute.CURVE_WEIGHTS, 100 * values[:, 0], color=OUTLIER, marker="o", markersize=4)
    right.plot(compute.CURVE_WEIGHTS, 100 * values[:, 1], color=drawing.INK, marker="s", markersize=4, linestyle="--")
    at = min(state.weight, compute.CURVE_WEIGHTS[-1])
    left.axvline(at, color="#777777", linewidth=1.5)
    left.set(ylim=(0, None))
    left.set_xlabel("weight w", fontsize=12)
    left.set_ylabel("outliers, %  (●)", color=OUTLIER, fontsize=12)
    right.set_ylabel("branches kept, %  (■)", fontsize=12)
    right.set(ylim=(0, 105))
    content = io.BytesIO()
    figure.savefig(content, format="svg")
    return content.getvalue()


def explore(state: State | None = None) -> Explorer:
    """The explorer as a widget, for any notebook; `state` is what it shows first."""
    return Explorer(state)
