"""Sphinx's settings. Its source is the whole repository, so that links between pages are those between their files."""

import re
import sys
from pathlib import Path
from typing import Any

from jax.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from commands import Options  # noqa: E402

from toydiff import __version__  # noqa: E402
from toydiff.explorer.page.export import renewed  # noqa: E402

project, release = "toydiff", __version__
copyright = "the toydiff authors, Apache 2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*", "figures/*", "benchmarks/*", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", "build", "dist", "tests", "toydiff", "**/.ipynb_checkpoints"]

nitpicky = True
# Types of other packages, which their own sites explain, and those of toydiff that are not public.
nitpick_ignore_regex = [("py:.*", r"(?!toydiff\.).*"), ("py:.*", r"toydiff\.\w+\..*")]

nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}  # they would come from another server
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["toc.no_title"]  # the notebook of the explorer has none

default_role = "code"
smartquotes_action = "D"  # dashes; "A/64/4096" keeps the quotes that are typed
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_attr_annotations = False
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_theme_options = {"light_css_variables": {"code-font-size": "80%"}}  # dark inherits it
html_title = f"toydiff {release}"
html_copy_source = html_show_sourcelink = False
html_additional_pages = {"index": "to_index.html"}
html_show_search_summary = False  # a page that was opened as a file may not fetch others
html_static_path = ["site.css"]
html_css_files = ["site.css"]
templates_path = ["templates"]


def setup(app: Sphinx) -> None:
    """The docstrings' plain text, the directive `options`, and the page that needs no Python."""
    app.connect("autodoc-process-docstring", plain_text, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", short_types)
    app.connect("build-finished", ship_demo)
    app.add_directive("options", Options)


def ship_demo(app: Sphinx, error: Exception | None) -> None:
    """The page beside those that link to it, its recorded runs with the front end of today."""
    if error is None:
        page = renewed((DOCS / "demo.html").read_text("utf-8"))
        (Path(app.outdir) / "docs" / "demo.html").write_text(page, "utf-8")


def short_types(*event: Any) -> tuple[str, str] | None:
    """Signatures that say ArrayLike, and not each type that it stands for."""
    signature, returned = event[-2:]
    return None if signature is None else (signature.replace(_ARRAY_LIKE, "ArrayLike"), returned)


_ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")
_MARKUP = re.compile(r"(?m)^ *>>>.*(?:\n.*\S.*)*|`[^`]+`|[*|\\]|(?<=\w)_(?!\w)")


def plain_text(*event: Any) -> None:
    """Docstrings are plain text but for `code` and examples: what RST takes for markup stands for itself."""

    def shown(found: re.Match[str]) -> str:
        text = found[0]
        if text.lstrip().startswith(">>>"):
            return text
        return f"`{text}`" if text.startswith("`") else f"\\{text}"

    lines = event[-1]
    lines[:] = _MARKUP.sub(shown, "\n".join(lines)).splitlines()
