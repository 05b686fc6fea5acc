import json
import signal
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import drawings, seeds

import toydiff
from toydiff import InputError, Recipe, train
from toydiff.distributions import catalogue
from toydiff.networks import adam, objective, training
from toydiff.networks.averages import power_decay, power_gamma
from toydiff.networks.energy import Architecture, energy, init_params
from toydiff.networks.recipe import LOSSES

SMALL = Recipe(widths=(8,), batch=256)


def fit(recipe=SMALL, steps=4, **options):
    return train(recipe, steps, progress=False, **options)


def batch_of(recipe, key):
    return jax.jit(partial(objective.draw_batch, recipe))(recipe.mixtures(), key)


def test_gamma_is_the_papers():
    assert power_gamma(0.010) == pytest.approx(96.995, abs=1e-3)
    gamma = power_gamma(0.1)  # relative standard deviation of the weights t^gamma
    assert np.sqrt((gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3))) == pytest.approx(0.1, rel=1e-6)


def test_decay_is_the_power_function():
    t = jnp.arange(1, 6)
    np.testing.assert_allclose(power_decay(t, 3.0), (1 - 1 / np.arange(1, 6)) ** 4, rtol=1e-6)
    assert float(power_decay(jnp.asarray(1), 96.995)) == 0


@pytest.mark.parametrize(
    "recipe",
    [replace(SMALL, batch=1500), pytest.param(replace(SMALL, classes="AB", labelled=True), marks=pytest.mark.slow)],
)
def test_fast_gradient_equals_plain_autodiff(recipe, key):
    architecture = recipe.architectures[0]
    params = init_params(architecture, key) | {"gain": jnp.float32(-0.3)}
    batch = batch_of(recipe, key)

    def plain_loss(params):
        axes = (0, 0, None if batch.label is None else 0)
        score = jax.vmap(jax.grad(partial(energy, architecture, params)), axes)(batch.x, batch.sigma, batch.label)
        return (batch.sigma**2 * ((score - batch.score) ** 2).mean(-1)).mean()

    loss, gradient = jax.jit(partial(objective.loss_and_gradient, architecture))(params, batch)
    plain, plain_gradient = jax.jit(jax.value_and_grad(plain_loss))(params)
    assert float(loss) == pytest.approx(float(plain), rel=1e-5)
    for fast, slow in zip(jax.tree.leaves(gradient), jax.tree.leaves(plain_gradient), strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-3, atol=1e-5 * float(jnp.abs(slow).max()) + 1e-7)


def test_exact_batches_carry_the_true_score(key, tree):
    batch = batch_of(SMALL, key)
    np.testing.assert_allclose(batch.score, tree.score(batch.x, batch.sigma), rtol=1e-4, atol=1e-3)
    log_sigma = np.log(np.asarray(batch_of(replace(SMALL, batch=20_000), key).sigma))
    assert abs(log_sigma.mean() + 2.3) < 5 * 1.5 / np.sqrt(20_000)
    assert abs(log_sigma.std() - 1.5) < 5 * 1.5 / np.sqrt(40_000)


def test_denoising_targets_have_the_true_score_as_their_mean(key, tree):
    """Regressed on the true score, the noise target has slope 1: E[target | x] = score(x)."""
    batch = batch_of(replace(SMALL, loss="denoising", batch=60_000), key)
    weighted = np.asarray(batch.sigma)[:, None] * np.asarray(batch.score)
    true = np.asarray(batch.sigma)[:, None] * np.asarray(tree.score(batch.x, batch.sigma))
    slope = (weighted * true).sum() / (true**2).sum()
    assert slope == pytest.approx(1, abs=0.03)
    assert np.abs(weighted - true).mean() > 0.1


@pytest.mark.slow
def test_labelled_batches_mix_classes_and_the_null_label(key):
    recipe = replace(SMALL, classes="AB", labelled=True, batch=20_000)
    batch = batch_of(recipe, key)
    share = np.bincount(np.asarray(batch.label), minlength=3) / 20_000
    np.testing.assert_allclose(share, [0.477 * 0.9, 0.523 * 0.9, 0.1], atol=5 * 0.5 / np.sqrt(20_000))
    for label, name in enumerate(("A", "B", "AB")):
        chosen = np.asarray(batch.label) == label
        x, sigma = batch.x[chosen][:200], batch.sigma[chosen][:200]
        expected = toydiff.fractal_tree(name).score(x, sigma)
        np.testing.assert_allclose(batch.score[chosen][:200], expected, rtol=1e-3, atol=1e-2)


def test_training_lowers_the_loss_and_the_average_follows():
    done = fit(replace(SMALL, widths=(16,), batch=1024), steps=160)
    assert done.losses.shape == (160, 1)
    assert done.losses[-20:].mean() < 0.7 * done.losses[:5].mean()
    loss = objective.validation_loss(done.denoiser(), n=4096)
    assert loss.overall == pytest.approx(done.losses[-20:].mean(), rel=0.3)
    assert len(loss.by_level) == len(loss.edges) - 1 == 8
    assert np.mean(loss.by_level) == pytest.approx(loss.overall, rel=1e-3)


def test_a_training_stops_when_it_is_told_to():
    asked = []
    stopped = fit(steps=200, should_stop=lambda: asked.append(0) or len(asked) == 2)
    assert stopped.interrupted
    assert stopped.step == 64
    assert set(stopped.snapshots) == {(8, 64)}
    whole = fit(steps=64)
    assert (stopped.losses == whole.losses).all()
    assert not fit(steps=4, should_stop=lambda: True).interrupted  # it was done


@pytest.mark.slow
def test_denoising_score_matching_learns_too():
    done = fit(replace(SMALL, loss="denoising", batch=2048), steps=160)
    before = objective.validation_loss(fit(steps=1).denoiser(), n=4096).overall
    assert objective.validation_loss(done.denoiser(), n=4096).overall < 0.7 * before


def test_the_average_is_the_power_function_average():
    """Against a plain loop over the parameters after each step."""
    gamma, average, done = power_gamma(SMALL.ema), None, None
    for t in range(1, 7):
        done = fit(steps=t, resume=done)
        row = np.asarray(done.state.params[0]["layers"][1]["weight"], float)
        beta = (1 - 1 / t) ** (gamma + 1)
        average = row if average is None else beta * average + (1 - beta) * row
    np.testing.assert_allclose(done.snapshots[8, 6]["layers"][1]["weight"], average, rtol=1e-5, atol=1e-6)


def test_resume_continues_bit_for_bit(tmp_path):
    whole = fit(steps=75, snapshots=[10, 40])
    half = fit(steps=37, snapshots=[10])
    training.save_checkpoint(tmp_path / "c.safetensors", half)
    again = fit(steps=75, snapshots=[40], resume=training.load_checkpoint(tmp_path / "c.safetensors"))
    for ours, theirs in zip(jax.tree.leaves(whole.state), jax.tree.leaves(again.state), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(whole.losses, again.losses)
    np.testing.assert_array_equal(whole.snapshots[8, 40]["gain"], again.snapshots[8, 40]["gain"])


@pytest.mark.slow
def test_widths_side_by_side_learn_what_they_learn_alone():
    together, alone = fit(replace(SMALL, widths=(8, 16)), steps=5), fit(replace(SMALL, widths=(16,)), steps=5)
    np.testing.assert_allclose(together.losses[:, 1], alone.losses[:, 0], rtol=1e-5)
    np.testing.assert_allclose(
        together.state.params[1]["layers"][2]["weight"], alone.state.params[0]["layers"][2]["weight"], atol=1e-3
    )


def test_the_mixture_is_evaluated_once_for_all_widths(monkeypatch, key):
    calls, name = [], "score_of_draws"
    original = getattr(toydiff.GaussianMixture, name)
    monkeypatch.setattr(toydiff.GaussianMixture, name, lambda self, *a: calls.append(1) or original(self, *a))
    recipe = replace(SMALL, widths=(4, 8, 16), members=2, batch=128)
    state = jax.eval_shape(partial(training.init_state, recipe))
    jax.eval_shape(partial(training.gradients, recipe), recipe.mixtures(), key, state)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "recipe",
    [replace(SMALL, loss="denoising", batch=331), replace(SMALL, classes="AB", labelled=True, batch=50)],
)
def test_parts_of_a_batch_are_the_batch(recipe, key):
    draw = jax.jit(partial(objective.draw_batch, recipe), static_argnames="parts")
    whole = draw(recipe.mixtures(), key)
    parts = [draw(recipe.mixtures(), key, part, parts=3) for part in range(3)]
    together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    kept = together.weight > 0
    assert kept.sum() == recipe.batch
    assert len({len(part.sigma) for part in parts}) == 1
    for ours, expected in zip(jax.tree.leaves(together), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(ours[kept], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_a_large_ensemble_begins_as_soon_as_a_small_one():
    lines = [len(jax.make_jaxpr(partial(training.init_state, replace(SMALL, members=m)))().eqns) for m in (2, 50)]
    assert lines[0] == lines[1]


def test_float64_draws_the_batch_of_float32(key):
    single = batch_of(SMALL, key)
    with jax.enable_x64(True):
        double = batch_of(SMALL, key)
    assert {leaf.dtype for leaf in jax.tree.leaves(double)} == {np.dtype(np.float64)}
    np.testing.assert_allclose(double.x, single.x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("threads", "compiled"), [(1, adam.many_steps), (2, training.part_of_gradients)])
def test_one_compilation_for_any_number_of_steps(monkeypatch, compilations, threads, compiled):
    monkeypatch.setattr(training, "threads", lambda: threads)
    compiled.clear_cache()
    with compilations() as count:
        fit(steps=40, snapshots=[3, 17])
    assert count(compiled) == 1


@pytest.mark.parametrize(
    "recipe",
    [
        replace(SMALL, batch=331, members=2),  # parts of unequal size
        pytest.param(replace(SMALL, classes="AB", labelled=True, widths=(4, 8)), marks=pytest.mark.slow),
    ],
)
def test_cores_change_nothing_but_the_last_bits(monkeypatch, recipe):
    def trained(threads):
        monkeypatch.setattr(training, "threads", lambda: threads)
        return fit(recipe, 6)

    one, three = trained(1), trained(3)
    np.testing.assert_allclose(one.losses, three.losses, rtol=1e-4)
    for ours, theirs in zip(jax.tree.leaves(one.state), jax.tree.leaves(three.state), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


PAIR = replace(SMALL, widths=(4, 8))


def test_an_ensemble_is_networks_that_differ_in_their_first_weights():
    """On the same batches: the first is the network that trains alone, each has its own loss."""
    together, alone = fit(replace(PAIR, members=3), 5), fit(PAIR, 5)
    assert together.losses.shape == (5, 6)
    np.testing.assert_allclose(together.losses[:, ::3], alone.losses, rtol=1e-4)
    for width in (4, 8):
        ours = together.denoiser(width, member=0).params
        for leaf, expected in zip(*map(jax.tree.leaves, (ours, alone.denoiser(width).params)), strict=True):
            np.testing.assert_allclose(leaf, expected, rtol=1e-3, atol=1e-4)
    start = training.init_state(together.recipe).params[1]
    rows = [together.recipe.member_of(start, member)["layers"][1]["weight"] for member in range(3)]
    assert min(np.abs(np.asarray(a) - b).mean() for a, b in [(rows[0], rows[1]), (rows[0], rows[2]), rows[1:]]) > 0.5
    for row in rows:  # standard normal
        assert abs(np.asarray(row).std() - 1) < 5 / np.sqrt(2 * row.size)
    with pytest.raises(InputError, match="member is 3; it must be"):
        together.denoiser(member=3)


def test_each_member_learns_as_it_would_alone(monkeypatch):
    """Its first weights given to a training of one network: the same losses."""
    several = replace(PAIR, members=3)
    third = jax.tree.map(lambda leaf: leaf[2], training.init_state(several).params)
    start = training.init_state(PAIR)._replace(params=third, ema=third)
    begun = training.Training(PAIR, start, np.zeros((0, 2), np.float32), {})
    np.testing.assert_allclose(fit(several, 5).losses[:, 2::3], fit(PAIR, 5, resume=begun).losses, rtol=1e-4)


def test_an_ensemble_is_saved_and_resumed(tmp_path, few_draws):
    recipe = replace(SMALL, widths=(4,), members=2, averages=(0.05, 0.1))
    half, whole = fit(recipe, 3), fit(recipe, 6)
    training.save_checkpoint(tmp_path / "c.safetensors", half)
    again = fit(recipe, 6, resume=training.load_checkpoint(tmp_path / "c.safetensors"))
    np.testing.assert_array_equal(again.losses, whole.losses)
    toydiff.save_model(tmp_path / "m.safetensors", whole, member=1)
    loaded = toydiff.load_weights(tmp_path / "m.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, whole.denoiser(member=1).params)
    toydiff.save_averages(tmp_path / "a.safetensors", whole, member=1)
    averaged = toydiff.load_averages(tmp_path / "a.safetensors", 0.1).params
    assert averaged["layers"][1]["weight"].shape == (4, 4)


def test_snapshots_are_kept_at_their_steps():
    done = fit(PAIR, steps=12, snapshots=[5])
    assert sorted(done.snapshots) == [(4, 5), (4, 12), (8, 5), (8, 12)]
    assert done.denoiser().architecture.width == 4
    with pytest.raises(InputError, match=r"no snapshot .* \(8, 6\)"):
        done.denoiser(8, 6)


@pytest.mark.slow
def test_the_gain_stays_below_zero_unless_it_is_free():
    """Seed 0 goes to a positive gain when the sign is left to chance."""
    recipe = Recipe(widths=(32,), batch=1024)
    assert float(fit(recipe, 20).state.params[0]["gain"]) <= -0.01
    assert float(fit(replace(recipe, negative_gain=False), 20).state.params[0]["gain"]) > 0


@pytest.mark.slow
def test_holding_the_gain_leaves_runs_that_need_no_hold_alone():
    recipe = Recipe(widths=(32,), seed=3, batch=1024)
    held, free = fit(recipe, 20), fit(replace(recipe, negative_gain=False), 20)
    assert float(free.state.params[0]["gain"]) < -0.01
    np.testing.assert_allclose(held.losses, free.losses, rtol=1e-5)


def test_ctrl_c_keeps_what_is_done():
    def interrupt(done):
        if done.step == 64:
            signal.raise_signal(signal.SIGINT)

    stopped = fit(steps=200, on_progress=interrupt)
    assert stopped.interrupted
    assert stopped.step == 64
    assert (8, 64) in stopped.snapshots
    np.testing.assert_array_equal(fit(steps=80, resume=stopped).losses, fit(steps=80).losses)


def test_seeds_differ_and_repeat():
    assert np.array_equal(fit().losses, fit().losses)
    assert not np.array_equal(fit().losses, fit(replace(SMALL, seed=1)).losses)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"classes": "C"}, "unknown classes 'C'; there are A, B, AB"),
        ({"distribution": "oak"}, "unknown distribution 'oak'"),
        ({"widths": ()}, "widths"),
        ({"widths": (8, 8)}, "different"),
        ({"widths": 8}, "widths are 8"),
        ({"widths": ([8],)}, r"width is \[8\]"),
        ({"learning_rate": 10**400}, "learning_rate is 1"),
        ({"ema": 1e-300}, "ema is 1e-300"),
        ({"widths": (0,)}, "width is 0"),
        ({"members": 0}, "members is 0"),
        ({"loss": "hinge"}, "unknown loss 'hinge'; there are exact, denoising"),
        ({"seed": -1}, "seed is -1"),
        ({"batch": 0}, "batch is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"ema": 0.5}, "ema is 0.5"),
        ({"labelled": True}, "with labels a network learns all, 'AB'"),
        ({"label_dropout": 2}, "label_dropout"),
    ],
)
def test_bad_recipes_are_refused(field, words):
    with pytest.raises(InputError, match=words):
        Recipe(**field)


def test_bad_training_requests_are_refused(few_draws, tmp_path):
    with pytest.raises(InputError, match="steps is 0"):
        fit(steps=0)
    with pytest.raises(InputError, match="snapshots is 9"):
        fit(steps=4, snapshots=[9])
    done = fit(steps=4)
    with pytest.raises(InputError, match=r"cannot resume: the earlier training has seed 0, not 1"):
        fit(replace(SMALL, seed=1), steps=8, resume=done)
    with pytest.raises(InputError, match="already done 4"):
        fit(steps=2, resume=done)
    with pytest.raises(InputError, match=r"snapshots \[2\] have passed"):
        fit(steps=8, snapshots=[2], resume=done)
    toydiff.save_model(tmp_path / "m.safetensors", done)
    with pytest.raises(InputError, match="is a model; a checkpoint is wanted"):
        training.load_checkpoint(tmp_path / "m.safetensors")


def test_recipe_goes_to_json_and_back():
    recipe = Recipe(classes="AB", widths=(8, 16), labelled=True)
    assert Recipe.from_json(recipe.to_json()) == recipe
    for broken in (None, {}, recipe.to_json() | {"speed": 1}, recipe.to_json() | {"widths": 8}):
        with pytest.raises(InputError, match=r"not a recipe|widths are 8"):
            Recipe.from_json(broken)


def test_architectures_of_a_labelled_recipe_take_labels():
    assert replace(SMALL, classes="AB", labelled=True).architectures == (Architecture(8, 4, 2),)


LENGTHS = st.floats(1e-3, 0.25)
RECIPES = st.builds(
    Recipe,
    distribution=st.just("fractal_tree") | drawings,
    widths=st.lists(st.integers(1, 4096), min_size=1, max_size=3, unique=True).map(tuple),
    members=st.integers(1, 4096),
    depth=st.integers(1, 64),
    label_dropout=st.floats(0, 1),
    loss=st.sampled_from(LOSSES),
    seed=seeds,
    batch=st.integers(1, 1_000_000),
    learning_rate=st.floats(0, 1, exclude_min=True),
    decay_start=st.integers(1, 1_000_000),
    negative_gain=st.booleans(),
    ema=LENGTHS,
    averages=st.lists(LENGTHS, max_size=3, unique=True).map(tuple),
)


@given(RECIPES, st.booleans())
def test_any_recipe_is_equal_to_itself_from_json(recipe, labelled):
    if labelled:
        recipe = replace(recipe, classes=catalogue.all_classes(recipe.distribution), labelled=True)
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert (again, hash(again)) == (recipe, hash(recipe))


def test_a_recipe_of_numpy_numbers_is_the_same_recipe(few_draws, tmp_path):
    recipe = Recipe(widths=[np.int64(4)], batch=np.int32(16), seed=np.uint8(0), labelled=np.bool_(False))
    assert recipe == Recipe(widths=(4,), batch=16)
    assert hash(recipe) == hash(Recipe(widths=(4,), batch=16))
    toydiff.save_model(tmp_path / "m.safetensors", fit(recipe, 1), np.int64(4))


def test_a_checkpoint_that_contradicts_its_header_is_refused(tmp_path):
    from toydiff.base.files import write_arrays

    done = fit(steps=2)
    header = {"kind": "checkpoint", "recipe": SMALL.to_json(), "step": 2, "toydiff": "0"}
    state = done.state._replace(step=jnp.asarray(-4, jnp.int32))
    write_arrays(tmp_path / "c.safetensors", {"state": state, "losses": done.losses}, header)
    with pytest.raises(InputError, match="it is at step -4, not 2"):
        training.load_checkpoint(tmp_path / "c.safetensors")


def test_the_training_step_is_the_blueprints():
    """Against a plain loop: normalised rows, autodiff of the loss, Adam (0.9, 0.99), falling rate, held gain."""

    def normalised(p):
        return p / (1e-4 + jnp.linalg.norm(p, axis=1, keepdims=True) / np.sqrt(p.shape[1])) if p.ndim == 2 else p

    recipe = replace(SMALL, decay_start=2)
    architecture = recipe.architectures[0]
    key_init, key_data = jax.random.split(jax.random.key(0))
    params = init_params(architecture, jax.random.fold_in(key_init, architecture.width))
    moment, square = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))

    @jax.jit
    @jax.grad
    def gradient_of(params, batch):
        score = jax.vmap(jax.grad(partial(energy, architecture, params)))(batch.x, batch.sigma)
        return (batch.sigma**2 * ((score - batch.score) ** 2).mean(-1)).mean()

    for t in range(1, 6):
        params = jax.tree.map(normalised, params)
        gradient = gradient_of(params, batch_of(recipe, jax.random.fold_in(key_data, t - 1)))
        moment = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moment, gradient)
        square = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g**2, square, gradient)
        rate = 0.01 / np.sqrt(max(t / 2, 1))
        params = jax.tree.map(
            lambda p, m, v, t=t, rate=rate: p - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.99**t)) + 1e-8),
            params, moment, square,
        )  # fmt: skip
        params["gain"] = jnp.minimum(params["gain"], -0.01)
    ours = fit(recipe, 5).state.params[0]
    for got, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(got, expected, atol=2e-4)


def test_a_second_ctrl_c_stops_at_once():
    from toydiff.base.progress import deferred_interrupt

    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as stop_wanted:
        assert not stop_wanted()
        signal.raise_signal(signal.SIGINT)
        assert stop_wanted()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
