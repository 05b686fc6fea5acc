"""The arguments of the `toydiff` command. Heavy imports wait inside the functions here too."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Refuses bad arguments as the commands refuse bad input."""

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


def make_parser(command: str, summary: str) -> Parser:
    """The parser of a command."""
    return Parser(prog=f"toydiff {command}", description=summary, formatter_class=_HelpFormatter, allow_abbrev=False)


def comma_separated(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Converts "8,16" to a list."""

    def parse(text: str) -> list[Any]:
        return [convert(part.strip()) for part in text.split(",")]

    parse.__name__ = f"comma-separated {convert.__name__}"  # argparse names it in its message
    return parse


def weight(text: str) -> Any:
    """A weight from "3", or a curve over the noise level from "0.01:1,0.1:3": pairs of sigma and w."""
    if ":" not in text:
        return float(text)
    from toydiff.guidance.guided import WeightCurve

    pairs = [[float(number) for number in part.split(":", 1)] for part in text.split(",")]
    return WeightCurve(*zip(*pairs, strict=True))


def given_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> set[str]:
    """Names of the options that differ from their defaults."""
    return {name for name, value in vars(options).items() if value != parser.get_default(name)}


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """The options of `train`."""
    from toydiff.networks.energy import NETWORKS
    from toydiff.networks.recipe import Recipe

    recipe = Recipe()
    add = parser.add_argument
    add(
        "--zoo",
        action="store_true",
        help="train every bundled network; --out is then a folder",
    )
    add("--only", type=comma_separated(str), help="with --zoo: the networks of these distributions, comma-separated")
    add(
        "--out",
        type=Path,
        help="file to write, .safetensors; with several of a kind put {width}, {member} or {step} in it",
        required=True,
    )
    add("--distribution", default=recipe.distribution, help="what to learn: a name or the path of a drawing, .json")
    add("--classes", default=recipe.classes, help="its classes, such as A or AB")
    add(
        "--width",
        type=comma_separated(int),
        default=list(recipe.widths),
        help="of the layers; several train on shared batches",
    )
    add(
        "--members",
        type=int,
        default=recipe.members,
        help="networks of each width, which differ in their first weights",
    )
    add("--depth", type=int, default=recipe.depth, help="hidden layers")
    add("--network", default=recipe.network, help=f"kind of network, one of {', '.join(NETWORKS)}")
    add("--steps", type=int, default=4096, help="training steps")
    add("--snapshots", type=comma_separated(int), default=[], help="steps to keep beside the last")
    add("--seed", type=int, default=recipe.seed, help="of the first weights and the batches")
    add("--loss", default=recipe.loss, help="exact or denoising score matching")
    add("--batch", type=int, default=recipe.batch, help="points a step")
    add("--labelled", action="store_true", help="one network for each class and for all")
    add("--free-gain", action="store_true", help="let chance decide the sign of the network's gain, as in the paper")
    add(
        "--averages",
        action="store_true",
        help="write OUT.averages.safetensors too: as a model, OUT.averages.safetensors/ema0.05 and any other length",
    )
    add("--resume", action="store_true", help="go on from the checkpoint beside --out")
    add("--overwrite", action="store_true", help="start again although there is a checkpoint beside --out")
    add("--quiet", action="store_true", help="no progress bar")


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sample` and `evaluate`."""
    from toydiff.guidance import methods
    from toydiff.sampling import schedules, solvers

    add = parser.add_argument
    add("--method", default="unguided", help=f"one of {', '.join(methods.METHODS)}")
    add(
        "-w",
        "--weight",
        type=weight,
        help="guidance weight, 1 is no guidance; or a curve, as SIGMA:W,SIGMA:W,... (default: the method's)",
    )
    add(
        "--main",
        help="the guided model: CLASSES/WIDTH/STEPS (and /labelled, /seed1, /ema0.05), exact/CLASSES or a file "
        "(default: A/64 at its last snapshot)",
    )
    add(
        "--guide",
        action="append",
        help="likewise a model to steer away from, once for each that the method takes (default: the distribution's)",
    )
    add(
        "--interval",
        type=float,
        nargs=2,
        metavar=("LO", "HI"),
        help="guide where LO < sigma <= HI only (default: everywhere)",
    )
    for name, knob in methods.all_knobs().items():
        add(f"--{name.replace('_', '-')}", type=float, help=f"{knob.help} (default: {knob.default:g})")
    add("--distribution", default="fractal_tree", help="that the models are of: a name or a drawing's .json file")
    add("-n", type=int, default=16_384, help="how many samples")
    add("--seed", type=int, default=0, help="of the noise")
    add("--solver", default="heun", help=f"one of {', '.join(solvers.SOLVERS)}")
    add("--steps", type=int, default=schedules.STEPS, help="of the solver")
    add("--sigma-max", type=float, default=schedules.SIGMA_MAX, help="noise level at the start")
    add("--sigma-min", type=float, default=schedules.SIGMA_MIN, help="last noise level before 0")
    add("--start", default="exact", help="exact draws at sigma-max, or pure noise")


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sweep`."""
    from toydiff.measuring import metrics, sweep_axes

    add = parser.add_argument
    add(
        "grid",
        nargs="*",
        default=[],
        metavar="AXIS=VALUES",
        help="lists such as method=cfg,mix and ranges such as weight=1:4:0.5, which holds its end; "
        f"all combinations are measured. The axes: {', '.join(sweep_axes.AXES)}",
    )
    add("--out", type=Path, help="the table's file, .csv; what it already holds is not measured again")
    add("--from", type=Path, dest="table", metavar="CSV", help="draw this table; nothing is measured")
    add("-n", type=int, default=4096, help="samples of each setting")
    add(
        "--metrics",
        type=comma_separated(str),
        default=list(metrics.USUAL),
        help="what is measured, comma-separated, or all",
    )
    add("--plot", type=Path, help="picture to write, .png, .pdf or .svg")
    add("--metric", help="of the picture (default: the first)")
    add("--x", help="its axis (default: the first that varies)")
    add("--y", help="its other axis: a heat map")
    add("--by", help="an axis with a curve for each of its values")
    add(
        "--coordinator",
        metavar="HOST:PORT",
        help="share the settings with other processes that run the same command: where process 0 listens, "
        "or auto under SLURM, Open MPI and on a TPU slice",
    )
    add("--num-processes", type=int, metavar="N", help="with --coordinator: how many there are")
    add("--process-id", type=int, metavar="I", help="with --coordinator: which of them this is, from 0")
    add("--quiet", action="store_true", help="no progress bar")
