"""Where the work runs: on every core of a CPU, or spread over all devices that JAX sees."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

T = TypeVar("T")


@cache
def cores() -> int:
    """Cores of the CPU that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def threads() -> int:
    """Parts that run at once in threads: one for each core where JAX sees nothing but one CPU, else 1.

    A compiled loop on a CPU keeps one core busy, however many there are; several devices share their work themselves.
    """
    return cores() if jax.default_backend() == "cpu" and jax.local_device_count() == 1 else 1


@cache
def _mesh() -> Mesh:
    """All devices of this process in a row. Other processes have their own work."""
    return Mesh(np.array(jax.local_devices()), ("rows",))


def over_devices(function: Callable[..., Any], *arrays: Any) -> Any:
    """`function(*arrays)` for trees of arrays [n, ...] that it maps to others row by row, each device a part of them.

    To be called while tracing: it is `jax.shard_map` over all devices of this process, the rows filled up to a
    multiple of their number with copies of the last. On one device it is `function(*arrays)`.
    """
    devices = jax.local_device_count()
    if devices == 1:
        return function(*arrays)
    n = len(jax.tree.leaves(arrays)[0])
    padded = jax.tree.map(lambda a: fill_rows(a, -n % devices), arrays)
    rows = PartitionSpec("rows")
    results = jax.shard_map(function, mesh=_mesh(), in_specs=rows, out_specs=rows, check_vma=False)(*padded)
    return jax.tree.map(lambda r: r[:n], results)


def in_threads(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each of the functions returns, called at once: the first here, the others in threads of their own."""
    others = [_pool().submit(call) for call in calls[1:]]
    return [calls[0](), *(other.result() for other in others)]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), "toydiff")


def on_all_cores(function: Callable[..., jax.Array], model: Any, block: int, *arrays: jax.Array) -> jax.Array:
    """`function(model, *arrays)` for a compiled function of arrays [n, ...], one part of whole blocks in each thread.

    Elsewhere than on a CPU, and while tracing, the function is called once. All parts have one size, so that it is
    compiled once; the results do not change.
    """
    n = len(arrays[0])
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((model, arrays)))
    parts = 1 if traced else min(threads(), -(-n // block))
    if parts < 2:
        return function(model, *arrays)
    size = -(-n // (parts * block)) * block
    padded = [np.asarray(fill_rows(a, parts * size - n)) for a in arrays]  # NumPy slices them in no time
    pieces = [[a[i : i + size] for a in padded] for i in range(0, parts * size, size)]
    return jnp.concatenate(in_threads([partial(function, model, *piece) for piece in pieces]))[:n]


def fill_rows(a: jax.Array, further: int) -> jax.Array:
    """`a` [n, ...] with as many further rows, copies of the last."""
    if not further:
        return a
    return jnp.pad(a, [(0, further)] + [(0, 0)] * (a.ndim - 1), mode="edge")


def map_points(function: Callable[..., Any], block: int, *arrays: jax.Array) -> Any:
    """`jax.vmap(function)(*arrays)`, a block of points at a time on each device; memory is bounded by the block."""

    def map_blocks(*arrays: jax.Array) -> Any:
        results = jax.lax.map(lambda args: jax.vmap(function)(*args), split_blocks(arrays, block))
        return jax.tree.map(lambda r: r.reshape(-1, *r.shape[2:])[: len(arrays[0])], results)

    return over_devices(map_blocks, *arrays)


def split_blocks(tree: Any, block: int) -> Any:
    """Each leaf [n, ...] as [blocks, block, ...]; the last block is filled up with copies of the last row.

    Whole blocks only, so that a function over them is compiled for one size.
    """

    def split(a: jax.Array) -> jax.Array:
        size = max(1, min(len(a), block))
        return fill_rows(a, -len(a) % size).reshape(-1, size, *a.shape[1:])

    return jax.tree.map(split, tree)
