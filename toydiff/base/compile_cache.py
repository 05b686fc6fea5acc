"""Compiled functions, kept in the user's cache folder from one start to the next."""

import os
from pathlib import Path

import jax
from platformdirs import user_cache_dir


def keep_compiled() -> None:
    """Let JAX keep what it compiles in the user's cache folder, if it may be written and no other is set.

    For programs, not for the library: it changes JAX's configuration. `JAX_COMPILATION_CACHE_DIR` names another
    folder; deleting the folder is always safe.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    folder = Path(user_cache_dir("toydiff")) / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # many small ones add up to a second
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
