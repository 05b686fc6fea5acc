import ast
import importlib
import re
import subprocess
import sys

import pytest
from helpers import ROOT

import toydiff


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_public_name_is_there():
    for name in toydiff.__all__:
        assert getattr(toydiff, name) is not None
    assert set(toydiff.__all__) <= set(dir(toydiff))
    with pytest.raises(AttributeError, match="no attribute 'samples'"):
        toydiff.samples  # noqa: B018


def test_each_public_name_has_one_home():
    """The stub of a folder names the file; type checkers read the same stub."""
    for folder in toydiff.FOLDERS:
        stub = ast.parse((ROOT / "toydiff" / folder / "__init__.pyi").read_text())
        named = [alias.name for node in stub.body for alias in node.names]
        assert sorted(named) == sorted(importlib.import_module(f"toydiff.{folder}").__all__)
    homes = [name for folder in toydiff.FOLDERS for name in importlib.import_module(f"toydiff.{folder}").__all__]
    assert sorted([*homes, "__version__"]) == sorted(toydiff.__all__)
    assert len(set(homes)) == len(homes)


def test_modules_that_documents_name_are_found_under_their_former_names():
    """As one module, not as a second copy of it, whichever way they are imported."""
    found = (
        "import toydiff.plotting as a; from toydiff import plotting as b; import toydiff.results.plotting as c;"
        "from toydiff.plotting import View; assert a is b is c and c.View is View;"
        "assert c.__spec__.name == c.__name__ == 'toydiff.results.plotting';"
        "import importlib; print(*[importlib.import_module(f'toydiff.{m}').__name__ for m in toydiff.FORMER_MODULES])"
    )
    assert python(f"import toydiff; {found}").split() == [f"toydiff.{m}" for m in toydiff.FORMER_MODULES.values()]
    text = "\n".join(p.read_text() for p in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("docs/**/*.md")])
    named = set(re.findall(r"\btoydiff\.([a-z_]+)\.[a-zA-Z]", text)) | set(
        re.findall(r"from toydiff import (\w+)", text)
    )
    for name in named - {"egg"}:
        assert getattr(toydiff, name) is not None, name


def test_import_starts_no_backend_and_help_imports_no_jax():
    started = (
        "import toydiff.figures, toydiff.explorer.jupyter.explorer; "
        "from jax._src import xla_bridge; print(xla_bridge._backends)"
    )
    assert python(started).strip() == "{}"
    helped = (
        "import sys, toydiff.cli\ntry: toydiff.cli.main(['--help'])\n"
        "except SystemExit: print([m for m in ('jax', 'flax', 'matplotlib') if m in sys.modules])"
    )
    assert python(helped).strip().endswith("[]")


def modules():
    """The imports of each module at its top: those inside functions and for types only are free."""
    found = {}
    for path in sorted((ROOT / "toydiff").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        used = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        found[name] = {other for other in used if other.startswith("toydiff.")}
    return {name: used & set(found) - {name} for name, used in found.items() if not name.endswith("__init__")}


def folder_of(module):
    return module.split(".")[1]


def test_folders_import_only_from_folders_before_them():
    """The order of the house: data flows one way; the files at the root come last, and sampling knows no networks."""
    order = list(toydiff.FOLDERS)
    assert order == re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    for name, used in modules().items():
        for other in used:
            here, there = (order.index(f) if (f := folder_of(m)) in order else len(order) for m in (name, other))
            assert there <= here, (name, other)
            assert (folder_of(name), folder_of(other)) != ("sampling", "networks"), (name, other)


def test_no_files_form_a_circle():
    waiting = modules()
    while waiting:
        free = {name for name, used in waiting.items() if not used & set(waiting)}
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {name: used for name, used in waiting.items() if name not in free}


def test_the_house_has_eight_folders_and_a_small_root():
    root = [path for path in (ROOT / "toydiff").iterdir() if path.name != "__pycache__"]
    assert sorted(path.name for path in root if path.is_dir()) == sorted(toydiff.FOLDERS)
    assert len([path for path in root if path.is_file()]) <= 8


def test_files_stay_readable():
    for path in (ROOT / "toydiff").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_the_hooks_before_a_commit_are_the_commands_of_make_lint():
    makefile, hooks = (ROOT / "Makefile").read_text(), (ROOT / ".pre-commit-config.yaml").read_text()
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    assert re.findall(r"^ +entry: (.*)$", hooks, re.MULTILINE) == commands
    for said in ("- id:", "language: system", "pass_filenames: false"):
        assert hooks.count(said) == len(commands)
    assert re.findall(r"repo: (.*)$", hooks, re.MULTILINE) == ["local"]


def test_the_version_is_one():
    assert f"[{toydiff.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {toydiff.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_no_code_asks_for_a_method_by_its_name():
    """What is special about a method is a field of its row, so that a new one needs no second place."""
    for folder in (*toydiff.FOLDERS[toydiff.FOLDERS.index("guidance") :], "."):
        for path in (ROOT / "toydiff" / folder).glob("*.py" if folder == "." else "**/*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    compared = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                    assert not compared & set(toydiff.METHODS), (path.name, node.lineno)
