"""The `toydiff` command. Heavy imports wait inside the commands, so that --help answers at once."""

import _thread
import argparse
import contextlib
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from toydiff.base.version import __version__
from toydiff.cli_options import (
    Parser,
    add_sampling_options,
    add_sweep_options,
    add_training_options,
    comma_separated,
    given_options,
    make_parser,
)
from toydiff.cli_share import draw_figures, write_film, write_page, write_report

if TYPE_CHECKING:
    import numpy as np

    from toydiff.guidance.guided import Guided


def _train(parser: Parser, arguments: Sequence[str]) -> int:
    from toydiff.base.checks import InputError
    from toydiff.distributions import catalogue
    from toydiff.networks import averages, bundles, training_run
    from toydiff.networks.recipe import Recipe

    add_training_options(parser)
    options = parser.parse_args(arguments)
    if options.zoo:
        if given_options(parser, options) - {"zoo", "only", "out", "quiet"}:
            raise InputError("--zoo trains the bundled recipes: it takes --only, --out and --quiet only")
        began = time.monotonic()
        files = bundles.train_zoo(options.out, only=options.only or tuple(bundles.BUNDLES), progress=not options.quiet)
        each = (time.monotonic() - began) / len(files)
        print(f"wrote {len(files)} networks to {options.out}, {each:.1f} s for each")
        return 0
    if options.only is not None:
        raise InputError("--only chooses among the bundled networks: it goes with --zoo")
    recipe = Recipe(
        distribution=catalogue.open_distribution(options.distribution),
        classes=options.classes,
        widths=tuple(options.width),
        members=options.members,
        depth=options.depth,
        network=options.network,
        labelled=options.labelled,
        negative_gain=not options.free_gain,
        loss=options.loss,
        seed=options.seed,
        batch=options.batch,
        averages=averages.STORED_LENGTHS if options.averages else (),
    )
    done = training_run.train_to_files(
        recipe,
        options.steps,
        str(options.out),
        snapshots=options.snapshots,
        resume=options.resume,
        overwrite=options.overwrite,
        progress=not options.quiet,
    )
    if done.interrupted:
        print(f"toydiff train: stopped at step {done.step}; the same command with --resume goes on", file=sys.stderr)
        return 130
    return 0


def _draw_samples(options: argparse.Namespace) -> tuple["Guided", Iterator["np.ndarray"], dict[str, Any]]:
    """The model, its samples [n, 2] in chunks and the recipe that gives them again."""
    import numpy as np

    from toydiff.base import checks
    from toydiff.distributions import catalogue
    from toydiff.guidance import methods, named
    from toydiff.networks import bundles
    from toydiff.sampling import sample_file, sampler, solvers

    distribution = catalogue.open_distribution(options.distribution)
    main = bundles.default_main(distribution) if options.main is None else options.main
    method = methods.METHODS[checks.choice("method", options.method, methods.METHODS)]
    lo, hi = options.interval or methods.ALL_SIGMAS
    knobs = methods.all_knobs() | method.other_knobs
    model = named.guided_model(
        options.method,
        options.weight,
        main=main,
        guides=options.guide,
        interval=(lo, hi),
        distribution=distribution,
        **{name: value for name in knobs if (value := getattr(options, name)) is not None},
    )
    n = checks.count("n", options.n)
    how: dict[str, Any] = {name: getattr(options, name) for name in ("steps", "sigma_min", "sigma_max", "solver")}
    how["start"] = None if checks.choice("start", options.start, ["exact", "noise"]) == "exact" else "noise"
    if solvers.SOLVERS[checks.choice("solver", options.solver, solvers.SOLVERS)].population:
        chunks: Iterator[np.ndarray] = (
            np.asarray(sampler.sample(model, options.seed, n, path=False, **how).samples) for _ in range(1)
        )
    else:
        chunks = sampler.sample_chunks(model, options.seed, n, **how)
    weight = method.weight if options.weight is None else options.weight
    recipe = {
        name: value for name, value in vars(options).items() if name not in ("out", "json", "guide", "model_loss")
    }
    recipe |= {name: knob.default for name, knob in knobs.items() if recipe[name] is None}
    # JSON has no infinity: null is no upper bound.
    recipe |= {
        "weight": weight if isinstance(weight, float) else dict(zip(*weight, strict=True)),
        # What a file was trained on counts, whatever --distribution says.
        "distribution": catalogue.source_to_json(getattr(model.main, "distribution", distribution)),
        "main": main,
        "guides": options.guide or list(named.default_guides(options.method, distribution)),
        "interval": [lo, None if hi == float("inf") else hi],
    }
    return model, sample_file.attend(chunks, n), recipe | {"toydiff": __version__}


def _sample(parser: Parser, arguments: Sequence[str]) -> int:
    from toydiff.base.checks import InputError
    from toydiff.base.files import check_writable
    from toydiff.sampling.sample_file import write_samples

    add_sampling_options(parser)
    help_out = "file to write, ending in .npz: `samples` [n, 2] and `recipe`, a JSON text"
    parser.add_argument("--out", type=Path, required=True, help=help_out)
    options = parser.parse_args(arguments)
    if options.out.suffix != ".npz":
        raise InputError(f"--out is {options.out}; it must end in .npz")
    check_writable(options.out)
    _, chunks, recipe = _draw_samples(options)
    write_samples(options.out, chunks, options.n, recipe)
    print(f"wrote {options.n:,} samples to {options.out}")
    return 0


def _evaluate(parser: Parser, arguments: Sequence[str]) -> int:
    from toydiff.base.checks import InputError
    from toydiff.measuring.score_table import finite

    add_sampling_options(parser)
    parser.add_argument(
        "--model-loss",
        nargs="*",
        metavar="MODEL",
        help="instead the validation loss of these models (the paper's three), overall and by noise level",
    )
    parser.add_argument(
        "--model-metrics",
        action="store_true",
        help="also what is measured of the model itself, by the paper's solver from exact draws, whatever the options",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if options.model_loss is None:
        report, lines = _report_metrics(options)
    else:
        if given_options(parser, options) - {"model_loss", "distribution", "json"}:
            raise InputError("--model-loss takes names of models, --distribution and --json only")
        report, lines = _report_loss(options)
    print(json.dumps(finite(report), indent=2) if options.json else "\n".join(lines))
    return 0


def _report_metrics(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    import numpy as np

    from toydiff.distributions import catalogue
    from toydiff.measuring import metrics, model_metrics
    from toydiff.measuring.score_table import score_lines

    model, chunks, recipe = _draw_samples(options)
    if options.n >= 1 << 18:
        print(f"toydiff evaluate: the MMD takes long, all {options.n**2:.1e} pairs of samples", file=sys.stderr)
    samples = np.concatenate(list(chunks))
    source = catalogue.source_from_json(recipe["distribution"])
    whole = catalogue.distribution(source, catalogue.all_classes(source))
    scores = metrics.evaluate(samples, metrics.Reference(model.truth(), whole=whole), seed=options.seed)
    of_model = model_metrics.evaluate_model(model, options.seed, options.n) if options.model_metrics else {}
    rows, model_rows = metrics.METRICS, model_metrics.MODEL_METRICS
    report = {
        "method": options.method,
        "weight": recipe["weight"],
        "n": options.n,
        "seed": options.seed,
        "metrics": {name: score._asdict() | {"better": rows[name].better} for name, score in scores.items()},
        "model_metrics": {name: e._asdict() | {"better": model_rows[name].better} for name, e in of_model.items()},
        "recipe": recipe,
    }
    weight = recipe["weight"]
    shown = f"{weight:g}" if isinstance(weight, float) else ", ".join(f"{w:g} at {s:g}" for s, w in weight.items())
    lines = [f"{options.method}, w = {shown}, n = {options.n:,}, seed {options.seed}"]
    return report, lines + score_lines(scores, of_model)


def _report_loss(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    from toydiff.distributions import catalogue
    from toydiff.guidance import named
    from toydiff.networks import bundles, objective, zoo

    distribution = catalogue.open_distribution(options.distribution)
    default = [bundles.default_main(distribution), *reversed(named.default_guides("mix", distribution))]
    names = options.model_loss or default
    losses = {name: objective.validation_loss(zoo.open_model(name, distribution)) for name in names}
    lines = [f"score-matching loss on 65,536 fresh draws{'':10}{'overall':>14}  by noise level, low to high"]
    for name, loss in losses.items():
        overall = f"{loss.overall:.5f} ± {loss.standard_error:.5f}"
        lines.append(f"{name:46}{overall:>20}  {'  '.join(f'{level:.4f}' for level in loss.by_level)}")
    edges = "  ".join(f"{edge:.4f}" for edge in next(iter(losses.values())).edges)
    return {name: loss._asdict() for name, loss in losses.items()}, [*lines, f"noise levels between: {edges}"]


def _sweep(parser: Parser, arguments: Sequence[str]) -> int:
    from toydiff.base import files, hosts
    from toydiff.base.checks import InputError
    from toydiff.measuring import metrics, sweep, sweep_axes, sweep_table
    from toydiff.results import sweep_figure

    add_sweep_options(parser)
    options = parser.parse_args(arguments)
    if (options.table is None) == (options.out is None):
        raise InputError("give --out and a grid to measure it, or --from to draw a table that there is")
    picture = {name: getattr(options, name) for name in ("metric", "x", "y", "by")}
    if options.plot is not None:
        files.check_writable(options.plot)
    if options.table is not None:
        drawn = {"table", "plot", "quiet", *picture}
        if options.plot is None or given_options(parser, options) - drawn:
            raise InputError("--from draws: it takes --plot, --metric, --x, --y and --by only")
        table = sweep_table.load_sweep(options.table)
    else:
        names = tuple(metrics.METRICS) if options.metrics == ["all"] else options.metrics
        grid = sweep_axes.parse_grid(options.grid)
        if options.plot is not None:
            sweep_figure.check_picture(options.plot, sweep_axes.settings_of(grid), names, **picture)
        hosts.join(options.coordinator, options.num_processes, options.process_id)
        table = sweep.run_sweep(grid, n=options.n, metrics=names, out=options.out, progress=not options.quiet)
        if table.interrupted:
            print(f"toydiff sweep: stopped; the same command goes on from {options.out}", file=sys.stderr)
            return 130
        if not hosts.is_first():
            return 0
        print(f"{options.out} has {len(table.rows):,} settings, {table.n:,} samples each")
    if options.plot is not None:
        sweep_figure.draw_sweep(options.plot, table, **picture)
        print(f"wrote {options.plot}")
    return 0


def _bench(parser: Parser, arguments: Sequence[str]) -> int:
    from toydiff import bench

    parser.add_argument("--only", type=comma_separated(str), default=list(bench.ROWS), help="some, comma-separated")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    report = bench.measure(options.only, progress=not options.json)
    print(json.dumps(report, indent=2) if options.json else "\n".join(bench.table(report)))
    return 0


def _explore(parser: Parser, arguments: Sequence[str]) -> int:
    from toydiff.base.checks import InputError
    from toydiff.explorer.app.server import require, serve

    parser.add_argument("--app", action="store_true", help="a clean page without code, for a lecture")
    parser.add_argument("--lesson", type=int, help="open this lesson, 1 to 7, in place of the explorer")
    parser.add_argument("--port", type=int, help="to listen on (default: a free one)")
    parser.add_argument(
        "--host",
        help="with --app: this machine's address to listen on, or 0.0.0.0 for all, for a lecture room; "
        "everyone who has the printed address can then use the explorer (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    options = parser.parse_args(arguments)
    if not options.app:
        if options.host is not None:
            raise InputError("--host goes with --app: JupyterLab runs any code, and is served on this machine only")
        return serve(lesson=options.lesson, port=options.port, browser=not options.no_browser)
    if options.lesson is not None:
        raise InputError("a lesson's exercises are code, which --app hides; leave out --app or --lesson")
    require("tornado")
    from toydiff.explorer.app.address import LOOPBACK
    from toydiff.explorer.app.app_server import serve_app

    return serve_app(host=options.host or LOOPBACK, port=options.port, browser=not options.no_browser)


class Command(NamedTuple):
    """A row of the table of commands."""

    run: Callable[[Parser, Sequence[str]], int]
    summary: str
    computes: bool = True


COMMANDS: dict[str, Command] = {
    "explore": Command(_explore, "Open the explorer: drag the weight and watch.", computes=False),
    "figures": Command(draw_figures, "Draw the paper-style figures."),
    "animate": Command(write_film, "Write a film: sampling, the weight up and down, or training."),
    "sample": Command(_sample, "Sample a guided model and write the points."),
    "evaluate": Command(_evaluate, "Measure samples, or the loss of models, against the exact distribution."),
    "sweep": Command(_sweep, "Measure all combinations of settings, and draw the table."),
    "report": Command(write_report, "Measure what the paper says, and write the page of results."),
    "train": Command(_train, "Train denoisers by score matching."),
    "export-html": Command(write_page, "Write a page with sliders that needs no Python."),
    "bench": Command(_bench, "Measure how fast this machine is, beside its limits."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status: 0, 2 for bad input, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    commands = "\n".join(f"  {name:12} {row.summary}" for name, row in COMMANDS.items())
    parser = Parser(
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
        with _hearing_interrupts():
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


@contextlib.contextmanager
def _hearing_interrupts() -> Iterator[None]:
    """A Ctrl-C that falls into a callback of the garbage collector, where Python drops it, comes again."""

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            threading.Timer(0.05, _thread.interrupt_main).start()  # once the callback is over
        else:
            before(dropped)

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _run(command: str, arguments: Sequence[str]) -> int:
    # What goes wrong comes as an exception. Before 0.10.2 JAX also logs an error for each function of the cache: on
    # some AMD processors it takes what it compiled itself for another machine's.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from toydiff.base.checks import InputError

    row = COMMANDS[command]
    try:
        if row.computes:
            from toydiff.base.compile_cache import keep_compiled

            keep_compiled()
        return row.run(make_parser(command, row.summary), arguments)
    except InputError as error:
        print(f"toydiff {command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
