"""save, load: a model's arrays in a safetensors file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.module import Array, Incompatible, Module
from minirnn.whole_file import write_whole

__all__ = ["load", "save"]

_DTYPES = {
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "BOOL": "?", "BF16": "<u2"},
}
"""safetensors' dtype -> NumPy's; of bfloat16, which NumPy has not, the bits."""


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

    float16 and bfloat16 arrays are widened to the model's float dtype, which changes no value. Returns what
    `load_state_dict` returns. FileNotFoundError: no such file. ValueError: the file is no safetensors file, is cut
    short, holds dtypes that NumPy has not, or its names, shapes or dtypes are not the model's.
    """
    from safetensors import SafetensorError, deserialize

    content = Path(path).read_bytes()
    try:
        found = dict(deserialize(content))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"load: {path} is no safetensors file, or is damaged ({error})") from error
    unread = [f"{name}: {one['dtype']}" for name, one in found.items() if one["dtype"] not in _DTYPES]
    if unread:
        raise ValueError(
            f"load: {path} holds arrays of dtypes that NumPy has not ({', '.join(unread)}); {', '.join(_DTYPES)} were "
            "expected: convert them first, as tensor.float() does in PyTorch"
        )
    mine = model.state_dict()
    state = {name: _widened(_array(one), one["dtype"], mine.get(name)) for name, one in found.items()}
    try:
        return model.load_state_dict(state, strict)
    except ValueError as error:
        raise ValueError(f"load: {path}: {error}") from error


def _array(described: Mapping[str, Any]) -> Array:
    flat = np.frombuffer(described["data"], _DTYPES[described["dtype"]])
    if described["dtype"] == "BF16":  # the upper half of a float32
        flat = (flat.astype("<u4") << 16).view("<f4")
    return flat.reshape(described["shape"])


def _widened(value: Array, kind: str, target: Array | None) -> Array:
    """An array of half precision in the model's own float dtype, which holds all its values."""
    wider = target is not None and target.dtype.kind == "f" and target.dtype.itemsize >= 4
    return value.astype(target.dtype) if kind in ("F16", "BF16") and wider and target is not None else value
