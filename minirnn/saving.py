"""save, load: a model's arrays in a safetensors file."""

import os
import tempfile
from pathlib import Path

import numpy as np

from minirnn.module import Incompatible, Module

__all__ = ["load", "remove_passing", "save", "write_whole"]

PASSING = ".part"  # how the names of files end that are being written


def save(model: Module, path: str | os.PathLike[str]) -> None:
    """Write `model.state_dict()` to a safetensors file, which appears whole or not at all.

    TypeError: an array of a dtype that the format does not know.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save as to_bytes

    state = {name: np.array(value, order="C") for name, value in model.state_dict().items()}
    try:
        content = to_bytes(state, {"format": "minirnn"})
    except (SafetensorError, KeyError) as error:
        dtypes = ", ".join(sorted({str(value.dtype) for value in state.values()}))
        raise TypeError(f"save: safetensors does not hold one of the dtypes {dtypes}") from error
    write_whole(path, content)


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file that appears whole or not at all, also when the machine stops in between.

    It is written under a passing name in the same folder, flushed to the disk, renamed, and the folder flushed too.
    """
    target = Path(path)
    handle, passing = tempfile.mkstemp(prefix=f".{target.name}.", suffix=PASSING, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(passing, 0o666 & ~umask)  # mkstemp's files are private; this one is an ordinary file
        os.replace(passing, target)
    except BaseException:
        Path(passing).unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def remove_passing(folder: str | os.PathLike[str]) -> None:
    """Remove what writers that were killed left behind; only where no other writer is at work."""
    for left in Path(folder).glob(f".*{PASSING}"):
        left.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only once its folder is."""
    if os.name != "posix":
        return  # elsewhere folders cannot be opened, and renames are flushed by the system
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(model: Module, path: str | os.PathLike[str], strict: bool = True) -> Incompatible:
    """Read a safetensors file into the model's arrays, in place; nothing is written unless all of it fits.

    Returns what `load_state_dict` returns. FileNotFoundError: no such file. ValueError: the file is no safetensors
    file, is cut short, or its names, shapes or dtypes are not the model's.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    content = Path(path).read_bytes()
    try:
        state = from_bytes(content)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"load: {path} is no safetensors file, or is damaged ({error})") from error
    try:
        return model.load_state_dict(state, strict)
    except ValueError as error:
        raise ValueError(f"load: {path}: {error}") from error
