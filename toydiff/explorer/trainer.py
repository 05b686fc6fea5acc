"""The thread that trains: one plan at a time, beside an interface that goes on."""

import atexit
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from toydiff.base.checks import InputError
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import Training, train, with_snapshot

SNAPSHOTS = 16
"""How many snapshots of each recipe are kept, the last step's included."""
CLOSE_S = 60
"""Seconds that `Trainer.close` waits at most: for 32 steps, their compilation and the callbacks."""


class Plan(NamedTuple):
    """What to train: each recipe in turn, up to step `steps`."""

    recipes: tuple[Recipe, ...]
    steps: int

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """Sixteen equally spaced steps, the last among them; every step where there are fewer."""
        n = min(SNAPSHOTS, self.steps)
        return tuple(round(self.steps * i / n) for i in range(1, n + 1))


class Report(NamedTuple):
    """How far a plan has come."""

    plan: Plan
    training: Training
    """What is done of it: losses of all steps, and the snapshots that were passed."""
    fraction: float
    """Of the steps of the whole plan, from 0 to 1."""
    new_snapshot: bool
    """Whether this step is among the snapshots."""


class Trainer:
    """Trains plans on a thread of its own, one at a time.

    `on_progress(report)` is called after every 32 steps or less. `on_end(plan, trainings, error)` is called once a
    plan, when nothing runs any more: with the trainings of the recipes that have at least one step done, each with a
    snapshot at its last step, and with what went wrong, else None. A training whose loss becomes NaN ends at its last
    sound report. Both are called on the trainer's thread; what `on_end` itself raises goes to `threading.excepthook`.
    """

    def __init__(
        self,
        on_progress: Callable[[Report], object],
        on_end: Callable[[Plan, tuple[Training, ...], Exception | None], object],
    ):
        self._on_progress, self._on_end = on_progress, on_end
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._running = self._closed = False
        atexit.register(self.close)  # the interpreter must not end while a thread computes

    @property
    def running(self) -> bool:
        """Whether a plan is at work; no longer when `on_end` is called, so that it may start the next."""
        return self._running

    def start(self, plan: Plan) -> None:
        """Train a plan; returns at once.

        Raises:
            InputError: one is running, or the trainer is closed.
        """
        with self._lock:
            if self._closed:
                raise InputError("the trainer is closed: make another one")
            if self._running:
                raise InputError("a training is running: stop it first")
            self._stop = threading.Event()
            arguments = (plan, self._stop, self._thread)
            self._thread = threading.Thread(target=self._run, args=arguments, name="toydiff-trainer", daemon=True)
            self._running = True
            self._thread.start()

    def stop(self) -> None:
        """End what runs after at most 32 more steps; returns at once, and `on_end` follows."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and wait for the end."""
        with self._lock:
            self._closed = True
            self._stop.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=CLOSE_S)
        atexit.unregister(self.close)

    def _run(self, plan: Plan, stop: threading.Event, previous: threading.Thread | None) -> None:
        if previous is not None:
            previous.join()  # the end of one plan is told before the first report of the next
        trainings: list[Training] = []
        error: Exception | None = None
        try:
            for index in range(len(plan.recipes)):
                if not stop.is_set():
                    self._train(plan, index, stop, trainings)
        except Exception as caught:  # whatever it is, it belongs in the interface
            error = caught
        with self._lock:
            self._running = False
        self._on_end(plan, tuple(trainings), error)

    def _train(self, plan: Plan, index: int, stop: threading.Event, trainings: list[Training]) -> None:
        """Train a recipe; what is done of it is the last of `trainings`, also when this raises."""

        def report(training: Training) -> None:
            _check_finite(training)
            trainings[index:] = [replace(with_snapshot(training), interrupted=training.step < plan.steps)]
            fraction = (index * plan.steps + training.step) / (len(plan.recipes) * plan.steps)
            new_snapshot = training.step in plan.snapshot_steps
            self._on_progress(Report(plan, training, fraction, new_snapshot))

        train(
            plan.recipes[index],
            plan.steps,
            snapshots=plan.snapshot_steps,
            progress=False,
            on_progress=report,
            should_stop=stop.is_set,
        )


def _check_finite(training: Training) -> None:
    """Refuse a training that has failed: in its losses or, when the last step did it, in its parameters.

    Raises:
        InputError: its message says after how many steps.
    """
    finite = np.isfinite(training.losses).all(axis=1)
    sound = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(training.state.ema))
    if not (finite.all() and sound):
        steps = training.step if finite.all() else int(finite.argmin()) + 1
        raise InputError(f"the loss is NaN after {steps} steps: use a lower learning rate")
