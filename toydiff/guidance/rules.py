"""The rules that are weighted sums, D_w = D_1 + sum_i (w_i - 1) (D_1 - D_i): one function each, and their rows."""

from collections.abc import Sequence
from typing import Any

from toydiff.base.score_model import ScoreModel
from toydiff.distributions.ratio import Flat, Ratio
from toydiff.guidance.row import Bad, Classifier, Knob, Knobs, Method, Reach, Unconditional, linear, weight_knob
from toydiff.networks.perturbed import perturb

KARRAS = "Karras et al. 2024, arXiv 2406.02507"


def no_weights(knobs: Knobs) -> Sequence[Any]:
    """D_1 alone."""
    return ()


def one_weight(knobs: Knobs) -> Sequence[Any]:
    """w D_1 + (1 - w) D_0: CFG where D_0 is unconditional, autoguidance where it is a bad version of D_1."""
    return (knobs["weight"],)


def with_flat(main: ScoreModel, guides: Sequence[ScoreModel]) -> Sequence[ScoreModel]:
    """Away from the flat density too, D_0 = x: score w * score_1 where it is alone.

    That is naive truncation, the same as lowering the temperature to 1 / w.
    """
    return (main, *guides, Flat())


def sharpened_weights(knobs: Knobs) -> Sequence[Any]:
    """Autoguidance, and all scores times 1 + (w - 1) / 8: what the two models agree on is sharpened too.

    At low noise levels only, such as (0.003, 0.04], where points no longer change their branch: there it leaves fewer
    outliers than either alone with as many branches kept.
    """
    w = knobs["weight"]
    return w, 1 + (w - 1) / 8


def mixed_weights(knobs: Knobs) -> Sequence[Any]:
    """Both at once: w_u = (1 - share) (w - 1) + 1 for the first guide, w_c = share (w - 1) + 1 for the second.

    Share 0 is the first guide alone (CFG), 1 the second alone (autoguidance); section 5 of
    Karras et al. 2024 (arXiv 2406.02507).
    """
    w, share = knobs["weight"], knobs["share"]
    return (1 - share) * (w - 1) + 1, share * (w - 1) + 1


def implied_by_classifier(main: ScoreModel, guides: Sequence[ScoreModel]) -> Sequence[ScoreModel]:
    """Classifier guidance: score + (w - 1) grad log p(c | x; sigma), the guide being a classifier.

    Dhariwal & Nichol 2021 (arXiv 2105.05233), for a main model that knows its class. By Bayes
    p_1(x) / p(c | x) is the unconditional density up to a constant: D_0 is what this classifier implies, and
    with an exact classifier and an exact main model it is CFG's.
    """
    return (main, *(Ratio(main, classifier) for classifier in guides))


SELF_NOISE = 0.3
"""Noise in the guide of self-guidance, relative to a layer's output."""


def with_noisy_self(main: ScoreModel, guides: Sequence[ScoreModel]) -> Sequence[ScoreModel]:
    """D_0 is the main network with noise added to a hidden layer: no second network is needed.

    The 2D analogue of perturbed-attention guidance, Ahn et al. 2024 (arXiv 2403.17377), which replaces an attention
    map by the identity; here the identity in place of a layer breaks the network so that guidance diverges.
    """
    return main, perturb(main, "layer-noise", SELF_NOISE)


RULES: dict[str, Method] = {
    "unguided": Method(linear(no_weights), "No guidance", "Unguided", knobs={}),
    "cfg": Method(
        linear(one_weight),
        "Classifier-free guidance",
        "CFG",
        "Ho & Salimans 2022, arXiv 2207.12598",
        (Unconditional(),),
        {"weight": weight_knob(4.0)},
        reach=Reach((2.0, 3.2, 4.5)),
    ),
    "truncation": Method(
        linear(one_weight, with_flat),
        "Naive truncation",
        "Truncation",
        KARRAS,
        knobs={"weight": weight_knob(1.4, "All scores are multiplied by w; w = 1: nothing is truncated")},
        reach=Reach((1.2, 1.8, 2.5), 2.0),
    ),
    "autoguidance": Method(
        linear(one_weight), "Autoguidance", "Autoguidance", KARRAS, (Bad(),), {"weight": weight_knob(3.0)}
    ),
    "mix": Method(
        linear(mixed_weights),
        "CFG and autoguidance mixed",
        "CFG + autoguidance",
        KARRAS,
        (Unconditional(), Bad()),
        {
            "weight": weight_knob(3.0),
            "share": Knob(0, 1, 0.5, "Of autoguidance in its mix with classifier-free guidance"),
        },
        reach=Reach((2.2, 4.0, 5.5)),
    ),
    "self-guidance": Method(
        linear(one_weight, with_noisy_self),
        "Perturbed self-guidance",
        "Self-guidance",
        "Ahn et al. 2024, arXiv 2403.17377",
        knobs={"weight": weight_knob(2.0)},
        reach=Reach((1.5, 2.0, 2.5), 1.5),
    ),
    "sharpened": Method(
        linear(sharpened_weights, with_flat),
        "Autoguidance, sharpened",
        "Sharpened",
        "toydiff",
        (Bad(64, 1024),),
        {"weight": weight_knob(3.0)},
        reach=Reach((2.0, 3.5, 5.0)),
        interval=(0.003, 0.04),
    ),
    "classifier": Method(
        linear(one_weight, implied_by_classifier),
        "Classifier guidance",
        "Classifier",
        "Dhariwal & Nichol 2021, arXiv 2105.05233",
        (Classifier(),),
        {"weight": weight_knob(4.0)},
    ),
}
"""Rows of the table of methods."""
