"""ONNX's operations, computed with autograd.numpy: what stands around the recurrent layers of a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp

from minirnn import functional
from minirnn.boxes import dtype_of, shape_of
from minirnn.layers.cells.convolution import convolve
from minirnn.layers.lengths import reversed_within

__all__ = ["OPERATIONS", "Operation", "Tensor", "check", "compute"]

Attributes = Mapping[str, Any]


class Tensor(NamedTuple):
    """An attribute that is an array; a Module's attributes hold none."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes

    @classmethod
    def of(cls, array: Any) -> "Tensor":
        return cls(array.dtype.str, array.shape, array.tobytes())

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


def _ints(given: Any) -> list[int]:
    return [int(one) for one in onp.atleast_1d(onp.asarray(given))]


def _axes(attributes: Attributes, axes: Any) -> list[int] | None:
    """Axes as an input, as since opset 13 or 18, or as an attribute, as before."""
    given = attributes.get("axes") if axes is None else axes
    return None if given is None else _ints(given)


def _gemm(attributes: Attributes, a: Any, b: Any, c: Any = None) -> Any:
    a = np.swapaxes(a, 0, 1) if attributes.get("transA") else a
    y = a @ (np.swapaxes(b, 0, 1) if attributes.get("transB") else b)
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    y = y if alpha == 1.0 else y * alpha
    return y if c is None else y + (c if beta == 1.0 else c * beta)


def _reshape(attributes: Attributes, x: Any, shape: Any) -> Any:
    new = _ints(shape)
    if not attributes.get("allowzero"):
        new = [shape_of(x)[k] if size == 0 else size for k, size in enumerate(new)]
    return np.reshape(x, new)


def _squeeze(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    given = _axes(attributes, axes)
    return np.squeeze(x, None if given is None else tuple(given))


def _unsqueeze(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    given = _axes(attributes, axes) or []
    rank = len(shape_of(x)) + len(given)
    for axis in sorted(axis % rank for axis in given):
        x = np.expand_dims(x, axis)
    return x


def _slice(
    attributes: Attributes, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Any:
    starts, ends = (attributes.get(n) if v is None else v for n, v in (("starts", starts), ("ends", ends)))
    first, last = _ints(starts), _ints(ends)
    where = _axes(attributes, axes) or list(range(len(first)))
    step = [1] * len(first) if steps is None else _ints(steps)
    index: list[Any] = [slice(None)] * len(shape_of(x))
    for axis, a, b, s in zip(where, first, last, step, strict=True):
        size = shape_of(x)[axis]
        index[axis] = slice(a, None if s < 0 and b < -size else b, s)
    return x[tuple(index)]


def _gather(attributes: Attributes, x: Any, indices: Any) -> Any:
    axis = attributes.get("axis", 0)
    indices = onp.asarray(indices)
    if axis == 0 and dtype_of(x).kind == "f" and len(shape_of(x)) == 2 and indices.ndim:
        return functional.embedding(x, onp.where(indices < 0, indices + shape_of(x)[0], indices))
    axis = axis % len(shape_of(x))
    return x[(*[slice(None)] * axis, int(indices) if indices.ndim == 0 else indices)]


def _gather_nd(attributes: Attributes, x: Any, indices: Any) -> Any:
    return x[onp.arange(len(indices)), onp.asarray(indices)[:, 0]]


def _shape(attributes: Attributes, x: Any) -> Any:
    return onp.array(shape_of(x)[slice(attributes.get("start", 0), attributes.get("end"))], onp.int64)


def _cast(attributes: Attributes, x: Any) -> Any:
    from onnx.helper import tensor_dtype_to_np_dtype

    dtype = tensor_dtype_to_np_dtype(attributes["to"])
    return x if dtype_of(x) == dtype else x.astype(dtype)


def _constant(attributes: Attributes) -> Any:
    ((name, value),) = attributes.items()
    return value.array() if isinstance(value, Tensor) else onp.asarray(value, onp.float32 if "float" in name else None)


def _constant_of_shape(attributes: Attributes, shape: Any) -> Any:
    value = attributes["value"].array().ravel() if "value" in attributes else onp.zeros(1, onp.float32)
    return onp.full(_ints(shape), value[0], value.dtype)


def _expand(attributes: Attributes, x: Any, shape: Any) -> Any:
    whole = onp.broadcast_shapes(shape_of(x), tuple(_ints(shape)))
    dtype = dtype_of(x)
    return onp.broadcast_to(x, whole) if dtype.kind != "f" else x + onp.zeros(whole, dtype)


def _reduction(function: Callable[..., Any]) -> Operation:
    def compute(attributes: Attributes, x: Any, axes: Any = None) -> Any:
        given = _axes(attributes, axes)
        keep = bool(attributes.get("keepdims", 1))
        if given is None and attributes.get("noop_with_empty_axes"):
            return x
        return function(x, axis=None if given is None else tuple(given), keepdims=keep)

    return Operation(compute, {"axes": anything, "keepdims": anything, "noop_with_empty_axes": anything})


def _split(attributes: Attributes, x: Any, sizes: Any = None) -> Any:
    axis = attributes.get("axis", 0)
    sizes = attributes.get("split") if sizes is None else sizes
    if sizes is None:
        count = attributes["num_outputs"]
        return list(np.split(x, count, axis))
    return list(np.split(x, onp.cumsum(_ints(sizes))[:-1].tolist(), axis))


def _layer_norm(attributes: Attributes, x: Any, scale: Any, bias: Any = None) -> Any:
    axis = attributes.get("axis", -1)
    axes = tuple(range(axis % len(shape_of(x)), len(shape_of(x))))
    centred = x - np.mean(x, axis=axes, keepdims=True)
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    y = centred / np.sqrt(variance + float(attributes.get("epsilon", 1e-5))) * scale
    return y if bias is None else y + bias


def _conv(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    edge = shape_of(weight)[-1] // 2
    if list(attributes.get("pads", [0, 0, 0, 0])) != [edge] * 4:
        raise ValueError("from_onnx: Conv: pads other than half the window are not supported")
    y = convolve(x, weight)
    return y if bias is None else y + np.reshape(bias, (-1, 1, 1))


def _reverse_sequence(attributes: Attributes, x: Any, lengths: Any) -> Any:
    return reversed_within(x, onp.asarray(lengths, onp.int64))


def _mod(attributes: Attributes, a: Any, b: Any) -> Any:
    return onp.fmod(a, b) if attributes.get("fmod") else a % b


def _clip(attributes: Attributes, x: Any, low: Any = None, high: Any = None) -> Any:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _softmax(function: Callable[..., Any]) -> Operation:
    return Operation(lambda attributes, x: function(x, attributes.get("axis", -1)), {"axis": anything})


def _power(x: Any, y: Any) -> Any:
    return x ** onp.asarray(y, dtype_of(x))


def _isinf(x: Any) -> Any:
    return onp.isinf(onp.asarray(x))


def _not(x: Any) -> Any:
    return onp.logical_not(x)


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b if dtype_of(a).kind == "f" else onp.trunc(a / b).astype(dtype_of(a)),
    "Pow": _power,
    "Max": np.maximum,
    "Min": np.minimum,
    "Neg": lambda x: -x,
    "Abs": np.abs,
    "Sign": np.sign,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Tanh": functional.tanh,
    "Sigmoid": functional.sigmoid,
    "Relu": functional.relu,
    "Softplus": functional.softplus,
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Reciprocal": lambda x: 1.0 / x,
    "Sin": np.sin,
    "Cos": np.cos,
    "Tan": np.tan,
    "Asin": np.arcsin,
    "Acos": np.arccos,
    "Atan": np.arctan,
    "Sinh": np.sinh,
    "Cosh": np.cosh,
    "Where": np.where,
    "Less": lambda a, b: a < b,
    "LessOrEqual": lambda a, b: a <= b,
    "Greater": lambda a, b: a > b,
    "GreaterOrEqual": lambda a, b: a >= b,
    "Equal": lambda a, b: a == b,
    "And": onp.logical_and,
    "Or": onp.logical_or,
    "Not": _not,
    "IsNaN": lambda x: x != x,
    "IsInf": _isinf,
    "Identity": lambda x: x,
    "MatMul": lambda a, b: a @ b,
    "Range": lambda start, limit, delta: onp.arange(start, limit, delta),
}

OPERATIONS: dict[str, Operation] = {
    **{name: _plain(function) for name, function in _ELEMENTWISE.items()},
    "Mod": Operation(_mod, {"fmod": anything}),
    "Clip": _plain(lambda x, low=None, high=None: _clip({}, x, low, high)),
    "Gemm": Operation(_gemm, dict.fromkeys(("alpha", "beta", "transA", "transB"), anything)),
    "Einsum": Operation(lambda attributes, *xs: np.einsum(attributes["equation"], *xs), {"equation": anything}),
    "Conv": Operation(_conv, {"pads": anything, "group": only(1), "strides": only([1, 1]), "dilations": only([1, 1])}),
    "Transpose": Operation(lambda attributes, x: np.transpose(x, attributes.get("perm")), {"perm": anything}),
    "Reshape": Operation(_reshape, {"allowzero": anything}),
    "Squeeze": Operation(_squeeze, {"axes": anything}),
    "Unsqueeze": Operation(_unsqueeze, {"axes": anything}),
    "Flatten": Operation(
        lambda attributes, x: np.reshape(x, (int(onp.prod(shape_of(x)[: attributes.get("axis", 1)])), -1)),
        {"axis": anything},
    ),
    "Concat": Operation(lambda attributes, *xs: np.concatenate(xs, attributes["axis"]), {"axis": anything}),
    "Split": Operation(_split, dict.fromkeys(("axis", "split", "num_outputs"), anything)),
    "Slice": Operation(_slice, dict.fromkeys(("starts", "ends", "axes"), anything)),
    "Gather": Operation(_gather, {"axis": anything}),
    "GatherND": Operation(_gather_nd, {"batch_dims": only(1)}),
    "ReverseSequence": Operation(_reverse_sequence, {"time_axis": only(0), "batch_axis": only(1)}),
    "Expand": Operation(_expand),
    "Shape": Operation(_shape, {"start": anything, "end": anything}),
    "Cast": Operation(_cast, {"to": anything}),
    "Constant": Operation(
        _constant, dict.fromkeys(("value", "value_float", "value_floats", "value_int", "value_ints"), anything)
    ),
    "ConstantOfShape": Operation(_constant_of_shape, {"value": anything}),
    "ReduceSum": _reduction(np.sum),
    "ReduceMean": _reduction(np.mean),
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "LayerNormalization": Operation(_layer_norm, dict.fromkeys(("axis", "epsilon", "stash_type"), anything)),
    "Softmax": _softmax(functional.softmax),
    "LogSoftmax": _softmax(functional.log_softmax),
    "Dropout": Operation(lambda attributes, x, *rest: x, {"seed": anything, "ratio": anything}),
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
