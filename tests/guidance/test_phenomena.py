"""What the paper shows of the toy, in numbers, from the bundled weights at 16,384 samples.

The bands are the ranges of independent implementations over four training seeds, widened by a quarter of
their middle: another seed of the noise moves a rate by its standard error, another platform by a little.
"""

import pytest

import toydiff
from toydiff.measuring.reference import Scored

BANDS = {  # outliers below the 0.1% quantile, branch coverage, sliced Wasserstein-1
    ("unguided", 1.0): ((0.073, 0.077), (0.96, 0.98), (0.006, 0.007)),
    ("autoguidance", 2.0): ((0.049, 0.062), (0.72, 0.88), (0.011, 0.024)),
    ("autoguidance", 3.0): ((0.048, 0.109), (0.45, 0.70), (0.020, 0.046)),
    ("cfg", 2.0): ((0.043, 0.068), (0.69, 0.74), (0.10, 0.11)),
    ("cfg", 4.0): ((0.05, 0.19), (0.39, 0.42), (0.25, 0.28)),
    ("truncation", 1.4): ((0.0, 0.001), (0.06, 0.06), (0.20, 0.20)),
}


@pytest.fixture(scope="module")
def measured(reference):
    def measure(method, weight, seed=11):
        samples = toydiff.sample(toydiff.guided_model(method, weight), seed, 16_384, path=False).samples
        names = "outlier_rate_0.001", "branch_coverage", "sliced_wasserstein"
        return tuple(toydiff.METRICS[name].function(Scored(samples, reference)) for name in names)

    return {setting: measure(*setting) for setting in BANDS}


@pytest.mark.parametrize("setting", BANDS, ids=lambda s: f"{s[0]}-{s[1]}")
def test_each_method_falls_in_or_near_its_range(measured, setting):
    for value, (low, high) in zip(measured[setting], BANDS[setting], strict=True):
        slack = (low + high) / 8 + 0.002
        assert low - slack <= value <= high + slack, (setting, measured[setting])


def test_the_story_of_the_paper(measured):
    unguided, auto, cfg = measured["unguided", 1.0], measured["autoguidance", 2.0], measured["cfg", 2.0]
    truncation = measured["truncation", 1.4]
    assert unguided[0] > 0.05, "a limited network leaves outliers"
    assert auto[0] < unguided[0], "autoguidance removes some"
    assert truncation[1] < cfg[1] < unguided[1], "CFG drops branches, truncation collapses"
    assert auto[2] < cfg[2], "autoguidance stays closer to the class than CFG"
