"""The explorer's tabs without a browser: drawing, training, taking along; and what is refused there."""

import json
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from toydiff import InputError, save_model
from toydiff.distributions.drawing import Drawing
from toydiff.explorer import trainer
from toydiff.explorer.jupyter.explorer import Explorer
from toydiff.explorer.scene import Scene, compare
from toydiff.explorer.state import ModelChoice, State
from toydiff.networks.names import ModelName
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import train


@pytest.fixture(scope="module")
def explorer(few_draws_throughout, nothing_ahead):
    explorer = Explorer(State(points=100))
    yield explorer
    explorer.close()


@pytest.fixture(autouse=True)
def fresh(explorer):
    explorer.show(explorer.scenes["Figure 1 (e): autoguidance"])
    explorer.set(State(points=100))
    explorer.draw.pad.strokes = []


def wait_until(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never happened")


def stroke(label="A", points=((-0.5, 0.0), (0.5, 0.2)), thickness=0.1):
    return {"class": label, "thickness": thickness, "points": [list(point) for point in points]}


def press(tab, label):
    """Click the button of this label, wherever it is in the tab."""

    def find(widget):
        if getattr(widget, "description", None) == label:
            return widget
        return next((found for child in getattr(widget, "children", ()) if (found := find(child))), None)

    find(tab).click()


def upload(widget, *files):
    """What the browser sends when files were chosen."""
    kind = {"type": "", "last_modified": datetime.now(UTC)}
    widget.value = tuple(
        kind | {"name": name, "size": len(content), "content": memoryview(content)} for name, content in files
    )


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        ([], "the drawing is empty: it must have a stroke of class A"),
        ([stroke("B")], "class A is empty: a drawing must have a stroke of it"),
        ([stroke(thickness=9)], "stroke 1: thickness of a stroke is 9; it must be a number, at least 0.005"),
        ([stroke(points=[(0, float("nan"))])], "stroke 1: a point of a stroke is (0, nan); both must be from -2 to 2"),
        ([stroke(points=[(-1, y) for y in np.linspace(-1, 1, 2)], thickness=0.005)] * 9, "use a thicker pen"),
    ],
)
def test_a_drawing_that_cannot_be_is_refused_and_the_picture_stays(explorer, strokes, words):
    before = explorer.scene
    explorer.draw.pad.strokes = strokes
    press(explorer.draw, "Explore")
    assert words in explorer.message.value
    assert explorer.scene is before


@pytest.mark.parametrize(
    ("strokes", "classes"),
    [
        pytest.param([stroke(points=[(0.1, 0.1)])], "A", marks=pytest.mark.slow),  # one point is a dot
        ([stroke(), stroke("B", [(0.0, 0.9)])], "AB"),
        pytest.param(
            [stroke(points=[(np.cos(t), np.sin(t)) for t in np.linspace(0, 6, 10_000)])], "A", marks=pytest.mark.slow
        ),
    ],
)
def test_a_drawing_is_explored(explorer, strokes, classes):
    explorer.draw.pad.strokes = strokes
    press(explorer.draw, "Explore")
    assert f"{classes}: " in explorer.message.value
    state = explorer.state
    assert isinstance(state.distribution, Drawing)
    assert state.main.exact
    wait_until(lambda: explorer.worker.has_drawn(0, state))
    assert State.from_json(state.to_json()) == state


def test_drawings_are_undone_saved_and_opened(explorer):
    press(explorer.draw, "Undo")
    assert "there is no stroke to take back" in explorer.message.value
    explorer.draw.pad.strokes = [stroke(), stroke("B")]
    press(explorer.draw, "Undo")
    assert explorer.draw.pad.strokes == [stroke()]
    press(explorer.draw, "Save drawing")
    assert 'download="drawing.json"' in explorer.download.value
    content = json.dumps(explorer.draw.drawing().to_json()).encode()
    press(explorer.draw, "Clear")
    assert explorer.draw.pad.strokes == []
    upload(explorer.draw.upload, ("mine.json", content))
    assert explorer.draw.pad.strokes == [stroke()]
    upload(explorer.draw.upload, ("mine.json", content[:50]))
    assert "the file is not JSON" in explorer.message.value
    assert explorer.draw.pad.strokes == [stroke()]
    explorer.draw.bundled.value = "letters"
    assert {s["class"] for s in explorer.draw.pad.strokes} == {"A", "B"}


def ask(explorer, **values):
    for name, value in ({"classes": "A", "widths": "4, 8", "steps": "64", "seed": "0"} | values).items():
        getattr(explorer.train, name).value = value
    press(explorer.train, "Train")


def end(explorer):
    wait_until(lambda: not explorer.train.start.disabled)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"widths": ""}, "width is ''; it must be a whole number"),
        ({"widths": "4, 4"}, "they must all be different"),
        ({"steps": "0"}, "steps is 0; it must be a whole number from 1"),
        ({"steps": "many"}, "steps is 'many'"),
        ({"seed": "-1"}, "seed is -1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(explorer, values, words):
    ask(explorer, **values)
    assert words in explorer.message.value.replace("&#x27;", "'")
    assert not explorer.train.trainer.running


def test_trained_networks_stand_in_the_menus_and_nothing_is_started_twice(explorer):
    ask(explorer, widths="4, 8", steps="100000")
    wait_until(lambda: explorer.train.bar.value > 0)
    explorer.attempt(explorer.train.begin)  # its button is off meanwhile
    assert "a training is running: stop it first" in explorer.message.value
    press(explorer.train, "Stop")
    end(explorer)
    family = explorer.train.followed
    assert explorer.train.status.value == f"stopped; {family} stands in the menus"
    assert family in explorer.controls["main-family"].options
    assert explorer.state.main.family == explorer.state.guide.family == family
    assert not explorer.worker.paused
    explorer.controls.set("main-family", "bundled")
    assert explorer.state.main.width in (8, 16)  # the nearest that there is


def test_what_a_person_has_chosen_meanwhile_stays(explorer):
    ask(explorer, widths="4, 8", steps="4000")
    wait_until(lambda: explorer.state.main.family == explorer.train.followed)
    explorer.controls.set("main-exact", True)
    press(explorer.train, "Stop")
    end(explorer)
    assert explorer.state.main.exact
    assert explorer.state.guide.family == explorer.train.followed


def test_a_training_that_fails_says_so_and_the_next_one_runs(explorer, monkeypatch):
    def broken(*_, **__):
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train", broken)
        ask(explorer)
        end(explorer)
    assert "MemoryError: no room" in explorer.message.value
    assert explorer.train.status.value == "failed"
    ask(explorer)
    end(explorer)
    assert "stands in the menus" in explorer.train.status.value


def test_networks_are_loaded_from_files(explorer, tmp_path):
    training = train(Recipe(widths=(4, 8), batch=64), 16, snapshots=(8,), progress=False)
    for width, step in training.snapshots:
        save_model(tmp_path / f"{width}-{step}.safetensors", training, width, step)
    files = [(path.name, path.read_bytes()) for path in sorted(tmp_path.iterdir())]
    upload(explorer.train.upload, *files)
    family = explorer.state.main.family
    assert (explorer.state.main.width, explorer.state.main.steps, family) == (8, 16, explorer.train.followed)
    assert f"{family} stands in the menus: A/4/16, A/4/8, A/8/16, A/8/8" in explorer.message.value
    press(explorer.train, "Save main")
    assert 'download="A-8-16.safetensors"' in explorer.download.value
    assert explorer.library.file_of("fractal_tree", family, ModelName("A", 8, 16)) == dict(files)["8-16.safetensors"]
    upload(explorer.train.upload, files[0], files[0])
    assert "A/4/16 does not go with the other files" in explorer.message.value
    newer = files[0][1].replace(b'\\"format\\": 1', b'\\"format\\": 9')
    assert newer != files[0][1]
    upload(explorer.train.upload, ("newer.safetensors", newer))
    assert "newer.safetensors has format 9; this toydiff reads format 1" in explorer.message.value
    assert explorer.state.main.family == family


def test_bundled_and_exact_models_are_not_saved(explorer):
    press(explorer.train, "Save main")
    assert "A/64/4096 is bundled" in explorer.message.value
    explorer.controls.set("main-exact", True)
    press(explorer.train, "Save main")
    assert "there is no network to save" in explorer.message.value


def test_a_film_that_fails_says_so(explorer, monkeypatch):
    def broken(*_, **__):
        raise OSError("no ffmpeg")

    monkeypatch.setattr("toydiff.explorer.jupyter.keep_tab.film_bytes", broken)
    press(explorer.keep, "MP4")
    wait_until(lambda: "OSError: no ffmpeg" in explorer.message.value)
    wait_until(lambda: not explorer.keep.recorders[0].disabled)


def test_a_view_needs_a_title(explorer):
    explorer.keep.title.value = "  "
    press(explorer.keep, "Add view")
    assert "the view has no title" in explorer.message.value


def test_hidden_controls_come_back_with_another_scene(explorer):
    explorer.keep.title.value, explorer.keep.hidden.value = "Mine", ("weight", "train")
    press(explorer.keep, "Add view")
    assert "Mine" in dict(explorer.menu.options)
    assert "toydiff-hidden" in explorer._parts["weight"]._dom_classes
    explorer.menu.value = "Figure 1 (c): CFG"
    assert "toydiff-hidden" not in explorer._parts["weight"]._dom_classes
    assert not explorer.banner.value


@pytest.mark.slow
def test_files_that_are_loaded_while_something_trains_stay_by_themselves(explorer, tmp_path):
    training = train(Recipe("three_gaussians", "A", widths=(4,), batch=64), 8, progress=False)
    save_model(tmp_path / "other.safetensors", training)
    ask(explorer, steps="100000")
    wait_until(lambda: explorer.train.bar.value > 0)
    trained = explorer.train.trained
    upload(explorer.train.upload, ("other.safetensors", (tmp_path / "other.safetensors").read_bytes()))
    assert explorer.state.distribution == "three_gaussians"
    press(explorer.train, "Stop")
    end(explorer)
    loaded = explorer.train.followed
    assert explorer.state.main.family == loaded
    assert [str(name) for name in explorer.library.networks("three_gaussians", loaded)] == ["A/4/8"]
    assert {name.width for name in explorer.library.networks("fractal_tree", trained)} == {4, 8}


def test_what_a_training_shows_leaves_messages_and_downloads(explorer):
    explorer.say("keep this")
    ask(explorer, steps="64")
    end(explorer)
    assert "keep this" in explorer.message.value


def test_a_view_is_edited_where_it_stands_and_no_preset_is_overwritten(explorer):
    explorer.show(Scene(title="T", question="Q", hidden=("seed-box",)))
    assert (explorer.keep.title.value, explorer.keep.hidden.value) == ("T", ("seed-box",))
    explorer.keep.title.value = "Figure 1 (c): CFG"
    press(explorer.keep, "Add view")
    assert "there is a scene of this name" in explorer.message.value
    assert explorer.scenes["Figure 1 (c): CFG"].state.weight == 4.0


def test_a_panel_that_cannot_be_drawn_does_not_keep_the_others_back(explorer):
    family = explorer.library.new_family("fractal_tree")
    explorer.library.add_snapshots(family, train(Recipe(widths=(4,), batch=64), 8, progress=False))
    mine = ModelChoice(4, 8, family=family)
    states = (State(points=100, main=mine, guide=mine, probe=(0.0, 0.0)), State(method="cfg", main=mine, guide=mine))
    explorer.show(compare(*states))
    wait_until(lambda: explorer.worker.has_drawn(0, explorer.scene.panels[0]))
    assert f"{family} has no network AB/4/8" in explorer.message.value


def test_what_the_menu_cannot_show_is_refused_at_once():
    with pytest.raises(InputError, match="the scene is 'Figure 1'; it must be a State, or a Scene of some"):
        Explorer("Figure 1")
    with pytest.raises(InputError, match="the scene is 5"):
        Explorer(scenes={"a": 5})
