"""What can be drawn of a state, from back to front: one table for Matplotlib, the browser, menus and legends."""

from collections.abc import Callable
from typing import NamedTuple

from toydiff.base.score_model import ScoreModel
from toydiff.distributions.ratio import Ratio
from toydiff.measuring.setting import Models
from toydiff.results.style import CLASS, GUIDE, MAIN, OUTLIER, RATIO, Hue

GUIDED = Hue("#d5eef0", "#3aa0a8", "#0a5158")
INK = "#222222"
SAMPLE_RADIUS, OUTLIER_RADIUS = 0.0019, 0.0029
"""Of the points, in shares of the picture's width."""
RESCUED, KEPT = MAIN.strong, "#9a9a9a"
Pick = Callable[[Models], ScoreModel | None]
"""The model of a layer; None where there is none."""


class Layer(NamedTuple):
    """A row of the table of layers."""

    label: str
    hue: Hue
    kind: str = ""
    """"field" or "arrows" of a model; else it draws the samples or the classes."""
    model: Pick = lambda models: None
    of_guide: bool = False
    """Whether a method without a guide has nothing to draw."""
    peak_in_data: bool = False
    """Whether its peak is sought where the data is: the highest peaks of a ratio lie where there is none."""
    needs: tuple[str, ...] = ()
    """What of a state decides its model, beside the data: another value of it, and it must be drawn anew."""

    @property
    def legend(self) -> str:
        """A word or two for the legend."""
        return self.label.removeprefix("class ").removeprefix("score ").removesuffix(" in pink")

    @property
    def colour(self) -> str:
        """In the picture and its legend."""
        return self.hue.dark if self.kind == "arrows" else self.hue.strong


def _ratio(models: Models) -> ScoreModel | None:
    return None if models.guide is None else Ratio(models.main, models.guide)


def _plain(colour: str) -> Hue:
    return Hue(colour, colour, colour)


TWO = "row", "main", "guide"
ALL = *TWO, "weight", "weight_curve", "interval", "knobs"
"""What decides the first two models, and the guided one."""


LAYERS: dict[str, Layer] = {
    "outlines": Layer("class outlines", CLASS),
    "samples": Layer("samples", _plain(MAIN.dark)),
    "outliers": Layer("outliers in pink", _plain(OUTLIER)),
    "trajectories": Layer("trajectories", _plain(MAIN.dark)),
    "rescue": Layer("lines from unguided to guided", _plain(KEPT)),
    "density_main": Layer("density p1, main", MAIN, "field", lambda models: models.main, needs=("main",)),
    "density_guide": Layer("density p0, guide", GUIDE, "field", lambda models: models.guide, True, needs=TWO),
    "density_guided": Layer("guided density", GUIDED, "field", lambda models: models.guided, needs=ALL),
    "ratio": Layer("ratio p1/p0", RATIO, "field", _ratio, True, True, needs=TWO),
    "arrows_main": Layer("score arrows, main", MAIN, "arrows", lambda models: models.main, needs=("main",)),
    "arrows_guide": Layer("score arrows, guide", GUIDE, "arrows", lambda models: models.guide, True, needs=TWO),
    "arrows_difference": Layer("score arrows, difference", RATIO, "arrows", _ratio, True, needs=TWO),
    "arrows_guided": Layer("score arrows, guided", GUIDED, "arrows", lambda models: models.guided, needs=ALL),
    "arrows_exact": Layer("score arrows, exact", _plain(INK), "arrows", lambda models: models.truth),
}
"""The layers by name; another one of a model is one row."""
PROBE_COLOURS = {
    "main": MAIN.strong,
    "unguided": MAIN.strong,
    "guide": GUIDE.strong,
    "guided": RATIO.strong,
    "exact": INK,
}
