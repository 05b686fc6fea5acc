"""The explorer's controls: each knows how to read its value from a state and how to change a state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ipywidgets as w

from toydiff.base.checks import parse_number
from toydiff.base.score_model import LARGEST_SIGMA
from toydiff.distributions import catalogue
from toydiff.distributions.drawing import Drawing
from toydiff.explorer.jupyter.curve_editor import WeightEditor
from toydiff.explorer.state import (
    LAYERS,
    SIGMAS,
    ModelChoice,
    State,
    default_models,
    nearest,
    with_classes,
)
from toydiff.guidance.methods import METHODS, all_knobs
from toydiff.guidance.row import Knob
from toydiff.networks.library import BUNDLE, BUNDLED, Library
from toydiff.sampling.schedules import KNOTS, SIGMA_MAX, SIGMA_MIN, STEPS

SLIDER_WEIGHT = 8.0
"""The slider ends here; the box beside it takes larger weights."""


class Controls:
    """Widgets that show a state and, when a person moves one, hand on the state that follows.

    Attributes:
        guidance, layers, time: the widgets, by subject.
        probing: whether the pointer moves the probe.
    """

    def __init__(
        self,
        state: State,
        on_state: Callable[[State], None],
        on_error: Callable[[Exception], None],
        library: Library = BUNDLE,
    ):
        """Show `state`; `on_state` gets each state that follows, `on_error` what a person set and cannot be."""
        self._library = library
        self._state, self._on_state, self._on_error = state, on_state, on_error
        self._filling = False
        self._rows: dict[str, tuple[w.Widget, Callable[[State], Any]]] = {}
        self.guidance = w.VBox([*self._method(), *self._model("main", "Main model"), *self._model("guide", "Guide")])
        self.layers = w.VBox([self._layer(name, label) for name, label in LAYERS.items()])
        self.time = self._time()
        self.fill(state)

    def parts(self) -> dict[str, w.Widget]:
        """The controls by name, as in the help texts."""
        rows = {name: widget for name, (widget, _) in self._rows.items()}
        return rows | {"play": self.play, "probing": self.probing, "weight-curve": self.curve}

    def __getitem__(self, name: str) -> w.Widget:
        """The control of a name, as in the help texts."""
        return self._rows[name][0]

    def set(self, name: str, value: Any) -> None:
        """Turn a control to a value, as a person does."""
        self[name].value = value

    def fill(self, state: State) -> None:
        """Bring every control to the state, without hearing them."""
        self._state, self._filling = state, True
        try:
            self._fill_options(state)
            self._fill_curve(state)
            self.probing.value = state.probe is not None
            for widget, read in self._rows.values():
                widget.value = read(state)
        finally:
            self._filling = False

    def _fill_options(self, state: State) -> None:
        widgets = {name: widget for name, (widget, _) in self._rows.items()}
        drawn = [("your drawing", state.distribution)] if isinstance(state.distribution, Drawing) else []
        widgets["method"].options = [(row.title, name) for name, row in METHODS.items()]  # a person may add one
        widgets["distribution"].options = [*((name, name) for name in catalogue.DISTRIBUTIONS), *drawn]
        widgets["classes"].options = catalogue.class_choices(catalogue.all_classes(state.distribution))
        for name in ("main", "guide"):
            unused = name == "guide" and not METHODS[state.method].guides
            model = getattr(state, name)
            always_exact = name == "guide" and state.exact_guide and not model.exact
            known = self._library.has_networks(state.distribution, state.classes)
            widgets[f"{name}-exact"].disabled = unused or always_exact or not known
            own = self._library.families(state.distribution)
            widgets[f"{name}-family"].options = own if model.family in own else [*own, model.family]
            sizes = (
                ([model.width], [model.steps])
                if model.exact
                else self._library.available(state.distribution, model.family)
            )
            sizeless = unused or model.exact or (name == "guide" and not state.row.networks)
            for what, options in zip(("width", "steps"), sizes, strict=True):
                widgets[f"{name}-{what}"].options = options
                widgets[f"{name}-{what}"].disabled = sizeless
            widgets[f"{name}-family"].disabled = sizeless
            widgets[f"{name}-family"].layout.display = None if own not in ([], [BUNDLED]) else "none"
        for name in all_knobs():
            widgets[name].layout.display = None if name in state.row.knobs else "none"
        for name in ("weight", "weight-box"):
            widgets[name].disabled = not state.row.is_guided

    def _row(
        self, name: str, widget: w.Widget, read: Callable[[State], Any], change: Callable[[State, Any], State]
    ) -> w.Widget:
        self._rows[name] = widget, read
        widget.add_class(f"toydiff-{name}")

        def on_change(event: Any) -> None:
            if self._filling or _is_rounding(widget, event["new"], read(self._state)):
                return
            self._attempt(lambda: self._on_state(change(self._state, event["new"])))

        widget.observe(on_change, "value")
        return widget

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # in a callback it would otherwise only be logged
            self.fill(self._state)
            self._on_error(error)

    def _field(self, name: str, widget: w.Widget) -> w.Widget:
        """A control of one field of the state, as it is."""
        return self._row(name, widget, lambda s: getattr(s, name), lambda s, v: replace(s, **{name: v}))

    def _text(self, name: str, width: str, description: str = "") -> w.Widget:
        """A box for a number: what is no number is refused with a message, not mended in silence."""
        layout = w.Layout(width=width, flex="0 0 auto")
        box = w.Text(continuous_update=False, description=description, layout=layout)
        return self._row(
            f"{name}-box",
            box,
            lambda s: (
                "drawn"
                if name == "weight" and s.weight_curve
                else f"{getattr(s, name):g}"
                if isinstance(getattr(s, name), float)
                else str(getattr(s, name))
            ),
            lambda s, text: _with(straight(s, s.weight) if name == "weight" else s, name, parse_number(text)),
        )

    def _method(self) -> list[w.Widget]:
        slider = w.FloatSlider(min=0, max=SLIDER_WEIGHT, step=0.05, description="weight w", readout=False)
        slider.layout.flex = "1 1 auto"
        weight = self._row("weight", slider, lambda s: min(s.weight, SLIDER_WEIGHT), straight)
        return [
            self._row(
                "method",
                w.Dropdown(options=[State().method], description="method"),
                lambda s: s.method,
                lambda s, v: replace(straight(s, METHODS[v].weight), method=v),
            ),
            w.HBox([weight, self._text("weight", "4.5em")]),
            self._weight_curve(),
            *(self._knob(name, knob) for name, knob in all_knobs().items()),
            self._row(
                "distribution",
                w.Dropdown(options=list(catalogue.DISTRIBUTIONS), description="data"),
                lambda s: s.distribution,
                lambda s, v: with_classes(s, v, catalogue.all_classes(v)[0], self._library),
            ),
            w.HBox(
                [
                    self._row(
                        "classes",
                        w.Dropdown(options=["A"], description="class"),
                        lambda s: s.classes,
                        lambda s, v: with_classes(s, s.distribution, v, self._library),
                    ),
                    self._text("seed", "9em", "seed"),
                ]
            ),
        ]

    def _knob(self, name: str, knob: Knob) -> w.Widget:
        """A slider of a knob; shown where the method has it."""
        slider = w.FloatSlider(min=knob.low, max=knob.high, step=(knob.high - knob.low) / 100, description=name)
        slider.tooltip = knob.help

        def turn(state: State, value: float) -> State:
            return replace(state, knobs={**dict(state.knobs), name: value})

        return self._row(name, slider, lambda s: s.knob(name), turn)

    def _weight_curve(self) -> w.Widget:
        """The weight over the noise level: it can be bent, and the interval's ends moved."""
        self.curve = WeightEditor(sigmas=list(KNOTS))

        def on_wish(_: Any, wish: dict[str, Any], __: Any) -> None:
            self._attempt(lambda: self._on_state(_bent(self._state, wish)))

        self.curve.on_msg(on_wish)
        return self.curve

    def _fill_curve(self, state: State) -> None:
        weights = list(state.weight_curve or (state.weight,) * len(KNOTS))
        with self.curve.hold_sync():
            self.curve.weights, self.curve.interval = weights, [state.interval[0], min(state.interval[1], SIGMA_MAX)]
            self.curve.now = max(state.sigma, SIGMA_MIN)
            self.curve.disabled = not state.row.is_guided

    def _model(self, name: str, title: str) -> list[w.Widget]:
        def part(what: str, widget: w.Widget, change: Callable[[State, Any], ModelChoice]) -> w.Widget:
            return self._row(
                f"{name}-{what}",
                widget,
                lambda s: s.exact_guide if (name, what) == ("guide", "exact") else getattr(getattr(s, name), what),
                lambda s, v: _with(s, name, change(s, v)),
            )

        def size(what: str) -> w.Widget:
            slider = w.SelectionSlider(options=[getattr(ModelChoice(), what)], description=what)
            return part(what, slider, lambda s, v: replace(getattr(s, name), **{what: v}))

        def change_family(state: State, family: str) -> ModelChoice:
            model = getattr(state, name)
            return nearest(state.distribution, family, model.width, model.steps, self._library)

        def change_exact(state: State, exact: bool) -> ModelChoice:
            model, default = getattr(state, name), default_models(state.distribution, state.classes, self._library)
            known = model.family in self._library.families(state.distribution)
            return replace(model if exact or known else default[name == "guide"], exact=exact)

        family = w.Dropdown(options=[BUNDLED], description="networks")
        exact = w.Checkbox(description="exact score in its place", indent=False)
        return [
            w.HTML(f"<b>{title}</b>"),
            part("family", family, change_family),
            size("width"),
            size("steps"),
            part("exact", exact, change_exact),
        ]

    def _layer(self, name: str, label: str) -> w.Widget:
        def change(state: State, on: bool) -> State:
            return replace(state, layers=tuple({*state.layers, name} if on else {*state.layers} - {name}))

        box = w.Checkbox(description=label, indent=False)
        return self._row(f"layer-{name}", box, lambda s: name in s.layers, change)

    def _time(self) -> w.Widget:
        slider = w.IntSlider(min=0, max=STEPS, readout=False, layout=w.Layout(flex="1 1 auto", width="auto"))
        self.play = w.Play(min=0, max=STEPS, interval=150)
        self.play.add_class("toydiff-play")
        w.link((self.play, "value"), (slider, "value"))
        self._row("step", slider, lambda s: s.step, lambda s, v: replace(s, sigma=SIGMAS[v]))

        def button(label: str, tooltip: str, by: int) -> w.Button:
            made = w.Button(description=label, tooltip=tooltip, layout=w.Layout(width="2.4em", flex="0 0 auto"))
            made.add_class("toydiff-back" if by < 0 else "toydiff-forward")
            made.on_click(lambda _: self._attempt(lambda: self._on_state(_stepped(self._state, by))))
            return made

        self.probing = w.ToggleButton(description="probe", layout=w.Layout(width="auto", flex="0 0 auto"))
        self.probing.add_class("toydiff-probing")
        self.probing.observe(self._on_probing, "value")
        back, forward = button("‹", "One step back, to more noise", -1), button("›", "One step on, to the data", 1)
        return w.HBox([self.play, w.Label("noise"), back, slider, forward, w.Label("data"), self.probing])

    def _on_probing(self, event: Any) -> None:
        """The probe begins in the middle of the view, and goes when it is switched off."""
        if not self._filling:
            at = (self._state.view.x, self._state.view.y) if event["new"] else None
            self._attempt(lambda: self._on_state(replace(self._state, probe=at)))


def button(
    label: str, tooltip: str, act: Callable[[], object], attempt: Callable[[Callable[[], object]], None]
) -> w.Button:
    """A button that does something by way of `attempt`, which shows what goes wrong."""
    made = w.Button(description=label, tooltip=tooltip, layout=w.Layout(width="auto", flex="0 0 auto"))
    made.add_class(f"toydiff-button-{label.lower().replace(' ', '-')}")
    made.on_click(lambda _: attempt(act))
    return made


def upload(
    label: str,
    accept: str,
    act: Callable[[Any], object],
    attempt: Callable[[Callable[[], object]], None],
    multiple: bool = False,
) -> w.FileUpload:
    """A button that hands the files that a person chooses, as ipywidgets has them, to `act` by way of `attempt`."""
    made = w.FileUpload(
        accept=accept, multiple=multiple, description=label, layout=w.Layout(width="auto", flex="0 0 auto")
    )

    def on_files(event: Any) -> None:
        if event["new"]:
            made.value = ()  # so that the same file can be chosen again
            attempt(lambda: act(event["new"]))

    made.observe(on_files, "value")
    return made


def straight(state: State, weight: Any) -> State:
    """The state with one weight for all noise levels."""
    return replace(state, weight=weight, weight_curve=None)


def _bent(state: State, wish: dict[str, Any]) -> State:
    """The state that a message of the weight's editor asks for."""
    if "straight" in wish:
        return straight(state, wish["straight"])
    if "interval" in wish:
        lo, hi = wish["interval"]
        return replace(state, interval=(lo, LARGEST_SIGMA if hi == SIGMA_MAX else hi))
    weights = wish["weights"]
    return straight(state, weights[0]) if len(set(weights)) == 1 else replace(state, weight_curve=tuple(weights))


def _stepped(state: State, by: int) -> State:
    return replace(state, sigma=SIGMAS[min(max(state.step + by, 0), STEPS)])


def _with(state: State, name: str, value: Any) -> State:
    return replace(state, **{name: value})


def _is_rounding(widget: w.Widget, new: Any, old: Any) -> bool:
    """Whether a slider only shows a value between two of its steps as the nearest one: nobody has moved it."""
    return isinstance(widget, w.FloatSlider) and bool(abs(new - old) < 0.51 * widget.step)
