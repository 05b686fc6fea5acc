"""A headless Chromium, a served explorer, and its page as a person uses it; for the tests and the benchmark."""

import asyncio
import io
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CFG = {"method": "cfg", "weight": 4}
SEVERAL = {1: [{}], 2: [{}, CFG], 3: [{}, CFG, {"weight": 1.5}], 4: [{}, CFG, {"method": "unguided"}, {"weight": 1.5}]}
LECTURE = {"title": "Which weight is best?", "question": "Guess first: 1, 2 or 4?"}
"""For `Page.set`: panels by their number, and what stands above them."""
SHARE = """[...document.querySelectorAll(".toydiff-picture")].filter((one) => one.checkVisibility())
    .reduce((sum, one) => sum + one.clientWidth * one.clientHeight, 0) / (innerWidth * innerHeight)"""
CONTROLS = """[...document.querySelectorAll(".toydiff :is(button, input, select, textarea, summary)")]
    .filter((one) => one.checkVisibility())"""
TEXTS = """[...document.querySelectorAll(".toydiff *")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && (one.matches("select, input[type=text]")
        || [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())))"""
SMALLEST = f"Math.min(...{TEXTS}.map((one) => parseFloat(getComputedStyle(one).fontSize)))"
"""For `Page.get`: the pictures' share of the window, the controls and the texts that are visible, and their size."""
OPEN_ALL = "document.querySelectorAll('.toydiff details').forEach((one) => { one.open = true; })"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium():
    """The system's Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(folder, app=False, **environment):
    """The address of `toydiff explore --no-browser` in `folder`, or of its `--app`; stopped by the server's own id."""
    log = folder / ("app-log" if app else "log")
    with log.open("w") as file:
        command = [sys.executable, "-m", "toydiff", "explore", "--no-browser", *(["--app"] if app else [])]
        server = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, env=os.environ | environment
        )
    try:
        for _ in range(1200):
            found = re.search(r"http://127\.0\.0\.1:\d+/\S+", log.read_text())
            if found and _answers(found[0]):
                break
            time.sleep(0.05)
        else:
            raise TimeoutError(f"no server: {log.read_text()[-2000:]}")
        yield found[0]
    finally:
        server.send_signal(2)
        server.wait(30)


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


class Page:
    """The explorer in a tab, as a person uses it; `root` chooses one of several, `session` is its Python, if here.

    Conditions are asked for again and again: what Playwright itself waits with is forbidden by the app page's policy.
    """

    def __init__(self, page, root="", session=None):
        self.page, self.root, self.session = page, root, session
        self.mouse, self.errors = page.mouse, []
        page.on("pageerror", lambda error: self.errors.append(error.stack))

    def find(self, name):
        return self.page.locator(f"{self.root} .toydiff-{name}")

    def picture(self, panel=0):
        return self.find("picture").nth(panel)

    def get(self, expression, arg=None):
        """The value of a JavaScript expression, in which `arg` is the argument."""
        return self.page.evaluate(f"(arg) => ({expression})", arg)

    def until(self, expression, arg=None, seconds=60):
        """Wait until an expression is true; its value."""
        end = time.monotonic() + seconds
        while not (value := self.get(expression, arg)):
            if self.errors or time.monotonic() > end:
                raise TimeoutError(f"it never came to {expression}, {arg}; errors: {self.errors}")
            self.page.wait_for_timeout(10)
        return value

    def says(self, pattern):
        """Wait for a message that matches a regular expression."""
        self.find("message").filter(has_text=re.compile(pattern), visible=True).wait_for(timeout=30_000)

    def wait_for_picture(self):
        """Until points of its own are there, and not only those that it was opened with."""
        self.until("Boolean(globalThis.toydiff?.store?.serial && toydiff.store.pictures[0].serials.points >= 1)")

    def rest(self):
        """Wait until all is true, and nothing moves."""
        self.until(
            "!toydiff.store.lazy && !toydiff.store.waiting && toydiff.store.heard >= toydiff.store.n"
            " && toydiff.store.pictures.every((one) => one.points?.full && one.numbers?.full && !one.gliding)"
            " && !toydiff.store.pictures.some((one) => Object.keys(one.stale).length)"
        )

    def fresh(self, scene):
        """Show a scene as in a new tab: nothing is enlarged, presented or open, and the pointer is elsewhere."""
        self.mouse.move(0, 0)
        self.page.set_viewport_size({"width": 1280, "height": 720})
        self.page.evaluate(
            """async (scene) => {
            toydiff.store.ui = {};
            const drawer = document.querySelector(".toydiff-drawer");
            if (!drawer.hidden) document.querySelector(".toydiff-more").click();
            document.activeElement.blur();
            await toydiff.set(scene);
        }""",
            scene,
        )
        self.rest()
        self.errors.clear()

    def frames(self, n=3):
        """Wait for so many pictures of the screen: what was asked for has been laid out and drawn."""
        script = "async (n) => { while (n--) await new Promise((drawn) => requestAnimationFrame(drawn)); }"
        self.page.evaluate(script, n)

    def resize(self, width, height):
        self.page.set_viewport_size({"width": width, "height": height})
        self.until("innerWidth === arg[0] && innerHeight === arg[1]", [width, height])
        self.frames()

    def set(self, *panels, **scene):
        """Show a scene: of each panel the fields that differ from the first one's now."""
        panels = panels or ({},)
        script = "toydiff.set({ ...arg[1], panels: arg[0].map((one) => ({ ...toydiff.scene.panels[0], ...one })) })"
        self.page.evaluate(f"async (arg) => {{ await {script}; }}", [panels, {"active": 0, **scene}])
        self.rest()

    def state(self, panel=None):
        return self.get("toydiff.scene.panels[arg ?? toydiff.scene.active]", panel)

    def points(self, panel=0):
        return np.array(self.get("[...toydiff.points(arg)]", panel)).reshape(-1, 2)

    def pixels(self, panel=0):
        """The picture on the screen, as numbers from 0 to 255 [height, width, 3]."""
        shot = Image.open(io.BytesIO(self.picture(panel).screenshot()))
        return np.asarray(shot.convert("RGB"), float)

    def place(self, element, x, y):
        """A place on an element, from 0 to 1 across it, in pixels of the page."""
        box = element.bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(self, element, *places, steps=6, release=True):
        """Press the mouse at the first of the places on an element, go to the others, and let go."""
        at = [self.place(element, *place) for place in places]
        self.mouse.move(*at[0])
        self.mouse.down()
        for start, end in pairwise(at):
            for share in np.linspace(0, 1, steps + 1)[1:]:
                self.mouse.move(*(a + share * (b - a) for a, b in zip(start, end, strict=True)))
                self.frames(1)  # or movements come together
        if release:
            self.mouse.up()

    def slide(self, name, *shares, panel=0, **options):
        """Drag a slider with the mouse; shares of its length."""
        self.drag(self.find(name).nth(panel), *((share, 0.5) for share in shares), **options)

    def choose(self, name, label, panel=0):
        self.find(name).nth(panel).select_option(label=label)

    def type(self, name, text, panel=0):
        self.find(name).nth(panel).fill(text)
        self.page.keyboard.press("Enter")


class App:
    """The app page's server, on a thread of this process, with the `sessions` of its tabs."""

    def __init__(self):
        from toydiff.explorer.app.address import Address
        from toydiff.explorer.app.app_server import AppServer  # Tornado is not there where only the folders are tested

        self.sessions, self.server = [], AppServer(Address(), lambda: self._session)
        self.address = self.server.address.for_all()

    def _session(self, *args, **options):
        from toydiff.explorer.session import Session

        self.sessions.append(Session(*args, **options))
        return self.sessions[-1]

    @contextmanager
    def serve(self):
        ready, ended = threading.Event(), threading.Event()

        async def body():
            self._loop = asyncio.get_running_loop()
            async with self.server:
                ready.set()
                await asyncio.to_thread(ended.wait)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(asyncio.run, body())
            try:
                assert ready.wait(30)
                yield self
            finally:
                ended.set()
                done.result(60)

    def drop(self, for_good=False):
        """End all connections without a goodbye, and let none come again."""

        def act():
            if for_good:
                self.server._http.stop()
            for page in list(self.server.pages):
                page.drop()

        self._loop.call_soon_threadsafe(act)

    @contextmanager
    def tab(self, browser, **options):
        """A new tab at rest, in a browser context of its own."""
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}} | options)
        try:
            page = context.new_page()
            explorer = Page(page)
            page.goto(self.address)
            explorer.wait_for_picture()
            explorer.session = self.sessions[-1]
            explorer.rest()
            yield explorer
            assert explorer.errors == []
        finally:
            context.close()


def run_all(page):
    """Run every cell; the moment of the click that took.

    In JupyterLab a command that comes before the kernel is dropped silently, or opens a dialog: the kernel is waited
    for, and the command repeated until it took.
    """
    page.wait_for_selector(".jp-CodeCell", timeout=60_000)
    idle = page.get_by_text(re.compile(r"\| Idle$")).first  # in the status bar, which is hidden
    idle.wait_for(timeout=60_000, state="attached")
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")  # of cells out of sight they are empty
    for _ in range(120):
        page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        clicked = time.perf_counter()
        while time.perf_counter() < clicked + 0.5:
            if {text.strip() for text in prompts.all_inner_texts()} - {"[ ]:", "[]:", ""}:
                return clicked
            page.wait_for_timeout(50)
    raise TimeoutError("Run All was never taken")


def open_page(browser, address, app=False):
    """The notebook in JupyterLab, every cell run, or the app page; its `outside`: what left this machine.

    The address is that of `served(folder)`, or of `served(folder, app=True)`.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.outside = []

    def note(request):
        here = request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
        if not here and request.failure != "csp":  # the page's own policy
            page.outside.append(request.url)

    page.on("requestfinished", note)
    page.on("requestfailed", note)
    page.goto(address)
    if not app:
        run_all(page)
    return page
