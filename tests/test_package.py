import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toydiff

ROOT = Path(__file__).parents[1]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_public_name_is_there():
    for name in toydiff.__all__:
        assert getattr(toydiff, name) is not None
    assert set(toydiff.__all__) <= set(dir(toydiff))
    with pytest.raises(AttributeError, match="no attribute 'samples'"):
        toydiff.samples  # noqa: B018


def test_names_for_type_checkers_are_the_names_at_run_time():
    tree = ast.parse((ROOT / "toydiff" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: node.module for node in block.body for alias in node.names}
    assert imported == {name: f"toydiff.{module}" for name, module in toydiff._MODULE_OF.items()}


def test_import_starts_no_backend_and_help_imports_no_jax():
    started = (
        "import toydiff.figures, toydiff.explorer.app; from jax._src import xla_bridge; print(xla_bridge._backends)"
    )
    assert python(started).strip() == "{}"
    helped = (
        "import sys, toydiff.cli\ntry: toydiff.cli.main(['--help'])\n"
        "except SystemExit: print([m for m in ('jax', 'flax', 'matplotlib') if m in sys.modules])"
    )
    assert python(helped).strip().endswith("[]")


def test_modules_import_only_from_files_above_them():
    """The order of the house: data flows one way."""
    text = """
        version checks compiled progress hosts storage draws devices score_model mixture strokes ratio
        tree classics datasets network
        adam denoiser perturbed guidance schedules solvers sampling likelihood
        ema recipe score_matching training model_file training_run classifier
        names bundles zoo named
        distances scored metrics model_metrics score_table setting sweep_table sweep_files sweep
        plotting film panels paper_figures gallery figures sweep_figure
        experiment comparison ablations degradations other_guides frontier report
        explorer.families explorer.state explorer.help explorer.scene explorer.compute explorer.probe explorer.drawing
        explorer.recording explorer.picture explorer.pad explorer.weight explorer.worker explorer.trainer
        explorer.controls explorer.lab_file explorer.views explorer.take_along explorer.draw_tab explorer.train_tab
        explorer.sweep_tab
        explorer.app explorer.websocket explorer.server
        lessons
        webpage.runs webpage.pack webpage.page animation
        bench options sample_file sharing cli __main__
    """
    order = text.split()
    files = {
        str(path.relative_to(ROOT / "toydiff").with_suffix("")).replace("/", "."): path
        for path in (ROOT / "toydiff").rglob("*.py") if path.stem != "__init__"
    }  # fmt: skip
    assert set(files) == set(order)
    for name, path in files.items():
        used = []
        for node in ast.parse(path.read_text()).body:  # imports inside functions and for types only are free
            if isinstance(node, ast.ImportFrom) and node.module in ("toydiff", "toydiff.explorer"):
                prefix = node.module.removeprefix("toydiff").lstrip(".")
                used += [f"{prefix}.{alias.name}".lstrip(".") for alias in node.names if alias.name != "__version__"]
            elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("toydiff."):
                used.append(node.module.removeprefix("toydiff."))
        assert all(order.index(other) < order.index(name) for other in used), (name, used)


def test_files_stay_readable():
    for path in (ROOT / "toydiff").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_the_version_is_one():
    assert f"[{toydiff.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {toydiff.__version__}" in (ROOT / "CITATION.cff").read_text()
