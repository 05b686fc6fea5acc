"""The explorer as marimo documents it for anywidgets; run by test_notebook.py."""

import marimo

app = marimo.App(width="full")


@app.cell
def _():
    import marimo as mo

    import toydiff

    explorer = mo.ui.anywidget(toydiff.explore())
    explorer  # noqa: B018 - what a cell shows


if __name__ == "__main__":
    app.run()
