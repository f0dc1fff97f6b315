"""The arrays of an ONNX file, also those that stand in other files beside it (external data)."""

import math
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from minirnn.interop.onnx.graph import onnx_module
from minirnn.module import Array

__all__ = ["array_of"]

_BITS = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}  # more than one to a byte


def array_of(tensor: Any, folder: Path) -> Array:
    """A TensorProto as an array of its own; what it says of other files is meant from `folder`, the model's.

    FileNotFoundError: its file is not there. ValueError: its file is outside the folder or too short, or there are
    more or fewer numbers than its shape says.
    """
    onnx = onnx_module()
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        content = _content(onnx, tensor, folder)
        tensor = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=content)
    try:
        array: Array = onnx.numpy_helper.to_array(tensor).copy()
    except Exception as error:  # onnx's kinds differ from version to version
        raise ValueError(f"the array {tensor.name} cannot be read: {error}") from error
    return array


def _content(onnx: Any, tensor: Any, folder: Path) -> bytes:
    said = {one.key: one.value for one in tensor.external_data}
    path = _inside(folder, said.get("location", ""), tensor.name)
    wanted = _bytes(onnx, tensor)
    try:
        offset, length = int(said.get("offset", 0)), int(said.get("length", wanted))
    except ValueError as error:
        raise ValueError(f"the array {tensor.name}: expected integers as offset and length, got {said}") from error
    if offset < 0 or length != wanted:
        raise ValueError(
            f"the array {tensor.name}: expected {wanted} bytes for its shape {list(tensor.dims)}, "
            f"got length {length} at offset {offset}"
        )
    with open(path, "rb") as file:
        file.seek(offset)
        content = file.read(wanted)
    if len(content) < wanted:
        raise ValueError(
            f"the array {tensor.name}: expected {wanted} bytes at offset {offset} of {path}, got {len(content)}; "
            "the file is too short"
        )
    return content


def _bytes(onnx: Any, tensor: Any) -> int:
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    if kind in ("STRING", "UNDEFINED"):
        raise ValueError(f"the array {tensor.name}: expected numbers in a file beside the model, got {kind}")
    bits = _BITS.get(kind) or 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return -(-math.prod(tensor.dims) * bits // 8)


def _inside(folder: Path, location: str, name: str) -> Path:
    """The file, which has to lie in the model's folder or below it, whatever links lead there."""
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).drive
    path = folder / location
    if not location or "\0" in location or absolute or not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the array {name}: expected a file in the model's folder, got {location!r}")
    if not path.exists():
        raise FileNotFoundError(f"the array {name}: {path} is not there; it belongs beside the model")
    if not path.is_file():
        raise ValueError(f"the array {name}: expected a file, got {path}")
    return path
