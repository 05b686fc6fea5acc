"""The guidance weight over the noise level as a widget: a curve that the mouse bends."""

import math
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from toydiff.sampling.schedules import KNOTS, SIGMA_MAX

TOPS = (8.0, 16.0, 32.0, 64.0, 100.0)


class WeightEditor(anywidget.AnyWidget):
    """Shows w(sigma), linear in ln sigma between knots, and says what a person wants; that changes no trait by itself.

    Its messages, which whoever owns it answers by setting traits (or by not doing so, which refuses them):

    - `{"weights": [...]}`: the weight at each knot, from 0 to 100, rounded to 0.05.
    - `{"interval": [lo, hi]}`: an edge was moved; lo is 0 and hi the highest of `sigmas` where it stands at the end.
    - `{"straight": w}`: a double click asks for the constant weight w.
    """

    _esm = Path(__file__).parents[1] / "front" / "curve_editor.js"
    _css = Path(__file__).parents[1] / "front" / "explorer.css"
    sigmas = traitlets.List(list(KNOTS)).tag(sync=True)
    """Noise levels of the knots, ascending; the axis goes from the first to the last."""
    weights = traitlets.List([1.0] * len(KNOTS)).tag(sync=True)
    """At the knots; what is no number is not drawn."""
    interval = traitlets.List([0.0, SIGMA_MAX]).tag(sync=True)
    """[lo, hi]: outside lo < sigma <= hi the weight is 1."""
    top = traitlets.Float(TOPS[0]).tag(sync=True)
    """Upper end of the axis; follows the weights in steps."""
    now = traitlets.Float(SIGMA_MAX).tag(sync=True)
    """The noise level that is shown elsewhere, a thin line here."""
    brush = traitlets.Float(0.0).tag(sync=True)
    """How many knots to each side follow the one that is dragged; with Shift held at least 1.5."""
    disabled = traitlets.Bool(False).tag(sync=True)
    description = traitlets.Unicode("w(σ)").tag(sync=True)

    @traitlets.observe("weights")
    def _fit_axis(self, change: Any) -> None:
        highest = max((w for w in change["new"] if isinstance(w, int | float) and math.isfinite(w)), default=0.0)
        self.top = next((top for top in TOPS if top >= highest), TOPS[-1])
