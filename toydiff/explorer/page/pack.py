"""Runs as few bytes: points in whole steps, each guessed from the weight and the noise level before it.

Neighbouring weights send the same noise along nearly the same way, so what is left of a guess is small, and a general
compressor makes half a byte of it. `engine.js` holds the inverse.
"""

import zlib

import numpy as np

from toydiff.base.score_model import SIGMA_DATA

STEP = 0.002
"""Of the points at the end: a pixel, where the view is a thousand wide. At other noise levels twice as much."""
ESCAPE = 255
"""Stands for a rest that fits into no byte; it follows in four, after all others."""
FARTHEST = 1000.0


def quanta(sigma: np.ndarray) -> np.ndarray:
    """The whole step at each noise level [levels], in proportion to sqrt(sigma^2 + sigma_data^2)."""
    steps = STEP * np.sqrt(np.square(sigma, dtype=float) / SIGMA_DATA**2 + 1)
    return steps * np.where(np.arange(len(sigma)) < len(sigma) - 1, 2, 1)


def in_steps(path: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Points [..., levels, points, 2] as whole numbers of steps."""
    return np.rint(np.clip(path, -FARTHEST, FARTHEST) / quanta(sigma)[:, None, None]).astype(np.int64)


def pack(run: np.ndarray, base: np.ndarray, outliers: np.ndarray, sigma: np.ndarray) -> bytes:
    """A run as bytes: the rests, the outliers' bits, the rests that were escaped; compressed by zlib.

    The guess for a weight's points is where the weight before it had them (the first: `base`), plus how far the two
    were apart at the noise level before.

    Args:
        run: whole steps [weights, levels, points, 2], by `in_steps`.
        base: whole steps [levels, points, 2] of a run that is known where this one is read.
        outliers: [weights, points].
        sigma: noise levels [levels].
    """
    quantum = quanta(sigma)
    before = np.concatenate([base[None], run[:-1]])
    apart = (run - before)[:, :-1] * (quantum[:-1] / quantum[1:])[:, None, None]
    rest = run - before
    rest[:, 1:] -= np.floor(apart + 0.5).astype(np.int64)
    folded = np.where(rest >= 0, 2 * rest, -2 * rest - 1)
    large = folded >= ESCAPE
    parts = (
        np.where(large, ESCAPE, folded).astype(np.uint8).tobytes(),
        np.packbits(outliers, axis=1).tobytes(),
        folded[large].astype("<u4").tobytes(),
    )
    return zlib.compress(b"".join(parts), 9)
