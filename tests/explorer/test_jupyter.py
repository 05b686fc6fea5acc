"""The explorer's widgets without a browser: what each control does to the state, and what goes wrong."""

import math
import time

import pytest

from toydiff import METHODS, InputError
from toydiff.explorer import compute
from toydiff.explorer.help import HELP
from toydiff.explorer.jupyter.controls import Controls
from toydiff.explorer.jupyter.explorer import Explorer
from toydiff.explorer.jupyter.views import legend
from toydiff.explorer.scene import Scene
from toydiff.explorer.state import LAYERS, PRESETS, ModelChoice, State
from toydiff.results.plotting import FULL_VIEW


class Listener:
    """Controls whose states and errors are kept."""

    def __init__(self, state=None):
        self.states, self.errors = [], []
        self.controls = Controls(state or State(), self.on_state, self.errors.append)

    def on_state(self, state):
        self.states.append(state)
        self.controls.fill(state)

    def set(self, name, value):
        self.controls.set(name, value)
        return self.states[-1] if self.states else None

    def shows(self, name):
        return self.controls[name].value


@pytest.fixture
def listener():
    return Listener()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("weight", 1.5, {"weight": 1.5}),
        ("weight-box", "12.5", {"weight": 12.5}),
        ("seed-box", "7", {"seed": 7}),
        ("method", "cfg", {"method": "cfg", "weight": METHODS["cfg"].weight}),
        ("main-width", 128, {"main": ModelChoice(128)}),
        ("main-steps", 512, {"main": ModelChoice(64, 512)}),
        ("main-exact", True, {"main": ModelChoice(64, 4096, True)}),
        ("guide-width", 8, {"guide": ModelChoice(8, 512)}),
        ("guide-steps", 128, {"guide": ModelChoice(32, 128)}),
        ("guide-exact", True, {"guide": ModelChoice(32, 512, True)}),
        ("classes", "AB", {"classes": "AB", "main": ModelChoice()}),
        ("classes", "B", {"classes": "B", "main": ModelChoice(exact=True), "guide": ModelChoice(exact=True)}),
        ("distribution", "three_gaussians", {"distribution": "three_gaussians", "main": ModelChoice(exact=True)}),
        ("step", 20, {"step": 20}),
        ("layer-ratio", True, {"layers": ("outlines", "samples", "outliers", "ratio")}),
        ("layer-samples", False, {"layers": ("outlines", "outliers")}),
    ],
)
def test_each_control_changes_its_part_of_the_state(listener, name, value, expected):
    state = listener.set(name, value)
    assert {field: getattr(state, field) for field in expected} == expected
    assert len(listener.states) == 1  # filling the controls is not heard
    assert not listener.errors


def test_the_mix_has_a_share(listener):
    listener.set("method", "mix")
    assert listener.set("share", 0.25).knob("share") == 0.25


def test_every_control_is_described():
    controls = Controls(State(), lambda state: None, lambda error: None)
    assert set(HELP) == {*controls.parts(), "scene", "compare"}


@pytest.mark.parametrize("state", [State(weight=20.0, seed=3), *PRESETS.values()])
def test_controls_show_the_state(state):
    listener = Listener(state)
    assert float(listener.shows("weight-box")) == state.weight
    assert listener.shows("weight") == min(state.weight, 8)
    assert listener.shows("method") == state.method
    assert [layer for layer in LAYERS if listener.shows(f"layer-{layer}")] == list(state.layers)
    assert not listener.states


def test_networks_return_with_their_class(listener):
    listener.set("main-width", 16)
    listener.set("classes", "AB")
    assert listener.states[-1].main == ModelChoice(16)
    listener.set("classes", "B")
    state = listener.set("classes", "A")
    assert (state.main, state.view) == (ModelChoice(), FULL_VIEW)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("weight-box", "nan", "weight is nan; it must be a number, at least 0 and at most 100"),
        ("weight-box", "much", "weight is 'much'; it must be a number"),
        ("weight-box", "1e6", "weight is 1000000"),
        ("weight-box", "", "weight is ''"),
        ("seed-box", "1.5", "seed is 1.5; it must be a whole number"),
        ("seed-box", "-1", "seed is -1"),
    ],
)
def test_what_is_no_number_is_refused_and_the_box_goes_back(listener, name, text, words):
    before = listener.shows(name)
    listener.set(name, text)
    assert len(listener.errors) == 1
    with pytest.raises(type(listener.errors[0]), match=words):
        raise listener.errors[0]
    assert listener.shows(name) == before
    assert not listener.states


@pytest.fixture
def explorer(nothing_ahead):
    explorer = Explorer(State(points=200))
    yield explorer
    explorer.close()


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never happened")


@pytest.mark.slow
def test_an_error_is_shown_and_the_explorer_goes_on(explorer, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("numbers <broken>")

    with monkeypatch.context() as patch:
        patch.setattr(compute, "measure", broken)
        explorer.set(State(points=200, weight=2.0))
        wait_until(lambda: explorer.message.value)
    assert "ZeroDivisionError: numbers &lt;broken&gt;" in explorer.message.value
    frame = explorer.picture.frame
    explorer.set(State(points=200, weight=2.5))
    assert not explorer.message.value
    wait_until(lambda: explorer.picture.frame > frame)
    wait_until(lambda: "toydiff-stale" not in explorer.measured._dom_classes)
    assert explorer.picture.image.startswith(b"\xff\xd8")
    assert "sliced Wasserstein-1" in explorer.numbers.value
    assert not explorer.message.value


def test_a_message_that_makes_no_sense_is_shown(explorer):
    explorer.picture._handle_custom_msg({"zoom": "far"}, [])
    assert "toydiff-error" in explorer.message.value


def test_a_slider_that_rounds_what_it_shows_does_not_move_the_state():
    listener = Listener(State(method="mix", weight=2.53, interval=(0.1, 1.0), knobs={"share": 0.333}))
    for name, rounded in (("weight", 2.55), ("share", 0.33)):
        listener.set(name, rounded)
    assert not listener.states
    assert listener.set("weight", 2.6).weight == 2.6


def bend(listener, **wish):
    """What the weight's editor asks for."""
    listener.controls.curve._handle_custom_msg(wish, [])
    return listener.states[-1] if listener.states else None


def test_the_weight_is_bent_and_straightened(listener):
    weights = [round(0.25 * i, 2) for i in range(13)]
    assert bend(listener, weights=weights).weight_curve == tuple(weights)
    assert listener.controls.curve.weights == weights
    assert bend(listener, straight=2.5) == State(weight=2.5)
    assert listener.controls.curve.weights == [2.5] * 13
    assert bend(listener, weights=[4.0] * 13) == State(weight=4.0)  # straight again by itself
    bend(listener, weights=weights)
    assert listener.set("weight", 1.5) == State(weight=1.5)
    bend(listener, weights=weights)
    assert listener.set("weight-box", "2") == State(weight=2.0)
    bend(listener, weights=weights)
    assert listener.set("method", "cfg") == State(method="cfg", weight=4.0)
    assert not listener.errors


def test_the_ends_of_the_interval_are_moved_in_the_editor(listener):
    assert bend(listener, interval=[0.1, 5.0]).interval == (0.1, math.inf)  # its end stands for no bound
    assert bend(listener, interval=[0, 1.0]).interval == (0.0, 1.0)
    assert listener.controls.curve.interval == [0.0, 1.0]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"weights": [1.0] * 12 + [float("nan")]}, "weight at sigma 5 is nan; it must be a number, at least 0"),
        ({"weights": [1.0] * 12 + [None]}, "weight at sigma 5 is None; it must be a number"),
        ({"weights": [1.0, 2.0]}, r"weight_curve is \(1.0, 2.0\); it must be 13 numbers"),
        ({"interval": [2.0, 1.0]}, "interval hi is 1.0; it must be a number, at least 2"),
        ({"straight": 1e9}, "weight is 1000000000.0"),
    ],
)
def test_a_weight_that_cannot_be_is_refused_and_the_curve_stays(listener, wish, message):
    bend(listener, **wish)
    assert not listener.states
    with pytest.raises(InputError, match=message):
        raise listener.errors[0]
    assert listener.controls.curve.weights == [3.0] * 13


def test_what_a_method_does_not_use_is_switched_off(listener):
    def disabled():
        return {
            name
            for name, part in listener.controls.parts().items()
            if name != "weight-curve" and getattr(part, "disabled", False)
        }

    guide = {"guide-family", "guide-width", "guide-steps", "guide-exact"}
    assert disabled() == set()
    assert listener.controls["share"].layout.display == "none"
    listener.set("method", "truncation")
    assert disabled() == guide
    listener.set("method", "classifier")
    assert (disabled(), listener.shows("guide-exact")) == (guide - {"guide-exact"}, False)
    listener.set("distribution", "rings")  # of which no classifier is bundled
    assert (disabled(), listener.shows("guide-exact")) == (guide, True)
    listener.set("method", "unguided")
    assert disabled() == {"weight", "weight-box", *guide}
    assert listener.controls.curve.disabled


def test_the_legend_names_what_is_drawn():
    layers = ("samples", "ratio", "arrows_guide")
    assert "ratio" in legend(Scene((State(layers=layers),)))
    assert "ratio" not in legend(Scene((State(method="unguided", layers=layers),)))
    assert State(method="unguided", weight=7).weight == 1.0


def test_a_state_that_cannot_be_shown_changes_nothing(explorer, monkeypatch):
    before = explorer.state
    fill = Controls.fill

    def failing(self, state):
        fill(self, state)
        if state.weight == 5.0:
            raise RuntimeError("cannot be shown")

    monkeypatch.setattr(Controls, "fill", failing)
    with pytest.raises(RuntimeError):
        explorer.set(State(weight=5.0))
    assert explorer.state == before
    assert explorer.controls["weight-box"].value == "3"


def test_a_download_goes_when_the_picture_changes(explorer):
    explorer.offer("toydiff.png", b"")
    explorer.set(State(points=200, weight=2.0))
    assert not explorer.download.value
    explorer.offer("toydiff.gif", b"")  # what took long to make stays
    explorer.set(State(points=200, weight=2.5))
    assert "toydiff.gif" in explorer.download.value


def test_a_question_is_answered(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer.picture, "send", sent.append)
    explorer.picture._handle_custom_msg({"ask": 5}, [])
    assert sent == [{"answer": 5}]
