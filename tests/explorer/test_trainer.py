import subprocess
import sys
import threading
from dataclasses import replace

import jax
import numpy as np
import pytest

from toydiff import InputError, Recipe, train
from toydiff.explorer.trainer import Plan, Trainer

SMALL = Recipe(widths=(8,), batch=64)
LONG = Plan((SMALL,), 1_000_000)


class Watched:
    """A trainer whose reports and ends are kept; `on_progress` may be replaced."""

    def __init__(self, on_progress=lambda report: None):
        self.reports, self.ends, self.on_progress = [], [], on_progress
        self.reported, self.ended = threading.Event(), threading.Event()
        self.trainer = Trainer(self._report, self._end)

    def _report(self, report):
        self.reports.append(report)
        self.reported.set()
        self.on_progress(report)

    def _end(self, *end):
        self.ends.append((*end, self.trainer.running))
        self.ended.set()

    def run(self, plan):
        self.ended.clear()
        self.trainer.start(plan)
        return self.wait()

    def wait(self):
        assert self.ended.wait(60)
        plan, trainings, error, running = self.ends[-1]
        assert not running
        return plan, trainings, error


@pytest.fixture
def watched():
    made = Watched()
    yield made
    made.trainer.close()


def same(first, second):
    return all((a == b).all() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def test_snapshots_are_equally_spaced():
    assert Plan((SMALL,), 4096).snapshot_steps == tuple(range(256, 4097, 256))
    assert Plan((SMALL,), 5).snapshot_steps == (1, 2, 3, 4, 5)
    for steps in (16, 17, 100, 1001):
        kept = Plan((SMALL,), steps).snapshot_steps
        assert len(set(kept)) == 16
        assert kept[-1] == steps
        assert np.ptp(np.diff([0, *kept])) <= 1


def test_the_result_is_that_of_train_bit_for_bit(watched):
    plan = Plan((SMALL,), 80)
    expected = train(SMALL, 80, snapshots=plan.snapshot_steps, progress=False)
    ended, (training,), error = watched.run(plan)
    assert (ended, error, training.interrupted) == (plan, None, False)
    assert same(training.state, expected.state)
    assert same(training.losses, expected.losses)
    assert same(training.snapshots, expected.snapshots)
    assert all(r.new_snapshot == (r.training.step in plan.snapshot_steps) for r in watched.reports)
    shown = next(r.training for r in watched.reports if r.new_snapshot)
    assert np.isfinite(shown.denoiser(8, shown.step).score([0.3, 0.3], 0.1)).all()


def test_the_fraction_goes_up_to_1_over_two_recipes(watched):
    _, trainings, error = watched.run(Plan((SMALL, replace(SMALL, widths=(4, 8))), 70))
    assert error is None
    assert [t.step for t in trainings] == [70, 70]
    fractions = [r.fraction for r in watched.reports]
    assert (np.diff([0, *fractions]) > 0).all()
    assert fractions[-1] == 1
    assert max(np.diff([0, *fractions])) <= 32 / 140
    assert [len(r.training.recipe.widths) for r in watched.reports] == sorted(
        len(r.training.recipe.widths) for r in watched.reports
    )


def test_stop_keeps_a_usable_model_and_starts_no_further_recipe(watched):
    watched.trainer.start(Plan((SMALL, SMALL), 1_000_000))
    assert watched.reported.wait(60)
    assert watched.trainer.running
    with pytest.raises(InputError, match="a training is running: stop it first"):
        watched.trainer.start(LONG)
    watched.trainer.stop()
    _, (training,), error = watched.wait()
    assert error is None
    assert training.interrupted
    assert training.step == watched.reports[-1].training.step >= 32
    assert np.isfinite(training.denoiser().score([0.3, 0.3], 0.1)).all()
    assert not watched.trainer.running


def test_a_failing_callback_is_told_and_the_trainer_goes_on(watched):
    def fail(report):
        if report.training.step >= 40:
            raise RuntimeError("the picture is gone")

    watched.on_progress = fail
    _, (training,), error = watched.run(Plan((SMALL,), 160))
    assert isinstance(error, RuntimeError)
    assert training.interrupted
    assert training.step == 40
    assert np.isfinite(training.denoiser().score([0.3, 0.3], 0.1)).all()
    watched.on_progress = lambda report: None
    _, (training,), error = watched.run(Plan((SMALL,), 16))
    assert (training.step, error) == (16, None)


def test_the_end_may_start_the_next_plan():
    ends, done = [], threading.Event()

    def on_end(plan, trainings, error):
        ends.append((plan.steps, len(trainings), error))
        if len(ends) < 3:
            trainer.start(Plan((SMALL,), 8))
        else:
            done.set()

    trainer = Trainer(lambda report: None, on_end)
    trainer.start(Plan((SMALL,), 16))
    assert done.wait(60)
    assert ends == [(16, 1, None), (8, 1, None), (8, 1, None)]
    trainer.close()


def test_a_loss_that_is_nan_ends_at_the_last_sound_step(watched, monkeypatch):
    from toydiff.networks import training as module

    run = module.run_steps

    def fail_later(recipe, mixtures, key, state, steps):
        state, losses = run(recipe, mixtures, key, state, steps)
        third = np.arange(steps)[:, None] == 2
        return state, np.where(third & (state.step > 16), np.nan, losses)

    monkeypatch.setattr(module, "run_steps", fail_later)
    _, (training,), error = watched.run(Plan((SMALL,), 64))
    assert isinstance(error, InputError)
    assert str(error) == "the loss is NaN after 19 steps: use a lower learning rate"
    assert training.step == len(training.losses) == 16
    assert training.interrupted
    assert set(training.snapshots) == {(8, 4), (8, 8), (8, 12), (8, 16)}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(training.snapshots))


def test_parameters_that_are_nan_are_not_kept(watched, monkeypatch):
    from toydiff.networks import training as module

    run = module.run_steps

    def fail(*arguments):
        state, losses = run(*arguments)
        return state._replace(ema=jax.tree.map(lambda leaf: leaf * np.nan, state.ema)), losses

    monkeypatch.setattr(module, "run_steps", fail)
    _, trainings, error = watched.run(Plan((SMALL,), 64))
    assert trainings == ()
    assert "the loss is NaN after 4 steps" in str(error)


def test_closing_while_it_runs_waits_for_the_end(watched):
    watched.trainer.start(LONG)
    assert watched.reported.wait(60)
    watched.trainer.close()
    assert len(watched.ends) == 1
    assert not watched.trainer.running
    with pytest.raises(InputError, match="the trainer is closed"):
        watched.trainer.start(LONG)


@pytest.mark.slow
def test_the_program_may_end_while_it_trains():
    code = (
        "import threading\nfrom toydiff import Recipe\nfrom toydiff.explorer.trainer import Plan, Trainer\n"
        "reported = threading.Event()\n"
        "trainer = Trainer(lambda report: reported.set(), lambda *end: print('ended', len(end[1])))\n"
        "trainer.start(Plan((Recipe(widths=(8,), batch=64),), 1_000_000))\nassert reported.wait(60)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended 1\n", "")
