import io
import subprocess
import sys
import weakref
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from toydiff import InputError
from toydiff.explorer import films
from toydiff.explorer.films import KINDS, caption
from toydiff.explorer.state import SIGMAS, ModelChoice, State, with_classes
from toydiff.results import film_file
from toydiff.sampling.schedules import nearest_level

BACK, SQUARE = (255, 255, 255), (11, 79, 39)


def moving_square(n=8, size=(60, 40)):
    """Lazily: a square of 10 x 10 pixels that moves 5 to the right with each picture."""
    for i in range(n):
        frame = Image.new("RGB", size, BACK)
        frame.paste(SQUARE, (5 * i, 10, 5 * i + 10, 20))
        yield frame


def read_gif(content):
    with Image.open(io.BytesIO(content)) as image:
        frames, durations = [], []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB"), int))
            durations.append(image.info["duration"])
        return frames, durations, image.info["loop"]


def read_mp4(path, size):
    command = [
        film_file.find_ffmpeg(),
        "-loglevel",
        "error",
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    content = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(content, np.uint8).reshape(-1, size[1], size[0], 3).astype(int)


def test_a_gif_holds_its_pictures_their_time_and_colours():
    frames, durations, loop = read_gif(film_file.film_bytes("gif", moving_square(), fps=12))
    assert len(frames) == 8
    assert loop == 0
    assert sum(durations) == pytest.approx(1000 * 8 / 12, abs=5)
    for i, (frame, expected) in enumerate(zip(frames, moving_square(), strict=True)):
        assert np.abs(frame - np.asarray(expected)).max() <= 4, i
        assert (frame[:8] == 255).all()  # white is white


def test_what_stands_still_in_a_gif_does_not_flicker_and_costs_little():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (80, 80, 3), np.uint8)  # far more colours than a GIF has

    def frames(n):
        for i in range(n):
            changed = noise.copy()
            changed[10:20, 10 + i : 20 + i] = 255
            yield Image.fromarray(changed)

    content = film_file.film_bytes("gif", frames(20))
    still = np.stack([frame[30:] for frame in read_gif(content)[0]])
    assert (still == still[0]).all()
    assert len(content) < 1.5 * len(film_file.film_bytes("gif", frames(1)))


def test_a_picture_that_stands_and_a_film_of_one_keep_their_time():
    still = next(moving_square())
    frames, durations, _ = read_gif(film_file.film_bytes("gif", [*moving_square(2), *[still] * 10], fps=10))
    assert len(frames) == 3
    assert durations == [100, 100, 1000]
    with Image.open(io.BytesIO(film_file.film_bytes("gif", [still], fps=10))) as image:
        assert image.size == (60, 40)


def test_an_mp4_of_odd_sides_is_padded_and_plays_at_once(tmp_path):
    path = tmp_path / "film.mp4"
    film_file.write_film(path, moving_square(size=(61, 41)), fps=12)
    frames = read_mp4(path, (62, 42))
    assert len(frames) == 8
    for frame, drawn in zip(frames, moving_square(size=(61, 41)), strict=True):
        expected = np.asarray(drawn, int)
        np.testing.assert_allclose(frame[:41, :61].mean((0, 1)), expected.mean((0, 1)), atol=3)
        square = (expected == SQUARE).all(-1)
        np.testing.assert_allclose(frame[:41, :61][square].mean(0), SQUARE, atol=12)  # half the resolution of colour
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert b"avc1" in content


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_pictures_are_taken_one_at_a_time(kind):
    taken = []

    def frames():
        for i in range(20):
            frame = Image.new("RGB", (60, 40), (i, i, i))
            taken.append(weakref.ref(frame))
            yield frame

    def count_alive():
        most = 0
        for frame in frames():
            yield frame
            most = max(most, sum(ref() is not None for ref in taken))
        assert most <= 3

    film_file.film_bytes(kind, count_alive())
    assert len(taken) == 20


def other_size():
    yield from moving_square(3)
    yield Image.new("RGB", (9, 9))


@pytest.mark.parametrize("kind", ["gif", "mp4"])
@pytest.mark.parametrize(
    ("frames", "words"), [([], "no pictures"), (other_size(), r"\(9, 9\) pixels, those before it \(60, 40\)")]
)
def test_bad_pictures_leave_what_stood_there(kind, frames, words, tmp_path):
    path = tmp_path / f"film.{kind}"
    path.write_bytes(b"before")
    with pytest.raises(InputError, match=words):
        film_file.write_film(path, frames if isinstance(frames, list) else other_size())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"before"


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"film.avi ends in .avi; a film ends in .gif or .mp4, a folder of PNGs in"):
        film_file.write_film(tmp_path / "film.avi", moving_square())
    with pytest.raises(InputError, match="fps is 0"):
        film_file.write_film(tmp_path / "film.gif", moving_square(), fps=0)
    with pytest.raises(InputError, match="unknown format"):
        film_file.film_bytes("../x", moving_square())
    with pytest.raises(InputError, match="cannot write"):
        film_file.write_film("/proc/no/film.gif", moving_square())
    assert not list(tmp_path.iterdir())


@pytest.fixture
def broken_ffmpeg(tmp_path_factory, monkeypatch):
    """An ffmpeg that reads nothing, says much more than a pipe holds, and fails."""
    program = tmp_path_factory.mktemp("bin") / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nprint('x\\n' * 500_000 + 'no such codec', file=sys.stderr)\nsys.exit(3)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_a_failing_ffmpeg_says_why_and_leaves_nothing(broken_ffmpeg, tmp_path):
    with pytest.raises(InputError, match="ffmpeg failed: no such codec"):
        film_file.write_film(tmp_path / "film.mp4", moving_square(200, (200, 200)))
    assert not list(tmp_path.iterdir())


def test_a_path_without_an_ending_becomes_a_folder_of_pictures(tmp_path):
    folder = tmp_path / "new" / "slides"
    film_file.write_film(folder, moving_square(3))
    assert sorted(p.name for p in folder.iterdir()) == ["frame-0001.png", "frame-0002.png", "frame-0003.png"]
    for path, drawn in zip(sorted(folder.iterdir()), moving_square(3), strict=True):
        with Image.open(path) as image:
            assert (np.asarray(image) == np.asarray(drawn)).all()
    assert [p.name for p in folder.parent.iterdir()] == ["slides"]
    (tmp_path / "empty").mkdir()
    film_file.write_film(tmp_path / "empty", moving_square(1))
    assert len(list((tmp_path / "empty").iterdir())) == 1


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(InputError, match="all must be of one size"):
        film_file.write_film(tmp_path / "slides", other_size())
    assert not list(tmp_path.iterdir())
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("notes", "file"):
        with pytest.raises(InputError, match="it is there already; name a new or an empty folder"):
            film_file.write_film(tmp_path / name, moving_square())
    assert (tmp_path / "notes" / "mine.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "mine.txt", "notes"]


def test_without_ffmpeg_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"needs ffmpeg: install it, or pip install 'toydiff\[film\]'"):
        film_file.write_film(tmp_path / "film.mp4", moving_square())
    assert not list(tmp_path.iterdir())
    film_file.write_film(tmp_path / "film.gif", moving_square())


# The explorer's films.


def picture(frame):
    return np.asarray(frame, int)


def moments(kind, state, n):
    return KINDS[kind].course(state, n)


def test_play_goes_from_noise_to_data_stands_and_goes_back():
    course = moments("play", State(points=200), 80)
    at = [nearest_level(SIGMAS, moment.state.sigma) + moment.part for moment in course]
    assert at[0] == 0
    assert at[48:61] == [32] * 13  # a rest at the data
    assert (np.diff(at[:49]) > 0).all()
    assert (np.diff(at[60:]) < 0).all()
    assert at[-1] < 1  # the last leads to the first
    assert max(abs(np.diff(at))) < 3  # and nowhere it jumps
    assert caption(KINDS["play"], course[0].shown) == ("Autoguidance", "w = 3.00   σ = 5.000")
    assert caption(KINDS["play"], course[50].shown) == ("Autoguidance", "w = 3.00   σ = 0.000")


def test_between_two_steps_points_go_straight(monkeypatch):
    """A picture halfway shows every point in the middle of where it stands before and after."""
    state = State(method="unguided", points=50, layers=("samples",))
    before, after = (films.points_now(replace(state, sigma=SIGMAS[k]), films.Quality.full(state)) for k in (20, 21))
    drawn = []

    class Canvas(films.Canvas):
        def paint(self, state, quality, now):
            drawn.append(now)
            return super().paint(state, quality, now)

    halfway = films.Moment(replace(state, sigma=SIGMAS[20]), replace(state, sigma=SIGMAS[21]), 0.5)
    kind = films.Kind("", lambda state, n, library: [halfway, films.Moment(state, state, 0.0)], lambda state: "")
    monkeypatch.setattr(films, "Canvas", Canvas)
    monkeypatch.setitem(films.KINDS, "halfway", kind)
    next(films.frames([state], "halfway", 64, 2))
    np.testing.assert_allclose(drawn[0], (before + after) / 2, atol=1e-6)
    assert np.abs(before - after).max() > 1e-3


def test_sweep_goes_up_and_back_and_leaves_the_unguided_alone():
    guided, plain = State(points=200), State(method="unguided", points=200)
    assert [m.state.weight for m in moments("sweep", guided, 6)] == pytest.approx([1, 2, 4, 5, 4, 2])
    frames = [picture(frame) for frame in films.frames([guided, plain], "sweep", 120, 6)]
    assert len(frames) == 6
    half = 120 + 120 // 40
    assert (np.stack([f[:, half:] for f in frames]) == frames[0][:, half:]).all()
    assert (frames[1] == frames[5]).all()
    assert np.abs(frames[0][30:, :120] - frames[3][30:, :120]).max() > 50
    assert (frames[0][:18, :120] != frames[3][:18, :120]).any()  # the caption


def test_sweep_stays_sound_where_multistep_solvers_diverge():
    state = State(method="truncation", points=200, layers=("samples",))
    _, heaviest = films.frames([state], "sweep", 240, 2)
    dark = (picture(heaviest)[60:].min(-1) < 200).any(0).sum()
    assert 0 < dark < 10  # all points collapse into one


def test_training_goes_through_the_snapshots_and_back():
    course = moments("train", State(), 300)
    steps = [moment.shown.main.steps for moment in course]
    assert sorted(set(steps)) == [128, 256, 512, 1024, 2048, 4096]
    back = steps.index(4096) + steps[steps.index(4096) :].index(128)
    assert steps == sorted(steps[:back]) + [128] * (300 - back)
    assert course[0] == (course[0].state, course[0].state, 0.0)
    assert course[-1].part > 0.99  # nearly back
    assert {moment.shown.guide.steps for moment in course} == {512}
    left = [moment.state.main.steps for moment in course]
    assert left == sorted(left)  # each snapshot leads to the next
    assert caption(KINDS["train"], course[0].shown) == ("Autoguidance", "w = 3.00   main: 128 steps")
    of_guide = moments("train-guide", State(method="mix", weight=2.0), 300)
    assert {moment.shown.main.steps for moment in of_guide} == {4096}
    assert caption(KINDS["train-guide"], of_guide[0].shown)[1] == "w = 2.00   guide: 128 steps"
    alone = moments("train-guide", State(method="unguided"), 20)
    assert len(set(alone)) == 1
    assert caption(KINDS["train-guide"], alone[0].shown)[1] == "w = 1.00   no trained guide"
    drawn = with_classes(State(), "letters", "A")
    assert {m.shown.main.steps for m in moments("train", drawn, 60)} == {128, 512, 2048}


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_states_stand_side_by_side_with_whole_captions(n):
    states = [State(method="mix", points=50, sigma=SIGMAS[0]), *[State(points=50)] * 3][:n]
    frame = picture(next(films.frames(states, "play", 200)))
    columns, rows = (2, 2) if n == 4 else (n, 1)
    height = len(frame) // rows
    assert 220 < height < 240  # two lines above a picture
    assert frame.shape == (rows * height, columns * 200 + (columns - 1) * 5, 3)
    strip = frame[: height - 200, :200]
    assert (strip.min((0, 1)) < 100).all()
    assert (strip[:, -3:] == 255).all()  # the longest title fits


def test_bad_films_are_refused():
    for states, kind, pixels, words in (
        ([], "play", 100, "number of states of a film is 0"),
        ([State()] * 5, "play", 100, "number of states of a film is 5"),
        ([State()], "dance", 100, "unknown film 'dance'; there are play, sweep, train, train-guide"),
        ([State(method="unguided")], "sweep", 100, "nothing would move: the weight up and down changes none"),
        ([State(main=ModelChoice(exact=True))], "train", 100, "nothing would move: the main model trains"),
        ([State()], "play", 3, "pixels is 3"),
    ):
        with pytest.raises(InputError, match=words):
            films.frames(states, kind, pixels)
