"""The front end in the app page, in a real headless Chromium: what each control brings, and that nothing is untrue."""

import re
import threading

import numpy as np
import pytest
from browser import CFG, SEVERAL

from toydiff import METHODS
from toydiff.explorer.painter import Painter
from toydiff.explorer.state import ModelChoice, default_guide_networks

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

EXACT = {"width": 64, "steps": 4096, "exact": True, "family": "bundled"}
HEARD = "!toydiff.store.waiting && !toydiff.store.lazy && toydiff.store.heard >= toydiff.store.n"
DIMMED = "[...document.querySelectorAll('.toydiff-{}')].some((one) => one.classList.contains('toydiff-stale'))"


@pytest.fixture
def held(monkeypatch):
    """While it is set, Python computes."""
    free = threading.Event()
    free.set()
    move, rest = Painter.move, Painter.rest
    monkeypatch.setattr(Painter, "move", lambda painter: (free.wait(60), move(painter)))
    monkeypatch.setattr(Painter, "rest", lambda painter: (free.wait(60), (yield from rest(painter))))
    yield free
    free.set()


def test_a_method_brings_its_weight_guide_and_interval(explorer, monkeypatch):
    """Also from no guidance, and with nothing computed."""
    monkeypatch.setattr(Painter, "move", lambda painter: None)
    monkeypatch.setattr(Painter, "rest", lambda painter: iter(()))
    for name, row in METHODS.items():
        explorer.choose("method", METHODS["unguided"].short)
        explorer.until(f"toydiff.scene.panels[0].method === 'unguided' && {HEARD}")
        explorer.choose("method", row.short)
        explorer.until(f"toydiff.scene.panels[0].method === arg && {HEARD}", name)
        explorer.frames()
        state = explorer.session.state
        assert (state.method, state.weight, state.interval) == (name, row.weight, row.interval)
        guides = default_guide_networks(name, "fractal_tree")
        assert not guides or state.guide == ModelChoice.named(guides[0])
        box = explorer.find("weight-box")
        assert box.input_value() == f"{row.weight:g}"
        assert box.is_enabled() == row.is_guided
        slider = explorer.find("weight")
        assert float(slider.input_value()) / float(slider.get_attribute("max")) == pytest.approx(
            min(row.weight, 6) / 6, abs=0.01
        )


@pytest.mark.parametrize(("name", "label"), [("distribution", "letters"), ("classes", "class B")])
def test_an_old_picture_is_dimmed_until_the_new_one_is_there(explorer, held, name, label):
    before = explorer.points()
    held.clear()
    explorer.choose(name, label)
    explorer.until(DIMMED.format("frame"))
    computing = explorer.find("computing")
    assert computing.is_visible()
    assert computing.inner_text() == "computing …"
    assert explorer.get(DIMMED.format("numbers"))
    np.testing.assert_array_equal(explorer.points(), before)
    held.set()
    explorer.until(f"!{DIMMED.format('frame')}")
    assert computing.is_hidden()
    assert np.abs(explorer.points()[:100] - before[:100]).max() > 0.1
    explorer.rest()
    assert not explorer.get(DIMMED.format("numbers"))


def test_numbers_are_dimmed_only_when_they_may_change(explorer, held):
    """Not for the noise level, the view or a layer."""
    explorer.find("more").click()
    held.clear()
    explorer.page.evaluate("""() => {
        window.dimmed = 0;
        const look = () => {
            dimmed += Boolean(document.querySelector(".toydiff-stale"));
            requestAnimationFrame(look);
        };
        look();
    }""")
    explorer.slide("step", 0.9, 0.5)
    explorer.mouse.move(*explorer.place(explorer.picture(), 0.5, 0.5))
    explorer.mouse.wheel(0, 100)
    explorer.find("layer-trajectories").check()
    explorer.find("layer-arrows_main").check()
    explorer.until(HEARD + " || performance.now() - toydiff.store.sentAt > 500")
    explorer.frames(20)
    assert explorer.get("dimmed") == 0
    explorer.slide("weight", 0.5, 0.6)
    explorer.until("dimmed > 0")
    assert explorer.get(DIMMED.format("numbers"))
    assert not explorer.get(DIMMED.format("frame"))  # the picture follows the hand
    held.set()
    explorer.rest()
    explorer.frames()
    assert not explorer.get("Boolean(document.querySelector('.toydiff-stale'))")


def test_a_message_goes_with_the_next_change(explorer):
    for text in ("nan", "many", "", "-1", "1e9"):
        explorer.type("weight-box", text)
        explorer.says("weight is")
        assert explorer.page.get_by_role("alert").count() == 1
        explorer.until("toydiff.scene.panels[0].weight === 3")
        explorer.frames()
        assert explorer.find("weight-box").input_value() == "3"
        explorer.slide("step", 0.9, 0.8)
        explorer.until("document.querySelector('.toydiff-message').hidden")
    explorer.type("weight-box", "2,25")  # a comma is a point
    explorer.until("toydiff.scene.panels[0].weight === 2.25")
    assert explorer.get("document.images.length") == 0  # no icon of a broken one


def reason_of(explorer, name):
    """What stands beside a control that is switched off."""
    control = explorer.find(name).first
    assert control.is_disabled()
    note = explorer.page.locator(f"#{control.get_attribute('aria-describedby')}")
    assert note.is_visible()
    return note.inner_text()


def test_a_control_without_effect_says_why(explorer):
    explorer.set({"main": EXACT, "guide": EXACT, "points": 128})  # exact scores take long
    explorer.find("more").click()
    explorer.page.locator(".toydiff-drawer details.toydiff-networks summary").click()
    assert reason_of(explorer, "weight") == "main and guide are the same exact density: train networks"
    assert explorer.find("weight-box").is_disabled()
    for name in ("main-width", "main-steps", "guide-family"):
        assert reason_of(explorer, name) == "an exact score has no size"
    explorer.set({"method": "unguided"})
    assert reason_of(explorer, "weight") == "nothing to weigh without guidance: choose a method"
    assert reason_of(explorer, "layer-density_guide") == "this method has no guide"
    explorer.set({"method": "unguided"}, CFG)
    assert reason_of(explorer, "weight") == "nothing to weigh without guidance: choose a method"
    explorer.set({"method": "autoguidance", "weight": 3, "layers": ["arrows_main"]})
    explorer.frames()
    remark = explorer.find("drawer").locator(".toydiff-remark")
    assert remark.inner_text() == "nothing to see at σ = 0: drag the noise"
    explorer.slide("step", 0.9, 0.5)
    remark.wait_for(state="detached")


def test_arrows_bring_their_noise(explorer):
    explorer.find("more").click()
    explorer.find("layer-arrows_guided").check()
    explorer.until("toydiff.scene.panels[0].sigma > 0")
    explorer.rest()
    explorer.frames()
    assert explorer.session.state.sigma > 0
    assert explorer.find("sigma").inner_text() == f"σ = {explorer.session.state.sigma:.3g}"


def test_pictures_are_compared_chosen_and_closed(explorer):
    for panels in (2, 3, 4):
        explorer.rest()
        first = explorer.points(0)
        explorer.get(
            "(document.querySelector('.toydiff-compare').click(), window.copy = toydiff.points(arg), 0)", panels - 1
        )
        np.testing.assert_array_equal(np.reshape(explorer.get("[...copy]"), (-1, 2)), first)  # at once
        explorer.until("document.querySelectorAll('.toydiff-picture').length === arg", panels)
        explorer.until(f"toydiff.scene.active === arg && {HEARD}", panels - 1)
    assert explorer.find("compare").is_disabled()
    assert explorer.find("compare").inner_text() == "4 is the most"
    explorer.choose("method", "CFG", panel=3)
    explorer.rest()
    assert [state.method for state in explorer.session.scene.panels] == [*["autoguidance"] * 3, "cfg"]
    np.testing.assert_array_equal(explorer.points(1), explorer.points(0))
    assert np.abs(explorer.points(3) - explorer.points(0)).max() > 0.1
    explorer.slide("weight", 0.5, 0.2, panel=1)
    explorer.until("toydiff.scene.active === 1")
    weight = explorer.state(1)["weight"]
    assert weight < 2
    explorer.find("close").nth(0).click()
    explorer.until("document.querySelectorAll('.toydiff-picture').length === 3")
    explorer.rest()
    assert [state.weight for state in explorer.session.scene.panels] == pytest.approx([weight, 3, 4])
    assert explorer.session.scene.active == 0
    captions = explorer.find("below").locator("caption").all_inner_texts()
    assert [text.split(",")[0] for text in captions] == ["1 Autoguidance", "2 Autoguidance", "3 CFG"]
    explorer.picture(2).focus()
    explorer.mouse.move(*explorer.place(explorer.picture(2), 0.5, 0.5))
    explorer.mouse.wheel(0, -200)
    explorer.until(HEARD)
    assert len({str(explorer.state(panel)["view"]) for panel in range(3)}) == 1  # what is linked follows


def test_of_several_pictures_the_drawer_guides_the_active_one(explorer):
    explorer.set({"method": "autoguidance"}, {"method": "autoguidance"})
    explorer.find("more").click()
    rows = explorer.find("drawer").locator(".toydiff-guidance-more")
    before = explorer.state(0)["guide"]
    for panel in (1, 0):
        explorer.picture(panel).click(position={"x": 5, "y": 5})
        explorer.until("toydiff.scene.active === arg", panel)
        explorer.frames()
        assert rows.count() == 1
        rows.locator("input.toydiff-guide").press("Home")
        explorer.until(HEARD)
        assert [explorer.state(i)["guide"] != before for i in range(2)] == [panel == 0, True]


def test_the_best_number_is_bold(explorer):
    explorer.set(*SEVERAL[4])
    explorer.frames()
    better = {name: row["better"] for name, row in explorer.get("toydiff.store.about.metrics").items()}
    rows = [explorer.get("toydiff.store.pictures[arg].numbers.rows", panel) for panel in range(4)]
    tables = explorer.find("below").locator("table")
    for k, name in enumerate(better):
        sign = {"lower": -1, "higher": 1}.get(better[name])
        worth = [sign * row[name]["value"] if sign else -abs(row[name]["value"] - row[name]["exact"]) for row in rows]
        cells = [tables.nth(panel).locator("tbody tr").nth(k).locator("td").first for panel in range(4)]
        bold = [int(cell.evaluate("(one) => getComputedStyle(one).fontWeight")) >= 700 for cell in cells]
        assert bold == [worth.count(max(worth)) == 1 and one == max(worth) for one in worth], name


def test_a_sample_is_ringed_in_all_pictures(explorer):
    explorer.set(*SEVERAL[2])
    before = [explorer.pixels(panel) for panel in (0, 1)]
    explorer.get("toydiff.store.on('ring', (i) => { window.ringed = i; }) && 0")
    points = [explorer.points(panel) for panel in (0, 1)]
    view = explorer.state()["view"]
    here = (points[0] - [view["x"], view["y"]]) / (2 * view["half_width"]) * [1, -1] + 0.5
    chosen = next(i for i in range(100) if (np.abs(here[i] - 0.5) < 0.4).all())
    explorer.mouse.move(*explorer.place(explorer.picture(0), *here[chosen]))
    explorer.frames()
    ringed = explorer.get("ringed")
    side = explorer.picture().bounding_box()["width"]
    assert np.hypot(*(here[ringed] - here[chosen])) * side < 1.5
    for panel in (0, 1):
        at = (points[panel][ringed] - [view["x"], view["y"]]) / (2 * view["half_width"]) * [1, -1] + 0.5
        changed = np.abs(explorer.pixels(panel) - before[panel]).max(-1) > 60
        x, y = np.rint(at * side).astype(int)
        assert changed[max(0, y - 12) : y + 13, max(0, x - 12) : x + 13].sum() > 40, panel
    explorer.mouse.move(5, 5)
    explorer.until("ringed === null")
    explorer.frames()
    np.testing.assert_array_equal(explorer.pixels(0), before[0])


@pytest.mark.parametrize("panels", [3, 4])
def test_a_click_enlarges_one_and_another_brings_all_back(explorer, panels):
    explorer.set(*SEVERAL[panels])
    small = explorer.picture(1).bounding_box()["width"]
    for back in (lambda: explorer.picture(0).click(), lambda: explorer.page.keyboard.press("Escape")):
        explorer.picture(1).click()
        explorer.until("document.querySelectorAll('.toydiff-picture').length === 1")
        explorer.frames()
        assert explorer.picture(0).bounding_box()["width"] > 1.4 * small
        assert explorer.find("method").input_value() == "cfg"
        assert explorer.find("numbers").first.is_visible()
        explorer.slide("weight", 0.5, 0.6)
        assert explorer.state(1)["weight"] != 4
        assert explorer.state(0)["weight"] == 3
        back()
        explorer.until("document.querySelectorAll('.toydiff-picture').length === arg", panels)
        explorer.frames()
        assert explorer.picture(1).bounding_box()["width"] == small


def test_changes_are_taken_back_and_brought_again(explorer):
    explorer.until("performance.now() - toydiff.store.changedAt > 1000")  # what follows sooner is one change
    explorer.slide("weight", 0.5, 0.3)
    weight = explorer.state()["weight"]
    explorer.choose("method", "CFG")
    explorer.until(f"toydiff.scene.panels[0].method === 'cfg' && {HEARD}")
    explorer.page.keyboard.press("Control+z")
    explorer.until("toydiff.scene.panels[0].method === 'autoguidance'")
    assert explorer.state()["weight"] == weight
    explorer.page.keyboard.press("Control+z")
    explorer.until("toydiff.scene.panels[0].weight === 3")
    explorer.page.keyboard.press("Control+Shift+z")
    explorer.until("toydiff.scene.panels[0].weight === arg", weight)
    explorer.find("more").click()
    explorer.page.locator(".toydiff-drawer details.toydiff-run summary").click()
    explorer.find("redo").click()
    explorer.until("toydiff.scene.panels[0].method === 'cfg'")
    explorer.find("undo").click()
    explorer.until(f"toydiff.scene.panels[0].weight === arg && {HEARD}", weight)
    assert explorer.session.state.weight == pytest.approx(weight)
    assert explorer.session.state.method == "autoguidance"


def test_the_scene_menu_shows_what_it_names(explorer):
    for name in ("Fig. 1c: CFG", "CFG and autoguidance", "Fig. 2: trajectories"):
        explorer.choose("scene", name)
        explorer.until(f"toydiff.store.named === arg && {HEARD}", name)
        explorer.rest()
        assert explorer.session.scene == explorer.session.scenes[name]
        assert explorer.find("scene").evaluate("(one) => one.value") == name
    explorer.slide("weight", 0.5, 0.3)
    explorer.until("toydiff.store.named === ''")
    explorer.frames()
    assert re.fullmatch(r"scene …", explorer.find("scene").evaluate("(one) => one.selectedOptions[0].text"))
