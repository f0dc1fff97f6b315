"""Functions that move numbers and compute none: shapes, axes, parts side by side."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, make
from minirnn.compile.lowered import Lowered, as_node

__all__ = [
    "axes_of",
    "broadcast_to",
    "concatenate",
    "expand_dims",
    "moveaxis",
    "part",
    "reshape",
    "reshaped",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "transpose",
    "transposed",
]


def reshaped(x: Node, shape: Sequence[int]) -> Node:
    return x if x.shape == tuple(shape) else make("reshape", x, attrs=tuple(map(int, shape)))


def transposed(x: Node, axes: Any) -> Node:
    return x if list(axes) == list(range(len(x.shape))) else make("transpose", x, attrs=tuple(map(int, axes)))


def reshape(x: Any, shape: Any, *rest: Any, **kwargs: Any) -> Lowered:
    if rest or kwargs.get("order") not in (None, "C"):
        raise CannotCompile("reshape in another order than C")
    x = as_node(x)
    new: list[int] = [int(shape)] if isinstance(shape, (int, np.integer)) else list(shape)
    if -1 in new:
        known = math.prod([dim for dim in new if dim != -1])
        new[new.index(-1)] = math.prod(x.shape) // known
    return reshaped(x, new)


def transpose(x: Any, axes: Any = None) -> Lowered:
    x = as_node(x)
    count = len(x.shape)
    return transposed(x, range(count)[::-1] if axes is None else [int(axis) % count for axis in axes])


def swapaxes(x: Any, first: int, second: int) -> Lowered:
    x = as_node(x)
    axes = list(range(len(x.shape)))
    axes[first], axes[second] = axes[second], axes[first]
    return transposed(x, axes)


def moveaxis(x: Any, source: Any, destination: Any) -> Lowered:
    x = as_node(x)
    order = np.moveaxis(np.empty([1] * len(x.shape)), source, destination)  # checks the axes
    del order
    count = len(x.shape)
    sources, targets = ([a % count for a in np.atleast_1d(axes)] for axes in (source, destination))
    axes = [axis for axis in range(count) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        axes.insert(target, axis)
    return transposed(x, axes)


def expand_dims(x: Any, axis: Any) -> Lowered:
    x = as_node(x)
    count = len(x.shape) + len(np.atleast_1d(axis))
    at = {int(a) % count for a in np.atleast_1d(axis)}
    rest = iter(x.shape)
    return reshaped(x, [1 if k in at else next(rest) for k in range(count)])


def squeeze(x: Any, axis: Any = None) -> Lowered:
    x = as_node(x)
    gone = {k for k, dim in enumerate(x.shape) if dim == 1} if axis is None else axes_of(x, axis)
    return reshaped(x, [dim for k, dim in enumerate(x.shape) if k not in gone])


def broadcast_to(x: Any, shape: Any, *args: Any, **kwargs: Any) -> Lowered:
    x = as_node(x)
    return x if x.shape == tuple(shape) else make("broadcast", x, attrs=tuple(map(int, shape)))


def concatenate(axis: int, *parts: Any) -> Lowered:
    nodes = [as_node(part) for part in parts]
    return nodes[0] if len(nodes) == 1 else make("concat", *nodes, attrs=(axis % len(nodes[0].shape),))


def stack(*parts: Any) -> Lowered:
    return concatenate(0, *[reshaped(node, (1, *node.shape)) for node in map(as_node, parts)])


def split(x: Any, parts: Any, axis: int = 0) -> Lowered:
    x = as_node(x)
    size = x.shape[axis]
    cuts = [size * k // parts for k in range(1, parts)] if isinstance(parts, int) else [int(cut) for cut in parts]
    return tuple([part(x, axis, start, stop) for start, stop in zip([0, *cuts], [*cuts, size], strict=True)])


def part(x: Node, axis: int, start: int | None, stop: int | None, step: int = 1) -> Node:
    """A slice along one axis."""
    parts = [(0, dim, 1) for dim in x.shape]
    parts[axis] = slice(start, stop, step).indices(x.shape[axis])
    return make("slice", x, attrs=tuple(parts))


def axes_of(x: Node, axis: Any) -> set[int]:
    count = len(x.shape)
    return set(range(count)) if axis is None else {int(a) % count for a in np.atleast_1d(axis)}
