"""Draw, Train, Sweep and Keep in the drawer of the front end, in a real headless Chromium with a real session."""

import base64
import io
import json
import queue
import re
import time
from itertools import chain

import pytest
from PIL import Image

from toydiff import save_model
from toydiff.explorer import front
from toydiff.explorer.actions.sweep import OpenSweep
from toydiff.explorer.scene import Scene
from toydiff.explorer.session import Session
from toydiff.explorer.state import State
from toydiff.measuring.sweep_axes import settings_of
from toydiff.measuring.sweep_table import Sweep, save_sweep
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import train

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

STYLE = f"<style>body {{ margin: 0; font-family: sans-serif; }} {front.style()}</style>"
PAGE = f"<!doctype html><meta charset=utf-8>{STYLE}<div id=host></div>"
HOST = """
const handlers = [];
const text = (bytes) => btoa(String.fromCharCode(...bytes));
const view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.deliver = ([message, buffers]) => handlers.forEach((take) => take(JSON.parse(message), buffers.map(view)));
const send = (message, buffers = []) => window.toKernel(JSON.stringify(message), buffers.map(text));
mount(document.getElementById("host"), { send, on: (take) => handlers.push(take) });
"""
SECTIONS = ("draw", "train", "sweep", "keep")
START = Scene((State(points=100),))


class Explorer:
    """The whole front end over a session that paints nothing; what the session sends waits until `until`."""

    def __init__(self, browser):
        self.sent = queue.Queue()
        self.session = Session(self.keep, START)
        self.page = browser.new_page(viewport={"width": 1280, "height": 720})
        self.errors = []
        self.files = []
        self.page.on("download", lambda file: self.files.insert(0, file))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.expose_function("toKernel", self.take)
        self.page.route("http://front.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        self.page.goto("http://front.test/")
        self.page.add_script_tag(type="module", content=front.script() + HOST)
        self.until(lambda: self.page.locator(".toydiff-more").count())
        self.page.click(".toydiff-more")
        self.open_all()

    def keep(self, message, buffers=()):
        """On any thread."""
        self.sent.put([json.dumps(message), [base64.b64encode(bytes(content)).decode() for content in buffers]])

    def take(self, message, buffers):
        self.session.receive(json.loads(message), [base64.b64decode(content) for content in buffers])

    def until(self, condition):
        """Carry messages until something is so."""
        for _ in range(3000):
            self.page.wait_for_timeout(10)
            while not self.sent.empty():
                self.page.evaluate("given => deliver(given)", self.sent.get())
            if condition():
                assert not self.errors
                return
        pytest.fail("it never happened")

    def open_all(self):
        self.page.evaluate(
            "names => names.forEach(name => document.querySelector(`section.toydiff-${name}`).parentNode.open = true)",
            SECTIONS,
        )

    def find(self, name):
        return self.page.locator(f".toydiff-drawer .toydiff-{name}")

    def press(self, name):
        self.find(name).click()

    def says(self, words):
        self.until(lambda: words in self.page.locator(".toydiff-message").inner_text())

    def download(self, name):
        """The name and the content of the file that a button gives."""
        self.files.clear()
        self.press(name)
        self.until(lambda: self.files)
        return self.files[0].suggested_filename, self.files[0].path().read_bytes()

    def chosen_file(self, name, *files):
        with self.page.expect_file_chooser() as chooser:
            self.press(name)
        chooser.value.set_files([{"name": n, "mimeType": "", "buffer": content} for n, content in files])


@pytest.fixture(scope="module")
def explorer(browser, few_draws_throughout):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toydiff.explorer.scheduler.Scheduler.submit", lambda *_: None)
        explorer = Explorer(browser)
        yield explorer
        explorer.page.close()
        explorer.session.close()


@pytest.fixture(autouse=True)
def fresh(explorer):
    explorer.session.show(START)
    explorer.until(lambda: explorer.page.evaluate("() => toydiff.scene.panels.length === 1 && !toydiff.scene.title"))


# Drawing.


def drag(explorer, *places):
    """A stroke over the pad; places go from 0 to 1, from the upper left."""
    canvas = explorer.find("pad canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    explorer.page.mouse.move(*at[0])
    explorer.page.mouse.down()
    for place in at[1:]:
        explorer.page.mouse.move(*place, steps=5)
    explorer.page.mouse.up()


def test_the_first_stroke_after_a_press_has_its_class_and_thickness(explorer):
    explorer.press("draw-clear") if explorer.find("draw-clear").is_enabled() else None
    reason = explorer.page.locator("section.toydiff-draw .toydiff-reason")
    assert explorer.find("draw-explore").is_disabled()
    assert reason.inner_text() == "first a stroke of class A"
    assert explorer.find("draw-explore").get_attribute("aria-describedby") == reason.get_attribute("id")
    explorer.press("draw-pen-B")
    drag(explorer, (0.2, 0.2), (0.6, 0.2))
    assert explorer.find("draw-explore").is_disabled()
    explorer.press("draw-pen-A")
    explorer.find("draw-thickness").fill("0.2")
    drag(explorer, (0.2, 0.7), (0.8, 0.7))
    assert explorer.find("draw-pen-A").get_attribute("aria-pressed") == "true"
    assert explorer.find("draw-pen-B").get_attribute("aria-pressed") == "false"
    assert reason.count() == 0
    explorer.press("draw-explore")
    explorer.says("AB: ")
    strokes = explorer.session.state.distribution.strokes
    assert [(stroke.label, stroke.thickness) for stroke in strokes] == [("B", 0.1), ("A", 0.2)]
    name, content = explorer.download("draw-save")
    assert name == "drawing.json"
    explorer.press("draw-undo")
    explorer.press("draw-clear")
    assert explorer.find("draw-undo").is_disabled()
    explorer.chosen_file("draw-open", ("mine.json", content))
    explorer.until(lambda: explorer.find("draw-explore").is_enabled())
    assert explorer.download("draw-save")[1] == content
    explorer.press("draw-clear")
    explorer.chosen_file("draw-open", ("mine.json", content[:40]))
    explorer.says("the file is not JSON")
    explorer.find("draw-bundled").select_option("letters")
    explorer.until(lambda: explorer.find("draw-explore").is_enabled())
    assert explorer.find("draw-bundled").input_value() == ""


# Training.


def test_a_training_is_started_followed_and_stopped(explorer, tmp_path):
    status, bar = explorer.find("train-status"), explorer.find("train-bar")
    assert (
        not explorer.find("train-network").is_visible() or explorer.find("train-network").locator("option").count() > 1
    )
    assert [explorer.find(f"train-save-{which}").is_disabled() for which in ("main", "guide")] == [True, True]
    explorer.find("train-widths").fill("4, four")
    explorer.press("train-start")
    explorer.says("width is 'four'; it must be a whole number")
    assert not explorer.find("train-stop").is_visible()
    explorer.find("train-classes").select_option("A")
    explorer.find("train-widths").fill("4, 8")
    explorer.find("train-steps").fill("100000")
    explorer.press("train-start")
    explorer.until(lambda: explorer.find("train-losses path").count())
    assert explorer.page.locator(".toydiff-message").is_hidden()  # it is untrue by now
    assert explorer.find("train-start").is_disabled()
    assert "one training at a time" in explorer.page.locator("section.toydiff-train").inner_text()
    assert "of 100000, loss" in status.inner_text()
    assert 0 < float(bar.evaluate("bar => bar.value")) < 1
    for width in (4, 8):
        assert f"width {width}" in explorer.find("train-losses").text_content()
    explorer.press("train-stop")
    explorer.until(lambda: "stopped; " in status.inner_text())
    assert explorer.find("train-start").is_enabled()
    assert not bar.is_visible()
    family = explorer.session.state.main.family
    assert family in status.inner_text()
    assert re.fullmatch(r"A-8-\d+\.safetensors", explorer.download("train-save-main")[0])
    explorer.session.receive({"set": {"main": {"exact": True}}})
    explorer.until(lambda: explorer.find("train-save-main").is_disabled())
    assert "it is exact: no network" in explorer.page.locator("section.toydiff-train").inner_text()
    training = train(Recipe(widths=(4,), batch=64), 8, progress=False)
    save_model(tmp_path / "one.safetensors", training)
    explorer.chosen_file("train-load", ("one.safetensors", (tmp_path / "one.safetensors").read_bytes()))
    explorer.says("stands in the menus: A/4/8")


# Sweeps.


def sweep_of(folder, **grid):
    table = Sweep(100, ("branch_coverage", "<b>made up</b>"))
    values = {setting: setting.weight / 10 for setting in settings_of(grid)}
    table.rows.update({setting: dict.fromkeys(table.columns, value) for setting, value in values.items()})
    save_sweep(folder / "sweep.csv", table)
    return "sweep.csv", (folder / "sweep.csv").read_bytes()


def test_cells_of_a_sweep_are_pressed_by_mouse_and_by_keys(explorer, tmp_path):
    page, cells = explorer.page, explorer.find("sweep-cell")
    grid = {"method": ["cfg"], "weight": [2.0, 3.0, 4.0], "guide_width": [8, 16]}
    explorer.chosen_file("sweep-open", sweep_of(tmp_path, **grid))
    explorer.until(lambda: cells.count() == 6)
    assert cells.all_inner_texts() == [".2", ".3", ".4"] * 2
    assert (explorer.find("sweep-x").input_value(), explorer.find("sweep-y").input_value()) == ("weight", "guide_width")
    cells.nth(1).hover()
    words = explorer.find("sweep-about p").nth(1)
    assert "0.3 ± 0.3: method=cfg, weight=3" in words.inner_text()
    height = explorer.page.locator("section.toydiff-sweep").bounding_box()["height"]
    cells.nth(1).click()
    explorer.until(lambda: explorer.session.state.weight == 3)
    assert explorer.session.state.guide.width == 16
    assert cells.evaluate_all("cells => cells.filter(cell => cell.tabIndex === 0).length") == 1
    cells.nth(0).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    assert "weight=4" in words.inner_text()
    page.keyboard.press("Enter")
    explorer.until(lambda: explorer.session.state.weight == 4)
    assert explorer.session.state.guide.width == 8
    assert explorer.page.locator("section.toydiff-sweep").bounding_box()["height"] == height
    explorer.find("sweep-y").select_option("weight")  # the axes change places
    explorer.until(lambda: explorer.find("sweep-x").input_value() == "guide_width")
    assert cells.all_inner_texts() == [".4", ".4", ".3", ".3", ".2", ".2"]
    explorer.find("sweep-metric").select_option("<b>made up</b>")
    explorer.until(lambda: explorer.find("sweep-title").inner_text() == "<b>made up</b>")
    explorer.chosen_file("sweep-open", ("no.csv", b"weight,score\n1,2\n"))
    explorer.says("it is not a sweep")
    assert cells.count() == 6


@pytest.mark.parametrize(
    "grid",
    [
        {"weight": [i / 10 for i in range(28)], "seed": list(range(20))},
        {"weight": [i / 10 for i in range(90)]},
        {"method": ["cfg", "autoguidance", "mix", "sharpened"], "distribution": ["fractal_tree", "rings"]},
        {"weight": [i / 1000 for i in range(60)], "distribution": ["three_gaussians", "letters"]},
    ],
)
def test_large_sweeps_fit_into_the_drawer(explorer, tmp_path, grid):
    explorer.chosen_file("sweep-open", sweep_of(tmp_path, **grid))
    explorer.until(lambda: len(explorer.session.kept(OpenSweep).sweep.rows) == len(list(settings_of(grid))))
    settings = explorer.session.kept(OpenSweep).pivot.settings
    n = sum(map(bool, chain(*settings)))
    explorer.until(lambda: explorer.find("sweep-cell").count() == n)
    nothing_is_cut_off(explorer.page)
    explorer.find("sweep-cell").nth(n - 1).click()
    if "weight" in grid:  # else there are no such networks of the rings
        explorer.until(lambda: explorer.session.state.weight == pytest.approx(max(grid["weight"])))


# Taking along.


def test_text_pictures_and_a_lecture(explorer):
    area = explorer.find("keep-text")
    text = area.locator("xpath=self::textarea")
    explorer.press("keep-state")
    scene = json.loads(text.input_value())
    assert Scene.from_json(scene) == START
    scene["panels"][0] |= {"method": "cfg", "layers": ["outlines"]}
    text.fill(json.dumps(scene))
    explorer.press("keep-restore")
    explorer.until(lambda: explorer.session.state.method == "cfg")
    explorer.press("keep-python")
    explorer.until(lambda: text.input_value().startswith("from toydiff.explorer.drawing import draw"))
    explorer.find("keep-size").select_option("1920")
    name, content = explorer.download("keep-png")
    assert name == "toydiff-cfg.png"
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (1920, 1080)
    explorer.until(lambda: explorer.find("keep-pdf").is_enabled())
    explorer.find("keep-title").fill("<i>Who?</i>")
    explorer.find("keep-question").fill("Guess & see")
    explorer.find("keep-hidden summary").click()
    explorer.find("keep-hide-seed-box").check()
    assert "hide from the class: 1" in explorer.find("keep-hidden summary").inner_text()
    explorer.press("keep-preview")
    explorer.until(lambda: explorer.page.locator(".toydiff-scene-title h2").inner_text() == "<i>Who?</i>")
    explorer.press("keep-add")
    explorer.until(lambda: "<i>Who?</i>" in explorer.session.scenes)
    assert explorer.session.scenes["<i>Who?</i>"].hidden == ("seed-box",)
    name, content = explorer.download("keep-save")
    explorer.session.show(START)
    explorer.until(lambda: explorer.find("keep-title").input_value() == "")
    assert not explorer.find("keep-hide-seed-box").is_checked()
    explorer.chosen_file("keep-open", (name, content))
    explorer.until(lambda: explorer.find("keep-question").input_value() == "Guess & see")


def test_a_film_is_followed_and_stopped(explorer, monkeypatch):
    def slowly(kind, frames, fps):
        for _ in frames:
            time.sleep(0.1)

    monkeypatch.setattr("toydiff.explorer.actions.keep.film_bytes", slowly)
    assert not explorer.find("keep-stop").is_visible()
    explorer.press("keep-gif")
    explorer.until(lambda: float(explorer.find("keep-bar").evaluate("bar => bar.value")) > 0)
    assert [explorer.find(f"keep-{kind}").is_disabled() for kind in ("gif", "mp4", "png")] == [True, True, False]
    assert "one film at a time" in explorer.page.locator("section.toydiff-keep").inner_text()
    explorer.press("keep-stop")
    explorer.says("the film was stopped")
    explorer.until(lambda: explorer.find("keep-gif").is_enabled())
    assert not explorer.find("keep-bar").is_visible()


# All of them.

CUT_OFF = """() => [...document.querySelectorAll(".toydiff-drawer, .toydiff-drawer section *")].filter((one) =>
  one.clientWidth && one.tagName !== "TEXTAREA" && getComputedStyle(one).display !== "inline"
  && one.scrollWidth > one.clientWidth + 1).map((one) => one.outerHTML.slice(0, 200))"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll(".toydiff-drawer section *")].filter((one) =>
  one.clientWidth && one.textContent.trim()).map((one) => parseFloat(getComputedStyle(one).fontSize)))"""
UNNAMED = """() =>
  [...document.querySelectorAll(`.toydiff-drawer section :is(button, select, textarea, input:not([hidden]))`)]
  .filter((one) => !one.title
    || !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.[0]?.textContent))
  .map((one) => one.outerHTML.slice(0, 200))"""
WIDTHS = """() => [...document.querySelectorAll(".toydiff-drawer section")]
  .map((one) => one.getBoundingClientRect().width / parseFloat(getComputedStyle(one).fontSize))"""


def nothing_is_cut_off(page):
    assert page.evaluate(CUT_OFF) == []
    assert 0 < max(page.evaluate(WIDTHS)) <= 22.8


@pytest.mark.parametrize(
    ("width", "height", "font"), [(1024, 700, 13), (1280, 720, 14), (1920, 1080, 20), (390, 800, 14)]
)
def test_nothing_is_cut_off_too_small_or_without_a_name(explorer, width, height, font):
    explorer.page.set_viewport_size({"width": width, "height": height})
    explorer.until(lambda: True)
    nothing_is_cut_off(explorer.page)
    assert explorer.page.evaluate(SMALLEST) >= font
    assert explorer.page.evaluate(UNNAMED) == []
    explorer.page.set_viewport_size({"width": 1280, "height": 720})
