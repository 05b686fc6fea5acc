"""The random numbers of a key as endless sequences: any part of them, without what lies before it.

JAX computes the bits of a number from the key and its place alone (`jax_threefry_partitionable`, its default), so the
first n here are those that `jax.random` gives for n numbers.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


@partial(jax.jit, static_argnames="n")
def keys(key: jax.Array, first: jax.Array | int, n: int) -> jax.Array:
    """The data of the keys from number `first` on, as of `jax.random.split`, [n, words]."""
    places = jnp.asarray(first, jnp.uint32) + jnp.arange(n, dtype=jnp.uint32)
    return jax.random.key_data(jax.vmap(jax.random.fold_in, (None, 0))(key, places))


@partial(jax.jit, static_argnames="n")
def uniforms(key: jax.Array, first: jax.Array | int, n: int) -> jax.Array:
    """Uniform numbers in [0, 1) from number `first` on, as of `jax.random.uniform`, [n]."""
    words = keys(key, first, n)
    bits = words[:, 0] ^ words[:, 1]
    one_to_two = jax.lax.bitcast_convert_type(bits >> 9 | jnp.uint32(0x3F800000), jnp.float32)
    return one_to_two - 1


@partial(jax.jit, static_argnames="n")
def normals(key: jax.Array, first: jax.Array | int, n: int) -> jax.Array:
    """Standard normal numbers from number `first` on, as of `jax.random.normal`, [n]; in float64 the same numbers."""
    lowest = np.nextafter(np.float32(-1), np.float32(0))
    uniform = uniforms(key, first, n) * (1 - lowest) + lowest
    return (np.float32(2**0.5) * jax.lax.erf_inv(jnp.maximum(lowest, uniform))).astype(float)


def normal_points(key: jax.Array, first: jax.Array | int, n: int) -> jax.Array:
    """Standard normal points from number `first` on, as of `jax.random.normal`, [n, 2]."""
    return normals(key, 2 * jnp.asarray(first, jnp.uint32), 2 * n).reshape(n, 2)
