"""ONNX's operations that go element by element, computed with autograd.numpy."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import functional
from minirnn.boxes import dtype_of, shape_of, unboxed
from minirnn.primitive import primitive

__all__ = ["ELEMENTWISE", "TO", "cast", "casted", "clip", "divided", "dropout", "is_infinite", "modulo", "range_"]

Attributes = Mapping[str, Any]


def _is_integer(x: Any) -> bool:
    return dtype_of(x).kind in "iu"


# ---------------------------------------------------------------- dtypes
# What Cast makes: ONNX's numbers for FLOAT, UINT8, INT8, UINT16, INT16, INT32, INT64, BOOL, FLOAT16, DOUBLE, UINT32,
# UINT64, BFLOAT16, UINT4, INT4, FLOAT4E2M1, UINT2, INT2; text and floats of 8 bits it does not.
TO = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 21, 22, 23, 25, 26)

_cast: Callable[..., Any] = primitive(
    lambda x, dtype: x.astype(dtype),
    [lambda g, y, x, dtype: _cast(g, dtype_of(x))],
    [lambda t, y, x, dtype: _cast(t, dtype)],
)


def cast(x: Any, dtype: Any) -> Any:
    """x in another dtype; the derivative passes between floats, and what becomes an integer or a flag has none."""
    if dtype_of(x) == dtype:
        return x
    return onp.asarray(unboxed(x)).astype(dtype) if onp.dtype(dtype).kind in "iub" else _cast(x, dtype)


def casted(attributes: Attributes, x: Any) -> Any:
    from onnx.helper import tensor_dtype_to_np_dtype

    return cast(x, tensor_dtype_to_np_dtype(attributes["to"]))


# ---------------------------------------------------------------- arithmetic
def divided(a: Any, b: Any) -> Any:
    """a / b; integers are cut towards zero and never become floats, which hold no more than 53 bits."""
    if not _is_integer(a):
        return a / b
    down = a // b
    return down + ((a % b != 0) & ((a < 0) != (b < 0)))


_fmod: Callable[..., Any] = primitive(onp.fmod, [lambda g, y, a, b: g, lambda g, y, a, b: -g * np.trunc(a / b)])


def modulo(attributes: Attributes, a: Any, b: Any) -> Any:
    if not attributes.get("fmod"):
        with onp.errstate(invalid="ignore"):  # x % 0 and inf % x are nan, as elsewhere
            return a % b  # the divisor's sign
    a, b = a + onp.zeros_like(unboxed(b)), b + onp.zeros_like(unboxed(a))  # as broadcast, for the derivative
    return _fmod(a, b)


def _power(x: Any, y: Any) -> Any:
    """x's dtype, whatever y's is."""
    if not _is_integer(x):
        return x ** cast(y, dtype_of(x))
    if not _is_integer(y):
        return cast(x.astype(onp.float64) ** y, dtype_of(x))
    small = onp.where(onp.abs(x) == 1, x ** (y % 2), 0)  # a negative power, cut towards zero
    power = x.astype(onp.int64) ** onp.where(y < 0, 0, y).astype(onp.int64)  # whole powers, exactly
    return onp.where(y < 0, small, power).astype(x.dtype)


def range_(attributes: Attributes, start: Any, limit: Any, delta: Any) -> Any:
    """Of the inputs' dtype; integers are counted as such, narrow floats in float32."""
    dtype = dtype_of(start)
    start, limit, delta = (onp.asarray(unboxed(one)).reshape(()) for one in (start, limit, delta))
    if delta == 0:
        raise ValueError("expected a delta other than 0")
    if dtype.kind in "iu":
        return onp.array(range(int(start), int(limit), int(delta)), dtype)
    wide = onp.float64 if dtype == onp.float64 else onp.float32
    count = max(int(onp.ceil((float(limit) - float(start)) / float(delta))), 0)
    return (start.astype(wide) + onp.arange(count).astype(wide) * delta.astype(wide)).astype(dtype)


def clip(attributes: Attributes, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = (attributes.get(name) if one is None else one for name, one in (("min", low), ("max", high)))
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def is_infinite(attributes: Attributes, x: Any) -> Any:
    up, down = attributes.get("detect_positive", 1), attributes.get("detect_negative", 1)
    x = onp.asarray(unboxed(x))
    return (bool(up) & (x == onp.inf)) | (bool(down) & (x == -onp.inf))


def dropout(attributes: Attributes, x: Any, ratio: Any = None, training: Any = None) -> list[Any]:
    """Nothing is dropped: the Module is called without noise."""
    if training is not None and onp.any(training) and (ratio is None or onp.any(onp.asarray(unboxed(ratio)) != 0)):
        raise ValueError("training_mode is not supported; expected False, or a ratio of 0")
    return [x, onp.ones(shape_of(x), dtype_of(x) if attributes.get("mask of the input's dtype") else bool)]


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": divided,
    "Pow": _power,
    "Max": lambda *xs: reduce(np.maximum, xs),
    "Min": lambda *xs: reduce(np.minimum, xs),
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
    "Not": onp.logical_not,
    "IsNaN": lambda x: x != x,
    "Identity": lambda x: x,
}
