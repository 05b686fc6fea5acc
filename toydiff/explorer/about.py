"""The tables that every front end reads: layers and their colours, metrics, limits and help texts, as JSON values."""

from functools import cache
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from toydiff.base.score_model import LARGEST_SIGMA, SIGMA_DATA
from toydiff.base.version import __version__
from toydiff.explorer import actions
from toydiff.explorer.compute import SHOWN_METRICS
from toydiff.explorer.frames import FIELD_DEPTH
from toydiff.explorer.help import HELP
from toydiff.explorer.layers import INK, KEPT, LAYERS, OUTLIER_RADIUS, PROBE_COLOURS, RESCUED, SAMPLE_RADIUS
from toydiff.explorer.scene import LINKED, MOST_PANELS
from toydiff.explorer.state import SIGMAS
from toydiff.guidance.row import MAX_WEIGHT
from toydiff.measuring.metrics import METRICS
from toydiff.measuring.setting import STARTS
from toydiff.results.style import CLASS, COLOURS, OTHER, OUTLIER, THIRD
from toydiff.sampling.schedules import KNOTS
from toydiff.sampling.solvers import SOLVERS

FIELD_BANDS = 12
"""Steps of colour of a density, as `plotting.plot_density` draws it."""


@cache
def about() -> dict[str, Any]:
    """All that does not depend on what is set."""
    return {
        "version": __version__,
        "layers": {
            name: {what: getattr(row, what) for what in ("label", "legend", "kind", "colour", "of_guide")}
            | ({"bands": bands(name), "dark": row.hue.dark} if row.kind == "field" else {})
            for name, row in LAYERS.items()
        },
        "depth": FIELD_DEPTH,
        "radius": {"sample": SAMPLE_RADIUS, "outlier": OUTLIER_RADIUS},
        "colours": {"rescued": RESCUED, "lost": OUTLIER, "kept": KEPT, "ink": INK, "probe": PROBE_COLOURS},
        "palette": list(COLOURS[:MOST_PANELS]),
        "pens": {"A": CLASS.strong, "B": OTHER.dark, "C": THIRD.strong},
        "linked": list(LINKED),
        "most_panels": MOST_PANELS,
        "knots": list(KNOTS),
        "sigmas": list(SIGMAS),
        "largest_sigma": LARGEST_SIGMA,
        "sigma_data": SIGMA_DATA,
        "most_weight": MAX_WEIGHT,
        "solvers": list(SOLVERS),
        "starts": list(STARTS),
        "metrics": {
            name: {"title": METRICS[name].title, "short": METRICS[name].column, "share": METRICS[name].share}
            | {"better": METRICS[name].better}
            for name in SHOWN_METRICS
        },
        "help": HELP,
        **actions.tables(),
    }


def bands(layer: str) -> list[str]:
    """The colours of a density's steps, from low to high."""
    return [to_hex(colour) for colour in LAYERS[layer].hue.cmap((np.arange(FIELD_BANDS) + 0.5) / FIELD_BANDS)]
