"""The front end in the app page, in a real headless Chromium: its layout, a lecture, what can be read, and by whom."""

import pytest
from browser import CFG, CONTROLS, LECTURE, OPEN_ALL, SEVERAL, SHARE, SMALLEST, TEXTS

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

COLUMNS = 900, 1190
"""Widths that a notebook leaves us in a wider window: JupyterLab with a side bar, Notebook 7."""
WINDOWS = (1024, 768), (1280, 720), (1920, 1080), (2560, 1440)

# Elements whose text does not fit into them, that reach out of the window or of a box that hides what is beyond it, and
# menus with words that are too long for them (26: the arrow and the paddings).
CUT_OFF = f"""(() => {{
    const pen = document.createElement("canvas").getContext("2d");
    const long = (menu) => {{
        const {{ fontSize, fontFamily }} = getComputedStyle(menu);
        pen.font = `${{fontSize}} ${{fontFamily}}`;
        return [...menu.options].some(({{ text }}) => pen.measureText(text).width > menu.clientWidth - 26);
    }};
    const outside = (one) => {{
        const box = one.getBoundingClientRect();
        for (let place = one.parentElement; place !== document.body; place = place.parentElement) {{
            const [style, room] = [getComputedStyle(place), place.getBoundingClientRect()];
            if (style.overflowX !== "visible" && (box.right > room.right + 1 || box.left < room.left - 1)) return true;
            if (style.overflowY === "hidden" && (box.bottom > room.bottom + 1 || box.top < room.top - 1)) return true;
        }}
        return box.right > innerWidth + 1 || box.left < -1;
    }};
    return {TEXTS}.filter((one) => (one.clientWidth && one.scrollWidth > one.clientWidth + 1) || outside(one)
            || (one.tagName === "SELECT" && long(one)))
        .map((one) => `${{one.tagName}}.${{one.getAttribute("class")}}: ${{one.textContent.slice(0, 40)}}`);
}})()"""
SIDEWAYS = """[document.documentElement, ...document.querySelectorAll(".toydiff *")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.scrollWidth > one.clientWidth + 1
        && getComputedStyle(one).overflowX !== "visible").map((one) => one.className)"""
TALLER = "document.documentElement.scrollHeight - innerHeight"


def in_whole_percent(explorer):
    return round(100 * explorer.get(SHARE))


def test_pictures_come_first(explorer):
    """Their shares of the window; nothing scrolls at first, and there are few controls."""
    assert explorer.get(f"{CONTROLS}.length") <= 14
    wanted = {1: (43, 44), 2: (75, 80), 4: (43, 43)}
    for panels, shares in wanted.items():
        explorer.set(*SEVERAL[panels])
        for (width, height), share in zip(WINDOWS[1:3], shares, strict=True):
            explorer.resize(width, height)
            assert in_whole_percent(explorer) >= share, (panels, width)
            assert explorer.get(TALLER) <= 0 or panels > 1
    explorer.set(*SEVERAL[2], **LECTURE)
    explorer.choose("present", "all controls")
    for (width, height), share in zip(WINDOWS[1:3], (69, 73), strict=True):
        explorer.resize(width, height)
        assert in_whole_percent(explorer) >= share, width
        assert explorer.get(TALLER) <= 0


@pytest.mark.parametrize("scene", ["1", "2", "3", "4", "titled", "lecture", "lecture of one", "drawer", "probe"])
def test_nothing_is_cut_off_or_too_small(explorer, scene):
    explorer.set(*SEVERAL.get(int(scene) if scene.isdigit() else 1 if scene in ("lecture of one", "drawer") else 2))
    if scene.startswith(("titled", "lecture")):
        explorer.set({}, CFG, **LECTURE)
    if scene.startswith("lecture"):
        explorer.choose("present", "all controls")
    if scene == "drawer":
        explorer.find("more").click()
        explorer.get(OPEN_ALL)
    if scene == "probe":
        explorer.set({"probe": [0, 0.3], "sigma": 0.3})
    for width, height in WINDOWS:
        explorer.resize(width, height)
        explorer.frames(5)
        assert explorer.get(CUT_OFF) == [], width
        assert explorer.get(SIDEWAYS) == [], width
        assert explorer.get(SMALLEST) >= {1024: 13, 1280: 14}.get(width, 20), width


@pytest.fixture
def column(explorer):
    """Sets the width that a notebook leaves us in a window of 1920."""
    explorer.resize(1920, 1080)
    yield lambda width: explorer.get("(document.querySelector('.toydiff').style.width = `${arg}px`)", width)
    explorer.get("(document.querySelector('.toydiff').style.width = '')")


@pytest.mark.parametrize("panels", [1, 2, 3, 4])
def test_nothing_is_cut_off_in_a_column_of_a_wide_window(explorer, column, panels):
    explorer.set(*SEVERAL[panels])
    for width in COLUMNS:
        column(width)
        explorer.frames(5)
        assert explorer.get(CUT_OFF) == [], width
        assert explorer.get(SIDEWAYS) == [], width
        assert explorer.get(SMALLEST) >= 13, width


def test_every_control_lies_free(explorer):
    """In its middle nothing else is above it."""
    script = """[...document.querySelectorAll(".toydiff :is(button, input, select, summary)")].filter((one) => {
        const { x, y, width, height } = one.getBoundingClientRect();
        const [left, top] = [x + width / 2, y + height / 2];
        if (!one.checkVisibility({ visibilityProperty: true }) || top > innerHeight) return false;
        return !one.contains(document.elementFromPoint(left, top));
    }).map((one) => one.className)"""
    for panels in (1, 2, 4):
        for hidden in ([], ["numbers", "train"]):
            explorer.set(*SEVERAL[panels], hidden=hidden)
            for level in ("", "weight", "guidance"):
                explorer.find("present").evaluate(
                    "(one, level) => { one.value = level; one.dispatchEvent(new Event('change')); }", level
                )
                explorer.frames(5)
                assert explorer.get(script) == [], (panels, hidden, level)
