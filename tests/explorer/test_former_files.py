"""What version 0.1 wrote still opens, and says the same."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toydiff import load_sweep
from toydiff.explorer import compute
from toydiff.explorer.lab_file import open_file
from toydiff.explorer.scene import Scene
from toydiff.explorer.state import SIGMAS, ModelChoice, State, with_classes
from toydiff.measuring.sweep_axes import make_setting
from toydiff.measuring.sweep_table import save_sweep
from toydiff.networks.library import Library
from toydiff.results.plotting import FULL_VIEW, View

FORMER = Path(__file__).parent / "version_0_1"


def test_a_state_of_before_opens():
    state = State.from_json((FORMER / "state.json").read_text())
    assert state == State(
        method="mix",
        weight=2.5,
        weight_curve=tuple(1 + i / 10 for i in range(13)),
        interval=(0.02, 1.5),
        knobs={"share": 0.25},
        main=ModelChoice(128, 1024),
        guide=ModelChoice(16, 256),
        seed=7,
        points=300,
        sigma=SIGMAS[20],
        layers=("outlines", "ratio"),
        view=View(0.1, 0.2, 0.5),
        probe=(0.3, 0.4),
    )
    assert state.sigma == pytest.approx(0.08, rel=0.3)
    assert State.from_json(state.to_json()) == state
    assert State.from_json({"interval": [0.0, 10000.0], "share": 0.5, "step": 32}) == State()


def test_a_laboratory_of_before_opens_with_its_networks():
    library = Library()
    scene, views = open_file((FORMER / "laboratory.json").read_bytes(), library)
    mine, mixed = scene.panels
    assert (scene.title, scene.question, scene.hidden) == ("Mine", "Why?", ("seed-box",))
    assert mine.main == ModelChoice(4, 8, family="loaded 1")
    assert mine.sigma == mixed.sigma == SIGMAS[31] == pytest.approx(0.002)
    assert mixed.knob("share") == 0.75
    few = compute.Quality(64, 0, "euler", (5.0, 0.5, 0.0))
    assert np.isfinite(compute.points_now(mine, few, library)).all()
    first = State(points=8192, view=FULL_VIEW)  # as one began then
    letters = [with_classes(replace(first, method=m, weight=2.0), "letters", "A") for m in ("cfg", "autoguidance")]
    seen = views["Letters"].state.view  # whose picture had more white around it
    assert views["Letters"] == Scene(tuple(replace(state, view=seen) for state in letters))
    assert seen[:2] == letters[0].view[:2]
    assert views["Exact"].state == replace(first, main=ModelChoice(exact=True))


def test_a_sweep_of_before_opens_and_is_written_byte_for_byte_the_same(tmp_path):
    table = load_sweep(FORMER / "sweep.csv")
    expected = [
        make_setting(method=method, weight=w, share=0.25, hi=hi, guide_width=8)
        for method in ("mix", "truncation")
        for w in (1.5, 2.0)
        for hi in (0.5, math.inf)
    ]
    assert list(table.rows) == expected
    with (FORMER / "sweep.csv").open() as file:
        first = next(csv.DictReader(line for line in file if not line.startswith("#")))
    assert table.rows[expected[0]]["branch_coverage"] == float(first["branch_coverage"])
    save_sweep(tmp_path / "again.csv", table)
    assert (tmp_path / "again.csv").read_bytes() == (FORMER / "sweep.csv").read_bytes()
