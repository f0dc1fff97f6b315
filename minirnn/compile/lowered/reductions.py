"""Sums and other reductions over axes, and what is made of them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import const, make
from minirnn.compile.lowered import Lowered, as_node
from minirnn.compile.lowered.layout import axes_of, reshaped, squeeze

__all__ = ["log_softmax", "logsumexp", "mean", "norm", "reduction", "softmax", "total", "var"]


def reduction(op: str) -> Callable[..., Lowered]:
    def lowered(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Lowered:
        x = as_node(x)
        if x.dtype.kind == "b":
            x = make("cast", x, attrs=(np.dtype(np.int64),))
        axes = axes_of(x, axis)
        gone = tuple(sorted(k for k in axes if x.shape[k] != 1))
        y = make(op, x, attrs=gone) if gone else x
        kept = [1 if k in axes else dim for k, dim in enumerate(x.shape) if keepdims or k not in axes]
        return reshaped(y, kept)

    return lowered


total = reduction("sum")


def mean(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Lowered:
    x = as_node(x)
    count = float(math.prod([x.shape[k] for k in axes_of(x, axis)]))
    return make("div", total(x, axis, keepdims=keepdims), const(count))


def var(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False) -> Lowered:
    x = as_node(x)
    centred = make("sub", x, mean(x, axis, keepdims=True))
    count = float(math.prod([x.shape[k] for k in axes_of(x, axis)])) - ddof
    return make("div", total(make("mul", centred, centred), axis, keepdims=keepdims), const(count))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Lowered:
    """The norm of vectors, and of matrices without `ord`."""
    x = as_node(x)
    matrix = len(x.shape) == 2 if axis is None else np.ndim(axis) > 0
    if ord not in (None, 1, 2, math.inf) or (ord is not None and (matrix or (axis is None and len(x.shape) != 1))):
        raise CannotCompile(f"norm of the kind {ord}")
    if ord in (None, 2):
        return make("sqrt", total(make("mul", x, x), axis, keepdims=keepdims))
    return reduction("sum" if ord == 1 else "amax")(make("abs", x), axis, keepdims=keepdims)


def logsumexp(x: Any, axis: int = -1, keepdims: bool = False) -> Lowered:
    x = as_node(x)
    top = reduction("amax")(x, axis, keepdims=True)
    top = make("where", make("isfinite", top), top, const(0.0))
    y = make("add", top, make("log", total(make("exp", make("sub", x, top)), axis, keepdims=True)))
    return y if keepdims else squeeze(y, axis)


def log_softmax(x: Any, axis: int = -1) -> Lowered:
    x = as_node(x)
    return make("sub", x, logsumexp(x, axis, keepdims=True))


def softmax(x: Any, axis: int = -1) -> Lowered:
    return make("exp", log_softmax(x, axis))
