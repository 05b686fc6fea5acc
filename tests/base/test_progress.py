import sys
import types

import pytest

from toydiff.base.progress import progress_bar


@pytest.mark.parametrize(
    ("terminal", "notebook", "show", "visible"),
    [
        (True, False, True, True),
        (False, True, True, True),
        (False, False, True, False),
        (True, False, False, False),
        (False, True, False, False),
    ],
)
def test_the_bar_shows_where_somebody_watches(monkeypatch, terminal, notebook, show, visible):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    with progress_bar(total=2, show=show) as bar:
        assert bar.disable is not visible
