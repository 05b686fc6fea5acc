"""The lessons: every cell runs, every question has an answer, every exercise knows right from wrong."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import open_page

import toydiff
from toydiff import InputError
from toydiff.explorer import choices, compute
from toydiff.explorer.app.server import LESSONS, NOTEBOOK, SLIDERS, notebook_folder, serve
from toydiff.explorer.compute import Quality
from toydiff.explorer.jupyter import lessons
from toydiff.explorer.jupyter.explorer import Explorer
from toydiff.explorer.state import State
from toydiff.guidance.methods import METHODS
from toydiff.guidance.row import Method, linear
from toydiff.guidance.rules import with_flat
from toydiff.measuring.distances import Estimate
from toydiff.sampling.schedules import normal_schedule

ANSWERS = {
    1: {
        "check_denoiser": ("lambda x, s: x + s**2 * tree.score(x, s)", "lambda x, s: x + s * tree.score(x, s)"),
        "check_score": (
            "lambda x, sigma, m, s: (m - x) / (s**2 + sigma**2)",
            "lambda x, sigma, m, s: (m - x) / (s + sigma) ** 2",
        ),
        "check_sigma": ("0.866", "0.5"),
    },
    2: {
        "check_loss": (
            "lambda m, x, s: s**2 * np.mean((m.score(x, s) - tree.score(x, s)) ** 2)",
            "lambda m, x, s: s**2 * np.sum((m.score(x, s) - tree.score(x, s)) ** 2)",
        ),
        "check_normal": ("1.0", "0.5"),
        "check_width": ("32", "64"),
    },
    3: {
        "check_guided": (
            "lambda x, s, w: w * main.score(x, s) + (1 - w) * guide.score(x, s)",
            "lambda x, s, w: (1 + w) * main.score(x, s) - w * guide.score(x, s)",
        ),
        "check_convention": ("2.5", "1.5"),
        "check_class": ("1", "0"),
    },
    4: {
        "check_share": ("1 / 65", "0.2"),
        "check_spread": ("lambda s, w: s / w**0.5", "lambda s, w: s / w"),
        "check_factor": ("(2.0, 0.02)", "(1.4, 5.0)"),
    },
    5: {
        "check_weight": ("1.5", "2.0"),
        "check_same": ("main", "bad"),
        "check_interval": ("(0.0, 0.1)", "(0.0, 5.0)"),
    },
    6: {
        "check_outliers": (
            "lambda x, exact: np.mean(tree.log_density(x) < np.quantile(tree.log_density(exact), 0.001))",
            "lambda x, exact: np.mean(tree.log_density(x) < np.quantile(tree.log_density(exact), 0.01))",
        ),
        "check_n": ("47_500", "4096"),
        "check_best": ("('autoguidance', 1.5)", "('cfg', 2.0)"),
    },
    7: {
        "check_half": (
            'lambda knobs: ((1 + knobs["weight"]) / 2,)',
            'lambda knobs: (knobs["weight"] / 2,)',
        ),
        "check_flat": ("'truncation'", "'unguided'"),
        "check_better": ("2.0", "1.0"),
    },
}
"""For each exercise a right answer and a wrong one."""


def notebook(number):
    return json.loads((notebook_folder() / LESSONS[number - 1]).read_text())


def sources(number, kind="code"):
    return ["".join(cell["source"]) for cell in notebook(number)["cells"] if cell["cell_type"] == kind]


def run(code, names):
    """Run a cell as a notebook does; the value of its last line."""
    body = ast.parse(code).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_the_lessons_are_those_in_the_folder_and_in_the_docs():
    assert sorted(path.name for path in notebook_folder().glob("*.ipynb")) == [*LESSONS, NOTEBOOK, SLIDERS]
    page = (Path(__file__).parents[2] / "docs" / "lessons.md").read_text()
    assert all(name in page for name in LESSONS)


@pytest.mark.parametrize("number", ANSWERS)
def test_a_lesson_is_whole_and_clean(number):
    content, code, text = notebook(number), sources(number), "\n".join(sources(number, "markdown"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    for cell in content["cells"]:
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert max(len(line) for source in code for line in source.splitlines()) <= 100
    assert any("lessons.predict(" in source for source in code)
    assert [name for source in code for name in re.findall(r"^def (check_\w+)", source, re.M)] == [*ANSWERS[number]]
    assert len(ANSWERS[number]) >= 2
    assert "**The paper's claim**" in text
    assert "**Our measurement**" in text
    assert "$" not in text
    explores = any("toydiff.explore(" in source for source in code)
    assert explores == (number in (3, 5, 7))


@pytest.mark.parametrize("number", ANSWERS)
def test_what_a_lesson_names_exists(number):
    """Without running it: most lessons run among the slow tests only."""
    homes = {"toydiff": toydiff, "lessons": lessons}
    nodes = [node for code in sources(number) for node in ast.walk(ast.parse(code))]
    attributes = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    named = [(node.value.id, node.attr) for node in attributes if node.value.id in homes]
    assert len(named) > 5
    assert not [(home, name) for home, name in named if not hasattr(homes[home], name)]


@pytest.mark.usefixtures("nothing_ahead")
@pytest.mark.parametrize("number", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 8))])
def test_a_lesson_runs_from_top_to_bottom(number, keep_rows):
    keep_rows(METHODS, *METHODS)  # what a lesson adds goes again
    names, shown = {}, []
    try:
        for code in sources(number):
            shown.append(run(code, names))
        for prediction in [value for value in shown if isinstance(value, lessons.Prediction)]:
            with pytest.raises(InputError, match="nothing is predicted yet"):
                prediction.show()
            prediction.radio.index = 0
            prediction.show()
            assert prediction.right in prediction.radio.options
            assert prediction.radio.options[0] in prediction.result.value
        assert not any(value.right for value in shown if isinstance(value, lessons.Verdict))
        for name, (right, wrong) in ANSWERS[number].items():
            for answer, is_right in ((right, True), (wrong, False)):
                verdict = names[name](eval(answer, names))
                assert verdict.right is is_right, (name, answer, verdict)
    finally:
        for explorer in [value for value in shown if isinstance(value, Explorer)]:
            explorer.close()


def test_a_prediction_comes_before_the_result():
    asked = []
    prediction = lessons.predict("More <or> fewer?", ["more", "fewer"], lambda: asked.append(1) or "fewer")
    assert prediction.button.disabled
    assert "More &lt;or&gt; fewer?" in prediction.children[0].value
    prediction.radio.value = "more"
    assert not prediction.button.disabled
    assert not asked
    prediction.button.click()
    assert asked == [1]
    assert "✗ You predicted: <b>more</b>. Measured: <b>fewer</b>." in prediction.result.value
    assert prediction.radio.disabled
    again = lessons.predict("?", ["more", "fewer"], lambda: "fewer")
    again.radio.value = "fewer"
    again.show()
    assert "✓ You predicted: <b>fewer</b>." in again.result.value


def test_a_lesson_whose_answer_is_no_choice_says_so():
    prediction = lessons.predict("?", ["more", "fewer"], lambda: "as many")
    prediction.radio.index = 0
    with pytest.raises(InputError, match="unknown answer 'as many'; there are more, fewer"):
        prediction.show()
    assert not prediction.button.disabled


def test_an_exercise_tells_right_from_wrong_and_from_nothing():
    @lessons.exercise
    def check(answer):
        value = answer() if callable(answer) else answer
        return None if value == 2 else f"{value} < 2"

    def nothing():
        raise NotImplementedError

    assert check(2) == (True, "Right.")
    assert check(1) == (False, "Not yet. 1 < 2")
    assert "1 &lt; 2" in check(1)._repr_html_()
    assert check(None).right is check(nothing).right is None
    assert check(lambda: 1 / 0) == (False, "This stopped with ZeroDivisionError: division by zero")


def test_close_is_close():
    assert lessons.close([1.0, 1000.0], [1.1, 1000.0])
    assert not lessons.close([1.0, 10.0], [1.1, 10.0])
    assert not lessons.close(1.0, [1.0, 1.0])


def test_panels_and_tables_are_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(lessons, "display", shown.append)
    with lessons.panels("left", "right") as axes:
        assert [ax.get_title() for ax in axes] == ["left", "right"]
    lessons.show_numbers({"<one>": {"branch_coverage": Estimate(0.5, 0.01)}})
    picture, table = shown
    assert picture.data.startswith(b"\x89PNG")
    assert "<th>&lt;one&gt;</th>" in table.data
    assert "<td>50.0 ± 1.0%</td>" in table.data


def test_the_explorer_follows_a_method_that_is_written_again(monkeypatch):
    def rule(strength):
        return linear(lambda knobs: (strength,), with_flat)

    quality = Quality(32, 0, "euler", tuple(normal_schedule(3)))
    results = []
    for strength in (1.0, 2.0, 1.0):
        monkeypatch.setitem(METHODS, "mine", Method(rule(strength), "My own", "Mine"))
        results.append(np.asarray(compute.trajectory(State(method="mine"), quality).samples))
    assert (results[0] == results[2]).all()
    assert (results[0] != results[1]).any()
    assert ["mine", "Mine"] in choices.menus(State(method="mine"))["method"]


def test_a_lesson_that_is_not_there_or_without_code_is_refused(tmp_path, monkeypatch, capsys):
    from toydiff import cli

    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["--lesson", "8"], "lesson is 8; it must be a whole number from 1 to 7"),
        (["--lesson", "0"], "lesson is 0; it must be a whole number from 1 to 7"),
        (["--lesson", "1", "--app"], "a lesson's exercises are code, which --app hides"),
    ):
        assert cli.main(["explore", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_lessons_are_copied_once_and_opened(tmp_path, monkeypatch, capsys):
    class Server:
        def __init__(self, *_, **__):
            pass

        def wait(self):
            return 0

        def terminate(self):
            pass

    monkeypatch.setattr("toydiff.explorer.app.server.subprocess.Popen", Server)
    monkeypatch.setattr("toydiff.explorer.app.server.signal.signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "toydiff-notebooks"
    folder.mkdir()
    (folder / LESSONS[2]).write_text("changed by a person")
    assert serve(lesson=3, browser=False) == 0
    assert f"/doc/tree/{LESSONS[2]}?token=" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == [*LESSONS, NOTEBOOK, SLIDERS]
    assert (folder / LESSONS[2]).read_text() == "changed by a person"


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_lesson_in_a_browser(browser, address):
    """Run All, choose, see the result beside the choice, and be told that an exercise waits for its answer."""
    page = open_page(browser, address.replace(NOTEBOOK, LESSONS[0]))
    first = page.locator(".toydiff-prediction").first
    button = first.get_by_role("button", name="Show me")
    button.wait_for(timeout=60_000)
    assert button.is_disabled()
    assert page.locator(".jp-CodeCell", has=first).locator(".jp-Cell-inputArea").count() == 0  # its code is folded
    page.locator(".jp-OutputArea-output .toydiff-verdict", has_text="No answer yet").last.wait_for(timeout=60_000)
    page.wait_for_function(
        "() => { const box = document.querySelector('.toydiff-prediction').getBoundingClientRect(); "
        "return box.top > 0 && box.bottom < innerHeight; }"
    )  # Run All ends there
    first.get_by_text("2 to 20").click()
    button.click()
    verdict = first.locator(".toydiff-verdict")
    verdict.wait_for(timeout=60_000)
    assert "You predicted: 2 to 20. Measured: one." in verdict.inner_text()
    assert first.locator("img").bounding_box()["width"] > 700
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert page.outside == []
    page.close()
