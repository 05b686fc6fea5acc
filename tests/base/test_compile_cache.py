import os
import subprocess
import sys

import pytest

PROGRAM = """
import jax
from toydiff.base.compile_cache import keep_compiled
keep_compiled()
jax.jit(lambda x: 2 * x)(1.0).block_until_ready()
print(jax.config.jax_compilation_cache_dir)
"""


def run(**environment):
    clean = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=clean | environment
    )
    return result.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the cache folder on Linux only")
def test_compiled_functions_are_kept_in_the_users_cache_folder(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path)) == str(tmp_path / "toydiff" / "compiled")
    assert any((tmp_path / "toydiff" / "compiled").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the cache folder on Linux only")
def test_a_cache_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    assert run(XDG_CACHE_HOME=str(tmp_path / "file")) == "None"


def test_another_folder_that_was_chosen_stays(tmp_path):
    assert run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == str(tmp_path / "own")
