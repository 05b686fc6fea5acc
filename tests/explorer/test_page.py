"""The page that needs no Python: what is in it, and what a browser shows of it from a file's address."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import toydiff
from toydiff import cli
from toydiff.explorer import compute, front
from toydiff.explorer.page import export, manifest, pack, runs
from toydiff.explorer.state import ModelChoice, State
from toydiff.sampling.schedules import noise_schedule

DEMO = Path(__file__).parents[2] / "docs" / "demo.html"
SMALL = State(main=ModelChoice(8, 4096), guide=ModelChoice(8, 512))
"""One width of guides, with three lengths of training."""
QUALITY = compute.Quality(200, 0)


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
        assert name == "unguided" or {1.0, row.weight} <= set(runs.weights_of(row))


def test_guides_up_to_the_main_model_with_three_trainings():
    paper = {(guide.width, guide.steps) for guide in runs.guides_of(State())}
    assert paper == {(width, steps) for width in (8, 16, 32, 64) for steps in (128, 512, 4096)}
    assert len(runs.guides_of(State(method="truncation"))) == 1
    exact = ModelChoice(exact=True)
    assert runs.guides_of(State(guide=exact)) == [exact]


def test_each_method_brings_its_own_guide_and_interval():
    sharpened = runs.states_of(State(), ["sharpened"])
    assert {state.guide.steps for row in sharpened for state in row} == {128, 1024, 4096}
    assert {state.interval for row in sharpened for state in row} == {toydiff.METHODS["sharpened"].interval}
    assert runs.state_of(State(guide=ModelChoice(16, 128)), "sharpened").guide == ModelChoice(16, 128)  # as chosen
    own = State(interval=(0.01, 0.5), solver="euler")
    assert runs.state_of(own, "autoguidance") == own
    assert runs.state_of(own, "cfg").interval == State().interval


def test_a_new_method_is_a_row_of_the_page(monkeypatch, tmp_path):
    monkeypatch.setitem(toydiff.METHODS, "mine", toydiff.METHODS["truncation"]._replace(short="Mine, of today"))
    monkeypatch.setattr(runs, "GRID", (0, 4))
    state = replace(SMALL, interval=(0.01, 0.5))
    export.export_html(tmp_path / "a.html", state, methods=["mine"], points=5, samples=100, progress=False)
    holds = manifest_of(tmp_path / "a.html")
    assert holds["runs"][0]["menus"]["method"] == [["mine", "Mine, of today"]]
    assert holds["scene"]["panels"][0]["method"] == "mine"  # the state's is not there
    assert any("interval [0.01, 0.5]" in line for line in holds["about"]["made"])


def test_what_is_shown_first_is_the_state(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "GRID", (0, 4))
    state = replace(SMALL, weight=2.1, layers=("outlines", "density_main", "samples"), probe=(0, 0), sigma=1.0)
    kept = {"methods": ["cfg", "autoguidance"], "points": 5, "samples": 100}
    export.export_html(tmp_path / "a.html", state, **kept, progress=False)
    (panel,) = manifest_of(tmp_path / "a.html")["scene"]["panels"]
    assert (panel["method"], panel["weight"], panel["sigma"], panel["points"]) == ("autoguidance", 2.0, 1.0, 5)
    assert (panel["layers"], panel["probe"]) == (["outlines", "samples"], None)


def test_numbers_are_those_of_the_explorer(small_page):
    path, states = small_page
    holds = manifest_of(path)
    assert [run["state"]["method"] for run in holds["runs"]] == [run[0].method for run in states]
    state = replace(SMALL, weight=3.0)
    expected = compute.measure(state, QUALITY, errors=True)
    (run,) = (r for r in holds["runs"] if (r["state"]["method"], r["state"]["guide"]["steps"]) == ("autoguidance", 512))
    shown = run["numbers"][run["weights"].index(3.0)]
    assert list(shown) == list(expected)
    for name, number in expected.items():
        assert shown[name] == pytest.approx(number._asdict(), rel=1e-3)


def test_a_page_is_one_file_that_asks_for_nothing(small_page):
    text = small_page[0].read_text()
    assert "<title>A &lt;small&gt; {{page}} · toydiff</title>" in text
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\"" in text
    assert not re.search(r"https?://(?!www.w3.org/2000/svg)|@import|\bfetch\(|XMLHttpRequest|WebSocket", text)
    assert not re.search(r"{{(blocks|manifest)}}", text)
    assert text.count(front.script()) == text.count(front.style()) == 1
    assert export.renewed(text) == text


def test_bits_of_a_run_are_few(small_page):
    blocks = re.findall(r'id="run\d+">([^<]*)<', small_page[0].read_text())
    assert len(blocks) == len(small_page[1])
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
        ({"title": "long" * 1000}, "the title of a scene must be text of at most 1000 characters"),
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
    assert re.search(r"a.html, 0\.\d MB", capsys.readouterr().out)
    holds = manifest_of(tmp_path / "a.html")
    assert holds["scene"]["panels"][0]["main"]["exact"]
    assert [run["sized"] for run in holds["runs"]] == [False, False]  # no width or training that nothing has
    assert cli.main(["export-html", str(tmp_path / "a.gif")]) == 2
    assert "must end in .html" in capsys.readouterr().err
    assert cli.main(["export-html", str(tmp_path / "b.html"), "--classes", ""]) == 2
    assert "unknown classes ''" in capsys.readouterr().err


@pytest.mark.slow
def test_the_default_page_is_small(tmp_path):
    assert export.export_html(tmp_path / "a.html", progress=False) < 5e6


# In Chromium.

RESTS = """() => {
    window.rests = 0;
    toydiff.store.on("rest", () => { window.rests += 1; });
}"""
NAMELESS = """() => [...document.querySelectorAll("button, select, input, [role=img]")].filter((one) =>
    !(one.getAttribute("aria-label") || one.labels?.[0]?.textContent.trim() || one.textContent.trim()))
    .map((one) => one.outerHTML)"""


def until(tab, condition):
    """Playwright's own waiting evaluates texts, which the page's policy forbids."""
    for _ in range(500):
        if tab.evaluate(f"() => Boolean({condition})"):
            return
        tab.wait_for_timeout(20)
    pytest.fail(f"it never came to {condition}")


def open_file(browser, address, **options):
    """A tab with the page; `outside` is what it asked for, `errors` what went wrong."""
    tab = browser.new_page(**{"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce"} | options)
    tab.errors, tab.outside = [], []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.on("console", lambda message: tab.errors.append(message.text))
    tab.on("request", lambda request: tab.outside.append(request.url))
    tab.goto(address)
    until(tab, "globalThis.toydiff?.store.menus.length")
    tab.evaluate(RESTS)
    until(tab, "location.hash && !Object.keys(toydiff.store.pictures[0].stale).length")
    return tab


@pytest.fixture(scope="module")
def opened(browser, small_page):
    tab = open_file(browser, small_page[0].as_uri())
    yield tab
    assert tab.errors == []
    assert [url for url in tab.outside if not url.startswith(("file:", "data:"))] == []
    tab.close()


@pytest.fixture
def tab(opened):
    """The page as it was opened."""
    rests(opened, lambda: opened.evaluate("() => toydiff.store.open('as opened')"))
    return opened


def rests(tab, act):
    """Do something, and wait until a recorded run stands on the screen, in full."""
    before = tab.evaluate("() => window.rests")
    act()
    until(tab, f"window.rests > {before} && !toydiff.store.pictures.some((one) => one.gliding)")


def panel(tab, number=0):
    return tab.evaluate("(number) => toydiff.scene.panels[number]", number)


def points(tab, number=0):
    return np.array(tab.evaluate("(number) => [...toydiff.points(number)]", number)).reshape(-1, 2)


def sampled(state):
    """What Python's sampler gives, at the data."""
    return np.asarray(compute.trajectory(replace(state), QUALITY).samples)[:50]


def picture(tab, number=0):
    tab.wait_for_timeout(60)
    return tab.locator(".toydiff-picture").nth(number).screenshot()


def compare(tab, *panels):
    """Two pictures; fields of each that are not as at first."""
    script = "(panels) => toydiff.set({ panels: panels.map((one) => ({ ...toydiff.scene.panels[0], ...one })) })"
    rests(tab, lambda: tab.evaluate(script, panels))


@pytest.mark.browser
def test_the_browser_has_the_points_of_the_sampler(tab, small_page):
    sigma = noise_schedule()[list(runs.LEVELS)]
    script = """async ([state, levels]) => {
        const known = { ...toydiff.scene.panels[0], ...state };
        const all = [];
        for (const sigma of levels) {
            await toydiff.set({ panels: [{ ...known, sigma }] });
            all.push([...toydiff.points(0)]);
        }
        const [data] = toydiff.store.pictures;
        return [all, [...data.out.slice(0, 50)].map(Boolean)];
    }"""
    for row in small_page[1]:
        for state in row:
            seen = slice(0 if state == row[-1] else -1, None)  # at all noise levels, or at the data
            path = np.asarray(compute.trajectory(state, QUALITY).x)[list(runs.LEVELS), :50][seen]
            values = {name: state.to_json()[name] for name in manifest.BROUGHT}
            here, out = tab.evaluate(script, [values, sigma[seen].tolist()])
            apart = np.abs(np.array(here).reshape(path.shape) - path)
            assert (apart <= 0.51 * pack.quanta(sigma)[seen, None, None] + 1e-5 * np.abs(path)).all()
            assert apart[-1].max() < 0.001 * 2 * 1.12  # a thousandth of the picture
            assert out == compute.outliers(state, QUALITY)[:50].tolist()


@pytest.mark.browser
def test_the_weight_by_keyboard(tab):
    tab.get_by_label("weight w", exact=True).focus()
    for key, weight in [("ArrowRight", 4.0), ("ArrowRight", 4.0), ("ArrowLeft", 3.0), ("Home", 1.0), ("ArrowUp", 2.0)]:
        tab.keyboard.press(key)
        tab.wait_for_timeout(400)
        assert panel(tab)["weight"] == weight
        np.testing.assert_allclose(points(tab), sampled(replace(SMALL, weight=weight)), atol=0.002)
    assert tab.get_by_label("weight w", exact=True).get_attribute("aria-valuetext") == "w = 2"
    tab.wait_for_timeout(650)  # what follows sooner is one change, and taken back as one
    rests(tab, lambda: tab.keyboard.press("ArrowDown"))
    rests(tab, lambda: tab.keyboard.press("Control+z"))
    assert panel(tab)["weight"] == 2
    box = tab.get_by_label("w", exact=True)
    rests(tab, lambda: (box.fill("2,9"), box.press("Enter")))
    until(tab, "toydiff.scene.panels[0].weight === 3")
    box.fill("much")
    box.press("Enter")
    tab.get_by_role("alert").filter(has_text="weight, noise level and view must be numbers").wait_for()
    until(tab, "toydiff.scene.panels[0].weight === 3")
    tab.get_by_label("weight w", exact=True).press("ArrowLeft")
    until(tab, "toydiff.scene.panels[0].weight === 2")
    assert tab.get_by_role("alert").count() == 0


@pytest.mark.browser
def test_dragging_goes_between_the_weights_and_rests_on_one(tab):
    low, high = (sampled(replace(SMALL, weight=weight)) for weight in (2.0, 3.0))
    box = tab.get_by_label("weight w", exact=True).bounding_box()
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + 0.65 * box["width"], y)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.5 * box["width"], y)
    weight = panel(tab)["weight"]
    assert 2.2 < weight < 2.8
    until(tab, "toydiff.store.pictures[0].points.full === false")
    between = low + (weight - 2) * (high - low)
    np.testing.assert_allclose(points(tab), between, atol=0.003)
    assert tab.locator(".toydiff-error").first.inner_text().strip() == "± …"
    tab.mouse.up()
    nearest = round(weight)
    until(tab, f"toydiff.scene.panels[0].weight === {nearest} && toydiff.store.pictures[0].points.full")
    np.testing.assert_allclose(points(tab), high if nearest == 3 else low, atol=0.002)


@pytest.mark.browser
def test_a_method_brings_its_weight_and_guide(tab, small_page):
    for method, weight, guided in [("truncation", 1.4, False), ("unguided", 1.0, False), ("cfg", 4.0, True)]:
        rests(tab, lambda name=method: tab.get_by_label("method").select_option(name))
        assert (panel(tab)["method"], panel(tab)["weight"]) == (method, weight)
        assert tab.get_by_label("guide, from bad to good").is_visible() == guided
    assert panel(tab)["guide"]["steps"] == 512
    numbers = tab.locator(".toydiff-numbers").inner_text()
    guide = tab.get_by_label("guide, from bad to good")
    guide.focus()
    rests(tab, lambda: tab.keyboard.press("Home"))
    assert panel(tab)["guide"]["steps"] == 128
    assert guide.get_attribute("aria-valuetext") == "width 8, 128 steps"
    assert tab.locator(".toydiff-numbers").inner_text() != numbers
    state = replace(SMALL, method="cfg", weight=4.0, guide=ModelChoice(8, 128))
    np.testing.assert_allclose(points(tab), sampled(state), atol=0.002)


@pytest.mark.browser
def test_noise_and_play_ask_nothing_while_they_move(tab):
    end, slider = points(tab), tab.get_by_label("noise level", exact=True)
    slider.focus()
    rests(tab, lambda: tab.keyboard.press("Home"))
    start = points(tab)
    assert start.std() > 5 * end.std()
    sent = tab.evaluate("() => toydiff.store.sent")
    tab.get_by_role("button", name="Play").click()
    until(tab, "toydiff.scene.panels[0].sigma < 1")
    tab.get_by_role("button", name="Pause").click()
    assert tab.evaluate("() => toydiff.store.sent") == sent
    assert 1.2 * end.std() < points(tab).std() < start.std()
    slider.focus()
    rests(tab, lambda: tab.keyboard.press("End"))
    np.testing.assert_array_equal(points(tab), end)


@pytest.mark.browser
def test_layers_and_what_a_file_cannot_do(tab):
    tab.get_by_role("button", name="More").click()
    for name in ("trajectories", "lines from unguided to guided", "outliers in pink", "class outlines", "samples"):
        last = picture(tab)
        rests(tab, lambda name=name: tab.get_by_label(name, exact=True).click())
        assert picture(tab) != last, name
    tab.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    tab.wait_for_timeout(100)
    disabled = [
        *(f"layer-{name}" for name in manifest.COMPUTED),
        *("probing", "distribution", "classes", "seed-box", "points-box", "steps-box", "solver", "start"),
        *("main-steps", "main-exact", "guide-exact"),
    ]
    for name in disabled:
        control = tab.locator(f".toydiff-{name}")
        assert control.is_disabled(), name
        reason = tab.locator(f"#{control.get_attribute('aria-describedby')}")
        assert re.search("recorded", reason.text_content()), name
    assert not tab.get_by_text("Train", exact=True).count()
    about = tab.locator("details.toydiff-about").inner_text()
    assert "At rest every point was computed" in about
    assert "200 samples, seed 0; exact: as many exact samples. Main model: width 8, 4,096 steps." in about
    assert f"toydiff {toydiff.__version__}" in about
    assert tab.evaluate(NAMELESS) == []
    tab.get_by_role("button", name="More").click()


@pytest.mark.browser
def test_pointing_rings_the_same_sample_in_both(tab):
    compare(tab, {"method": "cfg", "weight": 4.0}, {})
    np.testing.assert_allclose(points(tab, 0), sampled(replace(SMALL, method="cfg", weight=4.0)), atol=0.002)
    np.testing.assert_allclose(points(tab, 1), sampled(SMALL), atol=0.002)
    last = [picture(tab, 0), picture(tab, 1)]
    tab.mouse.move(*place_of_a_sample(tab))
    assert all(picture(tab, number) != last[number] for number in (0, 1))
    tab.mouse.move(5, 5)
    assert [picture(tab, 0), picture(tab, 1)] == last
    rests(tab, tab.get_by_role("button", name="Close this picture").first.click)
    assert panel(tab)["method"] == "autoguidance"
    rests(tab, tab.get_by_role("button", name="compare").click)
    np.testing.assert_array_equal(points(tab, 1), points(tab, 0))


def place_of_a_sample(tab):
    """In pixels from the corner of the window; it is in view in all pictures."""
    return tab.evaluate("""() => {
        const box = document.querySelector(".toydiff-picture").getBoundingClientRect();
        const { x, y, half_width } = toydiff.scene.panels[0].view;
        const all = toydiff.scene.panels.map((_, i) => toydiff.points(i));
        const seen = (i) => all.every((xy) => Math.hypot(xy[2 * i] - x, xy[2 * i + 1] - y) < 0.9 * half_width);
        const i = [...Array(50).keys()].find(seen);
        const [px, py] = all[0].slice(2 * i, 2 * i + 2);
        const scale = box.width / (2 * half_width);
        return [box.left + box.width / 2 + (px - x) * scale, box.top + box.height / 2 - (py - y) * scale];
    }""")


@pytest.mark.browser
def test_what_was_not_recorded_is_refused(tab):
    before = points(tab)
    tab.evaluate("() => toydiff.store.set({ seed: 3 })")
    tab.get_by_role("alert").filter(has_text="not recorded: it needs Python").wait_for()
    until(tab, "toydiff.scene.panels[0].seed === 0")
    np.testing.assert_array_equal(points(tab), before)
    scenes = tab.locator(".toydiff-scene option").all_inner_texts()
    assert scenes[:2] == ["scene …", "as opened"]


@pytest.mark.browser
def test_the_address_holds_what_is_set(browser, tab, small_page):
    compare(tab, {"method": "cfg", "weight": 2.0, "guide": {**panel(tab)["guide"], "steps": 4096}}, {})
    assert tab.url.endswith("#cfg,2,8,4096/autoguidance,3,8,512")
    again = open_file(browser, tab.url)
    assert again.evaluate("() => toydiff.scene.panels") == tab.evaluate("() => toydiff.scene.panels")
    np.testing.assert_array_equal(points(again), points(tab))
    rests(again, lambda: again.evaluate("() => { location.hash = '#truncation,1.3/magic,2'; }"))
    until(again, "toydiff.scene.panels.length === 1")
    assert (panel(again)["method"], panel(again)["weight"]) == ("truncation", 1.4)  # the nearest
    assert again.errors == []
    again.close()


@pytest.mark.browser
@pytest.mark.parametrize("address", ["#%", "#%E0%A4%A", "#constructor,1/toString,2/2", "#cfg,Infinity", "#a/b/c"])
def test_an_address_that_says_nothing_is_passed_over(browser, small_page, address):
    tab = open_file(browser, small_page[0].as_uri() + address)
    tab.evaluate("(address) => { location.hash = ''; location.hash = address; }", address)
    tab.wait_for_timeout(100)
    assert tab.errors == []
    assert [one["method"] for one in tab.evaluate("() => toydiff.scene.panels")] == ["autoguidance"]
    tab.close()


@pytest.mark.browser
def test_the_policy_lets_nothing_in_or_out(browser, small_page):
    tab = open_file(browser, small_page[0].as_uri())
    assert tab.evaluate("() => fetch('data:,a').then(() => 'in', () => 'refused')") == "refused"
    tab.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080)])
def test_nothing_scrolls(browser, small_page, width, height):
    tab = open_file(browser, small_page[0].as_uri(), viewport={"width": width, "height": height})
    size = tab.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert size == [width, height]
    assert tab.title() == "A <small> {{page}} · toydiff"
    assert tab.get_by_role("heading", name="A <small> {{page}}").is_visible()
    label = tab.locator(".toydiff-picture")
    until(tab, "document.querySelector('.toydiff-picture').getAttribute('aria-label').includes('outliers')")
    assert label.get_attribute("aria-label").startswith("Autoguidance, w 3, guide: ")
    assert tab.evaluate(NAMELESS) == []
    tab.close()


@pytest.mark.browser
def test_on_a_phone(browser, small_page):
    address = small_page[0].as_uri() + "#truncation,1.4/cfg,2,8,4096"
    tab = open_file(browser, address, viewport={"width": 390, "height": 844}, has_touch=True)
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 390
    box = tab.locator(".toydiff-picture").first.bounding_box()
    assert box["y"] + box["height"] < 844
    assert box["width"] > 370
    before = picture(tab)
    tab.touchscreen.tap(*place_of_a_sample(tab))
    assert picture(tab) != before  # its ring stays after the finger was lifted
    tab.close()


@pytest.mark.browser
def test_the_page_in_docs_with_the_front_end_of_today(browser, tmp_path):
    """The runs in it take minutes; what surrounds them is renewed whenever the site is made."""
    page = tmp_path / "demo.html"
    page.write_text(export.renewed(DEMO.read_text()))
    assert page.stat().st_size < 5e6
    assert list(manifest_of(page)["own"]) == list(runs.PAPERS)
    tab = open_file(browser, page.as_uri())
    rests(tab, lambda: tab.get_by_label("method").select_option("cfg"))
    assert (panel(tab)["weight"], len(points(tab))) == (4.0, 1024)
    rests(tab, lambda: tab.get_by_label("scene").select_option("Fig. 1: all four"))
    assert [one["method"] for one in tab.evaluate("() => toydiff.scene.panels")] == list(runs.PAPERS)
    assert tab.errors == []
    tab.close()
