"""Random points, mixtures and drawings for the tests of properties; their shapes stay, so that nothing recompiles."""

import numpy as np
from hypothesis import strategies as st

from toydiff import Drawing, GaussianMixture, Stroke

seeds = st.integers(0, 2**32 - 1)


def numbers(low, high, *shape):
    """Arrays [*shape] from low to high, as exact in float32 as in float64."""
    size = int(np.prod(shape))
    values = st.lists(st.floats(low, high, width=32), min_size=size, max_size=size)
    return values.map(lambda value: np.reshape(value, shape))


@st.composite
def mixtures(draw, components=2, thinnest=0.125):
    """Mixtures of tilted Gaussians, with standard deviations from `thinnest` to 0.5."""
    angle = draw(numbers(0, 3, components))
    axes = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    variances = draw(numbers(thinnest, 0.5, components, 2)) ** 2
    covariances = np.einsum("kai,ka,kaj->kij", axes, variances, axes)
    return GaussianMixture(draw(numbers(0.125, 1, components)), draw(numbers(-1, 1, components, 2)), covariances)


def strokes(labels="AB"):
    """Strokes of a few points, also such as are rounded when they are kept."""
    places = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=4)
    return st.builds(Stroke, st.sampled_from(labels), st.floats(0.05, 0.5), places.map(tuple))


drawings = st.builds(lambda first, rest: Drawing((first, *rest)), strokes("A"), st.lists(strokes(), max_size=3))
