"""The page of results: every experiment run anew, and written with what the paper says and what was found."""

import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from toydiff.base.checks import InputError, choice
from toydiff.base.files import PathLike, check_writable, write_bytes
from toydiff.base.progress import progress_bar
from toydiff.base.version import __version__
from toydiff.measuring.sweep_table import save_sweep
from toydiff.results.ablations import capacity, interval_and_mix, sensitivity
from toydiff.results.claims import Claim, Section, table
from toydiff.results.comparison import methods
from toydiff.results.degradations import degradations
from toydiff.results.figures import save_figure
from toydiff.results.frontier import frontier
from toydiff.results.other_guides import other_guides

SECTIONS: dict[str, Callable[[], Section]] = {
    "methods": methods,
    "sensitivity": sensitivity,
    "capacity": capacity,
    "degradations": degradations,
    "interval-and-mix": interval_and_mix,
    "other-guides": other_guides,
    "frontier": frontier,
}
"""The experiments, in the order of the page."""
PAGE = "RESULTS.md"


def write_report(
    folder: PathLike = "figures", names: Sequence[str] = tuple(SECTIONS), *, progress: bool = True
) -> list[Path]:
    """Run experiments and write the page of results, its pictures and the tables of its sweeps; the files written.

    Nothing is written before all experiments are done. Part of the experiments make a page of that part.

    Args:
        folder: where RESULTS.md comes; pictures and tables come into its folder "results".
        names: rows of `SECTIONS`.
        progress: show a bar.

    Raises:
        InputError: there is no such experiment, none is named, or the folder cannot be written.
    """
    if not names:
        raise InputError(f"no experiment is named; there are {', '.join(SECTIONS)}")
    for name in names:
        choice("experiment", name, SECTIONS)
    page, beside = Path(folder) / PAGE, Path(folder) / "results"
    for path in (page, beside / "any"):
        check_writable(path)
    sections = {name: SECTIONS[name]() for name in progress_bar(list(names), unit="experiment", show=progress)}
    written = []
    for name, section in sections.items():
        if section.figure is not None:
            written.append(beside / f"{name}.png")
            save_figure(section.figure, written[-1])
        for file, sweep in zip(_tables(name, section), section.sweeps, strict=True):
            written.append(beside / file)
            save_sweep(written[-1], sweep)
    write_bytes(page, _page(sections).encode())
    return [page, *written]


def _tables(name: str, section: Section) -> list[str]:
    many = len(section.sweeps) > 1
    return [f"{name}-{i}.csv" if many else f"{name}.csv" for i in range(1, len(section.sweeps) + 1)]


def _page(sections: dict[str, Section]) -> str:
    claims = [(claim, section.title) for section in sections.values() for claim in section.claims]
    rows = [[claim.text, f"**{claim.verdict}**", _evidence(claim), _link(title)] for claim, title in claims]
    parts = [
        "# Results",
        "What is said of guidance on the toy, and what toydiff measures with its bundled networks. This page is "
        "written by `toydiff report`, never by hand; it takes some minutes on two cores.",
        f"toydiff {__version__}, JAX {jax.__version__} on {jax.default_backend()} ({platform.machine()}). *Outliers* "
        "are samples below the 0.1% quantile of the exact log density, *branches kept* the share of the 127 branches "
        "that get a quarter of their mass; values are ± one standard error.",
        "## Claims",
        table(["claim", "verdict", "what was measured", "section"], rows),
    ]
    for name, section in sections.items():
        parts += [f"## {section.title}", section.text]
        if section.figure is not None:
            parts.append(f"![{section.title}](results/{name}.png)")
        parts += section.tables
        if section.sweeps:
            links = ", ".join(f"[{file}](results/{file})" for file in _tables(name, section))
            parts.append(f"All cells: {links} (the explorer's tab Sweep opens them).")
    return "\n\n".join(parts) + "\n"


def _evidence(claim: Claim) -> str:
    return "; ".join(f"{'✓' if holds else '✗'} {text}" for holds, text in claim.findings)


def _link(title: str) -> str:
    anchor = "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
    return f"[{title}](#{anchor})"
