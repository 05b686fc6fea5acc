"""The outlier levels of the bundled distributions, recorded: the first picture need not wait while one is computed.

`python -m toydiff.measuring.levels` records them anew, after a distribution has changed.
"""

import json
from functools import cache
from pathlib import Path

from toydiff.base.files import write_bytes
from toydiff.distributions import catalogue

FILE = Path(__file__).with_name("levels.json")
SHARE = 0.001
"""Of exact samples that lie below."""


@cache
def recorded() -> dict[str, float]:
    """By distribution and classes, as "fractal_tree/A", what `Reference.quantile(SHARE)` gives at the usual effort."""
    levels: dict[str, float] = json.loads(FILE.read_text())
    return levels


def record() -> dict[str, float]:
    """The same, computed."""
    from toydiff.measuring.reference import Reference  # which reads what is recorded

    return {
        f"{name}/{classes}": Reference(catalogue.distribution(name, classes)).quantile(SHARE)
        for name, row in catalogue.DISTRIBUTIONS.items()
        for classes in catalogue.class_choices(row.classes)
    }


if __name__ == "__main__":
    write_bytes(FILE, (json.dumps(record(), indent=1) + "\n").encode())
