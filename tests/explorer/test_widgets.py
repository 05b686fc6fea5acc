"""The drawing pad and the weight curve in a real headless Chromium, each alone in a page, with a model made up."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from toydiff.explorer.jupyter.curve_editor import WeightEditor
from toydiff.explorer.jupyter.pad import Pad
from toydiff.sampling.schedules import KNOTS

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


# The weight curve.

CURVE = ".toydiff-weightcurve"


def on_curve(curve, i, weight=None):
    """Where the knot i stands, or stood at another weight on the axis from 0 to 8."""
    places = curve.page.locator(f"{CURVE}-grid").evaluate_all("ls => ls.map(l => l.getBoundingClientRect().y)")
    box = curve.page.locator(f"[data-knot='{i}']").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return x, y if weight is None else places[0] + (places[4] - places[0]) * weight / 8


def edge_at(curve, i):
    """A place 5 pixels beside an edge, 0 for hi and 1 for lo, where it can be taken."""
    svg = curve.page.locator(CURVE).bounding_box()
    line = curve.page.locator(f"{CURVE}-edge").nth(i).get_attribute("d")
    return svg["x"] + float(line[1:].split()[0]) + (5 if i else -5), svg["y"] + 60


def last(curve, what):
    """The last message, which must be about that alone."""
    message = curve.get("sent").pop()
    assert list(message) == [what]
    return message[what]


def weights(at_others, **changed):
    return [changed.get(f"w{i}", at_others) for i in range(len(KNOTS))]


def test_dragging_a_knot_changes_its_weight_and_shift_those_beside_it(show):
    curve = show(WeightEditor, weights=[3.0] * 13)
    x, y = on_curve(curve, 5)
    curve.drag((x + 3, y + 2), (x + 3, on_curve(curve, 5, 6)[1] + 2))  # held beside its middle, it does not jump
    assert last(curve, "weights") == pytest.approx(weights(3, w5=6), abs=0.05)
    assert curve.get("traits.weights") == [3] * 13  # Python decides
    assert on_curve(curve, 5) == pytest.approx(on_curve(curve, 5, 6), abs=1)  # but it is drawn at once
    curve.page.wait_for_timeout(1100)
    assert on_curve(curve, 5) == pytest.approx(on_curve(curve, 5, 3), abs=1)  # Python did not grant it
    curve.page.keyboard.down("Shift")
    curve.drag(on_curve(curve, 6), on_curve(curve, 6, 6))
    sent = last(curve, "weights")
    assert sent == sent[::-1]
    assert 6.05 > sent[6] > sent[7] > sent[8] > 3.2
    assert sent[0] == 3
    curve.page.keyboard.up("Shift")
    curve.drag(on_curve(curve, 6), (on_curve(curve, 6)[0], 0))
    sent = last(curve, "weights")
    assert sent[6] > 8  # above the axis too, which waits for Python
    assert [round(20 * w) / 20 for w in sent] == sent


def test_messages_come_once_per_frame_and_an_echo_does_not_pull_the_knot_back(show):
    curve = show(WeightEditor, weights=[3.0] * 13)
    x, y = on_curve(curve, 5)
    curve.drag((x, y), (x, y - 30), release=False)
    before = len(curve.get("sent"))
    moves = """([x, y]) => { for (let i = 0; i < 20; i++) document.querySelector('.toydiff-weightcurve').dispatchEvent(
        new PointerEvent('pointermove', {pointerId: 1, clientX: x, clientY: y - 30 - i, bubbles: true})); }"""
    curve.page.evaluate(moves, [x, y])
    curve.rest()
    assert len(curve.get("sent")) == before + 1
    curve.set("weights", weights(3.0, w5=3.5))
    assert on_curve(curve, 5) == pytest.approx((x, y - 49), abs=1)
    curve.page.mouse.up()
    granted = last(curve, "weights")
    curve.set("weights", weights(3.0, w5=3.6))  # an echo that comes late
    assert on_curve(curve, 5) == pytest.approx((x, y - 49), abs=1)
    curve.set("weights", granted)
    curve.set("weights", [2.0] * 13)  # granted: from here Python's are shown at once
    assert on_curve(curve, 5) == pytest.approx(on_curve(curve, 5, 2), abs=1)


def test_one_stroke_paints_the_whole_curve(show):
    curve = show(WeightEditor, weights=[3.0] * 13)
    begin, end = on_curve(curve, 12, 7), on_curve(curve, 0, 1)
    curve.drag((begin[0] + 2, begin[1]), end, steps=3)  # fast: most knots are passed between two events
    assert last(curve, "weights") == pytest.approx(np.linspace(1, 7, 13), abs=0.2)
    curve.set("weights", last(curve, "weights"))
    curve.drag(on_curve(curve, 3, 6), on_curve(curve, 6, 6))
    sent = last(curve, "weights")
    assert sent[3:7] == pytest.approx([6] * 4, abs=0.1)
    assert sent[8:] == curve.get("traits.weights")[8:]
    assert sent[:2] == curve.get("traits.weights")[:2]
    curve.set("weights", sent)
    curve.drag(on_curve(curve, 9), on_curve(curve, 3, sent[9]))  # from a knot on sideways is a stroke too
    assert last(curve, "weights")[3:10] == pytest.approx([sent[9]] * 7, abs=0.1)


def test_edges_move_and_have_no_bound_at_the_ends(show):
    curve = show(WeightEditor, weights=[3.0] * 13, interval=[0.0, 10000.0])
    hi, lo = edge_at(curve, 0), edge_at(curve, 1)
    curve.drag(hi, (on_curve(curve, 9)[0] - 5, hi[1]))
    assert last(curve, "interval") == [0, pytest.approx(KNOTS[9], rel=0.05)]
    curve.set("interval", last(curve, "interval"))
    curve.drag(lo, (on_curve(curve, 4)[0] + 5, lo[1]))
    assert last(curve, "interval") == pytest.approx([KNOTS[4], KNOTS[9]], rel=0.05)
    curve.set("interval", last(curve, "interval"))
    drawn = curve.page.locator(f"{CURVE}-curve").get_attribute("d")
    assert drawn.count("M") == 1
    assert drawn.count("L") >= 7  # flat at 1, up, along the knots, down, flat at 1
    curve.drag(edge_at(curve, 1), (on_curve(curve, 12)[0], lo[1]))
    assert curve.get("sent")[-1]["interval"] == [curve.get("traits.interval")[1]] * 2  # lo never passes hi
    curve.set("interval", last(curve, "interval"))
    curve.drag(edge_at(curve, 1), (400, lo[1]))  # though both stand at one place
    assert last(curve, "interval")[0] == 0
    curve.drag(edge_at(curve, 0), (0, lo[1]))
    assert last(curve, "interval")[1] == KNOTS[-1]


def test_a_double_click_asks_for_a_straight_line_and_a_click_for_nothing(show):
    curve = show(WeightEditor, weights=[3.0] * 13)
    x, y = on_curve(curve, 5, 5)
    curve.page.mouse.click(x + 7, y)
    curve.page.mouse.click(*on_curve(curve, 5))
    curve.drag((x + 7, y), (x + 7, y + 2))  # nor for a hand that trembles
    curve.drag(on_curve(curve, 7), (on_curve(curve, 7)[0], on_curve(curve, 7)[1] + 2))
    assert curve.get("sent") == []
    curve.page.wait_for_timeout(600)  # or it would be a part of the double click
    curve.page.mouse.dblclick(x + 7, y)
    curve.rest()
    (message,) = curve.get("sent")
    assert message == {"straight": pytest.approx(5, abs=0.1)}


def test_the_keyboard_does_what_the_mouse_does(show):
    curve = show(WeightEditor, weights=[3.0] * 13, interval=[0.01, 1.0], now=0.1)
    knot = curve.page.locator("[data-knot='5']")
    assert knot.get_attribute("aria-label") == f"weight at sigma {KNOTS[5]:.3g}"
    readout = curve.page.locator(f"{CURVE}-readout")
    assert readout.text_content() == "w(0.1) = 3"
    knot.focus()
    for key in ("ArrowUp", "ArrowUp", "PageUp", "ArrowDown"):
        curve.page.keyboard.press(key)  # the second builds on the first, though Python has not answered
    curve.rest()
    assert last(curve, "weights") == pytest.approx(weights(3, w5=4.1))
    assert float(knot.get_attribute("aria-valuenow")) == pytest.approx(4.1)
    assert readout.text_content() == f"w({KNOTS[5]:.3g}) = 4.1"
    curve.page.keyboard.press("ArrowLeft")
    curve.page.keyboard.press("PageDown")
    curve.rest()
    assert last(curve, "weights") == pytest.approx(weights(3, w5=4.1, w6=2))
    curve.page.locator(f"{CURVE}-edge").first.focus()
    curve.page.keyboard.press("ArrowLeft")
    curve.rest()
    lo, hi = last(curve, "interval")
    assert lo == 0.01
    assert 1 < hi < 1.3


def test_disabled_it_sends_nothing(show):
    curve = show(WeightEditor, weights=[3.0] * 13)
    hi = edge_at(curve, 0)

    def attempt():
        curve.drag(on_curve(curve, 5), on_curve(curve, 5, 6))
        curve.drag(hi, (hi[0] + 60, hi[1]))
        curve.page.mouse.dblclick(*on_curve(curve, 5, 5))
        curve.page.locator("[data-knot='5']").evaluate("k => k.focus()")
        curve.page.keyboard.press("ArrowUp")
        curve.rest()
        return curve.get("sent")

    curve.set("disabled", True)
    assert attempt() == []
    curve.set("disabled", False)
    assert len(attempt()) >= 4


@pytest.mark.parametrize("bad", [math.nan, "nan", None])
def test_what_is_no_number_is_not_drawn(show, bad):
    curve = show(WeightEditor, weights=weights(3.0, w5=bad), now=KNOTS[5])
    knots = curve.page.locator(f"{CURVE}-knot")
    assert sum(knots.nth(i).is_visible() for i in range(13)) == 12
    drawn = curve.page.locator(f"{CURVE}-curve").get_attribute("d")
    assert drawn.count("M") == 2  # a gap
    assert "NaN" not in curve.page.locator(CURVE).evaluate("s => s.outerHTML")
    curve.drag(on_curve(curve, 7, 5), on_curve(curve, 3, 5))
    assert last(curve, "weights")[3:7] == pytest.approx([5] * 4, abs=0.1)  # painting mends it
    for name in ("interval", "now", "top", "sigmas"):
        curve.set(name, [bad, bad] if name in ("interval", "sigmas") else bad)
    assert not curve.errors


def test_a_widget_that_goes_hears_no_more(show):
    for widget in (Pad, WeightEditor):
        shown = show(widget)
        assert shown.get("listeners()") > 0
        shown.page.evaluate("() => stop()")
        assert shown.get("listeners()") == 0


def test_the_axis_grows_and_shrinks_with_the_weights():
    curve = WeightEditor()
    for highest, top in (
        (8.0, 8),
        (8.1, 16),
        (16.5, 32),
        (40.0, 64),
        (100.0, 100),
        (3.0, 8),
        ("text", 8),
        (math.nan, 8),
    ):
        curve.weights = [1.0] * 12 + [highest]
        assert curve.top == top
    curve.close()
