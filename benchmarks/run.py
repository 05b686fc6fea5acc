"""`make bench`: everything that is measured of this machine, into a file of `results/` and the table of README.md."""

import json
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import explorer
import jax

from toydiff import bench

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->"


def main():
    """Measure, print, write."""
    report = bench.measure()
    print("\n".join(bench.table(report)))
    commit = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"]
    report["commit"] = subprocess.run(commit, capture_output=True, text=True, check=False).stdout.strip()
    if find_spec("torch") and jax.default_backend() == "cpu":  # where PyTorch computes here
        import pytorch_eager

        report["eager_pytorch"] = pytorch_eager.measure()
        print(compared(report))
    if explorer.CHROMIUM is None:
        print("Chromium is missing: the explorer was not measured in it")
    else:
        report["explorer"] = explorer.measure()
        for name, value, aim in report["explorer"]:
            print(f"{name:58}{value:>10}{aim and f'  (aim {aim})'}")
    machine = report["machine"]
    name = re.sub(r"[^a-z0-9]+", "-", f"{machine['cores']} {machine['processor']} {machine['devices']}".lower())
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    write_page()


def compared(report):
    """How much longer eager PyTorch takes, in a sentence."""
    ratios = {name: seconds / report["figures"][name]["seconds"] for name, seconds in report["eager_pytorch"].items()}
    return (
        f"Eager PyTorch, the same algorithm in the same run: {ratios['train']:.1f} times as long for a training step, "
        f"{ratios['sample_guided']:.1f} times for guided samples."
    )


def write_page():
    """Put the results of every machine into the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    reports = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    sections = "\n".join(section(report) for report in reports if "figures" in report)
    PAGE.write_text(before + BEGIN + sections + END + rest.split(END)[1])


def section(report):
    """The results of a machine, in Markdown."""
    machine, limits = report["machine"], report["limits"]
    versions = f"Python {machine['python']}, JAX {machine['jax']}, commit {report['commit']}"
    rate, bandwidth = limits["matrix_rate"] / 1e9, limits["bandwidth"] / 1e9
    lines = [
        f"### {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['devices']}\n",
        f"{versions}. Limits in the same run: matrix product {rate:,.0f} GFLOP/s, memory {bandwidth:,.0f} GB/s.",
        f"Peak memory of all figures in one process {report['peak_memory'] / 1e6:,.0f} MB.\n",
        "| | median | quartiles | utilisation |",
        "| --- | --- | --- | --- |",
    ]
    for figure in report["figures"].values():
        used = "" if figure["utilisation"] is None else f"{figure['utilisation']:.0%}"
        spread = " to ".join(map(bench.shown_time, figure["quartiles"]))
        lines.append(f"| {figure['title']} | {bench.shown_time(figure['seconds'])} | {spread} | {used} |")
    if "explorer" in report:
        lines += ["", "| the explorer in Chromium | measured | aim |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(row)} |" for row in report["explorer"]]
    return "\n".join([*lines, "", *([compared(report), ""] if "eager_pytorch" in report else []), ""])


if __name__ == "__main__":
    main()
