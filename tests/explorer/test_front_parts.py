"""The weight curve, the drawing pad and the chart of the explorer's front end, in a real headless Chromium."""

import io
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toydiff.explorer
from toydiff.explorer.front import script
from toydiff.sampling.schedules import KNOTS

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

FRONT = Path(toydiff.explorer.__file__).parent / "front"
FILES = ("dom.js", "svg.js", "axes.js", "weight_curve.js", "drawing_pad.js", "chart.js")
PAGE = "<!doctype html><meta charset=utf-8><link rel=stylesheet href=parts.css><div id=host></div>"
TYPES = {".js": "text/javascript", ".css": "text/css"}


def serve(route):
    """The front end's files as they are, at an address that leads nowhere else."""
    name = route.request.url.rsplit("/", 1)[1]
    if not name:
        route.fulfill(body=PAGE, content_type="text/html")
    else:
        route.fulfill(body=(FRONT / name).read_text(), content_type=TYPES[Path(name).suffix])


class Shown:
    """One component in a blank page, of a width and with a base font in pixels; `heard`: what it told."""

    def __init__(self, page, make, value=None, *, width=330, font=14, height=None):
        self.page, self.errors = page, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto("http://front.test/")
        modules = ", ".join(f"import('/{name}')" for name in FILES)
        page.evaluate(f"async () => Object.assign(window, ...await Promise.all([{modules}]), {{ heard: [] }})")
        style = f"width: {width}px; font: {font}px sans-serif"
        page.evaluate("style => { host = document.getElementById('host'); host.style = style; }", style)
        page.evaluate("() => tell = what => heard.push(JSON.parse(JSON.stringify(what)))")
        page.evaluate(f"value => {{ part = {make}; }}", value)
        if height:
            page.evaluate("height => part.element.style.height = height + 'px'", height)
        self.rest()

    def rest(self):
        """Two frames: what was to be told or drawn has been."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert not self.errors

    def show(self, **value):
        self.page.evaluate("value => part.show(value)", value)
        self.rest()

    def get(self, what):
        return self.page.evaluate(f"() => {what}")

    def drag(self, *way, steps=8, release=True):
        """Down at the first place, on through the others, and up: in pixels of the page."""
        self.page.mouse.move(*way[0])
        self.page.mouse.down()
        for place in way[1:]:
            self.page.mouse.move(*place, steps=steps)
        if release:
            self.page.mouse.up()
        self.rest()

    def touch(self, kind, *places):
        """A touch event, with one finger at each of the places."""
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self.page.session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    def painted(self, *place):
        """The colour at a place of the page."""
        picture = Image.open(io.BytesIO(self.page.screenshot(scale="css"))).convert("RGB")
        return picture.getpixel(tuple(round(p) for p in place))

    def texts(self):
        """[(text, left, top, right, bottom, size of its font)] of what can be read."""
        return self.page.evaluate("""() => [...part.element.querySelectorAll("text")].filter(t => t.textContent)
            .map(t => [t.textContent, ...(b => [b.left, b.top, b.right, b.bottom])(t.getBoundingClientRect()),
                parseFloat(getComputedStyle(t).fontSize)])""")

    def assert_legible(self, font):
        """Each text lies inside, none on another, and none is smaller than the base font."""
        box = self.get("(b => [b.left, b.top, b.right, b.bottom])(part.element.getBoundingClientRect())")
        texts = self.texts()
        assert len(texts) > 4
        for words, left, top, right, bottom, size in texts:
            assert size >= font, words
            assert box[0] <= left < right <= box[2] + 0.5, words
            assert box[1] - 1 <= top < bottom <= box[3] + 1, words
        for one, other in itertools.combinations(texts, 2):
            apart = one[3] <= other[1] or other[3] <= one[1] or one[4] <= other[2] + 4 or other[4] <= one[2] + 4
            assert apart, (one, other)  # 4: a line of text is higher than its letters


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page(viewport={"width": 1000, "height": 560}, has_touch=True)
    page.session = page.context.new_cdp_session(page)
    page.route("http://front.test/**", serve)
    yield page
    page.close()


def test_the_files_are_parts_of_one_script(page):
    """As they are joined for a host that takes one module: no name twice, imports in one line each."""
    texts = [(FRONT / name).read_text() for name in FILES]
    for text in texts:
        imported = re.findall(r"^import .*$", text, re.M)
        assert all(re.fullmatch(r'import \{ [\w, ]+ \} from "\./(\w+\.js)";', line) for line in imported)
        assert not re.search(r"\bimport\(|export default", text)
    joined = "\n".join(re.sub(r"^export |^import .*$", "", text, flags=re.M) for text in texts)
    page.goto("http://front.test/")
    page.evaluate(f"() => {{ 'use strict'; {joined}\n chart(host, 'one'); pad(host, {{ colours: {{ A: 'red' }} }}); }}")
    assert page.locator("#host > *").count() == 2


@pytest.mark.parametrize("host", ["jupyter/host.js", "page/*.js"])
def test_a_host_has_no_name_of_the_front_end(host):
    text = script() + "\n".join(path.read_text() for path in sorted(FRONT.parent.glob(host)))
    named = re.findall(r"^(?:export )?(?:async )?(?:const|let|class|function)\*? (\w+|\[.*?\])", text, re.M)
    names = [name for words in named for name in re.findall(r"\w+", words)]
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


# The weight curve.

CURVE = ".toydiff-weightcurve"


@pytest.fixture
def bent(page):
    def show(width=330, font=14, **more):
        curve = Shown(page, "weightCurve(host, tell)", width=width, font=font)
        scene = {"sigmas": list(KNOTS), "weights": [3.0] * 13, "interval": [0, 1e4], "now": 0.3, "disabled": False}
        curve.show(**scene | more)
        return curve

    return show


def on_curve(curve, i, weight=None, top=8):
    """Where the knot i stands, or stood at another weight on the axis up to `top`."""
    places = curve.page.locator(f"{CURVE}-grid").evaluate_all("ls => ls.map(l => l.getBoundingClientRect().y)")
    box = curve.page.locator(f"[data-knot='{i}']").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return x, y if weight is None else places[0] + (places[4] - places[0]) * weight / top


def edge_at(curve, i):
    """A place 5 pixels beside an edge, 0 for hi and 1 for lo, where it can be taken."""
    svg = curve.page.locator(CURVE).bounding_box()
    line = curve.page.locator(f"{CURVE}-edge").nth(i).get_attribute("d")
    return svg["x"] + float(line[1:].split()[0]) + (5 if i else -5), svg["y"] + 60


def last(curve, what):
    """The last wish, which must be about that alone."""
    wish = curve.get("heard.at(-1)")
    assert list(wish) == [what]
    return wish[what]


def weights(at_others, **changed):
    return [changed.get(f"w{i}", at_others) for i in range(len(KNOTS))]


def test_a_knot_follows_the_hand_and_with_shift_those_beside_it(bent):
    curve = bent()
    x, y = on_curve(curve, 5)
    curve.drag((x + 3, y + 2), (x + 3, on_curve(curve, 5, 6)[1] + 2))  # held beside its middle, it does not jump
    assert last(curve, "weights") == pytest.approx(weights(3, w5=6), abs=0.05)
    assert on_curve(curve, 5) == pytest.approx(on_curve(curve, 5, 6), abs=1)  # shown though nobody answered
    curve.show(weights=[3.0] * 13)
    assert on_curve(curve, 5) == pytest.approx(on_curve(curve, 5, 3), abs=1)  # until someone does
    curve.page.keyboard.down("Shift")
    curve.drag(on_curve(curve, 6), on_curve(curve, 6, 6))
    curve.page.keyboard.up("Shift")
    told = last(curve, "weights")
    assert told == told[::-1]
    assert 6.05 > told[6] > told[7] > told[8] > 3.2
    assert told[0] == 3


def test_the_scene_does_not_fight_the_hand(bent):
    curve = bent()
    x, y = on_curve(curve, 5)
    curve.drag((x, y), (x, y - 30), release=False)
    before = curve.get("heard.length")
    moves = """([x, y]) => { for (let i = 0; i < 20; i++) part.element.dispatchEvent(
        new PointerEvent('pointermove', {pointerId: 1, clientX: x, clientY: y - 30 - i, bubbles: true})); }"""
    curve.page.evaluate(moves, [x, y])
    curve.rest()
    assert curve.get("heard.length") == before + 1  # once per frame
    now = curve.page.locator(f"{CURVE}-now")
    stood = now.get_attribute("d")
    curve.show(weights=weights(3.0, w5=3.5), now=0.01)  # an echo that is late; time goes on
    assert on_curve(curve, 5) == pytest.approx((x, y - 49), abs=1)
    assert now.get_attribute("d") != stood
    curve.page.mouse.up()
    assert on_curve(curve, 5) == pytest.approx((x, y - 49), abs=1)
    curve.show(weights=[2.0] * 13)
    assert on_curve(curve, 5) == pytest.approx(on_curve(curve, 5, 2), abs=1)  # the hand is gone


def test_what_is_played_meanwhile_does_not_swallow_a_wish(bent):
    curve = bent()
    curve.page.locator("[data-knot='5']").focus()
    curve.page.evaluate("""() => {
        const press = () => document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key: "PageUp", bubbles: true }));
        press();
        part.show({ now: 0.2 }); // before the frame in which the wish is told
        press();
    }""")
    curve.rest()
    assert last(curve, "weights")[5] == 5


def test_the_axis_follows_the_weights_but_never_under_a_hand(bent):
    def top(curve):
        return curve.page.locator(f"{CURVE}-w").last.text_content()

    curve = bent()
    for highest, expected in ((8, 8), (8.1, 16), (16.5, 32), (40, 64), (100, 100), (3, 8), ("text", 8)):
        curve.show(weights=[1.0] * 12 + [highest])
        assert top(curve) == str(expected)
    x, y = on_curve(curve, 5)
    curve.drag((x, y), (x, 0), release=False)
    assert last(curve, "weights")[5] > 8
    assert top(curve) == "8"
    curve.show(weights=weights(3.0, w5=20))
    assert top(curve) == "8"
    curve.page.mouse.up()
    assert top(curve) == "16"


def test_one_stroke_paints_the_whole_curve(bent):
    curve = bent()
    begin, end = on_curve(curve, 12, 7), on_curve(curve, 0, 1)
    curve.drag((begin[0] + 2, begin[1]), end, steps=3)  # fast: most knots are passed between two events
    painted = last(curve, "weights")
    assert painted == pytest.approx(np.linspace(1, 7, 13), abs=0.2)
    curve.show(weights=painted)
    curve.drag(on_curve(curve, 3, 6), on_curve(curve, 6, 6))
    told = last(curve, "weights")
    assert told[3:7] == pytest.approx([6] * 4, abs=0.1)
    assert told[:2] + told[8:] == painted[:2] + painted[8:]
    curve.show(weights=told)
    curve.drag(on_curve(curve, 9), on_curve(curve, 3, told[9]))  # from a knot on sideways is a stroke too
    assert last(curve, "weights")[3:10] == pytest.approx([told[9]] * 7, abs=0.1)


def test_edges_move_and_have_no_bound_at_the_ends(bent):
    curve = bent()
    hi, lo = edge_at(curve, 0), edge_at(curve, 1)
    curve.drag(hi, (on_curve(curve, 9)[0] - 5, hi[1]))
    assert last(curve, "interval") == [0, pytest.approx(KNOTS[9], rel=0.05)]
    curve.show(interval=last(curve, "interval"))
    curve.drag(lo, (on_curve(curve, 4)[0] + 5, lo[1]))
    assert last(curve, "interval") == pytest.approx([KNOTS[4], KNOTS[9]], rel=0.05)
    curve.show(interval=last(curve, "interval"))
    drawn = curve.page.locator(f"{CURVE}-curve").get_attribute("d")
    assert drawn.count("M") == 1
    assert drawn.count("L") >= 7  # flat at 1, up, along the knots, down, flat at 1
    upper = last(curve, "interval")[1]
    curve.drag(edge_at(curve, 1), (on_curve(curve, 12)[0], lo[1]))
    assert last(curve, "interval") == [upper] * 2  # lo never passes hi
    curve.show(interval=[upper] * 2)
    curve.drag(edge_at(curve, 1), (400, lo[1]))  # though both stand at one place
    assert last(curve, "interval") == [0, upper]
    curve.show(interval=[0, upper])
    curve.drag(edge_at(curve, 0), (0, lo[1]))
    assert last(curve, "interval") == [0, KNOTS[-1]]


def test_a_double_click_asks_for_a_level_and_a_click_for_nothing(bent):
    curve = bent()
    x, y = on_curve(curve, 5, 5)
    curve.page.mouse.click(x + 7, y)
    curve.page.mouse.click(*on_curve(curve, 5))
    x7, y7 = on_curve(curve, 7)
    curve.drag((x7, y7), (x7, y7 + 2))  # nor for a hand that trembles
    assert curve.get("heard") == []
    curve.page.wait_for_timeout(600)  # or it would be a part of the double click
    curve.page.mouse.dblclick(x + 7, y)
    curve.rest()
    assert curve.get("heard") == [{"weights": pytest.approx([5] * 13, abs=0.1)}]
    assert on_curve(curve, 9) == pytest.approx(on_curve(curve, 9, 5), abs=1.5)  # at once


def test_the_keyboard_does_what_the_mouse_does(bent):
    curve = bent(interval=[0.01, 1.0], now=0.1)
    assert curve.page.get_by_role("slider").count() == 2 + len(KNOTS)
    knot, readout = (curve.page.locator(selector) for selector in ("[data-knot='5']", f"{CURVE}-readout"))
    assert knot.get_attribute("aria-label") == f"weight at sigma {KNOTS[5]:.3g}"
    assert readout.text_content() == "w(0.1) = 3"
    knot.focus()
    for key in ("ArrowUp", "ArrowUp", "PageUp", "ArrowDown"):
        curve.page.keyboard.press(key)  # the second builds on the first, though nobody has answered
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


def test_a_finger_drags_a_knot_and_taps_twice_for_a_level(bent):
    curve = bent()
    x, y = on_curve(curve, 5)
    curve.touch("Start", (x + 5, y + 14))  # less exact than a mouse
    for up in range(5, 45, 5):
        curve.touch("Move", (x + 5, y + 14 - up))
    curve.touch("End")
    curve.rest()
    told = last(curve, "weights")
    assert told[5] > 4.5
    assert told[:5] + told[6:] == [3] * 12
    x, y = on_curve(curve, 3, 2)
    for _ in range(2):
        curve.touch("Start", (x + 7, y))
        curve.touch("End")
    curve.rest()
    assert last(curve, "weights") == pytest.approx([2] * 13, abs=0.2)


def test_disabled_it_wants_nothing_not_even_what_a_hand_holds(bent):
    curve = bent()
    hi = edge_at(curve, 0)

    def attempt():
        curve.drag(on_curve(curve, 5), on_curve(curve, 5, 6))
        curve.drag(hi, (hi[0] + 60, hi[1]))
        curve.page.mouse.dblclick(*on_curve(curve, 5, 5))
        curve.page.locator("[data-knot='5']").evaluate("k => k.focus()")
        curve.page.keyboard.press("ArrowUp")
        curve.rest()
        return curve.get("heard.length")

    curve.show(disabled=True)
    assert attempt() == 0
    curve.show(disabled=False)
    told = attempt()
    assert told >= 4
    x, y = on_curve(curve, 7)
    curve.drag((x, y), (x, y - 20), release=False)
    told = curve.get("heard.length")
    move = """([x, y]) => {
        part.element.dispatchEvent(new PointerEvent('pointermove', { pointerId: 1, clientX: x, clientY: y }));
        part.show({ disabled: true, weights: Array(13).fill(2) }); // before the frame in which the move is told
    }"""
    curve.page.evaluate(move, [x, y - 30])
    curve.rest()
    curve.page.mouse.move(x, y - 40)
    curve.rest()
    assert on_curve(curve, 7) == pytest.approx(on_curve(curve, 7, 2), abs=1)
    assert curve.get("heard.length") == told
    curve.page.mouse.up()


@pytest.mark.parametrize("bad", [math.nan, "nan", None])
def test_what_is_no_number_is_not_drawn(bent, bad):
    curve = bent(weights=weights(3.0, w5=bad), now=KNOTS[5])
    knots = curve.page.locator(f"{CURVE}-knot")
    assert sum(knots.nth(i).is_visible() for i in range(13)) == 12
    assert curve.page.locator(f"{CURVE}-curve").get_attribute("d").count("M") == 2  # a gap
    assert "NaN" not in curve.page.locator(CURVE).evaluate("s => s.outerHTML")
    curve.drag(on_curve(curve, 7, 5), on_curve(curve, 3, 5))
    assert last(curve, "weights")[3:7] == pytest.approx([5] * 4, abs=0.1)  # painting mends it
    for name in ("interval", "now", "weights", "sigmas"):
        curve.show(**{name: bad if name == "now" else [bad, bad]})
    curve.page.mouse.dblclick(100, 60)
    assert not curve.errors


@pytest.mark.parametrize(("width", "font"), [(232, 14), (250, 14), (340, 14), (380, 20), (548, 20)])
def test_the_curve_is_legible_at_any_size(bent, width, font):
    bent(width, font, weights=[100.0] * 13, now=0.00242).assert_legible(font)


# The drawing pad.

COLOURS = {"A": "#e8871e", "B": "#6a6a6a", "C": "#2030ff", "D": "#208020"}


@pytest.fixture
def drawn(page):
    return lambda width=330: Shown(page, "pad(host, { colours: value, change: tell })", COLOURS, width=width)


def on_pad(pad, x, y):
    """A place on the pad, from -1 to 1 each, in pixels of the page."""
    box = pad.page.locator(".toydiff-pad canvas").bounding_box()
    return box["x"] + box["width"] * (1 + x) / 2, box["y"] + box["height"] * (1 - y) / 2


def is_orange(colour):
    return colour[0] > 220 and colour[0] - colour[2] > 80


def is_blue(colour):
    return colour[2] > 220 and colour[2] - colour[0] > 80


def test_a_stroke_is_told_once_when_it_is_finished(drawn):
    pad = drawn()
    pad.page.evaluate("() => part.thickness = 0.2")
    hint = pad.page.locator(".toydiff-pad-hint")
    assert hint.is_visible()
    pad.drag(on_pad(pad, -0.5, 0.5), on_pad(pad, 0.5, 0.5), on_pad(pad, 0.5, -0.5), release=False)
    assert pad.get("heard") == []
    assert is_orange(pad.painted(*on_pad(pad, 0.05, 0.55)))  # drawn all the same
    assert hint.is_hidden()
    pad.page.mouse.up()
    ((stroke,),) = pad.get("heard")
    points = np.array(stroke["points"])
    assert (stroke["class"], stroke["thickness"]) == ("A", 0.2)
    assert len(points) == 17
    assert points[[0, 8, 16]] == pytest.approx(np.array([[-0.5, 0.5], [0.5, 0.5], [0.5, -0.5]]), abs=0.01)
    assert is_orange(pad.painted(*on_pad(pad, 0.08 + 0.5, 0.05)))  # as thick as it says, and no thicker
    assert pad.painted(*on_pad(pad, 0.12 + 0.5, 0.05)) == (255, 255, 255)


def test_class_and_thickness_are_those_of_the_first_stroke_after(drawn):
    pad = drawn()
    for name, wide in (("C", 0.3), ("D", 0.05), ("A", 0.12)):
        # The press and the stroke in one turn: nothing has had the time to be drawn in between.
        x, y = on_pad(pad, 0.4, -0.3)
        pad.page.evaluate(
            """([name, wide, x, y]) => {
                part.pen = name;
                part.thickness = wide;
                const canvas = part.element.querySelector("canvas");
                canvas.setPointerCapture = () => {};
                for (const kind of ["pointerdown", "pointerup"]) canvas.dispatchEvent(
                    new PointerEvent(kind, { pointerId: 7, button: 0, clientX: x, clientY: y }));
            }""",
            [name, wide, x, y],
        )
        stroke = pad.get("part.strokes.at(-1)")
        assert (stroke["class"], stroke["thickness"], len(stroke["points"])) == (name, wide, 1)
        assert (pad.get("part.pen"), pad.get("part.thickness")) == (name, wide)
        if name == "C":
            assert is_blue(pad.painted(*on_pad(pad, 0.5, -0.3)))  # 0.15 around it
            assert pad.painted(*on_pad(pad, 0.6, -0.3)) == (255, 255, 255)
    assert len(pad.get("heard")) == 3


def test_points_outside_are_clamped_and_near_ones_dropped(drawn):
    pad = drawn(600)
    pad.drag(on_pad(pad, 0, 0.9), on_pad(pad, 0.5, 1.1), (690, 2))
    points = np.array(pad.get("part.strokes[0].points"))
    assert np.abs(points).max() == 1
    assert tuple(points[-1]) == (1, 1)
    x, y = on_pad(pad, -0.5, -0.5)
    pad.drag((x, y), (x + 20, y), steps=50)  # of 0.4 pixels, 0.0019 of the pad
    points = np.array(pad.get("part.strokes[1].points"))
    apart = np.hypot(*np.diff(points, axis=0).T)
    assert apart[:-1].min() >= 0.004 - 1e-4  # rounded to four digits
    assert len(points) <= 22
    assert points[-1] - points[0] == pytest.approx([2 * 20 / 420, 0], abs=0.001)  # 30 em of 14 pixels are the most


def test_control_z_takes_back_the_last_stroke_only(drawn):
    pad = drawn()
    for x in (-0.5, 0, 0.5):
        pad.page.mouse.click(*on_pad(pad, x, 0))
    assert pad.page.evaluate("() => document.activeElement.matches('.toydiff-pad canvas')")
    for key in ("Delete", "z", "Control+z"):
        pad.page.keyboard.press(key)
    assert [round(s["points"][0][0], 1) for s in pad.get("part.strokes")] == [-0.5, 0]
    for _ in range(3):
        pad.page.keyboard.press("Control+z")
    assert pad.get("part.strokes") == []
    assert pad.get("heard.length") == 6  # the last press had nothing to take back


def test_strokes_that_are_put_are_shown_and_overlaps_seen(drawn):
    pad = drawn()
    line = {"class": "A", "thickness": 0.3, "points": [[-0.8, 0], [0.8, 0]]}
    strokes = [line, {"class": "C", "thickness": 0.3, "points": [[0, -0.8], [0, 0.8]]}]
    pad.page.evaluate("strokes => part.put(strokes)", strokes)
    pad.rest()
    one, other, both = (pad.painted(*on_pad(pad, *place)) for place in ((0.5, 0.03), (0.03, 0.5), (0.03, 0.03)))
    assert is_orange(one)
    assert is_blue(other)
    assert both not in (one, other)
    assert pad.get("part.strokes") == strokes
    pad.page.evaluate("() => part.put([])")
    pad.rest()
    assert pad.painted(*on_pad(pad, 0.5, 0.03)) == (255, 255, 255)
    assert pad.get("heard") == []  # nobody drew


def test_it_is_sharp_on_a_screen_of_another_density_reached_in_mid_stroke(drawn):
    pad = drawn(302)
    pad.drag(on_pad(pad, -0.5, 0), on_pad(pad, 0.5, 0), release=False)
    size = {"width": 1000, "height": 560, "mobile": False}
    canvas = pad.page.locator("canvas")
    for density in (2, 1.5, 1):
        pad.page.session.send("Emulation.setDeviceMetricsOverride", size | {"deviceScaleFactor": density})
        pad.page.mouse.move(*on_pad(pad, 0.5, 0.1 * density))
        pad.rest()
        assert canvas.evaluate("c => [devicePixelRatio, c.width, c.height]") == [density, 300 * density, 300 * density]
        assert pad.get("heard") == []
    assert is_orange(pad.painted(*on_pad(pad, 0.1, 0.02)))
    pad.page.mouse.move(*on_pad(pad, 0.5, 0.5), steps=3)
    pad.page.mouse.up()
    (stroke,) = pad.get("part.strokes")
    assert stroke["points"][0] == pytest.approx([-0.5, 0], abs=0.01)
    assert stroke["points"][-1] == pytest.approx([0.5, 0.5], abs=0.01)


def test_one_finger_draws_whatever_others_do(drawn):
    pad = drawn()
    at = [on_pad(pad, x / 10, 0.2) for x in range(-5, 6)]
    pad.touch("Start", at[0])
    for place in at[1:6]:
        pad.touch("Move", place)
    pad.touch("Start", at[5], on_pad(pad, 0.8, -0.8))
    for place in at[6:]:
        pad.touch("Move", place, on_pad(pad, 0.8, -0.6))
    pad.touch("End")
    pad.rest()
    (stroke,) = pad.get("part.strokes")
    points = np.array(stroke["points"])
    assert points[:, 1] == pytest.approx(np.full(len(points), 0.2), abs=0.01)
    assert points[[0, -1], 0] == pytest.approx([-0.5, 0.5], abs=0.02)


def test_a_cancelled_stroke_keeps_what_was_drawn(drawn):
    pad = drawn()
    pad.drag(on_pad(pad, -0.5, 0), on_pad(pad, 0.5, 0), release=False)
    cancel = "c => c.dispatchEvent(new PointerEvent('pointercancel', {pointerId: 1, clientX: 0, clientY: 0}))"
    pad.page.locator("canvas").evaluate(cancel)
    assert pad.get("part.strokes[0].points.at(-1)") == pytest.approx([0.5, 0], abs=0.01)
    pad.page.mouse.up()
    assert pad.get("heard.length") == 1


def test_the_keyboard_draws_too(drawn):
    pad = drawn()
    pad.page.locator("canvas").focus()
    for key in ("ArrowLeft", "Space", "ArrowUp", "ArrowUp", "Shift+ArrowRight", "Control+z", "Space", "ArrowDown"):
        pad.page.keyboard.press(key)
    (stroke,) = pad.get("part.strokes")
    assert stroke["points"] == [[-0.05, 0], [-0.05, 0.05], [-0.05, 0.1], [-0.04, 0.1]]
    pad.page.keyboard.press("Space")
    pad.page.mouse.click(*on_pad(pad, 0.5, -0.5))  # lifts the pen that was forgotten, and draws
    assert len(pad.get("part.strokes")) == 3


# The chart.

WEIGHTS = [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6]
SIDES = {"left": {"label": "outliers %"}, "right": {"label": "branches kept %", "max": 100}}


def both(kept=1.0, **more):
    outliers = [round(12.5 / (1 + kept * w), 3) for w in WEIGHTS]
    branches = [round(100 - kept * w * w, 3) for w in WEIGHTS]
    left = {"side": "left", "colour": "#dd3497", "label": "outliers", "dashed": False, "dot": "round"}
    right = {"side": "right", "colour": "#222222", "label": "branches kept", "dashed": True, "dot": "square"}
    return [left | {"values": outliers} | more, right | {"values": branches} | more]


def weight_chart(lines, **more):
    return {"x": WEIGHTS, "xLabel": "weight w", "lines": lines, "mark": 3} | SIDES | more


def loss_chart(rate, **more):
    steps = list(range(0, 20_000, 250))
    values = [math.exp(-s / rate) + 0.3 for s in steps]
    lines = [{"values": [f * v for v in values], "colour": "#0b4f27", "label": label, "side": "left", "dot": ""}
             for f, label in ((1, "training"), (1.3, "held out"))]  # fmt: skip
    return {"x": steps, "xLabel": "step", "lines": lines, "left": {"label": "loss", "log": True}} | more


NAMES = ("CFG", "autoguidance", "sharpened autoguidance", "smaller and worse")
CHARTS = {
    "two sides": weight_chart(both(errors=[1.5] * 10)),
    "four panels": weight_chart([line for i, name in enumerate(NAMES) for line in both(1 + i / 4, label=name)]),
    "a weight out of sight, nothing known": weight_chart(both(values=[None] * 10), mark=40),
    "long words": weight_chart(both(), xLabel="constant weight w (dotted: as drawn), for both of the classes",
                               left={"label": "outliers of all samples, %"}),
    "loss": loss_chart(900),
    "a loss that hardly falls": loss_chart(1e6),
    "a loss over many powers": loss_chart(900, lines=[
        {"values": [10 ** (-i / 9) for i in range(80)], "colour": "#0b4f27", "label": "training"}]),
}  # fmt: skip


@pytest.fixture
def plotted(page):
    def show(value, width=340, height=240, font=14):
        shown = Shown(page, "chart(host, 'over-w')", width=width, height=height, font=font)
        shown.show(**value)
        return shown

    return show


def path(shown, kind, i=-1):
    """[(command, x, y)] of what the i-th path of a kind goes to, in pixels of the drawing."""
    drawn = shown.page.locator(f".toydiff-chart-{kind}").nth(i).get_attribute("d")
    return [(command, float(x), float(y)) for command, x, y in re.findall(r"([ML])([\d.]+) ([\d.]+)", drawn)]


def heights(shown):
    """Of the lines of the grid, from above."""
    lines = shown.page.locator(".toydiff-chart-grid")
    return sorted(lines.evaluate_all("lines => lines.map(line => Number(line.getAttribute('y1')))"))


@pytest.mark.parametrize(("width", "height", "font"), [(340, 240, 14), (370, 260, 14), (548, 380, 20), (900, 500, 20)])
@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_legible_at_any_size(plotted, name, width, height, font):
    shown = plotted(CHARTS[name], width, height, font)
    shown.assert_legible(font)
    frame = shown.page.locator(".toydiff-chart-frame").bounding_box()
    assert frame["width"] > 0.6 * width
    assert "NaN" not in shown.page.locator("svg").evaluate("s => s.outerHTML")


def test_each_side_has_its_axis_dots_and_line(plotted):
    shown = plotted(weight_chart(both(errors=[1.5] * 10)))
    assert path(shown, "line", 2)[0][0] == "M"
    for dots, line in (("round", 2), ("square", 3)):  # the first two lines tell which is which
        assert [p[1:] for p in path(shown, dots)] == [p[1:] for p in path(shown, "line", line)]
        drawn = shown.page.locator(f".toydiff-chart-{dots}").last
        assert drawn.evaluate("path => getComputedStyle(path).strokeLinecap") == dots
    (_, x0, y0), *_, (_, x6, y6) = path(shown, "round")
    top, *_, bottom = grid = heights(shown)
    assert (y6 - y0) / (bottom - top) == pytest.approx((12.5 - 12.5 / 7) / 14, abs=0.001)  # ticks from 0 to 14
    assert np.diff(grid) == pytest.approx(np.full(7, (bottom - top) / 7))
    (_, _, first), *_, (_, _, lowest) = path(shown, "square")
    assert first == pytest.approx(top, abs=0.01)  # 100% is the end of the axis, whatever its error
    assert (lowest - top) / (bottom - top) == pytest.approx(0.36, abs=0.001)
    ((_, mark, _), *_) = path(shown, "mark")
    assert mark == pytest.approx((x0 + x6) / 2, abs=0.01)
    dashed = shown.page.locator(".toydiff-chart-line.toydiff-chart-dashed")
    assert dashed.count() == 2
    assert dashed.last.get_attribute("stroke") == "#222222"


def test_what_is_missing_leaves_a_gap_and_errors_have_bars(plotted):
    lines = both(errors=[0.5, None, *[0.5] * 8])
    lines[0]["values"] = [None if i in (3, 7) else v for i, v in enumerate(lines[0]["values"])]
    shown = plotted(weight_chart(lines))
    assert "".join(command for command, _, _ in path(shown, "line", 2)) == "MLLMLLML"
    assert len(path(shown, "round")) == 8
    bars = shown.page.locator(".toydiff-chart-error").first.get_attribute("d")
    assert bars.count("V") == 7  # one value has no error, two errors no value
    low, high = (float(n) for n in re.match(r"M[\d.]+ ([\d.]+)V([\d.]+)", bars).groups())
    grid = heights(shown)
    assert (low - high) / (grid[1] - grid[0]) == pytest.approx(1 / 2, abs=0.01)  # 0.5 up and down, a tick at every 2
    label = shown.page.locator("svg").get_attribute("aria-label")
    assert "outliers %: 12.5 ± 0.5 at 0, 8.33 at 0.5, 6.25 ± 0.5 at 1, nothing yet at 1.5, " in label


def test_a_weight_that_is_drawn_stands_as_a_level(plotted):
    shown = plotted(weight_chart(both(level=7), mark=None))
    top, *_, bottom = heights(shown)
    (_, _, left), (_, _, right) = (path(shown, "level", i)[0] for i in (0, 1))
    assert (bottom - left) / (bottom - top) == pytest.approx(7 / 14, abs=0.001)
    assert (bottom - right) / (bottom - top) == pytest.approx(0.07, abs=0.001)
    assert shown.page.locator(".toydiff-chart-mark[d]").count() == 0


def test_lines_of_several_panels_are_told_by_one_legend(plotted):
    chart = CHARTS["four panels"]
    shown = plotted(chart)
    words = [text[0] for text in shown.texts()]
    assert all(words.count(name) == 1 for name in NAMES)
    assert all(words.count(side["label"]) == 1 for side in SIDES.values())
    assert shown.page.locator(".toydiff-chart-line").count() == 2 + 4 + 8
    lines = both(label="<b>bold</b>") + both(label="&amp;")
    shown.show(**chart | {"lines": lines})
    assert {"<b>bold</b>", "&amp;"} <= {text[0] for text in shown.texts()}  # text from people stays text
    assert shown.page.locator("b").count() == 0


def test_a_logarithmic_axis_has_round_numbers_and_leaves_out_what_is_not_positive(plotted):
    shown = plotted(CHARTS["loss"])
    at_the_left = shown.page.locator("[text-anchor=end]").all_text_contents
    assert at_the_left() == ["0.5", "1"]
    line = {"values": [10, 1, 0, 0.1, -1, math.nan, 0.01], "colour": "red", "label": "loss"}
    shown.show(**loss_chart(900, x=list(range(7)), lines=[line]))
    assert at_the_left() == ["0.01", "0.1", "1", "10"]
    commands, _, at = zip(*path(shown, "line"), strict=True)
    assert "".join(commands) == "MLMM"
    assert np.diff(at) == pytest.approx(np.full(3, at[1] - at[0]))  # a power of ten each


def test_ticks_stand_at_one_two_and_five_times_powers_of_ten(plotted):
    shown = plotted(CHARTS["two sides"])
    spans = [(0, 12.5, 5), (0, 1, 4), (-3, 8, 6), (0.0123, 0.0187, 5), (0, 20_000, 4), (99, 101, 8), (0, 1e-7, 3)]
    for low, high, most in spans:
        found = np.array(shown.page.evaluate("([l, h, m]) => ticksBetween(l, h, m)", [low, high, most]))
        step = found[1] - found[0]
        assert np.diff(found) == pytest.approx(np.full(len(found) - 1, step))
        assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 5)
        assert most / 2.6 - 1 <= len(found) - 1 <= most
        assert found.min() >= low - 1e-9 * step
        assert found.max() <= high + 1e-9 * step


def test_it_is_drawn_anew_at_another_size(plotted):
    shown = plotted(CHARTS["two sides"])
    before = path(shown, "square")[-1]
    shown.page.evaluate("() => { host.style.width = '600px'; part.element.style.height = '400px'; }")
    shown.rest()
    shown.assert_legible(14)
    assert max(right for _, _, _, right, _, _ in shown.texts()) > 580
    assert path(shown, "square")[-1][1] > before[1] + 200


def test_the_chart_says_its_values_in_words(plotted):
    svg = plotted(CHARTS["two sides"]).page.locator("svg")
    assert svg.get_attribute("role") == "img"
    assert svg.get_attribute("class") == "toydiff-chart toydiff-over-w"
    label = svg.get_attribute("aria-label")
    assert label.startswith("Chart over weight w. outliers %: 12.5 ± 1.5 at 0, 8.33 ± 1.5 at 0.5")
    assert "branches kept %: 100 ± 1.5 at 0" in label
    assert label.endswith("64 ± 1.5 at 6. Mark at 3.")
    label = plotted(CHARTS["loss"]).page.locator("svg").get_attribute("aria-label")
    assert "training, loss: from 1.3 at 0 to 0.3 at 19,800, lowest 0.3 at 19,800, highest 1.3 at 0." in label
    label = plotted(weight_chart(both(values=[None] * 10))).page.locator("svg").get_attribute("aria-label")
    assert "outliers %: nothing yet." in label
