"""Indexing: slices, integers, and arrays of integers that are known; and the derivative, which puts back."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, make
from minirnn.compile.lowered import Lowered, as_node
from minirnn.compile.lowered.layout import reshaped

__all__ = ["getitem", "put", "taken", "untake"]

Slices = tuple[tuple[int, int, int], ...]


class _Index(NamedTuple):
    """An index as steps: slices of every axis, of which the taken axes are then one; numbers along that one, if there
    is one; and the shape of the result."""

    slices: Slices
    axis: int
    joined: tuple[int, ...]  # the shape after slicing, the taken axes as one
    numbers: tuple[int, ...] | None
    shape: tuple[int, ...]


def _read(shape: Sequence[int], idx: Any) -> _Index:
    parts = [np.asarray(p) if isinstance(p, list) else p for p in (idx if isinstance(idx, tuple) else (idx,))]
    arrays = [k for k, p in enumerate(parts) if isinstance(p, np.ndarray)]
    if any(not (p is None or p is Ellipsis or isinstance(p, (slice, int, np.integer, np.ndarray))) for p in parts):
        raise CannotCompile("indexing by arrays that are traced; slices, known integers and np.where can be compiled")
    if any(isinstance(p, bool) for p in parts):
        raise CannotCompile("indexing by a bool")
    parts = _whole(shape, parts)
    arrays = [k for k, p in enumerate(parts) if isinstance(p, np.ndarray)]
    if arrays and any(isinstance(p, (int, np.integer)) for p in parts):
        raise CannotCompile("indexing by an array and a number at once")
    if arrays and arrays != list(range(arrays[0], arrays[-1] + 1)):
        raise CannotCompile("indexing by arrays that stand apart")
    slices, after, before, axis = list[tuple[int, int, int]](), list[int](), list[int](), 0
    dims, given, first = list[int](), list[Any](), 0
    for k, part in enumerate(parts):
        if part is None:
            after.append(1)
            continue
        dim = shape[axis]
        axis += 1
        if isinstance(part, np.ndarray):
            slices.append((0, dim, 1))
            if not dims:
                first = len(before)
                before.append(1)
            dims.append(dim)
            before[first] *= dim
            given.append(_numbers(part, dim))
            if k == arrays[-1]:
                after += np.broadcast_shapes(*[g.shape for g in given])
        elif isinstance(part, slice):
            start, stop, step = part.indices(dim)
            slices.append((start, stop, step))
            after.append(len(range(start, stop, step)))
            before.append(after[-1])
        else:
            if not -dim <= part < dim:
                raise IndexError(f"index {part} of an axis of {dim}")
            slices.append((int(part) % dim, int(part) % dim + 1, 1))
            before.append(1)
    numbers = np.ravel_multi_index(np.broadcast_arrays(*given), dims) if given else None
    flat = None if numbers is None else tuple(map(int, np.ravel(numbers)))
    return _Index(tuple(slices), first, tuple(before), flat, tuple(after))


def _whole(shape: Sequence[int], parts: list[Any]) -> list[Any]:
    """The parts with a slice for every axis that they leave out."""
    parts = [np.nonzero(p)[0] if isinstance(p, np.ndarray) and p.dtype == bool and p.ndim == 1 else p for p in parts]
    used = sum(part is not None and part is not Ellipsis for part in parts)
    fill = [slice(None)] * (len(shape) - used)
    for at, part in enumerate(parts):
        if part is Ellipsis:
            return [*parts[:at], *fill, *parts[at + 1 :]]
    return parts + fill


def _numbers(part: np.ndarray, dim: int) -> np.ndarray:
    if part.dtype.kind not in "iu":
        raise CannotCompile(f"indexing by an array of {part.dtype}")
    if part.size and not (-dim <= part.min() and part.max() < dim):
        raise IndexError(f"index {part.min()} or {part.max()} of an axis of {dim}")
    return part % dim


def getitem(x: Any, idx: Any) -> Lowered:
    if isinstance(x, tuple):
        return x[idx]
    x = as_node(x)
    index = _read(x.shape, idx)
    whole = all(part == (0, dim, 1) for part, dim in zip(index.slices, x.shape, strict=True))
    y = x if whole else make("slice", x, attrs=index.slices)
    if index.numbers is not None:
        y = taken(reshaped(y, index.joined), index.axis, index.numbers)
    return reshaped(y, index.shape)


def taken(x: Node, axis: int, numbers: Sequence[int]) -> Node:
    """x's entries of these numbers along an axis."""
    return make("take", x, attrs=(axis, *numbers))


def put(g: Any, idx: Any, space: Any) -> Lowered:
    """g in zeros of the shape of the vector space: the derivative of getitem."""
    g, index = as_node(g), _read(space.shape, idx)
    if index.numbers is not None:
        axis, joined = index.axis, index.joined
        inner = reshaped(g, (*joined[:axis], len(index.numbers), *joined[axis + 1 :]))
        g = make("untake", inner, attrs=(axis, joined[axis], *index.numbers))
    inner = reshaped(g, [len(range(*part)) for part in index.slices])
    whole = all(part == (0, dim, 1) for part, dim in zip(index.slices, space.shape, strict=True))
    return inner if whole else make("put", inner, attrs=(tuple(space.shape), *index.slices))


untake = put
