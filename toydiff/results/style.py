"""How everything that is drawn looks: the colour of each role, and the house style of figures."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class Hue(NamedTuple):
    """The colours of a role: a light one for areas, a strong one for points and lines, a dark one for arrows."""

    light: str
    strong: str
    dark: str

    @property
    def cmap(self) -> "Colormap":
        """White to light to strong."""
        from matplotlib.colors import LinearSegmentedColormap  # colours are known before Matplotlib is loaded

        return LinearSegmentedColormap.from_list("", ["#ffffff", self.light, self.strong])


MAIN = Hue("#c6e6c8", "#4aa564", "#0b4f27")
GUIDE = Hue("#fad4ca", "#e0624d", "#7a1210")
RATIO = Hue("#cfe0f5", "#5a92d2", "#0e3672")
CLASS = Hue("#fdebd0", "#e8871e", "#9a4f00")
OTHER = Hue("#ececec", "#b0b0b0", "#6a6a6a")
THIRD = Hue("#e4d9f2", "#8e6bb8", "#4a2a7a")  # a class beside orange and green, apart from both to the colour-blind
OUTLIER = "#dd3497"  # lighter than the samples in grey, apart from green and orange to the colour-blind

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlepad": 3,
    "axes.linewidth": 0.4,
    "axes.edgecolor": "#555555",
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # text stays text, which journals ask for
    "svg.fonttype": "none",
    "svg.hashsalt": "toydiff",  # the same picture gives the same file
}
WIDTH = 7.16
"""Inches: two columns of a paper."""
COLOURS = tuple(hue.strong for hue in (MAIN, GUIDE, RATIO, CLASS, THIRD))
COLOURS += ("#2b8c8c", "#8a6d3b", "#6a6a6a")
"""Of the lines of a plot, one after the other."""
