"""Guidance: D_w = D_main + sum_i (w_i - 1) (D_main - D_i), and the table of methods."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from toydiff.base.checks import InputError, choice, number
from toydiff.base.score_model import LARGEST_SIGMA, DensityModel, Exact, ScoreModel, check_model
from toydiff.distributions.ratio import Flat, Ratio
from toydiff.networks.perturbed import perturb

MAX_WEIGHT = 100.0
ALL_SIGMAS = (0.0, math.inf)
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
class Guided(DensityModel):
    """log p_w = log p_main + sum_i (w_i(sigma) - 1) (log p_main - log p_i), and the same for the scores.

    Equation 5 of Karras et al. 2024 (arXiv 2406.02507) and, with several guides, its extension in
    section 5. w_i(sigma) is linear in ln sigma between knots where lo < sigma <= hi (lo = 0: no lower bound), and 1
    elsewhere: the interval of Kynkäänniemi et al. 2024 (arXiv 2404.07724). One knot is a constant weight.

    The convention of the weight is Karras': w = 1 is no guidance and w = 0 is the guide alone. The
    weight of Ho & Salimans 2022 (arXiv 2207.12598) is w - 1. The ODE with these scores does not sample p_w.

    Attributes:
        main: the model that is guided.
        guides: the models that it is steered away from.
        weights: of each guide at each knot, [len(guides), k].
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

    def weights_at(self, sigma: jax.Array) -> jax.Array:
        """w_i(sigma), [len(guides)], at one noise level sigma []."""
        lo, hi = self.interval[0], self.interval[1]
        inside = ((sigma > lo) | (lo == 0)) & (sigma <= hi)
        # How far sigma has come from each knot to the next, 0 to 1; equal weights then stay exactly equal.
        passed = jnp.clip((jnp.log(sigma) - self.knots[:-1]) / jnp.diff(self.knots), 0, 1)
        weights = self.weights[:, 0] + jnp.diff(self.weights) @ passed
        return jnp.where(inside, weights, jnp.ones_like(weights))

    def log_density_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Unnormalised log p_w at one point x [2] and one noise level sigma []."""
        return self._combine("log_density_at", x, sigma)

    def score_at(self, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """Guided score [2] at one point x [2] and one noise level sigma []."""
        return self._combine("score_at", x, sigma)

    def _combine(self, what: str, x: jax.Array, sigma: jax.Array) -> jax.Array:
        main = getattr(self.main, what)(x, sigma)
        weights, result = self.weights_at(sigma), main
        for i, guide in enumerate(self.guides):
            result += (weights[i] - 1) * (main - getattr(guide, what)(x, sigma))
        return result

    def truth(self) -> Exact:
        """That of the main model."""
        return self.main.truth()


Rule = Callable[
    [ScoreModel, Sequence[ScoreModel], jax.Array, jax.Array],
    tuple[Sequence[ScoreModel], Sequence[jax.Array]],
]
"""(main, guides, weight, share) -> (models to be steered away from, a weight for each)."""


def no_guide(
    main: ScoreModel, guides: Sequence[ScoreModel], weight: jax.Array, share: jax.Array
) -> tuple[Sequence[ScoreModel], Sequence[jax.Array]]:
    """D_1 alone, whatever the weight."""
    return (), ()


def one_guide(
    main: ScoreModel, guides: Sequence[ScoreModel], weight: jax.Array, share: jax.Array
) -> tuple[Sequence[ScoreModel], Sequence[jax.Array]]:
    """w D_1 + (1 - w) D_0: CFG where D_0 is unconditional, autoguidance where it is a bad version of D_1."""
    return guides, (weight,)


def flat_guide(
    main: ScoreModel, guides: Sequence[ScoreModel], weight: jax.Array, share: jax.Array
) -> tuple[Sequence[ScoreModel], Sequence[jax.Array]]:
    """Score w * score_1: naive truncation, the same as lowering the temperature to 1 / w."""
    return (Flat(),), (weight,)


def sharp_guide(
    main: ScoreModel, guides: Sequence[ScoreModel], weight: jax.Array, share: jax.Array
) -> tuple[Sequence[ScoreModel], Sequence[jax.Array]]:
    """Autoguidance, and all scores times 1 + (w - 1) / 8: what the two models agree on is sharpened too.

    At low noise levels only, such as (0.003, 0.04], where points no longer change their branch: there it leaves fewer
    outliers than either alone with as many branches kept.
    """
    return (*guides, Flat()), (weight, 1 + (weight - 1) / 8)


def two_guides(
    main: ScoreModel, guides: Sequence[ScoreModel], weight: jax.Array, share: jax.Array
) -> tuple[Sequence[ScoreModel], Sequence[jax.Array]]:
    """Both at once: w_u = (1 - share) (w - 1) + 1 for the first guide, w_c = share (w - 1) + 1 for the second.

    Share 0 is the first guide alone (CFG), 1 the second alone (autoguidance); section 5 of
    Karras et al. 2024 (arXiv 2406.02507).
    """
    return guides, ((1 - share) * (weight - 1) + 1, share * (weight - 1) + 1)


def bayes_guide(
    main: ScoreModel, guides: Sequence[ScoreModel], weight: jax.Array, share: jax.Array
) -> tuple[Sequence[ScoreModel], Sequence[jax.Array]]:
    """Classifier guidance: score + (w - 1) grad log p(c | x; sigma), the guide being a classifier.

    Dhariwal & Nichol 2021 (arXiv 2105.05233), for a main model that knows its class. By Bayes
    p_1(x) / p(c | x) is the unconditional density up to a constant: D_0 is what this classifier implies, and
    with an exact classifier and an exact main model it is CFG's.
    """
    return [Ratio(main, classifier) for classifier in guides], (weight,)


SELF_NOISE = 0.3
"""Noise in the guide of self-guidance, relative to a layer's output."""


def self_guide(
    main: ScoreModel, guides: Sequence[ScoreModel], weight: jax.Array, share: jax.Array
) -> tuple[Sequence[ScoreModel], Sequence[jax.Array]]:
    """D_0 is the main network with noise added to a hidden layer: no second network is needed.

    The 2D analogue of perturbed-attention guidance, Ahn et al. 2024 (arXiv 2403.17377), which replaces an attention
    map by the identity; here the identity in place of a layer breaks the network so that guidance diverges.
    """
    return [perturb(main, "layer-noise", SELF_NOISE)], (weight,)


class Method(NamedTuple):
    """A row of the table of guidance methods."""

    rule: Rule
    """Which models are steered away from, and how far."""
    title: str
    """As it stands in menus."""
    short: str
    """As it stands over a panel of a figure."""
    guides: tuple[str, ...] = ()
    """Names, in the zoo, of the guides that the rule takes; the paper's for its figures. Those of networks,
    CLASSES/WIDTH/STEPS, change with the distribution and with what the user chooses; others stand for themselves."""
    weight: float = 1.0
    """The weight when none is given; the paper's for its figures."""


METHODS: dict[str, Method] = {
    "unguided": Method(no_guide, "No guidance", "Unguided"),
    "cfg": Method(one_guide, "Classifier-free guidance", "CFG", ("AB/32/512",), 4.0),
    "truncation": Method(flat_guide, "Naive truncation", "Truncation", (), 1.4),
    "autoguidance": Method(one_guide, "Autoguidance", "Autoguidance", ("A/32/512",), 3.0),
    "mix": Method(two_guides, "CFG and autoguidance mixed", "CFG + autoguidance", ("AB/32/512", "A/32/512"), 3.0),
    "self-guidance": Method(self_guide, "Perturbed self-guidance", "Self-guidance", (), 2.0),
    "sharpened": Method(sharp_guide, "Autoguidance, sharpened", "Sharpened", ("A/64/1024",), 3.0),
    "classifier": Method(bayes_guide, "Classifier guidance", "Classifier", ("classifier/A",), 4.0),
}


def guide(
    method: str,
    main: ScoreModel,
    *guides: ScoreModel,
    weight: float | jax.Array | WeightCurve | None = None,
    interval: tuple[float, float] = ALL_SIGMAS,
    share: float | jax.Array = 0.5,
) -> Guided:
    """The model `main`, guided.

    Args:
        method: a row of `METHODS`.
        main: the model that is guided.
        guides: as many models as the method takes (CFG: the unconditional one; autoguidance: the bad one;
            mix: the unconditional one, then the bad one).
        weight: w, from 0 (the guide alone) by 1 (no guidance) upwards, as one number or as a curve over the noise
            level; by default the method's.
        interval: (lo, hi): the weight is 1 outside lo < sigma <= hi.
        share: of autoguidance in the mix, from 0 to 1; other methods ignore it.

    Raises:
        InputError: there is no such method, the number of guides is wrong, or a number is out of range.

    Example:
        >>> import toydiff
        >>> model = toydiff.guide("cfg", toydiff.fractal_tree("A"), toydiff.fractal_tree("AB"), weight=2.0)
        >>> model.denoise([0.3, 0.3], 0.5).shape
        (2,)
    """
    row = METHODS[choice("method", method, METHODS)]
    for model in (main, *guides):
        check_model(model)
    if len(guides) != len(row.guides):
        raise InputError(f"method {method!r} got {len(guides)} guide models; it takes {len(row.guides)}")
    wanted = [name.startswith("classifier/") for name in row.guides]
    if main.classifies or [model.classifies for model in guides] != wanted:
        kind = "a classifier, such as classifier/A" if any(wanted) else "no classifier"
        raise InputError(f"method {method!r} takes {kind} as its guide, and none as its main model")
    curve = _curve(row.weight if weight is None else weight)
    if method == "unguided" and weight is not None and not _is_one(curve):
        raise InputError(f"weight is {weight}; without guidance it can only be 1")
    try:
        lo, hi = interval
    except (TypeError, ValueError):
        raise InputError(f"interval is {interval!r}; it must be two numbers, (lo, hi)") from None
    lo = number("interval lo", lo, 0)
    hi = number("interval hi", hi, lo)
    part = jnp.asarray(number("share", share, 0, 1), float)
    knots, w = jnp.log(jnp.asarray(curve.sigma, float)), jnp.asarray(curve.weight, float)
    away, weights = row.rule(main, guides, w, part)
    if len(away) != len(weights):
        raise InputError(
            f"the rule of method {method!r} gives {len(away)} models and {len(weights)} weights; "
            "it must give a weight for each model"
        )
    # A rule may give a weight of its own, as one number for all knots.
    stacked = jnp.asarray([jnp.broadcast_to(v, knots.shape) for v in weights], float).reshape(-1, len(knots))
    return Guided(main, tuple(away), stacked, knots, jnp.asarray([lo, hi], float))


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


def _curve(weight: Any) -> WeightCurve:
    """The weight as a curve, checked; one number is a curve of one knot."""
    if not isinstance(weight, WeightCurve):
        w = number("weight", weight, 0, MAX_WEIGHT)
        return WeightCurve(np.ones(1), jnp.asarray(w, float)[None])
    if any(isinstance(part, jax.core.Tracer) for part in weight):
        return weight
    try:
        sigma, w = (np.asarray(part, float) for part in weight)
    except (TypeError, ValueError):
        raise InputError("a weight curve must have noise levels and weights that are numbers") from None
    if sigma.ndim != 1 or sigma.shape != w.shape or not sigma.size:
        raise InputError(
            f"a weight curve has {sigma.size} noise levels and {w.size} weights; it must have as many of each"
        )
    for s, value in zip(sigma.tolist(), w.tolist(), strict=True):
        number("noise level of the weight curve", s, 0, LARGEST_SIGMA, above=0)
        number(f"weight at sigma {s:.3g}", value, 0, MAX_WEIGHT)
    if not (np.diff(sigma) > 0).all():
        raise InputError("the noise levels of a weight curve must rise from knot to knot")
    return WeightCurve(sigma, w)


def _is_one(curve: WeightCurve) -> bool:
    return isinstance(curve.weight, jax.core.Tracer) or bool((np.asarray(curve.weight) == 1).all())
