"""What is measured of a model rather than of samples: how far its sampler ends from where the exact scores lead."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from toydiff.base.checks import LOST, check_finite, count
from toydiff.base.effort import current_effort
from toydiff.base.random import Seed, as_key
from toydiff.base.score_model import ScoreModel, check_model
from toydiff.measuring.distances import Estimate
from toydiff.sampling.likelihood import DIVERGENCE_SIGMA, divergences
from toydiff.sampling.sampler import sample, starting_points
from toydiff.sampling.schedules import SIGMA_MAX


class ModelMetric(NamedTuple):
    """A row of the table of metrics of models; exact scores have 0 in each."""

    measure: Callable[[ScoreModel, Seed, int], Any]
    """(model, seed, n) -> what is measured with n points; rows with the same function share one call."""
    title: str
    better: str
    """Which way is better: "lower" or "higher"."""
    read: Callable[[Any], Estimate] = lambda measured: Estimate(*measured)
    """From what was measured to this row's value and its standard error."""


def endpoint_distance(model: ScoreModel, seed: Seed, n: int) -> Estimate:
    """Median distance of the model's end points from those of the exact scores, from the same noise.

    Both by the paper's solver, from exact draws at sigma_max. The standard error is by bootstrap.
    """
    start = starting_points(model, seed, n, SIGMA_MAX, None)
    ours, exact = (np.asarray(sample(m, seed, n, start=start, path=False).samples) for m in (model, model.truth()))
    distance = np.hypot(*(ours - exact).T)
    check_finite(distance, LOST, "lower the weight")
    random = np.random.default_rng(int(jax.random.bits(as_key(seed))))
    again = [np.median(random.choice(distance, n)) for _ in range(current_effort().resamples)]
    return Estimate(float(np.median(distance)), float(np.std(again, ddof=1)))


MODEL_METRICS: dict[str, ModelMetric] = {
    "endpoint_distance": ModelMetric(endpoint_distance, "median distance to the exact end point", "lower"),
    "kl_of_samples": ModelMetric(
        divergences,
        f"KL(samples || truth) at sigma = {DIVERGENCE_SIGMA:g}, nats",
        "lower",
        lambda d: Estimate(d.of_samples, d.of_samples_error),
    ),
    "kl_of_truth": ModelMetric(
        divergences,
        f"KL(truth || samples) at sigma = {DIVERGENCE_SIGMA:g}, nats",
        "lower",
        lambda d: Estimate(d.of_truth, d.of_truth_error),
    ),
}


def evaluate_model(
    model: ScoreModel, seed: Seed = 0, n: int = 4096, *, metrics: Mapping[str, ModelMetric] = MODEL_METRICS
) -> dict[str, Estimate]:
    """Every metric of a model, with its standard error.

    Args:
        model: any score model that stands for an exact distribution.
        seed: of the noise.
        n: how many points.
        metrics: rows like those of `MODEL_METRICS`.

    Raises:
        InputError: it is no score model, `n` is out of range, or its samples become NaN or infinite.
    """
    check_model(model)
    count("n", n)
    measured = {measure: measure(model, seed, n) for measure in dict.fromkeys(row.measure for row in metrics.values())}
    return {name: row.read(measured[row.measure]) for name, row in metrics.items()}
