"""ONNX's operations by name: what stands around the recurrent layers of a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp

from minirnn import functional
from minirnn.interop.onnx import arrangement as arrange
from minirnn.interop.onnx import contractions as contract
from minirnn.interop.onnx import elementwise as element

__all__ = ["OPERATIONS", "Operation", "Tensor", "check", "compute"]

Attributes = Mapping[str, Any]


class Tensor(NamedTuple):
    """An attribute that is an array; a Module's attributes hold none."""

    dtype: Any
    shape: tuple[int, ...]
    content: bytes

    @classmethod
    def of(cls, array: Any) -> "Tensor":
        return cls(array.dtype, array.shape, array.tobytes())

    def array(self) -> Any:
        return onp.frombuffer(self.content, self.dtype).reshape(self.shape)


class Operation(NamedTuple):
    """compute(attributes, *inputs) -> the result, or a list of several; allowed: the attributes that it knows, each
    with a test of its value."""

    compute: Callable[..., Any]
    allowed: Mapping[str, Callable[[Any], bool]] = {}


def anything(value: Any) -> bool:
    return True


def only(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _plain(function: Callable[..., Any]) -> Operation:
    return Operation(lambda attributes, *inputs: function(*inputs))


def _with(compute: Callable[..., Any], *names: str, **tests: Callable[[Any], bool]) -> Operation:
    return Operation(compute, {**dict.fromkeys(names, anything), **tests})


def _reduced(function: Callable[..., Any]) -> Operation:
    return _with(contract.reduction(function), "axes", "keepdims", "noop_with_empty_axes")


_CONSTANTS = {"value_float": onp.float32, "value_floats": onp.float32, "value_int": onp.int64, "value_ints": onp.int64}


def _constant(attributes: Attributes) -> Any:
    ((name, value),) = attributes.items()
    return value.array() if isinstance(value, Tensor) else onp.asarray(value, _CONSTANTS[name])


OPERATIONS: dict[str, Operation] = {
    **{name: _plain(function) for name, function in element.ELEMENTWISE.items()},
    "Mod": _with(element.modulo, "fmod"),
    "Clip": _with(element.clip, "min", "max"),
    "IsInf": _with(element.is_infinite, "detect_positive", "detect_negative"),
    "Dropout": _with(element.dropout, "seed", "ratio"),
    "Cast": _with(element.casted, to=only(*element.TO), saturate=only(1), round_mode=only("up")),
    "Range": _with(element.range_, stash_type=only(1)),
    "MatMul": _plain(lambda a, b: a @ b),
    "Gemm": _with(contract.gemm, "alpha", "beta", "transA", "transB"),
    "Einsum": _with(contract.einsum, "equation"),
    "Conv": _with(
        contract.convolved,
        *("pads", "group", "strides", "dilations", "kernel_shape"),
        auto_pad=only("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"),
    ),
    "Transpose": _with(lambda attributes, x: np.transpose(x, attributes.get("perm")), "perm"),
    "Reshape": _with(arrange.reshaped, "allowzero"),
    "Squeeze": _with(arrange.squeezed, "axes"),
    "Unsqueeze": _with(arrange.unsqueezed, "axes"),
    "Flatten": _with(arrange.flattened, "axis"),
    "Concat": _with(arrange.concatenated, "axis"),
    "Split": _with(arrange.split, "axis", "split", "num_outputs"),
    "Slice": _with(arrange.sliced, "starts", "ends", "axes"),
    "Gather": _with(arrange.gathered, "axis"),
    "GatherND": _with(arrange.gathered_nd, "batch_dims"),
    "ReverseSequence": _with(arrange.reversed_sequences, time_axis=only(0, 1), batch_axis=only(0, 1)),
    "Expand": Operation(arrange.expanded),
    "Shape": _with(arrange.shape, "start", "end"),
    "Constant": _with(_constant, "value", *_CONSTANTS),
    "ConstantOfShape": _with(arrange.constant_of_shape, "value"),
    "ReduceSum": _reduced(np.sum),
    "ReduceMean": _reduced(contract.mean),
    "ReduceMax": _reduced(contract.highest),
    "ReduceMin": _reduced(contract.lowest),
    "ReduceProd": _reduced(np.prod),
    "LayerNormalization": _with(contract.normalised, "axis", "epsilon", stash_type=only(1, 10, 11, 16)),
    "Softmax": _with(contract.softmax(functional.softmax), "axis"),
    "LogSoftmax": _with(contract.softmax(functional.log_softmax), "axis"),
    "Hardmax": _with(contract.softmax(contract.hardmax), "axis"),
}


def check(name: str, kind: str, attributes: Attributes) -> None:
    """ValueError: an operation or an attribute that is not known; names the node."""
    if kind not in OPERATIONS:
        raise ValueError(f"from_onnx: node {name}: the operation {kind} is not supported")
    allowed = OPERATIONS[kind].allowed
    for attribute, value in attributes.items():
        if attribute not in allowed or not allowed[attribute](value):
            raise ValueError(f"from_onnx: node {name}: attribute {attribute}={value!r} of {kind} is not supported")


def compute(kind: str, attributes: Attributes, inputs: Sequence[Any]) -> list[Any]:
    """The node's results."""
    found = OPERATIONS[kind].compute(attributes, *inputs)
    return found if isinstance(found, list) else [found]
