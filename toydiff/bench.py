"""How fast toydiff is on this machine, each figure beside the limit that was measured in the same run."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.checks import choice
from toydiff.base.compile_cache import keep_compiled
from toydiff.base.devices import cores
from toydiff.base.progress import progress_bar
from toydiff.base.random import as_key
from toydiff.base.version import __version__
from toydiff.distributions.tree import fractal_tree
from toydiff.explorer import compute, frames
from toydiff.explorer.state import State
from toydiff.guidance.methods import METHODS
from toydiff.guidance.named import guided_model
from toydiff.networks.adam import STEPS_PER_CALL
from toydiff.networks.bundles import BUNDLES
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Architecture
from toydiff.networks.objective import draw_sigma
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import init_state, run_steps
from toydiff.networks.zoo import load_model
from toydiff.sampling.sampler import sample
from toydiff.sampling.schedules import adams_schedule

SAMPLES = 16_384
WITHIN = 2.0
"""Seconds that repeats of one figure may take, once there are enough of them."""


class Work(NamedTuple):
    """Something to be timed."""

    call: Callable[[], Any]
    share: float = 1.0
    """What is shown is this share of a call's time: a step of many, or a network of several."""
    flops: float = 0.0
    """Multiply-add operations of the networks in a call."""


class Figure(NamedTuple):
    """What was measured."""

    title: str
    seconds: float
    """Median over the repeats, after one that warms up."""
    quartiles: tuple[float, float]
    repeats: int
    rate: float | None
    """Floating-point operations of the networks a second, if they are counted."""


class Limits(NamedTuple):
    """What the machine can do in float32, at JAX's default precision: on some GPUs that is TF32."""

    matrix_rate: float
    """Floating-point operations a second of a product of square matrices."""
    bandwidth: float
    """Bytes a second read and written by y = x + 1 over 128 MB."""


def evaluation_flops(*networks: Architecture) -> float:
    """Of one evaluation of G by each network: two for each weight."""
    return sum(2 * n.width * (4 + (n.labels + 1) * (n.labels > 0) + n.depth * n.width) for n in networks)


def training(recipe: Recipe) -> Work:
    """Steps of a recipe, for each network. A step takes six products with each weight (see `loss_and_gradient`)."""
    mixtures, key, state = recipe.mixtures(), as_key(recipe.seed), init_state(recipe)
    work = 6 * recipe.batch * STEPS_PER_CALL * recipe.members * evaluation_flops(*recipe.architectures)
    share = 1 / STEPS_PER_CALL / recipe.networks
    return Work(lambda: run_steps(recipe, mixtures, key, state, STEPS_PER_CALL), share, work)


def _sampling(method: str, evaluations: int, **options: Any) -> Work:
    """Samples of the tree's paper models; a score takes two products with each weight, forward and backward."""
    model = guided_model(method, 3.0 if METHODS[method].is_guided else 1.0)
    networks = [part.architecture for part in (model.main, *model.guides) if isinstance(part, Denoiser)]
    work = 2 * SAMPLES * evaluations * evaluation_flops(*networks)
    return Work(lambda: sample(model, 0, SAMPLES, path=False, **options).x, flops=work)


def _mixture_score() -> Work:
    tree, n = fractal_tree("A"), 4096
    sigma = draw_sigma(as_key(0), n)
    x = tree.sample(1, n, sigma)
    return Work(lambda: tree.score(x, sigma))


def _density_grid() -> Work:
    model, side = load_model(), 400
    grid = jnp.stack(jnp.meshgrid(*2 * [jnp.linspace(-1.5, 1.5, side)]), axis=-1)
    return Work(lambda: model.log_density(grid, 0.03), flops=side**2 * evaluation_flops(model.architecture))


def _slider() -> Work:
    """From a new weight to the bytes that the browser gets, as the explorer does while the slider moves."""
    weights = cycle(np.linspace(1.0, 3.0, 101).tolist())
    return Work(lambda: frames.points(replace(State(), weight=next(weights)), compute.QUICK))


FIRST_PICTURE = (
    "from toydiff.base.compile_cache import keep_compiled; keep_compiled()\n"
    "from toydiff.explorer import frames; from toydiff.explorer.compute import Quality; "
    "from toydiff.explorer.state import State\n"
    "for _, _, _, make in frames.parts(State(), Quality.full(State())): make()"
)


def _program(*arguments: str) -> Work:
    command = [sys.executable, *arguments]
    return Work(partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL))


class Row(NamedTuple):
    """A row of the table of figures."""

    title: str
    prepare: Callable[[], Work]


ROWS: dict[str, Row] = {
    "train": Row("training step, main model, batch 4,096", lambda: training(Recipe())),
    "train_zoo": Row(
        "the same for a network of the zoo, five widths together", lambda: training(BUNDLES["fractal_tree"].recipes[0])
    ),
    "train_ensemble": Row(
        "the same for a network of width 32, eight members together", lambda: training(Recipe(widths=(32,), members=8))
    ),
    "mixture_score": Row("exact score, 4,096 points of 1,016 components", _mixture_score),
    "sample": Row("16,384 samples unguided, 63 evaluations", lambda: _sampling("unguided", 63)),
    "sample_guided": Row("16,384 samples with autoguidance, 63 evaluations", lambda: _sampling("autoguidance", 63)),
    "sample_fast": Row(
        "16,384 samples with autoguidance, 24 evaluations",
        lambda: _sampling("autoguidance", 24, solver="adams34", schedule=adams_schedule()),
    ),
    "density_grid": Row("log density of the main model, 400 x 400 points", _density_grid),
    "slider": Row("explorer, from a new weight (1 to 3) to the picture", _slider),
    "first_picture": Row(
        "explorer, from Python's start to the picture, warm cache", lambda: _program("-c", FIRST_PICTURE)
    ),
    "help": Row("toydiff --help", lambda: _program("-m", "toydiff", "--help")),
    "import": Row("import toydiff", lambda: _program("-c", "import toydiff")),
}


def measure_limits() -> Limits:
    """The rate of matrix products, the better of two sizes, and the bandwidth of memory."""
    sides = (1024, 2048) if jax.default_backend() == "cpu" else (4096, 8192)
    rates = []
    for side in sides:
        square = jax.random.normal(as_key(0), (side, side))
        rates.append(2 * side**3 / median(times(Work(partial(jax.jit(jnp.matmul), square, square)), 9)))
    line, passes = jnp.zeros(1 << 25, jnp.float32), 8  # several in one call: the first touches fresh memory
    pass_over = jax.jit(lambda x: jax.lax.fori_loop(0, passes, lambda _, x: x + 1, x))
    return Limits(max(rates), 2 * line.nbytes * passes / median(times(Work(partial(pass_over, line)), 5)))


def times(work: Work, least: int = 5) -> list[float]:
    """Seconds of each call after one that warms up: at least so many, and more while they take less than `WITHIN`."""
    jax.block_until_ready(work.call())
    taken: list[float] = []
    while len(taken) < least or (sum(taken) < WITHIN and len(taken) < 100):
        taken.append(once(work.call))
    return taken


def once(call: Callable[[], Any]) -> float:
    """Seconds of a single call."""
    start = perf_counter()
    jax.block_until_ready(call())
    return perf_counter() - start


def measure(names: Iterable[str] = tuple(ROWS), *, progress: bool = True) -> dict[str, Any]:
    """Every figure of `names`, the limits and the machine, as JSON values.

    Args:
        names: rows of `ROWS`.
        progress: show a bar.

    Raises:
        InputError: there is no such row.
    """
    rows = {name: ROWS[choice("figure", name, ROWS)] for name in names}
    keep_compiled()
    figures = {}
    with progress_bar(total=len(rows), unit="figure", show=progress) as bar:
        for name, row in rows.items():
            figures[name] = _figure(row)
            bar.update()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    limits = measure_limits()  # last: its arrays take more memory than all the rest
    used = {name: {"utilisation": f.rate and f.rate / limits.matrix_rate} for name, f in figures.items()}
    return {
        "machine": machine(),
        "limits": limits._asdict(),
        "figures": {name: figure._asdict() | used[name] for name, figure in figures.items()},
        "peak_memory": peak,
    }


def _figure(row: Row) -> Figure:
    work = row.prepare()
    taken = times(work)
    lower, middle, upper = quantiles(taken, n=4)
    spread = (lower * work.share, upper * work.share)
    return Figure(row.title, middle * work.share, spread, len(taken), work.flops / middle or None)


def machine() -> dict[str, Any]:
    """The machine and the versions of what runs on it."""
    devices = jax.devices()
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "toydiff": __version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(report: dict[str, Any]) -> list[str]:
    """The figures in lines."""
    machine, limits = report["machine"], report["limits"]
    rate, bandwidth = limits["matrix_rate"] / 1e9, limits["bandwidth"] / 1e9
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; JAX {machine['jax']} on {machine['devices']}",
        f"limits of this run: matrix product {rate:,.0f} GFLOP/s, memory {bandwidth:,.0f} GB/s",
        f"{'':58}{'median':>10}{'quartiles':>20}{'utilisation':>13}",
    ]
    for figure in report["figures"].values():
        spread = " - ".join(shown_time(t) for t in figure["quartiles"])
        used = "" if figure["utilisation"] is None else f"{figure['utilisation']:.0%}"
        lines.append(f"{figure['title']:58}{shown_time(figure['seconds']):>10}{spread:>20}{used:>13}")
    return [*lines, f"peak memory of all figures {report['peak_memory'] / 1e6:,.0f} MB"]


def shown_time(seconds: float) -> str:
    """In seconds or milliseconds."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
