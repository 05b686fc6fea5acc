import os
from contextlib import contextmanager

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as the command does; JAX would set 1, here and in what is started

import jax
import matplotlib as mpl
import pytest
from browser import CHROMIUM, App, Page, chromium, open_page, served
from hypothesis import Phase, settings

import toydiff
from toydiff.base.compile_cache import keep_compiled
from toydiff.base.effort import effort
from toydiff.distributions.classics import Distribution
from toydiff.networks.denoiser import Denoiser
from toydiff.networks.energy import Architecture, init_params

mpl.use("Agg")
jax.config.update("jax_numpy_rank_promotion", "raise")
# The same few examples everywhere: a test that fails on some machine fails on each, and the first one may compile.
phases = (Phase.explicit, Phase.generate, Phase.shrink)  # to explain a failure takes minutes
settings.register_profile("few", max_examples=25, deadline=None, derandomize=True, phases=phases)
settings.load_profile("few")


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory):
    """The tests neither use nor fill the user's cache folder, nor do the programs that they start."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"  # one for all processes
    os.environ["XDG_CACHE_HOME"] = str(folder)
    keep_compiled()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture(scope="session")
def tree():
    return toydiff.fractal_tree("A")


@pytest.fixture(scope="session")
def reference(tree):
    """A quarter of the usual exact samples: the 0.1% rate is known to 6%, which no test comes near."""
    return toydiff.Reference(tree, whole=toydiff.fractal_tree("AB"), n=1 << 18)


def _few_draws():
    """Quantiles and losses from few exact draws, pictures from coarse grids: for tests of what is done with them."""
    with effort(reference_draws=1 << 14, validation_draws=4096, density_grid=48, outline_grid=96):
        yield


few_draws = pytest.fixture(_few_draws)
few_draws_throughout = pytest.fixture(_few_draws, scope="module")


COMPILED = "/jax/core/compile/backend_compile_duration"
"""What JAX reports of each program that it compiles, or finds compiled on the disk; not of those in its memory."""


@contextmanager
def _count_compilations():
    names = []

    def note(event, seconds, *, fun_name="", **_):
        if event == COMPILED:
            names.append(fun_name)

    def count(*functions):
        wanted = {f"jit({getattr(function, '__name__', function)})" for function in functions}
        return sum(not functions or name in wanted for name in names)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield count
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


@pytest.fixture
def compilations():
    """`with compilations() as count`: how many programs JAX compiles in the block, in whatever thread.

    `count()` is their number so far, also after the block; `count(f, "g")` that of these functions, each itself or by
    its name. To see that nothing compiles anew, warm up before the block and ask for `count() == 0`: no name can be
    wrong there. What an earlier test has compiled is not compiled again: a test that asks for 1 takes a function of its
    own, a shape that no other test has, or `f.clear_cache()` before.
    """
    return _count_compilations


@pytest.fixture
def keep_rows():
    """`keep_rows(table, *names)` leaves only these rows in a table of the package until the test ends."""
    tables = []

    def keep(table, *names):
        tables.append((table, dict(table)))
        for name in set(table) - set(names):
            del table[name]

    yield keep
    for table, rows in tables:
        table.clear()
        table.update(rows)


@pytest.fixture(scope="module")
def nothing_ahead():
    """The explorer's second thread compiles nothing: for minutes it would prepare drags that no test makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toydiff.explorer.painter.Painter.ahead", lambda painter: iter(()))
        yield


@pytest.fixture(scope="session")
def tiny_mixture():
    """Two Gaussians, one of them thin and tilted."""
    return toydiff.GaussianMixture(
        [0.3, 0.7], [[-0.5, 0.0], [0.4, 0.2]], [[[0.04, 0.0], [0.0, 0.01]], [[0.02, 0.015], [0.015, 0.02]]]
    )


@pytest.fixture
def tiny_denoiser(key):
    """An untrained network of width 4 whose gain is not 0."""
    architecture = Architecture(width=4)
    params = init_params(architecture, key) | {"gain": jax.numpy.float32(-0.2)}
    return Denoiser(params, None, architecture)


@pytest.fixture
def extra_distribution(monkeypatch, tiny_mixture):
    """A distribution added as a user would: one function, one row."""
    monkeypatch.setitem(toydiff.DISTRIBUTIONS, "two_blobs", Distribution(lambda classes: tiny_mixture, "A"))
    return tiny_mixture


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; .ci/run installs it")
        pytest.skip("Chromium is missing: the explorer is not tried in a browser")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where the explorer is served from."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def address(folder):
    with served(folder) as address:
        yield address


@pytest.fixture(scope="session")
def app_address(folder):
    with served(folder, app=True) as address:
        yield address


@pytest.fixture(scope="module")
def app(few_draws_throughout, nothing_ahead):
    """The app page's server in this process: what its sessions do can be seen and held up."""
    with App().serve() as app:
        yield app


@pytest.fixture(scope="module")
def tab(browser, app):
    """A tab of the app page, and the scene that it opens with."""
    with app.tab(browser) as explorer:
        yield explorer, explorer.get("toydiff.scene")


@pytest.fixture
def explorer(tab):
    """One tab for all tests of a module, as it was opened."""
    explorer, scene = tab
    explorer.fresh(scene)
    yield explorer
    assert explorer.errors == []


@pytest.fixture(scope="session")
def lab(browser, address):
    """The explorer in JupyterLab: one for all tests, for it takes ten seconds to start."""
    explorer = Page(open_page(browser, address))
    explorer.wait_for_picture()
    yield explorer
    explorer.page.close()
