"""What a choice brings with it, what the menus offer, and why a control has no effect."""

import itertools
import json
import math
from dataclasses import replace

import pytest
from helpers import untrained

from toydiff import InputError
from toydiff.distributions.catalogue import DISTRIBUTIONS
from toydiff.distributions.drawing import Drawing
from toydiff.explorer.choices import CHOICES, OWN, SAME_EXACT, choose, guide_in_words, menus, reasons
from toydiff.explorer.scene import default_scenes
from toydiff.explorer.state import TREE_VIEW, ModelChoice, State, whole_view, with_classes
from toydiff.guidance.methods import METHODS
from toydiff.measuring.setting import check_networks
from toydiff.networks.library import BUNDLE, Library
from toydiff.networks.recipe import Recipe
from toydiff.results.plotting import View

EXACT = ModelChoice(exact=True)
EVERYWHERE = (0.0, math.inf)
STROKES = [{"class": label, "thickness": 0.2, "points": [[-0.5, y], [0.5, y]]} for label, y in (("A", 0.0), ("B", 0.8))]


@pytest.fixture(scope="module")
def drawn():
    """A state of a drawing with two classes."""
    drawing = Drawing.from_json({"toydiff": "drawing", "format": 1, "strokes": STROKES})
    return with_classes(State(), drawing, "A")


@pytest.fixture(scope="module")
def trained():
    """A library with a family of four small networks of class A, and its name."""
    library = Library()
    family = library.new_family("fractal_tree")
    library.add_snapshots(family, untrained(Recipe(widths=(4, 8)), 4, 8))
    return library, family


# What a choice brings.


@pytest.mark.parametrize(
    ("method", "brings"),
    [
        ("cfg", {"weight": 4.0, "guide": ModelChoice(32, 512), "interval": EVERYWHERE}),
        ("truncation", {"weight": 1.4, "interval": EVERYWHERE}),
        ("autoguidance", {"weight": 3.0, "guide": ModelChoice(32, 512), "interval": EVERYWHERE}),
        ("mix", {"weight": 3.0, "guide": ModelChoice(32, 512), "interval": EVERYWHERE}),
        ("self-guidance", {"weight": 2.0, "interval": EVERYWHERE}),
        ("sharpened", {"weight": 3.0, "guide": ModelChoice(64, 1024), "interval": (0.003, 0.04)}),
        ("classifier", {"weight": 4.0, "interval": EVERYWHERE}),
        ("unguided", {"weight": 1.0, "interval": EVERYWHERE}),
    ],
)
def test_a_method_brings_its_own_from_wherever_one_comes(method, brings):
    """A lecturer's CFG once kept the weight 1 of no guidance, and "sharpened" came without its interval."""
    bent = {"weight_curve": (2.0,) * 13, "interval": (0.5, 1.0)}
    for before in (*METHODS, method):
        knobs = {"share": 0.1} if before == "mix" else {}
        state = choose(
            State(method=before, weight=7.0, knobs=knobs, guide=ModelChoice(8, 128), **bent), "method", method
        )
        assert {name: getattr(state, name) for name in brings} == brings, before
        assert (state.method, state.weight_curve, state.knobs) == (method, None, ())


def test_every_method_of_the_table_can_be_chosen():
    for name, row in METHODS.items():
        state = choose(State(method="unguided"), "method", name)
        assert (state.method, state.weight, state.interval) == (name, row.weight, row.interval)


def test_a_method_leaves_models_that_a_person_has_chosen(trained):
    library, family = trained
    own = State(main=ModelChoice(8, 8, family=family), guide=ModelChoice(4, 4, family=family), seed=5, sigma=0.1)
    assert choose(own, "method", "sharpened", library).guide == own.guide
    assert choose(State(guide=EXACT), "method", "cfg").guide == EXACT
    state = choose(own, "method", "cfg", library)
    assert (state.main, state.seed, state.sigma, state.view) == (own.main, 5, 0.1, own.view)


def test_data_bring_their_first_class_their_models_and_their_view():
    state = choose(State(probe=(0.1, 0.2), seed=3), "distribution", "letters")
    assert (state.distribution, state.classes) == ("letters", "A")
    assert (state.main, state.guide) == (ModelChoice(64, 2048), ModelChoice(16, 128))
    assert state.view == whole_view("letters", "A") != TREE_VIEW
    assert (state.seed, state.method, state.weight) == (3, "autoguidance", 3.0)
    state = choose(state, "distribution", "three_gaussians")
    assert (state.main, state.guide) == (EXACT, EXACT)
    assert choose(state, "distribution", "fractal_tree") == replace(State(), seed=3, probe=(0.1, 0.2))


def test_classes_bring_networks_where_there_are_some_and_else_exact_scores():
    state = choose(State(main=ModelChoice(16)), "classes", "AB")
    assert (state.main, state.view) == (ModelChoice(16), whole_view("fractal_tree", "AB"))
    state = choose(state, "classes", "B")
    assert (state.main, state.guide) == (EXACT, EXACT)
    state = choose(state, "classes", "A")
    assert (state.main, state.guide, state.view) == (ModelChoice(), ModelChoice(32, 512), TREE_VIEW)


def test_a_drawing_stays_when_it_is_chosen_and_goes_with_other_data(drawn):
    assert choose(drawn, "distribution", OWN) is drawn
    assert choose(drawn, "classes", "AB").classes == "AB"
    assert choose(drawn, "distribution", "fractal_tree").main == ModelChoice()


@pytest.mark.parametrize("which", ["main", "guide"])
def test_exact_scores_come_and_go(which, drawn):
    default = getattr(State(), which)
    state = choose(State(), f"{which}-exact", True)
    assert getattr(state, which) == replace(default, exact=True)
    assert choose(state, f"{which}-exact", False) == State()  # the network of before
    lost = State(**{which: ModelChoice(7, 7, True, family="of another laboratory")})
    assert getattr(choose(lost, f"{which}-exact", False), which) == default
    with pytest.raises(InputError, match=f"{which} is .*exact as true or false"):
        choose(State(), f"{which}-exact", "yes")
    refused = choose(drawn, f"{which}-exact", False)
    with pytest.raises(InputError, match=r"there are no networks of Drawing\(.*\) A: set main exact"):
        check_networks(replace(refused, main=getattr(refused, which)), BUNDLE)


@pytest.mark.parametrize("which", ["main", "guide"])
def test_a_family_brings_the_nearest_of_its_networks(which, trained):
    library, family = trained
    state = choose(State(), f"{which}-family", family, library)
    assert getattr(state, which) == ModelChoice(8, 8, family=family)
    back = choose(state, f"{which}-family", "bundled", library)
    assert getattr(back, which) == ModelChoice(8, 128)
    exact = choose(State(**{which: replace(EXACT, width=4, steps=4)}), f"{which}-family", family, library)
    assert getattr(exact, which) == ModelChoice(4, 4, family=family)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weight", 3, "unknown choice 'weight'; there are method, distribution"),
        ("method", "cgf", "unknown method 'cgf'; there are unguided, cfg"),
        ("method", None, "unknown method None"),
        ("distribution", "oak", "unknown data 'oak'; there are fractal_tree"),
        ("distribution", ["letters"], "unknown data"),
        ("classes", "Q", "unknown classes 'Q'; there are A, B, AB"),
        ("main-family", "training 7", "unknown family 'training 7'; there are bundled"),
        ("guide-family", 5, "unknown family 5"),
        ("guide-exact", None, "guide is .*exact as true or false"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_one_line(name, value, message):
    with pytest.raises(InputError, match=message) as caught:
        choose(State(), name, value)
    assert "\n" not in str(caught.value)


def offered(state, library=BUNDLE):
    """Every choice that the menus of a state offer, as (name, value)."""
    menu = menus(state, library)
    for name in ("method", "distribution", "classes"):
        yield from ((name, value) for value, _ in menu[name])
    for which in ("main", "guide"):
        yield from ((f"{which}-family", family) for family in menu[which]["families"])
        if f"{which}-exact" not in menu["reasons"]:
            yield from ((f"{which}-exact", exact) for exact in (False, True))


def test_all_that_the_menus_offer_can_be_chosen(drawn, trained):
    library, family = trained
    starts = [(state, BUNDLE) for scene in default_scenes().values() for state in scene.panels]
    starts += [(drawn, BUNDLE), (State(main=ModelChoice(8, 8, family=family)), library)]
    done = {name for state, known in starts for name, value in offered(state, known)}
    assert done == set(CHOICES)
    for state, known in dict.fromkeys(starts):
        for name, value in offered(state, known):
            check_networks(choose(state, name, value, known), known)


# What the menus offer.


@pytest.mark.parametrize("method", METHODS)
def test_menus_are_json_and_hold_what_is_chosen(method, drawn):
    for data in ("fractal_tree", "letters", "three_gaussians", drawn):
        state = drawn if data is drawn else choose(State(), "distribution", data)
        state = choose(state, "method", method)
        if method == "self-guidance" and state.main.exact:
            state = replace(state, method="cfg")  # it needs a network
        menu = menus(state)
        assert json.loads(json.dumps(menu, allow_nan=False)) == json.loads(json.dumps(menu))
        assert state.method in dict(menu["method"])
        assert menu["data"] in dict(menu["distribution"])
        assert state.classes in dict(menu["classes"])
        assert menu["has_guide"] == bool(state.row.guides)
        for which in ("main", "guide"):
            model, sizes = getattr(state, which), menu[which]
            assert model.family in sizes["families"] or model.exact
            assert model.exact or (model.width in sizes["widths"] and model.steps in sizes["steps"])
        assert all(isinstance(why, str) and "\n" not in why and why for why in menu["reasons"].values())


def test_a_menu_names_its_entries_shortly():
    menu = menus(State())
    assert dict(menu["method"])["cfg"] == "CFG"
    assert max(len(label) for _, label in menu["method"]) <= 20
    assert dict(menu["distribution"]) == {name: name.replace("_", " ") for name in DISTRIBUTIONS}
    assert menu["classes"] == [["A", "class A"], ["B", "class B"], ["AB", "all classes"]]
    assert menu["words"]["source"] == "Karras et al. 2024, arXiv 2406.02507"
    assert View(**menu["whole"]) == TREE_VIEW


def test_the_knobs_of_the_method_are_offered_with_their_values():
    assert menus(State())["knobs"] == {}
    knob = menus(State(method="mix", knobs={"share": 0.25}))["knobs"]["share"]
    assert (knob["low"], knob["high"], knob["default"], knob["value"]) == (0, 1, 0.5, 0.25)
    assert (menus(State())["weight"]["low"], menus(State())["weight"]["high"]) == (0, 100)
    assert menus(State(method="unguided"))["weight"] is None


def test_a_drawing_stands_in_the_menu_of_data_as_long_as_it_is_there(drawn):
    assert (menus(drawn)["data"], menus(drawn)["distribution"][-1]) == (OWN, [OWN, "your drawing"])
    assert OWN not in dict(menus(State())["distribution"])


@pytest.mark.parametrize("which", ["main", "guide"])
@pytest.mark.parametrize("width", [8, 32, 128])
@pytest.mark.parametrize("steps", [128, 1024, 4096])
def test_the_ladder_goes_from_bad_to_good_through_the_chosen_size(which, width, steps):
    sizes = menus(State(**{which: ModelChoice(width, steps)}))[which]
    ladder = sizes["ladder"]
    assert [width, steps] in ladder
    for worse, better in itertools.pairwise(ladder):
        assert worse != better
        assert worse[0] <= better[0]
        assert worse[1] <= better[1]
    assert all(w in sizes["widths"] and s in sizes["steps"] for w, s in ladder)
    assert (ladder[0], ladder[-1]) == ([8, 128], [128, 4096])


def test_a_ladder_of_few_networks_has_all_of_them_and_one_of_an_exact_score_none(trained):
    library, family = trained
    sizes = menus(State(main=ModelChoice(4, 8, family=family)), library)["main"]
    assert (sizes["families"], sizes["widths"], sizes["steps"]) == (["bundled", family], [4, 8], [4, 8])
    assert sizes["ladder"] == [[4, 4], [4, 8], [8, 8]]
    sizes = menus(State(main=EXACT))["main"]
    assert (sizes["widths"], sizes["steps"], sizes["ladder"]) == ([], [], [])


# Why a control has no effect.

NO_GUIDE = {"guide-size": "this method has no guide", "guide-exact": "this method has no guide"}
NO_SIZE = "an exact score has no size"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), {}),
        (State(method="cfg"), {}),
        (State(method="mix"), {}),
        (State(method="truncation"), NO_GUIDE),
        (State(method="unguided"), {"weight": "nothing to weigh without guidance: choose a method"} | NO_GUIDE),
        (State(main=EXACT, guide=EXACT), {"weight": SAME_EXACT, "main-size": NO_SIZE, "guide-size": NO_SIZE}),
        (State(method="cfg", main=EXACT, guide=EXACT), {"main-size": NO_SIZE, "guide-size": NO_SIZE}),
        (State(method="mix", main=EXACT, guide=EXACT), {"main-size": NO_SIZE, "guide-size": NO_SIZE}),
        (State(method="cfg", classes="AB", main=EXACT, guide=EXACT), {"weight": SAME_EXACT, "main-size": NO_SIZE}),
        (State(main=EXACT), {"main-size": NO_SIZE}),
        (State(guide=ModelChoice()), {"weight": "main and guide are the same network: choose a worse guide"}),
        (State(method="cfg", guide=ModelChoice()), {}),
        (State(method="truncation", main=EXACT, guide=EXACT), {"main-size": NO_SIZE} | NO_GUIDE),
        (State(method="classifier"), {"guide-size": "the guide is a classifier: it has no size here"}),
    ],
)
def test_a_control_without_effect_says_why(state, expected):
    found = reasons(state)
    assert {name: found.get(name) for name in expected} == expected
    assert ("weight" in found) == ("weight" in expected)
    assert set(found) - set(expected) <= {"guide-size"}


def test_where_there_are_no_networks_a_score_cannot_be_anything_but_exact(drawn):
    why = "no networks know this class: train some"
    for state in (drawn, choose(State(), "distribution", "three_gaussians"), choose(State(), "classes", "B")):
        found = reasons(state)
        assert (found["main-exact"], found["guide-exact"], found["weight"]) == (why, why, SAME_EXACT)
    rings = choose(choose(State(), "distribution", "rings"), "method", "classifier")
    assert reasons(rings)["guide-exact"] == "no trained classifier knows this class"
    assert "main-exact" not in reasons(rings)


# The guide in words.


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(), "same class, smaller, less trained"),
        (State(guide=ModelChoice(64, 512)), "same class, less trained"),
        (State(guide=ModelChoice(32, 4096)), "same class, smaller"),
        (State(guide=ModelChoice(128, 4096)), "same class, wider"),
        (State(guide=ModelChoice()), "same class, as good"),
        (State(main=EXACT), "same class, smaller"),
        (State(method="cfg"), "both classes, smaller, less trained"),
        (State(method="cfg", guide=ModelChoice()), "both classes, as good"),
        (State(guide=ModelChoice(4, 8, family="training 1")), "same class, training 1"),
        (State(guide=EXACT), "exact"),
        (State(method="classifier"), "trained classifier"),
        (State(method="truncation"), ""),
        (State(method="unguided"), ""),
    ],
)
def test_the_guide_is_said_in_words(state, words):
    assert guide_in_words(state) == words


def test_of_three_classes_it_is_all_of_them():
    state = choose(choose(State(), "distribution", "three_gaussians"), "method", "cfg")
    assert guide_in_words(state) == "exact"
    assert menus(state)["words"]["guide"] == "exact"
    assert guide_in_words(replace(state, guide=ModelChoice())).startswith("all classes")
