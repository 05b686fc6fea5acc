"""The explorer in a real headless Chromium, in JupyterLab and as a page without code."""

import io
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from browser import Page, open_page, run_all
from PIL import Image

from toydiff import METHODS, noise_schedule
from toydiff.explorer.drawing import python_code
from toydiff.explorer.help import HELP
from toydiff.explorer.probe import probe
from toydiff.explorer.scene import Scene
from toydiff.explorer.state import LAYERS

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module", params=["lab", "app"])
def explorer(request, browser, address):
    if request.param == "lab":
        yield request.getfixturevalue("lab")
        return
    explorer = Page(open_page(browser, address, app=True))
    explorer.wait_for_picture()
    yield explorer
    explorer.page.close()


def mean_difference(first, second):
    """Mean absolute difference of two screenshots, from 0 to 255."""
    one, other = (np.asarray(Image.open(io.BytesIO(s)).convert("RGB"), float) for s in (first, second))
    return np.abs(one - other).mean() if one.shape == other.shape else 255.0


def test_no_token_no_entry(address):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address.split("?")[0].replace("/doc/tree/", "/api/contents/"))


def test_the_page_asks_no_other_server(explorer):
    assert explorer.page.outside == []


def test_the_controls_change_the_picture(explorer):
    explorer.changes_picture(lambda: explorer.drag("weight", ["ArrowRight"] * 10))
    assert explorer.find(".toydiff-weight-box input").input_value() == "3.5"
    explorer.changes_picture(lambda: explorer.select("method", METHODS["cfg"].title))
    assert explorer.find(".toydiff-weight-box input").input_value() == "4"
    explorer.changes_picture(lambda: explorer.drag("main-width", ["ArrowLeft"]))
    explorer.changes_picture(lambda: explorer.drag("main-steps", ["ArrowLeft"]))
    explorer.changes_picture(lambda: explorer.drag("guide-width", ["ArrowRight"]))
    explorer.changes_picture(lambda: explorer.drag("guide-steps", ["ArrowRight"]))
    explorer.changes_picture(lambda: explorer.drag("step", ["ArrowLeft"] * 6))
    explorer.wait_for_text("sigma", re.escape(f"σ = {noise_schedule()[26]:.3g}"))
    explorer.changes_picture(explorer.find(".toydiff-play button").first.click)
    explorer.changes_picture(lambda: explorer.select("scene", "Figure 1 (e): autoguidance"))


def test_the_numbers_follow(lab):
    lab.select("scene", "Figure 1 (d): truncation")
    lab.wait_for_text("numbers", r"branches with over 1/4 of their mass[4-9]\.\d%")
    lab.select("scene", "Figure 1 (e): autoguidance")
    lab.wait_for_text("numbers", r"branches with over 1/4 of their mass[67]\d\.\d%")
    lab.page.wait_for_function("() => !document.querySelector('.toydiff-stale')", timeout=20_000)
    assert lab.find(".toydiff-curve").bounding_box()["height"] > 100


def test_wheel_drag_and_double_click_move_the_view(lab):
    picture = lab.find(".toydiff-picture")
    whole = lab.screenshot()
    box = picture.bounding_box()
    x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5
    lab.page.mouse.move(x, y)
    lab.changes_picture(lambda: lab.page.mouse.wheel(0, -300))

    def pan():
        lab.page.mouse.down()
        lab.page.mouse.move(x - 60, y + 20, steps=4)
        lab.page.mouse.up()

    lab.changes_picture(pan)
    lab.changes_picture(lambda: lab.page.mouse.dblclick(x, y))
    assert mean_difference(lab.screenshot(), whole) < 0.5  # a pixel may be rounded otherwise after scrolling


def test_everything_fits_on_a_small_screen(explorer):
    """At 1280 x 720 nothing is cut off on the right, and picture, numbers and noise level are in view together."""
    for part in ("controls", "picture", "numbers", "step"):
        box = explorer.find(f".toydiff-{part}").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 720


def test_every_control_has_a_help_text(lab):
    for name, text in HELP.items():
        control = lab.find(f".toydiff-{name}").first
        assert control.get_attribute("title") == text
        inner = control.locator("[title]").evaluate_all("parts => parts.map(p => p.title)")
        assert set(inner) <= {text}


@pytest.mark.slow
def test_each_layer_switches_on_and_off(lab):
    lab.changes_picture(lambda: lab.drag("step", ["ArrowLeft"] * 12))
    lab.tab("Layers")
    for layer in reversed(LAYERS):  # from front to back, so that none hides the next
        if layer == "outliers":
            continue  # another colour of the samples: they are hidden last
        lab.changes_picture(lambda layer=layer: lab.click(f"layer-{layer} input"))
    lab.tab("Guidance")
    lab.changes_picture(lambda: lab.select("scene", "Figure 1 (c): CFG"))
    lab.tab("Layers")
    lab.changes_picture(lambda: lab.click("layer-outliers input"))
    lab.tab("Guidance")
    lab.changes_picture(lambda: lab.select("scene", "Figure 1 (e): autoguidance"))


@pytest.mark.slow
def test_exact_scores_and_other_distributions(lab):
    lab.changes_picture(lambda: lab.click("guide-exact input"))
    lab.changes_picture(lambda: lab.select("classes", "B"))
    lab.changes_picture(lambda: lab.select("distribution", "three_gaussians"))
    lab.changes_picture(lambda: lab.select("scene", "Figure 1 (e): autoguidance"))


def test_the_probe_says_what_the_python_api_says(lab):
    lab.changes_picture(lambda: lab.drag("step", ["ArrowLeft"] * 12))
    lab.changes_picture(lambda: lab.click("probing"))
    box = lab.find(".toydiff-picture").bounding_box()
    lab.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    lab.page.mouse.down()
    lab.changes_picture(
        lambda: lab.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"], steps=4)
    )
    lab.page.mouse.up()
    lab.tab("Keep")
    lab.click("button-state")
    text = lab.find(".toydiff-text textarea")
    lab.page.wait_for_function("() => document.querySelector('.toydiff-text textarea').value.includes('probe')")
    seen = probe(Scene.from_json(text.input_value()).state)
    assert seen.x == pytest.approx((0.3 + 0.4 * 1.2, 0.3 + 0.2 * 1.2), abs=0.02)
    lab.wait_for_text("probe", re.escape(f"w* = {seen.best_weight:.2f}"))
    for name, arrow in seen.arrows.items():
        lab.wait_for_text("probe", re.escape(f"{name}{arrow.length:.3f}{arrow.angle:.0f}°"))
    lab.tab("Guidance")
    lab.changes_picture(lambda: lab.click("probing"))
    lab.changes_picture(lambda: lab.select("scene", "Figure 1 (e): autoguidance"))


@pytest.mark.slow
def test_state_code_and_pictures_can_be_taken_along(explorer, tmp_path):
    explorer.changes_picture(lambda: explorer.select("scene", "Figure 1 (c): CFG"))
    explorer.tab("Keep")
    in_lab = "/doc/" in explorer.page.url
    text = explorer.find(".toydiff-text textarea")
    starts = "word => document.querySelector('.toydiff-text textarea').value.startsWith(word)"
    explorer.click("button-state")
    explorer.page.wait_for_function(starts, arg="{")
    state = text.input_value()
    assert json.loads(state)["panels"][0]["method"] == "cfg"
    explorer.click("button-python")
    explorer.page.wait_for_function(starts, arg="from")
    assert text.input_value() == python_code(*Scene.from_json(state).panels)
    if in_lab:  # once is enough
        subprocess.run([sys.executable, "-c", text.input_value()], cwd=tmp_path, check=True)
        assert (tmp_path / "toydiff.png").stat().st_size > 10_000

    def restore(state):
        text.fill(state)
        text.blur()
        explorer.click("button-restore")

    explorer.changes_picture(lambda: restore(state.replace('"weight": 4.0', '"weight": 1.5')))
    kinds = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"} if in_lab else {"pdf": b"%PDF"}
    for kind, start in kinds.items():
        explorer.click(f"button-{kind}")
        link = explorer.find(f".toydiff-download[download$={kind}]")
        with explorer.page.expect_download() as download:
            link.click()
        download.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).read_bytes().startswith(start)
    restore('{"weight": NaN}')
    explorer.wait_for_text("error", "weight is nan; it must be a number, at least 0 and at most 100")
    explorer.tab("Guidance")
    explorer.changes_picture(lambda: explorer.select("scene", "Figure 1 (e): autoguidance"))


def test_what_is_no_number_is_refused_with_a_message(lab):
    lab.type("weight-box", "nan")
    lab.wait_for_text("error", "weight is nan; it must be a number")
    assert lab.find(".toydiff-weight-box input").input_value() == "3"
    lab.type("seed-box", "many")
    lab.wait_for_text("error", "seed is 'many'; it must be a whole number")
    lab.type("weight-box", "2.25")
    lab.find(".toydiff-error").wait_for(state="detached")
    lab.changes_picture(lambda: lab.type("weight-box", "9.5"))


@pytest.mark.slow
def test_two_explorers_in_one_notebook_and_a_kernel_restart(browser, address, folder):
    """Each follows its own controls; after a restart both say so, and running the cells again brings them back."""
    notebooks = folder / "toydiff-notebooks"
    notebook = json.loads((notebooks / "explorer.ipynb").read_text())
    first = notebook["cells"][1]
    notebook["cells"] = [first, first | {"id": "second", "source": ["toydiff.explore()"]}]
    (notebooks / "two.ipynb").write_text(json.dumps(notebook))
    page = open_page(browser, address.replace("explorer.ipynb", "two.ipynb"))
    one, two = (Page(page, f".jp-CodeCell:nth-of-type({i})") for i in (1, 2))
    page.wait_for_function(
        "() => document.querySelectorAll('.toydiff-picture[data-frame]').length === 2", timeout=60_000
    )
    still = two.picture()
    one.changes_picture(lambda: one.drag("weight", ["ArrowRight"] * 20))
    assert two.picture() == still
    two.changes_picture(lambda: two.select("method", METHODS["cfg"].title))
    assert one.find(".toydiff-weight-box input").input_value() == "4"

    one.find(".toydiff-weight .noUi-handle").focus()
    page.locator(".lm-MenuBar-item", has_text=re.compile("^Kernel$")).click()
    page.locator('.lm-Menu-item[data-command="kernelmenu:restart"]').click()
    page.locator(".jp-Dialog-button.jp-mod-accept").click()
    for _ in range(3):
        one.drag("weight", ["ArrowLeft"] * 5)
        page.wait_for_timeout(300)
    one.find(".toydiff-silent").wait_for(state="visible", timeout=20_000)
    run_all(page)
    page.wait_for_function(
        "() => document.querySelectorAll('.toydiff-picture[data-frame]').length === 2", timeout=60_000
    )
    one.changes_picture(lambda: one.drag("weight", ["ArrowRight"] * 20))
    page.close()
