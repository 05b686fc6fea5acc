import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import toydiff
from toydiff import cli
from toydiff.explorer.animation import side_by_side
from toydiff.explorer.state import ModelChoice, State

TINY = ["--pixels", "80", "-n", "60", "--fps", "4", "--seconds", "1", "--quiet"]


def run(capsys, *arguments):
    status = cli.main(["animate", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_command_writes_a_film_of_the_methodsside_by_side(tmp_path, capsys):
    path = tmp_path / "new" / "film.gif"
    assert run(capsys, path, "--methods", "unguided,autoguidance", *TINY) == (0, f"wrote {path}\n", "")
    with Image.open(path) as image:
        durations = []
        for i in range(image.n_frames):
            image.seek(i)
            durations.append(image.info["duration"])
        assert image.size[0] == 2 * 80 + 2
    assert sum(durations) == 1000


def test_a_folder_takes_a_picture_each(tmp_path, capsys):
    status, out, _ = run(capsys, tmp_path / "slides", "--film", "sweep", *TINY)
    assert (status, out) == (0, f"wrote {tmp_path / 'slides'}\n")
    pictures = [np.asarray(Image.open(path), int) for path in sorted((tmp_path / "slides").iterdir())]
    assert len(pictures) == 4
    assert (pictures[1] == pictures[3]).all()  # up and down
    assert (pictures[0] != pictures[2]).any()


def test_python_writes_the_same_film(tmp_path, capsys):
    options = {"weights": [2.0], "points": 60, "pixels": 80, "fps": 4, "seconds": 1, "progress": False}
    toydiff.animate(tmp_path / "python.gif", "play", ["cfg"], **options)
    run(capsys, tmp_path / "command.gif", "--methods", "cfg", "-w", 2, *TINY)
    assert (tmp_path / "python.gif").read_bytes() == (tmp_path / "command.gif").read_bytes()


def test_each_method_has_its_weight_and_guide_and_all_the_same_noise():
    start = State(seed=7, points=99)
    cfg, sharpened = side_by_side(start, ["cfg", "sharpened"], None)
    assert (cfg.weight, sharpened.weight) == (4.0, 3.0)
    assert (cfg.guide, sharpened.guide) == (ModelChoice(32, 512), ModelChoice(64, 1024))
    assert {(state.seed, state.points) for state in (cfg, sharpened)} == {(7, 99)}
    assert [s.weight for s in side_by_side(start, ["cfg", "mix"], [2.0])] == [2.0, 2.0]
    assert [s.weight for s in side_by_side(start, ["cfg", "mix"], [2.0, 3.0])] == [2.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--film", "dance"], "unknown film 'dance'; there are play, sweep, train"),
        (["--methods", "cfg,magic"], "unknown method 'magic'"),
        (["--methods", "cfg,cfg,cfg,cfg,cfg"], "number of methods is 5"),
        (["--weight", "1,2,3"], "there are 3 weights for 2 methods; give one, or one for each"),
        (["--weight", "-1"], "weight is -1.0; it must be a number, at least 0"),
        (["--film", "sweep", "--weight", "2"], "sweep goes through the weights itself"),
        (["--film", "sweep", "--methods", "unguided"], "nothing would move"),
        (["--film", "train", "--distribution", "three_gaussians"], "nothing would move"),
        (["--distribution", "moons"], "unknown distribution 'moons'"),
        (["--classes", "C"], "unknown classes 'C'"),
        (["--layers", "samples,glitter"], "unknown layer 'glitter'"),
        (["--view", "0", "0", "0"], "view half_width is 0.0"),
        (["--fps", "99"], "fps is 99.0"),
        (["--seconds", "0"], "seconds is 0.0"),
        (["--seconds", "0.01"], "number of pictures, fps times seconds, is 0"),
        (["--pixels", "7"], "pixels is 7"),
        (["-n", "0"], "points is 0"),
    ],
)
def test_bad_input_is_one_line_and_loses_nothing(arguments, words, tmp_path, capsys):
    path = tmp_path / "film.gif"
    path.write_bytes(b"before")
    status, out, err = run(capsys, path, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("toydiff animate: ")
    assert err.count("\n") == 1
    assert words in err
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": None}, "the film is None; it must be a path"),
        ({"methods": None}, "methods are None; they must be a list"),
        ({"methods": "cfg"}, "methods are 'cfg'; they must be a list"),
        ({"weights": 3.0}, "weights are 3.0; they must be a list"),
        ({"distribution": b"x"}, "unknown distribution b'x'"),
        ({"layers": None}, "unknown layer None"),
        ({"view": 3}, "view is 3; it must be 3 numbers"),
        ({"view": (1, 2)}, r"view is \(1, 2\); it must be 3 numbers"),
    ],
)
def test_bad_types_in_python_are_one_line_too(options, words, tmp_path):
    with pytest.raises(toydiff.InputError, match=words):
        toydiff.animate(**({"path": tmp_path / "film.gif"} | options), progress=False)
    assert not list(tmp_path.iterdir())


def test_a_bad_place_is_refused_before_anything_is_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("toydiff.explorer.films.frames", None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "folder.gif").mkdir()
    for name, words in (
        ("film.avi", "ends in .avi; a film ends in .gif or .mp4"),
        ("full", "name a new or an empty folder"),
        ("folder.gif", "it is a folder"),
        ("full/mine.txt/film.gif", "cannot write"),
    ):
        status, _, err = run(capsys, tmp_path / name)
        assert status == 2
        assert words in err
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert "writing MP4 needs ffmpeg" in run(capsys, tmp_path / "film.mp4")[2]


def test_films_need_no_widgets(tmp_path):
    """A plain install, without the extra `lab`, writes GIFs."""
    code = (
        "import sys\n"
        "for name in ('ipywidgets', 'anywidget', 'traitlets', 'IPython', 'imageio_ffmpeg'): sys.modules[name] = None\n"
        "import toydiff.explorer.animation, toydiff.cli\n"
        "toydiff.cli.main(['animate', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--methods" in done.stdout
