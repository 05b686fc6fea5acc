"""How much work goes into what more work makes more accurate: one value, and a block in which it is another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

from toydiff.base.checks import count


@dataclass(frozen=True)
class Effort:
    """How many draws, resamples and points of a grid are taken where a call does not say it.

    Raises:
        InputError: a number is no whole number of at least 1, or of at least 2 where a spread is taken.
    """

    reference_draws: int = 1 << 20  #: exact samples behind a quantile; the 0.1% rate is then known to 3%
    mean_draws: int = 1 << 17  #: exact samples, at most those above, behind the floor of what is a mean over samples
    floor_sets: int = 16  #: sets of exact samples, at least, behind the floor of any other metric
    resamples: int = 40  #: of a bootstrap: a standard error is then known to 11%
    validation_draws: int = 65_536  #: fresh draws behind the loss of a network
    density_grid: int = 256  #: points on each axis of a picture of a density
    outline_grid: int = 720  #: points on each axis of the picture of an outline, whose bends show each missing one

    def __post_init__(self) -> None:
        for field in fields(self):
            count(field.name, getattr(self, field.name), 2 if field.name in ("floor_sets", "resamples") else 1)


_IN_FORCE = [Effort()]


def current_effort() -> Effort:
    """The effort that is in force: the usual one outside of all blocks."""
    return _IN_FORCE[-1]


@contextmanager
def effort(**numbers: int) -> Iterator[Effort]:
    """Less work, or more, in a `with` block, or in the function that it decorates.

    It holds for the whole process, as Matplotlib's settings do: also for the threads that draw and measure meanwhile.

    Args:
        numbers: fields of `Effort`; the others stay as they are.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> from toydiff.base.effort import current_effort, effort
        >>> with effort(resamples=8):
        ...     current_effort().resamples
        8
    """
    changed = replace(current_effort(), **numbers)
    _IN_FORCE.append(changed)
    try:
        yield changed
    finally:
        _IN_FORCE.pop()
