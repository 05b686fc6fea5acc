"""The laboratory's file: a scene, the views of a lecture, and the networks that they need, as JSON."""

import base64
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toydiff.base.checks import InputError, shown
from toydiff.distributions.catalogue import Source
from toydiff.explorer.scene import Scene, default_scenes
from toydiff.networks.library import BUNDLED, Library
from toydiff.networks.names import ModelName

FORMAT = 1
"""Version of the file's layout; raised when an older toydiff could not read it."""


def file_bytes(scene: Scene, scenes: Mapping[str, Scene], library: Library) -> bytes:
    """The file of a scene and of those of `scenes` that are not the explorer's own."""
    views = {name: view for name, view in scenes.items() if default_scenes().get(name) != view}
    values = {
        "toydiff": "laboratory",
        "format": FORMAT,
        "scene": scene.to_json(),
        "scenes": {name: view.to_json() for name, view in views.items()},
        "networks": [
            {"family": family, "file": base64.b64encode(library.file_of(distribution, family, name)).decode()}
            for distribution, family, name in _own_networks([scene, *views.values()], library)
        ],
    }
    return json.dumps(values).encode()


def _own_networks(scenes: Iterable[Scene], library: Library) -> list[tuple[Source, str, ModelName]]:
    """The networks that are not bundled, of the sizes that the panels use: distribution, family and name."""
    sizes = {
        (state.distribution, model.family, model.width, model.steps)
        for scene in scenes
        for state in scene.panels
        for model in state.models_used
        if not model.exact and model.family != BUNDLED
    }
    return [
        (distribution, family, name)
        for distribution, family, width, steps in sorted(sizes, key=str)
        for name in library.networks(distribution, family)
        if (name.width, name.steps) == (width, steps)
    ]


def open_file(content: bytes, library: Library) -> tuple[Scene, dict[str, Scene]]:
    """The scene and the views in a file; its networks join those of the library.

    A state or a scene that was copied as text is taken too.

    Raises:
        InputError: it is no such file, or of another version, or a network or a state in it cannot be used.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("the file is not JSON; open one that the explorer saved") from None
    if not isinstance(values, dict) or "toydiff" not in values:
        return Scene.from_json(values, library), {}
    if values["toydiff"] != "laboratory":
        raise InputError(f"the file is a {shown(values['toydiff'])}; a laboratory is wanted")
    if values.get("format") != FORMAT:
        raise InputError(f"the file has format {shown(values.get('format'))}; this toydiff reads format {FORMAT}")
    if not isinstance(values.get("scenes"), dict) or not isinstance(values.get("networks"), list):
        raise InputError("the file has lost its scenes or networks; save it again")
    renamed = _load_networks(values["networks"], library)
    try:
        scenes = {name: _renamed(view, renamed, library) for name, view in values["scenes"].items()}
        return _renamed(values.get("scene"), renamed, library), scenes
    except InputError:  # what cannot be shown leaves nothing behind
        for old, new in renamed.items():
            if new != old:
                library.forget(new)
        raise


def _load_networks(entries: list[Any], library: Library) -> dict[str, str]:
    """Load families of networks into new ones, or find them where they are at hand; old names to new."""
    renamed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, list[Path]] = {}
        for i, entry in enumerate(entries, 1):
            path = Path(folder) / f"network {i}.safetensors"
            try:
                path.write_bytes(base64.b64decode(entry["file"], validate=True))
                paths.setdefault(str(entry["family"]), []).append(path)
            except (KeyError, TypeError, ValueError):
                raise InputError(f"network {i} of the file is damaged; save it again") from None
        for family, files in paths.items():
            at_hand = all(library.holds(family, path) for path in files)
            renamed[family] = family if at_hand else library.load_files(files)[0]
    return renamed


def _renamed(values: Any, renamed: Mapping[str, str], library: Library) -> Scene:
    """A scene from its values, with the families under the names that they have here."""
    panels = values.get("panels") if isinstance(values, dict) else None
    for panel in panels if isinstance(panels, list) else []:
        for model in (panel.get("main"), panel.get("guide")) if isinstance(panel, dict) else []:
            if isinstance(model, dict) and isinstance(model.get("family"), str) and model["family"] in renamed:
                model["family"] = renamed[model["family"]]
    return Scene.from_json(values, library)
