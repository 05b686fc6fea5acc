"""toydiff: see and measure what guidance does to a diffusion model, on distributions whose density is known.

Everything is a score model: exact mixtures, trained networks, and guided combinations of them answer
`log_density`, `score` and `denoise` at any noise level, and everything else takes any of them. Lengths are in
units where the data has standard deviation 0.5 on each axis; w = 1 is no guidance, w = 0 the guide alone.
"""

import importlib
from typing import TYPE_CHECKING, Any

from toydiff.version import __version__ as __version__

if TYPE_CHECKING:
    from toydiff.animation import animate
    from toydiff.checks import InputError
    from toydiff.classics import grid_of_gaussians, three_gaussians
    from toydiff.classifier import exact_classifier, train_classifier
    from toydiff.datasets import DISTRIBUTIONS, letters, rings, spirals
    from toydiff.denoiser import Denoiser
    from toydiff.ema import STORED_LENGTHS
    from toydiff.explorer.app import explore
    from toydiff.figures import FIGURES, draw_figures
    from toydiff.guidance import METHODS, Guided, WeightCurve, guide
    from toydiff.likelihood import divergences, log_likelihood, sample_with_log_density
    from toydiff.metrics import METRICS, evaluate
    from toydiff.mixture import GaussianMixture
    from toydiff.model_file import load_averages, load_weights, save_averages, save_model
    from toydiff.model_metrics import MODEL_METRICS, evaluate_model
    from toydiff.named import guided_model
    from toydiff.perturbed import perturb
    from toydiff.ratio import Flat, Ratio
    from toydiff.recipe import Recipe
    from toydiff.sampling import Trajectory, sample, sample_chunks
    from toydiff.schedules import adams_schedule, noise_schedule, normal_schedule
    from toydiff.score_matching import validation_loss
    from toydiff.score_model import ScoreModel
    from toydiff.scored import Reference
    from toydiff.solvers import SOLVERS
    from toydiff.strokes import Drawing, Stroke, load_drawing, save_drawing
    from toydiff.sweep import run_sweep
    from toydiff.sweep_figure import draw_sweep
    from toydiff.sweep_table import Sweep, load_sweep
    from toydiff.training import Training, train
    from toydiff.tree import fractal_tree
    from toydiff.webpage.page import export_html
    from toydiff.zoo import list_models, load_model, open_model

# Loaded when first asked for: `toydiff --help` need not wait for JAX.
_HOME = {
    "animation": ("animate",),
    "checks": ("InputError",),
    "classics": ("grid_of_gaussians", "three_gaussians"),
    "datasets": ("DISTRIBUTIONS", "letters", "rings", "spirals"),
    "denoiser": ("Denoiser",),
    "ema": ("STORED_LENGTHS",),
    "explorer.app": ("explore",),
    "figures": ("FIGURES", "draw_figures"),
    "guidance": ("METHODS", "Guided", "WeightCurve", "guide"),
    "classifier": ("exact_classifier", "train_classifier"),
    "likelihood": ("divergences", "log_likelihood", "sample_with_log_density"),
    "metrics": ("METRICS", "evaluate"),
    "mixture": ("GaussianMixture",),
    "model_file": ("load_averages", "load_weights", "save_averages", "save_model"),
    "model_metrics": ("MODEL_METRICS", "evaluate_model"),
    "perturbed": ("perturb",),
    "schedules": ("adams_schedule", "noise_schedule", "normal_schedule"),
    "solvers": ("SOLVERS",),
    "sampling": ("Trajectory", "sample", "sample_chunks"),
    "recipe": ("Recipe",),
    "score_matching": ("validation_loss",),
    "score_model": ("ScoreModel",),
    "scored": ("Reference",),
    "strokes": ("Drawing", "Stroke", "load_drawing", "save_drawing"),
    "sweep": ("run_sweep",),
    "sweep_figure": ("draw_sweep",),
    "sweep_table": ("Sweep", "load_sweep"),
    "training": ("Training", "train"),
    "webpage.page": ("export_html",),
    "named": ("guided_model",),
    "ratio": ("Flat", "Ratio"),
    "tree": ("fractal_tree",),
    "zoo": ("list_models", "load_model", "open_model"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_SUBMODULES = {*_HOME, "bundles", "hosts", "names", "plotting"}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"toydiff.{name}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"toydiff.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'toydiff' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
