"""The commands that make something to show to others: figures, films, results, a page that needs no Python."""

from collections.abc import Sequence
from pathlib import Path

from toydiff.cli_options import Parser, comma_separated, given_options


def draw_figures(parser: Parser, arguments: Sequence[str]) -> int:
    """Draw the figures into a folder."""
    from toydiff.results import figures

    add = parser.add_argument
    add("--only", type=comma_separated(str), default=list(figures.FIGURES), help="some of them, comma-separated")
    add("--format", type=comma_separated(str), default=["png"], help=f"some of {', '.join(figures.FORMATS)}")
    add("--out", type=Path, default=Path("figures"), help="folder")
    add("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args(arguments)
    for path in figures.draw_figures(options.only, options.out, formats=options.format, seed=options.seed):
        print(f"wrote {path}")
    return 0


def write_film(parser: Parser, arguments: Sequence[str]) -> int:
    """Write a film."""
    from toydiff.distributions import catalogue
    from toydiff.explorer import animation, films, state

    kinds = "; ".join(f"{name}: {row.title}" for name, row in films.KINDS.items())
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="file, .gif or .mp4; without an ending, a new folder for PNGs")
    add("--film", default="play", help=f"what it shows: {kinds}")
    add(
        "--methods",
        type=comma_separated(str),
        default=["cfg", "autoguidance"],
        help="one to four, comma-separated: side by side, from the same noise",
    )
    add(
        "-w",
        "--weight",
        dest="weights",
        type=comma_separated(float),
        help="guidance weight, one for all or one for each, comma-separated (default: the methods')",
    )
    add("--distribution", default="fractal_tree", help="that the models are of: a name or a drawing's .json file")
    add("--classes", default="A", help="that are sampled")
    add("--layers", type=comma_separated(str), default=list(state.State.layers), help=f"of {', '.join(state.LAYERS)}")
    add("--view", type=float, nargs=3, metavar=("X", "Y", "HALF_WIDTH"), help="square in view (default: everything)")
    add("-n", dest="points", type=int, default=animation.POINTS, help="points of each method")
    add("--seed", type=int, default=0, help="of the noise")
    add("--pixels", type=int, default=animation.PIXELS, help="of each side of each method's picture")
    add("--fps", type=float, default=films.FPS, help="pictures a second")
    add("--seconds", type=float, default=films.SECONDS, help="length of the film, which loops")
    add("--quiet", action="store_true", help="no progress bar")
    options = vars(parser.parse_args(arguments))
    path, quiet = options.pop("out"), options.pop("quiet")
    options["distribution"] = catalogue.open_distribution(options["distribution"])
    animation.animate(path, progress=not quiet, **options)
    print(f"wrote {path}")
    return 0


def write_report(parser: Parser, arguments: Sequence[str]) -> int:
    """Write the page of results."""
    from toydiff.base.checks import InputError
    from toydiff.results import report

    add = parser.add_argument
    add("--only", type=comma_separated(str), default=list(report.SECTIONS), help="some of them, comma-separated")
    add("--out", type=Path, help="folder of RESULTS.md; its pictures come into results/ there (default: figures)")
    options = parser.parse_args(arguments)
    if options.out is None and given_options(parser, options):
        raise InputError("--only makes a page of a part: name another folder for it with --out")
    for path in report.write_report(options.out or Path("figures"), options.only):
        print(f"wrote {path}")
    return 0


def write_page(parser: Parser, arguments: Sequence[str]) -> int:
    """Write the page with sliders."""
    from toydiff.distributions import catalogue
    from toydiff.explorer.page import export, runs
    from toydiff.explorer.state import State, with_classes

    add = parser.add_argument
    add("out", type=Path, help="the page's file, .html")
    add("--methods", type=comma_separated(str), default=list(runs.PAPERS), help="rows of the menu, comma-separated")
    add("--distribution", default="fractal_tree", help="by name, or the file of a drawing")
    add("--classes", help="that are sampled (default: A, or the only one)")
    add("--seed", type=int, default=0, help="of the noise")
    add("--points", type=int, default=1024, help="that are shown; fewer make a smaller file")
    add("--samples", type=int, default=4096, help="that the numbers are measured on")
    add("--title", default=export.TITLE, help="over the page")
    add("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    source = catalogue.open_distribution(options.distribution)
    classes = catalogue.all_classes(source)[0] if options.classes is None else options.classes
    state = with_classes(State(seed=options.seed), source, classes)
    kept = {name: getattr(options, name) for name in ("methods", "points", "samples", "title")}
    size = export.export_html(options.out, state, progress=not options.quiet, **kept)
    print(f"wrote {options.out}, {size / 1e6:.1f} MB: open it in any browser, or send it")
    return 0
