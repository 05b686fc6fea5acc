"""The front end in the app page, in a real headless Chromium: before a class, with the probe, and on a phone."""

import re

import numpy as np
import pytest
from browser import LECTURE, SEVERAL, SHARE, SMALLEST
from matplotlib.colors import to_rgb

from toydiff.explorer.layers import PROBE_COLOURS
from toydiff.explorer.probe import probe

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.mark.parametrize("panels", [1, 2])
def test_a_lecture_is_given_and_left(explorer, panels):
    """Hidden parts give their space to the pictures; Esc always leads back."""
    explorer.set(*SEVERAL[panels], **LECTURE)
    small = explorer.get(SHARE)
    for level, visible in [("weight only", False), ("guidance", panels == 1), ("all controls", panels == 1)]:
        explorer.choose("present", level)
        explorer.frames(5)
        assert explorer.get(SHARE) > small, level
        assert explorer.find("weight").first.is_visible()
        assert explorer.find("guide").first.is_visible() == visible
        for name in ("bar", "more", "scene", "drawer"):
            assert explorer.find(name).is_hidden(), name
        heading = explorer.find("scene-title").locator("h2")
        assert heading.evaluate("(one) => parseFloat(getComputedStyle(one).fontSize)") >= 25.9
        explorer.page.keyboard.press("Escape")
        explorer.frames(5)
        assert explorer.get(SHARE) == small
        assert explorer.find("more").is_visible()
        assert explorer.find("guide").first.is_visible() == (panels == 1)
    explorer.choose("present", "weight only")
    explorer.find("leave").click()
    explorer.find("more").wait_for()


def test_arrow_keys_go_through_prepared_views(explorer):
    views = [f"{name} {explorer.get('performance.now()')}" for name in ("first", "second")]
    for view in views:
        values = {"title": view, "question": "why?", "hidden": ["numbers"]}
        explorer.page.evaluate("(values) => toydiff.store.act('add-view', values)", values)
        explorer.until("toydiff.store.named === arg", view)
    explorer.choose("scene", views[0])
    explorer.until("toydiff.scene.title === arg", views[0])
    explorer.choose("present", "weight only")
    explorer.get("document.activeElement.blur()")
    for key, view in [("ArrowRight", 1), ("ArrowLeft", 0), ("PageDown", 1), ("PageUp", 0)]:
        explorer.page.keyboard.press(key)
        explorer.until("toydiff.scene.title === arg", views[view])
        explorer.frames()
        assert explorer.find("scene-title").inner_text().split("\n")[0] == views[view]
    explorer.page.keyboard.press("Escape")
    explorer.frames(5)
    assert explorer.find("numbers").first.is_hidden()  # as the author has hidden them
    explorer.page.keyboard.press("Escape")
    explorer.frames(5)
    assert explorer.find("numbers").first.is_visible()  # the author is never locked out
    explorer.page.keyboard.press("Escape")
    explorer.frames(5)
    assert explorer.find("numbers").first.is_hidden()


def test_the_legend_has_one_row_and_each_colour_once(explorer):
    rows = """[...document.querySelectorAll(".toydiff-legend-item")].filter((one) => one.checkVisibility())
        .map((one) => [one.getBoundingClientRect().top, one.firstChild.style.background, one.textContent])"""
    for scene in explorer.get("toydiff.store.scenes"):
        explorer.choose("scene", scene)
        explorer.until("toydiff.store.named === arg", scene)
        for width, height in [(1280, 720), (1920, 1080)]:
            explorer.resize(width, height)
            tops, colours, words = zip(*explorer.get(rows), strict=True) if explorer.get(rows) else ([], [], [])
            assert len(set(tops)) == 1 or explorer.get("toydiff.scene.panels.length") > 1, (scene, words)
            assert len(set(colours)) == len(colours), (scene, words)


def test_on_a_phone_the_picture_is_on_the_first_screen(browser, app):
    with app.tab(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as explorer:
        for panels in (1, 2):
            explorer.set(*SEVERAL[panels])
            explorer.frames(5)
            box = explorer.picture().bounding_box()
            assert box["width"] == 390
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 844
            for name in ("weight", "step"):
                assert explorer.find(name).first.bounding_box()["width"] > 90
            assert explorer.get(SMALLEST) >= 14
            assert explorer.get("document.documentElement.scrollWidth") == 390
        second = explorer.picture(1)
        assert second.bounding_box()["x"] >= 390  # a swipe away
        second.evaluate("(one) => one.scrollIntoView()")
        explorer.frames()
        assert second.bounding_box()["x"] < 30


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1280, 720), (1920, 1080)])
def test_the_probe_stays_under_the_pointer(explorer, width, height):
    """Also from the last row of pixels, and outside of the picture at its edge; its arrows can be seen, and read."""
    explorer.resize(width, height)
    explorer.slide("step", 0.9, 0.6)
    dark = explorer.pixels()
    explorer.find("probing").click()
    explorer.rest()
    box = explorer.picture().bounding_box()
    side = box["width"]
    view = explorer.state()["view"]

    def at():
        """In pixels of the picture, from its upper left."""
        x, y = explorer.state()["probe"]
        scale = side / (2 * view["half_width"])
        return (x - view["x"]) * scale + side / 2, side / 2 - (y - view["y"]) * scale

    explorer.mouse.move(box["x"] + side / 2, box["y"] + side / 2)
    explorer.mouse.down()
    for x, y in [(0.3 * side, 0.35 * side), (side - 1, side - 1), (0.62 * side, 0.4 * side)]:
        explorer.mouse.move(box["x"] + x, box["y"] + y, steps=3)
        explorer.frames()
        assert at() == pytest.approx((x, y), abs=1.5)
    explorer.mouse.move(box["x"] + 2 * side, box["y"] + 0.5 * side)
    explorer.frames()
    assert at() == pytest.approx((side, 0.5 * side), abs=1.5)
    explorer.mouse.move(box["x"] + 0.62 * side, box["y"] + 0.4 * side, steps=3)
    explorer.mouse.up()
    explorer.rest()
    explorer.set()  # until it is true
    explorer.frames()
    picture = explorer.pixels()
    centre = picture[round(0.4 * side), round(0.62 * side)]
    assert (centre > 250).all()  # the disc, under the pointer
    seen = probe(explorer.session.state)
    turned = {name: np.degrees(np.arctan2(*arrow.step)) for name, arrow in seen.arrows.items()}
    for i, (name, arrow) in enumerate(seen.arrows.items()):
        row = explorer.find("probe").get_by_role("row", name=re.compile(rf"^{name}\b"))
        assert f"{arrow.length:.3g}" in row.inner_text()
        above = [(turned[name] - turned[other] + 180) % 360 - 180 for other in [*seen.arrows][i + 1 :]]
        if any(abs(angle) < 20 for angle in above):
            continue  # another arrow lies on it
        colour = np.array(to_rgb(PROBE_COLOURS[name])) * 255
        ys, xs = np.nonzero((np.abs(picture - colour) < 3).all(-1) & (np.abs(dark - colour) > 3).any(-1))
        assert np.hypot(xs - 0.62 * side, ys - 0.4 * side).max() >= 40, name
    table = explorer.find("probe").inner_text()
    assert f"{seen.best_weight:.2f}" in table
