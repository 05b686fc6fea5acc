"""The explorer's widgets: controls that make a state, and views of what `compute` makes of it."""

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

from toydiff import datasets
from toydiff.checks import InputError
from toydiff.explorer import compute
from toydiff.explorer.picture import Picture
from toydiff.explorer.state import LAYERS, PRESETS, ModelChoice, State, available, pan, reset_view, zoom
from toydiff.explorer.worker import Worker
from toydiff.guidance import METHODS
from toydiff.metrics import METRICS
from toydiff.plotting import OUTLIER
from toydiff.sampling import STEPS, noise_schedule
from toydiff.score_model import LARGEST_SIGMA

LOWEST_SIGMA = 0.002
"""An end of the interval's sliders at which it stands for no bound."""
HIGHEST_SIGMA = 5.0


def _row(*widgets: w.Widget) -> w.HBox:
    return w.HBox(list(widgets), layout=w.Layout(flex_flow="row wrap", align_items="center"))


class Explorer(w.HBox):
    """Drag the weight and the capacity, and watch; `state` is what is set."""

    def __init__(self, state: State | None = None):
        """Show `state`, by default autoguidance as in Figure 1 of the paper."""
        self.state = State() if state is None else state
        self._filling = False
        self._getters: dict[str, Callable[[State], Any]] = {}
        self._controls: dict[str, w.Widget] = {}
        self.picture = Picture()
        self.message = w.HTML()
        self.numbers = w.HTML()
        self.curve = w.Image(format="png", layout=w.Layout(width="340px"))
        self.sigma_label = w.HTML(layout=w.Layout(width="90px"))
        controls = w.Tab(
            [w.VBox([self._method_box(), self._models_box()]), self._layers_box(), self._state_box()],
            titles=("Guidance", "Layers", "Take it along"),
            layout=w.Layout(width="400px", flex="0 0 auto"),
        )
        views = w.VBox(
            [self.message, self.picture, self._time_box(), _row(self.numbers, self.curve)],
            layout=w.Layout(flex="1 1 420px", min_width="420px"),
        )
        super().__init__([controls, views])
        self.add_class("toydiff-explorer")
        self.worker = Worker(self._show_picture, self._show_numbers, self._show_error)
        self.picture.on_msg(self._on_pointer)
        self._fill()
        self.worker.submit(self.state)

    def set(self, state: State) -> None:
        """Show another state, controls and all; a message of before goes."""
        self.message.value = ""
        self.state = state
        self._fill()
        self.worker.submit(state)

    def close(self) -> None:
        """End the worker with the widget."""
        self.worker.close()
        super().close()

    # Controls: each knows how to read its value from a state and how to change a state.

    def _control(
        self, name: str, widget: w.Widget, read: Callable[[State], Any], change: Callable[[State, Any], State]
    ) -> w.Widget:
        self._controls[name], self._getters[name] = widget, read
        widget.add_class(f"toydiff-{name}")

        def on_change(event: Any) -> None:
            if self._filling:
                return
            try:
                state = change(self.state, event["new"])
            except Exception as error:  # in a callback it would otherwise only be logged
                self._show_error(error)
                self._fill()
                return
            self.set(state)

        widget.observe(on_change, "value")
        return widget

    def _fill(self) -> None:
        """Bring every control to the state, without hearing them."""
        self._filling = True
        try:
            self._set_options()
            for name, widget in self._controls.items():
                widget.value = self._getters[name](self.state)
            self.sigma_label.value = f"σ = {float(noise_schedule()[self.state.step]):.3g}"
        finally:
            self._filling = False

    def _set_options(self) -> None:
        every = datasets.all_classes(self.state.distribution)
        networks = bool(available(self.state.distribution)[0])
        self._controls["classes"].options = datasets.class_choices(every)
        for name in ("main", "guide"):
            choice = getattr(self.state, name)
            self._controls[f"{name}-exact"].disabled = not networks
            for what in ("width", "steps"):
                self._controls[f"{name}-{what}"].disabled = choice.exact
        self._controls["share"].disabled = self.state.method != "mix"
        self._controls["weight"].disabled = self._controls["weight-box"].disabled = self.state.method == "unguided"

    def _method_box(self) -> w.Widget:
        def set_method(state: State, method: str) -> State:
            return replace(state, method=method, weight=METHODS[method].weight)

        def set_distribution(state: State, name: str) -> State:
            exact = not available(name)[0]
            return replace(
                state,
                distribution=name,
                classes=datasets.all_classes(name)[0],
                main=replace(state.main, exact=exact),
                guide=replace(state.guide, exact=exact),
            )

        def interval_end(name: str, index: int, stands_for: float, at: float) -> w.Widget:
            def change(state: State, value: float) -> State:
                ends = list(state.interval)
                ends[index] = stands_for if abs(value / at - 1) < 1e-3 else value
                lo, hi = ends
                return replace(state, interval=(min(lo, hi), max(lo, hi)))

            slider = w.FloatLogSlider(
                min=-2.69897,
                max=0.69897,
                step=0.01,
                description=f"σ {name}",
                readout_format=".3g",
                tooltip="The weight acts for lo < sigma <= hi only; the ends of the slider are no bound",
            )
            return self._control(
                f"interval-{name}", slider, lambda s: min(max(s.interval[index], LOWEST_SIGMA), HIGHEST_SIGMA), change
            )

        titles = [(row.title, name) for name, row in METHODS.items()]
        preset = w.Dropdown(
            options=[("preset …", ""), *((name, name) for name in PRESETS)], tooltip="A view of the paper"
        )
        preset.add_class("toydiff-preset")
        preset.observe(lambda event: self.set(PRESETS.get(event["new"], self.state)), "value")
        slider = w.FloatSlider(min=0, max=8, step=0.05, description="weight w", readout=False, tooltip="1: no guidance")
        slider.layout.width = "280px"
        box = w.BoundedFloatText(min=0, max=100, step=0.05, layout=w.Layout(width="70px"), tooltip="w, as a number")

        def set_weight(state: State, value: float) -> State:
            return replace(state, weight=value)

        return w.VBox(
            [
                preset,
                self._control(
                    "method",
                    w.Dropdown(options=titles, description="method", tooltip="How samples are guided"),
                    lambda s: s.method,
                    set_method,
                ),
                _row(
                    self._control("weight", slider, lambda s: min(s.weight, 8.0), set_weight),
                    self._control("weight-box", box, lambda s: s.weight, set_weight),
                ),
                interval_end("lo", 0, 0.0, LOWEST_SIGMA),
                interval_end("hi", 1, LARGEST_SIGMA, HIGHEST_SIGMA),
                self._control(
                    "share",
                    w.FloatSlider(
                        min=0, max=1, step=0.01, description="share", tooltip="Of autoguidance in the mix with CFG"
                    ),
                    lambda s: s.share,
                    lambda s, v: replace(s, share=v),
                ),
                self._control(
                    "distribution",
                    w.Dropdown(
                        options=list(datasets.DISTRIBUTIONS), description="data", tooltip="The exact distribution"
                    ),
                    lambda s: s.distribution,
                    set_distribution,
                ),
                self._control(
                    "classes",
                    w.Dropdown(options=["A"], description="class", tooltip="What is sampled"),
                    lambda s: s.classes,
                    lambda s, v: replace(s, classes=v),
                ),
                self._control(
                    "seed",
                    w.BoundedIntText(
                        min=0, max=2**31 - 1, description="seed", tooltip="Of the noise", layout=w.Layout(width="180px")
                    ),
                    lambda s: s.seed,
                    lambda s, v: replace(s, seed=v),
                ),
            ]
        )

    def _models_box(self) -> w.Widget:
        widths, steps = available("fractal_tree")

        def part(name: str, what: str, widget: w.Widget) -> w.Widget:
            def change(state: State, value: Any) -> State:
                model: ModelChoice = replace(getattr(state, name), **{what: value})
                changes: Any = {name: model}
                return replace(state, **changes)

            return self._control(f"{name}-{what}", widget, lambda s: getattr(getattr(s, name), what), change)

        def model(name: str, title: str) -> w.Widget:
            return w.VBox(
                [
                    w.HTML(f"<b>{title}</b>"),
                    part(name, "width", w.SelectionSlider(options=widths, description="width")),
                    part(name, "steps", w.SelectionSlider(options=steps, description="training")),
                    part(name, "exact", w.Checkbox(description="exact scores instead", tooltip="The oracle")),
                ]
            )

        return w.VBox([model("main", "Main model"), model("guide", "Guide, the bad version")])

    def _layers_box(self) -> w.Widget:
        def box(layer: str, label: str) -> w.Widget:
            def change(state: State, on: bool) -> State:
                return replace(state, layers=tuple({*state.layers, layer} if on else {*state.layers} - {layer}))

            widget = w.Checkbox(description=label, indent=False, layout=w.Layout(width="auto"), tooltip=f"Show {label}")
            return self._control(f"layer-{layer}", widget, lambda s: layer in s.layers, change)

        return w.VBox([box(layer, label) for layer, label in LAYERS.items()])

    def _time_box(self) -> w.Widget:
        slider = w.IntSlider(min=0, max=STEPS, readout=False, layout=w.Layout(width="260px"))
        slider.tooltip = "The noise level: points and densities move together"
        play = w.Play(min=0, max=STEPS, interval=150, description="play the sampling")
        play.add_class("toydiff-play")
        w.link((play, "value"), (slider, "value"))
        step = self._control("step", slider, lambda s: s.step, lambda s, v: replace(s, step=v))
        back, forward = (
            w.Button(description=d, layout=w.Layout(width="36px"), tooltip=t)
            for d, t in (("‹", "one step back to noise"), ("›", "one step to the data"))
        )
        for button, by in ((back, -1), (forward, 1)):
            button.on_click(
                lambda _, by=by: self.set(replace(self.state, step=min(max(self.state.step + by, 0), STEPS)))
            )
        return _row(play, w.HTML("noise"), back, step, forward, w.HTML("data"), self.sigma_label)

    def _state_box(self) -> w.Widget:
        text = w.Textarea(
            layout=w.Layout(width="340px", height="260px"), placeholder="paste a state here, then Restore"
        )
        text.add_class("toydiff-text")
        link = w.HTML()

        def button(label: str, tooltip: str, act: Callable[[], None]) -> w.Button:
            widget = w.Button(description=label, tooltip=tooltip, layout=w.Layout(width="auto"))
            widget.add_class(f"toydiff-button-{label.lower().replace(' ', '-')}")

            def on_click(_: Any) -> None:
                try:
                    act()
                except Exception as error:
                    self._show_error(error)

            widget.on_click(on_click)
            return widget

        def save(kind: str) -> None:
            content = base64.b64encode(compute.picture_bytes(self.state, kind)).decode()
            mime = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}[kind]
            link.value = (
                f'<a class="toydiff-download" download="toydiff.{kind}" href="data:{mime};base64,{content}">'
                f"download toydiff.{kind}</a>"
            )

        return w.VBox(
            [
                _row(
                    button("State", "The state as JSON", lambda: setattr(text, "value", self.state.to_json())),
                    button("Restore", "Show the state in the box", lambda: self.set(State.from_json(text.value))),
                    button(
                        "Python",
                        "Python that makes exactly this picture",
                        lambda: setattr(text, "value", compute.python_code(self.state)),
                    ),
                    *(
                        button(kind.upper(), f"The picture as {kind.upper()}", partial(save, kind))
                        for kind in ("png", "svg", "pdf")
                    ),
                ),
                text,
                link,
            ]
        )

    # What comes back.

    def _on_pointer(self, _: Any, content: dict[str, Any], __: Any) -> None:
        view = self.state.view
        if "shown" in content:
            self.worker.acknowledge()
        elif "zoom" in content:
            x, y = (c + view.half_width * content[axis] for c, axis in ((view.x, "x"), (view.y, "y")))
            self.set(zoom(self.state, content["zoom"], x, y))
        elif "pan" in content:
            self.set(pan(self.state, *(view.half_width * d for d in content["pan"])))
        elif "reset" in content:
            self.set(reset_view(self.state))

    def _show_picture(self, content: bytes) -> None:
        with self.picture.hold_sync():
            self.picture.image = content
            self.picture.frame += 1

    def _show_numbers(self, state: State) -> Iterator[None]:
        scores = compute.measure(state, compute.Quality.full(state))
        titles = {name: row.title for name, row in METRICS.items()} | {"class_leakage": "nearer to the other class"}
        rows = "".join(
            f"<tr><td>{titles[name]}</td><td style='text-align:right'><b>{value:.3f}</b></td>"
            f"<td style='text-align:right'>{exact:.3f}</td></tr>"
            for name, (value, exact) in scores.items()
        )
        head = f"<tr><td>{state.points:,} samples</td><td>here</td><td>exact</td></tr>"
        self.numbers.value = f"<table class='toydiff-numbers' cellpadding='4'>{head}{rows}</table>"
        yield
        if state.method == "unguided":
            return
        values = []
        for point in compute.curve(state):
            values.append(point)
            yield
        self.curve.value = _curve_picture(state, np.array(values))

    def _show_error(self, error: Exception) -> None:
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        self.message.value = f"<div class='toydiff-error' role='alert' style='color:#a00'>{html.escape(what)}</div>"


def _curve_picture(state: State, values: np.ndarray) -> bytes:
    """Outlier rate and branch coverage over w, with a mark at the present w."""
    figure = Figure(figsize=(3.4, 2.1), dpi=100, layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    left.plot(compute.CURVE_WEIGHTS, 100 * values[:, 0], color=OUTLIER, marker="o", markersize=3)
    right.plot(compute.CURVE_WEIGHTS, 100 * values[:, 1], color="#222222", marker="s", markersize=3, linestyle="--")
    left.axvline(min(state.weight, compute.CURVE_WEIGHTS[-1]), color="#888888", linewidth=1)
    left.set(xlabel="weight w", ylim=(0, None))
    left.set_ylabel("outliers, %", color=OUTLIER)
    right.set(ylim=(0, 105), ylabel="branches, %")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def explore(state: State | None = None) -> Explorer:
    """The explorer as a widget, for any notebook; `state` is what it shows first."""
    return Explorer(state)
