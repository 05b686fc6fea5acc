"""The random numbers of a key as endless sequences: any part of them, without what lies before it.

JAX computes the bits of a number from the key and its place alone (`jax_threefry_partitionable`, its default), so the
first n here are those that `jax.random` gives for n numbers.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from toydiff.base.checks import InputError, count

Seed = int | jax.Array
"""A JAX key, or an integer from which one is made."""


def as_key(seed: Seed) -> jax.Array:
    """A JAX key from an integer seed; a key passes through.

    Raises:
        InputError: it is neither, or a key of another generator than JAX's default, on whose numbers by place
            this module relies.
    """
    if isinstance(seed, jax.Array) and jnp.issubdtype(seed.dtype, jax.dtypes.prng_key):
        if str(jax.random.key_impl(seed)) != "threefry2x32":
            raise InputError(f"the key is of {jax.random.key_impl(seed)}; it must be of threefry2x32, JAX's default")
        return seed
    if isinstance(seed, jax.Array) and seed.dtype == jnp.uint32 and seed.shape == (2,):
        return seed
    return jax.random.key(count("seed", seed, 0, 2**32 - 1))


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
