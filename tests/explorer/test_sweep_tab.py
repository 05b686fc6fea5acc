"""The explorer's tab of a sweep, without a browser and without drawing: a cell that is pressed becomes the state."""

from datetime import UTC, datetime

import pytest

from toydiff.explorer.jupyter.explorer import Explorer
from toydiff.explorer.state import ModelChoice, State
from toydiff.measuring.sweep_axes import settings_of
from toydiff.measuring.sweep_table import Sweep, save_sweep


@pytest.fixture(scope="module")
def explorer():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toydiff.explorer.worker.Worker.submit", lambda *_: None)
        explorer = Explorer(State(points=100))
        yield explorer
        explorer.close()


@pytest.fixture(autouse=True)
def fresh(explorer):
    explorer.set(State(points=100))


def upload(widget, name, content):
    """What the browser sends when a file was chosen."""
    kind = {"type": "", "last_modified": datetime.now(UTC)}
    widget.value = (kind | {"name": name, "size": len(content), "content": memoryview(content)},)


def open_sweep(explorer, folder, value=lambda setting: setting.weight / 10, **grid):
    """Put a table with made-up values into the tab."""
    table = Sweep(100, ("branch_coverage", "sliced_wasserstein"))
    table.rows.update({setting: dict.fromkeys(table.columns, value(setting)) for setting in settings_of(grid)})
    save_sweep(folder / "sweep.csv", table)
    upload(explorer.sweep.upload, "sweep.csv", (folder / "sweep.csv").read_bytes())


def cell_buttons(explorer):
    return [child for child in explorer.sweep.cells.children if hasattr(child, "click")]


def test_a_cell_of_a_sweep_shows_its_setting(explorer, tmp_path):
    grid = {"method": ["cfg", "mix"], "weight": [2.0, 4.0], "guide_width": [8, 16], "main_width": [32], "seed": [7, 8]}
    open_sweep(explorer, tmp_path, **grid, hi=[0.5], share=[0.25], guide_steps=[1024])
    assert explorer.sweep.x.options == ("method", "weight", "share", "guide_width", "seed")  # cfg has no share
    explorer.sweep.x.value, explorer.sweep.y.value = "weight", "guide_width"
    buttons = cell_buttons(explorer)
    assert [button.description for button in buttons] == [".2", ".4", ".2", ".4"]
    assert buttons[0].style.button_color != buttons[1].style.button_color
    assert "method=cfg, weight=4, lo=0, hi=0.5" in buttons[1].tooltip
    buttons[1].click()  # the upper row: guides of width 16
    state = explorer.state
    assert (state.method, state.weight, state.knob("share"), state.seed, state.interval) == (
        "cfg",
        4.0,
        0.5,
        7,
        (0.0, 0.5),
    )
    assert (state.main, state.guide) == (ModelChoice(32, 4096), ModelChoice(16, 1024))
    assert state.points == 100
    assert "One of the 4 settings of this cell: method=cfg, share=0.5, seed=7" in explorer.message.value
    explorer.sweep.y.value = ""
    assert len(cell_buttons(explorer)) == 2
    explorer.sweep.y.value = "method"
    cell_buttons(explorer)[0].click()  # the upper row: the mix
    assert (explorer.state.method, explorer.state.knob("share")) == ("mix", 0.25)
    explorer.sweep.y.value = "weight"
    assert "both axes are weight" in explorer.message.value
    assert not explorer.sweep.cells.children


def test_the_classifier_of_a_cell_is_the_bundled_one(explorer, tmp_path):
    explorer.set(State(points=100, guide=ModelChoice(exact=True)))
    open_sweep(explorer, tmp_path, method=["classifier"], distribution=["fractal_tree", "rings"])
    guides = {}
    for button in cell_buttons(explorer):
        button.click()
        guides[explorer.state.distribution] = explorer.state.guide
    assert guides == {"fractal_tree": ModelChoice(32, 512), "rings": ModelChoice(16, 128)}


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"solver": ["euler"]}, "the explorer has no solver euler; it shows heun only"),
        ({"training_seed": [3]}, "the explorer has no training_seed 3; it shows 0 only"),
        ({"guide_ema": [0.05]}, "the explorer has no guide_ema 0.05; it shows 0.01 only"),
        ({"classes": ["B"]}, "there are no networks of fractal_tree B: set main exact"),
        ({"guide_width": [9]}, "no network with guide width 9; there are 8, 16, 32, 64, 128"),
    ],
)
def test_a_cell_that_the_explorer_cannot_show_says_why(explorer, tmp_path, grid, words):
    before = explorer.scene
    open_sweep(explorer, tmp_path, method=["autoguidance"], **grid)
    cell_buttons(explorer)[0].click()
    assert words in explorer.message.value
    assert explorer.scene == before


def test_cells_without_a_value_and_other_data_are_shown(explorer, tmp_path):
    grid = {"method": ["unguided", "cfg"], "weight": [1.0, 2.0], "distribution": ["letters"]}
    open_sweep(explorer, tmp_path, lambda s: float("nan") if s.weight == 2 else 12.34, **grid)
    assert [button.description for button in cell_buttons(explorer)] == ["12", "nan", "12"]  # unguided: w = 1 only
    cell_buttons(explorer)[1].click()
    assert (explorer.state.distribution, explorer.state.method, explorer.state.weight) == ("letters", "cfg", 2.0)


def test_what_is_no_sweep_is_refused(explorer, tmp_path):
    upload(explorer.sweep.upload, "a.csv", b"weight,score\n1,2\n")
    assert "it is not a sweep; toydiff sweep writes one" in explorer.message.value
    open_sweep(explorer, tmp_path, weight=[i / 10 for i in range(30)], seed=list(range(30)))
    assert "30 times 30 cells are too many for the page" in explorer.message.value
