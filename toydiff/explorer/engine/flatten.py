"""A JAX function as a flat list of equations of few primitives: calls opened, functions written out in simpler ones."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from toydiff.base.checks import InputError

BODY = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
}
"""Primitives that call a body, and its name among their parameters."""


def flatten(function: Callable[..., Any], *args: Any) -> ClosedJaxpr:
    """The traced program of `function`, whose equations are all of primitives that `lower` knows, or of none.

    Args:
        function: a JAX function of arrays, of one point.
        args: trees of arrays, or of `jax.ShapeDtypeStruct`; all in 32 bits.

    Raises:
        InputError: it has random numbers of another generator than JAX's default.
    """
    flat, tree = jax.tree.flatten(args)
    traced = jax.make_jaxpr(lambda *leaves: function(*jax.tree.unflatten(tree, leaves)))(*flat)
    plain = jax.make_jaxpr(lambda *leaves: _evaluate(traced.jaxpr, traced.consts, leaves))(*flat)
    return jax.make_jaxpr(lambda *leaves: _evaluate(plain.jaxpr, plain.consts, leaves))(*flat)  # what that has called


def _evaluate(jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
    read = lambda atom: atom.val if isinstance(atom, Literal) else values[atom]  # noqa: E731
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        given = [read(atom) for atom in equation.invars]
        if name in BODY:
            body = params[BODY[name]]
            closed = isinstance(body, ClosedJaxpr)
            found = _evaluate(body.jaxpr if closed else body, body.consts if closed else (), given)
        elif name in SIMPLER:
            found = SIMPLER[name](*given, **params)
        elif any(_is_key(atom.aval) for atom in equation.invars):
            found = jax.vmap(lambda *words: equation.primitive.bind(*words, **params), -1, -1)(*given)  # noqa: B023
        else:
            found = equation.primitive.bind(*given, **params)
        several = equation.primitive.multiple_results or name in BODY
        values.update(zip(equation.outvars, found if several else [found], strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _is_key(aval: Any) -> bool:
    return jnp.issubdtype(aval.dtype, jax.dtypes.prng_key)


# Random numbers: a key is its two words. As JAX draws them, `jax_threefry_partitionable` being its default.

ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = np.uint32(0x1BD11BDA)


def threefry(key: jax.Array, high: jax.Array, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Threefry-2x32 in 20 rounds, of Salmon et al. 2011: two words of noise for a key [2] and a counter's two words."""
    keys = [jnp.broadcast_to(word, low.shape) for word in (key[0], key[1], key[0] ^ key[1] ^ _PARITY)]
    x, y = high + keys[0], low + keys[1]
    for block in range(5):
        for rotation in ROTATIONS[block % 2]:
            x = x + y
            y = lax.shift_left(y, np.uint32(rotation)) | lax.shift_right_logical(y, np.uint32(32 - rotation))
            y = x ^ y
        x, y = x + keys[(block + 1) % 3], y + keys[(block + 2) % 3] + np.uint32(block + 1)
    return x, y


def _words(key: jax.Array, shape: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    """For each place of an array two words of noise."""
    low = jnp.arange(int(np.prod(shape)), dtype=jnp.uint32).reshape(shape)
    return threefry(key, jnp.zeros_like(low), low)


def _fold_in(key: jax.Array, data: jax.Array) -> jax.Array:
    word = lax.convert_element_type(data, jnp.uint32)
    return jnp.stack(threefry(key, jnp.zeros_like(word), word))


def _bits(key: jax.Array, *, bit_width: int, shape: Sequence[int]) -> jax.Array:
    if bit_width != 32:
        raise InputError(f"random numbers of {bit_width} bits cannot be translated; those of 32 can")
    first, second = _words(key, shape)
    return first ^ second


def _wrap(data: jax.Array, *, impl: Any) -> jax.Array:
    if "fry" not in str(impl):
        raise InputError(f"random keys of {impl} cannot be translated; those of threefry2x32, JAX's default, can")
    return data


def _seed(seed: jax.Array, *, impl: Any) -> jax.Array:
    word = lax.convert_element_type(seed, jnp.uint32)
    return _wrap(jnp.stack([jnp.zeros_like(word), word]), impl=impl)


# Functions of numbers, in float32 as near to the true ones as XLA's: the polynomials are those of Moshier's Cephes.


def _polynomial(x: jax.Array, coefficients: Sequence[float]) -> jax.Array:
    """Horner's scheme, the highest power first."""
    total = jnp.full_like(x, coefficients[0])
    for one in coefficients[1:]:
        total = total * x + np.float32(one)
    return total


def _exp(x: jax.Array, **_: Any) -> jax.Array:
    near = lax.max(lax.min(x, np.float32(88.72284)), np.float32(-87.33655))
    whole = lax.floor(near * np.float32(1.44269504) + np.float32(0.5))
    rest = near - whole * np.float32(0.693359375) + whole * np.float32(2.12194440e-4)
    series = 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1
    mantissa = _polynomial(rest, series) * (rest * rest) + rest + np.float32(1)
    power = lax.convert_element_type(whole, jnp.int32)
    half = lax.shift_right_arithmetic(power, np.int32(1))  # in two factors: neither 2^128 nor 2^-127 is a float32
    scaled = mantissa * _power_of_two(half) * _power_of_two(power - half)
    inside = jnp.where(x < np.float32(-87.33655), np.float32(0), scaled)
    return jnp.where(x > np.float32(88.72284), np.float32(np.inf), inside)


def _power_of_two(exponent: jax.Array) -> jax.Array:
    return _float(lax.shift_left(exponent + np.int32(127), np.int32(23)))


def _float(bits: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(bits, jnp.float32)


def _log(x: jax.Array, **_: Any) -> jax.Array:
    bits = lax.bitcast_convert_type(x, jnp.int32)
    power = lax.convert_element_type(lax.shift_right_logical(bits, np.int32(23)), jnp.float32) - np.float32(126)
    mantissa = _float((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000))  # from 0.5 to 1
    low = mantissa < np.float32(0.70710678)
    power = jnp.where(low, power - np.float32(1), power)
    m = jnp.where(low, mantissa + mantissa, mantissa) - np.float32(1)
    series = (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )  # fmt: skip
    square = m * m
    small = _polynomial(m, series) * m * square + power * np.float32(-2.12194440e-4) - np.float32(0.5) * square
    found = m + small + power * np.float32(0.693359375)
    found = jnp.where(x < np.float32(1.17549435e-38), np.float32(-np.inf), found)  # what is less counts as 0
    found = jnp.where(x == np.float32(np.inf), np.float32(np.inf), found)
    return jnp.where(x >= 0, found, np.float32(np.nan))


def _log1p(x: jax.Array, **_: Any) -> jax.Array:
    whole = np.float32(1) + x  # what is lost here is lost in both: Kahan's remedy
    return jnp.where(whole == 1, x, _log(whole) * (x / (whole - np.float32(1))))


def _expm1(x: jax.Array, **_: Any) -> jax.Array:
    whole = _exp(x)
    near = jnp.where(whole == 1, x, (whole - np.float32(1)) * (x / _log(whole)))
    return jnp.where(lax.abs(x) > np.float32(1), whole - np.float32(1), near)


def _logistic(x: jax.Array, **_: Any) -> jax.Array:
    return np.float32(1) / (np.float32(1) + _exp(-x))


def _tanh(x: jax.Array, **_: Any) -> jax.Array:
    rise = _expm1(np.float32(-2) * lax.abs(x))
    found = -rise / (rise + np.float32(2))
    return jnp.where(x < 0, -found, found)


def _erf_inv(x: jax.Array) -> jax.Array:
    """Giles 2010, "Approximating the erfinv function", as in XLA."""
    w = -_log1p(-x * x)
    central = (
        2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
        0.246640727, 1.50140941,
    )  # fmt: skip
    tail = (
        -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
        1.00167406, 2.83297682,
    )  # fmt: skip
    near = _polynomial(w - np.float32(2.5), central)
    far = _polynomial(lax.sqrt(w) - np.float32(3), tail)
    edge = x * np.float32(np.inf)
    return jnp.where(lax.abs(x) == 1, edge, jnp.where(w < np.float32(5), near, far) * x)


def _integer_pow(x: jax.Array, *, y: int) -> jax.Array:
    total, square, rest = None, x, abs(y)
    while rest:
        if rest & 1:
            total = square if total is None else total * square
        rest >>= 1
        square = square * square if rest else square
    total = jnp.ones_like(x) if total is None else total
    return np.float32(1) / total if y < 0 else total


def _pow(x: jax.Array, y: jax.Array) -> jax.Array:
    return _exp(_log(x) * lax.convert_element_type(y, jnp.float32))


def _sign(x: jax.Array) -> jax.Array:
    one = jnp.ones_like(x)
    return jnp.where(x > 0, one, jnp.where(x < 0, -one, x))


SIMPLER: dict[str, Callable[..., Any]] = {
    "random_seed": _seed,
    "random_wrap": _wrap,
    "random_unwrap": lambda key: key,
    "random_fold_in": _fold_in,
    "random_split": lambda key, *, shape: jnp.stack(_words(key, shape), axis=-1),
    "random_bits": _bits,
    "exp": _exp,
    "exp2": lambda x, **_: _exp(x * np.float32(np.log(2))),
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "logistic": _logistic,
    "tanh": _tanh,
    "erf_inv": _erf_inv,
    "integer_pow": _integer_pow,
    "pow": _pow,
    "square": lambda x: x * x,
    "rsqrt": lambda x, **_: np.float32(1) / lax.sqrt(x),
    "sign": _sign,
    "is_finite": lambda x: lax.abs(x) < np.float32(np.inf),
    "clamp": lambda low, x, high: lax.min(lax.max(x, jnp.broadcast_to(low, x.shape)), jnp.broadcast_to(high, x.shape)),
    "stop_gradient": lambda x, **_: x,
    "copy": lambda x: x,
    "copy_p": lambda x: x,
    "reduce_precision": lambda x, **_: x,
}
"""Primitives by what stands in their place: functions of the same arguments and parameters."""
