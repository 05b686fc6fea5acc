"""Scenes of one to four panels, and the laboratory's file."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import untrained

from toydiff import InputError
from toydiff.distributions.catalogue import distribution
from toydiff.explorer import compute, drawing
from toydiff.explorer.lab_file import file_bytes, open_file
from toydiff.explorer.scene import LINKED, Scene, compare, default_scenes
from toydiff.explorer.state import SIGMAS, ModelChoice, State, whole_view
from toydiff.networks.library import Library
from toydiff.networks.recipe import Recipe

pytestmark = pytest.mark.usefixtures("few_draws_throughout")
CFG, AUTO = State(method="cfg", weight=4.0), State()


@pytest.mark.parametrize("scene", default_scenes().values(), ids=default_scenes())
def test_every_scene_comes_back_from_json(scene):
    assert Scene.from_json(scene.to_json()) == scene


def test_the_panels_share_what_is_linked_and_nothing_else():
    scene = compare(CFG, AUTO)
    moved = replace(CFG, sigma=SIGMAS[7], seed=5, weight=2.0, probe=(0.1, 0.2), layers=("samples",))
    first, second = scene.with_state(moved).panels
    assert first == moved
    assert {name: getattr(second, name) for name in LINKED} == {name: getattr(moved, name) for name in LINKED}
    assert (second.method, second.weight, second.guide) == (AUTO.method, AUTO.weight, AUTO.guide)


def test_panels_that_do_not_know_the_data_get_models_that_do():
    scene = compare(replace(CFG, main=ModelChoice(16)), AUTO)
    gaussians = State(distribution="three_gaussians", main=ModelChoice(exact=True), guide=ModelChoice(exact=True))
    assert all(state.main.exact and state.guide.exact for state in scene.with_state(gaussians).panels)
    both = scene.with_state(replace(scene.state, classes="AB"))
    assert [state.classes for state in both.panels] == ["AB", "AB"]
    assert both.panels[1].main == ModelChoice()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the state is not JSON"),
        ("[]", "state is .*; it must be an object"),
        ('{"panels": []}', "a scene has 0 panels; it must have 1 to 4"),
        ('{"panels": 3}', "panels is 3; it must be a list of states"),
        ('{"panels": [{}, {}, {}, {}, {}]}', "a scene has 5 panels; it must have 1 to 4"),
        ('{"panels": [{"weight": -1}]}', "weight is -1"),
        ('{"panels": [{}], "active": 1}', "active is 1; it must be a whole number from 0 to 0"),
        ('{"panels": [{}], "hidden": ["nose"]}', "unknown control to hide 'nose'; there are tabs, guidance"),
        ('{"panels": [{}], "hidden": "seed-box"}', "hidden is 'seed-box'; it must be a list of names"),
        ('{"panels": [{}], "title": 5}', "the title of a scene must be text of at most 1000 characters"),
        ('{"panels": [{}], "size": 5}', "unknown field 'size' of the scene; there are active, hidden, panels"),
    ],
)
def test_bad_scenes_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        Scene.from_json(text)


def test_a_copied_state_of_one_picture_is_a_scene():
    assert Scene.from_json(CFG.to_json()) == Scene((CFG,))


def test_several_pictures_are_drawn_side_by_side_under_their_captions():
    states = [replace(state, points=50, layers=("outlines",)) for state in (CFG, AUTO, AUTO)]
    figure = drawing.draw(*states, width=1920)
    boxes = [ax.get_window_extent() for ax in figure.axes]
    assert [round(box.x0) for box in boxes] == [0, 648, 1296]
    assert {(round(box.y0), round(box.width), round(box.height)) for box in boxes} == {(0, 624, 624)}
    captions = [ax.texts[0] for ax in figure.axes]
    assert [text.get_text().replace("\n", " ") for text in captions[:2]] == [
        "CFG, w = 4 · 64/4096 − 32/512",
        "Autoguidance, w = 3 · 64/4096 − 32/512",
    ]
    for text, box in zip(captions, boxes, strict=True):
        extent = text.get_window_extent()
        assert box.x0 <= extent.x0 < extent.x1 <= box.x1
        assert box.y1 <= extent.y0 < extent.y1 <= figure.bbox.height
        assert text.get_fontsize() * figure.dpi / 72 >= 28


@pytest.fixture(scope="module")
def trained():
    """A library with a family of two small networks, its name, and a scene that uses both."""
    library = Library()
    family = library.new_family("fractal_tree")
    library.add_snapshots(family, untrained(Recipe(widths=(4, 8)), 4, 8))
    state = State(main=ModelChoice(8, 8, family=family), guide=ModelChoice(4, 4, family=family))
    return library, family, Scene((state,), title="Mine", question="Why?", hidden=("seed-box",))


def test_a_trained_family_samples(trained):
    library, _, scene = trained
    state = replace(scene.state, points=64)
    assert np.isfinite(np.asarray(compute.trajectory(state, compute.QUICK, library).samples)).all()
    with pytest.raises(InputError, match="has no network AB/4/4: train AB too, or set it exact"):
        compute.models_of(replace(state, method="cfg"), library)
    with pytest.raises(InputError, match="no network with main width 64; there are 4, 8"):
        compute.models_of(replace(state, main=replace(state.main, width=64)), library)
    with pytest.raises(InputError, match="unknown family of networks 'training 1'; there are bundled"):
        compute.models_of(state)


def test_one_name_in_two_libraries_is_two_networks(trained):
    """What is kept of one is not shown for the other."""
    library, family, scene = trained
    other = Library()
    assert other.new_family("fractal_tree") == family
    recipe = Recipe(widths=(4, 8), seed=1)
    other.add_snapshots(family, untrained(recipe, 4, 8))
    state = replace(scene.state, points=64)
    here, there = (np.asarray(compute.trajectory(state, compute.QUICK, each).samples) for each in (library, other))
    assert np.abs(here - there).max() > 1e-3


def test_the_file_restores_the_laboratory_in_another_kernel(trained):
    library, _, scene = trained
    content = file_bytes(scene, default_scenes() | {"Mine": scene}, library)
    assert open_file(content, library) == (scene, {"Mine": scene})  # the networks are at hand
    other = Library()
    other.new_family("fractal_tree", "training")  # the name is taken by something else
    restored, views = open_file(content, other)
    assert (restored.title, restored.question, restored.hidden) == ("Mine", "Why?", ("seed-box",))
    assert restored.state.main == ModelChoice(8, 8, family="loaded 1")
    assert views == {"Mine": restored}
    there = compute.models_of(restored.state, other)
    here = compute.models_of(scene.state, library)
    x = np.array([[0.3, 0.3]], np.float32)
    np.testing.assert_array_equal(there.guided.score(x, 0.1), here.guided.score(x, 0.1))


def test_damaged_files_are_refused(trained):
    library, family, scene = trained
    good = json.loads(file_bytes(scene, {}, library))

    def refused(message, **changed):
        with pytest.raises(InputError, match=message):
            open_file(json.dumps(good | changed).encode(), library)

    refused("panels is 5; it must be a list of states", scene={"panels": 5})
    refused("main family is .*; it must be the name", scene={"panels": [{"main": {"family": ["x"]}}]})
    refused("weight is -1", scene={"panels": [{"weight": -1}]}, networks=[good["networks"][0] | {"family": "other"}])
    assert library.families("fractal_tree") == ["bundled", family]  # what cannot be shown leaves nothing behind
    refused("the file has format 2; this toydiff reads format 1", format=2)
    refused("the file is a 'drawing'; a laboratory is wanted", toydiff="drawing")
    refused("has lost its scenes or networks", networks=None)
    refused("network 1 of the file is damaged", networks=[{"family": "a", "file": "?"}])
    refused("network 1 of the file is damaged", networks=[5])
    truncated = base64.b64encode(base64.b64decode(good["networks"][0]["file"])[:50]).decode()
    refused(
        "^cannot read network 1.safetensors: it is truncated or not a safetensors file",
        networks=[{"family": "a", "file": truncated}],
    )
    refused("unknown family of networks", networks=[], scene={"panels": [{"main": {"family": "nobody's"}}]})
    with pytest.raises(InputError, match="not JSON"):
        open_file(b"\xff\x00", library)


def test_a_family_that_is_at_hand_in_part_is_loaded_whole():
    recipe = Recipe(widths=(4,))
    library = Library()
    family = library.new_family("fractal_tree")
    library.add_snapshots(family, untrained(recipe, 4, 8))
    scene = Scene((State(main=ModelChoice(4, 8, family=family), guide=ModelChoice(4, 4, family=family)),))
    content = file_bytes(scene, {}, library)
    library = Library()
    assert library.new_family("fractal_tree") == family
    library.add_snapshots(family, untrained(recipe, 4))
    restored, _ = open_file(content, library)
    assert restored.state.main == ModelChoice(4, 8, family="loaded 1")
    assert restored.state.guide == ModelChoice(4, 4, family="loaded 1")


def test_panels_keep_their_models_where_these_know_the_new_class():
    exact = ModelChoice(exact=True)
    scene = compare(State(main=ModelChoice(16, 512)), State(main=ModelChoice(8, 256)), State(main=exact))
    both = scene.with_state(replace(scene.state, classes="AB"))
    assert [state.main for state in both.panels] == [ModelChoice(16, 512), ModelChoice(8, 256), exact]


@pytest.mark.parametrize("name", ["three_gaussians", "grid_of_gaussians", "letters"])
def test_the_whole_view_holds_what_is_sampled(name):
    x = np.asarray(distribution(name, "A").sample(0, 4096))
    assert whole_view(name, "A").contains(x).mean() > 0.97


def test_all_panels_start_from_the_same_noise():
    states = tuple(replace(state, points=300) for state in (CFG, AUTO))
    start = [np.asarray(compute.trajectory(s, compute.Quality.full(s)).x[0]) for s in states]
    np.testing.assert_array_equal(*start)
