"""The laboratory in a real headless Chromium: compare, bend the weight, draw, train, take along, teach."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from toydiff import METHODS
from toydiff.explorer import compute
from toydiff.explorer.scene import Scene

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

FIRST = "Figure 1 (e): autoguidance"


@pytest.fixture(autouse=True)
def fresh(lab):
    """Each test begins with the first scene, whatever the one before has left."""
    lab.tab("Guidance")
    menu = lab.find(".toydiff-scene select")
    if menu.evaluate("e => e.options[e.selectedIndex].text").replace("\xa0", " ") != FIRST:
        lab.changes_picture(lambda: lab.select("scene", FIRST))
    lab.page.wait_for_function("() => document.querySelectorAll('.toydiff-picture').length === 1")
    yield
    assert not lab.errors


def scene_of(lab):
    """What the explorer says that it shows."""
    return Scene.from_json(json.dumps(values_of(lab)))


def values_of(lab):
    """The same as JSON values, which may name networks that are in its kernel only."""
    lab.tab("Keep")
    text = lab.find(".toydiff-text textarea")
    text.fill("")
    lab.click("button-state")
    lab.page.wait_for_function("() => document.querySelector('.toydiff-text textarea').value.startsWith('{')")
    return json.loads(text.input_value())


def download(lab, name):
    """The file that is offered."""
    link = lab.find(f".toydiff-download[download='{name}']")
    with lab.page.expect_download() as download:
        link.click(timeout=60_000)
    return download.value.path().read_bytes()


def drag(lab, selector, *places):
    """Press the mouse at the first of the places, which go from 0 to 1 across an element, and move to the others."""
    box = lab.find(selector).bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    lab.page.mouse.move(*points[0])
    lab.page.mouse.down()
    for point in points[1:]:
        lab.page.mouse.move(*point, steps=6)
    lab.page.mouse.up()


def test_two_pictures_are_compared_from_the_same_noise(lab):
    lab.picture()
    lab.click("compare")
    lab.page.wait_for_function("() => document.querySelectorAll('.toydiff-picture[data-frame]').length === 2")
    first = lab.picture(0)
    lab.changes_picture(lambda: lab.select("method", METHODS["cfg"].title), panel=1)
    lab.wait_for_text("caption >> nth=1", "^2 +CFG, w = 4")
    assert lab.picture(0) == first
    lab.changes_picture(lambda: lab.changes_picture(lambda: lab.drag("step", ["ArrowLeft"] * 8), panel=1))

    box = lab.image(1).bounding_box()
    lab.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"])
    marks = lab.find(".toydiff-mark:not([hidden])")
    marks.nth(1).wait_for()
    shown = np.array(
        [mark.evaluate("e => [parseFloat(e.style.left), parseFloat(e.style.top)]") for mark in marks.all()]
    )
    scene = scene_of(lab)
    assert [state.method for state in scene.panels] == ["autoguidance", "cfg"]
    x, y, half_width = scene.state.view
    at = x + half_width * (2 * 0.6 - 1), y + half_width * (1 - 2 * 0.4)
    places = compute.same_sample(scene.panels, 1, *at)
    np.testing.assert_allclose((places - [x, y]) / half_width, (shown / 50 - 1) * [1, -1], atol=0.01)

    lab.find(".toydiff-caption").first.click()
    lab.wait_for_text("active", r"^1 +Autoguidance")
    lab.tab("Guidance")
    assert lab.find(".toydiff-method select").input_value() == METHODS["autoguidance"].title
    lab.find(".toydiff-close").nth(1).click()
    lab.image(1).wait_for(state="detached")


def test_the_weight_is_bent_with_the_mouse_and_the_numbers_follow(lab):
    lab.changes_picture(lambda: drag(lab, "svg.toydiff-weightcurve", (0.3, 0.65), (0.5, 0.5), (0.7, 0.7)))
    state = scene_of(lab).state
    assert len(set(state.weight_curve)) > 3
    scores = compute.measure(state, compute.Quality.full(state))
    lab.wait_for_text("numbers", re.escape(f"{scores['sliced_wasserstein'].value:.3f}"))
    lab.wait_for_text("numbers", re.escape(f"{scores['branch_coverage'].value:.1%}"))
    lab.tab("Guidance")
    box = lab.find("svg.toydiff-weightcurve").bounding_box()
    lab.changes_picture(lambda: lab.page.mouse.dblclick(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"]))
    straight = scene_of(lab).state
    assert straight.weight_curve is None
    assert float(lab.find(".toydiff-weight-box input").input_value()) == straight.weight


def choose_pen(lab, label):
    """Until the pad has taken it up, by way of the kernel."""
    lab.find(".toydiff-draw-pen button").filter(has_text=f"class {label}").click()
    lab.find(f".toydiff-pad[data-pen={label}]").wait_for()


def test_a_drawn_distribution_is_explored(lab):
    lab.tab("Draw")
    choose_pen(lab, "B")
    drag(lab, ".toydiff-pad canvas", (0.2, 0.8), (0.8, 0.7))
    lab.click("button-explore")
    lab.wait_for_text("error", "class A is empty: a drawing must have a stroke of it")
    choose_pen(lab, "A")
    drag(lab, ".toydiff-pad canvas", (0.2, 0.3), (0.5, 0.15), (0.8, 0.4))
    lab.changes_picture(lambda: lab.click("button-explore"))
    lab.wait_for_text("note", "AB: [0-9]+ Gaussians, exact scores")
    lab.wait_for_text("numbers", r"median log density(-?[0-9.]+)")


@pytest.mark.slow
def test_networks_are_trained_on_it_stopped_saved_and_loaded(lab):
    """On what was drawn."""
    lab.tab("Draw")
    lab.changes_picture(lambda: lab.click("button-explore"))
    lab.tab("Train")
    lab.type("train-widths", "8, zebra")
    lab.click("button-train")
    lab.wait_for_text("error", "width is 'zebra'; it must be a whole number")
    lab.type("train-widths", "4, 8")
    lab.type("train-steps", "8000")
    lab.click("button-train")
    lab.wait_for_text("train-status", "step [0-9]+ of 8000, loss")
    lab.find(".toydiff-train-curve").wait_for()  # with the first networks
    lab.tab("Guidance")
    frame = lab.frame()
    lab.drag("weight", ["ArrowRight"] * 5)  # alive meanwhile
    lab.page.wait_for_function(f"() => document.querySelector('.toydiff-picture').dataset.frame > {frame}")
    lab.tab("Train")
    lab.click("button-stop")
    lab.wait_for_text("train-status", "stopped; training 1 stands in the menus")
    assert lab.find(".toydiff-train-curve").bounding_box()["height"] > 50
    (state,) = values_of(lab)["panels"]
    assert (state["main"]["family"], state["main"]["width"], state["guide"]["family"]) == (
        "training 1",
        8,
        "training 1",
    )
    assert [stroke["class"] for stroke in state["distribution"]["strokes"]] == ["B", "A"]
    lab.picture()
    assert lab.find(".toydiff-error").count() == 0

    lab.tab("Train")
    lab.click("button-save-main")
    name = f"A-8-{state['main']['steps']}.safetensors"
    content = download(lab, name)
    upload = lab.find(".toydiff-train-upload")
    with lab.page.expect_file_chooser() as chooser:
        upload.click()
    chooser.value.set_files({"name": name, "mimeType": "", "buffer": content[:100]})
    lab.wait_for_text("error", f"cannot read {name}: it is truncated or not a safetensors file")
    with lab.page.expect_file_chooser() as chooser:
        upload.click()
    chooser.value.set_files({"name": name, "mimeType": "", "buffer": content})
    lab.wait_for_text("note", f"loaded 1 stands in the menus: A/8/{state['main']['steps']}")

    file = saved_file(lab)
    lab.tab("Guidance")
    lab.changes_picture(lambda: lab.select("scene", FIRST))
    lab.tab("Keep")

    def open_file():
        with lab.page.expect_file_chooser() as chooser:
            lab.find(".toydiff-open").click()
        chooser.value.set_files({"name": "lab.json", "mimeType": "", "buffer": file})

    lab.changes_picture(open_file)
    assert values_of(lab)["panels"][0]["distribution"] == state["distribution"]


def saved_file(lab):
    """The laboratory's file."""
    lab.tab("Keep")
    lab.click("button-save-file")
    return download(lab, "toydiff-laboratory.json")


def test_a_film_is_recorded(lab):
    lab.tab("Keep")
    lab.find(".toydiff-film select").select_option(label="from noise to data")
    lab.click("button-gif")
    film = Image.open(io.BytesIO(download(lab, "toydiff.gif")))
    assert film.format == "GIF"
    assert film.n_frames > 33


def test_a_lecture_hides_controls_and_asks_a_question(lab):
    lab.tab("Keep")
    lab.type("lecture-title", "Which weight is best?")
    lab.find(".toydiff-lecture-question textarea").fill("Guess first: 1, 2 or 4?")
    lab.find(".toydiff-lecture-question textarea").blur()
    lab.find(".toydiff-lecture-hidden select").select_option(["train", "numbers", "seed-box"])
    lab.click("button-add-view")
    lab.wait_for_text("scene-title", r"Which weight is best\?\s*Guess first: 1, 2 or 4\?")
    lab.find(".toydiff-numbers").first.wait_for(state="hidden")
    lab.tab("Guidance")
    assert lab.find(".toydiff-seed-box").is_hidden()
    assert lab.find(".toydiff-weight").is_visible()
    lab.select("scene", FIRST)
    lab.find(".toydiff-seed-box").wait_for()
    lab.select("scene", "Which weight is best?")
    lab.find(".toydiff-seed-box").wait_for(state="hidden")
    values = json.loads(saved_file(lab))
    assert values["scenes"]["Which weight is best?"]["hidden"] == ["numbers", "seed-box", "train"]
