"""The front end in the app page, in a real headless Chromium: by keyboard, by touch and by ear."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from browser import CONTROLS, LECTURE, OPEN_ALL, SEVERAL

from toydiff.explorer.painter import Painter

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


FINDINGS = """(await axe.run()).violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))"""


def findings(explorer):
    """What axe says that is serious or critical."""
    explorer.page.evaluate(f"() => {{ if (!window.axe) {{ {AXE_SCRIPT} }} }}")
    return explorer.page.evaluate(f"async () => {FINDINGS}")


@pytest.mark.parametrize("scene", ["one", "drawer", "two", "four", "lecture", "phone"])
def test_axe_has_no_serious_finding(explorer, scene):
    explorer.set(*SEVERAL[{"two": 2, "lecture": 2, "four": 4}.get(scene, 1)], **LECTURE if scene == "lecture" else {})
    if scene == "lecture":
        explorer.choose("present", "weight only")
    if scene == "drawer":
        explorer.find("more").click()
        explorer.get(OPEN_ALL)
    if scene == "phone":
        explorer.resize(390, 844)
    explorer.frames(5)
    assert findings(explorer) == []


def test_axe_finds_what_is_wrong(explorer):
    """So that its silence says something."""
    change = "(names) => { const one = document.querySelector('input.toydiff-step'); one.title = names[0]; "
    change += "one.setAttribute('aria-label', names[0]); one.previousSibling.textContent = ''; "
    change += "document.querySelector('.toydiff-sigma').style.color = names[1]; }"
    explorer.page.evaluate(change, ["", "#ddd"])
    found = {line.split(":")[0] for line in findings(explorer)}
    explorer.page.evaluate(change, ["noise level", ""])
    assert found >= {"color-contrast", "label"}


def test_screen_readers_hear_names_and_the_picture(explorer):
    nameless = f"""{CONTROLS}.filter((one) => !one.matches("[type=file]") && !(one.getAttribute("aria-label")
        || one.textContent.trim() || one.labels?.[0]?.textContent.trim())).map((one) => one.outerHTML)"""
    explorer.find("more").click()
    explorer.get(OPEN_ALL)
    assert explorer.get(nameless) == []
    explorer.until("document.querySelector('.toydiff-picture').getAttribute('aria-label').includes('outliers')")
    words = explorer.picture().get_attribute("aria-label")
    assert words.startswith("Autoguidance, w 3, guide: same class, smaller, less trained. 4096 samples: ")
    slider = explorer.page.get_by_role("slider", name="weight w")
    assert slider.get_attribute("aria-valuetext") == "w = 3"
    assert explorer.page.get_by_role("slider", name="noise level").get_attribute("aria-valuetext") == "σ = 0"


ENABLED = f"{CONTROLS}.filter((one) => !one.disabled)"
NAMED = "(one) => one.className.replace(/toydiff-/g, '') || one.textContent"
# Buttons are heard and kept from acting: what each does is tried elsewhere.
HEARD = f"""(() => {{
    window.heard = new Set();
    window.quiet = new AbortController();
    document.addEventListener("click", (event) => {{
        const pressed = event.target.closest("button, summary");
        if (!pressed) return;
        heard.add(pressed);
        event.preventDefault();
        event.stopImmediatePropagation();
    }}, {{ capture: true, signal: quiet.signal }});
    for (const kind of ["input", "change", "focus"]) document.addEventListener(kind, (event) => heard.add(event.target),
        {{ capture: true, signal: quiet.signal }});
    window.order = {ENABLED};
    return order.length;
}})()"""


def test_every_control_is_reached_and_used_by_the_keyboard_alone(explorer):
    explorer.set({"layers": ["samples"], "sigma": 0.2})
    explorer.find("more").focus()
    explorer.page.keyboard.press("Enter")
    explorer.get(OPEN_ALL)
    explorer.frames()
    reached = set()
    explorer.get("document.querySelector('.toydiff select, .toydiff input').focus()")
    total = explorer.get(f"(window.order = {ENABLED}).length")
    for _ in range(2 * total):
        reached.add(explorer.get("order.indexOf(document.activeElement)"))
        explorer.page.keyboard.press("Tab")
    missed = explorer.get(f"order.filter((_, i) => !arg.includes(i)).map({NAMED})", sorted(reached))
    assert missed == []
    for i in range(explorer.get(HEARD)):
        explorer.get("order[arg].focus()", i)
        kind = explorer.get("order[arg].type || order[arg].tagName", i)
        for key in {"range": ["ArrowLeft", "ArrowRight"], "checkbox": ["Space", "Space"], "text": ["1"]}.get(
            kind, ["Enter"]
        ):
            explorer.get("heard.delete(order[arg])", i)
            if not kind.startswith(("select", "textarea")):  # where the browser's own list opens, or text is written
                explorer.page.keyboard.press(key)
                assert explorer.get("heard.has(order[arg])", i), (explorer.get(f"({NAMED})(order[arg])", i), key)
    explorer.get("quiet.abort()")


def test_the_picture_is_moved_zoomed_and_probed_by_keys(explorer):
    explorer.picture().focus()
    before = explorer.state()["view"]
    keys = explorer.page.keyboard
    for key, change in [("ArrowRight", "x"), ("ArrowUp", "y"), ("+", "half_width"), ("-", "half_width")]:
        known = explorer.state()["view"][change]
        keys.press(key)
        assert explorer.state()["view"][change] != known, key
    keys.press("0")
    assert explorer.state()["view"] == before
    explorer.find("step").focus()
    keys.press("Home")
    for _ in range(60):
        keys.press("ArrowRight")
    assert explorer.state()["sigma"] > 0
    explorer.find("probing").focus()
    keys.press("Enter")
    explorer.until("toydiff.state?.probe ?? toydiff.scene.panels[0].probe")
    probe = explorer.state()["probe"]
    explorer.picture().focus()
    keys.press("ArrowLeft")
    assert explorer.state()["probe"][0] < probe[0]


@pytest.mark.slow  # half a minute: a hundred controls, each touched where it lies
def test_every_control_is_used_by_touch(browser, app, monkeypatch):
    with app.tab(browser, has_touch=True) as explorer:
        scene = explorer.get("toydiff.scene")
        explorer.set({"sigma": 0.2})
        touch = explorer.page.context.new_cdp_session(explorer.page)

        def send(kind, *places):
            points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
            explorer.frames(1)

        def swipe(*ways):
            for places in zip(*ways, strict=True):
                send("Start" if places == tuple(way[0] for way in ways) else "Move", *places)
            send("End")

        explorer.find("more").tap()
        explorer.get(OPEN_ALL)
        explorer.frames()
        with monkeypatch.context() as idle:  # what is asked for need not be computed
            idle.setattr(Painter, "move", lambda painter: None)
            idle.setattr(Painter, "rest", lambda painter: iter(()))
            for i in range(explorer.get(HEARD)):
                explorer.get("order[arg].scrollIntoView({ block: 'center' })", i)
                explorer.get("(document.activeElement.blur(), heard.delete(order[arg]))", i)
                box = explorer.get(
                    "(({ x, y, width, height }) => [x, y, width, height])(order[arg].getBoundingClientRect())", i
                )
                slides = explorer.get("order[arg].type === 'range'", i)
                for share in (0.85, 0.2) if slides else (0.3,):  # one of the two is another value
                    swipe([(box[0] + share * box[2], box[1] + 0.5 * box[3])])
                explorer.frames(2)
                if not explorer.get("['SELECT'].includes(order[arg].tagName)", i):  # whose list is the browser's own
                    assert explorer.get("heard.has(order[arg])", i), explorer.get(f"({NAMED})(order[arg])", i)
        explorer.get("quiet.abort()")
        explorer.fresh(scene)
        explorer.set({"sigma": 0.2})
        x, y = explorer.place(explorer.picture(), 0.5, 0.5)
        before = explorer.state()["view"]
        swipe([(x, y), (x + 30, y), (x + 60, y)])
        assert explorer.state()["view"]["x"] < before["x"]
        swipe([(x - 20, y), (x - 50, y), (x - 80, y)], [(x + 20, y), (x + 50, y), (x + 80, y)])
        assert explorer.state()["view"]["half_width"] < 0.5 * before["half_width"]
        explorer.find("probing").tap()
        explorer.until("toydiff.scene.panels[0].probe")
        probe = explorer.state()["probe"]
        swipe([(x, y), (x + 40, y + 10), (x + 80, y + 20)])
        assert explorer.state()["probe"] != probe
        weight = explorer.find("weight")
        swipe([explorer.place(weight, 0.5, 0.5), explorer.place(weight, 0.6, 0.5), explorer.place(weight, 0.9, 0.5)])
        assert explorer.state()["weight"] == pytest.approx(5.4, abs=0.3)
