"""Samples a chunk at a time: the numbers of the whole, streamed to a file that is written whole or not at all."""

import json
import signal
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import mixtures, seeds

import toydiff
from toydiff import InputError, cli, sample_chunks
from toydiff.base import random
from toydiff.base.score_model import ScoreModel
from toydiff.sampling import sample_file, sampler

THREE = ("sample", "--distribution", "three_gaussians", "--main", "exact/A", "--solver", "euler", "--steps", "2")


@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey], ids=["key", "words"])
@given(seeds, st.integers(0, 406))
def test_draws_from_any_place_are_those_of_jax(make_key, seed, first):
    key = make_key(seed)
    whole = {
        random.uniforms: jax.random.uniform(key, (1000,)),
        random.normals: jax.random.normal(key, (1000,)),
        random.normal_points: jax.random.normal(key, (1000, 2)),
        random.keys: jax.random.key_data(jax.random.split(key, 1000)),
    }
    for draw, numbers in whole.items():
        np.testing.assert_array_equal(draw(key, first, 594), np.asarray(numbers)[first : first + 594])


@given(mixtures(), seeds, st.integers(0, 50))
def test_exact_draws_are_one_sequence(mixture, seed, first):
    part = mixture.sample(seed, 50, 0.1, first=first)
    np.testing.assert_array_equal(part, np.asarray(mixture.sample(seed, 100, 0.1))[first : first + 50])


def test_a_negative_place_is_refused(tiny_mixture):
    with pytest.raises(InputError, match="first is -1"):
        tiny_mixture.sample(3, 100, first=-1)


@pytest.mark.parametrize("solver", ["euler", "stochastic"])
@pytest.mark.parametrize("start", ["exact", "noise", "points"])
def test_chunks_are_the_samples_bit_for_bit(tiny_denoiser, solver, start):
    """Of any size: also of one that is no whole number of blocks, and with few points in the last."""
    start = {"exact": None, "noise": "noise", "points": np.linspace(-5, 5, 2 * 532).reshape(532, 2)}[start]
    options = {"solver": solver, "steps": 3, "start": start}
    whole = toydiff.sample(tiny_denoiser, 4, 532, path=False, **options).samples
    for chunk, sizes in ((1, [256, 256, 20]), (400, [512, 20]), (1 << 16, [532])):
        chunks = list(sample_chunks(tiny_denoiser, 4, 532, chunk=chunk, **options))
        assert [len(x) for x in chunks] == sizes
        np.testing.assert_array_equal(np.concatenate(chunks), whole)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SmallBlocks(ScoreModel):
    """A Gaussian whose points are evaluated 16 at a time, so that few points are many blocks."""

    block = 16

    def score_at(self, x, sigma):
        return -x / (0.25 + sigma**2)

    def truth(self):
        return toydiff.GaussianMixture([1.0], [[0.0, 0.0]], [0.25 * np.eye(2)])


@given(seeds, st.sampled_from([1, 40]), st.integers(1, 64))
def test_chunks_of_any_size_are_the_samples(seed, n, chunk):
    options = {"solver": "euler", "steps": 2}
    whole = toydiff.sample(SmallBlocks(), seed, n, path=False, **options).samples
    chunks = list(sample_chunks(SmallBlocks(), seed, n, chunk=chunk, **options))
    assert max(map(len, chunks)) <= -(-chunk // 16) * 16  # a chunk is whole blocks
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_chunks_are_of_equal_size_and_compiled_once(tiny_mixture, compilations):
    chunks = sample_chunks(tiny_mixture, 0, 3 * 1024 + 256, chunk=2048, solver="euler", steps=2)
    assert len(next(chunks)) == 1792
    with compilations() as count:
        assert [len(x) for x in chunks] == [1536]
    assert count() == 0


def test_bad_arguments_of_chunks_are_refused(tiny_denoiser):
    for options, words in (({"chunk": 0}, "chunk is 0"), ({"steps": 0}, "steps is 0"), ({"start": [[0, 0]]}, "n = 10")):
        with pytest.raises(InputError, match=words):
            next(sample_chunks(tiny_denoiser, 0, 10, **options))


def test_the_file_holds_what_savez_would_write(tmp_path):
    x, recipe = np.random.default_rng(0).normal(size=(100, 2)).astype("f4"), {"seed": 1, "who": "é"}
    sample_file.write_samples(tmp_path / "ours.npz", (x[:70], x[70:]), 100, recipe)
    np.savez(tmp_path / "theirs.npz", samples=x, recipe=json.dumps(recipe))
    with np.load(tmp_path / "ours.npz") as ours, np.load(tmp_path / "theirs.npz") as theirs:
        assert list(ours) == list(theirs)
        for name in theirs:
            assert ours[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_each_chunk_is_on_disk_before_the_next_is_drawn(tmp_path):
    sizes = []

    def chunks():
        for _ in range(3):
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
            yield np.zeros((1 << 16, 2), np.float32)

    sample_file.write_samples(tmp_path / "x.npz", chunks(), 3 << 16, {})
    assert np.diff(sizes) == pytest.approx(8 << 16, rel=0.05)


@pytest.fixture
def second_chunk(monkeypatch):
    """`second_chunk(act)` makes the chunks small, and lets `act` change what the second one gives."""

    def patch(act):
        calls, plain = [], sampler.sample

        def sample(*arguments, **options):
            calls.append(1)
            trajectory = plain(*arguments, **options)
            return act(trajectory) if len(calls) == 2 else trajectory

        monkeypatch.setattr(sampler, "sample", sample)
        monkeypatch.setattr(sampler, "sample_chunks", partial(sample_chunks, chunk=256))
        return calls

    return patch


def run(*arguments):
    return cli.main([*THREE, "-n", "1000", *map(str, arguments)])


def interrupted(trajectory):
    signal.raise_signal(signal.SIGINT)
    return trajectory


def spoiled(trajectory):
    return trajectory._replace(x=trajectory.x.at[0, 5].set(np.nan))


@pytest.mark.parametrize("act", [interrupted, spoiled])
def test_what_stops_the_sampling_leaves_the_earlier_file(tmp_path, capsys, second_chunk, act):
    out = tmp_path / "x.npz"
    out.write_bytes(b"earlier")
    handler = signal.getsignal(signal.SIGINT)
    calls = second_chunk(act)
    assert run("--out", out) == (130 if act is interrupted else 2)
    assert len(calls) == 2
    words = "stopped" if act is interrupted else "1 of 256 samples became NaN or infinite"
    assert words in capsys.readouterr().err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_command_writes_in_chunks_what_it_writes_whole(tmp_path, second_chunk):
    assert run("--out", tmp_path / "whole.npz") == 0
    calls = second_chunk(lambda trajectory: trajectory)
    assert run("--out", tmp_path / "chunks.npz") == 0
    assert len(calls) == 4
    whole, chunks = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("whole", "chunks"))
    np.testing.assert_array_equal(chunks["samples"], whole["samples"])
    assert json.loads(str(chunks["recipe"])) == json.loads(str(whole["recipe"]))
