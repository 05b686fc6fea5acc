"""The front end in the app page, in a real headless Chromium: bad frames and scenes, windows and servers that go."""

import json

import numpy as np
import pytest
from browser import App

from toydiff.explorer.scene import Scene

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

# Keeps the messages with points as they come.
KEEP = """() => {
    const { store } = toydiff;
    window.took = store.take.bind(store);
    window.kept = [];
    store.take = (message, buffers) => {
        if (message?.frame?.frame === "points") kept.push([message, buffers]);
        took(message, buffers);
    };
}"""
# What could come in place of the newest points: `arg` says how it is broken. Its serial is the next one.
BREAK = """(how) => {
    const [message, buffers] = kept.at(-1);
    const next = { ...message, serial: message.serial + 1000 };
    const frame = (change) => ({ ...next, frame: { ...message.frame, ...change } });
    const short = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength - 4);
    const [now, out, ways] = buffers;
    took(...({
        late: () => kept[0],
        twice: () => kept.at(-1),
        "of another panel": () => [frame({ panel: 7 }), buffers],
        "of a panel below 0": () => [frame({ panel: -1 }), buffers],
        "without buffers": () => [next, []],
        "cut short": () => [next, [short(now), out, ways]],
        "with few bits": () => [next, [now, new DataView(out.buffer, out.byteOffset, 3), ways]],
        "with short ways": () => [next, [now, out, short(ways)]],
        "with another count": () => [frame({ count: message.frame.count + 1 }), buffers],
        "of an unknown kind": () => [frame({ frame: "dust" }), buffers],
        "a short field": () => [frame({ frame: "field", layer: "ratio", size: 999 }), buffers],
        "short arrows": () => [frame({ frame: "arrows", layer: "arrows_main" }), [short(now)]],
        "short outlines": () => [frame({ frame: "outlines", items: [{ counts: [5] }] }), [short(now)]],
        "no object": () => ["points", buffers],
        "a number": () => [7, buffers],
    })[how]());
}"""
KINDS = [
    "late", "twice", "of another panel", "of a panel below 0", "without buffers", "cut short", "with few bits",
    "with short ways", "with another count", "of an unknown kind", "a short field", "short arrows", "short outlines",
    "no object", "a number",
]  # fmt: skip


@pytest.fixture
def own(browser, app):
    """A tab for one test, which leaves in it what no scene takes away."""
    with app.tab(browser) as explorer:
        yield explorer


def test_frames_that_are_late_doubled_or_broken_change_nothing(own):
    explorer = own
    explorer.page.evaluate(KEEP)
    for weight in (2.0, 2.5):
        explorer.set({"weight": weight})
    points, picture = explorer.points(), explorer.pixels()
    for kind in KINDS:
        explorer.page.evaluate(BREAK, kind)
        explorer.frames()
        np.testing.assert_array_equal(explorer.points(), points, err_msg=kind)
        assert np.abs(explorer.pixels() - picture).max() == 0, kind
        assert explorer.errors == [], kind
    explorer.page.evaluate("() => { const [message, buffers] = kept[0]; took({ ...message, serial: 1e6 }, buffers); }")
    explorer.until("!toydiff.store.pictures[0].gliding")
    assert np.abs(explorer.points() - points).max() > 0.1  # as a frame that is news does


def test_points_that_are_no_numbers_are_nowhere(own):
    """And where they become numbers again, they are shown again."""
    explorer = own
    explorer.set({"layers": ["samples"]})
    explorer.page.evaluate("""() => {
        const [picture] = toydiff.store.pictures;
        const { count } = picture.points;
        const bad = (k) => (k % 8 < 2 ? NaN : Infinity);
        const broken = Float32Array.from(toydiff.points(), (value, k) => (k % 8 < 4 ? bad(k) : value));
        const frame = { panel: 0, frame: "points", count, full: true, sigma: 0 };
        const out = new Uint8Array(Math.ceil(count / 8));
        toydiff.store.take({ frame, serial: 1e6, heard: {} }, [broken, out].map((one) => new DataView(one.buffer)));
    }""")
    explorer.until("!toydiff.store.pictures[0].gliding")
    explorer.frames()
    seen = explorer.points()
    np.testing.assert_array_equal(np.isfinite(seen).all(-1), np.arange(len(seen)) % 4 >= 2)
    assert (explorer.pixels() < 128).sum() > 1000
    explorer.get("Object.assign(toydiff.store.pictures[0], { serials: {} }) && 0")
    explorer.set({"layers": ["samples"], "weight": 2.5})
    assert np.isfinite(explorer.points()).all()


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("{ colour: 'red' }", "unknown field 'colour'"),
        ("{ panels: [{ ...arg, colour: 1 }] }", "unknown field 'colour'"),
        ("{ panels: [{ ...arg, weight: NaN }] }", "weight is None"),
        ("{ panels: [{ ...arg, weight: 'heavy' }] }", "weight is 'heavy'"),
        ("{ panels: [{ ...arg, method: 'magic' }] }", "method 'magic'"),
        ("{ panels: [{ ...arg, layers: ['fog'] }] }", "layer 'fog'"),
        ("{ panels: [arg, arg, arg, arg, arg] }", "5 panels"),
        ("{ title: 7 }", "title"),
    ],
)
def test_a_scene_that_cannot_be_is_said_and_taken_back(explorer, scene, words):
    before = explorer.get("toydiff.scene")
    explorer.page.evaluate(f"async (arg) => {{ await toydiff.set({scene}); }}", explorer.state())
    explorer.says(words)
    assert explorer.get("toydiff.scene") == before
    assert explorer.session.scene == Scene.from_json(json.dumps(before))
    explorer.slide("weight", 0.2, 0.3)  # what was said goes with the next change
    explorer.until("document.querySelector('.toydiff-message').hidden")
    explorer.rest()


def test_markup_from_people_is_text(explorer):
    text = "<img src=x onerror=\"document.title='owned'\"><b>1 < 2 & 3</b>"
    explorer.page.evaluate("(text) => toydiff.set({ title: text, question: text })", text)
    explorer.page.evaluate("(title) => toydiff.store.act('add-view', { title, question: title, hidden: [] })", text)
    explorer.until("toydiff.store.named === arg", text)
    explorer.frames()
    assert explorer.find("scene-title").locator("h2").inner_text() == text
    assert explorer.find("scene-title").locator("p").inner_text() == text
    assert explorer.find("scene").evaluate("(one) => one.selectedOptions[0].text") == text
    explorer.find("more").click()
    explorer.page.evaluate("(text) => toydiff.store.choose('method', text)", text)
    explorer.says("img src")
    explorer.page.evaluate("(text) => toydiff.store.emit('train', { fraction: 1, status: text, running: false })", text)
    assert explorer.get("document.querySelectorAll('.toydiff :is(img, b)').length") == 0
    assert explorer.page.title() == "toydiff"


def test_of_ten_thousand_movements_the_last_one_wins(explorer):
    received = []
    take = explorer.session.receive
    explorer.session.receive = lambda *message: (received.append(message), take(*message))
    explorer.page.evaluate("""async () => {
        const slider = document.querySelector("input.toydiff-weight");
        for (let i = 1; i <= 10_000; i++) {
            slider.value = (slider.max * ((i * 7 + 200) % 500)) / 500;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            if (i % 200 === 0) await new Promise((drawn) => requestAnimationFrame(drawn));
        }
    }""")
    explorer.rest()
    del explorer.session.receive
    assert explorer.state()["weight"] == pytest.approx(2.4)
    assert explorer.session.state.weight == pytest.approx(2.4)
    assert len(received) < 200


def test_window_and_screen_may_change_in_mid_drag(own):
    """The picture is drawn anew in whole pixels of the screen, and the hand keeps what it holds."""
    explorer = own
    screen = explorer.page.context.new_cdp_session(explorer.page)
    explorer.set({"probe": [0, 0.3]})
    box = explorer.picture().bounding_box()
    explorer.mouse.move(box["x"] + 300, box["y"] + 300)
    explorer.mouse.down()
    for width, height, density in [(1100, 720, 1), (1280, 720, 2), (1920, 1080, 1.5), (640, 360, 2), (1280, 720, 1)]:
        size = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
        screen.send("Emulation.setDeviceMetricsOverride", size)
        explorer.until("innerWidth === arg[0] && devicePixelRatio === arg[1]", [width, density])
        explorer.frames()
        box = explorer.picture().bounding_box()
        assert explorer.picture().evaluate("(one) => one.width") == round(box["width"] * density)
        explorer.mouse.move(box["x"] + 200, box["y"] + 150)
        explorer.frames()
        assert_probe_is_at(explorer, 200 / box["width"], 150 / box["width"])
    explorer.mouse.up()
    explorer.rest()
    assert explorer.session.state.probe == pytest.approx(explorer.state()["probe"])


def assert_probe_is_at(explorer, x, y):
    state = explorer.state()
    view = state["view"]
    seen = (np.array(state["probe"]) - [view["x"], view["y"]]) / (2 * view["half_width"])
    assert seen == pytest.approx((x - 0.5, 0.5 - y), abs=1.5 / explorer.picture().bounding_box()["width"])


def test_a_lost_connection_is_said_and_comes_back(browser, app):
    """With the scene that stands in the page."""
    with app.tab(browser) as explorer:
        explorer.slide("weight", 0.3, 0.5, release=False)
        (first,) = (page.session for page in app.server.pages if page.session is explorer.session)
        app.drop()
        explorer.says("Python does not answer")
        explorer.mouse.move(*explorer.place(explorer.find("weight"), 0.8, 0.5))
        explorer.mouse.up()
        weight = explorer.state()["weight"]
        assert weight > 4
        explorer.until("document.querySelector('.toydiff-message').hidden")
        explorer.rest()
        assert explorer.state()["weight"] == weight
        assert app.sessions[-1] is not first


def test_a_server_that_dies_in_a_drag_is_said(browser, few_draws_throughout, nothing_ahead):
    with App().serve() as app, app.tab(browser) as explorer:
        explorer.slide("weight", 0.3, 0.5, release=False)
        app.drop(for_good=True)
        explorer.says("Python does not answer.* start toydiff explore again")
        for share in (0.6, 0.4, 0.2):
            explorer.mouse.move(*explorer.place(explorer.find("weight"), share, 0.5))
            explorer.frames()
        explorer.mouse.up()
        assert explorer.state()["weight"] == pytest.approx(6 * 0.2, abs=0.2)  # what is here goes on
        explorer.slide("step", 0.9, 0.5)
        assert explorer.state()["sigma"] > 0
        assert explorer.find("message").is_visible()
