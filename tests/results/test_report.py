"""The page of results: its claims, tables and files; and, slowly, that it can be made again."""

import math
import re

import pytest
from helpers import ROOT
from matplotlib.figure import Figure

import toydiff
from toydiff import InputError, cli
from toydiff.measuring.distances import Estimate
from toydiff.measuring.reference import reference_of
from toydiff.measuring.sweep import run_sweep
from toydiff.results import ablations, degradations, frontier, report
from toydiff.results.claims import Claim, Section, clearly_less, mean_of, measure, numbers_table, shown

CELL = re.compile(r"(-?[0-9.]+) ± ([0-9.]+)")


def test_a_claim_holds_as_far_as_its_findings_do():
    verdicts = [Claim("", tuple((holds, "") for holds in found)).verdict for found in ([1, 1], [1, 0], [0, 0])]
    assert verdicts == ["holds", "holds partly", "does not hold"]


def test_means_have_the_larger_of_both_errors():
    alike = mean_of([Estimate(1.0, 0.3), Estimate(1.0, 0.4)])
    assert alike == (1.0, pytest.approx(0.25))
    apart = mean_of([Estimate(0.0, 0.1), Estimate(2.0, 0.1)])
    assert apart == (1.0, pytest.approx(1.0))
    assert clearly_less(Estimate(1.0, 0.1), Estimate(1.3, 0.1))
    assert not clearly_less(alike, apart)


def test_numbers_are_shown_with_as_many_digits_as_they_have():
    assert shown("outlier_rate_0.001", Estimate(0.0712, 0.002)) == "7.1 ± 0.2%"
    assert shown("sliced_wasserstein", Estimate(0.01396, 0.00098)) == "0.01396 ± 0.00098"
    assert shown("kl_of_samples", Estimate(5.62, 3.5)) == "5.6 ± 3.5"
    assert shown("kl_of_truth", Estimate(math.inf, math.inf)) == "∞"
    text = numbers_table("a|b", {"x": {"k": Estimate(1.0, 0.5)}}, {"k": "KL(p || q)"}, bold=["x"])
    assert text.splitlines()[0] == r"| a\|b | KL(p \|\| q) |"
    assert text.splitlines()[2].startswith("| **x** |")


def test_models_are_measured_as_evaluate_measures_them(tree, few_draws):
    model = toydiff.guide("truncation", tree, weight=1.2)
    found = measure({"m": model}, n=100, seeds=(0, 1), metrics=["outlier_rate_0.01"])["m"]["outlier_rate_0.01"]
    row = {"outlier_rate_0.01": toydiff.METRICS["outlier_rate_0.01"]}
    reference = reference_of("fractal_tree", "A")
    values = [
        toydiff.evaluate(toydiff.sample(model, seed, 100, path=False).samples, reference, metrics=row)[
            "outlier_rate_0.01"
        ].value
        for seed in (0, 1)
    ]
    assert found.value == pytest.approx(sum(values) / 2)


def settings(*labels, **made_up):
    """Made-up numbers: outliers 10%, all branches, sliced W1 0.01 unless a setting has others."""
    usual = {"outlier_rate_0.001": 0.1, "branch_coverage": 1.0, "sliced_wasserstein": 0.01}
    return {k: {m: Estimate(v, 0.001) for m, v in (usual | made_up.get(k, {})).items()} for k in labels}


def outliers(value):
    return {"outlier_rate_0.001": value}


def test_claims_about_the_guide_follow_the_numbers():
    training = [f"{4096 // part} steps (T/{part}), w = {w}" for part in (32, 16, 8, 4, 2) for w in (1, 2)]
    width = [f"width {n}, w = {w}" for n in (8, 32, 64) for w in (1, 2)]
    short, long = ({training[i]: outliers(0.05)} for i in (3, 9))
    small, large = ({width[i]: outliers(0.05)} for i in (3, 5))
    for best_time, best_width, verdict in ((short, small, "holds"), (long, large, "does not hold")):
        claims = ablations.claims_of_sensitivity(settings(*training, **best_time), settings(*width, **best_width))
        assert [claim.verdict for claim in claims] == [verdict] * 2
    assert ablations.claims_of_sensitivity(settings(*training), settings(*width))[1].verdict == "does not hold"


def test_the_claim_about_lengths_asks_for_twice_the_effect():
    labels = [f"main {a:g}, guide {b:g}" for a in ablations.LENGTHS for b in ablations.LENGTHS]
    main, guide = ({label: outliers(0.2)} for label in ("main 0.05, guide 0.01", "main 0.01, guide 0.05"))
    assert ablations.claim_of_lengths(settings(*labels, **main)).verdict == "holds"
    assert ablations.claim_of_lengths(settings(*labels, **main, **guide)).verdict == "does not hold"


def test_the_claim_about_the_mix_asks_for_more_than_the_error():
    labels = [f"share {share}, w = 2" for share in ("0", "0.5", "1")]
    for value, verdict in ((0.05, "holds partly"), (0.099, "does not hold")):
        assert ablations.claim_of_mix(settings(*labels, **{labels[1]: outliers(value)})).verdict == verdict


def test_the_claim_about_degradations_wants_matched_mended_and_mismatched_not():
    hurt, clean = "dropout 0.05", "A/64/4096 itself"
    good, bad = (f"{hurt}, guide {kind}, w = 2" for kind in ("dropout 0.1", "input-noise 0.2"))
    worse, mended = {"sliced_wasserstein": 0.05, **outliers(0.3)}, {"sliced_wasserstein": 0.01, **outliers(0.1)}
    for matched, mismatched, verdict in ((mended, worse, "holds"), (worse, mended, "does not hold")):
        found = settings(clean, hurt, good, bad, **{hurt: worse, good: matched, bad: mismatched})
        assert degradations.claim_of_degradation(found, hurt, "dropout 0.1", "input-noise 0.2").verdict == verdict


def test_the_aim_is_reached_all_at_once_or_not():
    good, bad = {"outlier_rate_0.001": 0.02, "sliced_wasserstein": 0.005}, {"branch_coverage": 0.9}
    assert frontier.claim_of_aim(settings("a", "b", a=good), "a").verdict == "holds"
    assert frontier.claim_of_aim(settings("a", "b", a=good | bad), "a").verdict == "does not hold"


def test_the_guides_at_low_noise_are_compared_on_equal_terms():
    titles = ("A/64/1024 as guide, (0.003, 0.04]", "A/32/512 as guide, (0.003, 0.04]")
    for ours, theirs, verdict in ((0.04, 0.05, "holds"), (0.05, 0.05, "does not hold"), (0.06, 0.05, "does not hold")):
        found = {title: settings("w", w=outliers(rate)) for title, rate in zip(titles, (ours, theirs), strict=True)}
        assert frontier.claim_at_low_noise(found).verdict == verdict


def test_an_interrupted_sweep_ends_the_report(monkeypatch):
    table = toydiff.Sweep(50, ("mmd",), interrupted=True)
    monkeypatch.setattr(ablations, "run_sweep", lambda *_, **__: table)
    with pytest.raises(KeyboardInterrupt):
        ablations.sweep({"weight": [1.0]})


@pytest.fixture
def one_section(few_draws, monkeypatch):
    small = {"main_width": [8], "main_steps": [512], "method": ["unguided"], "steps": [3]}

    def section():
        claim = Claim("It can be written.", ((True, "it was"), (False, "not twice")))
        table = run_sweep(small, n=50, progress=False)
        return Section("A small one: first?", "What was done.", ("| a |\n| --- |",), (claim,), Figure(), (table,))

    monkeypatch.setattr(report, "SECTIONS", {"small": section})


def test_the_page_holds_claims_tables_pictures_and_links(one_section, tmp_path, capsys):
    assert cli.main(["report", "--out", str(tmp_path), "--only", "small"]) == 0
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| It can be written. | **holds partly** | ✓ it was; ✗ not twice | " in page
    assert "[A small one: first?](#a-small-one-first)" in page
    for link in re.findall(r"\]\((results/[^)]+)\)", page):
        assert (tmp_path / link).exists(), link
    assert f"wrote {tmp_path / 'results' / 'small.png'}" in capsys.readouterr().out
    assert toydiff.load_sweep(tmp_path / "results" / "small.csv").n == 50


def test_nothing_is_written_when_an_experiment_fails(one_section, tmp_path, monkeypatch):
    (tmp_path / "RESULTS.md").write_text("before")

    def fails():
        raise InputError("no")

    monkeypatch.setitem(report.SECTIONS, "bad", fails)
    with pytest.raises(InputError, match="no"):
        report.write_report(tmp_path, ["small", "bad"])
    assert (tmp_path / "RESULTS.md").read_text() == "before"
    assert not list(tmp_path.glob("results/*"))


def test_bad_experiments_are_refused(tmp_path, capsys):
    with pytest.raises(InputError, match="unknown experiment 'oak'; there are methods, sensitivity"):
        report.write_report(tmp_path, ["oak"])
    with pytest.raises(InputError, match="no experiment is named"):
        report.write_report(tmp_path, [])
    assert cli.main(["report", "--only", "methods"]) == 2
    assert "--only makes a page of a part: name another folder for it with --out" in capsys.readouterr().err


def test_the_committed_page_is_whole():
    """Every experiment of the table stands in it, and every file that it names is there."""
    page = (ROOT / "figures" / "RESULTS.md").read_text()
    assert len(re.findall("^## ", page, re.MULTILINE)) == len(report.SECTIONS) + 1
    for link in re.findall(r"\]\((results/[^)]+)\)", page):
        assert (ROOT / "figures" / link).exists(), link
    for path in (ROOT / "figures" / "results").glob("*.csv"):
        toydiff.load_sweep(path)


@pytest.mark.slow
def test_the_committed_page_can_be_made_again(tmp_path):
    """Every number of every table within five of its standard errors: another machine rounds otherwise."""
    report.write_report(tmp_path, progress=False)
    ours, theirs = (CELL.findall((folder / "RESULTS.md").read_text()) for folder in (tmp_path, ROOT / "figures"))
    assert len(ours) == len(theirs) > 500
    for (value, error), (expected, its_error) in zip(ours, theirs, strict=True):
        rounding = 10 ** -len(value.partition(".")[2])
        assert abs(float(value) - float(expected)) <= 5 * math.hypot(float(error), float(its_error)) + rounding
