"""The documentation: examples run, commands and links exist, tables are those of the code, the diffs apply."""

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from commands import parser_of
from helpers import ROOT

import toydiff
from toydiff.base.effort import effort
from toydiff.cli import COMMANDS
from toydiff.explorer.compute import SHOWN_METRICS
from toydiff.measuring.sweep_axes import parse_grid

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for pattern in ("*.md", "docs/**/*.md", "figures/*.md", "benchmarks/*.md")
    for path in sorted(ROOT.glob(pattern))
}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


def pages_with(language):
    return [page for page in PAGES if blocks(page, language)]


def rows(page, heading):
    """The cells of the first table below a heading."""
    lines = PAGES[page].split(f"# {heading}\n")[1].split("|---|\n", maxsplit=1)[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def anchors(text):
    """What GitHub and the site call the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_of_the_pages_exist(page):
    for link in re.findall(r"(?:\]\(|href=\")([^)\s\"]+)[)\"]", PAGES[page]):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            file = ((ROOT / page).parent / name).resolve() if name else ROOT / page
            assert file.exists(), link
            assert not anchor or anchor in anchors(file.read_text()), link


def test_the_readme_begins_with_its_two_commands():
    commands = [line.split("#")[0].strip() for line in blocks("README.md", "bash")[0].splitlines()]
    assert commands == ["make figures", "make test"]


@pytest.fixture
def cheap(keep_rows, few_draws, nothing_ahead):
    """Few draws, resamples and metrics: an example is to run, other tests see to what it measures."""
    keep_rows(toydiff.METRICS, *SHOWN_METRICS, "class_leakage")
    with effort(resamples=2, floor_sets=2):
        yield


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("page", pages_with("python"))
def test_python_examples_of_the_pages_run(page, tmp_path, monkeypatch):
    """Those of a page one after the other, with the names of those before."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
        if "explorer" in names:
            names["explorer"].close()  # its threads would go on drawing beside the other tests


PUBLIC = [getattr(toydiff, name) for name in toydiff.__all__]
EXAMPLES = [
    example
    for module in sorted({thing.__module__ for thing in PUBLIC if getattr(thing, "__doc__", None) and callable(thing)})
    for example in doctest.DocTestFinder(exclude_empty=True).find(import_module(module))
    if example.examples
]


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_of_the_docstrings_run(example):
    example.globs = {}
    printed = []
    result = doctest.DocTestRunner().run(example, out=printed.append)
    assert result.attempted
    assert not result.failed, "".join(printed)


def test_the_most_used_functions_have_examples():
    names = {example.name.rpartition(".")[2] for example in EXAMPLES}
    assert names >= {"fractal_tree", "sample", "guide", "guided_model", "evaluate", "train", "explore"}


def toydiff_commands(line):
    """The arguments of `toydiff` in a line of the shell, also of one that another program is given."""
    tokens = shlex.split(re.sub(r"\$\w+", "0", line), comments=True)
    for i, token in enumerate(tokens):
        if token in ("toydiff", ".venv/bin/toydiff"):
            yield tokens[i + 1 :]
            return
        if "=toydiff " in token:
            yield from toydiff_commands(token.split("=", maxsplit=1)[1])


@pytest.mark.parametrize("page", pages_with("bash"))
def test_commands_of_the_pages_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    for line in "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines():
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile, line
        for command, *arguments in toydiff_commands(line):
            options = parser_of(command).parse_args(arguments)  # ends the test where it does not know one
            assert getattr(options, "method", "cfg") in toydiff.METHODS, line
            parse_grid(getattr(options, "grid", None) or ["weight=1"])


def test_every_public_name_stands_in_the_api_pages_once():
    text = "\n".join(text for page, text in PAGES.items() if page.startswith("docs/api/"))
    shown = re.findall(r"^\.\. (?:auto\w+|py:data):: (\w+)(?=[(\s])", text, re.MULTILINE)
    assert sorted(shown) == sorted(toydiff.__all__)


def test_every_command_stands_in_the_page_of_the_command_line_once():
    shown = re.findall(
        r"^## (\S+)\n(?:(?!^## ).*\n)*?:::\{options\} (\S+)$", PAGES["docs/command-line.md"], re.MULTILINE
    )
    assert sorted(shown) == sorted((command, command) for command in COMMANDS)


def test_the_table_of_methods_is_that_of_the_code():
    table = {name.strip("`"): (away, float(weight)) for name, away, weight in rows("docs/concepts.md", "The methods")}
    assert list(table) == list(toydiff.METHODS)
    for name, row in toydiff.METHODS.items():
        away, weight = table[name]
        assert weight == row.weight
        if len(row.guides) == 1:
            assert f"`{row.guides[0]}`" in away


def test_the_page_of_metrics_explains_each():
    for name, row in (toydiff.METRICS | toydiff.MODEL_METRICS).items():
        depth = re.fullmatch(r"recall_depth_[1-5]", name)
        found = re.search(rf"^\| [^|]*`{name}`.*\| (.*) \|$", PAGES["docs/measuring.md"], re.MULTILINE)
        assert depth or found[1] == row.better, name


ADDED = """
import numpy as np, sys, toydiff
from pathlib import Path
from toydiff import cli

assert Path(toydiff.__file__).parents[1] == Path.cwd()
blurred, unguided = (toydiff.guided_model(name, main="A/8/128") for name in ("blurred", "unguided"))
x = np.array([[0.3, 0.3], [1.0, 0.2]])
assert np.abs(np.asarray(blurred.score(x, 0.1) - unguided.score(x, 0.1))).max() > 0.1

circle = toydiff.DISTRIBUTIONS["circle"].mixture("AB")
x = np.asarray(circle.sample(0, 4096))
np.testing.assert_allclose([x.mean(0), x.std(0)], [[0, 0], [0.5, 0.5]], atol=0.03)

score = toydiff.evaluate(x, toydiff.Reference(circle, n=4096), metrics={"r": toydiff.METRICS["mean_radius"]})["r"]
np.testing.assert_allclose(score.value, np.hypot(*x.T).mean(), rtol=1e-5)
assert abs(score.value - score.exact) < 5 * np.hypot(score.error, score.exact_error)

assert len(toydiff.FIGURES["noise"](0).axes) == 3

gaussian = toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [0.25 * np.eye(2)])
start = [[3.0, -4.0]]
end = toydiff.sample(gaussian, 0, 1, start=start, sigma_max=5.0, steps=64, solver="midpoint").samples
np.testing.assert_allclose(end, np.array(start) * 0.5 / np.sqrt(0.25 + 25), rtol=0.01)

recipe = toydiff.Recipe("three_gaussians", widths=(8,), batch=256, network="tanh")
trained = toydiff.train(recipe, 8, progress=False)
toydiff.save_model("tanh.safetensors", trained)
again = toydiff.load_weights("tanh.safetensors")
np.testing.assert_array_equal(again.score(x[:9], 0.3), trained.denoiser().score(x[:9], 0.3))
from dataclasses import replace
other = replace(again, architecture=replace(again.architecture, kind="energy"))
assert np.abs(np.asarray(other.score(x[:9], 0.3) - again.score(x[:9], 0.3))).max() > 1e-4
cli.main(sys.argv[1:])
"""


def test_the_diffs_of_contributing_add_what_they_say(tmp_path):
    shutil.copytree(ROOT / "toydiff", tmp_path / "toydiff", ignore=shutil.ignore_patterns("weights", "__pycache__"))
    weights = Path("toydiff", "networks", "weights")
    (tmp_path / weights).symlink_to(ROOT / weights)
    assert len(blocks("CONTRIBUTING.md", "diff")) == 6
    for diff in blocks("CONTRIBUTING.md", "diff"):
        assert len(re.findall(r"^--- a/", diff, re.MULTILINE)) == 1, "an addition touches one file"
        apply = partial(subprocess.run, input=diff, cwd=tmp_path, text=True, capture_output=True)
        tried = apply(["git", "apply"], check=False)
        there = tried.returncode and apply(["git", "apply", "--reverse", "--check"], check=False).returncode == 0
        assert there or not tried.returncode, tried.stderr  # who tries the example has it in the package already
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", ADDED, "evaluate", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "blurred" in done.stdout
    assert "midpoint" in done.stdout


@pytest.mark.slow
@pytest.mark.browser
def test_the_site_asks_for_nothing_but_its_own_files(browser, tmp_path):
    """Built as `make docs` does, and each page opened from the disk: pictures, styles and scripts are all there."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", "docs", "-W", "-q", "-d", tmp_path / "trees", "."]
    subprocess.run([*command, tmp_path / "site"], cwd=ROOT, check=True)
    asked, failed = [], []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    for file in sorted((tmp_path / "site").glob("*/**/*.html")):
        page.goto(file.as_uri())
    page.close()
    here = ((tmp_path / "site").as_uri(), "data:", "blob:")
    assert len(asked) > 100
    assert not [url for url in asked if not url.startswith(here)]
    assert not failed
