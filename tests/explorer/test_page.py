"""The page that needs no Python: what is in it, and what a browser shows of it from a file's address."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import toydiff
from toydiff import cli
from toydiff.explorer import compute
from toydiff.explorer.page import export, pack, runs
from toydiff.explorer.state import ModelChoice, State
from toydiff.sampling.schedules import noise_schedule

ROOT = Path(__file__).parents[2]
SMALL = State(main=ModelChoice(8, 4096), guide=ModelChoice(8, 512))
"""One width of guides, with three lengths of training."""


@pytest.fixture(scope="module")
def small_page(tmp_path_factory):
    """A page with few weights and points; and its runs."""
    path = tmp_path_factory.mktemp("page") / "small.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "GRID", (0, 4, 8, 12))
        export.export_html(path, SMALL, points=50, samples=200, title="A <small> {{page}}", progress=False)
        states = runs.states_of(SMALL, runs.PAPERS)
    return path, states


def manifest_of(path):
    return json.loads(re.search(r'id="manifest">(.*?)</script>', path.read_text(), re.DOTALL)[1])


def test_every_method_stands_at_its_own_weight():
    for name, row in toydiff.METHODS.items():
        assert name == "unguided" or {1.0, row.weight} <= set(runs.weights_of(name))
    with pytest.raises(toydiff.InputError, match="unknown method 'none'"):
        runs.weights_of("none")


def test_guides_up_to_the_main_model_with_three_trainings():
    paper = {(guide.width, guide.steps) for guide in runs.guides_of(State())}
    assert paper == {(width, steps) for width in (8, 16, 32, 64) for steps in (128, 512, 4096)}
    assert runs.guides_of(State(method="truncation")) == [None]
    exact = ModelChoice(exact=True)
    assert runs.guides_of(State(guide=exact)) == [exact]


def test_each_method_has_its_own_guide_and_what_no_slider_holds_is_said():
    assert {state.guide.steps for row in runs.states_of(State(), ["sharpened"]) for state in row} == {128, 1024, 4096}
    assert runs.state_of(State(guide=ModelChoice(16, 128)), "sharpened").guide == ModelChoice(16, 128)  # as chosen
    assert export.unusual_settings(State()) == ""
    assert export.unusual_settings(State(interval=(0.01, 0.5), knobs={"share": 0.2})) == (
        "weight only at 0.01 < σ ≤ 0.5, share 0.2 (of autoguidance in its mix with classifier-free guidance)"
    )


def test_a_new_method_is_a_row_of_the_page(monkeypatch, tmp_path):
    monkeypatch.setitem(toydiff.METHODS, "mine", toydiff.METHODS["truncation"]._replace(title="Mine, of today"))
    monkeypatch.setattr(runs, "GRID", (0, 4))
    export.export_html(tmp_path / "a.html", SMALL, methods=["mine"], points=5, samples=100, progress=False)
    assert manifest_of(tmp_path / "a.html")["methods"] == {"mine": "Mine, of today"}


def test_numbers_are_those_of_the_explorer(small_page):
    path, states = small_page
    manifest = manifest_of(path)
    assert [run["method"] for run in manifest["runs"]] == [run[0].method for run in states]
    state = replace(SMALL, method="autoguidance", weight=3.0)
    expected = compute.measure(state, compute.Quality(200, 0))
    (run,) = (r for r in manifest["runs"] if r["method"] == "autoguidance" and r["guide"]["steps"] == 512)
    shown = run["numbers"][run["weights"].index(3.0)]
    assert shown == pytest.approx([number.value for number in expected.values()], rel=1e-3)
    exact = [metric["exact"] for metric in manifest["metrics"]]
    assert exact == pytest.approx([number.exact for number in expected.values()], rel=1e-3)


def test_a_page_is_one_file_that_asks_for_nothing(small_page):
    text = small_page[0].read_text()
    assert "<title>A &lt;small&gt; {{page}} · toydiff</title>" in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|@import|\bfetch\(|XMLHttpRequest", text)
    assert not re.search(r"{{(style|script|manifest|runs)}}", text)


def test_bits_of_a_run_are_few(small_page):
    blocks = re.findall(r'id="run\d+">([^<]*)<', small_page[0].read_text())
    assert len(blocks) == len(small_page[1]) + 1
    raw = 4 * len(runs.LEVELS) * 2 * 50
    assert all(len(block) < 1.3 * raw for block in blocks)  # in base 64; a byte and a third for each number


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "a.txt"}, "must end in .html"),
        ({"methods": []}, "name one or more"),
        ({"methods": ["cfg", "cfg"]}, "each once"),
        ({"methods": ["magic"]}, "unknown method 'magic'"),
        ({"methods": [["cfg"]]}, "unknown method"),
        ({"methods": "cfg"}, "methods are 'cfg'; they must be a list"),
        ({"methods": None}, "methods are None; they must be a list"),
        ({"state": {}}, "state is {}; it must be a toydiff.explorer.state.State"),
        ({"points": 0}, "points is 0"),
        ({"points": 300, "samples": 200}, "points is 300"),
        ({"samples": 2}, "samples is 2"),
        ({"samples": 10**8}, "samples is 100000000"),
        ({"title": " "}, "title is ' '"),
    ],
)
def test_bad_input(tmp_path, options, message):
    path = tmp_path / options.pop("path", "a.html")
    path.write_text("as before")
    with pytest.raises(toydiff.InputError, match=message):
        export.export_html(path, **options, progress=False)
    assert path.read_text() == "as before"


def test_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(runs, "GRID", (0, 4))
    words = ["--methods", "unguided,cfg", "--distribution", "three_gaussians", "--points", "9", "--samples", "100"]
    assert cli.main(["export-html", str(tmp_path / "a.html"), *words, "--quiet", "--title", "Three"]) == 0
    assert "a.html, 0.1 MB" in capsys.readouterr().out
    manifest = manifest_of(tmp_path / "a.html")
    assert manifest["made"]["main"]["exact"]
    assert [run["guide"] for run in manifest["runs"]] == [None, None]  # no width or training that nothing has
    assert cli.main(["export-html", str(tmp_path / "a.gif")]) == 2
    assert "must end in .html" in capsys.readouterr().err
    assert cli.main(["export-html", str(tmp_path / "b.html"), "--classes", ""]) == 2
    assert "unknown classes ''" in capsys.readouterr().err


def test_the_page_in_docs_is_of_this_code():
    """The runs in it take minutes; all else must be as `export_html` writes it now."""
    text = (ROOT / "docs" / "demo.html").read_text()
    assert len(text) < 5e6
    for name in ("page.css", *export.SCRIPTS):
        assert export.text_of(name) in text, f"{name} has changed: toydiff export-html docs/demo.html"
    manifest = manifest_of(ROOT / "docs" / "demo.html")
    assert manifest["made"]["version"] == toydiff.__version__
    assert list(manifest["methods"]) == list(runs.PAPERS)


@pytest.fixture(scope="module")
def opened(browser, small_page):
    """The page at its file's address; `outside` is what it asked for, `errors` what went wrong."""
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.errors, tab.outside = [], []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.on("console", lambda message: tab.errors.append(message.text))
    tab.on("request", lambda request: tab.outside.append(request.url))
    tab.goto(small_page[0].as_uri())
    wait(tab)
    yield tab
    assert tab.errors == []
    assert [url for url in tab.outside if not url.startswith(("file:", "data:"))] == []
    tab.close()


def wait(tab):
    """Until nothing moves."""
    tab.wait_for_timeout(60)
    until(tab, "() => document.documentElement.dataset.rest === 'true' && panels.every((one) => runs.get(one.index))")


def until(tab, condition):
    """Playwright's own waiting evaluates texts, which the page's policy forbids."""
    tab.evaluate(
        f"""() => new Promise((done, failed) => {{
            const condition = {condition};
            const look = () => (condition() ? done() : setTimeout(look, 10));
            setTimeout(() => failed(new Error("it never came to this")), 10_000);
            look();
        }})"""
    )


def right(tab):
    return tab.locator(".panel").nth(1)


def points(tab, panel=1):
    return np.array(tab.evaluate(f"[...panels[{panel}].shown]")).reshape(2, -1).T


def picture(tab, panel=1):
    wait(tab)
    return tab.locator("canvas").nth(panel).screenshot()


@pytest.mark.browser
def test_the_browser_has_the_points_of_the_sampler(opened, small_page):
    sigma = noise_schedule()[list(runs.LEVELS)]
    for i, states in enumerate(small_page[1]):
        for k, state in enumerate(states):
            path = np.asarray(compute.trajectory(state, compute.Quality(200, 0)).x)[list(runs.LEVELS), :50]
            got = opened.evaluate(
                """async ([i, k]) => {
                    while (!runs.get(i)) await new Promise((done) => setTimeout(done, 5));
                    return page.levels.map((step) => [...runs.points(runs.get(i), k, step)]);
                }""",
                [i, k],
            )
            here = np.array(got).reshape(len(sigma), 2, 50).transpose(0, 2, 1)
            assert (np.abs(here - path) <= 0.51 * pack.quanta(sigma)[:, None, None] + 1e-5 * np.abs(path)).all()
            out = opened.evaluate("([i, k]) => [...Array(50).keys()].map(runs.get(i).outliers[k])", [i, k])
            assert out == compute.outliers(state, compute.Quality(200, 0))[:50].tolist()


@pytest.mark.browser
def test_the_weight_by_keyboard(opened):
    slider = right(opened).get_by_label("weight w")
    slider.focus()
    opened.keyboard.press("Home")
    wait(opened)
    assert slider.get_attribute("aria-valuetext") == "1.00"
    np.testing.assert_allclose(points(opened), points_of(opened, "unguided", 0), atol=1e-6)
    opened.keyboard.press("End")
    wait(opened)
    assert slider.get_attribute("aria-valuetext") == "4.00"
    last = points(opened)
    np.testing.assert_allclose(last, points_of(opened, "autoguidance", 3), atol=1e-6)
    opened.keyboard.press("ArrowLeft")
    wait(opened)
    assert np.abs(points(opened) - last).max() > 0.01
    opened.get_by_role("status").filter(has_text=re.compile("Autoguidance, w = 3: outliers")).wait_for(state="attached")
    assert re.search("#cfg,4,8,512/autoguidance,3,8,512/2$", opened.url)


def points_of(tab, method, k):
    """The points at the end for the k-th weight of the first run of a method that is in view."""
    index = tab.evaluate(
        "(name) => panels[1].run.method === name ? panels[1].index : page.runs.findIndex(r => r.method === name)",
        method,
    )
    until(tab, f"() => runs.get({index})")
    return np.array(tab.evaluate("([i, k]) => [...runs.points(runs.get(i), k, END)]", [index, k])).reshape(2, -1).T


@pytest.mark.browser
def test_dragging_goes_between_the_weights_and_rests_on_one(opened):
    box = right(opened).get_by_label("weight w").bounding_box()
    y = box["y"] + box["height"] / 2
    opened.mouse.move(box["x"] + 0.2 * box["width"], y)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 0.5 * box["width"], y)
    opened.wait_for_timeout(50)
    assert opened.evaluate("panels[1].goal") % 1 > 0.2  # between two weights
    before = points(opened)
    opened.mouse.up()
    wait(opened)
    assert opened.evaluate("panels[1].at") % 1 == 0
    assert np.abs(points(opened) - before).max() > 0


@pytest.mark.browser
def test_controls_change_the_picture_and_the_numbers(opened):
    before = picture(opened)
    numbers = opened.locator("#numbers").inner_text()
    right(opened).get_by_label("method").select_option(label="Naive truncation")
    truncated = picture(opened)
    assert truncated != before
    assert opened.locator("#numbers").inner_text() != numbers
    assert not right(opened).get_by_label("guide: width").is_visible()
    right(opened).get_by_label("method").select_option(label="Autoguidance")
    assert picture(opened) != truncated
    guided = picture(opened)
    right(opened).get_by_label("guide: training steps").focus()
    opened.keyboard.press("Home")
    assert picture(opened) != guided
    for layer in ("trajectories", "lines from no guidance", "outliers in pink", "true distribution"):
        last = picture(opened)
        opened.get_by_label(layer).click()
        assert picture(opened) != last, layer
        opened.get_by_label(layer).click()
    last = picture(opened)
    opened.get_by_label("Zoom in").click()
    assert picture(opened) != last
    opened.get_by_text("whole picture").click()
    assert picture(opened) == last


@pytest.mark.browser
def test_noise_level_and_play(opened):
    end = points(opened)
    noise = opened.get_by_label("noise level")
    noise.focus()
    opened.keyboard.press("Home")
    wait(opened)
    assert noise.get_attribute("aria-valuetext") == "sigma 5"
    assert points(opened).std() > 5 * end.std()
    np.testing.assert_array_equal(points(opened), points(opened, 0))  # the same noise
    opened.get_by_role("button", name="Play").click()
    until(opened, "() => step > 6")
    opened.get_by_role("button", name="Pause").click()
    wait(opened)
    assert 0 < opened.evaluate("step") < 32
    opened.keyboard.press("Tab")
    noise.press("End")
    wait(opened)
    np.testing.assert_array_equal(points(opened), end)


def place_of_a_sample(tab):
    """In pixels from the corner of the window; the sample is in the right picture."""
    return tab.evaluate("""() => {
        const { canvas, shown } = panels[1];
        const [box, at] = [canvas.getBoundingClientRect(), lens(canvas.clientWidth, step)];
        const n = [...Array(page.points).keys()].find((n) => at.x(shown, n) > 20 && at.x(shown, n) < box.width - 20);
        return [box.left + at.x(shown, n), box.top + at.y(shown, n)];
    }""")


@pytest.mark.browser
def test_pointing_rings_the_same_sample_in_both(opened):
    last = picture(opened, 0)
    x, y = place_of_a_sample(opened)
    opened.mouse.move(x, y)
    assert picture(opened, 0) != last
    assert opened.evaluate("ringed") is not None
    opened.mouse.move(5, 5)
    assert picture(opened, 0) == last


@pytest.mark.browser
@pytest.mark.parametrize("address", ["#%", "#%E0%A4%A", "#constructor,1/toString,2/2", "#cfg,NaN,,/x,,/2", "#a/b/c"])
def test_an_address_that_says_nothing_is_passed_over(browser, small_page, address):
    tab = browser.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(small_page[0].as_uri() + address)
    wait(tab)
    tab.evaluate("(address) => { location.hash = ''; location.hash = address; }", address)
    wait(tab)
    assert errors == []
    assert tab.evaluate("panels.map((panel) => panel.run.method)") == ["cfg", "autoguidance"]
    tab.close()


@pytest.mark.browser
def test_on_a_phone(browser, small_page):
    tab = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    tab.goto(small_page[0].as_uri() + "#truncation,1,8,512/cfg,2,8,4096/1")
    wait(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.locator("canvas:visible").count() == 1
    assert right(tab).get_by_label("weight w").get_attribute("aria-valuetext") == "2.00"
    assert right(tab).get_by_label("guide: training steps").get_attribute("aria-valuetext") == "4096"
    sliders = tab.locator("input[type=range]:visible")
    assert all(sliders.nth(i).bounding_box()["height"] >= 30 for i in range(sliders.count()))
    tab.touchscreen.tap(*place_of_a_sample(tab))
    tab.wait_for_timeout(100)
    assert tab.evaluate("ringed") is not None  # after the finger was lifted
    tab.set_viewport_size({"width": 360, "height": 740})
    tab.get_by_label("compare two pictures").check()
    wait(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.close()
