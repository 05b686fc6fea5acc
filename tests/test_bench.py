import json
from itertools import product
from types import SimpleNamespace

import jax
import pytest

from toydiff import InputError, bench, cli
from toydiff.networks.energy import Architecture, energy, init_params


def test_utilisation_counts_the_products_of_the_networks():
    """As XLA counts them, which adds what is no product: with a wide network a few per cent."""
    for width, labels in product((64, 256), (0, 2)):
        architecture = Architecture(width, 4, labels)
        params = init_params(architecture, jax.random.key(0))
        label = jax.numpy.zeros(256, int) if labels else None
        points = jax.numpy.ones((256, 2)), jax.numpy.ones(256)
        batch = jax.jit(jax.vmap(lambda x, s, c, a=architecture, p=params: energy(a, p, x, s, c)))
        counted = batch.lower(*points, label).compile().cost_analysis()["flops"] / 256
        expected = bench.evaluation_flops(architecture)
        assert expected < counted < 1.1 * expected


def test_figures_stand_beside_the_limits(capsys, monkeypatch):
    monkeypatch.setattr(bench, "WITHIN", 0.2)
    assert cli.main(["bench", "--only", "density_grid,import", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["figures"]) == ["density_grid", "import"]
    grid, start = report["figures"].values()
    lower, upper = grid["quartiles"]
    assert 0 < lower <= grid["seconds"] <= upper
    assert grid["repeats"] >= 5
    rate = 400**2 * bench.evaluation_flops(Architecture()) / grid["seconds"]
    assert grid["utilisation"] == pytest.approx(rate / report["limits"]["matrix_rate"])
    assert start["utilisation"] is None
    assert report["machine"]["cores"] >= 1
    assert 1e8 < report["peak_memory"] < 1e11
    lines = bench.table(report)
    assert any(grid["title"] in line and "%" in line for line in lines)


def test_the_peak_of_memory_is_that_of_the_figures(monkeypatch):
    memory = SimpleNamespace(ru_maxrss=1000)

    def measure_limits():
        memory.ru_maxrss = 10**6
        return bench.Limits(1.0, 1.0)

    monkeypatch.setattr(bench, "measure_limits", measure_limits)
    monkeypatch.setattr(bench, "once", lambda call: 1.0)
    monkeypatch.setattr(bench.resource, "getrusage", lambda who: memory)
    monkeypatch.setattr(bench.sys, "platform", "darwin")  # where it comes in bytes
    assert bench.measure(["import"])["peak_memory"] == 1000


def test_work_is_shared_among_the_networks_of_an_ensemble():
    one, two = (bench.training(bench.Recipe(widths=(8,), members=m, batch=256)) for m in (1, 2))
    assert two.flops == 2 * one.flops
    assert two.share == one.share / 2 == 1 / 32 / 2


def test_unknown_figures_are_refused(capsys):
    with pytest.raises(InputError, match="unknown figure 'speed'; there are train"):
        bench.measure(["speed"])
    assert cli.main(["bench", "--only", "speed"]) == 2
