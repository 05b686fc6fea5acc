"""How fast the explorer follows and how it fills the window: measured in a headless Chromium, as a person sees it.

Run by `make bench`; by itself `python benchmarks/explorer.py [--json FILE]`. The weight's slider is moved at irregular
moments (a regular beat would fall in step with the screen's); points count when they are drawn.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import CHROMIUM as CHROMIUM  # noqa: PLC0414 - run.py asks for it
from browser import CONTROLS, SHARE, SMALLEST, chromium, run_all, served

from toydiff.explorer import compute
from toydiff.explorer.app.address import LOOPBACK, Address
from toydiff.explorer.app.app_server import AppServer
from toydiff.explorer.app.framing import pack, unpack
from toydiff.explorer.session import Session
from toydiff.explorer.state import State

EVENTS, ROUNDS, TABS = 60, 3, 30
WINDOWS = (1280, 720), (1920, 1080)
AHEAD_MS = 40_000  # until what is compiled ahead is compiled
READY = "() => Boolean(globalThis.toydiff?.scene && toydiff.points().length)"
OWN = "() => Boolean(globalThis.toydiff?.store.serial && toydiff.store.pictures[0].serials.points >= 1)"

# Milliseconds from each movement of the slider to its points, between two weights.
DRAG = """async ([events, low, high]) => {
    const { store } = toydiff;
    const slider = document.querySelector("input.toydiff-weight");
    let drew = () => {};
    store.on("frame", (frame) => frame?.frame === "points" && drew());
    const times = [];
    for (let i = 0; i < events; i++) {
        const before = slider.value;
        const part = (i + Math.random()) / events;
        slider.value = (slider.max / 6) * (low + part * (high - low));
        if (slider.value === before) continue; // nothing to draw
        const drawn = new Promise((done) => { drew = done; });
        const moved = performance.now();
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        await drawn;
        times.push(performance.now() - moved);
        await new Promise((done) => setTimeout(done, 5 + 30 * Math.random()));
    }
    return times;
}"""

# The same of the probe, in the middle of the noise levels.
PROBE = """async (events) => {
    const { store } = toydiff;
    let drew = () => {};
    store.on("frame", (frame) => frame?.frame === "probe" && drew());
    const times = [];
    for (let i = 0; i < events; i++) {
        const drawn = new Promise((done) => { drew = done; });
        const moved = performance.now();
        store.set({ probe: [0.8 * Math.random(), 0.8 * Math.random()] });
        await drawn;
        times.push(performance.now() - moved);
        await new Promise((done) => setTimeout(done, 5 + 30 * Math.random()));
    }
    return times;
}"""

# Pictures a second while the view and the noise level move every time, and the messages that this takes.
LOCAL = """async (pictures) => {
    const { store } = toydiff;
    const next = () => new Promise((done) => requestAnimationFrame(done));
    const before = store.sent;
    const began = await next();
    for (let i = 0; i < pictures; i++) {
        const { view } = store.state;
        const x = view.x + 0.002 * Math.sin(i / 9);
        store.setLocally({ view: { ...view, x }, sigma: 0.3 + 0.3 * Math.sin(i / 20) });
        await next();
    }
    const seconds = (performance.now() - began) / 1000;
    return { rate: pictures / seconds, sent: store.sent - before };
}"""

# Python is far away: messages to it come 150 ms late, and those from it; then the page asks for what it needs.
FAR = """async () => {
    const { store } = toydiff;
    const { host } = store;
    const [send, take] = [host.send.bind(host), store.take.bind(store)];
    host.send = (...message) => setTimeout(() => send(...message), 150);
    store.take = (...message) => setTimeout(() => take(...message), 150);
    for (let i = 0; i < 5; i++) {
        store.set({ weight: 2 + 0.1 * i });
        while (store.heard < store.n || store.waiting) await new Promise((soon) => setTimeout(soon, 20));
    }
    while (!store.pictures[0].kit) await new Promise((soon) => setTimeout(soon, 20));
}"""

# Milliseconds of the page's own engine for so many points and 9 guided evaluations, in its workers.
ENGINE = """async (count) => {
    const { store } = toydiff;
    const kit = { ...store.pictures[0].kit, count };
    const times = [];
    for (let i = 0; i < 90; i++) {
        const began = performance.now();
        await store.live.points(kit, { ...store.state, weight: 1 + i / 45 });
        times.push(performance.now() - began);
    }
    return times.slice(60); // before, the browser has not yet compiled it in full
}"""

PANELS = """async ([n, title, question]) => {
    await toydiff.set({ panels: Array(n).fill(toydiff.scene.panels[0]), active: 0, title, question });
}"""


def wait(page, condition, seconds=120):
    """Until a function of the page is true; its policy forbids Playwright's own."""
    began = time.perf_counter()
    while not page.evaluate(condition):
        if time.perf_counter() > began + seconds:
            raise TimeoutError(condition)
        page.wait_for_timeout(10)


def first_pictures(browser, address, app):
    """Seconds to something true and to the first own points: from Run All, or from the command; and the page."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    began = time.perf_counter()
    page.goto(address)
    began = began if app else run_all(page)
    wait(page, READY)
    true = time.perf_counter() - began
    wait(page, OWN)
    return page, true, time.perf_counter() - began


def drags(page):
    """Milliseconds of the slider, normal and strong, and of the probe."""
    normal, strong = [], []
    for _ in range(ROUNDS):
        for kind, weights in ((normal, (1, 3)), (strong, (3, 6))):
            page.wait_for_timeout(3000)
            kind.extend(page.evaluate(DRAG, [EVENTS, *weights]))
    page.evaluate("() => toydiff.set({ ...toydiff.scene })")
    page.evaluate("() => toydiff.store.set({ sigma: 0.25, probe: [0.4, 0.4] })")
    page.wait_for_timeout(3000)
    return normal, strong, page.evaluate(PROBE, EVENTS)


def shares(page):
    """The part of each window that pictures fill, by number, and in a lecture of two; and the smallest text."""
    found, smallest = {}, {}
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        for n in (1, 2, 4):
            page.evaluate(PANELS, [n, "", ""])
            page.wait_for_timeout(300)
            found[f"{width}x{height}/{n}"] = round(page.evaluate(f"() => ({SHARE})"), 3)
            if n == 1:
                smallest[f"{width}x{height}"] = page.evaluate(f"() => ({SMALLEST})")
            if n == 2:
                page.evaluate(PANELS, [2, "Which of them keeps the branches?", "Guess before you drag."])
                page.select_option(".toydiff-present", "weight")
                page.wait_for_timeout(300)
                found[f"{width}x{height}/lecture"] = round(page.evaluate(f"() => ({SHARE})"), 3)
                page.keyboard.press("Escape")
    return found, smallest


def app_first():
    """Seconds from the command to something true on the screen, nothing compiled; with Chromium running."""
    folder = Path(tempfile.mkdtemp())
    with chromium() as browser:
        began = time.perf_counter()
        with served(folder, app=True, XDG_CACHE_HOME=str(folder / "cache")) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(address)
            wait(page, READY)
            true = time.perf_counter() - began
            wait(page, OWN)
            own = time.perf_counter() - began
            controls, share, smallest = _of_the_app(page)
            page.evaluate(PANELS, [1, "", ""])
            return true, own, controls, share, smallest, far_away(page)


def far_away(page):
    """The slider where Python is far away, and the page's engine by itself."""
    page.wait_for_timeout(3000)
    page.evaluate(FAR)
    page.wait_for_timeout(AHEAD_MS)
    page.evaluate(DRAG, [EVENTS, 1, 3])
    times = [time for _ in range(ROUNDS) for time in page.evaluate(DRAG, [EVENTS, 1, 3])]
    found = {f"engine_{count}_ms": median(page.evaluate(ENGINE, count)) for count in (1024, 2048)}
    return found | {"far_slider_median_ms": median(times), "far_slider_p95_ms": float(np.quantile(times, 0.95))}


def _of_the_app(page):
    controls = page.evaluate(f"() => ({CONTROLS}).length")
    return controls, *shares(page)


async def _answer(tab, name):
    """The next message of a tab that has it."""
    while True:
        message, _ = unpack(await tab.read_message())
        if name in message or message.get("frame", {}).get("frame") == name:
            return


async def _tabs():
    """Of the app's server: seconds to a further tab, its megabytes, and an answer while thirty drag in turn."""
    opened, answered, tabs = [], [], []
    async with AppServer(Address(LOOPBACK, None), lambda: Session) as server:
        for n in range(TABS + 1):
            began = time.perf_counter()
            headers = {"Cookie": "{}={}".format(*server.address.cookie)}
            request = HTTPRequest(f"ws://{LOOPBACK}:{server.address.port}/socket", headers=headers)
            tabs.append(await websocket_connect(request))
            await tabs[-1].write_message(pack({"hello": f"tab {n}"}))
            await _answer(tabs[-1], "true")
            opened.append(time.perf_counter() - began)
            await _answer(tabs[-1], "rest")
            if n == 0:
                before = _resident_mb()
        grown = (_resident_mb() - before) / TABS
        for n in range(10 * TABS):
            began = time.perf_counter()
            await tabs[n % TABS].write_message(pack({"set": {"weight": 1 + n / 300}, "n": n + 1, "view": "a"}))
            await _answer(tabs[n % TABS], "points")
            answered.append(1000 * (time.perf_counter() - began))
    return {"app_tab_s": median(opened[1:]), "app_tab_mb": grown, "app_thirty_answer_ms": median(answered[TABS:])}


def _resident_mb():
    if sys.platform != "linux":  # the most that there was, elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def sampling_alone():
    """Median milliseconds of one quick sampling in this process, without a browser."""
    times = []
    for weight in np.linspace(1, 3, 22):
        start = time.perf_counter()
        compute.trajectory(replace(State(), weight=float(weight)), compute.QUICK)
        times.append(1000 * (time.perf_counter() - start))
    return median(times[2:])


def figures():
    """All that is measured, by name."""
    folder = Path(tempfile.mkdtemp())
    found = {"sampling_alone_ms": sampling_alone()}
    with chromium() as browser:
        for again in ("", "_again"):
            with served(folder, XDG_CACHE_HOME=str(folder / "cache")) as address:
                page, true, own = first_pictures(browser, address, app=False)
                found |= {f"first_true{again}_s": true, f"first_own{again}_s": own}
                if not again:
                    page.close()
                    continue
                page.wait_for_timeout(AHEAD_MS)
                normal, strong, probe = drags(page)
                page.evaluate("() => toydiff.store.set({ probe: null })")
                page.wait_for_timeout(3000)
                local = page.evaluate(LOCAL, 240)
    for name, times in (("slider", normal), ("slider_strong", strong), ("probe", probe)):
        found |= {f"{name}_median_ms": median(times), f"{name}_p95_ms": float(np.quantile(times, 0.95))}
    found |= {"local_frames_per_s": local["rate"], "local_messages": local["sent"]}
    true, own, controls, share, smallest, far = app_first()
    found |= far
    found |= {"app_first_s": true, "app_own_s": own, "controls_first": controls}
    found |= asyncio.run(_tabs())
    return found | {"picture_share": share, "smallest_text_px": smallest}


AIMS = {
    "slider_median_ms": "40", "slider_p95_ms": "60", "slider_strong_median_ms": "55", "slider_strong_p95_ms": "80",
    "probe_median_ms": "40", "probe_p95_ms": "60", "local_frames_per_s": "60", "local_messages": "0",
    "first_true_s": "1.5", "first_own_s": "5", "first_own_again_s": "3", "app_first_s": "4", "controls_first": "14",
    "app_tab_s": "1", "app_tab_mb": "20", "engine_1024_ms": "18", "engine_2048_ms": "35", "far_slider_median_ms": "30",
    "far_slider_p95_ms": "45",
}  # fmt: skip


def measure():
    """What was measured, as (name, value, aim), for `run.py`."""
    rows = []
    for name, value in figures().items():
        for key, one in value.items() if isinstance(value, dict) else [("", value)]:
            rows.append((f"{name} {key}".strip(), f"{one:.3g}", AIMS.get(name, "")))
    return rows


def main():
    """Measure, print, and write as JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    path = parser.parse_args().json
    found = figures()
    text = json.dumps(found, indent=1)
    print(text)
    if path:
        path.write_text(text + "\n")


if __name__ == "__main__":
    main()
