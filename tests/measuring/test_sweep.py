"""Sweeps: grids of settings, the table that grows, and its pictures."""

import csv
import itertools
import json
import math
import signal
from dataclasses import replace

import numpy as np
import pytest

import toydiff
from toydiff import InputError, cli, load_sweep, run_sweep
from toydiff.measuring import metrics, sweep
from toydiff.measuring.setting import ModelChoice
from toydiff.measuring.sweep_axes import AXES, axis_values, make_setting, parse_grid, settings_of
from toydiff.measuring.sweep_table import Sweep, pivot, save_sweep
from toydiff.networks.classifier import Classifier
from toydiff.results.sweep_figure import sweep_figure

SMALL = {"main_width": [8], "main_steps": [512], "guide_width": [8], "guide_steps": [128], "steps": [4]}
pytestmark = pytest.mark.usefixtures("few_draws")
QUICK = ("outlier_rate_0.001", "branch_coverage")


def refused(capsys, *arguments):
    """The one line on stderr of a sweep that must end with status 2."""
    assert cli.main(["sweep", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def test_every_axis_reads_what_it_sets():
    values = {
        "method": "mix", "weight": 2.5, "lo": 0.1, "hi": 0.5, "share": 0.25, "distribution": "letters", "classes": "AB",
        "main_width": 16, "main_steps": 128, "main_ema": 0.05, "guide_width": 8, "guide_steps": 64, "guide_ema": 0.1,
        "training_seed": 3, "solver": "euler", "steps": 7, "seed": 11,
    }  # fmt: skip
    assert axis_values(make_setting(**values)) == values
    assert tuple(AXES) == tuple(values), "the columns of the tables of version 0.1, in their order"


def names(**values):
    """The networks of a setting: the main one, then the guides."""
    setting = make_setting(**values)
    guides = [str(setting.guide.name(classes)) for classes in setting.guide_classes]
    return str(setting.main.name(setting.classes)), *guides


def test_a_setting_is_the_papers_where_nothing_is_said():
    assert names() == ("A/64/4096", "A/32/512")
    assert make_setting(method="cfg").weight == 4.0
    assert names(distribution="letters", method="mix") == ("A/64/2048", "AB/16/128", "A/16/128")
    assert names(classes="AB") == ("AB/64/4096", "AB/32/512")  # a bad version of what is sampled
    for distribution, kind in (("fractal_tree", Classifier), ("letters", toydiff.Ratio)):
        setting = make_setting(method="classifier", classes="B", distribution=distribution)
        (guide,) = replace(setting, main=ModelChoice(exact=True)).models().guides
        assert isinstance(guide, kind)


def test_names_say_seed_and_average_only_where_they_are_not_the_bundled_ones():
    found = names(method="mix", training_seed=1, guide_ema=0.05)
    assert found == ("A/64/4096/seed1", "AB/32/512/seed1/ema0.05", "A/32/512/seed1/ema0.05")


def test_three_classes_get_a_guide_of_all_three():
    setting = make_setting(method="cfg", distribution="three_gaussians", classes="B")
    assert setting.guide_classes == ["ABC"]


def test_what_a_method_does_not_take_makes_no_other_setting():
    grid = {"method": ["unguided", "truncation", "cfg"], "weight": [1.0, 2.0], "guide_width": [8, 16]}
    by_method = [setting.method for setting in settings_of(grid)]
    assert [by_method.count(method) for method in grid["method"]] == [1, 2, 4]
    shares = [setting.method for setting in settings_of({"method": ["cfg", "mix"], "share": [0.1, 0.5, 0.9]})]
    assert (shares.count("cfg"), shares.count("mix")) == (1, 3)


def test_words_become_lists_and_ranges_with_their_ends():
    grid = parse_grid(["method=cfg, mix", "weight=1:2:0.25", "guide_width=8,16:64:16", "hi=0.1,inf", "seed=3:0:-1"])
    assert grid["method"] == ["cfg", "mix"]
    assert grid["weight"] == [1.0, 1.25, 1.5, 1.75, 2.0]
    assert grid["guide_width"] == [8, 16, 32, 48, 64]
    assert grid["hi"] == [0.1, math.inf]
    assert grid["seed"] == [3, 2, 1, 0]
    assert parse_grid(["share=0:0.3:0.1"])["share"] == [0.0, 0.1, 0.2, 0.3]  # no 0.30000000000000004


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the grid is empty; give values to some of the axes method, weight"),
        (["weight"], "cannot read 'weight'; give an axis and its values"),
        (["colour=1"], "unknown axis 'colour'; there are method, weight, lo"),
        (["weight="], "axis weight is empty"),
        (["weight=1", "weight=2"], "axis weight is there twice"),
        (["weight=1:2"], "weight has the range '1:2'; it must be START:STOP:STEP"),
        (["weight=1:2:0"], "its steps must lead from start to stop"),
        (["weight=2:1:0.5"], "its steps must lead from start to stop"),
        (["weight=0:1:1e-9"], "fewer than 10,000"),
        (["weight=1e308:-1e308:1e-300"], "it must be START:STOP:STEP, three numbers of at most 1e+15"),
        (["weight=0:1:1e-320"], "fewer than 10,000"),
        ([f"seed=0:{'9' * 400}:1"], "it must be START:STOP:STEP"),
        (["weight=0:1:0.001", "seed=0:999:1"], "the grid has more than 1,000,000 combinations"),
        (["method=classifier", "classes=AB"], "unknown class of the classifier 'AB'; there are A, B"),
        (["distribution=cloud.json"], "a drawing, which has no bundled networks; there are fractal_tree"),
        (["weight=1,2", "--plot", "a.gif"], "unknown format 'gif'; there are"),
        (["weight=1,2", "--plot", "a.png", "--metric", "beauty"], "unknown metric 'beauty'; there are outlier"),
        (["weight=1,2", "--plot", "a.png", "--metric", "branch_recall"], "unknown metric 'branch_recall'; there are"),
        (["weight=1,2", "--plot", "a.png", "--x", "bogus"], "unknown axis x 'bogus'"),
        (["weight=1,2", "--plot", "a.png", "--x", "method"], "unknown axis x of a curve 'method'"),
        (["weight=two"], "weight is 'two'; it must be a number"),
        (["weight=-1"], "weight is -1; it must be a number, at least 0"),
        (["guide_width=8.5"], "guide_width is 8.5; it must be a whole number"),
        (["method=magic"], "unknown method 'magic'; there are unguided"),
        (["classes=C"], "unknown classes 'C'; there are A, B, AB"),
        (["guide_width=8,9"], "no bundled model A/9/512 of fractal_tree"),
        (["lo=0.1,1", "hi=0.5"], "interval hi is 0.5; it must be a number, at least 1"),
        (["solver=magic"], "unknown solver 'magic'"),
    ],
)
def test_grids_that_cannot_be_are_refused_before_any_work(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.setattr(sweep, "sample_together", None)
    monkeypatch.chdir(tmp_path)
    stroke = toydiff.Stroke("A", 0.1, ((0, 0), (1, 1)))
    toydiff.save_drawing("cloud.json", toydiff.Drawing((stroke,)))
    out = tmp_path / "sweep.csv"
    assert message in refused(capsys, *words, "--out", out)
    assert not out.exists()


def test_axes_are_lists():
    for wrong in ("cfg", 3, np.array(3.0)):
        with pytest.raises(InputError, match="it must be a list of values"):
            run_sweep({"method": wrong})
    with pytest.raises(InputError, match="it must be a dictionary from axes to lists of values"):
        settings_of(["weight"])
    with pytest.raises(InputError, match="more than 1,000,000 combinations"):
        settings_of({"seed": itertools.count()})
    assert settings_of({"weight": (w for w in (1, 2))}) == settings_of({"weight": np.array([1, 2])})


def test_a_cell_is_what_sample_and_evaluate_give():
    grid = SMALL | {"method": ["cfg"], "weight": [1.0, 2.5], "hi": [0.5, math.inf], "seed": [0, 3]}
    table = run_sweep(grid, n=40, metrics=QUICK)
    assert len(table.rows) == 8
    table.rows.update(run_sweep(SMALL | {"method": ["unguided"], "solver": ["euler"]}, n=40, metrics=QUICK).rows)
    reference = metrics.Reference(toydiff.fractal_tree("A"))
    for setting, row in table.rows.items():
        main, *guides = (str(model.name("A")) for model in setting.models_used)
        guides = [name.replace("A/", "AB/") for name in guides]  # of CFG
        model = toydiff.guided_model(
            setting.method, setting.weight, main=main, guides=guides, interval=setting.interval
        )
        x = toydiff.sample(model, setting.seed, 40, solver=setting.solver, steps=4, path=False).samples
        scores = metrics.evaluate(x, reference, seed=setting.seed, metrics={q: metrics.METRICS[q] for q in QUICK})
        for name, score in scores.items():
            # The same but for the last bits of float32, which may push one of the samples over an edge.
            assert row[name] == pytest.approx(score.value, abs=1 / 40 + 1e-9), (setting, name)
            assert row[f"{name}_error"] == pytest.approx(score.error, rel=0.5, abs=0.01), (setting, name)


def test_samples_of_settings_that_are_compiled_alike_are_those_of_each():
    settings = settings_of(SMALL | {"method": ["cfg"], "weight": [1.0, 3.0, 4.0], "seed": [0, 5]})
    models = {setting: setting.models().guided for setting in settings[: sweep.threads()]}
    together = sweep.sample_together(models, 40)
    for setting, model in models.items():
        alone = toydiff.sample(model, setting.seed, 40, steps=4, path=False).samples
        np.testing.assert_allclose(together[setting], alone, atol=1e-5)


def test_settings_of_one_shape_are_compiled_once(compilations):
    sweep.solve_cells.clear_cache()
    cells = 2 * sweep.threads()
    with compilations() as count:
        run_sweep(SMALL | {"method": ["cfg"], "weight": list(np.linspace(1, 4, cells))}, n=40, metrics=QUICK)
    assert count(sweep.solve_cells) == 1


def test_the_table_is_tidy_and_comes_back(tmp_path):
    out = tmp_path / "deep" / "sweep.csv"
    table = run_sweep(SMALL | {"method": ["unguided", "cfg"], "weight": [1, 1 / 3]}, n=40, metrics=QUICK, out=out)
    first, *lines = out.read_text().splitlines()
    header = json.loads(first.removeprefix("#"))
    assert (header["toydiff"], header["format"], header["n"], header["metrics"]) == ("sweep", 1, 40, list(QUICK))
    rows = list(csv.DictReader(lines))
    values = ["outlier_rate_0.001", "outlier_rate_0.001_error", "branch_coverage", "branch_coverage_error"]
    assert list(rows[0]) == [*AXES, *values]
    assert [row["method"] for row in rows] == ["unguided", "cfg", "cfg"]
    assert [row["guide_width"] for row in rows] == ["", "8", "8"]
    assert {row["hi"] for row in rows} == {"inf"}
    assert float(rows[2]["weight"]) == 1 / 3
    assert load_sweep(out) == table
    out.write_bytes(b"\xef\xbb\xbf" + out.read_bytes())  # as a spreadsheet may save it
    assert load_sweep(out) == table


def test_only_what_is_missing_is_measured(tmp_path, monkeypatch):
    out = tmp_path / "sweep.csv"
    grid = SMALL | {"method": ["cfg"], "weight": [1.0, 2.0]}
    before = run_sweep(grid, n=40, metrics=QUICK, out=out)
    measured, measure = [], sweep.measure_setting

    def note(setting, *rest):
        measured.append(setting)
        return measure(setting, *rest)

    monkeypatch.setattr(sweep, "measure_setting", note)
    after = run_sweep(grid | {"weight": [2.0, 3.0]}, n=40, metrics=QUICK, out=out)
    assert [setting.weight for setting in measured] == [3.0]
    assert [setting.weight for setting in after.rows] == [1.0, 2.0, 3.0]
    assert before.rows.items() <= after.rows.items()
    written = out.stat().st_mtime_ns
    run_sweep(grid, n=40, metrics=QUICK, out=out)
    assert (len(measured), out.stat().st_mtime_ns) == (1, written)


def test_a_table_of_another_kind_is_not_overwritten(tmp_path, capsys):
    out = tmp_path / "sweep.csv"
    grid = SMALL | {"method": ["unguided"]}
    run_sweep(grid, n=40, metrics=QUICK, out=out)
    good = out.read_bytes()
    header, _, row = good.splitlines(keepends=True)
    header = header.strip()
    for options, message in [
        ({"n": 41}, "has n 40, not 41; sweep into another file"),
        ({"metrics": QUICK[:1]}, "has metrics outlier_rate_0.001, branch_coverage, not outlier_rate_0.001;"),
    ]:
        with pytest.raises(InputError, match=message):
            run_sweep(grid, **{"n": 40, "metrics": QUICK, "out": out} | options)
    for old, new, message in [
        (b'"format": 1', b'"format": 2', "it has format 2; this toydiff reads format 1"),
        (b'"version": "', b'"version": "9.', "has version 9.0.1.0, not"),
        (b'"sweep"', b'"drawing"', "it is a 'drawing'; a sweep is wanted"),
        (b"# {", b"", "it is not a sweep"),
        (b'"n": 40', b'"m": 40', "has lost n, metrics or version"),
        *((b'"n": 40', b'"n": ' + n, "it must be a whole number") for n in (b"Infinity", b"1e999", b"-3", b"4.7")),
        (b'"branch_coverage"]', b'"outlier_rate_0.001"]', "they must be a list of different names"),
        (header[header.index(b"[") :], b"[]}", "they must be a list of different names"),
        (header[header.index(b"[") :], b'"share"}', "they must be a list of different names"),
        (header[header.index(b"[") :], b"[[1]]}", "they must be a list of different names"),
        (b"share", b"fair", "its columns are not those"),
        (b"unguided", b"u" * 140_000, "its table cannot be read (field larger than field limit (131072))"),
        (b"unguided,", b"", "line 3 has 20 cells, not 21"),
        (row, row + row, "line 4 has the setting of line 3 again; take one of them out"),
        (good[-5:], b"", "its last line is cut off; take it out to go on"),
        (b"unguided", b"magic", "line 3: unknown method 'magic'"),
    ]:
        bad = good.replace(old, new, 1)
        assert bad != good
        out.write_bytes(bad)
        assert message in refused(capsys, "method=unguided", "-n", 40, "--metrics", ",".join(QUICK), "--out", out)
        assert out.read_bytes() == bad
    out.write_bytes(b"\xff\x00")
    assert "it is not a sweep" in refused(capsys, "--from", out, "--plot", tmp_path / "a.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"metrics": []}, "the list of metrics is empty; it must have one or more of outlier_rate"),
        ({"metrics": (name for name in ["beauty"])}, "unknown metric 'beauty'; there are"),
        ({"metrics": "branch_coverage"}, "the list of metrics is 'branch_coverage'; it must be a list"),
        ({"metrics": 5}, "the list of metrics is 5; it must be a list"),
        ({"metrics": ["beauty"]}, "unknown metric 'beauty'; there are"),
        ({"out": "sweep.txt"}, "it must be a path that ends in .csv"),
        ({"out": 5}, "the table's file is 5; it must be a path"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        run_sweep({"method": ["unguided"]}, **options)


def test_samples_that_are_lost_are_named_and_the_others_kept(tmp_path, monkeypatch):
    out = tmp_path / "sweep.csv"
    together = sweep.sample_together

    def broken(chunk, n):
        samples = together(chunk, n)
        return {setting: x * (np.nan if setting.weight == 2 else 1) for setting, x in samples.items()}

    grid = SMALL | {"method": ["cfg"], "weight": [1.0, 2.0, 3.0]}
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "sample_together", broken)
        message = "2 of 3 settings were measured, not method=cfg, weight=2, .*: 40 of 40 samples are NaN"
        with pytest.raises(InputError, match=message):
            run_sweep(grid, n=40, metrics=QUICK, out=out)
    assert [setting.weight for setting in load_sweep(out).rows] == [1.0, 3.0]
    assert len(run_sweep(grid, n=40, metrics=QUICK, out=out).rows) == 3


def test_what_cannot_be_written_ends_the_sweep_in_one_line(tmp_path, monkeypatch):
    def refuse(path, table):
        raise InputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(sweep, "save_sweep", refuse)
    monkeypatch.setattr(sweep, "sample_together", lambda chunk, n: dict.fromkeys(chunk))
    monkeypatch.setattr(sweep, "measure_setting", lambda *_: {})
    grid = SMALL | {"method": ["cfg"], "weight": [1.0, 2.0]}
    with pytest.raises(
        InputError, match=r"2 of 2 settings were measured, then the sweep ended: cannot write .*No space"
    ):
        run_sweep(grid, n=40, metrics=QUICK, out=tmp_path / "sweep.csv")


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path, capsys, monkeypatch):
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    words = [
        "weight=1:4:0.5",
        "method=cfg",
        "main_width=8",
        "main_steps=512",
        "guide_width=8",
        "guide_steps=128",
        "steps=4",
    ]
    command = ["sweep", *words, "-n", "40", "--metrics", ",".join(QUICK), "--out"]
    assert cli.main([*command, str(whole)]) == 0
    together, calls = sweep.sample_together, []

    def interrupt_the_second(chunk, n):
        calls.append(len(chunk))
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return together(chunk, n)

    with monkeypatch.context() as patch:
        patch.setattr(sweep, "sample_together", interrupt_the_second)
        assert cli.main([*command, str(parts)]) == 130
    assert f"stopped; the same command goes on from {parts}" in capsys.readouterr().err
    assert len(load_sweep(parts).rows) == sum(calls) < 7
    assert cli.main([*command, str(parts)]) == 0
    assert parts.read_bytes() == whole.read_bytes()


def made_up(values):
    """A sweep from a function of the setting."""
    grid = {"method": ["cfg", "autoguidance"], "weight": [2.0, 1.0], "guide_width": [8, 16], "seed": [0, 1, 2]}
    table = Sweep(100, ("branch_coverage",))
    for setting in settings_of(grid):
        table.rows[setting] = {"branch_coverage": values(setting), "branch_coverage_error": 0.3}
    return table


def test_a_pivot_averages_the_other_axes_and_the_seeds_give_its_error():
    table = made_up(lambda s: s.weight + 10 * s.guide.width + s.seed)
    seen = pivot(table, "branch_coverage", "weight", "method")
    assert (seen.x_values, seen.y_values) == ([1.0, 2.0], ["cfg", "autoguidance"])
    np.testing.assert_allclose(seen.mean, [[122.0, 123.0]] * 2)
    np.testing.assert_allclose(seen.error, np.full((2, 2), 1 / np.sqrt(3)))  # means 121, 122, 123
    assert seen.averaged == ("guide_width", "seed")
    assert {len(cell) for row in seen.settings for cell in row} == {6}
    alone = pivot(table, "branch_coverage", "seed")
    assert alone.y_values == [None]
    np.testing.assert_allclose(alone.error, np.full((1, 3), 0.3 / np.sqrt(8)))  # eight settings of each seed


def test_curves_and_heat_maps_show_the_means(tmp_path):
    table = made_up(lambda s: s.weight * s.guide.width + s.seed)
    curves = sweep_figure(table, x="weight", by="guide_width").axes[0]
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["guide_width 8", "guide_width 16"]
    np.testing.assert_allclose(curves.containers[1].lines[0].get_ydata(), [17.0, 33.0])
    heat = sweep_figure(table, x="weight", y="guide_width").axes[0]
    assert [text.get_text() for text in heat.texts] == ["9", "17", "17", "33"]
    assert [text.get_text() for text in heat.get_yticklabels()] == ["8", "16"]
    default = sweep_figure(table).axes[0]
    assert (default.get_xlabel(), default.get_ylabel()) == ("weight", "branch_coverage")
    assert len(default.containers) == 2  # a curve for each method
    table.rows.pop(next(iter(table.rows)))
    save_sweep(tmp_path / "sweep.csv", table)
    picture = tmp_path / "heat.pdf"
    assert cli.main(["sweep", "--from", str(tmp_path / "sweep.csv"), "--plot", str(picture), "--y", "seed"]) == 0
    assert picture.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "beauty"], "unknown metric 'beauty'; there are branch_coverage"),
        (["--x", "colour"], "unknown axis x 'colour'"),
        (["--x", "method"], "unknown axis x of a curve 'method'; there are weight"),
        (["--x", "weight", "--y", "weight"], "both axes are weight"),
        (["--y", "seed", "--by", "method"], "y is seed and by is method"),
        (["-n", "3"], "--from draws"),
        (["--out", "b.csv"], "give --out and a grid to measure it, or --from"),
    ],
)
def test_pictures_that_cannot_be_are_refused(tmp_path, capsys, options, message):
    save_sweep(tmp_path / "sweep.csv", made_up(lambda s: s.weight))
    picture = tmp_path / "a.png"
    assert message in refused(capsys, "--from", tmp_path / "sweep.csv", "--plot", picture, *options)
    assert not picture.exists()


def test_an_empty_table_has_no_picture():
    with pytest.raises(InputError, match="the sweep has no rows yet"):
        sweep_figure(Sweep(100, ("branch_coverage",)))
