"""Functions that are made of slices and parts side by side, and running sums and products."""

from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, const, make
from minirnn.compile.lowered import Lowered, as_node
from minirnn.compile.lowered.layout import axes_of, concatenate, part, reshaped

__all__ = ["array_split", "diag", "diff", "flipped", "pad", "repeat", "roll", "running", "tile"]


def array_split(x: Any, parts: Any, axis: int = 0) -> Lowered:
    x = as_node(x)
    size = x.shape[axis]
    if isinstance(parts, (int, np.integer)):
        each, more = divmod(size, int(parts))
        parts = list(np.cumsum([each + (k < more) for k in range(int(parts))])[:-1])
    ends = [*map(int, parts), size]
    return tuple([part(x, axis, start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)])


def flipped(axis: int) -> Any:
    return lambda x: part(as_node(x), axis, None, None, -1)


def roll(x: Any, shift: Any, axis: Any = None) -> Lowered:
    x = as_node(x)
    if axis is None:
        return reshaped(roll(reshaped(x, (int(np.prod(x.shape)),)), shift, 0), x.shape)
    for by, k in np.broadcast(shift, axis):
        size = x.shape[int(k)]
        cut = -int(by) % size if size else 0
        if cut:
            x = concatenate(int(k), part(x, int(k), cut, None), part(x, int(k), None, cut))
    return x


def tile(x: Any, reps: Any) -> Lowered:
    x, times = as_node(x), [int(r) for r in np.atleast_1d(reps)]
    count = max(len(times), len(x.shape))
    x = reshaped(x, (1,) * (count - len(x.shape)) + x.shape)
    for axis, many in enumerate([1] * (count - len(times)) + times):
        x = concatenate(axis, *[x] * many) if many else part(x, axis, 0, 0)
    return x


def repeat(x: Any, repeats: Any, axis: Any = None) -> Lowered:
    x = as_node(x)
    if not isinstance(repeats, (int, np.integer)):
        raise CannotCompile("repeat with a number for each entry")
    if axis is None:
        x, axis = reshaped(x, (int(np.prod(x.shape)),)), 0
    (axis,) = axes_of(x, axis)
    if x.shape[axis] == 1:
        return make("broadcast", x, attrs=(*x.shape[:axis], int(repeats), *x.shape[axis + 1 :]))
    new = (*x.shape[: axis + 1], int(repeats), *x.shape[axis + 1 :])
    wide = make("broadcast", reshaped(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])), attrs=new)
    return reshaped(wide, (*x.shape[:axis], x.shape[axis] * int(repeats), *x.shape[axis + 1 :]))


def pad(x: Any, width: Any, mode: Any = "constant", **options: Any) -> Lowered:
    x = as_node(x)
    if mode != "constant" or any(np.any(value) for value in options.values()):
        raise CannotCompile("pad with anything but zeros")
    widths = np.broadcast_to(width, (len(x.shape), 2)).tolist()
    shape = tuple([low + dim + high for dim, (low, high) in zip(x.shape, widths, strict=True)])
    slices = [(low, low + dim, 1) for dim, (low, _) in zip(x.shape, widths, strict=True)]
    return x if shape == x.shape else make("put", x, attrs=(shape, *slices))


def diff(x: Any, n: int = 1, axis: int = -1) -> Lowered:
    x = as_node(x)
    for _ in range(n):
        x = make("sub", part(x, axis, 1, None), part(x, axis, None, -1))
    return x


def diag(x: Any, k: int = 0) -> Lowered:
    x = as_node(x)
    if k or len(set(x.shape)) > 1:
        raise CannotCompile("diag of anything but a vector or a square matrix, k=0")
    here = const(np.eye(x.shape[0], dtype=bool))
    if len(x.shape) == 1:
        return make("where", here, reshaped(x, (1, *x.shape)), _zero(x))
    return make("sum", make("where", here, x, _zero(x)), attrs=(0,))


def _zero(like: Node) -> Node:
    return make("broadcast", const(0.0), attrs=(1,) * 2, dtype=like.dtype)


def running(op: str) -> Any:
    """cumsum or cumprod."""

    def lowered(x: Any, axis: Any = None, **options: Any) -> Lowered:
        if any(value is not None for value in options.values()):
            raise CannotCompile(f"{op} with {', '.join(options)}")
        x = as_node(x)
        if x.dtype.kind == "b":
            x = make("cast", x, attrs=(np.dtype(np.int64),))
        if axis is None:
            x, axis = reshaped(x, (int(np.prod(x.shape)),)), 0
        (axis,) = axes_of(x, axis)
        return make(op, x, attrs=(axis,))

    return lowered
