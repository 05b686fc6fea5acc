"""From JAX functions to WebAssembly: each operation on random numbers, and whole functions, as JAX computes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from wasm import Running

import toydiff
from toydiff.base.checks import InputError
from toydiff.explorer.engine.flatten import SIMPLER, flatten
from toydiff.explorer.engine.lower import OPERATIONS, RULES
from toydiff.explorer.engine.translate import translate

POINTS = 21  # some of the last eight are none
FLOATS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "max": lax.max,
    "min": lax.min,
    "neg": lambda x, y: -x,
    "abs": lambda x, y: lax.abs(x),
    "sign": lambda x, y: lax.sign(x),
    "sqrt": lambda x, y: lax.sqrt(lax.abs(x)),
    "rsqrt": lambda x, y: lax.rsqrt(lax.abs(x)),
    "square": lambda x, y: lax.square(x),
    "floor": lambda x, y: lax.floor(x),
    "ceil": lambda x, y: lax.ceil(x),
    "round": lambda x, y: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "eq": lambda x, y: lax.eq(lax.floor(x), lax.floor(y)),
    "ne": lambda x, y: lax.ne(lax.floor(x), lax.floor(y)),
    "lt": lax.lt,
    "le": lax.le,
    "gt": lax.gt,
    "ge": lax.ge,
    "and": lambda x, y: (x > 0) & (y > 0),
    "or": lambda x, y: (x > 0) | (y > 0),
    "xor": lambda x, y: (x > 0) ^ (y > 0),
    "not": lambda x, y: ~(x > 0),
    "exp": lambda x, y: jnp.exp(30 * x),
    "exp2": lambda x, y: lax.exp2(20 * x),
    "expm1": lambda x, y: jnp.expm1(x * x * x),
    "log": lambda x, y: jnp.log(lax.abs(x) * jnp.exp(20 * y)),
    "log1p": lambda x, y: jnp.log1p(lax.abs(x * y * x)),
    "logistic": lambda x, y: jax.nn.sigmoid(9 * x),
    "tanh": lambda x, y: jnp.tanh(x),
    "erf_inv": lambda x, y: lax.erf_inv(0.3 * lax.clamp(-3.0, x, 3.0)),
    "integer_pow": lambda x, y: (x**3, x**-2, x**7, x**0),
    "pow": lambda x, y: lax.abs(x) ** y,
    "is_finite": lambda x, y: jnp.isfinite(x / lax.floor(y)),
    "clamp": lambda x, y: lax.clamp(jnp.float32(-0.5), x, jnp.float32(0.7)),
    "select_n": lambda x, y: jnp.where(x > y, x, y * y),
    "stop_gradient": lambda x, y: lax.stop_gradient(x) + y,
    "copy": lambda x, y: lax.reduce_precision(jnp.copy(x), 8, 23) + y,
    "convert_element_type": lambda x, y: (x.astype(jnp.int32), (x > 0).astype(jnp.float32), x.astype(jnp.int32) * 1.0),
    "bitcast_convert_type": lambda x, y: lax.bitcast_convert_type(x, jnp.uint32),
    "shifts": lambda x, y: (_bits(x) << 3, _bits(x) >> 5, lax.bitcast_convert_type(x, jnp.int32) >> 7),
    "random_bits": lambda x, y: jax.random.normal(jax.random.fold_in(jax.random.key(3), _bits(x)[0]), y.shape),
    "random_split": lambda x, y: jax.random.uniform(jax.random.split(jax.random.key(_bits(x)[1]))[1], (3,)),
    "random_wrap": lambda x, y: jax.random.key_data(jax.random.wrap_key_data(_bits(x)[:2])),
}
"""Of two vectors, by the primitive that each is here for."""
ARRAYS = {
    "reduce_sum": lambda x, y: (x.sum(), y.sum()),
    "reduce_prod": lambda x, y: (x.prod(), (1 + 0.01 * y).prod()),
    "reduce_max": lambda x, y: (x.max(), y.max(), (y - x[0]).min()),
    "reduce_and": lambda x, y: ((x > 0).any(), (y < 9).all()),
    "broadcast_in_dim": lambda x, y: (x[:, None] * y[None, :3], (x[0] + y).sum()),
    "reshape": lambda x, y: (x.reshape(1, 3).T, (y + 1).reshape(4, 10)[:3].sum(1)),
    "transpose": lambda x, y: (jnp.outer(x, y[:2]).T, jnp.outer(x, y).T.sum(0)),
    "rev": lambda x, y: (x[::-1], (y[::-1] * y).sum(), ((2 * y)[::-1] * y).sum()),
    "slice": lambda x, y: (x[1:], y[3:30:4], (y * y)[20:].sum()),
    "split": lambda x, y: jnp.split(y * 2, [3, 37])[::2],
    "concatenate": lambda x, y: (jnp.concatenate([x, y[:2]]), jnp.concatenate([x, y * y, x]).sum()),
    "stack": lambda x, y: (jnp.stack([x, 2 * x], 1), jnp.stack([y, y * y]).sum(1)),
    "pad": lambda x, y: (jnp.pad(x, (1, 2)), lax.pad(x, jnp.float32(7), [(0, 1, 1)])),
    "iota": lambda x, y: (jnp.arange(3) * x, (jnp.arange(40) * y).sum(), (jnp.arange(40.0) * y).max()),
    "dot_general": lambda x, y: (x @ x, y @ y, jnp.outer(x, y) @ y, y @ jnp.outer(y, x)),
    "empty": lambda x, y: x[:0].sum() + y[0],
    "large results": lambda x, y: jnp.sqrt(y * y),
    "several loops": lambda x, y: (y - y.max()) / jnp.exp(y - y.max()).sum(),
    "gradient": lambda x, y: jax.grad(lambda y: jax.nn.logsumexp(y * x[0]) * y[3:7].mean())(y),
}
"""Of a small vector and a large one."""


def _bits(x):
    return lax.bitcast_convert_type(x, jnp.uint32)


def compare(function, sizes, tolerance=3e-6):
    """The function of random vectors of these sizes, translated and by JAX."""
    rng = np.random.default_rng(0)
    points = tuple(rng.normal(size=(POINTS, size)).astype(np.float32) for size in sizes)
    translated = translate(lambda _, __, xy: function(*xy), (), (), tuple(np.zeros(n, np.float32) for n in sizes))
    found = Running(translated)((), points)
    wanted = jax.tree.leaves(jax.vmap(function)(*points))
    assert len(found) == len(wanted)
    for here, there in zip(found, wanted, strict=True):
        if there.dtype == np.float32:
            np.testing.assert_allclose(here, there, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("name", FLOATS)
def test_operations_on_numbers(name, size):
    compare(FLOATS[name], (size, size))


@pytest.mark.parametrize("name", ARRAYS)
def test_operations_on_arrays(name):
    compare(ARRAYS[name], (3, 40), 2e-5)


def test_each_operation_is_among_those_that_are_tried():
    def primitives(function, size):
        try:
            jaxprs = [jax.make_jaxpr(function)(jnp.ones(3), jnp.ones(size))]
            jaxprs.append(flatten(function, jnp.ones(3), jnp.ones(size)))
        except TypeError:  # other sizes
            jaxprs = [jax.make_jaxpr(function)(jnp.ones(size), jnp.ones(size))]
        text = " ".join(str(jaxpr) for jaxpr in jaxprs)
        return {name for name in (*OPERATIONS, *RULES, *SIMPLER) if f" {name}" in text}

    seen = set().union(*(primitives(function, 3) for function in FLOATS.values()))
    seen |= set().union(*(primitives(function, 40) for function in ARRAYS.values()))
    # What JAX no longer has of its own, or what only gradients, solvers and the next test make.
    others = {"score_of_part", "expand_dims", "copy_p", "random_unwrap", "reduce_or", "reduce_min", "add_any"}
    assert {*OPERATIONS, *RULES, *SIMPLER} - seen <= others


def test_special_numbers():
    """Zero, infinities, NaN and the edges of what float32 holds."""
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-38, 1e-45, 3e38, -3e38, 88.7, 89, -87.3, -88, -103, 1, -1, 2, 3])
    x = np.repeat(x.astype(np.float32)[:, None], 2, 1)
    for function in (jnp.exp, jnp.log, jax.nn.sigmoid, lax.abs, lax.sqrt, lambda x: lax.max(x, jnp.float32(0.0))):
        translated = translate(lambda _, __, x: function(x), (), (), x[0])  # noqa: B023
        (found,) = Running(translated)((), x)
        wanted = np.asarray(jax.vmap(function)(x))
        tiny = np.abs(wanted) < 1.2e-38  # some machines count these as 0
        np.testing.assert_allclose(found[~tiny], wanted[~tiny], rtol=3e-7)


def test_what_all_points_share_is_computed_once():
    matrix = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)

    def function(model, uniforms, x):
        return jnp.tanh(model @ x) @ (model * uniforms["scale"]), jnp.exp(uniforms["shift"]) * x

    uniforms = {"scale": jnp.float32(0.3), "shift": jnp.arange(3.0)}
    translated = translate(function, jnp.asarray(matrix), uniforms, jnp.zeros(3))
    running = Running(translated, matrix)
    x = np.random.default_rng(2).normal(size=(POINTS, 3)).astype(np.float32)
    for scale in (0.3, -2.0):
        given = {"scale": np.float32(scale), "shift": np.arange(3.0) - scale}
        wanted = jax.vmap(lambda x: function(matrix, given, x))(x)  # noqa: B023
        for here, there in zip(running(given, x), wanted, strict=True):
            np.testing.assert_allclose(here, there, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("exact", [True, False])
def test_densities_and_scores(exact):
    model = toydiff.fractal_tree("A") if exact else toydiff.load_model("A")
    x = np.random.default_rng(0).normal(size=(512, 2)).astype(np.float32)

    def both(model, sigma, x):
        return model.log_density_at(x, sigma), model.score_at(x, sigma)

    running = Running(translate(both, model, jnp.float32(1), jnp.zeros(2)), model)
    for sigma in (0.01, 0.3, 5.0):
        density, score = running(np.float32(sigma), x)
        np.testing.assert_allclose(density, model.log_density(x, sigma), rtol=1e-5, atol=1e-4)
        wanted = np.asarray(model.score(x, sigma))
        assert np.abs(score - wanted).max() < 3e-5 * np.abs(wanted).max()


def test_results_in_place_feed_the_next_run():
    translated = translate(lambda _, h, x: x - h * x**3, (), jnp.float32(0), jnp.zeros(2), in_place=True)
    assert translated.results == translated.points
    running, x = Running(translated), np.random.default_rng(0).normal(size=(POINTS, 2)).astype(np.float32)
    (found,) = running(np.float32(0.1), x)
    (found,) = running(np.float32(0.2), found)
    wanted = x - np.float32(0.1) * x**3
    np.testing.assert_allclose(found, wanted - np.float32(0.2) * wanted**3, rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (jnp.sort, "'sort' cannot be translated"),
        (lambda x: lax.while_loop(lambda x: x[0] < 9, lambda x: x + 1, x), "'while' cannot be translated"),
        (jnp.sin, "'sin' cannot be translated"),
        (lambda x: x.astype(jnp.bfloat16) * 2, "bfloat16 cannot be translated; those of 32 bits can"),
        (lambda x: lax.bitcast_convert_type(x, jnp.int32) << x.astype(jnp.int32), "by a known one it can"),
        (lambda x: jax.random.bits(jax.random.key(0, impl="rbg")) * x[0], "threefry2x32, JAX's default, can"),
        (lambda x: jax.random.bits(jax.random.key(0), dtype=jnp.uint16) + x, "of 16 bits cannot be translated"),
    ],
)
def test_what_cannot_be_translated_is_named(function, words):
    with pytest.raises(InputError, match=words):
        translate(lambda _, __, x: function(x), (), (), jnp.zeros(3))
