"""Scores as they are printed: lines with standard errors, and JSON."""

import math
from collections.abc import Mapping
from typing import Any

from toydiff.measuring.distances import Estimate
from toydiff.measuring.metrics import METRICS, Score
from toydiff.measuring.model_metrics import MODEL_METRICS


def score_lines(scores: Mapping[str, Score], of_model: Mapping[str, Estimate]) -> list[str]:
    """A heading, and a line for each metric of the samples and of the model beside those of exact samples."""
    lines = [f"{'':40}{'samples':>22}{'exact samples':>24}  better"]
    for name, s in scores.items():
        ours, exact = with_error(s.value, s.error), with_error(s.exact, s.exact_error)
        lines.append(f"{METRICS[name].title:40}{ours:>22}{exact:>24}  {METRICS[name].better}")
    for name, estimate in of_model.items():
        row = MODEL_METRICS[name]
        lines.append(f"{row.title:40}{with_error(*estimate):>22}{'0':>24}  {row.better}")
    return lines


def with_error(value: float, error: float) -> str:
    """A number and its standard error, both to the second digit of the error; without one where there is none."""
    if not (math.isfinite(value) and math.isfinite(error)):
        return f"{value:.4f}"
    digits = min(max(1 - math.floor(math.log10(error)), 0), 8) if error > 0 else 4
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def finite(value: Any) -> Any:
    """The same with None for every number that is not finite: JSON has neither infinity nor NaN."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
