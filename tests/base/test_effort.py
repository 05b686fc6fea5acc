"""How much work is done where a call does not say it: usually as documented, otherwise within a block only."""

from threading import Thread

import numpy as np
import pytest
from matplotlib.figure import Figure

import toydiff
from toydiff import InputError
from toydiff.base.effort import Effort, current_effort, effort
from toydiff.measuring.metrics import METRICS, Scored
from toydiff.measuring.reference import reference_of
from toydiff.results import plotting


def test_a_block_changes_what_it_names_and_ends_whatever_happens():
    usual = current_effort()
    with effort(resamples=8), effort(density_grid=32) as inner:
        assert inner == current_effort() == Effort(resamples=8, density_grid=32)
    with pytest.raises(ZeroDivisionError), effort(resamples=8):
        1 / 0  # noqa: B018
    assert current_effort() == usual == Effort()


def test_a_function_can_have_its_own_effort_each_time():
    resamples = effort(resamples=8)(lambda: current_effort().resamples)
    assert [resamples(), resamples(), current_effort().resamples] == [8, 8, 40]


def test_other_threads_see_it():
    seen = []
    with effort(resamples=8):
        thread = Thread(target=lambda: seen.append(current_effort().resamples))
        thread.start()
        thread.join()
    assert seen == [8]


@pytest.mark.parametrize("numbers", [{"resamples": 1}, {"density_grid": 0}, {"reference_draws": 0.5}])
def test_numbers_out_of_range_are_refused_and_change_nothing(numbers):
    with pytest.raises(InputError, match=f"{next(iter(numbers))} is .*; it must be a whole number"), effort(**numbers):
        pass
    assert current_effort() == Effort()


def test_it_is_what_a_call_does_that_does_not_say_it(tiny_mixture, tiny_denoiser):
    with effort(reference_draws=512, resamples=5, validation_draws=256, density_grid=20, outline_grid=24):
        reference = toydiff.Reference(tiny_mixture)
        loss = toydiff.validation_loss(tiny_denoiser)
        drawn = plotting.plot_density(tiny_mixture, 0.3, ax=Figure().subplots())
        outline = plotting.plot_outline(tiny_mixture, ax=Figure().subplots())
    assert reference.n == 512
    assert len(Scored([[0.0, 0.0]], reference).draws) == 5  # also after the block: a reference has one effort
    assert loss == toydiff.validation_loss(tiny_denoiser, n=256)
    for ours, options in ((drawn, {"resolution": 20}), (outline, {"resolution": 24})):
        plot = plotting.plot_density if ours is drawn else plotting.plot_outline
        again = plot(tiny_mixture, 0.3 if ours is drawn else 0.0, ax=Figure().subplots(), **options)
        for path, expected in zip(ours.get_paths(), again.get_paths(), strict=True):
            np.testing.assert_array_equal(path.vertices, expected.vertices)


def test_the_usual_numbers_are_those_of_the_documents(tiny_mixture):
    assert Effort() == Effort(1 << 20, 1 << 17, 16, 40, 65_536, 256, 720)
    assert toydiff.Reference(tiny_mixture).n == 1 << 20


def test_floors_come_from_as_many_sets_as_are_asked_for(tiny_mixture):
    calls = []
    row = METRICS["median_log_density"]._replace(function=lambda samples: calls.append(len(samples)) or 0.0, error=len)
    with effort(floor_sets=3, reference_draws=512):
        toydiff.evaluate(tiny_mixture.sample(0, 1 << 15), tiny_mixture, metrics={"m": row})
    assert len(calls) == 1 + 3


def test_no_block_gets_the_reference_of_another():
    with effort(reference_draws=512):
        few = reference_of("three_gaussians", "A")
        assert reference_of("three_gaussians", "A") is few
    usual = reference_of("three_gaussians", "A")
    assert (few.n, usual.n) == (512, 1 << 20)
    assert reference_of("three_gaussians", "A") is usual
