"""The explorer in a real headless Chromium, in JupyterLab and as a page without code."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image

from toydiff import noise_schedule

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; .ci/run installs it")
        pytest.skip("Chromium is missing: the explorer is not tried in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server of `toydiff explore --no-browser`, stopped by its own id."""
    folder = tmp_path_factory.mktemp("server")
    log = folder / "log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "toydiff", "explore", "--no-browser"]
        server = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    try:
        for _ in range(120):
            found = re.search(r"http://127\.0\.0\.1:\d+/doc/tree/\S+", log.read_text())
            if found and _answers(found[0]):
                break
            time.sleep(0.5)
        else:
            pytest.fail(f"no server: {log.read_text()[-2000:]}")
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
    """The explorer's page, as a person uses it."""

    def __init__(self, page):
        self.page = page
        self.errors = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def frame(self):
        return int(self.page.locator(".toydiff-picture").get_attribute("data-frame"))

    def picture(self):
        """The pixels on the screen, when nothing moves any more."""
        before = -1
        while before != self.frame():
            before = self.frame()
            self.page.wait_for_timeout(600)
        return self.page.locator(".toydiff-picture").screenshot()

    def changes_picture(self, act):
        before, frame = self.picture(), self.frame()
        act()
        self.page.wait_for_function(
            f"() => Number(document.querySelector('.toydiff-picture').dataset.frame) > {frame}", timeout=20_000
        )
        after = self.picture()
        assert after != before
        assert not self.errors
        assert self.page.locator(".toydiff-error").count() == 0

    def select(self, name, label):
        self.page.locator(f".toydiff-{name} select").select_option(label=label)

    def drag(self, name, keys):
        handle = self.page.locator(f".toydiff-{name} .noUi-handle").first
        handle.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def tab(self, name):
        self.page.locator(".lm-TabBar-tab", has_text=name).click()


def mean_difference(first, second):
    """Mean absolute difference of two screenshots, from 0 to 255."""
    one, other = (np.asarray(Image.open(io.BytesIO(s)).convert("RGB"), float) for s in (first, second))
    return np.abs(one - other).mean() if one.shape == other.shape else 255.0


def run_all(page):
    """In JupyterLab a command that comes before the kernel is dropped silently: repeat until it took."""
    page.wait_for_selector(".jp-CodeCell", timeout=60_000)
    for _ in range(60):
        page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        page.wait_for_timeout(1000)
        if page.locator(".jp-CodeCell .jp-InputPrompt").first.inner_text().strip() not in ("[ ]:", "[]:", ""):
            return
    pytest.fail("Run All was never taken")


@pytest.fixture(scope="module", params=["lab", "app"])
def explorer(request, browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    explorer = Page(page)
    page.goto(address if request.param == "lab" else address.replace("/doc/tree/", "/voila/render/"))
    if request.param == "lab":
        run_all(page)
    page.wait_for_selector(".toydiff-picture[data-frame]", timeout=90_000)
    yield explorer
    page.close()


def test_no_token_no_entry(address):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address.split("?")[0].replace("/doc/tree/", "/api/contents/"))


def test_the_controls_change_the_picture(explorer):
    explorer.changes_picture(lambda: explorer.drag("weight", ["ArrowRight"] * 10))
    assert explorer.page.locator(".toydiff-weight-box input").input_value() == "3.5"
    explorer.changes_picture(lambda: explorer.select("method", "Classifier-free guidance"))
    assert explorer.page.locator(".toydiff-weight-box input").input_value() == "4"
    explorer.changes_picture(lambda: explorer.drag("main-width", ["ArrowLeft"]))
    explorer.changes_picture(lambda: explorer.drag("guide-steps", ["ArrowRight"]))
    explorer.changes_picture(lambda: explorer.drag("step", ["ArrowLeft"] * 12))
    assert f"σ = {noise_schedule()[20]:.3g}" in explorer.page.locator("body").inner_text()
    explorer.changes_picture(explorer.page.locator(".toydiff-play button").first.click)
    explorer.changes_picture(lambda: explorer.select("preset", "Figure 1 (e): autoguidance"))


def test_the_numbers_follow(explorer):
    explorer.select("preset", "Figure 1 (d): truncation")
    explorer.page.wait_for_function(
        "() => /0\\.0[4-9]\\d/.test(document.querySelector('.toydiff-numbers')?.rows[2]?.cells[1]?.innerText)",
        timeout=30_000,
    )
    explorer.select("preset", "Figure 1 (e): autoguidance")
    explorer.page.wait_for_function(
        "() => /0\\.[67]\\d\\d/.test(document.querySelector('.toydiff-numbers')?.rows[2]?.cells[1]?.innerText)",
        timeout=30_000,
    )


def test_wheel_drag_and_double_click_move_the_view(explorer):
    picture = explorer.page.locator(".toydiff-picture")
    picture.scroll_into_view_if_needed()
    whole = explorer.picture()
    box = picture.bounding_box()
    x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5
    explorer.page.mouse.move(x, y)
    explorer.changes_picture(lambda: explorer.page.mouse.wheel(0, -300))

    def pan():
        explorer.page.mouse.down()
        explorer.page.mouse.move(x - 60, y + 20, steps=4)
        explorer.page.mouse.up()

    explorer.changes_picture(pan)
    explorer.changes_picture(lambda: explorer.page.mouse.dblclick(x, y))
    assert mean_difference(explorer.picture(), whole) < 0.5  # a pixel may be rounded otherwise after scrolling


def test_layers_switch_on_and_off(explorer):
    explorer.tab("Layers")
    for layer in ("ratio", "arrows_difference", "trajectories", "samples"):
        explorer.changes_picture(lambda layer=layer: explorer.page.locator(f".toydiff-layer-{layer} input").click())
    explorer.tab("Guidance")
    explorer.changes_picture(lambda: explorer.select("preset", "Figure 1 (c): CFG"))


def test_state_code_and_pictures_can_be_taken_along(explorer, tmp_path):
    page = explorer.page
    explorer.tab("Take it along")
    text = page.locator(".toydiff-text textarea")
    page.locator(".toydiff-button-state").click()
    page.wait_for_function("() => document.querySelector('.toydiff-text textarea').value.startsWith('{')")
    state = text.input_value()
    assert '"method": "cfg"' in state
    page.locator(".toydiff-button-python").click()
    page.wait_for_function("() => document.querySelector('.toydiff-text textarea').value.startsWith('from')")
    subprocess.run([sys.executable, "-c", text.input_value()], cwd=tmp_path, check=True)
    assert (tmp_path / "toydiff.png").stat().st_size > 10_000
    explorer.changes_picture(
        lambda: (text.fill(state.replace('"weight": 4.0', '"weight": 1.5')), text.blur(),
                 page.locator(".toydiff-button-restore").click())
    )  # fmt: skip
    with page.expect_download() as download:
        page.locator(".toydiff-button-svg").click()
        page.locator(".toydiff-download").click()
    download.value.save_as(tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").read_text().startswith("<?xml")
    text.fill('{"weight": NaN}')
    text.blur()
    page.locator(".toydiff-button-restore").click()
    page.wait_for_selector(".toydiff-error")
    assert "weight is nan" in page.locator(".toydiff-error").inner_text()
    explorer.tab("Guidance")
    explorer.changes_picture(lambda: explorer.select("preset", "Figure 1 (e): autoguidance"))
