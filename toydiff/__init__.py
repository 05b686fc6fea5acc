"""toydiff: see and measure what guidance does to a diffusion model, on distributions whose density is known.

Everything is a score model: exact mixtures, trained networks, and guided combinations of them answer `score` and
`denoise`, most of them `log_density` too, at any noise level, and everything else takes any of them. Lengths are in
units where the data has standard deviation 0.5 on each axis; w = 1 is no guidance, w = 0 the guide alone.
"""

import importlib
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toydiff.base import *
    from toydiff.base.version import __version__ as __version__
    from toydiff.distributions import *
    from toydiff.explorer import *
    from toydiff.guidance import *
    from toydiff.measuring import *
    from toydiff.networks import *
    from toydiff.results import *
    from toydiff.sampling import *

FOLDERS = ("base", "distributions", "networks", "sampling", "guidance", "measuring", "results", "explorer")
"""In the order in which data travels: each imports only from those before it, but sampling not from networks."""

FORMER_MODULES = {
    "checks": "base.checks",
    "datasets": "distributions.catalogue",
    "ema": "networks.averages",
    "figures": "results.figures",
    "film": "results.film_file",
    "hosts": "base.hosts",
    "lessons": "explorer.jupyter.lessons",
    "metrics": "measuring.metrics",
    "perturbed": "networks.perturbed",
    "plotting": "results.plotting",
    "schedules": "sampling.schedules",
    "setting": "measuring.setting",
    "sweep_figure": "results.sweep_figure",
    "zoo": "networks.zoo",
}
"""Modules under the names that notebooks and documents know them by."""


@cache
def _folder_of() -> dict[str, str]:
    """Public names and the folders whose stubs say them; read when first asked for: `toydiff --help` need not wait."""
    return {name: folder for folder in FOLDERS for name in importlib.import_module(f"toydiff.{folder}").__all__}


class _FormerModules:
    """Finds `toydiff.plotting` where it lives now, and as the same module."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        known = package == "toydiff" and name in FORMER_MODULES
        return ModuleSpec(fullname, self) if known else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(f"toydiff.{FORMER_MODULES[spec.name.partition('.')[2]]}")
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put the former name there


sys.meta_path.append(_FormerModules())


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("toydiff.base.version").__version__
    if name == "__all__":
        return ["__version__", *_folder_of()]
    if name in _folder_of():
        return getattr(importlib.import_module(f"toydiff.{_folder_of()[name]}"), name)
    if name in FORMER_MODULES:
        return importlib.import_module(f"toydiff.{name}")
    raise AttributeError(f"module 'toydiff' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "__version__", *_folder_of(), *FORMER_MODULES})
