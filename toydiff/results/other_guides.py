"""Guides that are no second network: label dropout, classifiers, the model itself; a section of the report."""

from collections.abc import Sequence

from toydiff.guidance.methods import guide
from toydiff.guidance.named import guided_model
from toydiff.measuring.metrics import COVERAGE, OUTLIERS, WASSERSTEIN
from toydiff.networks.perturbed import perturb
from toydiff.networks.zoo import open_model
from toydiff.results.claims import (
    SHORT,
    Claim,
    Numbers,
    Section,
    best,
    clearly_less,
    measure,
    numbers_table,
    percent,
    shown,
)


def other_guides() -> Section:
    """One network with label dropout against two; perturbed self-guidance; classifiers."""
    main = open_model("A/64/4096")
    found = measure({"unguided": main, "unguided, label dropout": open_model("A/64/4096/labelled")})
    for w in (1.5, 2.0, 4.0):
        pairs = {
            "two networks": ("A/64/4096", "AB/64/4096"),
            "one, label dropout": ("A/64/4096/labelled", "AB/64/4096/labelled"),
        }
        found |= measure(
            {f"CFG, {k}, w = {w:g}": guided_model("cfg", w, main=a, guides=[b]) for k, (a, b) in pairs.items()}
        )
    for w in (2.0, 4.0):
        names = ("classifier/A", "exact-classifier/A")
        found |= measure({f"{name}, w = {w:g}": guided_model("classifier", w, guides=[name]) for name in names})
    changes: Sequence[tuple[str, float]] = (
        ("identity", 0.1),
        ("identity", 0.3),
        ("identity", 1.0),
        ("layer-noise", 0.3),
    )
    selves = {
        f"self-guidance, {change} {amount:g}, w = {w:g}": guide(
            "autoguidance", main, perturb(main, change, amount), weight=w
        )
        for change, amount in changes
        for w in (1.5, 2.0)
    }
    found |= measure(selves)
    return Section(
        "Other guides: label dropout, classifiers, the model itself",
        "8,192 samples with each of two seeds. CFG with two networks of width 64 and with one that learned both by "
        "label dropout; classifier guidance with a classifier of 1,200 parameters and with the exact one; and the "
        "model guided by itself with its first hidden layer replaced by the identity in part or whole, or with noise "
        "after it (`toydiff evaluate --method autoguidance --guide A/64/4096+identity0.3 -w 2 -n 8192`).",
        (numbers_table("model", found),),
        (
            claim_of_label_dropout(found),
            claim_of_self(
                found, "identity", "A network with a layer replaced by the identity is a useful guide to itself."
            ),
            claim_of_self(found, "layer-noise", "A network with noise after a layer is a useful guide to itself."),
            claim_of_classifiers(found),
        ),
    )


def claim_of_label_dropout(found: dict[str, Numbers]) -> Claim:
    """By the numbers of CFG with one network beside those with two."""
    two, one = (found[f"CFG, {networks}, w = 2"] for networks in ("two networks", "one, label dropout"))
    return Claim(
        "One network with label dropout serves CFG as well as two networks.",
        (
            (
                not clearly_less(two[OUTLIERS], one[OUTLIERS]),
                f"outliers at w = 2: {percent(one[OUTLIERS])} with one, {percent(two[OUTLIERS])} with two",
            ),
            (
                not clearly_less(one[COVERAGE], two[COVERAGE]),
                f"branches kept {percent(one[COVERAGE])} and {percent(two[COVERAGE])}",
            ),
        ),
    )


def claim_of_self(found: dict[str, Numbers], change: str, claim: str) -> Claim:
    """By the best of its settings: fewer outliers than without guidance, and as many branches."""
    plain = found["unguided"]
    top = best({label: n for label, n in found.items() if label.startswith(f"self-guidance, {change}")})
    ours = found[top]
    return Claim(
        claim,
        (
            (
                clearly_less(ours[OUTLIERS], plain[OUTLIERS]),
                f"outliers at best {percent(ours[OUTLIERS])} ({top}), {percent(plain[OUTLIERS])} without guidance",
            ),
            (
                not clearly_less(ours[COVERAGE], plain[COVERAGE]),
                f"branches kept {percent(ours[COVERAGE])} and {percent(plain[COVERAGE])}",
            ),
        ),
    )


def claim_of_classifiers(found: dict[str, Numbers]) -> Claim:
    """By the numbers with the trained classifier beside those with the exact one."""
    trained, exact = found["classifier/A, w = 4"], found["exact-classifier/A, w = 4"]
    findings = []
    for metric in (COVERAGE, WASSERSTEIN):
        ours, theirs = trained[metric], exact[metric]
        alike = not clearly_less(ours, theirs) and not clearly_less(theirs, ours)
        findings.append((alike, f"{SHORT[metric]} at w = 4: {shown(metric, ours)}, exact {shown(metric, theirs)}"))
    return Claim("A small trained classifier guides as the exact one does.", tuple(findings))
