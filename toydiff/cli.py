"""The `toydiff` command. Heavy imports wait inside the commands, so that --help answers at once."""

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from toydiff import __version__

if TYPE_CHECKING:
    from toydiff.guidance import Guided
    from toydiff.recipe import Recipe
    from toydiff.training import Training


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line on stderr, exit status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see {self.prog} --help)\n")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        """Show a default only where it says something."""
        if action.default is None or action.default is False or action.default == []:
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {','.join(map(str, action.default))})"
        return super()._get_help_string(action)


def _parser(command: str) -> _Parser:
    summary = COMMANDS[command].summary
    return _Parser(prog=f"toydiff {command}", description=summary, formatter_class=_HelpFormatter, allow_abbrev=False)


def _comma_separated(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        return [convert(part.strip()) for part in text.split(",")]

    parse.__name__ = f"comma-separated {convert.__name__}"  # argparse names it in its message
    return parse


def _given(parser: argparse.ArgumentParser, options: argparse.Namespace) -> set[str]:
    """Names of the options that differ from their defaults."""
    return {name for name, value in vars(options).items() if value != parser.get_default(name)}


def _train(arguments: Sequence[str]) -> int:
    from toydiff import zoo
    from toydiff.checks import InputError
    from toydiff.recipe import Recipe

    recipe = Recipe()
    parser = _parser("train")
    add = parser.add_argument
    add(
        "--zoo",
        action="store_true",
        help="train every bundled network; --out is then a folder",
    )
    add(
        "--out",
        type=Path,
        help="file to write, .safetensors; with several widths or snapshots put {width} and {step} in its name",
        required=True,
    )
    add("--distribution", default=recipe.distribution, help="what to learn")
    add("--classes", default=recipe.classes, help="its classes, such as A or AB")
    add(
        "--width",
        type=_comma_separated(int),
        default=list(recipe.widths),
        help="of the layers; several train on shared batches",
    )
    add("--depth", type=int, default=recipe.depth, help="hidden layers")
    add("--steps", type=int, default=4096, help="training steps")
    add("--snapshots", type=_comma_separated(int), default=[], help="steps to keep beside the last")
    add("--seed", type=int, default=recipe.seed, help="of the first weights and the batches")
    add("--loss", default=recipe.loss, help="exact or denoising score matching")
    add("--batch", type=int, default=recipe.batch, help="points a step")
    add("--labelled", action="store_true", help="one network for each class and for all")
    add("--free-gain", action="store_true", help="let chance decide the sign of the network's gain, as in the paper")
    add("--resume", action="store_true", help="go on from the checkpoint beside --out")
    add("--overwrite", action="store_true", help="start again although there is a checkpoint beside --out")
    add("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    if options.zoo:
        if _given(parser, options) - {"zoo", "out", "quiet"}:
            raise InputError("--zoo trains the bundled recipes: it takes --out and --quiet only")
        files = zoo.train_zoo(options.out, progress=not options.quiet)
        print(f"wrote {len(files)} networks to {options.out}")
        return 0
    recipe = Recipe(
        distribution=options.distribution,
        classes=options.classes,
        widths=tuple(options.width),
        depth=options.depth,
        labelled=options.labelled,
        negative_gain=not options.free_gain,
        loss=options.loss,
        seed=options.seed,
        batch=options.batch,
    )
    if options.out.suffix != ".safetensors":
        raise InputError(f"--out is {options.out}; it must end in .safetensors")
    several = [name for name, many in (("width", options.width[1:]), ("step", options.snapshots)) if many]
    missing = [f"{{{name}}}" for name in several if f"{{{name}}}" not in str(options.out)]
    if missing:
        raise InputError(f"--out is {options.out}; several networks are written, so put {' and '.join(missing)} in it")
    return _train_recipe(recipe, options)


def _train_recipe(recipe: "Recipe", options: argparse.Namespace) -> int:
    from toydiff import storage, training, zoo
    from toydiff.checks import InputError

    def path(width: object, step: object) -> Path:
        return Path(str(options.out).replace("{width}", str(width)).replace("{step}", str(step)))

    checkpoint = path("all", "all").with_suffix(".checkpoint.safetensors")
    for file in {checkpoint, *(path(w, s) for w in recipe.widths for s in (*options.snapshots, options.steps))}:
        storage.check_writable(file)
    if checkpoint.exists() and not (options.resume or options.overwrite):
        raise InputError(f"{checkpoint} exists: --resume goes on from it, --overwrite starts again")
    earlier = training.load_checkpoint(checkpoint) if options.resume else None
    behind = 0 if earlier is None else earlier.step
    ahead = [s for s in options.snapshots if s > behind or not all(path(w, s).exists() for w in recipe.widths)]
    saved = time.monotonic()

    def save_models(done: "Training") -> None:
        for width in recipe.widths:
            header = zoo.save_model(path(width, done.step), done, width)
            loss = header["validation_loss"]
            print(f"wrote {path(width, done.step)}: width {width}, step {done.step}, validation loss {loss:.4f}")

    def keep(done: "Training") -> None:
        nonlocal saved
        if done.step in ahead and done.step < options.steps:
            save_models(done)
        if time.monotonic() - saved > 30:
            training.save_checkpoint(checkpoint, done)
            saved = time.monotonic()

    show = not options.quiet
    done = training.train(recipe, options.steps, resume=earlier, snapshots=ahead, progress=show, on_progress=keep)
    training.save_checkpoint(checkpoint, done)
    save_models(done)
    if done.interrupted:
        print(f"toydiff train: stopped at step {done.step}; the same command with --resume goes on", file=sys.stderr)
        return 130
    return 0


def _add_sampling_options(parser: argparse.ArgumentParser) -> None:
    from toydiff import guidance, sampling, zoo

    add = parser.add_argument
    add("--method", default="unguided", help=f"one of {', '.join(guidance.METHODS)}")
    add("-w", "--weight", type=float, help="guidance weight; 1 is no guidance (default: the method's)")
    add("--main", default=zoo.MAIN, help="the guided model: CLASSES/WIDTH/STEPS, exact/CLASSES or a file")
    add(
        "--guide",
        action="append",
        help="likewise a model to steer away from, once for each that the method takes (default: the method's)",
    )
    add(
        "--interval",
        type=float,
        nargs=2,
        metavar=("LO", "HI"),
        help="guide where LO < sigma <= HI only (default: everywhere)",
    )
    add("--share", type=float, default=0.5, help="of autoguidance in the mix")
    add("--distribution", default="fractal_tree", help="that the models are of")
    add("-n", type=int, default=16_384, help="how many samples")
    add("--seed", type=int, default=0, help="of the noise")
    add("--solver", default="heun", help=f"one of {', '.join(sampling.SOLVERS)}")
    add("--steps", type=int, default=sampling.STEPS, help="of the solver")
    add("--sigma-max", type=float, default=sampling.SIGMA_MAX, help="noise level at the start")
    add("--sigma-min", type=float, default=sampling.SIGMA_MIN, help="last noise level before 0")
    add("--start", default="exact", help="exact draws at sigma-max, or pure noise")


def _draw_samples(options: argparse.Namespace) -> tuple["Guided", Any, dict[str, Any]]:
    """The model, its samples [n, 2] and the recipe that gives them again."""
    import numpy as np

    from toydiff import checks, guidance, sampling, zoo

    method = guidance.METHODS[checks.choice("method", options.method, guidance.METHODS)]
    lo, hi = options.interval or guidance.ALL_SIGMAS
    model = zoo.guided_model(
        options.method,
        options.weight,
        main=options.main,
        guides=options.guide,
        interval=(lo, hi),
        share=options.share,
        distribution=options.distribution,
    )
    trajectory = sampling.sample(
        model,
        options.seed,
        options.n,
        steps=options.steps,
        sigma_min=options.sigma_min,
        sigma_max=options.sigma_max,
        solver=options.solver,
        start=None if checks.choice("start", options.start, ["exact", "noise"]) == "exact" else "noise",
        path=False,
    )
    samples = np.asarray(trajectory.samples)
    lost = int((~np.isfinite(samples).all(1)).sum())
    if lost:
        raise checks.InputError(
            f"{lost:,} of {len(samples):,} samples became NaN or infinite on the way; "
            "lower the weight or sigma-max, or raise steps"
        )
    weight = method.weight if options.weight is None else options.weight
    recipe = {
        name: value for name, value in vars(options).items() if name not in ("out", "json", "guide", "model_loss")
    }
    # JSON has no infinity: null is no upper bound.
    recipe |= {
        "weight": weight,
        "guides": options.guide or list(method.guides),
        "interval": [lo, None if hi == float("inf") else hi],
    }
    return model, samples, recipe | {"toydiff": __version__}


def _sample(arguments: Sequence[str]) -> int:
    import numpy as np

    from toydiff.checks import InputError
    from toydiff.storage import check_writable, write_bytes

    parser = _parser("sample")
    _add_sampling_options(parser)
    help_out = "file to write, ending in .npz: `samples` [n, 2] and `recipe`, a JSON text"
    parser.add_argument("--out", type=Path, required=True, help=help_out)
    options = parser.parse_args(arguments)
    if options.out.suffix != ".npz":
        raise InputError(f"--out is {options.out}; it must end in .npz")
    check_writable(options.out)
    _, samples, recipe = _draw_samples(options)
    content = io.BytesIO()  # first in memory: a zip file cut off by a full disk complains when it is collected
    np.savez(content, samples=samples, recipe=json.dumps(recipe))
    write_bytes(options.out, content.getvalue())
    print(f"wrote {len(samples):,} samples to {options.out}")
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    from toydiff.checks import InputError

    parser = _parser("evaluate")
    _add_sampling_options(parser)
    parser.add_argument(
        "--model-loss",
        nargs="*",
        metavar="MODEL",
        help="instead the validation loss of these models (the paper's three), overall and by noise level",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if options.model_loss is None:
        report, lines = _report_metrics(options)
    else:
        if _given(parser, options) - {"model_loss", "distribution", "json"}:
            raise InputError("--model-loss takes names of models, --distribution and --json only")
        report, lines = _report_loss(options)
    print(json.dumps(report, indent=2) if options.json else "\n".join(lines))
    return 0


def _report_metrics(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from toydiff import metrics

    model, samples, recipe = _draw_samples(options)
    scores = metrics.evaluate(samples, model.truth(), seed=options.seed)
    report = {
        "method": options.method,
        "weight": recipe["weight"],
        "n": options.n,
        "seed": options.seed,
        "metrics": {name: score._asdict() | {"better": metrics.METRICS[name].better} for name, score in scores.items()},
        "recipe": recipe,
    }
    lines = [f"{options.method}, w = {recipe['weight']:g}, n = {options.n:,}, seed {options.seed}"]
    lines += [f"{'':40}{'samples':>10}{'exact':>10}"]
    lines += [f"{metrics.METRICS[name].title:40}{value:10.4f}{exact:10.4f}" for name, (value, exact) in scores.items()]
    return report, lines


def _report_loss(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from toydiff import score_matching, zoo

    names = options.model_loss or [zoo.MAIN, "A/32/512", "AB/32/512"]
    losses = {name: score_matching.validation_loss(zoo.open_model(name, options.distribution)) for name in names}
    lines = [f"score-matching loss on 65,536 fresh draws{'':10}{'overall':>14}  by noise level, low to high"]
    for name, loss in losses.items():
        overall = f"{loss.overall:.5f} ± {loss.standard_error:.5f}"
        lines.append(f"{name:46}{overall:>20}  {'  '.join(f'{level:.4f}' for level in loss.by_level)}")
    edges = "  ".join(f"{edge:.4f}" for edge in next(iter(losses.values())).edges)
    return {name: loss._asdict() for name, loss in losses.items()}, [*lines, f"noise levels between: {edges}"]


def _figures(arguments: Sequence[str]) -> int:
    from toydiff import figures

    parser = _parser("figures")
    add = parser.add_argument
    add("--only", type=_comma_separated(str), default=list(figures.FIGURES), help="some of them, comma-separated")
    add("--format", type=_comma_separated(str), default=["png"], help=f"some of {', '.join(figures.FORMATS)}")
    add("--out", type=Path, default=Path("figures"), help="folder")
    add("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args(arguments)
    for path in figures.draw_figures(options.only, options.out, formats=options.format, seed=options.seed):
        print(f"wrote {path}")
    return 0


def _explore(arguments: Sequence[str]) -> int:
    from toydiff.explorer.server import serve

    parser = _parser("explore")
    parser.add_argument("--app", action="store_true", help="a clean page without code, for a lecture")
    parser.add_argument("--port", type=int, help="to listen on, on 127.0.0.1 (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    options = parser.parse_args(arguments)
    return serve(app=options.app, port=options.port, browser=not options.no_browser)


class Command(NamedTuple):
    """A row of the table of commands."""

    run: Callable[[Sequence[str]], int]
    summary: str


COMMANDS: dict[str, Command] = {
    "explore": Command(_explore, "Open the explorer: drag the weight and watch."),
    "figures": Command(_figures, "Draw the paper-style figures."),
    "sample": Command(_sample, "Sample a guided model and write the points."),
    "evaluate": Command(_evaluate, "Measure samples, or the loss of models, against the exact distribution."),
    "train": Command(_train, "Train denoisers by score matching."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0, 2 for bad input, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    commands = "\n".join(f"  {name:10} {row.summary}" for name, row in COMMANDS.items())
    parser = _Parser(
        prog="toydiff",
        description="Diffusion guidance on 2D toy distributions whose density is known.",
        epilog=f"commands:\n{commands}\n\ntoydiff COMMAND --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="toydiff [-h] [--version] COMMAND ...",
    )
    parser.add_argument("--version", action="version", version=f"toydiff {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    command = parser.parse_args(arguments[:1]).command
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may not fit the terminal's encoding
    try:
        status = _run(command, arguments[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"toydiff {command}: stopped", file=sys.stderr)
        return 130
    except OSError as error:  # files have their own messages: this is stdout, closed or on a full disk
        print(f"toydiff {command}: cannot print: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    return status


def _run(command: str, arguments: Sequence[str]) -> int:
    from toydiff.checks import InputError
    from toydiff.compiled import keep_compiled

    try:
        keep_compiled()
        return COMMANDS[command].run(arguments)
    except InputError as error:
        print(f"toydiff {command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
