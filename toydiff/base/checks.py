"""Checks at the boundary: bad input is refused in one line, before anything is compiled."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np


class InputError(ValueError):
    """An argument or a file that cannot be used.

    The message is one line: what was given, and what would be accepted. The command line prints it and
    exits with status 2.
    """


def shown(value: Any) -> str:
    """`value` as a message shows it: in full as long as that is short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]} ... ({len(text):,} characters)"


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: float = -math.inf) -> Any:
    """`value` as a float with low <= value <= high and value > above; a traced array passes unchecked.

    Raises:
        InputError: it is not one number, is NaN, or lies outside the range.
    """
    from jax.core import Tracer  # late: a command that computes nothing at once does not wait for JAX

    if isinstance(value, Tracer):
        return value
    try:
        result = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not (low <= result <= high and result > above):
        lower = f"above {above:g}" if above > -math.inf else f"at least {low:g}"
        accepted = lower if math.isinf(high) else f"{lower} and at most {high:g}"
        raise InputError(f"{name} is {shown(value)}; it must be a number, {accepted}")
    return result


LOST = "became NaN or infinite on the way"
"""What happens to samples where guidance or the steps are too strong."""


def check_finite(samples: Any, how: str = "are NaN or infinite", remedy: str = "all must be finite") -> None:
    """Refuse samples [n, 2], or [n] of what was computed of each, of which one is NaN or infinite.

    Raises:
        InputError: one is; the message counts them, says how and what would help.
    """
    finite = np.isfinite(np.asarray(samples)).reshape(len(samples), -1).all(1)
    if not finite.all():
        raise InputError(f"{int((~finite).sum()):,} of {len(finite):,} samples {how}; {remedy}")


def count(name: str, value: Any, low: int = 1, high: int = 100_000_000) -> int:
    """`value` as an int with low <= value <= high.

    Raises:
        InputError: it is not a whole number or lies outside the range.
    """
    try:
        whole = None if isinstance(value, str | bytes) else int(value)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if isinstance(value, bool) or whole is None or whole != value or not low <= whole <= high:
        raise InputError(f"{name} is {shown(value)}; it must be a whole number from {low:,} to {high:,}")
    return whole


def choice(name: str, value: Any, options: Iterable[str]) -> str:
    """`value` itself when it is one of `options`.

    Raises:
        InputError: it is something else; the message lists the options.
    """
    options = list(options)
    if not isinstance(value, str) or value not in options:
        raise InputError(f"unknown {name} {shown(value)}; there are {', '.join(options)}")
    return value


def several(name: str, values: Any) -> list[Any]:
    """What is in a list or another collection; a text is one thing, and none.

    Raises:
        InputError: it is something else.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{name} are {shown(values)}; they must be a list")
    return list(values)


def parse_number(text: str) -> Any:
    """A whole number, else any number, else the text itself, which whatever takes the number will refuse."""
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
