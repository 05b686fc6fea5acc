"""The table of guidance methods, and `guide`, which makes a guided model of a row of it."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.checks import InputError, choice, number
from toydiff.base.score_model import LARGEST_SIGMA, DensityModel, ScoreModel, check_model
from toydiff.guidance.guided import Guided, GuidedByRule, GuidedDensity, GuidedScore, WeightCurve
from toydiff.guidance.row import Knob, Method, Rule, weight_knob
from toydiff.guidance.rules import RULES

ALL_SIGMAS = (0.0, math.inf)

METHODS: dict[str, Method] = {**RULES}
"""By name; the rows stand beside their rules."""
UNGUIDED = next(name for name, row in METHODS.items() if not row.is_guided)
"""The method that is none: what others are compared with."""


def guide(
    method: str,
    main: ScoreModel,
    *guides: ScoreModel,
    weight: float | jax.Array | WeightCurve | None = None,
    interval: tuple[float, float] = ALL_SIGMAS,
    **knobs: float | jax.Array,
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
        knobs: the method's other knobs, such as `share`, of autoguidance in the mix, from 0 to 1; by default the
            row's. What is a knob of another method is ignored.

    Returns:
        A `DensityModel` where the rule is linear and all its models are, else a score model.

    Raises:
        InputError: there is no such method or knob, the number of guides is wrong, a number is out of range, or the
            method's rule gives what it must not.

    Example:
        >>> import toydiff
        >>> model = toydiff.guide("cfg", toydiff.fractal_tree("A"), toydiff.fractal_tree("AB"), weight=2.0)
        >>> model.denoise([0.3, 0.3], 0.5).shape
        (2,)
    """
    row = METHODS[choice("method", method, METHODS)]
    _check_models(method, row, main, guides)
    parts = row.rule.parts(main, guides)
    return combine(method, parts, weight=weight, interval=interval, **knobs)


def combine(
    method: str,
    parts: Sequence[ScoreModel],
    *,
    weight: float | jax.Array | WeightCurve | None = None,
    interval: tuple[float, float] = ALL_SIGMAS,
    **knobs: float | jax.Array,
) -> Guided:
    """`guide` from the parts that the method's rule combines, the main one first: those that it makes of its models.

    Raises:
        InputError: as `guide`.
    """
    row = METHODS[method]
    curve = _check_weight(row, weight)
    lo, hi = _check_interval(interval)
    values = check_knobs(method, knobs)
    knots, w = jnp.log(jnp.asarray(curve.sigma, float)), jnp.asarray(curve.weight, float)
    first, *others = parts
    bounds = jnp.asarray([lo, hi], float)
    if row.rule.weights is None:
        guided = GuidedByRule(first, tuple(others), w[None], knots, bounds, values, row.rule)
        _check_rule(method, guided)
        return guided
    stacked = _weights_at_knots(method, row.rule, len(others), {**values, "weight": w})
    known = all(isinstance(model, DensityModel) for model in parts)
    return (GuidedDensity if known else GuidedScore)(first, tuple(others), stacked, knots, bounds)


def _check_models(method: str, row: Method, main: ScoreModel, guides: Sequence[ScoreModel]) -> None:
    for model in (main, *guides):
        check_model(model)
    if len(guides) != len(row.guides):
        raise InputError(f"method {method!r} got {len(guides)} guide models; it takes {len(row.guides)}")
    wanted = [role.classifies for role in row.guides]
    if main.classifies or [model.classifies for model in guides] != wanted:
        kind = "a classifier, such as classifier/A" if any(wanted) else "no classifier"
        raise InputError(f"method {method!r} takes {kind} as its guide, and none as its main model")


def _check_weight(row: Method, weight: Any) -> WeightCurve:
    knob = row.knobs.get("weight", weight_knob(1.0))
    curve = check_curve(knob.default if weight is None else weight, knob)
    if not row.is_guided and weight is not None and not _is_one(curve):
        raise InputError(f"weight is {weight}; without guidance it can only be 1")
    return curve


def _check_interval(interval: Any) -> tuple[float, float]:
    try:
        lo, hi = interval
    except (TypeError, ValueError):
        raise InputError(f"interval is {interval!r}; it must be two numbers, (lo, hi)") from None
    lo = number("interval lo", lo, 0)
    return lo, number("interval hi", hi, lo)


def all_knobs() -> dict[str, Knob]:
    """The knobs of all methods beside the weight, by name."""
    return {name: knob for row in METHODS.values() for name, knob in row.other_knobs.items()}


def knob_of(method: str, name: str) -> Knob:
    """A knob beside the weight as the method's row has it; one that is only another method's as that has it.

    Raises:
        InputError: no method has such a knob.
    """
    known = all_knobs() | METHODS[method].other_knobs
    return known[choice("knob", name, known)]


def check_knobs(method: str, knobs: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The values of a method's knobs beside the weight, [] each, by default the row's.

    Raises:
        InputError: no method has such a knob, or a value is out of range.
    """
    known = all_knobs()
    for name in knobs:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InputError(f"method {method!r} has no knob {name!r}; beside the weight there are {listed}")
    given = {name: number(name, value, *knob_of(method, name)[:2]) for name, value in knobs.items()}
    own = METHODS[method].other_knobs
    return {name: jnp.asarray(given.get(name, knob.default), float) for name, knob in own.items()}


def _weights_at_knots(method: str, rule: Rule, models: int, knobs: Mapping[str, Any]) -> jax.Array:
    """The weights of a linear rule, [models, k]; it may give a weight of its own, as one number for all knots."""
    assert rule.weights is not None
    weights = _ask(method, partial(rule.weights, knobs), knobs)
    if len(weights) != models:
        raise InputError(
            f"the rule of method {method!r} gives {models} models and {len(weights)} weights; "
            "it must give a weight for each model"
        )
    shape = knobs["weight"].shape
    try:
        stacked = jnp.asarray([jnp.broadcast_to(w, shape) for w in weights], float).reshape(-1, *shape)
    except ValueError:
        shapes = ", ".join(str(jnp.shape(w)) for w in weights)
        raise InputError(
            f"the rule of method {method!r} gives weights of shape {shapes}; each must be a number"
        ) from None
    _check_finite(method, [stacked], knobs)
    return stacked


_TRIAL = (0.4, -0.3), 0.5
"""A point and a noise level at which a rule is tried before it is used."""


def _check_rule(method: str, guided: GuidedByRule) -> None:
    """Try a rule that is no sum: it must give a point [2], finite, and memory of the kind that it began with."""
    knobs = guided.values | {"weight": guided.weights[0, 0]}
    start = guided.memory()
    trial = partial(_try_rule, guided.rule, len(guided.guides) + 1, knobs, start)
    prediction, after = _ask(method, lambda: jax.eval_shape(trial), knobs)
    for what, shape in zip(("denoised", "renoise"), prediction, strict=True):
        if shape is not None and shape.shape != (2,):
            raise InputError(
                f"the rule of method {method!r} gives a {what} of shape {shape.shape}; it must be a point (2,)"
            )
    if (prediction.renoise is not None) != guided.rule.renoises:
        raise InputError(f"the rule of method {method!r} must say renoises=True, and only where it gives a renoise")
    kinds = [jax.tree.map(jnp.shape, memory) for memory in (start, after)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"the rule of method {method!r} begins with memory {kinds[0]} and leaves {kinds[1]}; keep its kind"
        )
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(knobs)):
        _check_finite(method, jax.tree.leaves(trial()), knobs)


@partial(jax.jit, static_argnames=("rule", "parts"))
def _try_rule(rule: Rule, parts: int, knobs: Mapping[str, Any], memory: Any) -> tuple[Any, Any]:
    """A rule's prediction from denoised points that all differ, and its memory."""
    assert rule.combine is not None
    x, sigma = map(jnp.asarray, _TRIAL)
    denoised = [x * (0.5 + 0.2 * i) + jnp.array([0.03 * i, 0.05]) for i in range(parts)]
    return rule.combine(denoised, x, sigma, knobs, memory)


def _ask(method: str, call: Any, knobs: Mapping[str, Any]) -> Any:
    """What a rule gives; a knob that it asks for and its row has not is said in a line."""
    try:
        return call()
    except KeyError as error:
        listed = ", ".join(knobs)
        raise InputError(f"the rule of method {method!r} asks for a knob {error}, and its row has {listed}") from None


def _check_finite(method: str, values: Any, knobs: Mapping[str, Any]) -> None:
    concrete = [value for value in values if not isinstance(value, jax.core.Tracer)]
    if not all(np.isfinite(value).all() for value in concrete):
        shown = ", ".join(f"{name} = {np.asarray(value).ravel()[0]:g}" for name, value in knobs.items())
        raise InputError(
            f"the rule of method {method!r} gives NaN or infinity with {shown}; it must give finite numbers"
        )


def check_curve(weight: Any, knob: Knob) -> WeightCurve:
    """The weight as a curve, checked; one number is a curve of one knot.

    Raises:
        InputError: it is neither, or a number is out of range.
    """
    if not isinstance(weight, WeightCurve):
        w = number("weight", weight, knob.low, knob.high)
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
        number(f"weight at sigma {s:.3g}", value, knob.low, knob.high)
    if not (np.diff(sigma) > 0).all():
        raise InputError("the noise levels of a weight curve must rise from knot to knot")
    return WeightCurve(sigma, w)


def _is_one(curve: WeightCurve) -> bool:
    return isinstance(curve.weight, jax.core.Tracer) or bool((np.asarray(curve.weight) == 1).all())
