"""`make scaling`: how time and peak memory grow with points, width, members of an ensemble and components.

Each size runs in a process of its own, which tells its peak memory; the curves go to `results/scaling.json` and
`results/scaling.png`. Ten million samples take minutes.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import toydiff
from toydiff import bench
from toydiff.base.compile_cache import keep_compiled
from toydiff.base.random import as_key
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Architecture, init_params
from toydiff.sampling.sample_file import write_samples
from toydiff.sampling.schedules import adams_schedule

RESULTS = Path(__file__).parent / "results"


def points(n):
    """Guided samples, 24 evaluations each, streamed to a file."""
    model = toydiff.guided_model("autoguidance", 3.0)
    with tempfile.TemporaryDirectory() as folder:

        def run():
            chunks = toydiff.sample_chunks(model, 0, n, solver="adams34", schedule=adams_schedule())
            write_samples(Path(folder) / "samples.npz", chunks, n, {})

        if n <= 100_000:
            return median(bench.times(bench.Work(run)))
        next(toydiff.sample_chunks(model, 0, n, solver="adams34", schedule=adams_schedule()))  # compiled before
        return bench.once(run)


def width(n):
    """Scores of a network of this width at 16,384 points."""
    architecture = Architecture(n)
    model = Denoiser(init_params(architecture, as_key(0)), None, architecture)
    x = jax.random.normal(as_key(1), (bench.SAMPLES, 2))
    return median(bench.times(bench.Work(lambda: model.score(x, 0.1))))


def members(n):
    """A training step of an ensemble of width 32."""
    work = bench.training(toydiff.Recipe(widths=(32,), members=n))
    return median(bench.times(work)) * work.share * n


def components(n):
    """Exact scores at 4,096 points of a mixture of so many Gaussians."""
    random = np.random.default_rng(0)
    mixture = toydiff.GaussianMixture(np.ones(n), random.normal(size=(n, 2)), np.tile(0.01 * np.eye(2), (n, 1, 1)))
    x = jnp.asarray(random.normal(size=(4096, 2)), jnp.float32)
    return median(bench.times(bench.Work(lambda: mixture.score(x, 0.1))))


class Curve(NamedTuple):
    """A row of the table of curves."""

    measure: Callable[[int], float]
    sizes: list[int]
    title: str
    power: int = 1
    """Of the size, with which the work grows."""


CURVES = {
    "points": Curve(points, [10**k for k in range(3, 8)], "guided samples, streamed to disk"),
    "width": Curve(width, [2**k for k in range(3, 10)], "width of the network, 16,384 scores", 2),
    "members": Curve(members, [2**k for k in range(7)], "members of an ensemble, one training step"),
    "components": Curve(components, [10**k for k in range(1, 6)], "components of a mixture, 4,096 exact scores"),
}


def one(curve, size):
    """Measure one size in this process, and print it."""
    keep_compiled()
    seconds = CURVES[curve].measure(size)
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    print(json.dumps({"size": size, "seconds": seconds, "peak_mb": int(peak[1]) / 1024}))


def main():
    """Measure every size, draw, write."""
    report = {"machine": bench.machine(), "curves": {}}
    for curve, row in CURVES.items():
        report["curves"][curve] = []
        for size in row.sizes:
            command = [sys.executable, __file__, curve, str(size)]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            report["curves"][curve].append(found)
            print(
                f"{curve} {size:,}: {bench.shown_time(found['seconds'])}, peak {found['peak_mb']:,.0f} MB", flush=True
            )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scaling.json").write_text(json.dumps(report, indent=2) + "\n")
    draw(report["curves"]).savefig(RESULTS / "scaling.png", dpi=110)


def draw(curves):
    """Time above, memory below, a column for each."""
    figure = Figure(figsize=(16, 7), layout="constrained")
    axes = figure.subplots(2, len(curves))
    for column, (curve, rows) in enumerate(curves.items()):
        size, seconds, peak = (np.array([row[key] for row in rows]) for key in ("size", "seconds", "peak_mb"))
        time, memory = axes[:, column]
        time.loglog(size, seconds, "o-", color="#3d7f3a")
        power = CURVES[curve].power
        label = "quadratic, as the work" if power == 2 else "linear, as the work"
        time.loglog(size, seconds[-1] * (size / size[-1]) ** power, "--", color="#888888", label=label)
        memory.semilogx(size, peak, "o-", color="#b3402f")
        memory.set_ylim(0, 1.15 * peak.max())
        memory.set_xlabel(CURVES[curve].title)
        time.legend(frameon=False)
        for ax in (time, memory):
            ax.grid(alpha=0.25)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak memory of the process, MB")
    return figure


if __name__ == "__main__":
    one(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main()
