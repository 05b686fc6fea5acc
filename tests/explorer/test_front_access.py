"""The front end in the app page, in a real headless Chromium: by keyboard, by touch and by ear."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from browser import CONTROLS, LECTURE, SEVERAL

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
        explorer.get("document.querySelectorAll('.toydiff details').forEach((one) => { one.open = true; })")
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
    explorer.get("document.querySelectorAll('.toydiff details').forEach((one) => { one.open = true; })")
    assert explorer.get(nameless) == []
    explorer.until("document.querySelector('.toydiff-picture').getAttribute('aria-label').includes('outliers')")
    words = explorer.picture().get_attribute("aria-label")
    assert words.startswith("Autoguidance, w 3, guide: same class, smaller, less trained. 4096 samples: ")
    slider = explorer.page.get_by_role("slider", name="weight w")
    assert slider.get_attribute("aria-valuetext") == "w = 3"
    assert explorer.page.get_by_role("slider", name="noise level").get_attribute("aria-valuetext") == "σ = 0"
