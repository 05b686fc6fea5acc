"""The drawing pad in a real headless Chromium, alone in a page, with a model made up."""

import io

import numpy as np
import pytest
from PIL import Image

from toydiff.explorer.pad import Pad

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

MODEL = """traits => {
    const heard = {};
    window.model = {
        traits, sent: [], saved: [],
        get: name => traits[name],
        set: (name, value) => { traits[name] = value; for (const f of heard["change:" + name] ?? []) f(); },
        on: (name, f) => (heard[name] ??= new Set()).add(f),
        off: (name, f) => heard[name].delete(f),
        save_changes: () => model.saved.push(JSON.parse(JSON.stringify(traits))),
        send: message => model.sent.push(JSON.parse(JSON.stringify(message))),
        listeners: () => Object.values(heard).reduce((sum, set) => sum + set.size, 0),
    };
    window.stop = render({ model, el: document.getElementById("widget") });
}"""


class Shown:
    """A widget in a blank page; `traits` of the Python class and then those given."""

    def __init__(self, page, widget, width=330, **traits):
        self.page, self.errors = page, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto("about:blank")  # a document of its own: in one written anew Chromium captures no pointer
        page.set_content(f"<style>{widget._css}</style><div id='widget' style='width: {width}px'></div>")
        script = str(widget._esm).replace("export default { render };", "window.render = render;")
        assert "export" not in script
        page.add_script_tag(type="module", content=script)
        page.wait_for_function("() => typeof render === 'function'")
        own = {name: trait.default() for name, trait in widget.class_traits(sync=True).items() if name in vars(widget)}
        page.evaluate(MODEL, own | traits)
        self.rest()

    def rest(self):
        """Two frames: what was to be sent or drawn has been."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert not self.errors

    def set(self, name, value):
        self.page.evaluate("([name, value]) => model.set(name, value)", [name, value])
        self.rest()

    def get(self, what):
        return self.page.evaluate(f"() => model.{what}")

    def drag(self, *way, steps=8, release=True):
        """Down at the first place, on through the others, and up: in pixels of the page."""
        self.page.mouse.move(*way[0])
        self.page.mouse.down()
        for place in way[1:]:
            self.page.mouse.move(*place, steps=steps)
        if release:
            self.page.mouse.up()
        self.rest()

    def painted(self, *place):
        """The colour at a place of the page."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return picture.getpixel(tuple(round(p) for p in place))


@pytest.fixture(scope="module")
def pages(browser):
    """One page for all tests, and one on a screen with twice as many pixels."""
    size = {"width": 700, "height": 500}
    pages = {dense: browser.new_page(viewport=size, device_scale_factor=dense) for dense in (1, 2)}
    yield pages
    for page in pages.values():
        page.close()


@pytest.fixture
def show(pages):
    return lambda widget, dense=1, **more: Shown(pages[dense], widget, **more)


# The pad.


def on_pad(pad, x, y):
    """A place on the pad, from -1 to 1 each, in pixels of the page."""
    box = pad.page.locator(".toydiff-pad canvas").bounding_box()
    return box["x"] + box["width"] * (1 + x) / 2, box["y"] + box["height"] * (1 - y) / 2


def is_orange(colour):
    return colour[0] > 220 and colour[0] - colour[2] > 80


def is_grey(colour):
    return max(colour) < 200 and max(colour) - min(colour) < 8


def test_a_stroke_is_synced_once_when_it_is_finished(show):
    pad = show(Pad, thickness=0.2)
    hint = pad.page.locator(".toydiff-pad-hint")
    assert hint.is_visible()
    pad.drag(on_pad(pad, -0.5, 0.5), on_pad(pad, 0.5, 0.5), on_pad(pad, 0.5, -0.5), release=False)
    assert not pad.get("saved")
    assert is_orange(pad.painted(*on_pad(pad, 0.05, 0.55)))  # drawn all the same
    assert hint.is_hidden()
    pad.page.mouse.up()
    ((stroke,),) = (saved["strokes"] for saved in pad.get("saved"))
    points = np.array(stroke["points"])
    assert (stroke["class"], stroke["thickness"]) == ("A", 0.2)
    assert len(points) == 17
    assert points[[0, 8, 16]] == pytest.approx(np.array([[-0.5, 0.5], [0.5, 0.5], [0.5, -0.5]]), abs=0.01)
    assert is_orange(pad.painted(*on_pad(pad, 0.08 + 0.5, 0.05)))  # as thick as it says, and no thicker
    assert pad.painted(*on_pad(pad, 0.12 + 0.5, 0.05)) == (255, 255, 255)


def test_a_click_makes_a_dot_of_the_pen_s_class(show):
    pad = show(Pad, pen="B", thickness=0.3)
    pad.page.mouse.click(*on_pad(pad, 0.4, -0.3))
    (stroke,) = pad.get("traits.strokes")
    assert stroke["class"] == "B"
    assert np.array(stroke["points"]) == pytest.approx(np.array([[0.4, -0.3]]), abs=0.01)
    pad.page.mouse.move(5, 490)
    assert is_grey(pad.painted(*on_pad(pad, 0.5, -0.3)))
    assert pad.painted(*on_pad(pad, 0.6, -0.3)) == (255, 255, 255)


def test_points_outside_are_clamped_and_near_ones_dropped(show):
    pad = show(Pad, width=600)
    pad.drag(on_pad(pad, 0, 0.9), on_pad(pad, 0.5, 1.1), (690, 2))
    points = np.array(pad.get("traits.strokes")[0]["points"])
    assert np.abs(points).max() == 1
    assert tuple(points[-1]) == (1, 1)
    x, y = on_pad(pad, -0.5, -0.5)
    pad.drag((x, y), (x + 20, y), steps=50)  # of 0.4 pixels, 0.0017 of the pad
    points = np.array(pad.get("traits.strokes")[1]["points"])
    apart = np.hypot(*np.diff(points, axis=0).T)
    assert apart[:-1].min() >= 0.004 - 1e-4  # rounded to four digits
    assert len(points) <= 22
    assert points[-1] - points[0] == pytest.approx([2 * 20 / 480, 0], abs=0.001)  # 30 em of 16 pixels are the most


def test_control_z_takes_back_the_last_stroke_only(show):
    pad = show(Pad)
    for x in (-0.5, 0, 0.5):
        pad.page.mouse.click(*on_pad(pad, x, 0))
    assert pad.page.evaluate("() => document.activeElement.matches('.toydiff-pad canvas')")
    for key in ("Delete", "z", "Control+z"):
        pad.page.keyboard.press(key)
    assert [round(s["points"][0][0], 1) for s in pad.get("traits.strokes")] == [-0.5, 0]
    for _ in range(3):
        pad.page.keyboard.press("Control+z")
    assert pad.get("traits.strokes") == []
    assert len(pad.get("saved")) == 6  # the last press had nothing to take back


def test_strokes_from_outside_are_shown_and_overlaps_seen(show):
    pad = show(Pad, dense=2)
    line = {"class": "A", "thickness": 0.3, "points": [[-0.8, 0], [0.8, 0]]}
    pad.set("strokes", [line, {"class": "B", "thickness": 0.3, "points": [[0, -0.8], [0, 0.8]]}])
    canvas = pad.page.locator("canvas")
    assert canvas.evaluate("c => c.width") == 2 * canvas.evaluate("c => c.clientWidth")
    one, other, both = (
        pad.painted(*(2 * c for c in on_pad(pad, *place))) for place in ((0.5, 0.03), (0.03, 0.5), (0.03, 0.03))
    )
    assert is_orange(one)
    assert is_grey(other)
    assert both not in (one, other)
    pad.set("strokes", [])
    assert pad.painted(*(2 * c for c in on_pad(pad, 0.5, 0.03))) == (255, 255, 255)
    assert not pad.get("saved")


def test_a_cancelled_stroke_keeps_what_was_drawn(show):
    pad = show(Pad)
    pad.drag(on_pad(pad, -0.5, 0), on_pad(pad, 0.5, 0), release=False)
    cancel = "c => c.dispatchEvent(new PointerEvent('pointercancel', {pointerId: 1, clientX: 0, clientY: 0}))"
    pad.page.locator("canvas").evaluate(cancel)
    (stroke,) = pad.get("traits.strokes")
    assert stroke["points"][-1] == pytest.approx([0.5, 0], abs=0.01)


def test_a_widget_that_goes_hears_no_more(show):
    for widget in (Pad,):
        shown = show(widget)
        assert shown.get("listeners()") > 0
        shown.page.evaluate("() => stop()")
        assert shown.get("listeners()") == 0
