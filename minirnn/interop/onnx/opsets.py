"""What an operation means in the opset of its file, said as the newest says it."""

from collections.abc import Iterable, Mapping
from typing import Any

from minirnn.interop.onnx.graph import onnx_module

__all__ = ["NEWEST", "opset_of", "read_as"]

# The last version of ONNX's own operations that somebody has looked at.
NEWEST = 28
# The first version in which an operation is what it is here. Before 7 most broadcast in another way, and RNN, LSTM and
# GRU are others; Scan had its batch in front.
_FIRST = {"Scan": 9}


def opset_of(imports: Iterable[Any]) -> int:
    """The opset that a model imports. ValueError: none, or one that is newer than all that are known."""
    version = next((int(one.version) for one in imports if one.domain in ("", "ai.onnx")), 0)
    if not 1 <= version <= NEWEST:
        raise ValueError(
            f"expected a model of opset 7 to {NEWEST}, got {version or 'none'}; "
            "export it again, or convert it with onnx.version_converter"
        )
    return version


def read_as(kind: str, attributes: Mapping[str, Any], opset: int, results: int) -> dict[str, Any]:
    """The attributes of a node of this opset as `evaluate` takes them. ValueError: the operation is another one in that
    opset.

    Axes, parts, bounds and the like are inputs in newer opsets and attributes in older ones, where the names are the
    same; `evaluate` takes either.
    """
    first = _FIRST.get(kind, 7)
    if opset < first and _defined(kind, opset) != _defined(kind, first):
        raise ValueError(f"{kind} of opset {opset} is not supported; expected opset {first} to {NEWEST}")
    read = dict(attributes)
    if kind in ("Softmax", "LogSoftmax", "Hardmax") and opset < 13:
        read = {"axis": 1, **read, "along all from the axis on": True}
    if kind == "Dropout" and opset < 10:
        read["mask of the input's dtype"] = True
    if kind == "Split":
        read["number of results"] = results
    return read


def _defined(kind: str, opset: int) -> int:
    """The opset that defined the operation which this one has."""
    return int(onnx_module().defs.get_schema(kind, opset).since_version)
