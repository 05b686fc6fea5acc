"""The front end in the app page, in a real headless Chromium: how it follows the hand, and what stays in its place."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from browser import SEVERAL
from matplotlib.colors import to_rgb
from PIL import Image, ImageFilter

from toydiff.explorer import compute
from toydiff.explorer.compute import QUICK, Quality
from toydiff.explorer.drawing import Canvas
from toydiff.explorer.layers import LAYERS
from toydiff.explorer.state import SIGMAS, State

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

# Notes, at each picture of the screen, where everything stands; `seen` holds what is different.
WATCH = """() => {
    const parts = "canvas, button, select, input, summary, output, td, .toydiff :is(.toydiff-bar, .toydiff-strip, "
        + ".toydiff-head, .toydiff-numbers, .toydiff-legend, .toydiff-curve)";
    Object.assign(window, { seen: new Map(), looks: 0, watching: true });
    const look = () => {
        for (const one of document.querySelectorAll(parts)) {
            if (!one.checkVisibility()) continue;
            const { x, y, width, height } = one.getBoundingClientRect();
            const boxes = seen.get(one) ?? seen.set(one, new Set()).get(one);
            boxes.add([x, y, width, height].map((value) => value.toFixed(1)).join(" "));
        }
        looks += 1;
        if (watching) requestAnimationFrame(look);
    };
    look();
}"""
MOVED = """[...seen].filter(([, boxes]) => boxes.size > 1)
    .map(([one, boxes]) => [one.tagName, one.className, one.textContent.slice(0, 20), ...boxes].join(" | "))"""


@pytest.mark.parametrize("panels", [1, 2, 4])
def test_nothing_else_moves_while_something_is_dragged(explorer, panels):
    """Boxes of pictures, controls, numbers and strip before, during and after."""
    explorer.set(*SEVERAL[panels])
    for width, height in [(1024, 768), (1280, 720), (1920, 1080), (2560, 1440)]:
        explorer.resize(width, height)
        explorer.page.evaluate(WATCH)
        explorer.slide("weight", 0.3, 0.6)
        explorer.slide("step", 0.99, 0.01, 0.97)
        explorer.get("toydiff.store.setLocally({ sigma: 0 })")  # from where it plays the whole way
        explorer.find("play").click()
        explorer.until("toydiff.scene.panels[0].sigma > 0")
        explorer.frames(10)
        explorer.find("play").click()
        explorer.drag(explorer.picture(), (0.5, 0.5), (0.6, 0.4))
        explorer.mouse.wheel(0, -300)
        explorer.drag(explorer.picture(), (0.2, 0.2), (0.7, 0.7), release=False)
        explorer.mouse.up()
        explorer.mouse.move(*explorer.place(explorer.picture(), 0.4, 0.6), steps=5)
        explorer.rest()
        assert explorer.get("looks") > 30
        assert explorer.get(MOVED) == []
        explorer.get("watching = false")
    assert explorer.state(0)["weight"] != 3


# Notes the places of some samples at each picture of the screen.
TRACE = """() => {
    Object.assign(window, { traced: [], tracing: true });
    const look = () => {
        traced.push([...toydiff.points().slice(0, 200)]);
        if (tracing) requestAnimationFrame(look);
    };
    look();
}"""
MOVING = "toydiff.store.pictures[0].points.full === false && !toydiff.store.pictures[0].gliding"


def sampled(explorer, quality):
    return np.asarray(compute.trajectory(explorer.session.state, quality).samples)


def test_the_same_points_while_moving_and_at_rest(explorer):
    """The first half is the same samples, in the same colours and sizes; they glide to the better solution."""
    explorer.set({"points": 2 * QUICK.points, "layers": ["samples"]})
    explorer.session.paused = True  # only what moves is drawn
    explorer.slide("weight", 0.5, 0.3, release=False)
    explorer.until(f"toydiff.store.heard >= toydiff.store.n && !toydiff.store.waiting && {MOVING}")
    moving, picture = explorer.points(), explorer.pixels()
    np.testing.assert_allclose(moving[: QUICK.points], sampled(explorer, QUICK), atol=1e-5)
    assert len(moving) == 2 * QUICK.points
    explorer.mouse.up()
    explorer.frames(10)
    np.testing.assert_array_equal(explorer.points(), moving)  # nothing jumps when the hand lets go
    assert np.abs(explorer.pixels() - picture).max() == 0

    explorer.page.evaluate(TRACE)
    explorer.session.paused = False
    explorer.rest()
    explorer.get("tracing = false")
    rest = explorer.points()
    full = Quality.full(explorer.session.state)
    np.testing.assert_allclose(rest, sampled(explorer, full), atol=1e-5)
    apart = np.linalg.norm(rest - moving, axis=1)[: QUICK.points]
    others = np.linalg.norm(np.roll(rest, 1, axis=0) - moving, axis=1)[: QUICK.points]
    assert np.median(apart) < 0.05 * np.median(others)

    start, end = moving[:100].ravel(), rest[:100].ravel()
    way = np.array(explorer.get("traced"))
    share = (way - start) @ (end - start) / np.sum((end - start) ** 2)
    np.testing.assert_allclose(way, start + share[:, None] * (end - start), atol=1e-4)  # straight on
    assert (np.diff(share) >= -1e-5).all()
    between = (share > 0.01) & (share < 0.99)
    assert between.sum() >= 3
    assert share[0] < 0.01


def test_what_moves_has_the_colours_and_sizes_of_what_rests(explorer):
    """As many points are drawn alike; those that wait for the better solution are faded, the others as ever."""
    inked = {}
    for points in (QUICK.points, 2 * QUICK.points):
        explorer.set({"points": points, "weight": 2.0, "layers": ["samples"]})
        explorer.session.paused = True
        explorer.slide("weight", 0.2, 0.3)
        explorer.until(f"toydiff.store.heard >= toydiff.store.n && !toydiff.store.waiting && {MOVING}")
        inked[points, "moving"] = dark_pixels(explorer)
        explorer.session.paused = False
        explorer.rest()
        inked[points, "rest"] = dark_pixels(explorer)
    few, many = QUICK.points, 2 * QUICK.points
    assert inked[few, "moving"] == pytest.approx(inked[few, "rest"], rel=0.05)
    assert inked[many, "moving"] == pytest.approx(inked[few, "moving"], rel=0.01)
    assert (inked[many, "rest"] > 1.3 * inked[many, "moving"]).all()


def dark_pixels(explorer):
    """How many have the samples' colour, and how many are nearer to it than to white."""
    pixels = explorer.pixels()
    colour = np.array(to_rgb(LAYERS["samples"].colour)) * 255
    return np.array([(np.abs(pixels - colour) < 2).all(-1).sum(), (pixels < 200).all(-1).sum()])


# Keeps how many milliseconds after the last movement each message goes to the kernel.
LISTEN = """() => {
    const { store } = toydiff;
    const send = store.send.bind(store);
    let moved = 0;
    Object.assign(window, { told: [], moves: 0 });
    store.on("scene", () => { moved = performance.now(); moves += 1; });
    store.on("ring", () => { moved = performance.now(); moves += 1; });
    store.send = (...message) => { told.push(performance.now() - moved); send(...message); };
}"""


def test_what_is_drawn_here_is_told_only_when_it_rests(explorer):
    """Zoom, pan, noise, play and hover; Python's scene follows with one message."""
    explorer.page.evaluate(LISTEN)

    def zoom():
        explorer.mouse.move(*explorer.place(explorer.picture(), 0.6, 0.4))
        for _ in range(8):
            explorer.mouse.wheel(0, -40)

    def play():
        explorer.find("play").click()
        explorer.until("toydiff.scene.panels[0].sigma > 1")
        explorer.until("toydiff.scene.panels[0].sigma < 1")
        explorer.find("play").click()

    def hover():
        for x in np.linspace(0.3, 0.7, 12):
            explorer.mouse.move(*explorer.place(explorer.picture(), x, 0.5))

    gestures = {
        "zoom": zoom,
        "pan": lambda: explorer.drag(explorer.picture(), (0.5, 0.5), (0.3, 0.6), steps=12),
        "play": play,
        "noise": lambda: explorer.slide("step", 0.9, 0.6, steps=12),
        "hover": hover,
    }
    for name, act in gestures.items():
        explorer.get("(told.length = 0, moves = 0)")
        act()
        assert explorer.get("moves") >= 8, name
        explorer.until("!toydiff.store.lazy && toydiff.store.heard >= toydiff.store.n")
        told = explorer.get("told")
        assert min(told, default=1000) > 300, (name, told)
        assert bool(told) == (name != "hover")
        assert explorer.session.state == State.from_json(explorer.state()), name


def test_the_noise_slider_stops_where_the_solver_does(explorer):
    for place in (32, 64, 96, 120):
        explorer.find("step").evaluate("(one, at) => { one.value = at; one.dispatchEvent(new Event('input')); }", place)
        explorer.frames()
        state = replace(explorer.session.state, sigma=SIGMAS[place // 4])
        assert explorer.state()["sigma"] == pytest.approx(state.sigma)
        wanted = np.asarray(compute.trajectory(state, Quality.full(state)).x)[place // 4]
        np.testing.assert_allclose(explorer.points(), wanted, atol=0.001 * max(1, np.abs(wanted).max()))


def blurred(pixels):
    """Averages over five pixels: lines and discs are smoothed in other ways."""
    return np.asarray(Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.BoxBlur(2)), float)


def difference(one, other):
    return np.abs(blurred(one) - blurred(other)).mean()


def test_each_layer_is_drawn_as_matplotlib_draws_it(explorer):
    """Switched on and off by its own switch.

    A tenth of the ink may be elsewhere, for lines are smoothed in another way, and of points, which are little more
    than pixels, a quarter; another weight, noise level and view are much further away.
    """
    canvas = Canvas(explorer.picture().evaluate("(one) => one.width"))

    def painted(state):
        full = Quality.full(state)
        return np.asarray(canvas.paint(state, full).convert("RGB"), float)

    def shown():
        explorer.set()  # until it is true
        explorer.frames()
        return explorer.pixels()

    explorer.find("more").click()
    for kind, sigma in (("", 0.0), ("field", 0.3), ("arrows", 0.3)):
        explorer.set({"layers": [], "sigma": sigma})
        assert shown().min() == 255
        for name in (name for name, row in LAYERS.items() if row.kind == kind):
            explorer.find(f"layer-{name}").check()
            here, state = shown(), explorer.session.state
            assert state.layers == (name,)
            there = painted(state)
            near, ink = difference(here, there), (255 - there).mean()
            assert near < (0.3 if name in ("samples", "outliers") else 0.15) * ink, name
            x, y, half_width = state.view
            other = replace(state, weight=1.0, sigma=1.5 * sigma, view=(x + 0.05, y, half_width))
            assert difference(here, painted(other)) > 2 * near, name
            explorer.find(f"layer-{name}").uncheck()
            assert shown().min() == 255


# Another view, and the picture as it is drawn of it at once.
MOVE = """async (view) => {
    toydiff.store.setLocally({ view });
    await new Promise((drawn) => requestAnimationFrame(drawn));
    return { rough: toydiff.store.pictures[0].rough, png: document.querySelector(".toydiff-picture").toDataURL() };
}"""


def test_what_lies_behind_follows_the_view_and_is_sharp_at_rest(explorer):
    """Moved along while the view moves, by little and beyond what was drawn; the picture at rest is one drawn anew."""
    for kind, sigma in (("outlines", 0.0), ("density_main", 0.3)):
        explorer.set({"layers": [kind], "sigma": sigma})
        home = explorer.state()["view"]
        for dx, dy, zoom in ((0.02, 0, 1), (0.3, -0.2, 1), (0, 0, 0.7)):
            explorer.set({"view": home})
            explorer.frames()
            before = explorer.pixels()
            view = {"x": home["x"] + dx, "y": home["y"] + dy, "half_width": zoom * home["half_width"]}
            moving = explorer.page.evaluate(MOVE, view)
            assert moving["rough"]
            shot = Image.open(io.BytesIO(base64.b64decode(moving["png"].partition(",")[2])))
            moving = np.asarray(shot.convert("RGB"), float)
            explorer.until("!toydiff.store.pictures[0].gliding")
            assert difference(moving, explorer.pixels()) < 0.3 * difference(before, explorer.pixels()), (kind, view)
            explorer.set()  # until it is true
            resting = explorer.pixels()
            explorer.set({"layers": []})
            explorer.set({"layers": [kind]})
            explorer.frames()
            assert (explorer.pixels() == resting).all(), (kind, view)
