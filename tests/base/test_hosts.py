"""Sweeps that several processes share: two of them on this machine, one that dies, and what they refuse."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest
from helpers import ROOT, refused

from toydiff import InputError, load_sweep, run_sweep
from toydiff.base import hosts
from toydiff.cli_options import add_sweep_options, make_parser
from toydiff.measuring import sweep
from toydiff.measuring.sweep_axes import parse_grid, settings_of
from toydiff.measuring.sweep_files import begin_parts, open_table, part_file
from toydiff.measuring.sweep_table import Sweep, save_sweep

pytestmark = pytest.mark.usefixtures("few_draws")
METRIC = "mean_log_density"
FEW_DRAWS = """
from toydiff import cli
from toydiff.base.effort import effort
cli.main = effort(reference_draws=1 << 14)(cli.main)
"""
MOMENTS = (
    "lambda setting, x, metrics: {'mean_log_density': float(x[:, 0].mean()), 'mean_log_density_error': float(x.std())}"
)
"""Of the samples; cheaper than any metric, and they show each change of a sample."""
MADE_UP = """
import os, time
from toydiff.measuring import sweep

def note(chunk, n):
    time.sleep(float(os.environ["PAUSE"]))
    with open(os.environ["MEASURED"], "a") as file:
        file.writelines(f"{setting.seed}\\n" for setting in chunk)
    return dict.fromkeys(chunk)

sweep.sample_together = note
sweep.measure_setting = lambda setting, x, metrics: {"mean_log_density": setting.seed, "mean_log_density_error": 0.5}
sweep.SECONDS_BETWEEN_SAVES = 0
sweep.threads = lambda: 1
"""
"""Sampling and measuring that cost nothing, take PAUSE seconds for a setting, and write down what was measured."""
SEEDS = {"method": ["unguided"], "seed": list(range(24))}
SECONDS = 120
"""No process of these tests runs for longer."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def start():
    """`start(prelude, *words)` runs a sweep in several processes, or in those of `ids`; none outlives the test."""
    started = []

    def start(prelude, *words, processes=2, ids=None, **environment):
        command = [sys.executable, "-c", f"{prelude}\nimport sys\nfrom toydiff import cli\nsys.exit(cli.main())"]
        command += ["sweep", *map(str, words), "--coordinator", f"127.0.0.1:{free_port()}"]
        command += ["--num-processes", str(processes), "--process-id"]
        env = os.environ | environment
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": env}
        team = [subprocess.Popen([*command, str(index)], **pipe) for index in ids or range(processes)]
        started.extend(team)
        return team

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=SECONDS)


def start_made_up(start, out, *, pause, processes=2):
    """A sweep over SEEDS that costs nothing, and the file where the processes write down what they measure."""
    measured = out.with_suffix(".log")
    words = ["method=unguided", "seed=0:23:1", "-n", 4, "--metrics", METRIC, "--out", out]
    return start(MADE_UP, *words, processes=processes, PAUSE=str(pause), MEASURED=str(measured)), measured


def wait_for_rows(out, processes=2):
    """Until each process has written a row of its own."""
    end = time.monotonic() + SECONDS
    parts = [part_file(out, index) for index in range(processes)]
    while not all(part.exists() and load_sweep(part).rows for part in parts):
        assert time.monotonic() < end
        time.sleep(0.05)


def measure_the_rest(out, monkeypatch):
    """The same sweep in this process alone; the seeds that it measured."""
    measured = []
    monkeypatch.setattr(sweep, "sample_together", lambda chunk, n: dict.fromkeys(chunk))
    score = {METRIC: 0.0, f"{METRIC}_error": 0.5}
    monkeypatch.setattr(
        sweep, "measure_setting", lambda setting, *_: measured.append(setting.seed) or score | {METRIC: setting.seed}
    )
    run_sweep(SEEDS, n=4, metrics=[METRIC], out=out)
    return measured


def check_whole(out):
    table = load_sweep(out)
    assert list(table.rows) == list(settings_of(SEEDS))
    assert [row[METRIC] for row in table.rows.values()] == SEEDS["seed"]
    assert not list(out.parent.glob("*.part*"))


@pytest.mark.parametrize("moments", [True, pytest.param(False, marks=pytest.mark.slow, id="metric")])
def test_two_processes_give_the_table_of_one(tmp_path, start, monkeypatch, moments):
    if moments:
        monkeypatch.setattr(sweep, "measure_setting", eval(MOMENTS))
    prelude = f"from toydiff.measuring import sweep; sweep.measure_setting = {MOMENTS}" if moments else FEW_DRAWS
    words = ["method=unguided", "main_width=8", "main_steps=512", "solver=euler", "steps=4", "seed=0:2:1"]
    out = tmp_path / "sweep.csv"
    grid = {"method": ["unguided"], "main_width": [8], "main_steps": [512], "solver": ["euler"], "steps": [4]}
    alone = run_sweep(grid | {"seed": [0, 1, 2]}, n=40, metrics=[METRIC])
    first, second = start(prelude, *words, "-n", 40, "--metrics", METRIC, "--out", out)
    printed = [process.communicate(timeout=SECONDS) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], printed
    assert [text for text, _ in printed] == [f"{out} has 3 settings, 40 samples each\n", ""]
    together = load_sweep(out)
    assert list(together.rows) == list(alone.rows)  # three settings on two processes, in the order of the grid
    for setting, row in alone.rows.items():
        assert together.rows[setting] == pytest.approx(row, rel=1e-5)
    assert os.listdir(tmp_path) == ["sweep.csv"]  # noqa: PTH208, the names


def test_what_a_killed_process_had_finished_is_kept_and_the_others_end(tmp_path, start, monkeypatch):
    out = tmp_path / "sweep.csv"
    (first, second), _ = start_made_up(start, out, pause=0.2)
    wait_for_rows(out)
    first.kill()
    second.communicate(timeout=SECONDS)
    assert second.returncode not in (0, None)
    assert not out.exists()
    kept = [setting.seed for setting in open_table(4, [METRIC], out)[0].rows]
    assert 2 <= len(kept) < 24
    assert sorted(measure_the_rest(out, monkeypatch) + kept) == SEEDS["seed"]
    check_whole(out)


@pytest.mark.slow
def test_ctrl_c_in_one_process_stops_all_and_leaves_one_table(tmp_path, start, monkeypatch):
    out = tmp_path / "sweep.csv"
    team, log = start_made_up(start, out, pause=0.2)
    wait_for_rows(out)
    team[1].send_signal(signal.SIGINT)
    for process in team:
        assert f"stopped; the same command goes on from {out}\n" in process.communicate(timeout=SECONDS)[1]
        assert process.returncode == 130
    kept = [setting.seed for setting in load_sweep(out).rows]
    assert kept == sorted(int(line) for line in log.read_text().split())
    assert 2 <= len(kept) < 24
    assert sorted(measure_the_rest(out, monkeypatch) + kept) == SEEDS["seed"]
    check_whole(out)


@pytest.mark.slow
def test_a_killed_worker_ends_the_others_and_three_processes_go_on(tmp_path, start):
    out = tmp_path / "sweep.csv"
    (first, second), log = start_made_up(start, out, pause=0.2)
    wait_for_rows(out)
    second.kill()
    first.communicate(timeout=SECONDS)  # JAX ends it when the heartbeats have stayed away
    assert first.returncode not in (0, None)
    kept = [setting.seed for setting in open_table(4, [METRIC], out)[0].rows]
    log.unlink()
    team, log = start_made_up(start, out, pause=0, processes=3)
    for process in team:
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0
    assert sorted([int(line) for line in log.read_text().split()] + kept) == SEEDS["seed"]
    check_whole(out)


def test_a_sweep_alone_takes_in_the_parts_that_were_left(tmp_path, monkeypatch):
    out = tmp_path / "sweep.csv"
    settings = settings_of(SEEDS)
    rows = [{setting: {METRIC: setting.seed, f"{METRIC}_error": 0.5}} for setting in settings]
    table = Sweep(4, (METRIC,))
    for file, row in ((out, rows[3]), (part_file(out, 0), rows[20]), (part_file(out, 11), rows[1] | rows[3])):
        table.rows.clear()
        table.rows.update(row)
        save_sweep(file, table)
    another = tmp_path / "sweep.partial.csv"
    another.write_text("of somebody else")
    save_sweep(part_file(out, 7), Sweep(5, (METRIC,)))
    with pytest.raises(InputError, match=r"sweep\.part7\.csv has n 5, not 4; sweep into another file"):
        run_sweep(SEEDS, n=4, metrics=[METRIC], out=out)
    part_file(out, 7).unlink()
    assert sorted({*range(24)} - {*measure_the_rest(out, monkeypatch)}) == [1, 3, 20]
    another.unlink()
    check_whole(out)


class Pair(hosts.Team):
    """Process 0 of two; the other one brings `notes`."""

    def __init__(self, *notes):
        self.index, self.size, self._notes = 0, 2, set(notes)

    def meet(self, place, note="", *, meanwhile=lambda: None):
        return self._notes | {note}


def test_processes_that_do_not_see_the_same_are_refused(tmp_path):
    table, out = Sweep(4, (METRIC,)), tmp_path / "sweep.csv"
    settings = settings_of(SEEDS)
    with pytest.raises(InputError, match="it needs out, the table's file"):
        begin_parts(Pair(), None, table, settings)
    with pytest.raises(InputError, match=r"do not see the same .*sweep.csv, or were not given the same grid"):
        begin_parts(Pair("another grid"), out, table, settings)
    with pytest.raises(InputError, match="in a folder that all processes share; process 1 writes elsewhere"):
        begin_parts(Pair(), out, table, settings)


def test_a_process_that_cannot_begin_does_not_let_the_others_wait(tmp_path, start):
    out = tmp_path / "sweep.csv"
    save_sweep(out, Sweep(4, (METRIC,)))
    of_another_n = "import sys\nif sys.argv[-1] == '1': sys.argv += ['-n', '5']"
    team = start(of_another_n, "method=unguided", "-n", 4, "--metrics", METRIC, "--out", out)
    lines = [process.communicate(timeout=hosts.SHUTDOWN_SECONDS / 2)[1] for process in team]
    assert [process.returncode for process in team] == [2, 2]
    assert lines[0] == (
        f"toydiff sweep: the processes do not see the same {out}, or were not given the same grid, n and metrics\n"
    )
    assert lines[1] == f"toydiff sweep: {out} has n 4, not 5; sweep into another file\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--coordinator", "127.0.0.1:80"], "coordinator, num-processes and process-id go together; give all three"),
        (["--num-processes", "2"], "num-processes and process-id need coordinator too"),
        (["--process-id", "0"], "num-processes and process-id need coordinator too"),
        (["--coordinator", "auto", "--process-id", "0"], "coordinator is auto: leave num-processes and process-id out"),
        *(
            (
                ["--coordinator", address, "--num-processes", "2", "--process-id", "0"],
                f"coordinator is '{address}'; it must be HOST:PORT, as in 10.0.0.1:12345, or auto",
            )
            for address in ("127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:0", "127.0.0.1:65536", "a:b:80", "http://a:80")
        ),
        (
            ["--coordinator", "127.0.0.1:80", "--num-processes", "2", "--process-id", "2"],
            "process-id is 2; it must be a whole number from 0 to 1",
        ),
        (
            ["--coordinator", "127.0.0.1:80", "--num-processes", "0", "--process-id", "0"],
            "num-processes is 0; it must be a whole number from 1 to",
        ),
    ],
)
def test_processes_that_cannot_be_are_refused(tmp_path, capsys, words, message):
    out = tmp_path / "sweep.csv"
    assert message in refused(capsys, "sweep", "method=unguided", "--out", out, *words)
    assert not out.exists()


def test_the_commands_of_the_page_are_sweeps():
    page = (ROOT / "docs" / "devices.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"\btoydiff (sweep .*--coordinator [^\n\"]*)", page)
    assert len(commands) == 4
    for command in commands:
        parser = make_parser("sweep", "")
        add_sweep_options(parser)
        options = parser.parse_args(shlex.split(command)[1:])
        assert settings_of(parse_grid(options.grid))
        assert (options.coordinator == "auto") == (options.num_processes is None) == (options.process_id is None)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use"):
            hosts.join(f"127.0.0.1:{port}", 2, 0)


def test_what_jax_does_not_find_out_is_asked_for(monkeypatch):
    def refuse(**options):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(InputError, match=r"coordinator_address should be defined\.; if this is no SLURM"):
        hosts.join("auto")


def test_processes_that_never_come_are_not_waited_for_any_longer(tmp_path, start):
    short = "from functools import partial\nfrom toydiff import hosts\nhosts.join = partial(hosts.join, seconds=0.5)"
    (second,) = start(short, "method=unguided", "--out", tmp_path / "sweep.csv", ids=[1])
    line = second.communicate(timeout=SECONDS)[1]
    assert "not all processes came to 127.0.0.1:" in line
    assert (second.returncode, line.count("\n")) == (2, 1)
