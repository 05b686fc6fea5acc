"""The front end in the app page with a Python that is far away: what moves is computed in the page."""

from dataclasses import replace

import numpy as np
import pytest

from toydiff.explorer import compute
from toydiff.explorer.compute import QUICK

# One process drives the browser: two would start everything twice.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DELAY_MS = 200
# Messages to Python come late, and are counted; `told` waits for the answers to some changes.
FAR = """async (delay) => {
    const { store } = toydiff;
    const send = store.host.send.bind(store.host);
    window.messages = 0;
    store.host.send = (...message) => { messages += 1; setTimeout(() => send(...message), delay); };
    for (let i = 0; i < 5; i++) {
        store.set({ weight: 2 + 0.1 * i });
        while (store.heard < store.n || store.waiting) await new Promise((soon) => setTimeout(soon, 20));
    }
}"""
# Changes one after the other, as a hand drags; the messages that this takes, and the points when the hand holds.
DRAG = """async (changes) => {
    const { store } = toydiff;
    const [picture] = store.pictures;
    let found = null;
    picture.takeHere = (here) => {
        Object.getPrototypeOf(picture).takeHere.call(picture, here);
        const { full, now } = picture.points;
        found = { full, points: [...now], share: picture.numbers.rows["outlier_rate_0.001"].value };
    };
    const before = messages;
    for (const change of changes) {
        store.set(change);
        await new Promise((soon) => setTimeout(soon, 30));
    }
    const told = messages - before;
    while (store.busy) await new Promise((soon) => setTimeout(soon, 1));
    delete picture.takeHere;
    return { told, ...found };
}"""


def drag(far, *changes):
    """What the page shows after changes that it computes by itself, beside what JAX makes of the last one."""
    found = far.page.evaluate(DRAG, list(changes))
    assert (found["told"], found["full"]) == (0, False)
    state = replace(far.session.state, **changes[-1])
    wanted = np.asarray(compute.trajectory(state, QUICK).samples)
    away = np.abs(np.reshape(found["points"], (-1, 2)) - wanted).max(1)
    assert np.median(away) < 1e-4
    assert np.quantile(away, 0.98) < 1e-2
    assert found["share"] == pytest.approx(compute.outliers(state, QUICK).mean(), abs=3e-3)
    far.rest()
    assert far.session.state == state
    assert far.get("toydiff.store.pictures[0].points.full")


@pytest.fixture(scope="module")
def far(browser, app):
    """A tab whose Python is far away, and which has what it needs to move its points."""
    with app.tab(browser) as explorer:
        explorer.rest()
        explorer.page.evaluate(FAR, DELAY_MS)
        assert explorer.get("toydiff.engine") == "the page"
        explorer.until("toydiff.store.pictures[0].kit")
        explorer.rest()
        yield explorer


def test_what_moves_is_computed_in_the_page(far):
    """Nothing is told while the hand moves; the points are the quick ones of JAX; at rest Python's follow."""
    drag(far, *({"weight": float(weight)} for weight in np.linspace(1, 2.5, 12)))
    drag(far, {"weight": 5.0})
    drag(far, {"weight_curve": tuple(np.linspace(1, 3, 13).tolist())})


def test_another_method_moves_here_too(far):
    far.choose("method", "CFG")
    far.until("toydiff.store.pictures[0].kit.of.method === 'cfg'")
    far.rest()
    drag(far, {"weight": 1.5}, {"weight": 1.8})


def test_what_was_dragged_there_and_back_is_true_at_rest(far):
    weight = far.session.state.weight
    drag(far, {"weight": weight + 1}, {"weight": weight})


def test_where_the_page_cannot_compute_python_does(far):
    """With a module that is broken the points come from Python again."""
    far.page.evaluate("""() => {
        const picture = toydiff.store.pictures[0];
        picture.kit.buffers[picture.kit.density.code].fill(0);
        picture.kit = { ...picture.kit };
    }""")
    far.page.evaluate(DRAG, [{"weight": 1.2}])
    far.until("toydiff.engine === 'Python'")
    far.rest()
    assert far.session.state.weight == 1.2
    far.get("void toydiff.store.set({ weight: 1.6 })")
    far.rest()
    assert far.session.state.weight == 1.6
    assert far.get("toydiff.store.pictures[0].points.full")
