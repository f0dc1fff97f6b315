"""A checkpoint: nested dicts and lists of numbers, strings and arrays, in one file. No pickle.

The file is a safetensors file. Its arrays are the state's arrays; its metadata holds the rest as JSON, with
{"$array": name} where an array stands, and a checksum of the JSON and of every array. One file, so one rename makes a
checkpoint appear whole or not at all.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.module import Array
from minirnn.whole_file import write_whole

__all__ = ["CheckpointError", "read_checkpoint", "write_checkpoint"]

FORMAT, VERSION = "minirnn checkpoint", 1
_ARRAY = "$array"
_DEEPEST = 50  # nestings; a state has about five


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or does not belong to what it is loaded into."""


def write_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state: dicts and lists of numbers, strings, None and arrays. Keys are strings; tuples become lists.

    The file appears whole or not at all. TypeError, ValueError: something else in the state, or a number that is not
    finite, named by its path. OSError: the file cannot be written; what was there before still is.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save as to_bytes

    arrays: dict[str, Array] = {}
    tree = _taken_apart(state, "", arrays)
    body = {"version": VERSION, "state": tree, "checksums": {name: _checksum(a) for name, a in arrays.items()}}
    described = json.dumps(body, allow_nan=False)
    metadata = {"format": FORMAT, "checkpoint": described, "checksum": _digest(described.encode())}
    try:
        content = to_bytes(arrays, metadata)
    except (SafetensorError, KeyError) as error:
        raise TypeError(f"a checkpoint cannot hold an array of this dtype: {error}") from error
    write_whole(path, content)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `write_checkpoint` wrote, every array compared with its checksum.

    FileNotFoundError, OSError: there is no such file, or it cannot be read. CheckpointError: one line that names the
    file and what is wrong with it.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        return _read(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _read(content: bytes) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        arrays = from_bytes(content)  # checks the header's size, names, dtypes, shapes and offsets
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise CheckpointError(f"no checkpoint, or a damaged one (no safetensors file: {error})") from None
    metadata = header.get("__metadata__") or {}
    if metadata.get("format") != FORMAT:
        came = metadata.get("format")
        raise CheckpointError(f"no checkpoint: its format is {came!r}, {FORMAT!r} was expected")
    described = metadata.get("checkpoint", "")
    if metadata.get("checksum") != _digest(described.encode("utf-8", "surrogatepass")):
        raise CheckpointError("damaged: its description does not have its checksum")
    try:
        body = json.loads(described, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"damaged: its description is no JSON ({error})") from None
    if not isinstance(body, dict) or body.get("version") != VERSION:
        came = body.get("version") if isinstance(body, dict) else type(body).__name__
        raise CheckpointError(f"version {came!r} came, {VERSION} was expected: written by another minirnn")
    state, checksums = body.get("state"), body.get("checksums")
    if not isinstance(state, dict) or not isinstance(checksums, dict):
        raise CheckpointError("damaged: it holds no state or no checksums")
    if set(checksums) != set(arrays):
        odd = sorted(set(checksums) ^ set(arrays))[0]
        raise CheckpointError(f"damaged: array {odd!r} is in the file or in the list of checksums, not in both")
    for name, array in arrays.items():
        if checksums[name] != _checksum(array):
            raise CheckpointError(f"damaged: array {name!r} does not have its checksum")
    unused = set(arrays)
    whole: dict[str, Any] = _put_together(state, arrays, unused, 0)
    if unused:
        raise CheckpointError(f"damaged: array {min(unused)!r} has no place in the state")
    return whole


# ---------------------------------------------------------------- the tree and its arrays
def _taken_apart(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    """The JSON of a value; its arrays go to `arrays` under their paths."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _ARRAY:
                raise TypeError(f"a checkpoint cannot hold the key {key!r} at {path or 'its top'}; keys are strings")
        return {key: _taken_apart(child, _below(path, key), arrays) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_taken_apart(child, _below(path, str(i)), arrays) for i, child in enumerate(value)]
    if isinstance(value, (np.ndarray, np.generic)):
        name = path
        while name in arrays:  # {"a.b": x} beside {"a": {"b": y}}
            name += "'"
        arrays[name] = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        return {_ARRAY: name}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a checkpoint cannot hold {value} at {path}; a finite number was expected")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold the {type(value).__name__} at {path or 'its top'}")


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _put_together(value: Any, arrays: Mapping[str, Array], unused: set[str], depth: int) -> Any:
    if depth > _DEEPEST:
        raise CheckpointError(f"damaged: its state is nested deeper than {_DEEPEST} levels")
    if isinstance(value, list):
        return [_put_together(child, arrays, unused, depth + 1) for child in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY not in value:
        return {key: _put_together(child, arrays, unused, depth + 1) for key, child in value.items()}
    name = value[_ARRAY]
    if len(value) != 1 or not isinstance(name, str) or name not in unused:
        raise CheckpointError(f"damaged: its state refers to an array {str(name)[:80]!r} that is not there, or twice")
    unused.remove(name)
    return arrays[name]


# ---------------------------------------------------------------- checks
def _checksum(array: Array) -> str:
    return _digest(f"{array.dtype.str} {array.shape} ".encode(), np.ascontiguousarray(array).tobytes())


def _digest(*parts: bytes) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no finite number")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse_constant(digits)


def required(state: Mapping[str, Any], **kinds: type | tuple[type, ...]) -> Iterator[Any]:
    """The named entries of a state, each of its kind (a bool is no int). CheckpointError: missing, or another kind."""
    for name, kind in kinds.items():
        value = state.get(name)
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if name not in state or not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            words = " or ".join(k.__name__ for k in allowed)
            came = repr(value)[:60] if name in state else "nothing"
            raise CheckpointError(f"its entry {name!r} is {came}, {words} was expected")
        yield value
