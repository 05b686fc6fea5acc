"""What the lessons in notebooks/ are made of: questions before answers, exercises that check themselves, pictures."""

import html
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple

import ipywidgets as w
import matplotlib as mpl
import numpy as np
import PIL.Image
from IPython.display import HTML, Image, Javascript, display
from jax.typing import ArrayLike
from matplotlib.figure import Figure

from toydiff.base.checks import InputError, choice
from toydiff.base.compile_cache import keep_compiled
from toydiff.base.score_model import ScoreModel, check_points
from toydiff.explorer.drawing import drawing_lock, outlined
from toydiff.measuring.distances import Estimate
from toydiff.measuring.metrics import METRICS, USUAL, Score, Scored, outliers, standard_error
from toydiff.measuring.model_metrics import MODEL_METRICS
from toydiff.measuring.reference import reference_of
from toydiff.results import plotting
from toydiff.results.claims import shown
from toydiff.results.style import OUTLIER
from toydiff.sampling.sampler import sample

TREE = "fractal_tree", "A"
MEASURED = USUAL
"""What `measure` gives where no metric is named."""
GUIDANCE_ONLY = ("scene", "layers", "draw", "train", "sweep", "take-along")
"""What a lesson hides of the explorer, so that the guidance is left: `compare(..., hidden=GUIDANCE_ONLY)`."""
STYLE: Any = {"font.size": 11, "axes.titlesize": 12, "axes.linewidth": 0.6, "axes.edgecolor": "#555555"}
WIDTH, TALLEST = 10.4, 3.6
"""Inches, at 100 pixels each: what a notebook in a window of 1280 x 720 shows without scrolling."""
STYLE_SHEET = """<style>
.toydiff-prediction { border-left: 6px solid #1a5fb4; background: #eef4fb; padding: .5em 1em; border-radius: 4px }
.toydiff-prediction .toydiff-question { font-size: 1.45em; font-weight: 600; line-height: 1.3 }
.toydiff-prediction .widget-radio-box label { font-size: 1.2em; line-height: 1.5 }
</style>"""
SHARPNESS = 1.6
"""Pixels of a picture for each of the page."""
GREEN, AMBER, GREY = "#2e8b57", "#c96a00", "#8a8a8a"

keep_compiled()  # a lesson that is opened again need not wait


class Prediction(w.VBox):
    """A question with several answers, of which one is to be chosen before the result is shown.

    Args:
        question: plain text.
        choices: the answers.
        reveal: called when "Show me" is pressed. It draws and prints what is to be seen, and returns that of the
            choices which is right; it should find it by measuring, so that the lesson says nothing that is not so.
    """

    answered = False
    """Whether any was, in this kernel."""

    def __init__(self, question: str, choices: Sequence[str], reveal: Callable[[], str]):
        self._reveal, self.right = reveal, ""
        self.radio = w.RadioButtons(options=list(choices), index=None, layout=w.Layout(width="auto"))
        self.button = w.Button(description="Show me", disabled=True, button_style="primary")
        self.result, self.output = w.HTML(), w.Output()
        w.dlink((self.radio, "index"), (self.button, "disabled"), lambda index: index is None)
        self.button.on_click(lambda _: self.show())
        title = w.HTML(f"{STYLE_SHEET}<div class='toydiff-question'>{html.escape(question)}</div>")
        super().__init__([title, self.radio, self.button, self.output, self.result])
        self.add_class("toydiff-prediction")

    def show(self) -> None:
        """Measure, and say what was predicted and what is so.

        Raises:
            InputError: nothing was chosen, or `reveal` gives none of the choices.
        """
        if self.radio.index is None:
            raise InputError("nothing is predicted yet; choose an answer first")
        self.radio.disabled = self.button.disabled = Prediction.answered = True
        self.button.description = "measuring …"
        self.output.clear_output()
        try:
            with self.output:
                self.right = choice("answer", self._reveal(), self.radio.options)
        finally:
            self.button.description, self.button.disabled = "Measure again", False
        if self.right:  # else the output says what went wrong
            as_predicted = self.right == self.radio.value
            text = f"You predicted: <b>{html.escape(self.radio.value)}</b>. Measured: <b>{html.escape(self.right)}</b>."
            self.result.value = _box(GREEN if as_predicted else AMBER, f"{'✓' if as_predicted else '✗'} {text}")


predict = Prediction


def back_to_the_first_question() -> None:
    """Where all cells were run at once, show the first question again; not to who has answered one."""
    if not Prediction.answered:
        there = "document.querySelector('.toydiff-prediction')?.scrollIntoView({ block: 'center' })"
        display(Javascript(f"setTimeout(() => {there}, 500)"))


class Verdict(NamedTuple):
    """What an exercise says of an answer."""

    right: bool | None
    """None: there is no answer yet."""
    text: str

    def _repr_html_(self) -> str:
        colour, mark = {True: (GREEN, "✓"), False: (AMBER, "✗"), None: (GREY, "…")}[self.right]
        return _box(colour, f"{mark} {html.escape(self.text)}")


def exercise(check: Callable[[Any], str | None]) -> Callable[[Any], Verdict]:
    """Make an exercise of a function that looks at an answer and gives None where it is right, else a hint.

    The exercise is called with the student's number, tuple or function. None, or a function that raises
    NotImplementedError, is no answer yet; what else an answer raises is said in a line.
    """

    @wraps(check)
    def judge(answer: Any) -> Verdict:
        try:
            if answer is None:
                raise NotImplementedError
            hint = check(answer)
        except NotImplementedError:
            return Verdict(None, "No answer yet: edit this cell and run it again (Shift+Enter).")
        except Exception as error:  # of the student's own code, whatever it is
            return Verdict(False, f"This stopped with {type(error).__name__}: {error}")
        return Verdict(True, "Right.") if hint is None else Verdict(False, f"Not yet. {hint}")

    return judge


def close(answer: ArrayLike, right: ArrayLike, tolerance: float = 1e-3) -> bool:
    """Whether numbers agree to within `tolerance` of the largest; for the checks of exercises."""
    a, b = np.asarray(answer, float), np.asarray(right, float)
    return a.shape == b.shape and bool(np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-6))


def show(figure: Figure, *, dots: int = 145) -> None:
    """Show a figure below the cell, at `dots` pixels an inch; by default the package's figures fill the page."""
    content = io.BytesIO()
    with drawing_lock:
        figure.savefig(content, format="png", dpi=SHARPNESS * dots, bbox_inches="tight", pad_inches=0.05)
    display(Image(content.getvalue(), width=round(PIL.Image.open(content).width / SHARPNESS)))


@contextmanager
def panels(*titles: str) -> Iterator[np.ndarray]:
    """Square axes side by side, one for each title; what is drawn on them is shown at the end of the `with` block.

    Only draw inside: an explorer on the same page waits meanwhile.
    """
    side = min(WIDTH / len(titles), TALLEST)
    with drawing_lock, mpl.rc_context(STYLE):
        figure = Figure(figsize=(side * len(titles), side + 0.7), layout="constrained")
        axes = figure.subplots(1, len(titles), squeeze=False)[0]
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title)
        yield axes
    show(figure, dots=100)


def show_samples(
    models: Mapping[str, ScoreModel | ArrayLike], *, n: int = 8192, seed: int = 0
) -> dict[str, dict[str, Estimate]]:
    """Samples of models of the tree's class A side by side, from the same noise, with their numbers below.

    Args:
        models: by title; score models, or samples [n, 2] as they are.
        n: samples of each model.
        seed: of the noise.

    Returns:
        By title what `measure` gives.
    """
    points = {title: _scored(model, n, seed) for title, model in models.items()}
    scores = {title: _estimates(scored, MEASURED) for title, scored in points.items()}
    outside = {title: outliers(scored, 0.001) for title, scored in points.items()}
    with panels(*models) as axes:
        for ax, (title, scored) in zip(axes, points.items(), strict=True):
            for truth, hue in outlined(*TREE):
                plotting.plot_outline(truth, hue=hue, resolution=400, ax=ax)
            x, size = np.asarray(scored.x), 60 / np.sqrt(len(scored))  # few are drawn larger
            plotting.plot_samples(x[~outside[title]], size=size, ax=ax)
            plotting.plot_samples(x[outside[title]], color=OUTLIER, size=4 * size, ax=ax)
            rate, kept = (scores[title][name] for name in MEASURED[:2])
            ax.set_xlabel(
                f"outliers {100 * rate.value:.1f} ± {100 * rate.error:.1f}%\n"
                f"branches kept {100 * kept.value:.0f} ± {100 * kept.error:.0f}%"
            )
    return scores


def measure(
    model: ScoreModel | ArrayLike, names: Sequence[str] = MEASURED, *, n: int = 8192, seed: int = 0
) -> dict[str, Estimate]:
    """Rows of `toydiff.METRICS` of samples of the tree's class A, each with its standard error.

    The same numbers as `toydiff.evaluate` gives, without what exact samples score, which takes some seconds.

    Args:
        model: a score model, or samples [n, 2] as they are.
        names: which rows; by default the outlier rate, the branches kept and the sliced Wasserstein-1 distance.
        n: samples of the model.
        seed: of the noise.
    """
    return _estimates(_scored(model, n, seed), names)


def _estimates(scored: Scored, names: Sequence[str]) -> dict[str, Estimate]:
    rows = {name: METRICS[choice("metric", name, METRICS)] for name in names}
    return {name: Estimate(row.function(scored), standard_error(row, scored)) for name, row in rows.items()}


def _scored(model: ScoreModel | ArrayLike, n: int, seed: int) -> Scored:
    x = sample(model, seed, n, path=False).samples if isinstance(model, ScoreModel) else model
    return Scored(check_points(x, "samples"), reference_of(*TREE))


def show_numbers(columns: Mapping[str, Mapping[str, Score | Estimate]]) -> None:
    """A table of what `measure`, `toydiff.evaluate` or `toydiff.evaluate_model` gave: a column for each title."""
    titles = {name: row.title for name, row in (METRICS | MODEL_METRICS).items()}
    head = "".join(f"<th>{html.escape(title)}</th>" for title in columns)
    rows = "".join(
        f"<tr><td style='text-align:left'>{html.escape(titles[name])}</td>"
        + "".join(f"<td>{shown(name, column[name])}</td>" for column in columns.values())
        + "</tr>"
        for name in next(iter(columns.values()))
    )
    display(HTML(f"<table style='white-space:nowrap;font-size:1em'><tr><th></th>{head}</tr>{rows}</table>"))


def _box(colour: str, text: str) -> str:
    style = f"border-left:6px solid {colour};padding:.35em .8em;font-size:1.15em;line-height:1.4"
    return f"<div class='toydiff-verdict' role='status' style='{style}'>{text}</div>"
