"""Files: written whole or not at all, and trees of arrays as safetensors with a JSON header."""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from toydiff.base.checks import InputError

FORMAT = 1
"""Version of the layout of the files; raised when an older toydiff could not read them."""

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well.

    When the block fails, whatever stood at `path` before is untouched and the temporary file is gone.

    Raises:
        InputError: the folder cannot be made or written, or the disk is full.
    """
    target = Path(os.path.realpath(path))  # a link stays a link: what it points to is replaced
    temporary = target.with_name(f".{secrets.token_hex(4)}{target.suffix}")
    try:
        check_writable(target)
        yield temporary
        with temporary.open("rb+") as file:  # synced before the rename: a full disk must show here
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: PathLike) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends well; else nothing is left of it.

    Raises:
        InputError: there is a file, or a folder that is not empty, or it cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(4)}")
    try:
        check_folder(target)
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rmdir()  # which fails if something has come into it
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: PathLike, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        InputError: it cannot be written; what stood there before is untouched.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def check_writable(path: PathLike) -> None:
    """Make the folder of `path` and see that a file can be written there: before hours of work, not after.

    Raises:
        InputError: it cannot.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise InputError(f"cannot write {target}: it is a folder; name a file in it")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK):
            raise InputError(f"cannot write {target}: the folder is not writable")
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error


def check_folder(path: PathLike) -> None:
    """Make the folder around `path` and see that a new folder can be made of it.

    Raises:
        InputError: it cannot, or there is a file, or a folder with something in it.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"cannot write {target}: it is there already; name a new or an empty folder")
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    check_writable(target / "any" if target.is_dir() else target)


def name_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their dotted paths, such as "layers.0.weight"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def write_arrays(path: PathLike, tree: Any, header: Mapping[str, Any]) -> None:
    """Write the leaves of `tree` as safetensors, `header` and the format's version in its metadata.

    Raises:
        InputError: the file cannot be written; what stood there before is untouched.
    """
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in name_leaves(tree).items()}
    metadata = {"toydiff": json.dumps({"format": FORMAT, **header}, sort_keys=True)}
    write_bytes(path, save(arrays, metadata))


def read_header(path: PathLike, kind: str) -> dict[str, Any]:
    """The JSON header of a file of this kind that `write_arrays` wrote.

    Raises:
        InputError: there is no such file, it is truncated or not safetensors (nothing is ever unpickled),
            not toydiff's, of another version or of another kind.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"cannot read {path}: it is truncated or not a safetensors file ({_first_line(error)})"
        ) from None
    try:
        header = json.loads(metadata["toydiff"])
        version, found = header["format"], header["kind"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InputError(f"{path} has no toydiff header; it was written by something else") from None
    if version != FORMAT:
        raise InputError(f"{path} has format {version!r}; this toydiff reads format {FORMAT}")
    if found != kind:
        raise InputError(f"{path} is a {found}; a {kind} is wanted")
    return header


def read_arrays(path: PathLike, like: Any) -> Any:
    """A pytree of the structure, shapes and types of `like`, filled from the file.

    Raises:
        InputError: an array is missing, superfluous, of another shape or type, or holds NaN or infinity.
    """
    wanted = name_leaves(like)
    try:
        with safe_open(path, "numpy") as file:
            names = set(file.keys())
            if names != set(wanted):
                odd = sorted(names ^ set(wanted))
                raise InputError(f"{path} does not fit its header: {', '.join(odd[:3])} missing or superfluous")
            arrays = {name: file.get_tensor(name) for name in wanted}
    except (SafetensorError, OSError, AttributeError) as error:  # AttributeError: a type that NumPy has not
        raise InputError(f"cannot read {path}: {_first_line(error)}") from None
    for name, leaf in wanted.items():
        array = arrays[name]
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise InputError(
                f"{path} does not fit its header: {name} is {array.dtype}{list(array.shape)}, "
                f"not {leaf.dtype}{list(leaf.shape)}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{path} holds NaN or infinity in {name}; all weights must be finite")
    return jax.tree.unflatten(jax.tree.structure(like), list(arrays.values()))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
