"""The explorer as a widget, without a browser: what Python can ask of it, link to it, and hear of it."""

import asyncio
import gc
import json
import re
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import anywidget
import ipywidgets as w
import pytest
import traitlets
from helpers import untrained

import toydiff
from toydiff import InputError
from toydiff.explorer.front import opening
from toydiff.explorer.jupyter.explorer import Explorer, explore
from toydiff.explorer.scene import Scene, compare, default_scenes
from toydiff.explorer.state import ModelChoice, State
from toydiff.networks.library import Library
from toydiff.networks.recipe import Recipe

START = State(points=100)


@pytest.fixture(autouse=True)
def nothing_drawn(monkeypatch):
    monkeypatch.setattr("toydiff.explorer.scheduler.Scheduler.submit", lambda *_: None)


@pytest.fixture
def made():
    """`made(...)` is an explorer that is closed after the test."""
    explorers = []

    def make(*arguments, **options):
        explorers.append(explore(*arguments, **options))
        return explorers[-1]

    yield make
    for explorer in explorers:
        explorer.close()


@pytest.fixture
def explorer(made):
    return made(START)


@pytest.fixture
def heard(explorer, monkeypatch):
    """What the widget sends to its views."""
    sent = []
    monkeypatch.setattr(explorer, "send", lambda message, buffers=None: sent.append((message, buffers)))
    return sent


def view_says(explorer, message, *buffers):
    """What arrives from the browser."""
    explorer._handle_custom_msg(message, [memoryview(buffer) for buffer in buffers])


def browser_sets(explorer, **traits):
    """What arrives of a control that is linked in the browser."""
    explorer.set_state(traits)


def last(heard, name):
    return next((message[name] for message, _ in reversed(heard) if name in message), None)


# What it shows.


def test_it_begins_with_the_paper_s_figure_and_the_paper_s_scenes(made):
    explorer = made()
    assert isinstance(explorer, w.DOMWidget)
    assert (explorer.weight, explorer.sigma) == (3.0, 0.0)  # before anything is loaded
    assert explorer.scene == Scene()
    assert explorer.state == State()
    assert explorer.scenes == dict(default_scenes())
    assert explorer.library.families("fractal_tree") == ["bundled"]
    assert "Autoguidance, w = 3" in repr(explorer)


def test_what_stands_on_the_screen_at_once_is_the_first_scene(made):
    """Recorded messages: the same scene as the session's, and points, outlines and numbers of it."""
    assert made().snapshot == opening()
    assert made(START).snapshot == ""
    told = {next(iter(message)): message for message, _ in json.loads(opening()) if "frame" not in message}
    assert Scene.from_json(told["scene"]["scene"]) == Scene()
    frames = {message["frame"]["frame"]: message["frame"] for message, _ in json.loads(opening()) if "frame" in message}
    assert {"outlines", "points", "numbers", "curve"} <= set(frames)
    assert frames["points"]["count"] == State().points
    assert len(opening()) < 400_000


@pytest.mark.parametrize("given", [START, Scene((START,), title="Mine", question="Why?"), compare(START, START)])
def test_it_begins_with_what_it_is_given(made, given):
    explorer = made(given)
    scene = given if isinstance(given, Scene) else Scene((given,))
    assert (explorer.scene, explorer.state) == (scene, scene.state)
    assert (explorer.weight, explorer.sigma) == (scene.state.weight, scene.state.sigma)
    assert toydiff.explore is explore


def test_scenes_and_networks_of_one_s_own_are_offered(made):
    library = Library()
    family = library.new_family("fractal_tree")
    library.add_snapshots(family, untrained(Recipe(widths=(4,)), 8))
    mine = State(main=ModelChoice(4, 8, family=family))
    explorer = made(mine, scenes={"Mine": mine, "Two": compare(mine, START)}, library=library)
    assert explorer.library is library
    assert explorer.scenes == {"Mine": Scene((mine,)), "Two": compare(mine, START)}
    assert explorer.state == mine


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scene": "Figure 1"}, "the scene is 'Figure 1'; it must be a State, or a Scene of some"),
        ({"scene": State(main=ModelChoice(7))}, "no network with main width 7; there are 8, 16, 32, 64, 128"),
        ({"scene": State(main=ModelChoice(family="training 1"))}, "unknown family of networks 'training 1'"),
        ({"scenes": {"a": 5}}, "the scene is 5"),
    ],
)
def test_what_cannot_be_shown_is_refused_at_once_and_leaves_no_widget(monkeypatch, arguments, words):
    closed, close = [], anywidget.AnyWidget.close
    monkeypatch.setattr(anywidget.AnyWidget, "close", lambda widget: closed.append(id(widget)) or close(widget))
    with pytest.raises(InputError, match=words):
        explore(**arguments)
    assert closed


def test_it_is_made_while_jax_is_loaded():
    """A notebook's cell ends at once; what Python asks then waits."""
    code = (
        "import sys, toydiff\n"
        "explorer = toydiff.explore()\n"
        "early = 'jax' in sys.modules\n"
        "explorer.weight = 2.0\n"
        "print(early, explorer.state.weight, explorer.state.method)\n"
        "explorer.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1:] == ["2.0", "autoguidance"]


def test_what_was_never_made_can_be_closed():
    """As Jupyter does with whatever goes."""
    with pytest.raises(TypeError):
        Explorer(colour="blue")
    gc.collect()
    Explorer.__new__(Explorer).close()


# What Python sets and hears.


def test_python_sets_and_shows(explorer, heard):
    explorer.set(replace(START, weight=2.0, sigma=0.5))
    assert (explorer.state.weight, explorer.weight, explorer.sigma) == (2.0, 2.0, 0.5)
    assert last(heard, "scene")["panels"][0]["weight"] == 2.0
    two = compare(START, replace(START, method="cfg", weight=4.0), title="Which?")
    explorer.show(two)
    assert (explorer.scene, last(heard, "scene")["title"]) == (two, "Which?")
    explorer.set(replace(START, seed=7))
    assert [state.seed for state in explorer.scene.panels] == [7, 7]
    explorer.scene = Scene((START,))
    assert explorer.session.scene == Scene((START,))
    explorer.scene = replace(START, weight=1.5)  # a state is a scene of one picture
    assert explorer.scene == Scene((replace(START, weight=1.5),))


def test_the_scene_is_heard_whoever_changes_it(explorer, heard):
    seen = []
    explorer.observe(lambda change: seen.append(change["new"]), "scene")
    explorer.set(replace(START, weight=2.0))
    view_says(explorer, {"set": {"weight": 2.5}, "view": "one", "n": 1})
    explorer.weight = 1.5
    explorer.sigma = 0.5
    view_says(explorer, {"set": {"weight": -1}, "view": "one", "n": 2})  # is refused
    assert [(scene.state.weight, scene.state.sigma) for scene in seen] == [(2.0, 0), (2.5, 0), (1.5, 0), (1.5, 0.5)]
    assert explorer.scene is seen[-1]


BAD = [
    ("Figure 1", "the scene is 'Figure 1'"),
    (None, "the scene is None"),
    (State(guide=ModelChoice(64, 5)), "no network with guide steps 5"),
    (Scene((State(main=ModelChoice(7)),)), "no network with main width 7"),
]


@pytest.mark.parametrize(("scene", "words"), BAD)
def test_a_scene_that_cannot_be_shown_raises_and_changes_nothing(explorer, heard, scene, words):
    seen = []
    explorer.observe(seen.append, ["scene", "weight", "sigma"])
    before = explorer.scene
    for attempt in (explorer.show, lambda scene: setattr(explorer, "scene", scene)):
        with pytest.raises(InputError, match=words):
            attempt(scene)
        assert explorer.scene is explorer.session.scene is before
    assert (seen, heard) == ([], [])
    explorer.set(replace(START, weight=2.0))
    assert explorer.weight == 2.0


def test_a_state_that_is_none_is_refused(explorer):
    for state in ("Figure 1", None, Scene()):
        with pytest.raises(InputError, match="the panels of a scene must be a list of states"):
            explorer.set(state)
    assert explorer.state == START


# Numbers that can be linked.


def test_weight_and_noise_level_go_both_ways(explorer):
    explorer.weight = 2.5
    assert explorer.state == replace(START, weight=2.5)
    explorer.sigma = 0.5
    assert explorer.state.sigma == 0.5
    view_says(explorer, {"set": {"weight": 1.5, "sigma": 1.0}, "view": "one", "n": 1})
    assert (explorer.weight, explorer.sigma) == (1.5, 1.0)
    browser_sets(explorer, weight=1.25, sigma=0.25)  # by a slider that is linked in the browser
    assert (explorer.state.weight, explorer.state.sigma) == (1.25, 0.25)
    explorer.show(compare(START, replace(START, method="cfg", weight=4.0)))
    explorer.show(replace(explorer.scene, active=1))
    assert explorer.weight == 4.0  # of the active picture
    explorer.weight = 5.0
    assert [state.weight for state in explorer.scene.panels] == [3.0, 5.0]


def test_a_weight_straightens_the_curve_and_means_nothing_without_guidance(explorer):
    explorer.set(replace(START, weight_curve=(2.0,) * 12 + (1.0,)))
    assert explorer.state.weight_curve is not None
    explorer.weight = 2.0
    assert explorer.state == replace(START, weight=2.0)
    explorer.set(State(method="unguided", points=100))
    assert explorer.weight == 1.0
    explorer.weight = 3.0
    assert (explorer.weight, explorer.state.weight) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("weight", -1.0, "weight is -1.0; it must be a number, at least 0 and at most 100"),
        ("weight", float("nan"), "weight is nan"),
        ("sigma", -0.5, "sigma is -0.5"),
        ("sigma", float("inf"), "sigma is inf"),
    ],
)
def test_a_number_that_cannot_be_raises_is_said_and_goes_back(explorer, heard, name, value, words):
    before = explorer.scene
    with pytest.raises(InputError, match=words):
        setattr(explorer, name, value)
    assert explorer.scene is before
    assert getattr(explorer, name) == getattr(START, name)
    assert words in last(heard, "say")["text"]
    with pytest.raises(traitlets.TraitError):
        setattr(explorer, name, "much")


def test_what_is_dragged_in_the_browser_is_not_sent_back_to_it(explorer, monkeypatch):
    """A weight of a moment ago would move the slider under the hand; the browser knows it by the scene."""
    sent = []
    monkeypatch.setattr(explorer.comm, "send", lambda data=None, **_: sent.append(data))
    view_says(explorer, {"set": {"weight": 2.0}, "view": "one", "n": 1})
    explorer.set(replace(START, weight=2.5))
    assert explorer.weight == 2.5
    assert not [data for data in sent if data["method"] == "update" and {"weight", "sigma"} & set(data["state"])]
    assert {"weight", "sigma"} <= set(explorer.get_state())  # a page that opens has them
    explorer.snapshot = "another"
    assert sent[-1]["state"] == {"snapshot": "another"}


# Links.


def test_two_explorers_are_linked(made):
    first, second = made(START), made(State(method="cfg", weight=4.0))
    link = traitlets.link((first, "scene"), (second, "scene"))
    assert second.session.scene == first.scene == Scene((START,))
    second.set(replace(START, weight=2.0))
    assert (first.state.weight, first.weight) == (2.0, 2.0)
    first.weight = 1.5
    assert (second.state.weight, second.weight) == (1.5, 1.5)
    with pytest.raises(InputError, match="no network with main width 7"):
        first.scene = State(main=ModelChoice(7))
    assert first.scene == second.scene == second.session.scene == Scene((replace(START, weight=1.5),))
    link.unlink()
    first.weight = 3.0
    assert second.weight == 1.5


def test_two_explorers_are_linked_by_weight_alone(made):
    first, second = made(START), made(State(method="cfg", weight=4.0))
    traitlets.dlink((first, "weight"), (second, "weight"))
    first.weight = 2.5
    assert (second.state.method, second.state.weight) == ("cfg", 2.5)
    second.weight = 3.5
    assert first.weight == 2.5


def test_two_explorers_do_not_know_of_each_other(made):
    first, second = made(START), made(START)
    first.set(replace(START, weight=2.0))
    first.scenes["Mine"] = Scene((START,))
    assert second.state == START
    assert "Mine" not in second.scenes
    assert first.library is not second.library


def test_sliders_of_one_s_own_move_it(explorer):
    """As `ipywidgets.interactive` does, and by links of traits."""
    slider = w.FloatSlider(min=0, max=5, value=1.0)
    traitlets.link((explorer, "weight"), (slider, "value"))
    assert slider.value == 3.0
    slider.value = 2.0
    assert explorer.state.weight == 2.0
    explorer.set(replace(START, weight=4.0))
    assert slider.value == 4.0

    def move(width):
        explorer.set(replace(explorer.state, guide=ModelChoice(width, 512)))

    controls = w.interactive(move, width=[8, 16, 32])
    controls.children[0].value = 16
    assert explorer.state.guide == ModelChoice(16, 512)
    controls.close()


def test_who_hears_of_a_scene_may_show_another_one(explorer):
    """Here: never more than 2.5 as the weight."""

    def limit(change):
        if change["new"].state.weight > 2.5:
            explorer.set(replace(explorer.state, weight=2.5))

    explorer.observe(limit, "scene")
    explorer.set(replace(START, weight=3.5))
    assert (explorer.weight, explorer.state.weight, explorer.scene.state.weight) == (2.5, 2.5, 2.5)
    explorer.weight = 9.0
    assert (explorer.weight, explorer.state.weight, explorer.scene.state.weight) == (2.5, 2.5, 2.5)


# Messages.


def test_a_view_is_answered(explorer, heard):
    view_says(explorer, {"hello": "one"})
    assert {"about", "scene", "train"} <= {next(iter(message)) for message, _ in heard}
    view_says(explorer, {"zoom": "far"})
    assert last(heard, "say")["error"]
    view_says(explorer, {"choose": {"method": "cfg"}, "view": "one", "n": 1})
    assert (explorer.state.method, explorer.weight) == ("cfg", 4.0)
    explorer.session.offer("a.png", b"content")
    assert heard[-1] == ({"offer": {"name": "a.png", "mime": "image/png"}}, [b"content"])


def test_files_come_as_bytes(explorer, monkeypatch):
    taken = []
    monkeypatch.setitem(
        sys.modules["toydiff.explorer.session"].ACTIONS, "test", lambda session, values, buffers: taken.extend(buffers)
    )
    view_says(explorer, {"do": "test"}, b"one", b"two")
    assert taken == [b"one", b"two"]


def test_what_another_thread_posts_is_done_in_the_loop_of_the_notebook(made):
    """And what a view says, in order."""
    done = []

    async def notebook():
        explorer = made(START)
        here = threading.get_ident()
        explorer.session.on_scene(lambda scene: done.append((threading.get_ident() == here, scene.state.weight)))
        for n in range(1, 4):
            view_says(explorer, {"set": {"weight": float(n)}, "view": "one", "n": n})
        state = replace(START, weight=4.0)
        thread = threading.Thread(target=lambda: explorer.session.post(lambda: explorer.set(state)))
        thread.start()
        await asyncio.to_thread(thread.join)
        while len(done) < 4:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(notebook(), 60))
    assert done == [(True, float(n)) for n in range(1, 5)]


def test_what_a_view_says_before_there_is_a_session_is_done_in_order_in_the_loop(made, monkeypatch):
    go, make, done = threading.Event(), Explorer._make, []

    def slowly(explorer, *given):
        assert go.wait(60)
        make(explorer, *given)

    monkeypatch.setattr(Explorer, "_make", slowly)

    async def notebook():
        explorer = made()
        here = threading.get_ident()
        for n in range(1, 4):
            view_says(explorer, {"set": {"weight": float(n)}, "view": "one", "n": n})
        go.set()
        explorer.session.on_scene(lambda scene: done.append((threading.get_ident() == here, scene.state.weight)))
        view_says(explorer, {"set": {"weight": 4.0}, "view": "one", "n": 4})
        while len(done) < 4:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(notebook(), 60))
    assert done == [(True, float(n)) for n in range(1, 5)]


def test_a_closed_explorer_says_nothing_and_ends_its_session(made, monkeypatch):
    explorer, sent, ended = made(START), [], []
    monkeypatch.setattr(explorer, "send", lambda *given, **_: sent.append(given))
    explorer.session.kept(lambda session: SimpleNamespace(close=lambda: ended.append(True)))
    explorer.close()
    assert ended == [True]
    assert explorer.comm is None
    explorer.session.say("too late")
    assert sent == []
    explorer.close()  # once more is no harm


def test_the_widget_is_an_anywidget_with_the_whole_front_end():
    """So it also runs where there are only anywidgets, and asks for nothing outside."""
    assert "export default" in Explorer._esm
    assert not re.search(r"^import |\bimport\(|\bfetch\(", Explorer._esm, re.MULTILINE)
    assert "http://" not in Explorer._esm.replace("http://www.w3.org/", "")
    assert "https://" not in Explorer._esm
    assert ".toydiff-" in Explorer._css
    assert "@import" not in Explorer._css
