"""What an exported page holds beside its points: scenes, menus and numbers, in the front end's own form."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from toydiff.base.version import __version__
from toydiff.explorer.choices import ladder, menus
from toydiff.explorer.frames import outlines
from toydiff.explorer.layers import LAYERS
from toydiff.explorer.page.pack import quanta
from toydiff.explorer.page.runs import LEVELS, Run, state_of
from toydiff.explorer.scene import Scene, default_scenes
from toydiff.explorer.state import State
from toydiff.sampling.schedules import noise_schedule

COMPUTED = [name for name, row in LAYERS.items() if row.kind]
"""Layers that need the models, which no page holds."""
CONTROLS = ("run", "main-size", "main-exact", "guide-exact", "weight-curve", "probing")
REASONS = {
    "data": "recorded",
    **dict.fromkeys(CONTROLS, "recorded: needs Python"),
    **{f"layer-{name}": "not recorded: densities and arrows need Python" for name in COMPUTED},
}
"""By control: why it has no effect in a page."""
FIXED = ("interval", "knobs", "solver", "steps", "start")
"""What a page says where it is not as usual."""
BROUGHT = ("method", "weight", "weight_curve", "interval", "knobs", "guide")
"""What a choice of a method decides; the rest of the state is the same for all runs."""


def manifest(scene: Scene, runs: Sequence[Run]) -> dict[str, Any]:
    """All but the points: what engine.js reads, to show this scene or what of it was recorded."""
    state = scene.state
    shown = [min(run.states, key=partial(_distance, state_of(state, run.method).weight)) for run in runs]
    own = {one.method: i for i, one in enumerate(shown) if one.guide == state_of(state, one.method).guide}
    sigma, points = noise_schedule()[list(LEVELS)], runs[0].path.shape[2]
    drawn = {"points": points, "layers": tuple(name for name in state.layers if name not in COMPUTED), "probe": None}
    scene = replace(scene, panels=(replace(shown[own.get(state.method, max(own.values()))], **drawn),))
    return {
        "about": {"grow": True, "made": _made(state, runs[0].numbers[0]["count"])},
        "scene": scene.to_json(),
        "scenes": {name: other.to_json() for name, other in _scenes(scene, runs).items()},
        "outlines": outlines(state.distribution, state.classes).header,
        "levels": sigma.tolist(),
        "quanta": quanta(sigma).tolist(),
        "samples": runs[0].numbers[0]["count"],
        "own": own,
        "runs": [
            {
                "state": {name: one.to_json()[name] for name in BROUGHT},
                "sized": run.sized,
                "weights": [state.weight for state in run.states],
                "numbers": _short(run.numbers),
                "menus": _menus(one, run, runs),
            }
            for one, run in zip(shown, runs, strict=True)
        ],
    }


def _distance(weight: float, state: State) -> float:
    return abs(state.weight - weight)


def _scenes(scene: Scene, runs: Sequence[Run]) -> dict[str, Scene]:
    """The page as it was opened, and those of the explorer's scenes of which everything was recorded."""
    found = {"as opened": scene}
    recorded = {state.setting for run in runs for state in run.states}
    for name, other in default_scenes().items():
        if all(one.setting in recorded and not set(one.layers) & set(COMPUTED) for one in other.panels):
            panels = tuple(replace(one, points=scene.state.points) for one in other.panels)
            found[name] = replace(other, panels=panels, title=scene.title)
    return found


def _menus(state: State, run: Run, runs: Sequence[Run]) -> dict[str, Any]:
    """What the front end offers where this run is shown."""
    offered, main = menus(state), state.main
    guides = [other.states[0].guide for other in runs if other.method == run.method]
    widths, steps = (sorted({getattr(guide, name) for guide in guides}) for name in ("width", "steps"))
    short = dict(offered["method"])
    only = {"distribution": offered["data"], "classes": state.classes}
    return {
        **offered,
        **{name: [row for row in offered[name] if row[0] == value] for name, value in only.items()},
        "method": [[name, short[name]] for name in dict.fromkeys(other.method for other in runs)],
        "knobs": {},
        "weight": offered["weight"] and {"stops": [state.weight for state in run.states]},
        "main": {"families": [main.family], "widths": [main.width], "steps": [main.steps], "ladder": []},
        "guide": {"families": [state.guide.family], "widths": widths, "steps": steps}
        | {"ladder": ladder(widths, steps, state.guide)},
        "reasons": REASONS | offered["reasons"],
    }


def _short(numbers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of numbers in as many digits as are shown."""
    return [
        {name: {key: float(f"{value:.4g}") for key, value in row.items()} for name, row in one["rows"].items()}
        for one in numbers
    ]


def _made(state: State, samples: int) -> list[str]:
    """What is seen, and how it was made, in a few lines."""
    main = "the exact density" if state.main.exact else f"width {state.main.width}, {state.main.steps:,} steps"
    usual = State().to_json()
    unusual = [f"{name} {value}" for name, value in state.to_json().items() if name in FIXED and value != usual[name]]
    return [
        "Every point is one sample of a small diffusion model, from the same noise whatever you set; w = 1 is no "
        "guidance. The shaded area is the true distribution: 99% of it lies inside.",
        f"At rest every point was computed, at σ = 0 and {len(LEVELS) - 1} other noise levels; in between, and while a "
        "weight is dragged, points go straight from one place to the next.",
        f"Numbers: {samples:,} samples, seed {state.seed}; exact: as many exact samples. Main model: {main}.",
        *([f"{state.row.short}: {', '.join(unusual)}."] if unusual else []),
        f"Made by toydiff {__version__}, toydiff export-html.",
    ]
