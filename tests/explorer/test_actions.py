"""Drawing, training, sweeps and taking along, by the messages of a front end without one; and what is refused there."""

import ast
import io
import json
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from toydiff import save_model
from toydiff.distributions.drawing import Drawing
from toydiff.explorer import actions, films, trainer
from toydiff.explorer.actions import work
from toydiff.explorer.actions.train import MOST_LOSSES, Coach, loss_curves
from toydiff.explorer.scene import Scene, compare
from toydiff.explorer.session import Session
from toydiff.explorer.state import SIGMAS, ModelChoice, State
from toydiff.measuring.sweep_axes import settings_of
from toydiff.measuring.sweep_table import Sweep, save_sweep
from toydiff.networks.names import ModelName
from toydiff.networks.recipe import Recipe
from toydiff.networks.training import train

START = State(points=100)


class Front:
    """A session that paints nothing, and what it has sent."""

    def __init__(self):
        self.sent = []
        self.session = Session(lambda message, buffers=(): self.sent.append((message, list(buffers))), START)

    def do(self, action, *buffers, **values):
        self.session.receive({"do": action, "with": values}, buffers)

    def all(self, name):
        return [message[name] for message, _ in self.sent if name in message]

    def last(self, name):
        return (self.all(name) or [None])[-1]

    @property
    def said(self):
        return (self.last("say") or {"text": ""})["text"]

    def offered(self):
        return next((message["offer"]["name"], *buffers) for message, buffers in self.sent[::-1] if "offer" in message)


@pytest.fixture(scope="module")
def front(few_draws_throughout):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toydiff.explorer.scheduler.Scheduler.submit", lambda *_: None)
        front = Front()
        yield front
        front.session.close()


@pytest.fixture(autouse=True)
def fresh(front):
    front.session.show(Scene((START,)))
    front.sent.clear()


def wait_until(condition):
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.025)
    pytest.fail("it never happened")


# Drawing.


DRAWING = {
    "toydiff": "drawing",
    "format": 1,
    "strokes": [{"class": "A", "thickness": 0.1, "points": [[-0.5, 0.0], [0.5, 0.2]]}],
}


def stroke(label="A", points=((-0.5, 0.0), (0.5, 0.2)), thickness=0.1):
    return {"class": label, "thickness": thickness, "points": [list(point) for point in points]}


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        ([], "the drawing is empty: it must have a stroke of class A"),
        (None, "strokes must be a list"),
        ([stroke("B")], "class A is empty: a drawing must have a stroke of it"),
        ([stroke(thickness=9)], "stroke 1: thickness of a stroke is 9; it must be a number, at least 0.005"),
        ([stroke(points=[(0, float("nan"))])], "stroke 1: a point of a stroke is (0, nan); both must be from -2 to 2"),
        ([stroke(points=[(-1, y) for y in np.linspace(-1, 1, 2)], thickness=0.005)] * 9, "use a thicker pen"),
    ],
)
def test_a_drawing_that_cannot_be_is_refused_and_the_scene_stays(front, strokes, words):
    before = front.session.scene
    for action in ("explore-drawing", "save-drawing"):
        front.do(action, strokes=strokes)
        assert words in front.said
    assert front.session.scene is before
    assert not front.all("offer")


@pytest.mark.parametrize(
    ("strokes", "classes"),
    [
        pytest.param([stroke(points=[(0.1, 0.1)])], "A", marks=pytest.mark.slow),  # one point is a dot
        ([stroke(), stroke("B", [(0.0, 0.9)])], "AB"),
        pytest.param(
            [stroke(points=[(np.cos(t), np.sin(t)) for t in np.linspace(0, 6, 10_000)])], "A", marks=pytest.mark.slow
        ),
    ],
)
def test_a_drawing_is_explored(front, strokes, classes):
    front.do("explore-drawing", strokes=strokes)
    assert front.said.startswith(f"{classes}: ")
    state = front.session.state
    assert isinstance(state.distribution, Drawing)
    assert state.main.exact
    assert State.from_json(state.to_json()) == state


def test_drawings_are_saved_and_opened(front):
    front.do("save-drawing", strokes=[stroke()])
    name, content = front.offered()
    assert name == "drawing.json"
    front.do("open-drawing", content)
    assert front.last("strokes") == [stroke()]
    front.do("open-drawing", content[:50])
    assert "the file is not JSON" in front.said
    front.do("open-drawing", b'{"toydiff": "sweep"}')
    assert "drawing" in front.said
    front.do("open-drawing")
    assert "the file is not JSON" in front.said
    assert len(front.all("strokes")) == 1
    front.do("bundled-drawing", name="letters")
    assert {s["class"] for s in front.last("strokes")} == {"A", "B"}
    front.do("bundled-drawing", name="unicorns")
    assert "unknown drawing 'unicorns'" in front.said


# Training.

PLAN = {"classes": "A", "widths": "4, 8", "steps": "64", "loss": "exact", "network": "energy", "seed": "0"}


def end(front):
    wait_until(lambda: (front.last("train") or {}).get("running") is False)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"widths": ""}, "width is ''; it must be a whole number"),
        ({"widths": "4, 4"}, "they must all be different"),
        ({"steps": "0"}, "steps is 0; it must be a whole number from 1"),
        ({"steps": "many"}, "steps is 'many'"),
        ({"seed": "-1"}, "seed is -1"),
        ({"loss": "large"}, "unknown loss 'large'"),
        ({"classes": "Z"}, "unknown classes 'Z'"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(front, values, words):
    front.do("train", **PLAN | values)
    assert words in front.said
    assert not front.all("train")


def test_a_plan_without_values_is_refused(front):
    front.do("train")
    assert "unknown classes ''" in front.said


def test_trained_networks_stand_in_the_menus_and_nothing_is_started_twice(front):
    session = front.session
    front.do("train", **PLAN | {"steps": "100000"})
    wait_until(lambda: front.last("train")["losses"])
    assert session.paused
    front.do("train", **PLAN)
    assert "a training is running: stop it first" in front.said
    front.do("stop-training")
    end(front)
    family = session.state.main.family
    assert front.last("train")["status"] == f"stopped; {family} stands in the menus"
    assert session.state.guide.family == family != "bundled"
    assert family in json.dumps(front.last("menus"))
    assert not session.paused
    losses = front.last("train")["losses"]
    assert set(losses["curves"]) == {"4", "8"}
    assert {len(values) for values in losses["curves"].values()} == {len(losses["steps"])}
    front.sent.clear()
    actions.greet(front.session)  # of a view that comes later
    assert front.last("train")["status"].startswith("stopped; ")


def test_progress_is_told_ten_times_a_second_at_most_and_the_last_always():
    sent = []

    class Recorder:
        def send(self, message):
            sent.append((time.monotonic(), message))

    progress = work.Progress(Recorder(), "train", fraction=0.0, running=True)
    begun = time.monotonic()
    while time.monotonic() < begun + 0.35:
        progress.tell(more_follows=True, fraction=time.monotonic() - begun)
        time.sleep(0.002)
    progress.tell(running=False)
    times, messages = zip(*sent, strict=True)
    assert min(np.diff(times[:-1])) >= work.INTERVAL_S - 1e-3
    assert 3 <= len(messages) <= 5
    assert messages[-1]["train"] == {"fraction": progress.values["fraction"], "running": False}
    assert progress.values["fraction"] > 0.3


def test_a_long_loss_curve_stays_small():
    class Training:
        recipe = Recipe(widths=(4, 8))
        losses = np.arange(200_000.0).reshape(-1, 2)

    curves = loss_curves(Training)
    assert len(curves["steps"]) == MOST_LOSSES
    assert curves["steps"][-1] == 100_000
    assert curves["curves"]["8"][0] == pytest.approx(500)


def test_what_a_person_has_chosen_meanwhile_stays(front):
    session = front.session
    front.do("train", **PLAN | {"steps": "4000"})
    wait_until(lambda: session.state.main.family != "bundled")
    session.receive({"set": {"main": {**session.state.to_json()["main"], "exact": True}}})
    front.do("stop-training")
    end(front)
    assert session.state.main.exact
    assert session.state.guide.family in front.last("train")["status"]


def test_a_training_that_fails_says_so_and_the_next_one_runs(front, monkeypatch):
    def broken(*_, **__):
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train", broken)
        front.do("train", **PLAN)
        end(front)
    assert "MemoryError: no room" in front.said
    assert front.last("train")["status"] == "failed"
    assert not front.session.paused
    front.do("train", **PLAN)
    end(front)
    assert "stands in the menus" in front.last("train")["status"]
    assert front.last("train")["fraction"] == 1.0


def test_what_a_training_shows_leaves_messages(front):
    front.do("train", **PLAN)
    front.session.say("keep this")
    end(front)
    assert front.said == "keep this"


def test_networks_are_loaded_from_files(front, tmp_path):
    session = front.session
    training = train(Recipe(widths=(4, 8), batch=64), 16, snapshots=(8,), progress=False)
    for width, step in training.snapshots:
        save_model(tmp_path / f"{width}-{step}.safetensors", training, width, step)
    files = {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}

    def load(*names, contents=None):
        front.do("load-networks", *(contents or [files[name] for name in names]), names=list(names))

    load(*files)
    family = session.state.main.family
    assert (session.state.main.width, session.state.main.steps) == (8, 16)
    assert f"{family} stands in the menus: A/4/16, A/4/8, A/8/16, A/8/8" in front.said
    front.do("save-network", which="main")
    assert front.offered() == ("A-8-16.safetensors", files["8-16.safetensors"])
    assert session.library.file_of("fractal_tree", family, ModelName("A", 8, 16)) == files["8-16.safetensors"]
    load("4-16.safetensors", "4-16.safetensors")
    assert "A/4/16 does not go with the other files" in front.said
    newer = files["8-16.safetensors"].replace(b'\\"format\\": 1', b'\\"format\\": 9')
    assert newer != files["8-16.safetensors"]
    load("../new er\0.safetensors", contents=[newer])
    assert "new-er-.safetensors has format 9; this toydiff reads format 1" in front.said
    load("..", contents=[newer])
    assert "has format 9" in front.said
    load(contents=[newer])
    assert "no networks came; choose .safetensors files" in front.said
    assert session.state.main.family == family


def test_bundled_and_exact_models_are_not_saved(front):
    front.do("save-network", which="main")
    assert "A/64/4096 is bundled" in front.said
    front.session.set(State(main=ModelChoice(exact=True)))
    front.do("save-network", which="main")
    assert "there is no network to save" in front.said
    front.do("save-network", which="truth")
    assert "unknown network 'truth'" in front.said


@pytest.mark.slow
def test_files_that_are_loaded_while_something_trains_stay_by_themselves(front, tmp_path):
    session = front.session
    training = train(Recipe("three_gaussians", "A", widths=(4,), batch=64), 8, progress=False)
    save_model(tmp_path / "other.safetensors", training)
    front.do("train", **PLAN | {"steps": "100000"})
    wait_until(lambda: front.last("train")["losses"])
    trained = session.kept(Coach).trained
    front.do("load-networks", (tmp_path / "other.safetensors").read_bytes(), names=["other.safetensors"])
    assert session.state.distribution == "three_gaussians"
    front.do("stop-training")
    end(front)
    loaded = session.state.main.family
    assert [str(name) for name in session.library.networks("three_gaussians", loaded)] == ["A/4/8"]
    assert {name.width for name in session.library.networks("fractal_tree", trained)} == {4, 8}


def test_what_can_be_trained_begins_with_what_guidance_needs():
    assert actions.trainable(State()) == [["A,AB", "A and AB, for CFG"], ["A", "A"], ["B", "B"], ["AB", "AB"]]
    assert actions.trainable(State(distribution="three_gaussians", classes="A"))[0][0].startswith("A")
    assert json.loads(json.dumps(actions.tables()))["drawings"] == ["letters", "rings", "spirals"]


# Sweeps.


def open_sweep(front, folder, value=lambda setting: setting.weight / 10, **grid):
    """Open a table with made-up values."""
    table = Sweep(100, ("branch_coverage", "sliced_wasserstein"))
    table.rows.update({setting: dict.fromkeys(table.columns, value(setting)) for setting in settings_of(grid)})
    save_sweep(folder / "sweep.csv", table)
    front.do("open-sweep", (folder / "sweep.csv").read_bytes())


def cell_texts(front):
    return [[cell and cell["text"] for cell in row] for row in front.last("sweep")["cells"]]


def test_a_cell_of_a_sweep_shows_its_setting(front, tmp_path):
    grid = {"method": ["cfg", "mix"], "weight": [2.0, 4.0], "guide_width": [8, 16], "main_width": [32], "seed": [7, 8]}
    open_sweep(front, tmp_path, **grid, hi=[0.5], share=[0.25], guide_steps=[1024])
    seen = front.last("sweep")
    assert seen["axes"] == ["method", "weight", "share", "guide_width", "seed"]  # cfg has no share
    assert seen["metrics"] == ["branch_coverage", "sliced_wasserstein"]
    front.do("sweep-view", x="weight", y="guide_width")
    seen = front.last("sweep")
    assert cell_texts(front) == [[".2", ".4"], [".2", ".4"]]
    assert (seen["rows"], seen["columns"]) == (["16", "8"], ["2", "4"])
    assert "100 samples; mean over method, share, seed" in seen["note"]
    one, other = seen["cells"][0]
    assert one["colour"] != other["colour"]
    assert "method=cfg, weight=4, lo=0, hi=0.5" in other["help"]
    front.do("sweep-cell", row=0, column=1)  # the upper row: guides of width 16
    state = front.session.state
    assert (state.method, state.weight, state.knob("share"), state.seed) == ("cfg", 4.0, 0.5, 7)
    assert (state.main, state.guide, state.interval) == (ModelChoice(32, 4096), ModelChoice(16, 1024), (0.0, 0.5))
    assert state.points == 100
    assert "One of the 4 settings of this cell: method=cfg, share=0.5, seed=7" in front.said
    front.do("sweep-view", y="")
    assert cell_texts(front) == [[".2", ".4"]]
    front.do("sweep-view", y="method")
    front.do("sweep-cell", row=0, column=0)  # the upper row: the mix
    assert (front.session.state.method, front.session.state.knob("share")) == ("mix", 0.25)
    front.do("sweep-view", metric="sliced_wasserstein")
    assert "Wasserstein" in front.last("sweep")["title"]
    front.sent.clear()
    actions.greet(front.session)  # a view that has just come
    assert len(front.last("sweep")["cells"]) == 2
    front.do("sweep-view", y="weight")
    assert "both axes are weight" in front.said
    assert front.last("sweep")["cells"] == []
    front.do("sweep-cell", row=0, column=0)
    assert "there is no sweep on show" in front.said


def test_the_classifier_of_a_cell_is_the_bundled_one(front, tmp_path):
    front.session.set(State(points=100, guide=ModelChoice(exact=True)))
    open_sweep(front, tmp_path, method=["classifier"], distribution=["fractal_tree", "rings"])
    guides = {}
    cells = front.last("sweep")["cells"]
    for row, column in np.argwhere([[cell is not None for cell in line] for line in cells]).tolist():
        front.do("sweep-cell", row=row, column=column)
        guides[front.session.state.distribution] = front.session.state.guide
    assert guides == {"fractal_tree": ModelChoice(32, 512), "rings": ModelChoice(16, 128)}


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"solver": ["euler"]}, "the explorer has no solver euler; it shows heun only"),
        ({"training_seed": [3]}, "the explorer has no training_seed 3; it shows 0 only"),
        ({"guide_ema": [0.05]}, "the explorer has no guide_ema 0.05; it shows 0.01 only"),
        ({"classes": ["B"]}, "there are no networks of fractal_tree B: set main exact"),
        ({"guide_width": [9]}, "no network with guide width 9; there are 8, 16, 32, 64, 128"),
    ],
)
def test_a_cell_that_the_explorer_cannot_show_says_why(front, tmp_path, grid, words):
    before = front.session.scene
    open_sweep(front, tmp_path, method=["autoguidance"], **grid)
    front.do("sweep-cell", row=0, column=0)
    assert words in front.said
    assert front.session.scene == before


def test_cells_without_a_value_and_other_data_are_shown(front, tmp_path):
    grid = {"method": ["unguided", "cfg"], "weight": [1.0, 2.0], "distribution": ["letters"]}
    open_sweep(front, tmp_path, lambda s: float("nan") if s.weight == 2 else 12.34, **grid)
    assert cell_texts(front) == [["12", "nan"], ["12", None]]  # unguided: w = 1 only
    assert json.loads(json.dumps(front.last("sweep"), allow_nan=False))
    front.do("sweep-cell", row=0, column=1)
    state = front.session.state
    assert (state.distribution, state.method, state.weight) == ("letters", "cfg", 2.0)
    before = front.session.scene
    for row, column, words in ((1, 1, "no setting in this cell"), (2, 0, "row is 2"), (None, 0, "row is None")):
        front.do("sweep-cell", row=row, column=column)
        assert words in front.said
    assert front.session.scene == before


def test_what_is_no_sweep_is_refused_and_the_one_before_stays(front, tmp_path):
    open_sweep(front, tmp_path, weight=[1.0, 2.0])
    front.do("open-sweep", b"weight,score\n1,2\n")
    assert "it is not a sweep; toydiff sweep writes one" in front.said
    front.do("sweep-cell", row=0, column=1)
    assert front.session.state.weight == 2.0
    open_sweep(front, tmp_path, weight=[i / 10 for i in range(30)], seed=list(range(30)))
    assert "30 times 30 cells are too many for the page; choose other axes" in front.said
    open_sweep(front, tmp_path, weight=[i / 100 for i in range(70)], seed=[1, 2])
    assert "2 times 70 cells are too many" in front.said
    front.do("sweep-view", x="seed", y="weight")
    assert len(cell_texts(front)) == 70


# Taking along.


def test_a_state_is_restored_and_python_makes_the_picture(front):
    cfg = State(method="cfg", points=50, layers=("outlines",))
    front.do("restore", text=json.dumps(cfg.to_json()))
    assert front.session.scene == Scene((cfg,))
    front.do("python")
    assert front.last("text").splitlines()[0] == "from toydiff.explorer.drawing import draw"
    assert "method='cfg'" in front.last("text")
    for text, words in (
        ('{"weight": NaN}', "weight is nan; it must be a number"),
        ("{", "JSON"),
        (None, "it must be an object"),
    ):
        front.do("restore", text=text)
        assert words in front.said
    assert front.session.scene == Scene((cfg,))


EXACT = ModelChoice(exact=True)


@pytest.mark.parametrize(
    ("state", "imported"),
    [
        (State(main=EXACT, guide=EXACT, view=(0, 0, 1)), {"draw", "ModelChoice", "State", "View"}),
        (
            State(distribution=Drawing.from_json(DRAWING), main=EXACT, guide=EXACT),
            {"Drawing", "draw", "ModelChoice", "State", "View"},
        ),
        (State(method="unguided", interval=(0.1, 2.0)), {"draw", "ModelChoice", "State", "View"}),
    ],
)
def test_python_imports_what_it_uses_and_states_what_is_on_screen(front, state, imported):
    front.session.show(compare(state, replace(state, seed=7)))
    front.do("python")
    tree = ast.parse(front.last("text"))
    names = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == imported == {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"states"}
    for name in ("method", "weight", "seed", "points", "sigma", "layers", "view", "main"):
        assert front.last("text").count(f"        {name}=") == 2
    scope = {}
    exec(front.last("text").split("draw(*")[0], scope)
    assert tuple(scope["states"]) == front.session.scene.panels


def test_the_laboratory_is_saved_and_opened(front):
    session = front.session
    session.scenes["Mine"] = Scene((State(weight=1.5),), title="Mine")
    front.do("save-file")
    name, content = front.offered()
    assert name == "toydiff-laboratory.json"
    del session.scenes["Mine"]
    session.set(State(weight=2.0))
    front.do("open-file", content)
    assert session.state == START
    assert session.scenes.pop("Mine").title == "Mine"
    assert "Mine" in front.last("scenes")
    before = session.scene
    front.do("open-file", content[:-9])
    assert "the file is not JSON" in front.said
    assert session.scene is before


def test_pictures_are_offered_in_the_size_of_a_projector(front):
    small = State(points=50, layers=("outlines",))
    for states, pixels in (((small,), 1280), ((small, State(method="cfg", points=50, layers=("outlines",))), 1920)):
        front.session.show(compare(*states))
        front.do("picture", kind="png", pixels=pixels)
        wait_until(lambda: front.all("offer"))
        name, content = front.offered()
        with Image.open(io.BytesIO(content)) as image:
            assert image.size[0] == pixels
            assert image.size[1] <= pixels * 9 // 16
        front.sent.clear()
    assert name == "toydiff-autoguidance-cfg.png"
    front.session.show(Scene((small,), title="Who drops <branches>/../?"))
    front.do("picture", kind="svg")
    wait_until(lambda: front.all("offer"))
    assert front.offered()[0] == "toydiff-who-drops-branches.svg"
    assert front.offered()[1].startswith(b"<?xml")
    wait_until(lambda: not front.last("picture")["running"])
    front.do("picture", kind="gif")
    assert "unknown format 'gif'" in front.said
    front.do("picture", kind="png", pixels=9)
    assert "pixels is 9" in front.said


def test_a_film_is_recorded_told_of_and_stopped(front, monkeypatch):
    monkeypatch.setattr(films, "FRAMES", 4)
    monkeypatch.setattr(films.frames_of_width, "__defaults__", (4, films.BUNDLE))
    front.session.show(Scene((State(points=50, layers=("samples",)),)))
    front.do("film", film="sweep", kind="gif", width=640)
    wait_until(lambda: front.all("offer"))
    name, content = front.offered()
    assert name == "toydiff-autoguidance-sweep.gif"
    with Image.open(io.BytesIO(content)) as image:
        assert (image.size, image.n_frames) == ((640, 360), 3 + 1)
    assert front.last("film") == {"fraction": 1.0, "running": False}
    front.sent.clear()
    for values, words in (
        ({"film": "dance", "kind": "gif"}, "unknown film 'dance'"),
        ({"film": "play", "kind": "avi"}, "unknown format 'avi'"),
        ({"film": "play", "kind": "gif", "width": 10}, "width is 10"),
    ):
        front.do("film", **values)
        assert words in front.said
    assert not front.all("film")

    def slowly(kind, frames, fps):
        time.sleep(0.2)
        return b"".join(frame.tobytes() for frame in frames)

    monkeypatch.setattr("toydiff.explorer.actions.keep.film_bytes", slowly)
    front.do("film", film="play", kind="gif")
    front.do("film", film="play", kind="gif")
    assert "a film is being drawn: wait for it" in front.said
    front.do("stop-film")
    wait_until(lambda: not front.last("film")["running"])
    wait_until(lambda: front.said == "the film was stopped")
    assert not front.all("offer")


def test_a_film_that_fails_says_so(front, monkeypatch):
    def broken(*_, **__):
        raise OSError("no ffmpeg")

    monkeypatch.setattr("toydiff.explorer.actions.keep.film_bytes", broken)
    front.do("film", film="play", kind="mp4", width=1280)
    wait_until(lambda: "OSError: no ffmpeg" in front.said)
    assert not front.last("film")["running"]
    front.sent.clear()
    actions.greet(front.session)
    assert (front.last("film")["running"], front.last("picture")["running"]) == (False, False)


def test_a_closed_session_ends_what_it_records(monkeypatch):
    monkeypatch.setattr("toydiff.explorer.scheduler.Scheduler.submit", lambda *_: None)
    front = Front()
    monkeypatch.setattr("toydiff.explorer.actions.keep.film_bytes", lambda kind, frames, fps: list(frames))
    front.do("film", film="play", kind="gif", width=640)
    front.session.close()
    assert not front.all("offer")


def test_a_view_is_prepared_shown_and_added(front):
    session = front.session
    front.do("lecture", title="T", question="Q?", hidden=["seed-box", "train"])
    assert (session.scene.title, session.scene.question, session.scene.hidden) == ("T", "Q?", ("seed-box", "train"))
    assert "T" not in session.scenes
    front.do("add-view", title=" Monday ", question="Q?", hidden=[])
    assert session.scenes.pop("Monday") == session.scene
    assert "Monday" in front.last("scenes")
    before = session.scene
    for values, words in (
        ({"title": "  "}, "the view has no title"),
        ({"title": "Fig. 1c: CFG"}, "there is a scene of this name"),
        ({"title": "Mine", "hidden": ["moon"]}, "unknown control to hide 'moon'"),
        ({"title": 5}, "the title of a scene must be text"),
    ):
        front.do("add-view", **values)
        assert words in front.said
    assert session.scene is before
    assert session.scenes["Fig. 1c: CFG"].state.weight == 4.0


# The files themselves.


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_films_are_as_wide_as_a_projector_with_whole_legible_captions(n, width, monkeypatch):
    title = "Guidance with a remarkably long name"
    monkeypatch.setitem(films.METHODS, "mix", films.METHODS["mix"]._replace(title=title))
    states = [State(method="mix", points=50, sigma=SIGMAS[0], layers=("samples",)), *[State(points=50)] * 3][:n]
    drawn = []
    arrange = films._arrange
    monkeypatch.setattr(films, "_arrange", lambda *given: drawn.append(given) or arrange(*given))
    frame = next(films.frames_of_width(states, "train", width, 3))
    sheet, _, captions = drawn[0]
    assert frame.size == (width, sheet.size[1])
    assert sheet.size[1] <= width * 9 / 16
    for lines in captions:
        for line, face in lines:
            assert face.size >= {1280: 20, 1920: 28}[width]
            assert face.getlength(line) <= sheet.room
    assert " ".join(line for line, _ in captions[0]).startswith(title)
    strip = np.asarray(frame)[: sheet.top]
    ends = [sheet.place(i)[0] + sheet.side for i in range(n)]
    assert all((strip[:, end - 5 : end] == 255).all() for end in ends)
