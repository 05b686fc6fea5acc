"""Which part of the plane is drawn."""

from typing import NamedTuple

import numpy as np


class View(NamedTuple):
    """A square part of the plane."""

    x: float
    y: float
    half_width: float

    @property
    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(left, right), (bottom, top)."""
        r = self.half_width
        return (self.x - r, self.x + r), (self.y - r, self.y + r)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points [n, 2] lie inside: [n]."""
        return (np.abs(points - [self.x, self.y]) <= self.half_width).all(-1)


FULL_VIEW = View(0.30, 0.30, 1.2)
ZOOM_VIEW = View(0.45, 1.22, 0.3)
