"""The outlier levels that are recorded are those that are computed."""

import pytest

from toydiff.base.effort import effort
from toydiff.distributions import catalogue
from toydiff.measuring import levels
from toydiff.measuring.reference import Reference, reference_of


def test_those_of_the_tree_are_recorded_and_none_that_is_unknown():
    rows = catalogue.DISTRIBUTIONS.items()
    known = {f"{name}/{c}" for name, row in rows for c in catalogue.class_choices(row.classes)}
    assert {"fractal_tree/A", "fractal_tree/B", "fractal_tree/AB"} <= set(levels.recorded()) <= known


@pytest.mark.parametrize("name", ["fractal_tree/A", "three_gaussians/AC", "letters/B"])
def test_they_are_what_is_computed(name):
    computed = Reference(catalogue.distribution(*name.split("/"))).quantile(levels.SHARE)
    assert levels.recorded()[name] == pytest.approx(computed, abs=1e-5)
    assert reference_of(*name.split("/")).quantile(levels.SHARE) == levels.recorded()[name]


def test_another_effort_computes_its_own():
    with effort(reference_draws=4096):
        assert reference_of("rings", "A").quantile(levels.SHARE) != levels.recorded()["rings/A"]


@pytest.mark.slow
def test_all_of_them_are_what_is_computed():
    assert levels.recorded() == pytest.approx(levels.record(), abs=1e-5)
