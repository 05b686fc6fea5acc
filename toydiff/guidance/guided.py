"""Guided models: one score model of several, by a rule, its weight a number or a curve over the noise levels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.base.score_model import DensityModel, Evaluation, Exact, ScoreModel
from toydiff.guidance.row import Prediction, Rule

SHORTEST_PUSH = 1e-6
"""A step by one unit of weight that is shorter than this has no direction."""


class WeightCurve(NamedTuple):
    """w(sigma): linear in ln sigma from knot to knot, constant before the first and after the last."""

    sigma: ArrayLike | Sequence[float]
    """Noise levels of the knots, rising, [k]."""
    weight: ArrayLike | Sequence[float]
    """w at the knots, [k]."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Guided(ScoreModel):
    """A model that is guided: the parts of a rule, and the weights with which they act at each noise level.

    w_i(sigma) is linear in ln sigma between knots where lo < sigma <= hi (lo = 0: no lower bound), and 1
    elsewhere: the interval of Kynkäänniemi et al. 2024 (arXiv 2404.07724). One knot is a constant weight.

    The convention of the weight is Karras': w = 1 is no guidance and w = 0 is the guide alone. The
    weight of Ho & Salimans 2022 (arXiv 2207.12598) is w - 1.

    Attributes:
        main: the model that is guided.
        guides: the models that it is steered away from.
        weights: of each guide at each knot, [len(guides), k]; of a rule that is no sum the one weight, [1, k].
        knots: ln sigma of the knots, rising, [k].
        interval: (lo, hi), [2].
    """

    main: ScoreModel
    guides: tuple[ScoreModel, ...]
    weights: jax.Array
    knots: jax.Array
    interval: jax.Array

    @property
    def positive_sigma(self) -> bool:
        """Whether any of its models refuses sigma = 0."""
        return any(model.positive_sigma for model in (self.main, *self.guides))

    @property
    def block(self) -> int:
        """The smallest block of its models."""
        return min(model.block for model in (self.main, *self.guides))

    def acts_at(self, sigma: jax.Array) -> jax.Array:
        """Whether one noise level sigma [] lies in the interval."""
        lo, hi = self.interval[0], self.interval[1]
        return ((sigma > lo) | (lo == 0)) & (sigma <= hi)

    def weights_at(self, sigma: jax.Array) -> jax.Array:
        """w_i(sigma), [len(guides)], at one noise level sigma []."""
        # How far sigma has come from each knot to the next, 0 to 1; equal weights then stay exactly equal.
        passed = jnp.clip((jnp.log(sigma) - self.knots[:-1]) / jnp.diff(self.knots), 0, 1)
        weights = self.weights[:, 0] + jnp.diff(self.weights) @ passed
        return jnp.where(self.acts_at(sigma), weights, jnp.ones_like(weights))

    def truth(self) -> Exact:
        """That of the main model."""
        return self.main.truth()


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GuidedScore(Guided):
    """score_w = score_main + sum_i (w_i(sigma) - 1) (score_main - score_i), the same sum as of denoised points.

    Equation 3 of Karras et al. 2024 (arXiv 2406.02507) and, with several guides, its extension in section 5.
    """

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Guided score [2] at one point x [2] and one noise level sigma []."""
        return self._combine("score_at", x, sigma)

    def _combine(self, what: str, x: jax.Array, sigma: jax.Array) -> jax.Array:
        main = getattr(self.main, what)(x, sigma)
        weights, result = self.weights_at(sigma), main
        for i, guide in enumerate(self.guides):
            result += (weights[i] - 1) * (main - getattr(guide, what)(x, sigma))
        return result


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GuidedDensity(GuidedScore, DensityModel):
    """The same where all models have densities: log p_w = log p_main + sum_i (w_i(sigma) - 1) (log p_main - log p_i).

    Equation 5 of Karras et al. 2024 (arXiv 2406.02507). The ODE with these scores does not sample p_w.
    """

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Unnormalised log p_w at one point x [2] and one noise level sigma []."""
        return self._combine("log_density_at", x, sigma)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GuidedByRule(Guided):
    """A model that is guided by a rule that is no sum of scores; outside the interval it is the main model.

    Attributes:
        values: the other knobs, by name, [] each.
        rule: how the denoised points are combined.
    """

    values: dict[str, jax.Array] = field(default_factory=dict)
    rule: Rule = field(default=Rule(tuple), metadata={"static": True})  # type: ignore[arg-type]

    @property
    def positive_sigma(self) -> bool:
        """True: the score is taken from a denoised point, which says nothing at sigma = 0."""
        return True

    @property
    def pointwise(self) -> bool:
        """Whether the rule neither remembers nor changes the step."""
        return not (self.rule.renoises or jax.tree.leaves(self.memory()))

    @property
    def renoises(self) -> bool:
        """As the rule says."""
        return self.rule.renoises

    def memory(self) -> Any:
        """The rule's."""
        return jax.tree.map(lambda a: jnp.asarray(a, float), self.rule.memory())

    def predict_at(self, x: jax.Array, sigma: jax.Array, memory: Any) -> tuple[Prediction, Any]:
        """What the rule makes of its parts at one point x [2] and one noise level sigma [], and its memory after."""
        assert self.rule.combine is not None
        denoised = [model.denoise_at(x, sigma) for model in (self.main, *self.guides)]
        knobs = self.values | {"weight": self.weights_at(sigma)[0]}
        prediction, after = self.rule.combine(denoised, x, sigma, knobs, memory)
        plain = Prediction(denoised[0], None if prediction.renoise is None else denoised[0])
        acts = self.acts_at(sigma)
        return jax.tree.map(lambda new, old: jnp.where(acts, new, old), (prediction, after), (plain, memory))

    def evaluate_at(self, x: jax.Array, sigma: jax.Array, memory: Any) -> tuple[Evaluation, Any]:
        """The prediction as a score, and the memory after it."""
        prediction, after = self.predict_at(x, sigma, memory)
        return Evaluation((prediction.denoised - x) / sigma**2, prediction.renoise), after

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The score [2] at one point x [2] and sigma [] that is the first of a trajectory."""
        return self.evaluate_at(x, sigma, self.memory())[0].score


def best_weight(main: ArrayLike, twice: ArrayLike, exact: ArrayLike) -> np.ndarray:
    """w* with which guidance comes nearest to the exact score at a point, [...]; NaN where guidance has no direction.

    Guidance moves the score from that of the main model, s_1, along d, the change from one unit of weight:
    s_w = s_1 + (w - 1) d, with d = s_1 - s_0 for one guide. w* is the least-squares one,
    w* - 1 = <s - s_1, d> / |d|^2 with the exact score s.

    Args:
        main: sigma^2 s_1, the step to the denoised point, [..., 2].
        twice: the same of the guided model at w = 2.
        exact: the same of the exact score.
    """
    start, end, goal = (np.asarray(step, float) for step in (main, twice, exact))
    direction = end - start
    square = (direction**2).sum(-1)
    moves = square > SHORTEST_PUSH**2
    return np.where(moves, 1 + ((goal - start) * direction).sum(-1) / np.where(moves, square, 1), np.nan)
