"""What the explorer says beside its pictures: legend, tables and the curve over the weight, as HTML and SVG."""

import html
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from toydiff.explorer import compute, drawing
from toydiff.explorer.drawing import drawing_lock
from toydiff.explorer.probe import Probe
from toydiff.explorer.scene import Scene
from toydiff.explorer.state import LAYERS, State
from toydiff.guidance.methods import METHODS
from toydiff.measuring.metrics import METRICS
from toydiff.results.style import OUTLIER


def banner(scene: Scene) -> str:
    """Title and question, where the scene has them."""
    title = f"<h2>{html.escape(scene.title)}</h2>" * bool(scene.title)
    return title + f"<p>{html.escape(scene.question)}</p>" * bool(scene.question)


def legend(scene: Scene) -> str:
    """The layers that are on, each with its colour."""
    absent = () if any(METHODS[state.method].guides for state in scene.panels) else drawing.OF_THE_GUIDE
    layers = scene.state.layers
    colours = {name: drawing.COLOURS[name] for name in layers if name in drawing.COLOURS and name not in absent}
    rows = [(colour, LAYERS[name]) for name, colour in colours.items()]
    if "rescue" in layers:
        rows += [(drawing.RESCUED, "rescued by guidance"), (OUTLIER, "lost by guidance"), (drawing.KEPT, "neither")]
    swatches = (f"<span><i style='background:{colour}'></i>{label}</span>" for colour, label in rows)
    return f"<div class='toydiff-legend'>{''.join(swatches)}</div>"


def probe_table(seen: Sequence[Probe | None], active: int) -> str:
    """The scores at the probed point in the active panel, and the weight that would be best there in each."""
    chosen = seen[active]
    if chosen is None:
        return ""
    rows = "".join(
        f"<tr><td><i style='background:{drawing.PROBE_COLOURS[name]}'></i>{name}</td><td>{arrow.length:.3f}</td>"
        f"<td>{'–' if np.isnan(arrow.angle) else f'{arrow.angle:.0f}°'}</td></tr>"
        for name, arrow in chosen.arrows.items()
    )
    head = "<tr><th>σ² score at the probe</th><th>length</th><th>to exact</th></tr>"
    best = ", ".join("–" if one is None or one.best_weight is None else f"<b>{one.best_weight:.2f}</b>" for one in seen)
    foot = f"<tr><td>best weight here</td><td colspan='2'>w* = {best}</td></tr>"
    return f"<table class='toydiff-table toydiff-probe-table'>{head}{rows}{foot}</table>"


def numbers_table(scene: Scene, scores: Sequence[dict[str, compute.Number]]) -> str:
    """The numbers of each panel, beside those of exact samples."""
    several = len(scores) > 1
    rows = ""
    for name, (_, exact) in scores[0].items():
        form = ".1%" if METRICS[name].share else ".3f"
        cells = "".join(f"<td><b>{panel[name].value:{form}}</b></td>" for panel in scores)
        title = METRICS[name].column if several else METRICS[name].title
        rows += f"<tr><td>{title}</td>{cells}<td>{exact:{form}}</td></tr>"
    names = [str(i + 1) for i in range(len(scores))] if several else ["here"]
    heads = "".join(f"<th>{name}</th>" for name in [*names, "exact"])
    wide = " toydiff-wide" * (len(scores) > 2)
    return f"<table class='toydiff-table{wide}'><tr><th>{scene.state.points:,} samples</th>{heads}</tr>{rows}</table>"


def curve_picture(state: State, values: np.ndarray, here: dict[str, compute.Number]) -> bytes:
    """Outlier rate and branch coverage over constant weights as SVG, with a mark where the state stands.

    Args:
        state: whose weight is marked; a weight that is drawn as a curve stands as two levels.
        values: outlier rate and coverage at each of `compute.CURVE_WEIGHTS`, [weights, 2].
        here: the numbers of the state.
    """
    with drawing_lock:
        figure = Figure(figsize=(4, 2.9), layout="constrained")
        left = figure.subplots()
        right = left.twinx()
        weights = compute.CURVE_WEIGHTS
        left.plot(weights, 100 * values[:, 0], color=OUTLIER, marker="o", markersize=4)
        right.plot(weights, 100 * values[:, 1], color=drawing.INK, marker="s", markersize=4, linestyle="--")
        if state.weight_curve is None:
            left.axvline(min(state.weight, weights[-1]), color="#777777", linewidth=1.5)
        else:
            left.axhline(100 * here["outlier_rate_0.001"].value, color=OUTLIER, linewidth=1.5, linestyle=":")
            right.axhline(100 * here["branch_coverage"].value, color=drawing.INK, linewidth=1.5, linestyle=":")
        left.set(ylim=(0, None))
        left.set_xlabel(
            "weight w" if state.weight_curve is None else "constant weight w  (dotted: as drawn)", fontsize=12
        )
        left.set_ylabel("outliers, %  (●)", color=OUTLIER, fontsize=12)
        right.set_ylabel("branches kept, %  (■)", fontsize=12)
        right.set(ylim=(0, 105))
        content = io.BytesIO()
        figure.savefig(content, format="svg")
    return content.getvalue()
