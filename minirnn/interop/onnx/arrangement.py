"""ONNX's operations that arrange what is there: shapes, slices, gathers, splits."""

from collections.abc import Mapping, Sequence
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import functional
from minirnn.boxes import dtype_of, shape_of
from minirnn.layers.lengths import reversed_within

__all__ = [
    "axes_of",
    "axis_of",
    "concatenated",
    "constant_of_shape",
    "expanded",
    "flattened",
    "gathered",
    "gathered_nd",
    "reshaped",
    "reversed_sequences",
    "shape",
    "sliced",
    "split",
    "squeezed",
    "unsqueezed",
]

Attributes = Mapping[str, Any]


def ints(given: Any) -> list[int]:
    return [int(one) for one in onp.atleast_1d(onp.asarray(given))]


def axis_of(axis: int, rank: int) -> int:
    """The axis counted from the front. ValueError: there is none such."""
    if not -rank <= axis < rank:
        raise ValueError(f"expected an axis from {-rank} to {rank - 1}, got {axis}")
    return axis % rank


def axes_of(attributes: Attributes, axes: Any, rank: int) -> list[int] | None:
    """Axes as an input, as since opset 13 or 18, or as an attribute, as before; None where neither is there."""
    given = attributes.get("axes") if axes is None else axes
    if given is None:
        return None
    found = [axis_of(axis, rank) for axis in ints(given)]
    if len(set(found)) < len(found):
        raise ValueError(f"expected each axis once, got {ints(given)}")
    return found


def _part(axis: int, part: Any) -> tuple[Any, ...]:
    return (*[slice(None)] * axis, part)


# ---------------------------------------------------------------- shapes
def reshaped(attributes: Attributes, x: Any, shape: Any) -> Any:
    new, old = ints(shape), shape_of(x)
    if not attributes.get("allowzero"):
        if any(size == 0 and k >= len(old) for k, size in enumerate(new)):
            raise ValueError(f"expected an axis of {old} for each 0 of the new shape, got {new}")
        new = [old[k] if size == 0 else size for k, size in enumerate(new)]
    return np.reshape(x, new)


def squeezed(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    given = axes_of(attributes, axes, len(shape_of(x)))
    return np.squeeze(x, None if given is None else tuple(given))


def unsqueezed(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    new = attributes["axes"] if axes is None else axes
    where = axes_of({}, new, len(shape_of(x)) + len(ints(new))) or []
    for axis in sorted(where):
        x = np.expand_dims(x, axis)
    return x


def flattened(attributes: Attributes, x: Any) -> Any:
    whole = shape_of(x)
    axis = attributes.get("axis", 1)
    axis = axis if axis == len(whole) else axis_of(axis, len(whole))
    return np.reshape(x, (_product(whole[:axis]), _product(whole[axis:])))


def _product(sizes: Sequence[int]) -> int:
    return int(onp.prod(sizes, dtype=onp.int64))


def expanded(attributes: Attributes, x: Any, shape: Any) -> Any:
    whole = onp.broadcast_shapes(shape_of(x), tuple(ints(shape)))
    dtype = dtype_of(x)
    return x * onp.ones(whole, dtype) if dtype.kind == "f" else onp.broadcast_to(x, whole)


def shape(attributes: Attributes, x: Any) -> Any:
    return onp.array(shape_of(x)[slice(attributes.get("start", 0), attributes.get("end"))], onp.int64)


def constant_of_shape(attributes: Attributes, shape: Any) -> Any:
    value = attributes["value"].array().ravel() if "value" in attributes else onp.zeros(1, onp.float32)
    return onp.full(ints(shape), value[0], value.dtype)


# ---------------------------------------------------------------- parts
def concatenated(attributes: Attributes, *xs: Any) -> Any:
    return np.concatenate(xs, attributes["axis"])


def split(attributes: Attributes, x: Any, sizes: Any = None) -> list[Any]:
    """By sizes; or in equal parts, of which the last is smaller where the node says how many there are."""
    axis, count = axis_of(attributes.get("axis", 0), len(shape_of(x))), attributes["number of results"]
    whole, sizes = shape_of(x)[axis], attributes.get("split") if sizes is None else sizes
    if sizes is None:
        each = -(-whole // count)
        if each * count != whole and "num_outputs" not in attributes:
            raise ValueError(f"expected {count} equal parts, got {whole} along axis {axis}")
        lengths = [*[each] * (count - 1), whole - each * (count - 1)]
    else:
        lengths = ints(sizes)
    if len(lengths) != count or sum(lengths) != whole or min(lengths) < 0:
        raise ValueError(f"expected {count} parts of {whole} in all, got {lengths}")
    ends = onp.cumsum(lengths).tolist()
    return [x[_part(axis, slice(end - length, end))] for end, length in zip(ends, lengths, strict=True)]


def sliced(
    attributes: Attributes, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Any:
    starts, ends = (attributes[n] if v is None else v for n, v in (("starts", starts), ("ends", ends)))
    first, last, rank = ints(starts), ints(ends), len(shape_of(x))
    where = axes_of(attributes, axes, rank)
    where = axes_of({}, list(range(len(first))), rank) or [] if where is None else where
    step = [1] * len(first) if steps is None else ints(steps)
    index: list[Any] = [slice(None)] * rank
    for axis, a, b, s in zip(where, first, last, step, strict=True):
        index[axis] = _bounded(a, b, s, shape_of(x)[axis])
    return x[tuple(index)]


def _bounded(start: int, end: int, step: int, size: int) -> slice:
    """Python's slice, but that a start before the first element means the first one also backwards."""
    if step > 0 or start >= -size:
        return slice(start, end, step)
    return slice(0, end, step) if size else slice(0, 0)


def gathered(attributes: Attributes, x: Any, indices: Any) -> Any:
    axis, indices = axis_of(attributes.get("axis", 0), len(shape_of(x))), onp.asarray(indices)
    size = shape_of(x)[axis]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise ValueError(f"expected indices from {-size} to {size - 1}, got {indices.min()} to {indices.max()}")
    if axis == 0 and dtype_of(x).kind == "f" and len(shape_of(x)) == 2 and indices.ndim:
        return functional.embedding(x, onp.where(indices < 0, indices + size, indices))
    return x[_part(axis, int(indices) if indices.ndim == 0 else indices)]


def gathered_nd(attributes: Attributes, x: Any, indices: Any) -> Any:
    """Beside each other along the first batch_dims axes, x[indices[..., 0], indices[..., 1], ...]."""
    batch, indices, whole = attributes.get("batch_dims", 0), onp.asarray(indices), shape_of(x)
    if indices.shape[:batch] != whole[:batch] or batch + indices.shape[-1] > len(whole):
        raise ValueError(f"expected indices for axes {batch} and on of {whole}, got {indices.shape}")
    places = onp.indices(indices.shape[:batch], sparse=True)
    beside = [one.reshape(*one.shape, *[1] * (indices.ndim - 1 - batch)) for one in places]
    return x[(*beside, *onp.moveaxis(indices, -1, 0))]


def reversed_sequences(attributes: Attributes, x: Any, lengths: Any) -> Any:
    time, batch = attributes.get("time_axis", 0), attributes.get("batch_axis", 1)
    lengths, steps = onp.asarray(lengths, onp.int64), shape_of(x)[time]
    if lengths.size and not (lengths.min() >= 0 and lengths.max() <= steps):
        raise ValueError(f"expected lengths from 0 to {steps}, got {lengths.min()} to {lengths.max()}")
    turned = reversed_within(np.swapaxes(x, 0, 1) if time else x, lengths)
    return np.swapaxes(turned, 0, 1) if batch == 0 else turned
