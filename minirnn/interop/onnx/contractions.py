"""ONNX's operations that sum: reductions, products, normalisations, convolutions."""

from collections.abc import Callable, Mapping
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn.boxes import dtype_of, shape_of, unboxed
from minirnn.interop.onnx.arrangement import axes_of, axis_of
from minirnn.interop.onnx.elementwise import cast, divided
from minirnn.layers.cells.convolution import convolve

__all__ = ["convolved", "einsum", "gemm", "hardmax", "highest", "lowest", "mean", "normalised", "reduction", "softmax"]

Attributes = Mapping[str, Any]


# ---------------------------------------------------------------- reductions
def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Over the axes that are named, over all where none are: ONNX's "no axes" is not NumPy's. x's dtype is kept."""

    def compute(attributes: Attributes, x: Any, axes: Any = None) -> Any:
        given = axes_of(attributes, axes, len(shape_of(x)))
        if not given and attributes.get("noop_with_empty_axes"):
            return x
        kept = bool(attributes.get("keepdims", 1))
        return cast(function(x, axis=tuple(given) if given else None, keepdims=kept), dtype_of(x))

    return compute


def mean(x: Any, axis: Any, keepdims: bool) -> Any:
    """Of integers: the sum divided, cut towards zero, and no floats between."""
    if dtype_of(x).kind not in "iu":
        return np.mean(x, axis=axis, keepdims=keepdims)
    total = onp.sum(x, axis=axis, keepdims=keepdims)
    return divided(total, onp.asarray(x.size // max(total.size, 1), total.dtype))


def highest(x: Any, axis: Any, keepdims: bool) -> Any:
    return _extreme(np.max, -1, x, axis, keepdims)


def lowest(x: Any, axis: Any, keepdims: bool) -> Any:
    return _extreme(np.min, 1, x, axis, keepdims)


def _extreme(function: Callable[..., Any], sign: int, x: Any, axis: Any, keepdims: bool) -> Any:
    """Of nothing: infinity, or the end of the dtype's range."""
    if 0 not in shape_of(x):
        return function(x, axis=axis, keepdims=keepdims)
    dtype = dtype_of(x)
    if dtype.kind in "iu":
        nothing: Any = onp.iinfo(dtype).max if sign > 0 else onp.iinfo(dtype).min
    else:
        nothing = sign > 0 if dtype.kind == "b" else sign * onp.inf
    return onp.full(onp.sum(unboxed(x), axis=axis, keepdims=keepdims).shape, nothing, dtype)


# ---------------------------------------------------------------- products
def gemm(attributes: Attributes, a: Any, b: Any, c: Any = None) -> Any:
    a = np.swapaxes(a, 0, 1) if attributes.get("transA") else a
    y = a @ (np.swapaxes(b, 0, 1) if attributes.get("transB") else b)
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    y = y if alpha == 1.0 else cast(y * alpha, dtype_of(y))
    return y if c is None else y + (c if beta == 1.0 else cast(c * beta, dtype_of(c)))


def einsum(attributes: Attributes, *xs: Any) -> Any:
    """bfloat16, of which NumPy's has no notion, in float32."""
    dtype = dtype_of(xs[0])
    wide = xs if dtype.kind in "fiu" else [cast(x, onp.float32) for x in xs]
    return cast(np.einsum(attributes["equation"], *wide), dtype)


# ---------------------------------------------------------------- normalisations
def normalised(attributes: Attributes, x: Any, scale: Any, bias: Any = None) -> list[Any]:
    """LayerNormalization: y, the mean and 1 / the deviation, both at least as wide as stash_type says."""
    from onnx.helper import tensor_dtype_to_np_dtype

    rank = len(shape_of(x))
    axes = tuple(range(axis_of(attributes.get("axis", -1), rank), rank))
    stash = onp.dtype(tensor_dtype_to_np_dtype(attributes.get("stash_type", 1)))
    wide = cast(x, onp.promote_types(dtype_of(x), stash))
    average = np.mean(wide, axis=axes, keepdims=True)
    centred = wide - average
    deviation = np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + float(attributes.get("epsilon", 1e-5)))
    y = cast(centred / deviation, dtype_of(x)) * scale
    return [y if bias is None else y + bias, cast(average, stash), cast(1.0 / deviation, stash)]


def softmax(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (x, axis), along an axis, or before opset 13 along all from that axis on."""

    def compute(attributes: Attributes, x: Any) -> Any:
        whole = shape_of(x)
        axis = axis_of(attributes.get("axis", -1), len(whole))
        if 0 in whole:
            return x
        if not attributes.get("along all from the axis on"):
            return function(x, axis)
        rows = int(onp.prod(whole[:axis], dtype=onp.int64))
        return np.reshape(function(np.reshape(x, (rows, -1)), -1), whole)

    return compute


def hardmax(x: Any, axis: int) -> Any:
    """1 at the first of the largest, 0 elsewhere."""
    x = onp.asarray(unboxed(x))
    places = onp.expand_dims(onp.argmax(x, axis), axis)
    counted = onp.arange(x.shape[axis]).reshape([-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])
    return (counted == places).astype(x.dtype)


# ---------------------------------------------------------------- convolutions
def convolved(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    """x (B, C, ...), weight (M, C / group, ...) -> (B, M, ...), a product of matrices for each place of the window."""
    window, groups = shape_of(weight)[2:], attributes.get("group", 1)
    ones = [1] * len(window)
    if list(attributes.get("kernel_shape", window)) != list(window):
        raise ValueError(f"expected kernel_shape {list(window)}, as the weight, got {attributes['kernel_shape']}")
    strides, apart = attributes.get("strides", ones), attributes.get("dilations", ones)
    reach = [(k - 1) * d + 1 for k, d in zip(window, apart, strict=True)]
    before, after = _pads(attributes, shape_of(x)[2:], reach, strides)
    edge = window[0] // 2
    same = len(window) == 2 and window == (2 * edge + 1,) * 2 and before == after == [edge] * 2
    if same and groups == 1 and list(strides) == list(apart) == ones:
        y = convolve(x, weight)
    else:
        x = np.pad(x, [(0, 0), (0, 0), *zip(before, after, strict=True)], "constant")
        y = _summed(x, weight, groups, strides, apart, reach)
    return y if bias is None else y + np.reshape(bias, (-1, *ones))


def _pads(attributes: Attributes, sizes: Any, reach: Any, strides: Any) -> tuple[list[int], list[int]]:
    """Zeros before and after each axis."""
    kind = attributes.get("auto_pad", "NOTSET")
    if kind in ("NOTSET", "VALID"):
        pads = list(attributes.get("pads", [0] * 2 * len(reach))) if kind == "NOTSET" else [0] * 2 * len(reach)
        return pads[: len(reach)], pads[len(reach) :]
    missing = [max((-(-n // s) - 1) * s + r - n, 0) for n, r, s in zip(sizes, reach, strides, strict=True)]
    less, more = [m // 2 for m in missing], [m - m // 2 for m in missing]
    return (less, more) if kind == "SAME_UPPER" else (more, less)


def _summed(x: Any, weight: Any, groups: int, strides: Any, apart: Any, reach: Any) -> Any:
    batch, channels, *sizes = shape_of(x)
    out = [(n - r) // s + 1 for n, r, s in zip(sizes, reach, strides, strict=True)]
    made, per_group, *window = shape_of(weight)
    if per_group * groups != channels or made % groups or min(out) < 1:
        raise ValueError(f"a weight {shape_of(weight)} in {groups} groups does not fit an input {shape_of(x)}")
    x = np.reshape(x, (batch, groups, per_group, *sizes))
    weight = np.reshape(weight, (groups, made // groups, per_group, *window))
    y: Any = 0.0
    for place in onp.ndindex(*window):
        begins = [k * d for k, d in zip(place, apart, strict=True)]
        parts = [slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(begins, out, strides, strict=True)]
        y = y + np.einsum("bgc...,gmc->bgm...", x[(..., *parts)], weight[(..., *place)])
    return np.reshape(y, (batch, made, *out))
