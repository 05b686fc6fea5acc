"""A session by its messages alone: what it takes, what it refuses, what it sends and when; most of it made up."""

import gc
import itertools
import json
import threading
import time
import weakref
from dataclasses import replace

import pytest
from helpers import untrained
from hypothesis import given
from hypothesis import strategies as st

from toydiff import InputError
from toydiff.explorer import compute, frames, painter, scheduler, session
from toydiff.explorer.compute import QUICK
from toydiff.explorer.frames import Frame
from toydiff.explorer.scene import LINKED, Scene, compare, default_scenes
from toydiff.explorer.scheduler import Scheduler
from toydiff.explorer.session import Session
from toydiff.explorer.state import ModelChoice, State
from toydiff.networks.library import Library
from toydiff.networks.recipe import Recipe

START = State(points=100)
PATIENCE = 120
"""Seconds after which what a test waits for counts as never happening: a machine may be slow."""


class Front:
    """A session whose messages are kept, in order, whatever thread they come from."""

    def __init__(self, scene=START, hello=("one",), **options):
        self.sent, self.wrong, self._news = [], [], threading.Condition()
        self.session = Session(self.carry, scene, **options)
        for view in hello:
            self.tell(hello=view)

    def carry(self, message, buffers=()):
        with self._news:
            try:
                assert all(isinstance(buffer, bytes) for buffer in buffers)
                self.sent.append((json.loads(json.dumps(message, allow_nan=False)), list(buffers)))
            except Exception as error:
                self.wrong.append(error)
            self._news.notify_all()

    def tell(self, **message):
        self.session.receive(message)

    def drag(self, n, by="one", /, **fields):
        self.tell(set=fields, view=by, n=n)

    def wait(self, condition):
        with self._news:
            assert self._news.wait_for(condition, PATIENCE), "it never happened"

    def rest(self):
        """Wait until all of the newest scene has been sent."""
        self.wait(lambda: any(m.get("rest") and m["serial"] == self.serial for m, _ in self.sent))

    @property
    def serial(self):
        return self.session._painter._serial

    def messages(self):
        return [message for message, _ in self.sent]

    def all(self, name):
        return [message[name] for message in self.messages() if name in message]

    def frames(self, part=None):
        return [m for m in self.messages() if "frame" in m and part in (None, m["frame"]["frame"])]

    @property
    def said(self):
        return (self.all("say") or [None])[-1]


@pytest.fixture
def front(lab):
    """One view of a session whose points are made up."""
    return lab.front()


class Laboratory:
    """In the place of what computes: frames that say what they are of, and a scheduler of its own.

    Attributes:
        before: is called with a state, and whether it is for good, before its points are there.
    """

    def __init__(self):
        self.before, self.made, self.fronts = lambda state, full: None, [], []

    def front(self, *arguments, **options):
        self.fronts.append(Front(*arguments, **options))
        return self.fronts[-1]

    def parts(self, state, quality, library):
        full = quality is not QUICK

        def points():
            self.before(state, full)
            self.made.append((state, full))
            return Frame({"frame": "points", "weight": state.weight, "method": state.method}, (b"points",))

        yield "points", state.setting, None if full else "draft", points
        yield "outlines", state.classes, None, lambda: Frame({"frame": "outlines"})
        if full and state.view.half_width < 0.5:
            yield "detail", (state.classes, state.view), None, lambda: Frame({"frame": "detail"})

    @staticmethod
    def numbers(state, quality, library):
        return Frame({"frame": "numbers", "weight": state.weight})


@pytest.fixture
def lab(monkeypatch):
    lab, own = Laboratory(), Scheduler()
    for module, name, value in (
        (frames, "parts", lab.parts),
        (frames, "numbers", lab.numbers),
        (compute, "curve", lambda state, library: iter([(0.1, 0.9), (0.2, 0.8)])),
        (painter.Painter, "ahead", lambda self: iter(())),
        (painter, "scheduler", own),
        (scheduler, "REST_S", 0.02),
    ):
        monkeypatch.setattr(module, name, value)
    yield lab
    for front in lab.fronts:
        front.session.close()
        assert not front.wrong
    own.close()
    assert not any(thread.is_alive() for thread in own._threads)


@pytest.fixture
def quiet(monkeypatch):
    """Nothing is drawn: for tests of what is taken and refused."""
    monkeypatch.setattr(scheduler.Scheduler, "submit", lambda *_: None)
    front = Front()
    yield front
    front.session.close()
    assert not front.wrong


# What is sent.


def test_a_view_that_comes_is_told_everything_in_order(front):
    front.rest()
    told = front.messages()
    assert [next(iter(message)) for message in told[:2]] == ["about", "scene"]
    scene = told[1]
    assert Scene.from_json(scene["scene"]) == Scene((START,))
    assert (scene["serial"], scene["heard"], scene["named"]) == (1, {}, "")
    assert scene["scenes"] == list(default_scenes())
    assert len(scene["menus"]) == 1
    assert scene["menus"][0]["trainable"][0] == ["A,AB", "A and AB, for CFG"]
    work = [message for message in told if "serial" in message and "scene" not in message]
    steps = [(m["frame"]["frame"], m["frame"]["full"]) if "frame" in m else next(iter(m)) for m in work]
    assert [step for step in steps if step != ("numbers", False)] == [
        ("points", False),
        ("outlines", True),  # are final at once
        ("points", True),
        "true",
        ("numbers", True),
        "measured",
        ("curve", True),
        "rest",
    ]
    assert {(m["serial"], json.dumps(m["heard"])) for m in work} == {(1, "{}")}
    assert {m["frame"]["panel"] for m in front.frames()} == {0}
    (curve,) = front.frames("curve")
    assert curve["frame"]["values"] == [[0.1, 0.9], [0.2, 0.8]]
    assert curve["frame"]["weights"] == list(compute.CURVE_WEIGHTS)
    assert {"train", "picture", "film"} <= {next(iter(message)) for message in told}
    assert next(buffers for message, buffers in front.sent if "frame" in message) == [b"points"]


def test_a_view_that_shows_something_already_waits_for_what_is_better(lab):
    front = lab.front(hello=())
    front.tell(hello="one", shows=True)
    front.rest()
    assert all(m["frame"]["full"] for m in front.frames())
    assert len(front.frames("points")) == 1


def test_a_change_is_drawn_and_says_whose_changes_it_holds(front):
    front.rest()
    front.sent.clear()
    front.drag(1, weight=2.0)
    front.rest()
    assert front.session.state == replace(START, weight=2.0)
    assert not front.all("scene")  # the only view has it already
    assert [m["frame"]["frame"] for m in front.frames() if m["frame"]["full"]] == ["points", "numbers"]
    for message in front.messages():
        assert (message["serial"], message["heard"]) == (2, {"one": 1})
    assert {m["frame"]["weight"] for m in front.frames()} == {2.0}


def test_nothing_is_sent_twice_and_a_change_without_a_frame_is_answered(front):
    front.rest()
    front.sent.clear()
    front.drag(1, layers=["outlines"])  # made of what is there
    front.rest()
    assert not front.frames()
    assert [next(iter(message)) for message in front.messages()] == ["moved", "true", "measured", "rest"]
    assert front.messages()[0]["heard"] == {"one": 1}


def test_each_of_two_views_gets_what_the_other_has_changed(lab):
    front = lab.front(hello=("one", "two"))
    front.sent.clear()
    front.drag(1, "one", weight=2.0)
    front.drag(7, "two", seed=3)
    seen = [
        (m["scene"]["panels"][0]["weight"], m["scene"]["panels"][0]["seed"]) for m in front.messages() if "scene" in m
    ]
    assert seen == [(2.0, 0), (2.0, 3)]
    assert [m["heard"] for m in front.messages() if "scene" in m] == [{"one": 1}, {"one": 1, "two": 7}]
    front.tell(bye="two")
    front.sent.clear()
    front.drag(2, "one", weight=2.5)
    assert not front.all("scene")  # it is alone again
    front.rest()
    assert front.frames()[-1]["heard"] == {"one": 2, "two": 7}


def test_choices_named_scenes_and_whole_scenes_are_told_to_the_view_that_asked(front):
    front.sent.clear()
    front.tell(choose={"method": "cfg"}, view="one", n=1)
    assert front.session.state == replace(START, method="cfg", weight=4.0)
    assert front.all("scene")[-1]["panels"][0]["method"] == "cfg"
    assert front.all("menus")[-1][0]["words"]["guide"] == "both classes, smaller, less trained"
    name, scene = next((name, scene) for name, scene in default_scenes().items() if len(scene.panels) == 2)
    front.tell(named=name, view="one", n=2)
    assert front.session.scene == scene
    assert front.all("named")[-1] == name
    assert len(front.all("menus")[-1]) == 2
    front.tell(scene=Scene((START,), title="Mine").to_json(), view="one", n=3)
    assert front.session.scene == Scene((START,), title="Mine")
    assert front.messages()[-1]["heard"] == {"one": 3}
    front.rest()


def test_a_drag_changes_no_menus_and_another_model_does(lab):
    front = lab.front(hello=("one", "two"))
    front.sent.clear()
    front.drag(1, weight=2.0)
    assert (len(front.all("scene")), front.all("menus")) == (1, [])
    front.drag(2, main={"width": 32})
    assert front.all("menus")[-1][0]["words"]["guide"] == "same class, less trained"


def test_a_change_in_another_panel_makes_it_the_active_one(lab):
    front = lab.front(compare(START, State(method="cfg", weight=4.0)))
    front.tell(set={"weight": 2.0, "seed": 5}, panel=1, view="one", n=1)
    first, second = front.session.scene.panels
    assert (front.session.scene.active, first.weight, second.weight) == (1, 3.0, 2.0)
    assert (first.seed, second.seed) == (5, 5)
    front.tell(set={}, panel=0, view="one", n=2)
    assert front.session.scene.active == 0
    front.rest()
    front.sent.clear()
    front.tell(set={"seed": 6}, view="one", n=3)
    front.rest()
    assert [m["frame"]["panel"] for m in front.frames("points")] == [0, 1, 0, 1]  # what one looks at comes first
    front.tell(choose={"method": "unguided"}, panel=1, view="one", n=4)
    assert [state.method for state in front.session.scene.panels] == ["autoguidance", "unguided"]


def test_an_action_is_done_with_its_values(front, monkeypatch):
    done = []
    monkeypatch.setitem(session.ACTIONS, "test", lambda *given: done.append(given))
    front.session.receive({"do": "test", "with": {"a": 1}}, [b"file"])
    front.tell(do="test")
    assert done == [(front.session, {"a": 1}, [b"file"]), (front.session, {}, ())]


# What is wrong.

TOO_LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (None, "the message is None; it must be an object"),
        ([1, 2], "the message is [1, 2]; it must be an object"),
        (TOO_LONG, "the message is 'xxxx"),
        ({}, "the message {} has none of hello, set, choose, scene, named, do"),
        ({"zoom": "far"}, "the message {'zoom': 'far'} has none of"),
        ({"set": {"weight": float("nan")}, "n": 1}, "weight is nan; it must be a number, at least 0 and at most 100"),
        ({"set": {"weight": "much"}, "n": 1}, "weight is 'much'; it must be a number"),
        ({"set": {"weight": TOO_LONG}, "n": 1}, "(100,002 characters); it must be a number"),
        ({"set": {"weight": None}}, "weight is None"),
        ({"set": {"wieght": 2}, "n": 1}, "unknown field 'wieght' of the state; there are"),
        ({"set": {TOO_LONG: 2}, "n": 1}, "unknown field 'xxx"),
        ({"set": 5, "n": 1}, "state is 5; it must be an object"),
        ({"set": None, "n": 1}, "state is None; it must be an object"),
        ({"set": {"seed": 1.5}, "n": 1}, "seed is 1.5; it must be a whole number"),
        ({"set": {"main": {"width": 7}}, "n": 1}, "no network with main width 7; there are 8, 16, 32, 64, 128"),
        ({"set": {"main": {"family": "nobody's"}}, "n": 1}, "unknown family of networks \"nobody's\""),
        ({"set": {"layers": ["clouds"]}, "n": 1}, "unknown layer 'clouds'"),
        ({"set": {"view": {"x": [1]}}, "n": 1}, "view x is [1]"),
        ({"set": {"view": [1, 2, 3]}, "n": 1}, "view is [1, 2, 3]; it must be an object"),
        ({"set": {"weight_curve": [1.0, float("nan")]}, "n": 1}, "it must be 13 numbers"),
        ({"set": {"probe": [0, float("inf")]}, "n": 1}, "probe y is inf"),
        ({"set": {"weight": 2}, "panel": 1, "n": 1}, "panel is 1; it must be a whole number from 0 to 0"),
        ({"set": {"weight": 2}, "panel": -1, "n": 1}, "panel is -1"),
        ({"set": {"weight": 2}, "panel": None, "n": 1}, "panel is None"),
        ({"set": {"weight": 2}, "n": float("nan")}, "n is nan; it must be a whole number"),
        ({"set": {"weight": 2}, "n": "1"}, "n is '1'"),
        ({"set": {"weight": 2}, "n": -1}, "n is -1"),
        ({"choose": {"method": "cgf"}, "n": 1}, "unknown method 'cgf'; there are unguided"),
        ({"choose": {"wish": 1}, "n": 1}, "unknown field 'wish' of the choice; there are classes, distribution"),
        ({"choose": 5, "n": 1}, "choice is 5; it must be an object"),
        ({"choose": [["method", "cfg"]], "n": 1}, "choice is [['method', 'cfg']]; it must be an object"),
        ({"choose": {"classes": {}}, "n": 1}, "unknown classes {}"),
        ({"scene": {"panels": []}, "n": 1}, "a scene has 0 panels; it must have 1 to 4"),
        ({"scene": {"panels": [{}] * 5}, "n": 1}, "a scene has 5 panels; it must have 1 to 4"),
        ({"scene": {"panels": [{}], "size": 5}, "n": 1}, "unknown field 'size' of the scene; there are active"),
        ({"scene": {"panels": [{}], "title": TOO_LONG}, "n": 1}, "text of at most 1000 characters"),
        ({"scene": {"panels": [{}], "title": "\ud800"}, "n": 1}, "the title of a scene must be text"),
        ({"scene": {"panels": [{"method": "cfg", "classes": "B"}]}, "n": 1}, "there are no networks of fractal_tree B"),
        ({"scene": "{" * 100_000, "n": 1}, "the state is not JSON"),
        ({"scene": None, "n": 1}, "state is None; it must be an object"),
        ({"named": "Figure 17", "n": 1}, "unknown scene 'Figure 17'; there are"),
        ({"named": ["Figure 1"], "n": 1}, "unknown scene ['Figure 1']"),
        ({"do": "harm"}, "there is no action 'harm' with values {}"),
        ({"do": ["train"], "with": {}}, "there is no action ['train']"),
        ({"do": "train", "with": [1]}, "there is no action 'train' with values [1]"),
        ({"do": "restore", "with": {"text": "{"}}, "not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_and_nothing_changes(quiet, message, words):
    before = quiet.session.scene
    quiet.sent.clear()
    quiet.session.receive(message)
    assert quiet.session.scene is before
    (said,) = quiet.all("say")
    assert said["error"]
    assert words in said["text"]
    assert "\n" not in said["text"]
    assert len(said["text"]) < 1500
    quiet.drag(2, weight=2.0)  # it goes on
    assert quiet.session.state.weight == 2.0
    assert quiet.said == {"text": "", "error": False}


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.sampled_from(["cfg", "AB", "A"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["weight", "method", "panels", "view", "main", "x", "exact"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
names = st.sampled_from(["set", "choose", "scene", "named", "n", "view", "panel", "bye", "with", "do"])


def test_no_message_stops_a_session(quiet):
    @given(st.dictionaries(names, json_like, min_size=1, max_size=4))
    def take(message):
        before = quiet.session.scene
        quiet.sent.clear()
        quiet.session.receive(message)
        if quiet.said and quiet.said["error"]:
            assert quiet.session.scene is before
        assert not quiet.wrong
        Scene.from_json(quiet.session.scene.to_json())

    take()


def test_a_view_whose_change_is_refused_is_told_what_is_shown(quiet):
    quiet.sent.clear()
    quiet.drag(5, weight=-1.0)
    (told,) = [m for m in quiet.messages() if "scene" in m]
    assert told["scene"]["panels"][0]["weight"] == 3.0
    assert told["heard"] == {"one": 5}
    assert quiet.messages()[-1]["say"]["error"]


def test_a_message_without_a_number_or_a_view_is_taken(quiet):
    quiet.tell(set={"weight": 2.0})
    assert quiet.session.state.weight == 2.0
    assert quiet.session._heard == {"": 0}


def test_of_many_views_the_last_are_remembered(quiet):
    for i in range(100):
        quiet.tell(hello=f"view {i}")
        quiet.drag(1, "one", weight=1 + i / 100)
        quiet.drag(i, f"view {i}", seed=i)
        assert quiet.session._heard["one"] == 1  # it goes on all the time
        assert quiet.session._heard[f"view {i}"] == i
    assert len(quiet.session._heard) == session.MOST_VIEWS
    quiet.tell(hello=TOO_LONG)
    quiet.drag(1, TOO_LONG, seed=7)
    assert max(map(len, quiet.session._heard)) == 80


def test_what_is_said_goes_with_the_next_change_by_a_person(quiet):
    quiet.session.say("saved")
    assert quiet.said == {"text": "saved", "error": False}
    quiet.session.show(Scene((replace(START, seed=1),)), by_person=False)  # of a training, say
    assert quiet.said["text"] == "saved"
    quiet.drag(1, weight=2.0)
    assert quiet.said == {"text": "", "error": False}
    quiet.sent.clear()
    quiet.drag(2, weight=2.5)
    assert not quiet.all("say")  # there was nothing to take back
    for change in ({"choose": {"method": "cfg"}}, {"named": next(iter(default_scenes()))}, {"do": "python"}):
        quiet.session.complain(ZeroDivisionError("numbers <broken>"))
        assert quiet.said == {"text": "ZeroDivisionError: numbers <broken>", "error": True}
        quiet.tell(**change)
        assert quiet.said == {"text": "", "error": False}


# What moves.


def test_of_a_drag_of_ten_thousand_changes_nothing_queues_up(lab, monkeypatch):
    """While the first is computed all others arrive: then the last one is computed, quickly and in full."""
    menu = {"words": {}}
    monkeypatch.setattr(session, "menus", lambda state, library: menu)  # takes the most of the time
    front, begun, go = lab.front(), threading.Event(), threading.Event()
    front.rest()
    lab.made.clear()
    front.sent.clear()

    def wait(state, full):
        begun.set()
        assert go.wait(PATIENCE)

    lab.before = wait
    front.drag(1, weight=0.0)
    assert begun.wait(PATIENCE)
    for n in range(2, 10_001):
        front.drag(n, weight=n / 1000)
    go.set()
    front.rest()
    assert [(state.weight, full) for state, full in lab.made] == [(0.0, False), (10.0, False), (10.0, True)]
    assert len(front.sent) < 12
    assert front.frames()[-1]["heard"] == {"one": 10_000}
    assert front.session.state.weight == 10.0


def test_no_frame_says_that_it_is_of_a_newer_scene_than_it_is(lab):
    """Once a picture in full of the old scene was finished after the change, and passed for the new one's."""
    front, begun, go = lab.front(), threading.Event(), threading.Event()
    front.rest()
    front.sent.clear()

    def slowly(state, full):
        if full and state.weight == 1.0:
            begun.set()
            assert go.wait(PATIENCE)

    lab.before = slowly
    front.drag(1, weight=1.0)
    assert begun.wait(PATIENCE)
    front.drag(2, weight=2.0)
    go.set()
    front.rest()
    weights = {2: 1.0, 3: 2.0}
    late = [m for m in front.frames("points") if m["frame"]["weight"] == 1.0 and m["frame"]["full"]]
    assert len(late) == 1
    for message in front.frames("points") + front.frames("numbers"):
        assert message["frame"]["weight"] == weights[message["serial"]] == message["heard"]["one"]
    assert [m["frame"]["full"] for m in front.frames("points") if m["serial"] == 3] == [False, True]
    for done in ("true", "measured", "rest"):
        assert [m["serial"] for m in front.messages() if done in m] == [3]  # nobody was told that the old one is true


def test_what_is_said_to_be_true_is_true_however_fast_it_changes(lab):
    """Changes at random moments of the work: what is called true is of the scene of that number."""
    front = lab.front()
    for n in range(1, 60):
        front.drag(n, weight=float(n))
        if n % 7 == 0:
            front.wait(lambda n=n: any(m["heard"].get("one") == n for m in front.frames()))
        if n % 20 == 0:
            front.rest()
    front.rest()
    for message in front.frames("points") + front.frames("numbers"):
        assert message["frame"]["weight"] == message["heard"].get("one", 3.0)
    full = {m["serial"] for m in front.frames("points") if m["frame"]["full"]}
    assert {m["serial"] for m in front.messages() if "true" in m} <= full


def test_a_change_by_python_is_told_to_all_views(front):
    front.rest()
    front.sent.clear()
    front.session.set(replace(START, weight=2.0))
    assert front.all("scene")[-1]["panels"][0]["weight"] == 2.0
    front.session.show(Scene((START,), title="Mine"))
    assert front.all("scene")[-1]["title"] == "Mine"
    front.rest()


def test_a_picture_that_was_closed_and_comes_again_is_sent_again(lab):
    """The browser keeps nothing of a picture that it closes."""
    two = compare(START, replace(START, method="cfg", weight=4.0))
    front = lab.front(two)
    front.rest()
    for between in (True, False):
        front.sent.clear()
        front.tell(scene=Scene(two.panels[:1]).to_json(), view="one", n=1)
        if between:
            front.rest()
        front.tell(scene=two.to_json(), view="one", n=2)
        front.rest()
        of_second = {(m["frame"]["frame"], m["frame"]["full"]) for m in front.frames() if m["frame"]["panel"] == 1}
        assert {("points", True), ("outlines", True), ("numbers", True), ("curve", True)} <= of_second
        assert not [m for m in front.frames() if m["frame"]["panel"] == 0]


def test_finer_outlines_are_sent_again_after_those_of_other_classes(front):
    near = {"x": 0.4, "y": 0.4, "half_width": 0.1}
    front.drag(1, view=near)
    front.rest()
    front.drag(2, classes="AB", view={"half_width": 2})
    front.rest()
    front.sent.clear()
    front.drag(3, classes="A", view=near)
    front.rest()
    parts = [m["frame"]["frame"] for m in front.frames()]
    assert [part for part in parts if part in ("outlines", "detail")] == ["outlines", "detail"]


def test_what_goes_wrong_in_one_panel_does_not_keep_the_others_back(lab, monkeypatch):
    def broken(state, full):
        if state.method == "cfg":
            raise ZeroDivisionError("no room")

    def curve(state, library):
        if state.method == "cfg":
            raise InputError("there is no network AB/4/8")
        return iter([(0.0, 1.0)])

    lab.before = broken
    monkeypatch.setattr(compute, "curve", curve)
    front = lab.front(compare(State(method="cfg", weight=4.0), START))
    front.rest()
    assert {m["frame"]["panel"] for m in front.frames("points")} == {1}
    assert {m["frame"]["panel"] for m in front.frames("curve")} == {1}
    assert {"text": "ZeroDivisionError: no room", "error": True} in front.all("say")
    assert front.said == {"text": "there is no network AB/4/8", "error": True}
    lab.before = lambda state, full: None
    front.drag(1, weight=2.0)  # it is computed again, with the next change at the latest
    front.rest()
    assert {m["frame"]["panel"] for m in front.frames("points")} == {0, 1}


def test_a_session_that_trains_sends_quick_pictures_only(front, lab):
    front.rest()
    lab.made.clear()
    front.sent.clear()
    front.session.paused = True
    front.drag(1, weight=2.0)
    front.wait(lambda: front.frames("points"))
    time.sleep(0.1)  # longer than it waits to be at rest
    front.drag(2, weight=2.5)
    front.wait(lambda: any(m["heard"]["one"] == 2 for m in front.frames("points")))
    assert front.session.paused
    assert {full for _, full in lab.made} == {False}
    assert not [m for m in front.messages() if "true" in m]
    front.session.paused = False
    front.rest()
    assert (lab.made[-1][0].weight, lab.made[-1][1]) == (2.5, True)
    assert len(front.frames("curve")) == 0  # of the same setting at other weights: it is there


# The end.


class Kept:
    def __init__(self, of):
        self.session, self.closed = of, 0

    def close(self):
        self.closed += 1


def test_what_a_session_keeps_ends_with_it(front):
    kept = front.session.kept(Kept)
    assert front.session.kept(Kept) is kept
    assert kept.session is front.session
    front.session.close()
    assert kept.closed == 1
    front.sent.clear()
    front.session.say("too late")
    front.drag(1, weight=2.0)
    front.session.offer("a.png", b"")
    assert front.sent == []


def test_a_session_that_is_closed_while_it_computes_sends_no_more(lab):
    begun, go = threading.Event(), threading.Event()

    def wait(state, full):
        begun.set()
        assert go.wait(PATIENCE)

    lab.before = wait
    front = lab.front()
    assert begun.wait(PATIENCE)
    front.session.close()
    sent = len(front.sent)
    lab.before = lambda state, full: None
    other = lab.front(replace(START, seed=1))
    go.set()
    other.rest()
    assert len(front.sent) == sent
    assert [(state.seed, full) for state, full in lab.made] == [(0, False), (1, False), (1, True)]


def test_a_closed_session_leaves_nothing(lab):
    front = lab.front()
    front.rest()
    gone = weakref.ref(front.session)
    front.session.close()
    lab.fronts.remove(front)
    del front
    deadline = time.monotonic() + PATIENCE
    while gone() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert gone() is None


def test_a_session_whose_host_fails_does_not_stop_the_others(lab, caplog):
    broken, works = lab.front(hello=()), lab.front()
    works.rest()

    def fail(message, buffers=()):
        raise OSError("the connection is gone")

    broken.session._send = fail
    with pytest.raises(OSError, match="the connection is gone"):
        broken.tell(hello="one")  # whoever carries messages is told on its own thread
    broken.session._painter.draw(broken.session.scene, {})
    works.drag(1, weight=2.0)
    works.rest()
    deadline = time.monotonic() + PATIENCE
    while "given up" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "a session of the explorer is given up" in caplog.text
    works.drag(2, weight=2.5)
    works.rest()


# What Python calls.


def test_a_scene_that_cannot_be_shown_is_refused_and_the_one_before_stays(quiet):
    before = quiet.session.scene
    quiet.sent.clear()
    for scene, words in (
        ("Figure 1", "the scene is 'Figure 1'; it must be a State, or a Scene of some"),
        (Scene((State(main=ModelChoice(7)),)), "no network with main width 7"),
        (compare(START, State(guide=ModelChoice(64, 5))), "no network with guide steps 5"),
        (State(main=ModelChoice(family="nobody's")), "unknown family of networks"),
    ):
        with pytest.raises(InputError, match=words):
            quiet.session.show(scene)
        with pytest.raises(InputError, match=words):
            Session(quiet.carry, scene)
    with pytest.raises(InputError, match="the panels of a scene must be a list of states"):
        quiet.session.set("Figure 1")
    with pytest.raises(InputError, match="the scene is 5"):
        Session(quiet.carry, scenes={"a": 5})
    assert quiet.session.scene is before
    assert quiet.sent == []


def test_scenes_of_its_own_stand_in_the_menu(monkeypatch):
    monkeypatch.setattr(scheduler.Scheduler, "submit", lambda *_: None)
    front = Front(scenes={"Mine": START, 5: Scene((START, START))})
    assert front.all("scenes")[-1] == ["Mine", "5"]
    assert front.all("named")[-1] == "Mine"
    front.tell(named="5", view="one", n=1)
    assert len(front.session.scene.panels) == 2
    front.session.scenes["New"] = Scene((START,), title="New")
    front.session.announce()
    assert front.all("scenes")[-1] == ["Mine", "5", "New"]
    front.session.close()


def test_networks_of_its_own_are_known(monkeypatch):
    monkeypatch.setattr(scheduler.Scheduler, "submit", lambda *_: None)
    library = Library()
    family = library.new_family("fractal_tree")
    library.add_snapshots(family, untrained(Recipe(widths=(4,)), 8))
    front = Front(State(main=ModelChoice(4, 8, family=family)), library=library)
    assert front.session.library is library
    assert front.all("menus")[-1][0]["main"]["families"] == ["bundled", family]
    front.tell(choose={"guide-family": family}, view="one", n=1)
    assert front.session.state.guide == ModelChoice(4, 8, family=family)
    front.session.close()


def test_listeners_hear_of_each_scene(quiet):
    heard = []
    quiet.session.on_scene(heard.append)
    quiet.drag(1, weight=2.0)
    quiet.session.set(START)
    quiet.drag(2, weight=-1.0)
    assert heard == [Scene((replace(START, weight=2.0),)), Scene((START,))]


def test_files_are_offered_with_their_kind(quiet):
    for name, mime in (
        ("a.png", "image/png"),
        ("a.mp4", "video/mp4"),
        ("a.json", "application/json"),
        ("a.safetensors", "application/octet-stream"),
    ):
        quiet.session.offer(name, b"content")
        assert quiet.sent[-1] == ({"offer": {"name": name, "mime": mime}}, [b"content"])


def test_what_other_threads_want_is_done_on_that_of_the_callbacks(monkeypatch):
    monkeypatch.setattr(scheduler.Scheduler, "submit", lambda *_: None)
    posted = []
    front = Front(post=posted.append)

    def fail():
        raise InputError("it cannot be")

    front.session.post(lambda: front.session.say("done"))
    front.session.post(fail)
    assert front.said is None
    posted.pop(0)()
    assert front.said == {"text": "done", "error": False}
    posted.pop(0)()
    assert front.said == {"text": "it cannot be", "error": True}
    front.session.close()


def test_views_share_what_is_linked_as_scenes_do(quiet):
    """What the browser is told of links is what a scene does."""
    assert quiet.all("about")[-1]["linked"] == list(LINKED)


# The scheduler.


class Job:
    """Work that notes what is done of it."""

    def __init__(self, name, log, steps=3, ahead=0):
        self.name, self.log, self.steps, self.further = name, log, steps, ahead
        self.hook = lambda what: None

    def note(self, what):
        self.log.append((self.name, what))
        self.hook(what)

    def move(self):
        self.note("move")

    def rest(self):
        for i in range(self.steps):
            self.note(f"rest {i}")
            yield

    def ahead(self):
        for i in range(self.further):
            self.note(f"ahead {i}")
            yield


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


@pytest.fixture
def alone(monkeypatch):
    """A scheduler of its own."""
    monkeypatch.setattr(scheduler, "REST_S", 0.02)
    own = Scheduler()
    yield own
    own.close()
    assert not any(thread.is_alive() for thread in own._threads)


def test_it_moves_then_rests_then_prepares(alone):
    log = []
    alone.submit(Job("a", log, ahead=2))
    until(lambda: len(log) == 6)
    assert [what for _, what in log] == ["move", "rest 0", "rest 1", "rest 2", "ahead 0", "ahead 1"]


def test_nothing_is_prepared_soon_after_a_drag(alone, monkeypatch):
    """Another drag is likely, and what is being compiled cannot be stopped."""
    monkeypatch.setattr(scheduler, "AHEAD_S", 0.5)
    log = []
    job = Job("a", log, ahead=1)
    alone.submit(job)
    until(lambda: ("a", "rest 2") in log)
    known = len(log)
    alone.submit(job)
    moved = time.monotonic()
    until(lambda: ("a", "rest 2") in log[known:])
    known = len(log)
    until(lambda: ("a", "ahead 0") in log[known:])
    assert time.monotonic() - moved > 0.45


def test_what_moves_goes_before_what_rests_and_what_is_prepared(alone):
    log, moving = [], threading.Event()
    slow, quick = Job("slow", log), Job("quick", log)

    def interrupt(what):
        if what == "rest 1":
            alone.submit(quick)
            moving.set()

    slow.hook = interrupt
    alone.submit(slow)
    assert moving.wait(PATIENCE)
    until(lambda: len(log) == 8)
    assert log.index(("quick", "move")) == log.index(("slow", "rest 1")) + 1
    assert [entry for entry in log if entry[0] == "slow"] == [
        ("slow", w) for w in ("move", "rest 0", "rest 1", "rest 2")
    ]


def test_work_that_moves_again_begins_its_rest_anew(alone):
    log = []
    job = Job("a", log)

    def again(what):
        if what == "rest 1" and log.count(("a", "move")) == 1:
            alone.submit(job)

    job.hook = again
    alone.submit(job)
    until(lambda: ("a", "rest 2") in log)
    assert [what for _, what in log] == ["move", "rest 0", "rest 1", "move", "rest 0", "rest 1", "rest 2"]


def test_many_submissions_are_one_move_and_the_others_have_their_turn(alone):
    log, go = [], threading.Event()
    first = Job("first", log, steps=0)
    first.hook = lambda what: go.wait(PATIENCE)
    others = [Job(str(i), log, steps=0) for i in range(3)]
    alone.submit(first)
    until(lambda: log)
    for _ in range(100):
        for job in others:
            alone.submit(job)
    go.set()
    until(lambda: len(log) == 4)
    assert [name for name, _ in log] == ["first", "0", "1", "2"]


def test_a_session_at_rest_is_served_though_another_never_stops_moving(alone, monkeypatch):
    """Even where the next move is always there before the last is done."""
    monkeypatch.setattr(scheduler, "PATIENCE_S", 0.1)
    log = []
    waits, restless = Job("waits", log), [Job("x", log), Job("y", log)]
    for job in restless:
        job.hook = lambda what, job=job: (time.sleep(0.002), alone.submit(job))
    alone.submit(waits)
    for job in restless:
        alone.submit(job)
    until(lambda: ("waits", "rest 2") in log)
    for job in restless:
        job.hook = lambda what: None
    steps = [i for i, (name, what) in enumerate(log) if what.startswith("rest")]
    assert all(("x", "move") in log[a:b] and ("y", "move") in log[a:b] for a, b in itertools.pairwise(steps))


def test_a_change_that_arrives_as_the_rest_begins_is_not_forgotten(alone, monkeypatch):
    """The race of a change with the end of the wait."""
    log = []
    job = Job("a", log, steps=1)
    real, raced = threading.Condition.wait, []

    def wait(self, timeout=None):
        happened = real(self, timeout)
        if self is alone._changed and not happened and not raced:
            raced.append(True)
            alone.submit(job)  # with the lock, between the wait and what follows
        return happened

    monkeypatch.setattr(threading.Condition, "wait", wait)
    alone.submit(job)
    until(lambda: raced and log.count(("a", "move")) == 2 and log[-1] == ("a", "rest 0"))


def test_thirty_sessions_on_one_scheduler_have_each_its_own_picture(lab):
    fronts = [lab.front(replace(START, seed=i)) for i in range(30)]
    for turn in range(1, 4):
        for i, front in enumerate(fronts):
            front.drag(turn, weight=turn + i / 100)
    for i, front in enumerate(fronts):
        front.rest()
        last = [m for m in front.frames("points") if m["frame"]["full"]][-1]
        assert (last["frame"]["weight"], last["heard"]) == (3 + i / 100, {"one": 3})
    assert len(painter.scheduler._threads) == 2
    assert {state.seed for state, full in lab.made if full} == set(range(30))
    assert len([1 for _, full in lab.made if full]) <= 60


def test_work_that_is_removed_is_done_no_more(alone):
    log = []
    job = Job("a", log)
    job.hook = lambda what: alone.remove(job) if what == "rest 0" else None
    alone.submit(job)
    other = Job("b", log, ahead=1)
    until(lambda: ("a", "rest 0") in log)
    alone.submit(other)
    until(lambda: ("b", "ahead 0") in log)
    assert [what for name, what in log if name == "a"] == ["move", "rest 0"]


@pytest.mark.parametrize("where", ["move", "rest 1", "ahead 0"])
def test_work_that_raises_is_given_up_and_the_rest_goes_on(alone, caplog, where):
    log = []

    def fail(what):
        if what == where:
            raise ZeroDivisionError(what)

    bad, good = Job("bad", log, ahead=1), Job("good", log, ahead=1)
    bad.hook = fail
    alone.submit(bad)
    until(lambda: ("bad", where) in log)
    alone.submit(good)
    until(lambda: ("good", "ahead 0") in log)
    assert [what for name, what in log if name == "bad"][-1] == where
    assert f"ZeroDivisionError: {where}" in caplog.text


def test_it_ends_while_it_waits_and_while_it_works():
    for job in (None, Job("a", []), Job("b", [], steps=10**9), Job("c", [], ahead=10**9)):
        own = Scheduler()
        if job is not None:
            job.hook = lambda what: time.sleep(0.001)
            own.submit(job)
            until(lambda job=job: job.log)
        begun = time.monotonic()
        own.close()
        assert not any(thread.is_alive() for thread in own._threads)
        assert time.monotonic() - begun < 10


# With what it really computes.


@pytest.mark.usefixtures("few_draws_throughout", "nothing_ahead")
def test_a_real_picture_is_drawn_and_follows_a_drag(monkeypatch):
    monkeypatch.setattr(compute, "CURVE_WEIGHTS", ())  # it takes the longest
    front = Front(State(points=64, main=ModelChoice(8, 512), guide=ModelChoice(8, 128)))
    try:
        front.rest()
        assert front.said is None
        quick, full = front.frames("points")
        assert (quick["frame"]["count"], full["frame"]["count"], len(full["frame"]["levels"])) == (64, 64, 33)
        (outlines,) = front.frames("outlines")
        assert len(outlines["frame"]["items"]) == 2
        rows = front.frames("numbers")[-1]["frame"]["rows"]
        assert set(rows) == set(compute.SHOWN_METRICS)
        assert all(row["error"] is not None for row in rows.values())
        front.sent.clear()
        for n in range(1, 20):
            front.drag(n, weight=1 + n / 10)
        front.rest()
        assert not front.frames("outlines")
        assert not front.frames("curve")
        assert front.frames("points")[-1]["heard"] == {"one": 19}
    finally:
        front.session.close()
