import json
import pickle

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import toydiff
from toydiff import InputError, load_model, load_weights, open_model
from toydiff.base.files import FORMAT, read_header, replacing
from toydiff.guidance import named
from toydiff.networks import bundles, names, zoo
from toydiff.networks.names import ModelName
from toydiff.networks.training import init_state

DRAWINGS = ("spirals", "letters", "rings")
WIDTHS, STEPS = (8, 16, 32, 64, 128), (128, 256, 512, 1024, 2048, 4096)


@pytest.fixture(scope="module")
def trained():
    return toydiff.train(toydiff.Recipe(widths=(8,), batch=64), 3, progress=False)


@pytest.fixture
def model_file(trained, few_draws, tmp_path):
    toydiff.save_model(tmp_path / "model.safetensors", trained)
    return tmp_path / "model.safetensors"


def tamper(path, arrays=None, **header):
    """Rewrite a weights file with other arrays or header fields."""
    with safe_open(path, "numpy") as file:
        content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        old = json.loads(file.metadata()["toydiff"])
    save_file(content | (arrays or {}), path, {"toydiff": json.dumps(old | header)})


def test_every_promised_model_is_bundled():
    promised = {ModelName(c, w, s) for c in ("A", "AB") for w in WIDTHS for s in STEPS}
    promised |= {ModelName("AB", 64, s, True) for s in STEPS}
    assert set(toydiff.list_models()) == promised
    for name in promised:
        model = load_model(name.classes, name.width, name.steps, labelled=name.labelled)
        assert model.architecture.width == name.width
        assert np.isfinite(model.score([0.3, 0.3], 0.1)).all()


FURTHER = {
    **{f"{c}/{w}/{s}/seed{seed}": (c, w, s, seed) for seed in (1, 2) for c, w, s in (
        ("A", 64, 4096), ("A", 64, 1024), ("A", 32, 512), ("AB", 32, 512),
    )},
    "A/64/4096/ema0.05": ("A", 64, 4096, 0),
    "A/32/512/ema0.05": ("A", 32, 512, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", [n if "seed1" in n else pytest.param(n, marks=pytest.mark.slow) for n in FURTHER])
def test_other_seeds_and_lengths_are_bundled(name):
    classes, width, steps, seed = FURTHER[name]
    model, usual = open_model(name), load_model(classes, width, steps)
    assert (model.classes, model.architecture) == (usual.classes, usual.architecture)
    ours, theirs = (np.ravel(m.params["layers"][2]["weight"]) for m in (model, usual))
    assert (np.corrcoef(ours, theirs)[0, 1] > 0.9) == ("ema" in name)
    plain, folder = ModelName(classes, width, steps), names.WEIGHTS / "fractal_tree"
    recorded = read_header(names.weights_file(plain, folder), "model")["validation_loss"]
    assert toydiff.validation_loss(model, n=8192).overall < 1.3 * recorded
    file = names.weights_file(plain._replace(seed=seed), folder, averages="ema" in name)
    header = read_header(file, "set of averages" if "ema" in name else "model")
    assert (header["width"], header["step"], header["seed"]) == (width, steps, seed)
    assert (toydiff.Recipe.from_json(header["recipe"]), steps) in bundles.BUNDLES["fractal_tree"].further


def test_every_further_row_is_tried():
    assert len(bundles.BUNDLES["fractal_tree"].further) == len(FURTHER)


@pytest.mark.parametrize(("width", "steps"), [(64, 4096), (32, 512)])
def test_the_averages_are_of_the_bundled_networks(width, steps):
    """The length 0.010 comes out of them as it is bundled, five times nearer than 0.02 is."""
    usual = load_model("A", width, steps)
    assert load_model("A", width, steps, ema=0.010) is usual
    path = names.weights_file(ModelName("A", width, steps), names.WEIGHTS / "fractal_tree", averages=True)
    start = init_state(toydiff.Recipe(widths=(width,))).params[0]

    def distance(params):
        pairs = zip(jax.tree.leaves(params), jax.tree.leaves(usual.params), strict=True)
        return np.sqrt(sum(float(np.sum((ours - theirs) ** 2)) for ours, theirs in pairs))

    made = toydiff.load_averages(path, 0.010).params
    assert distance(made) < 4e-4 * distance(start)
    assert distance(made) < 0.2 * distance(load_model("A", width, steps, ema=0.02).params)


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_has_its_models(name):
    promised = {ModelName(c, w, s) for c in ("A", "AB") for w in (16, 32, 64) for s in (128, 512, 2048)}
    assert set(toydiff.list_models(name)) == promised
    for model in promised:
        with safe_open(names.weights_file(model, names.WEIGHTS / name), "numpy") as file:
            recipe = json.loads(file.metadata()["toydiff"])["recipe"]
        assert toydiff.Recipe.from_json(recipe) in bundles.BUNDLES[name].recipes
    assert bundles.default_main(name) == "A/64/2048"
    assert named.default_guides("mix", name) == ("AB/16/128", "A/16/128")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["letters", "spirals", "rings"])
def test_on_drawings_autoguidance_removes_outliers(name):
    """With the models that are taken when none are named; unguided there are 1.4% and more."""
    reference = toydiff.Reference(open_model("exact/A", name), n=1 << 18)
    rows = {"outlier_rate_0.001": toydiff.METRICS["outlier_rate_0.001"]}
    outliers = []
    for method, weight in (("unguided", None), ("autoguidance", 2.0)):
        model = toydiff.guided_model(method, weight, distribution=name)
        samples = toydiff.sample(model, 0, 4096, path=False).samples
        outliers.append(toydiff.evaluate(samples, reference, metrics=rows)["outlier_rate_0.001"].value)
    assert outliers[0] > 0.01
    assert outliers[1] < outliers[0] / 5


def test_bundled_weights_are_a_few_megabytes():
    assert sum(path.stat().st_size for path in names.WEIGHTS.rglob("*")) < 8e6


def test_headers_say_how_each_was_made():
    for name in toydiff.list_models():
        path = names.weights_file(name, names.WEIGHTS / "fractal_tree")
        with safe_open(path, "numpy") as file:
            header = json.loads(file.metadata()["toydiff"])
        recipe = toydiff.Recipe.from_json(header["recipe"])
        assert recipe in bundles.BUNDLES["fractal_tree"].recipes
        assert (header["width"], header["step"], header["seed"]) == (name.width, name.steps, 0)
        assert 0 < header["validation_loss"] < 0.2
        assert header["format"] == FORMAT
        assert header["toydiff"]


@pytest.mark.parametrize(
    ("name", "limit"), [("A/64/4096", 0.0095), ("A/32/512", 0.060), ("AB/32/512", 0.060), ("A/64/4096/labelled", 0.03)]
)
def test_validation_loss_of_the_papers_models(name, limit):
    assert toydiff.validation_loss(open_model(name), seed=424_242).overall <= limit


@pytest.mark.parametrize("distribution", ["fractal_tree", *DRAWINGS])
def test_the_recorded_loss_is_the_models(distribution):
    path = names.weights_file(ModelName("A", 32, 512), names.WEIGHTS / distribution)
    with safe_open(path, "numpy") as file:
        recorded = json.loads(file.metadata()["toydiff"])["validation_loss"]
    loss = toydiff.validation_loss(load_model("A", 32, 512, distribution=distribution), seed=99, n=16_384)
    assert abs(loss.overall - recorded) < 5 * np.sqrt(2) * loss.standard_error


@pytest.mark.slow
def test_more_capacity_and_more_training_lower_the_loss():
    loss = {
        (w, s): toydiff.validation_loss(load_model("A", w, s), n=4096).overall for w, s in
        ((8, 4096), (32, 512), (32, 4096), (128, 4096))
    }  # fmt: skip
    assert loss[8, 4096] > loss[32, 4096] > loss[128, 4096]
    assert loss[32, 512] > loss[32, 4096]


@pytest.mark.slow
def test_the_label_dropout_network_serves_both_halves_of_cfg():
    main, uncond = load_model("A", labelled=True), load_model("AB", labelled=True)
    assert float(main.params["gain"]) == float(uncond.params["gain"])
    for half in (main, uncond):  # each matches its own distribution, and not the other's
        x, sigma = half.truth().sample(0, 4096, 0.3), 0.3
        errors = [float(np.mean(np.square(half.score(x, sigma) - m.truth().score(x, sigma)))) for m in (main, uncond)]
        own = errors[0 if half is main else 1]
        assert own < 0.2 * max(errors)
    assert main.truth().branch_count == 127
    assert uncond.truth().branch_count == 254
    assert load_model("B", labelled=True).given("A").classes == "A"


def test_missing_combinations_list_what_exists():
    expected = "A/WIDTH/STEPS with width 8, 16, 32, 64, 128 and steps 128, 256, 512, 1024, 2048, 4096; AB/"
    for arguments in (
        {"width": 48},
        {"steps": 4095},
        {"classes": "B"},
        {"classes": "Z"},
        {"width": 32, "labelled": True},
    ):
        with pytest.raises(InputError) as error:
            load_model(**arguments)
        assert "no bundled model" in str(error.value)
        assert expected in str(error.value)
        assert "AB/WIDTH/STEPS/labelled with width 64" in str(error.value)
    with pytest.raises(InputError, match="unknown distribution"):
        load_model(distribution="oak")
    with pytest.raises(InputError, match="there are none; exact/ABC names the exact distribution"):
        load_model(distribution="three_gaussians")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "A/16/512/seed1",
            r"no bundled model A/16/512/seed1 .* there are A/64/4096/seed1, A/64/1024/seed1, ",
        ),
        ("A/64/4096/seed3", r"no bundled model A/64/4096/seed3 of fractal_tree; beside seed 0 and ema 0.01 there are"),
        ("AB/32/512/ema0.05", r"no bundled .*; .* A/64/4096/emaLENGTH, A/32/512/emaLENGTH$"),
        ("A/64/4096/seed1/ema0.05", "no bundled model A/64/4096/seed1/ema0.05"),
        ("A/64/4096/labelled/seed1", "no bundled model A/64/4096/labelled/seed1"),
        ("A/64/4095/ema0.05", "no bundled model A/64/4095/ema0.05 .* with width 8, 16"),
        ("A/64/4096/ema0.3", "ema is 0.3; it must be a number, at least 0.005 and at most 0.25"),
        ("A/64/4096/seed9999999999", "seed is 9999999999"),
        ("A/64/4096/ema0.05/seed1", "unknown model"),
        ("A/64/4096/ema1e-2", "unknown model"),
        ("A/64/4096/seed", "unknown model"),
    ],
)
def test_missing_seeds_and_lengths_say_what_exists(name, words):
    with pytest.raises(InputError, match=words):
        open_model(name)


def test_names_are_written_as_they_are_read():
    assert str(ModelName("A", 64, 4096, True, 2, 0.05)) == "A/64/4096/labelled/seed2/ema0.05"
    assert str(ModelName("A", 64, 4096)) == "A/64/4096"
    with pytest.raises(InputError, match=r"no bundled model A/64/2048/seed1 of letters; .* there are none"):
        load_model("A", 64, 2048, seed=1, distribution="letters")


@pytest.mark.parametrize(
    "name",
    ["", "A", "A/64", "A/64/4096/odd", "A/64/x", "A//4096", "../A/64/4096", f"A/{'9' * 5000}/1", "exact", "exact/A/B"],
)
def test_unknown_names_are_refused(name):
    with pytest.raises(InputError, match="unknown model"):
        open_model(name)


def test_open_model_takes_all_kinds_of_names(model_file):
    assert open_model("AB/32/512").classes == "AB"
    assert open_model("A/64/1024/labelled").label is not None
    assert isinstance(open_model("exact/AB"), toydiff.GaussianMixture)
    assert open_model(str(model_file)).architecture.width == 8


def test_saved_weights_come_back(trained, model_file):
    again = load_weights(model_file)
    np.testing.assert_array_equal(again.score([0.1, 0.2], 0.5), trained.denoiser().score([0.1, 0.2], 0.5))
    assert again.params["gain"].shape == ()


def test_truncated_files_and_pickles_are_refused(model_file, tmp_path):
    whole = model_file.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        model_file.write_bytes(whole[:size])
        with pytest.raises(InputError, match="truncated or not a safetensors file"):
            load_weights(model_file)
    unsafe = tmp_path / "pickle.safetensors"
    unsafe.write_bytes(pickle.dumps({"weight": [1.0] * 100}))
    with pytest.raises(InputError, match="not a safetensors file"):
        load_weights(unsafe)
    with pytest.raises(InputError, match="there is no file"):
        load_weights(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="cannot read"):
        load_weights(tmp_path)


def test_files_that_do_not_fit_are_refused(model_file):
    def refuse(words, **changes):
        original = model_file.read_bytes()
        tamper(model_file, **changes)
        with pytest.raises(InputError, match=words):
            load_weights(model_file)
        model_file.write_bytes(original)

    refuse("format 99; this toydiff reads format 1", format=99)
    refuse("width is", recipe=toydiff.Recipe(widths=(8,)).to_json() | {"widths": [[8]]})
    refuse("is a checkpoint; a model is wanted", kind="checkpoint")
    refuse("unknown width '9'", width=9)
    refuse("not a recipe", recipe={"widths": [8]})
    refuse("holds NaN or infinity in layers.0.weight", arrays={"layers.0.weight": np.full((8, 4), np.nan, np.float32)})
    refuse(r"layers.0.weight is float32\[4, 4\]", arrays={"layers.0.weight": np.zeros((4, 4), np.float32)})
    refuse("gain is float64", arrays={"gain": np.zeros((), np.float64)})
    refuse("missing or superfluous", arrays={"extra": np.zeros(1, np.float32)})
    load_weights(model_file)


def test_foreign_safetensors_are_refused(tmp_path):
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no toydiff header"):
        load_weights(tmp_path / "other.safetensors")


def test_a_failed_write_harms_nothing(tmp_path):
    target = tmp_path / "kept.txt"
    target.write_text("before")
    with pytest.raises(InputError, match=r"cannot write .*kept.txt: No space left"), replacing(target) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("a fault of our own")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
    with replacing(target) as temporary:
        temporary.write_text("after")
    assert target.read_text() == "after"


@pytest.mark.slow
def test_train_zoo_writes_every_recipe(few_draws, monkeypatch, tmp_path):
    recipes = (
        toydiff.Recipe(widths=(4, 8), batch=64),
        toydiff.Recipe(classes="AB", widths=(4,), labelled=True, batch=64),
    )
    averaged = toydiff.Recipe(widths=(4,), batch=64, seed=5, averages=(0.02, 0.1))
    further = (averaged, 2), (toydiff.Recipe(widths=(4,), seed=6), 3)  # the second is left out: its step comes too late
    bundle = bundles.Bundle(recipes, (1, 2), "A/8/2", "4/1", further, classifier=3)
    monkeypatch.setattr(bundles, "BUNDLES", {"fractal_tree": bundle, "letters": bundle})
    files = bundles.train_zoo(tmp_path, only=["fractal_tree"], steps=2, progress=False)
    names = ["A-4-1", "A-4-2", "A-8-1", "A-8-2", "AB-4-1-labelled", "AB-4-2-labelled", "classifier/AB"]
    names.append("seed5/averages/A-4-2")
    place = tmp_path / "fractal_tree"
    assert sorted(str(path.relative_to(place).with_suffix("")) for path in files) == names
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    assert load_model("B", 4, 2, labelled=True).classes == "B"
    assert load_model("A", 4, 2, seed=5, ema=0.02).architecture.width == 4
    with pytest.raises(InputError, match="there are A/4/2/seed5/emaLENGTH, A/4/3/seed6"):
        load_model("A", 4, 2, seed=5)
    assert ModelName("AB", 4, 1, True) in zoo.list_models()
    assert bundles.default_main() == "A/8/2"
    assert named.default_guides("mix") == ("AB/4/1", "A/4/1")
    with pytest.raises(InputError, match="unknown bundled distribution 'oak'; there are fractal_tree, letters"):
        bundles.train_zoo(tmp_path, only=["oak"])


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


def test_default_guides_must_fit_the_main_model():
    with pytest.raises(InputError, match="the main model is not: name its guides"):
        toydiff.guided_model("cfg", main=toydiff.three_gaussians("A"))
    with pytest.raises(InputError, match="name its guides"):
        toydiff.guided_model("autoguidance", main="AB/64/4096")
    own = toydiff.guided_model("autoguidance", main="AB/64/4096", guides=["AB/32/512"])
    assert own.truth().branch_count == 254
    named = toydiff.guided_model("cfg", main="exact/A", guides=["exact/ABC"], distribution="three_gaussians")
    assert named.truth().weights.shape == (1,)


def test_each_method_has_the_guides_that_its_row_names():
    for method, row in toydiff.METHODS.items():
        assert named.default_guides(method) == tuple(map(str, row.guides))
    assert named.default_guides("sharpened", "letters") == ("A/16/128",)
    assert named.default_guides("classifier", "letters") == ("exact-classifier/A",)
    sharpened = toydiff.guided_model("sharpened").guides[0]
    assert sharpened is load_model("A", 64, 1024)
