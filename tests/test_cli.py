import gc
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import refused, run
from safetensors.numpy import save_file

import toydiff
from toydiff import cli, load_weights
from toydiff.measuring import metrics, model_metrics
from toydiff.measuring.distances import Estimate
from toydiff.networks import training

pytestmark = pytest.mark.usefixtures("few_draws")
THREE = ("--distribution", "three_gaussians", "--main", "exact/A")


TRAIN = ("train", "--width", "4", "--batch", "64", "--quiet")


def test_sample_writes_samples_and_recipe(tmp_path, capsys):
    out = tmp_path / "deep" / "samples.npz"
    assert run("sample", "--method", "autoguidance", "-w", 3, "-n", 100, "--seed", 4, "--out", out) == 0
    assert "wrote 100 samples" in capsys.readouterr().out
    with np.load(out, allow_pickle=False) as file:
        samples, recipe = file["samples"], json.loads(str(file["recipe"]))
    assert samples.shape == (100, 2)
    assert np.isfinite(samples).all()
    assert (recipe["method"], recipe["weight"], recipe["seed"], recipe["n"]) == ("autoguidance", 3.0, 4, 100)
    assert (recipe["main"], recipe["guides"]) == ("A/64/4096", ["A/32/512"])
    again = tmp_path / "again.npz"
    assert run("sample", "--method", "autoguidance", "-n", 100, "--seed", 4, "--out", again) == 0
    np.testing.assert_array_equal(np.load(again)["samples"], samples)
    averaged = "--main", "A/64/4096/ema0.05", "--guide", "A/32/512/ema0.1"
    assert run("sample", "--method", "autoguidance", *averaged, "-n", 100, "--seed", 4, "--out", again) == 0
    assert json.loads(str(np.load(again)["recipe"]))["main"] == "A/64/4096/ema0.05"
    moved = np.abs(np.load(again)["samples"] - samples).max(1)
    assert 0 < np.median(moved) < 0.1


def test_sample_takes_other_models_and_settings(tmp_path):
    out = tmp_path / "s.npz"
    options = ("-n", 100, "--steps", 4, "--solver", "euler", "--start", "noise", "--interval", 0.1, 1, "--sigma-max", 3)
    guides = ("--guide", "exact/AB", "--guide", "A/8/128")
    assert run("sample", "--method", "mix", "--share", 0.3, "--main", "A/16/256", *guides, *options, "--out", out) == 0
    recipe = json.loads(str(np.load(out)["recipe"]))
    assert recipe["guides"] == ["exact/AB", "A/8/128"]
    assert recipe["interval"] == [0.1, 1.0]


def test_evaluate_prints_a_table_and_json(capsys, keep_rows):
    keep_rows(metrics.METRICS, "outlier_rate_0.001", "mean_log_density", "branch_recall")
    assert run("evaluate", "-n", 100, "--method", "truncation", "--seed", 3) == 0
    table = capsys.readouterr().out
    assert "truncation, w = 1.4, n = 100, seed 3" in table
    assert "outliers below the 0.1% quantile" in table
    assert "mean log density" in table
    assert run("evaluate", "-n", 100, "--method", "truncation", "--seed", 3, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["n"], report["seed"], report["weight"]) == (100, 3, 1.4)
    for score in report["metrics"].values():
        assert set(score) == {"value", "error", "exact", "exact_error", "better"}
    recall = report["metrics"]["branch_recall"]
    printed = next(line for line in table.splitlines() if line.startswith("branch recall ")).split()[2]
    assert float(printed) == pytest.approx(recall["value"], abs=recall["error"] / 10)


@pytest.mark.slow
def test_evaluate_prints_what_is_measured_of_the_model(capsys):
    models = *THREE, "-n", 100, "--steps", 2, "--model-metrics"
    assert run("evaluate", *models) == 0
    assert "median distance to the exact end point" in capsys.readouterr().out
    assert run("evaluate", *models, "--json") == 0
    of_model = json.loads(capsys.readouterr().out)["model_metrics"]
    assert of_model["endpoint_distance"] == {"value": 0.0, "error": 0.0, "better": "lower"}


def test_what_is_infinite_is_printed_and_null_in_json(capsys, monkeypatch):
    monkeypatch.setattr(metrics, "Reference", lambda *_, **__: None)  # it takes long to prepare
    monkeypatch.setattr(metrics, "evaluate", lambda *_, **__: {})
    endless = dict.fromkeys(model_metrics.MODEL_METRICS, Estimate(math.inf, math.nan))
    monkeypatch.setattr(model_metrics, "evaluate_model", lambda *_: endless)
    command = "evaluate", "--main", "exact/A", "-n", 50, "--steps", 2, "--model-metrics"
    assert run(*command) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("KL(")]
    assert [line.split()[-3:] for line in lines] == [["inf", "0", "lower"]] * 2
    assert run(*command, "--json") == 0
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert report["model_metrics"]["kl_of_truth"] == {"value": None, "error": None, "better": "lower"}


def test_the_weight_may_be_a_curve(capsys, keep_rows):
    keep_rows(metrics.METRICS, "mean_log_density")
    models = *THREE, "--method", "cfg", "--guide", "exact/ABC", "-n", 100, "--solver", "euler"
    assert run("evaluate", *models, "-w", "0.01:1,0.1:3") == 0
    bent = capsys.readouterr().out
    assert "cfg, w = 1 at 0.01, 3 at 0.1, n = 100, seed 0" in bent
    assert run("evaluate", *models, "-w", "0.01:1,0.1:3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["weight"] == {"0.01": 1.0, "0.1": 3.0}


def test_evaluate_prints_model_losses(capsys):
    assert run("evaluate", "--model-loss", "A/32/512", "--json") == 0
    loss = json.loads(capsys.readouterr().out)["A/32/512"]
    assert 0.01 < loss["overall"] < 0.06
    assert len(loss["by_level"]) == 8
    assert run("evaluate", "--model-loss", "A/8/128") == 0
    assert "A/8/128" in capsys.readouterr().out


def test_train_writes_a_model_that_resumes_bit_for_bit(tmp_path, capsys):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    assert run(*TRAIN, "--steps", 40, "--out", whole) == 0
    assert "validation loss" in capsys.readouterr().out
    assert run(*TRAIN, "--steps", 25, "--out", parts) == 0
    assert run(*TRAIN, "--steps", 40, "--out", parts, "--resume") == 0
    assert parts.read_bytes() == whole.read_bytes()
    assert load_weights(parts).architecture.width == 4


def test_train_writes_each_width_and_snapshot(tmp_path, capsys):
    out = tmp_path / "w{width}-{step}.safetensors"
    many = "--width", "4,8", "--snapshots", "2", "--averages"
    assert run("train", *many, "--steps", 3, "--batch", 64, "--quiet", "--out", out) == 0
    assert "s for each network" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    kinds = "safetensors", "averages.safetensors"
    expected = {f"w{w}-{s}.{kind}" for w in (4, 8) for s in (2, 3) for kind in kinds}
    assert names == expected | {"wall-all.checkpoint.safetensors"}
    model = toydiff.open_model(f"{tmp_path}/w8-3.averages.safetensors/ema0.1")
    assert model.architecture.width == 8


def test_train_writes_each_member_of_an_ensemble(tmp_path, few_draws, capsys):
    options = ("train", "--width", "4", "--members", "2", "--steps", 2, "--batch", 64, "--quiet")
    assert run(*options, "--out", tmp_path / "m.safetensors") == 2
    assert "put {member} in it" in capsys.readouterr().err
    assert run(*options, "--out", tmp_path / "m{member}.safetensors") == 0
    first, second = (load_weights(tmp_path / f"m{i}.safetensors").params["layers"][1]["weight"] for i in (0, 1))
    assert np.abs(np.asarray(first) - np.asarray(second)).max() > 0.1


INTERRUPTED = """
import signal, sys
from toydiff import cli
from toydiff.networks import training

calls, run_steps = [], training.run_steps
def interrupt_the_third(*arguments):
    calls.append(1)
    if len(calls) == 3:
        signal.raise_signal(signal.SIGINT)
    return run_steps(*arguments)

training.run_steps = interrupt_the_third
sys.exit(cli.main(sys.argv[1:]))
"""


def test_ctrl_c_leaves_a_model_and_a_checkpoint_and_the_same_command_resumes(tmp_path):
    """In a process of its own, interrupted as by the keyboard."""
    out = tmp_path / "m-{step}.safetensors"
    command = (*TRAIN, "--steps", 120, "--snapshots", "32,110", "--out", out)
    process = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *map(str, command)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 130, process.stderr
    assert "stopped at step 96; the same command with --resume goes on" in process.stderr
    assert "Traceback" not in process.stderr
    assert training.load_checkpoint(tmp_path / "m-all.checkpoint.safetensors").step == 96
    assert {path.name for path in tmp_path.glob("m-[0-9]*")} == {"m-32.safetensors", "m-96.safetensors"}
    assert run(*command, "--resume") == 0
    whole = tmp_path / "whole.safetensors"
    assert run(*TRAIN, "--steps", 120, "--out", whole) == 0
    assert (tmp_path / "m-120.safetensors").read_bytes() == whole.read_bytes()
    assert load_weights(tmp_path / "m-110.safetensors").architecture.width == 4


@pytest.mark.slow
def test_a_drawing_is_learned_and_sampled_by_its_file(tmp_path, capsys):
    drawing, model, samples = (tmp_path / name for name in ("mine.json", "m.safetensors", "s.npz"))
    stroke = toydiff.Stroke("A", 0.1, ((-0.5, 0.0), (0.5, 0.3)))
    toydiff.save_drawing(drawing, toydiff.Drawing((stroke, toydiff.Stroke("B", 0.2, ((0.0, -0.6),)))))
    options = ("--distribution", drawing)
    assert run(*TRAIN, *options, "--classes", "A", "--steps", 3, "--out", model) == 0
    options = (*options, "--main", model, "-n", 100, "--steps", 4)
    assert run("sample", *options, "--out", samples) == 0
    recipe = json.loads(str(np.load(samples)["recipe"]))
    assert toydiff.Drawing.from_json(recipe["distribution"]) == toydiff.load_drawing(drawing)
    drawing.rename(tmp_path / "other.json")  # a weights file holds the drawing that it was trained on
    assert load_weights(model).truth().weights.shape == (10,)
    options = ("--distribution", tmp_path / "other.json", *options[2:])
    capsys.readouterr()
    assert run("evaluate", *options, "--method", "cfg", "--guide", "exact/AB") == 0
    assert "sliced Wasserstein" in capsys.readouterr().out
    assert "no bundled model AB/32/512 of Drawing(" in refused(capsys, "evaluate", *options, "--method", "cfg")
    assert "unknown classes 'B'; there are A" in refused(capsys, *TRAIN, *("--distribution", one_class(tmp_path)),
        "--classes", "B", "--out", tmp_path / "b.safetensors")  # fmt: skip
    (tmp_path / "bad.json").write_text('{"toydiff": "drawing", "format": 2, "strokes": []}')
    assert "format 2; this toydiff reads format 1" in refused(
        capsys, "evaluate", "--distribution", tmp_path / "bad.json"
    )
    err = refused(capsys, *TRAIN, "--steps", 6, "--out", model, "--resume")
    assert "has distribution Drawing(1 of class A and 1 of class B" in err


def one_class(folder):
    """The path of a drawing without a class B."""
    toydiff.save_drawing(folder / "one.json", toydiff.Drawing((toydiff.Stroke("A", 0.1, ((0.0, 0.0),)),)))
    return folder / "one.json"


def test_figures_draws_what_is_asked(tmp_path, monkeypatch, capsys):
    from toydiff.results import paper

    monkeypatch.setattr(paper, "SAMPLES", 64)
    assert run("figures", "--only", "three-gaussians", "--format", "png,svg", "--out", tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"three-gaussians.png", "three-gaussians.svg"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("paint",), "invalid choice: 'paint'"),
        (("sample",), "--out"),
        (("sample", "--out", "x.npz", "--method", "cgf"), "unknown method 'cgf'; there are unguided, "),
        (("sample", "--out", "x.npz", "-w", "nan", "--method", "cfg"), "weight is nan"),
        (("sample", "--out", "x.npz", "-w", "-2", "--method", "cfg"), "weight is -2"),
        (("sample", "--out", "x.npz", "-w", "1e9", "--method", "cfg"), "at most 100"),
        (("sample", "--out", "x.npz", "-w", "much"), "invalid weight value: 'much'"),
        (("sample", "--out", "x.npz", "--method", "cfg", "-w", "0.1:2,0.5"), "invalid weight value"),
        (("sample", "--out", "x.npz", "--method", "cfg", "-w", "0.1:nan"), "weight at sigma 0.1 is nan"),
        (("sample", "--out", "x.npz", "--method", "cfg", "-w", "0.1:2,0.05:1"), "must rise from knot to knot"),
        (("sample", "--out", "x.npz", "-w", "3"), "without guidance it can only be 1"),
        (("sample", "--out", "x.npz", "-n", "0"), "n is 0"),
        (("sample", "--out", "x.npz", "-n", "10000000000"), "n is 10000000000"),
        (("sample", "--out", "x.npz", "-n", "-5"), "n is -5"),
        (("sample", "--out", "x.npz", "--sigma-max", "nan"), "sigma_max is nan"),
        (("sample", "--out", "x.npz", "--sigma-min", "-1"), "sigma_min is -1"),
        (("sample", "--out", "x.npz", "--seed", "-1"), "seed is -1"),
        (("sample", "--out", "x.npz", "--steps", "0"), "steps is 0"),
        (("sample", "--out", "x.npz", "--solver", "rk4"), "unknown solver"),
        (("sample", "--out", "x.npz", "--start", "here"), "unknown start"),
        (("sample", "--out", "x.npz", "--main", "A/65/4096"), "no bundled model A/65/4096"),
        (("sample", "--out", "x.npz", "--main", "C/64/4096"), "no bundled model C/64/4096"),
        (("sample", "--out", "x.npz", "--method", "cfg", "--guide", "none.safetensors"), "there is no file"),
        (("sample", "--out", "x.npz", "--method", "mix", "--guide", "exact/AB"), "got 1 guide models; it takes 2"),
        (("sample", "--out", "x.npz", "--method", "cfg", "--interval", "2", "1"), "interval hi"),
        (("sample", "--out", "x.npz", "--distribution", "oak"), "unknown distribution"),
        (("sample", "--out", "x.csv"), "must end in .npz"),
        (("sample", "--out", "x.npz", "--colour"), "unrecognized arguments"),
        (("sample", "--out", "x.npz", "two\nlines"), "unrecognized arguments: two lines"),
        (("evaluate", "--model-loss", "--main", "A/8/128"), "--model-loss takes names of models"),
        (("evaluate", "--method", "autoguidance", "--main", "exact/B"), "the main model is not: name its guides"),
        (("evaluate", "--method", "cfg", "--distribution", "three_gaussians", "--main", "exact/A"), "no bundled model"),
        (
            ("train", "--zoo", "--only", "oak", "--out", "f"),
            "unknown bundled distribution 'oak'; there are fractal_tree",
        ),
        (("train", "--only", "letters", "--out", "m.safetensors"), "it goes with --zoo"),
        (("train", "--distribution", "none.json", "--out", "m.safetensors"), "there is no file none.json"),
        (("train", "--zoo", "--seed", "1", "--out", "f"), "it takes --only, --out and --quiet only"),
        (("train", "--zoo", "--width", "8", "--out", "f"), "it takes --only, --out and --quiet only"),
        (("evaluate", "-n", "nan"), "invalid int value: 'nan'"),
        (("evaluate", "--model-loss", "A/64"), "unknown model 'A/64'"),
        (("figures", "--only", "fig7", "--out", "f"), "unknown figure 'fig7'"),
        (("figures", "--format", "gif", "--out", "f"), "unknown format 'gif'"),
        (("train", "--classes", "Q", "--out", "m.safetensors"), "unknown classes 'Q'"),
        (("train", "--width", "0", "--out", "m.safetensors"), "width is 0"),
        (("train", "--width", "wide", "--out", "m.safetensors"), "invalid"),
        (("train", "--steps", "0", "--out", "m.safetensors"), "steps is 0"),
        (("train", "--loss", "hinge", "--out", "m.safetensors"), "unknown loss 'hinge'"),
        (("train", "--width", "4,8", "--out", "m.safetensors"), "put {width} in it"),
        (("train", "--out", "m.pkl"), "must end in .safetensors"),
        (("train", "--resume", "--out", "m.safetensors"), "there is no file m.checkpoint.safetensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *arguments)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_resume_under_another_recipe_is_refused_and_harms_nothing(tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    assert run(*TRAIN, "--steps", 3, "--out", out) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    err = refused(capsys, *TRAIN, "--steps", 6, "--seed", 1, "--out", out, "--resume")
    assert "cannot resume: the earlier training has seed 0, not 1" in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_earlier_checkpoint_is_not_lost(tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    assert run(*TRAIN, "--steps", 3, "--out", out) == 0
    capsys.readouterr()
    assert "--resume goes on from it, --overwrite starts again" in refused(capsys, *TRAIN, "--steps", 2, "--out", out)
    assert training.load_checkpoint(tmp_path / "m.checkpoint.safetensors").step == 3
    assert run(*TRAIN, "--steps", 2, "--out", out, "--overwrite") == 0
    assert training.load_checkpoint(tmp_path / "m.checkpoint.safetensors").step == 2


def test_samples_that_blow_up_are_not_written(tmp_path, capsys):
    arguments = ("sample", *THREE, "-n", 100, "--method", "truncation", "-w", 100, "--out", tmp_path / "x.npz")
    assert "became NaN or infinite on the way; lower the weight" in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "fig2.png").mkdir()
    err = refused(capsys, "figures", "--only", "fig1,fig2", "--out", tmp_path)
    assert "fig2.png: it is a folder" in err
    assert [path.name for path in tmp_path.iterdir()] == ["fig2.png"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_or_closed_stdout_is_one_line():
    command = f"{sys.executable} -m toydiff evaluate --distribution three_gaussians --model-loss exact/A"
    for sink in ("> /dev/full", "| true"):
        process = subprocess.run(f"{command} {sink}", shell=True, capture_output=True, text=True, check=False)
        assert "Traceback" not in process.stderr
        assert process.stderr.count("\n") == 1
        assert "cannot print" in process.stderr


def test_odd_characters_do_not_break_an_old_terminal(tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "toydiff", "evaluate", "--distribution", "three_gaussians", "--model-loss", "exact/A"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr


def test_bad_weights_files_are_refused(tmp_path, capsys):
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\x80\x04pickle")
    for name, words in (("other", "no toydiff header"), ("broken", "not a safetensors file")):
        path = tmp_path / f"{name}.safetensors"
        assert words in refused(capsys, "sample", "--main", path, "--out", tmp_path / "x.npz")


def test_unwritable_places_are_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "folder.safetensors").mkdir()
    for arguments in (
        ("sample", "-n", 5, "--out", tmp_path / "file" / "x.npz"),
        ("sample", "-n", 5, "--out", tmp_path / "folder.npz"),
        ("sample", "-n", 5, "--out", "/proc/none/x.npz"),
        ("figures", "--out", tmp_path / "file"),
        (*TRAIN, "--steps", 2, "--out", tmp_path / "file" / "m.safetensors"),
        (*TRAIN, "--steps", 2, "--out", tmp_path / "folder.safetensors"),
        ("train", "--zoo", "--out", tmp_path / "file", "--quiet"),
    ):
        assert "cannot write" in refused(capsys, *arguments)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_disk_that_fills_harms_nothing(tmp_path, capsys):
    out = tmp_path / "s.npz"
    assert run("sample", *THREE, "-n", 10, "--steps", 2, "--out", out) == 0
    before = out.read_bytes()
    limited = (
        "import resource, signal, sys; from toydiff.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        f"sys.exit(main(['sample', *{THREE}, '-n', '5000', '--steps', '2', '--out', {str(out)!r}]))"
    )
    process = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=False)
    assert process.returncode == 2, process.stderr
    assert "cannot write" in process.stderr
    assert "Traceback" not in process.stderr
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_explore_says_where_it_cannot_write(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toydiff-notebooks").write_text("a file")
    assert cli.main(["explore", "--no-browser"]) == 2
    assert "cannot write into" in capsys.readouterr().err


def test_an_interrupt_that_python_drops_comes_again(monkeypatch, capsys):
    """JAX has a callback of the garbage collector, out of which no exception comes."""
    left = [signal.SIGINT]

    def collected(*_):
        if left:
            signal.raise_signal(left.pop())

    def draw(parser, arguments):
        gc.callbacks.append(collected)
        gc.collect()
        assert not left
        for _ in range(100):
            time.sleep(0.02)
        return 0

    monkeypatch.setitem(cli.COMMANDS, "figures", cli.Command(draw, ""))
    hook = sys.unraisablehook
    try:
        assert run("figures") == 130
    finally:
        gc.callbacks.remove(collected)
    assert capsys.readouterr().err == "toydiff figures: stopped\n"
    assert sys.unraisablehook is hook
