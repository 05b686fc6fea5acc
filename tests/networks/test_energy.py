import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toydiff import InputError
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Architecture, energy, init_params, normalize_rows, param_shapes


def reference_energy(params, x, sigma, label=None, labels=0):
    """The blueprint's formula in NumPy, float64, one point."""
    x = np.asarray(x, float) / np.sqrt(sigma**2 + 0.25)
    h = np.array([*x, np.log(sigma) / 4, 1.0])
    if labels:
        h = np.concatenate([h, np.eye(labels + 1)[label] * np.sqrt(labels + 1)])
    for i in range(len(params["layers"])):
        rows = np.asarray(params["layers"][i]["weight"], float)
        if i:
            h = h / (1 + np.exp(-h)) / 0.596
        fan_in = rows.shape[1]
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        h = rows / (1e-4 + norm / np.sqrt(fan_in)) / np.sqrt(fan_in) @ h
    return -0.5 * x @ x + float(params["gain"]) / sigma * np.mean(h**2)


@pytest.mark.parametrize(("width", "count"), [(64, 16_641), (32, 4_225)])
def test_parameter_counts_are_the_papers(width, count):
    assert sum(p.size for p in jax.tree.leaves(param_shapes(Architecture(width)))) == count


@pytest.mark.parametrize("architecture", [Architecture(8), Architecture(5, depth=2), Architecture(8, labels=2)])
@pytest.mark.parametrize("sigma", [0.01, 0.5, 5.0])
def test_energy_is_the_formula(architecture, sigma, key):
    params = init_params(architecture, key) | {"gain": jnp.float32(0.3)}
    label = jnp.asarray(1) if architecture.labels else None
    x = jnp.array([0.3, -0.7])
    expected = reference_energy(params, x, sigma, 1, architecture.labels)
    got = energy(architecture, params, x, jnp.float32(sigma), label)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_score_is_the_gradient(tiny_denoiser):
    x, sigma, h = np.array([0.3, -0.2]), 0.3, 1e-6
    slope = [
        (reference_energy(tiny_denoiser.params, x + d, sigma) - reference_energy(tiny_denoiser.params, x - d, sigma))
        / (2 * h)
        for d in h * np.eye(2)
    ]
    np.testing.assert_allclose(tiny_denoiser.score(x, sigma), slope, rtol=1e-4)


def test_gain_starts_at_zero_and_rows_are_standard_normal(key):
    params = init_params(Architecture(128), key)
    assert float(params["gain"]) == 0
    rows = np.asarray(params["layers"][2]["weight"])
    assert abs(rows.mean()) < 5 / np.sqrt(rows.size)
    assert abs(rows.std() - 1) < 5 / np.sqrt(rows.size)


def test_layers_preserve_magnitude(key):
    """Unit-variance inputs stay of unit variance through the layers, silu(h) / 0.596 included."""
    layer = jax.random.normal(key, (64, 64))
    h = np.asarray(jax.random.normal(jax.random.key(1), (4096, 64)))
    for _ in range(3):
        rows = np.asarray(normalize_rows({"w": layer})["w"]) / 8
        h = (h / (1 + np.exp(-h)) / 0.596) @ rows.T
        assert np.mean(h**2) == pytest.approx(1, abs=0.25)


def test_normalize_rows_makes_rows_of_norm_sqrt_fan_in(key):
    params = normalize_rows(init_params(Architecture(16), key) | {"gain": jnp.float32(0.5)})
    norms = jnp.linalg.norm(params["layers"][1]["weight"], axis=1)
    np.testing.assert_allclose(norms, 4, rtol=1e-3)
    assert float(params["gain"]) == 0.5


@pytest.mark.parametrize("field", [{"width": 0}, {"width": 10**6}, {"depth": 0}, {"labels": -1}, {"width": "wide"}])
def test_bad_architectures_are_refused(field):
    with pytest.raises(InputError, match=next(iter(field))):
        Architecture(**field)


def test_a_denoiser_refuses_sigma_zero(tiny_denoiser):
    with pytest.raises(InputError, match="sigma is 0; it must be at least 1e-06"):
        tiny_denoiser.score([0.0, 0.0])


def test_labels_choose_the_class(key):
    architecture = Architecture(8, labels=2)
    params = init_params(architecture, key) | {"gain": jnp.float32(0.3)}
    network = Denoiser(params, None, architecture, classes="AB")
    a, b, none = (network.given(c) for c in ("A", "B", "AB"))
    assert (int(a.label), int(b.label), int(none.label)) == (0, 1, 2)
    scores = [np.asarray(m.score([0.2, 0.3], 0.3)) for m in (a, b, none)]
    assert not np.allclose(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])
    assert a.truth().weights.size == 1016
    assert none.truth().weights.size == 2032
    with pytest.raises(InputError, match="there are A, B, AB"):
        a.given("C")


def test_a_network_without_labels_takes_none(tiny_denoiser):
    with pytest.raises(InputError, match="takes no label"):
        tiny_denoiser.given("A")
