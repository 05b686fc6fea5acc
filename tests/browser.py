"""A headless Chromium, a served explorer, and its page as a person uses it; for the tests and the benchmark."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
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
def served(folder, **environment):
    """The address of `toydiff explore --no-browser` in `folder`; the server is stopped by its own id."""
    log = folder / "log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "toydiff", "explore", "--no-browser"]
        server = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, env=os.environ | environment
        )
    try:
        for _ in range(240):
            found = re.search(r"http://127\.0\.0\.1:\d+/doc/tree/\S+", log.read_text())
            if found and _answers(found[0]):
                break
            time.sleep(0.25)
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
    """The explorer's page, as a person uses it; `root` chooses one of several explorers."""

    def __init__(self, page, root=""):
        self.page, self.root = page, root
        self.errors = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def find(self, selector):
        return self.page.locator(f"{self.root} {selector}")

    def image(self, panel=0):
        return self.find(".toydiff-picture").nth(panel)

    def frame(self, panel=0):
        return int(self.image(panel).get_attribute("data-frame") or 0)

    def wait_for_picture(self, timeout=60_000):
        self.find(".toydiff-picture[data-frame]").wait_for(timeout=timeout)

    def picture(self, panel=0):
        """The picture that is shown, as an address with its data, when nothing moves and it is drawn in full."""
        rest = """e => new Promise((resolve, reject) => {
            const end = setTimeout(() => reject("the picture never came to rest"), 60_000);
            let frame = null;
            const check = () => {
                if (frame === e.dataset.frame && e.dataset.full === "true") { clearTimeout(end); resolve(e.src); }
                else { frame = e.dataset.frame; setTimeout(check, 60); }
            };
            check();
        })"""
        return self.image(panel).evaluate(rest)

    def screenshot(self):
        """The pixels on the screen, when nothing moves any more."""
        self.picture()
        return self.find(".toydiff-picture").screenshot()

    def changes_picture(self, act, panel=0):
        before, frame = self.picture(panel), self.frame(panel)
        act()
        picture = self.image(panel).element_handle()
        self.page.wait_for_function(
            "([picture, frame]) => Number(picture.dataset.frame) > frame", arg=[picture, frame], timeout=20_000
        )
        assert self.picture(panel) != before
        assert not self.errors
        assert self.find(".toydiff-error").count() == 0

    def select(self, name, label):
        self.find(f".toydiff-{name} select").select_option(label=label)

    def drag(self, name, keys):
        self.find(f".toydiff-{name} .noUi-handle").first.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def click(self, name):
        self.find(f".toydiff-{name}").click()

    def type(self, name, text):
        box = self.find(f".toydiff-{name} input")
        box.fill(text)
        box.press("Enter")

    def tab(self, name):
        self.find(".lm-TabBar-tab").filter(has_text=name).click()

    def wait_for_text(self, name, pattern):
        """Until the text of a part matches a regular expression."""
        self.find(f".toydiff-{name}").filter(has_text=re.compile(pattern)).wait_for(timeout=30_000)


def run_all(page):
    """Run every cell; the moment of the click that took.

    In JupyterLab a command that comes before the kernel is dropped silently, or opens a dialog: the kernel is waited
    for, and the command repeated until it took.
    """
    page.wait_for_selector(".jp-CodeCell", timeout=60_000)
    page.get_by_text(re.compile(r"\| Idle$")).first.wait_for(timeout=60_000)
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
    """The notebook in JupyterLab, every cell run, or the page without code; its `outside`: what left this machine."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.outside = []

    def note(request):
        here = request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
        if not here and request.failure != "csp":  # the page's own policy
            page.outside.append(request.url)

    page.on("requestfinished", note)
    page.on("requestfailed", note)
    page.goto(address.replace("/doc/tree/", "/voila/render/") if app else address)
    if not app:
        run_all(page)
    return page
