"""The explorer in its hosts, in a real headless Chromium: JupyterLab with and without a kernel, marimo, Voila."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Page, open_page, run_all

from toydiff.explorer.app.server import notebook_folder

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ALL = "[...document.querySelectorAll('.toydiff')].map((one) => one.toydiff)"
OWN = "Boolean(one?.store?.serial && one.store.pictures[0].serials.points >= 1)"


def notebook(folder, name, *cells):
    """A notebook beside the explorer's, of cells of code."""
    made = json.loads((notebook_folder() / "explorer.ipynb").read_text())
    code = made["cells"][1]
    made["cells"] = [code | {"id": f"cell{i}", "source": source} for i, source in enumerate(cells)]
    (folder / "toydiff-notebooks" / name).write_text(json.dumps(made))


def opened(browser, address, name, explorers=1):
    page = Page(open_page(browser, address.replace("explorer.ipynb", name)))
    page.until(f"{ALL}.length === {explorers} && {ALL}.every((one) => {OWN})")
    return page


def test_jupyterlab_shows_the_explorer_and_asks_no_other_server(lab):
    """Large, as its own bars leave it; Python has the scene that the hand has made."""
    share = lab.get("document.querySelector('.toydiff-picture').clientWidth ** 2 / (innerWidth * innerHeight)")
    assert share > 0.43 * 5 / 6
    before = lab.points()
    lab.slide("weight", 0.5, 0.2)
    lab.rest()
    assert (lab.points() != before).any()
    assert lab.state()["weight"] < 2
    assert lab.page.outside == []
    assert not lab.errors


def test_two_explorers_two_views_and_a_kernel_that_restarts(browser, address, folder):
    """Each follows its own controls, both views of one follow either; after a restart they say so and come back."""
    notebook(folder, "two.ipynb", "import toydiff\none = toydiff.explore()\none", "toydiff.explore()", "one")
    page = opened(browser, address, "two.ipynb", 3)
    weights = f"{ALL}.map((one) => one.scene.panels[0].weight)"
    page.get(f"{ALL}[0].store.set({{ weight: 1.5 }}, 0)")
    page.until(f"String({weights}) === '1.5,3,1.5'")
    page.get(f"{ALL}[2].store.set({{ weight: 2.5 }}, 0)")
    page.until(f"String({weights}) === '2.5,3,2.5'")

    page.page.locator(".lm-MenuBar-item", has_text=re.compile("^Kernel$")).click()
    page.page.locator('.lm-Menu-item[data-command="kernelmenu:restart"]').click()
    page.page.locator(".jp-Dialog-button.jp-mod-accept").click()
    page.page.wait_for_timeout(1000)
    page.page.get_by_text(re.compile(r"\| Idle$")).first.wait_for(state="attached")
    page.get(f"{ALL}[0].store.set({{ weight: 2 }}, 0)")
    silent = page.find("message").filter(has_text="Python does not answer", visible=True)
    silent.nth(1).wait_for(timeout=30_000)  # both of its views say so
    run_all(page.page)
    page.until(f"{ALL}.length === 3 && {ALL}.every((one) => {OWN})")
    page.get(f"{ALL}[1].store.set({{ weight: 1.25 }}, 0)")
    page.until(f"String({weights}) === '3,1.25,3'")
    page.page.close()


def test_a_saved_notebook_shows_its_picture(browser, address, folder):
    """What stood on the screen when it was saved, whose kernel has ended; and in words without any kernel."""
    notebook(folder, "saved.ipynb", "import toydiff\ntoydiff.explore()")
    page = opened(browser, address, "saved.ipynb")
    page.page.evaluate("async () => { await toydiff.set({ panels: [{ ...toydiff.scene.panels[0], weight: 1.75 }] }); }")
    page.rest()
    shown = page.points()
    saved = folder / "toydiff-notebooks" / "saved.ipynb"
    end = time.monotonic() + 60
    while '\\"weight\\":1.75' not in saved.read_text() and time.monotonic() < end:  # it follows when all is measured
        page.page.locator(".lm-MenuBar-item", has_text=re.compile("^File$")).click()
        page.page.locator('.lm-Menu-item[data-command="docmanager:save"]').click()
        page.page.wait_for_timeout(500)
    output = json.loads(saved.read_text())["cells"][0]["outputs"][0]["data"]
    assert output["text/plain"] == ["toydiff.explore(): Autoguidance, w = 3 (run the cell, and drag)"]
    page.page.locator(".lm-MenuBar-item", has_text=re.compile("^Kernel$")).click()
    page.page.locator('.lm-Menu-item[data-command="kernelmenu:shutdown"]').click()
    page.page.wait_for_timeout(1000)
    page.page.close()
    again = Page(browser.new_page(viewport={"width": 1280, "height": 720}))
    again.page.goto(address.replace("explorer.ipynb", "saved.ipynb"))
    again.until("Boolean(globalThis.toydiff?.scene && toydiff.points().length)")
    assert again.state()["weight"] == 1.75
    assert again.points() == pytest.approx(shown, abs=1e-6)
    again.page.close()


def test_the_notebook_of_plain_sliders(browser, address):
    """A figure for each slider; the explorer and a slider of ipywidgets move each other."""
    page = opened(browser, address, "sliders.ipynb")
    assert page.page.locator(".jp-OutputArea img").count() == 1
    slider = page.page.locator(".jupyter-widgets .noUi-handle").last
    slider.scroll_into_view_if_needed()
    slider.focus()
    for _ in range(10):
        page.page.keyboard.press("ArrowLeft")
    page.until("Math.abs(toydiff.scene.panels[0].weight - 2.5) < 1e-6")
    page.get("toydiff.store.set({ weight: 1.5 }, 0)")
    page.page.wait_for_function(
        "() => [...document.querySelectorAll('.jupyter-widgets .widget-readout')].at(-1).textContent === '1.50'"
    )
    page.page.close()


@contextmanager
def started(*command, port):
    """A server on the loopback, stopped by its own id."""
    server = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def drags(browser, address):
    """The explorer at an address follows the hand."""
    page = Page(browser.new_page(viewport={"width": 1280, "height": 720}))
    page.page.goto(address)
    page.until(f"((one) => {OWN})(globalThis.toydiff)")
    before = page.points()
    page.slide("weight", 0.5, 0.2)
    page.rest()
    assert (page.points() != before).any()
    page.page.close()


def test_marimo(browser):
    port = free_port()
    file = str(Path(__file__).parent / "marimo_app.py")
    command = ("marimo", "run", file, "--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port))
    with started(*command, port=port) as address:
        drags(browser, address)


@pytest.mark.slow
def test_voila(browser, address, folder):
    """For those who use it."""
    port = free_port()
    file = str(folder / "toydiff-notebooks" / "explorer.ipynb")
    with started("voila", file, "--no-browser", f"--port={port}", port=port) as page:
        drags(browser, page)
