"""save, load: a model's arrays in a safetensors file."""

import os
from pathlib import Path

import numpy as np

from minirnn.module import Incompatible, Module
from minirnn.whole_file import write_whole

__all__ = ["load", "save"]


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
