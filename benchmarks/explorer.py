"""How fast the explorer follows: measured in a headless Chromium, in JupyterLab, as a person sees it.

Run by `make bench`. Medians and 95th percentiles of one run, beside the time that the sampling alone takes on this
machine. The weight's slider is moved by its keys at irregular moments (a regular
beat would fall in step with the screen's); a picture counts when it is on the screen.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import CHROMIUM, Page, chromium, run_all, served  # noqa: F401  (the first is asked for by run.py)

from toydiff.explorer import compute
from toydiff.explorer.state import State
from toydiff.networks.adam import STEPS_PER_CALL
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import train

EVENTS = 60
TRAIN_STEPS = 512
ROUNDS = 3

DRAG = """async ([events, key]) => {
    const picture = document.querySelector(".toydiff-picture");
    const handle = document.querySelector(".toydiff-weight .noUi-handle");
    const until = (full) => new Promise((resolve) => {
        const observer = new MutationObserver(() => {
            if (full && picture.dataset.full !== "true") return;
            observer.disconnect();
            resolve(performance.now());
        });
        observer.observe(picture, { attributes: true, attributeFilter: ["data-frame"] });
    });
    const times = [];
    let moved = 0;
    for (let i = 0; i < events; i++) {
        const shown = until(false);
        moved = performance.now();
        handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        times.push(await shown - moved);
        if (i + 1 < events) await new Promise((resolve) => setTimeout(resolve, 5 + 30 * Math.random()));
    }
    const quick = performance.now();
    return { times, rest: await until(true) - quick };
}"""

# Resolves with the milliseconds from the next movement of the mouse to the next picture on the screen.
MOVE = """() => { window.moved = new Promise((resolve) => {
    const picture = document.querySelector(".toydiff-picture");
    let moved = null;
    const move = () => { moved = performance.now(); };
    picture.addEventListener("pointermove", move, { once: true });
    const observer = new MutationObserver(() => {
        if (moved === null) return;
        observer.disconnect();
        resolve(performance.now() - moved);
    });
    observer.observe(picture, { attributes: true, attributeFilter: ["data-frame"] });
}); }"""


def drag_the_probe(explorer):
    """Milliseconds from each of the mouse's movements to its picture, with the real mouse, at half the noise levels."""
    explorer.drag("step", ["ArrowLeft"] * 12)
    explorer.picture()
    explorer.click("probing")
    explorer.picture()
    box = explorer.find(".toydiff-picture").bounding_box()
    mouse, random, times = explorer.page.mouse, np.random.default_rng(0), []
    mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    mouse.down()
    explorer.page.wait_for_timeout(1000)
    for x, y in random.uniform(0.3, 0.7, (EVENTS, 2)):
        explorer.page.evaluate(MOVE)
        mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        times.append(explorer.page.evaluate("() => window.moved"))
        explorer.page.wait_for_timeout(5 + 30 * random.random())
    mouse.up()
    return times


# Resolves, when networks stand in the menus, with the milliseconds a step from the first report of steps on.
TRAIN = """() => new Promise((resolve) => {
    const status = document.querySelector(".toydiff-train-status");
    let first = null;
    const observer = new MutationObserver(() => {
        const step = /step (\\d+) of/.exec(status.textContent);
        if (step && first === null) first = [Number(step[1]), performance.now()];
        if (!status.textContent.includes("stands in the menus")) return;
        observer.disconnect();
        resolve((performance.now() - first[1]) / (%d - first[0]));
    });
    observer.observe(status, { childList: true, subtree: true, characterData: true });
    document.querySelector(".toydiff-button-train").click();
})"""


def training(explorer):
    """Milliseconds a step of the paper's main model: in the notebook, its pictures included, and by `train` alone."""
    explorer.tab("Train")
    explorer.find(".toydiff-train-classes select").select_option(label="A")
    for name, value in (("widths", "64"), ("steps", str(TRAIN_STEPS))):
        explorer.type(f"train-{name}", value)
    alone, beside = [], []
    for _ in range(ROUNDS):
        times = []
        train(
            Recipe(widths=(64,)),
            TRAIN_STEPS,
            progress=False,
            on_progress=lambda _, t=times: t.append(time.perf_counter()),
        )
        alone.append(1000 * (times[-1] - times[0]) / (TRAIN_STEPS - STEPS_PER_CALL))
        beside.append(explorer.page.evaluate(TRAIN % TRAIN_STEPS))
    return median(alone), median(beside)


def seconds_to_first_picture(browser, address):
    """From the moment Run All is taken in a fresh kernel."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(address)
    clicked = run_all(page)
    explorer = Page(page)
    explorer.wait_for_picture()
    return explorer, time.perf_counter() - clicked


def sampling_alone():
    """Median milliseconds of one quick sampling in this process, without a browser."""
    times = []
    for weight in np.linspace(1, 3, 22):
        start = time.perf_counter()
        compute.trajectory(replace(State(), weight=float(weight)), compute.QUICK)
        times.append(1000 * (time.perf_counter() - start))
    return median(times[2:])


def measure():
    """What was measured, as (name, value with its unit, aim)."""
    sampling = sampling_alone()
    folder = Path(tempfile.mkdtemp())
    first = []
    with chromium() as browser:
        for _ in range(2):
            with served(folder, XDG_CACHE_HOME=str(folder / "cache")) as address:
                explorer, seconds = seconds_to_first_picture(browser, address)
                first.append(seconds)
                if len(first) == 1:
                    explorer.page.close()
                    continue
                explorer.page.wait_for_timeout(90_000)  # until what is compiled ahead is compiled
                rounds = []
                for i in range(ROUNDS):
                    explorer.picture()
                    explorer.page.wait_for_timeout(3000)
                    rounds.append(explorer.page.evaluate(DRAG, [EVENTS, "ArrowLeft" if i % 2 else "ArrowRight"]))
                probed = drag_the_probe(explorer)
                alone, beside = training(explorer)
    times = np.concatenate([r["times"] for r in rounds])
    return [
        ("slider to picture, median", f"{median(times):.0f} ms", "60 ms"),
        ("slider to picture, 95th percentile", f"{np.quantile(times, 0.95):.0f} ms", "120 ms"),
        ("rest to full quality, median", f"{median(r['rest'] for r in rounds):.0f} ms", "700 ms"),
        ("probe to picture, median", f"{median(probed):.0f} ms", "60 ms"),
        ("probe to picture, 95th percentile", f"{np.quantile(probed, 0.95):.0f} ms", ""),
        ("training in the notebook, times that alone", f"{beside / alone:.2f}", "1.2"),
        ("of it: a step of the main model alone", f"{alone:.1f} ms", ""),
        ("Run All to first picture, nothing compiled", f"{first[0]:.1f} s", "8 s"),
        ("Run All to first picture, the second time", f"{first[1]:.1f} s", "4 s"),
        ("of the first: sampling alone, no browser", f"{sampling:.0f} ms", ""),
    ]
