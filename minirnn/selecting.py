"""Entries of an array by integers: pick, one of the last axis each; embedding, rows of a table."""

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import tier
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import as_integers
from minirnn.module import Array
from minirnn.primitive import is_traced, primitive

__all__ = ["embedding", "pick"]

Function = Callable[..., Any]


def _pick(x: Array, indices: Array) -> Array:
    indices = as_integers("indices", indices)
    return onp.take_along_axis(x, indices[..., None], axis=-1)[..., 0]


def _unpicked(g: Array, indices: Array, classes: int) -> Array:
    indices = as_integers("indices", indices)
    out = onp.zeros((*indices.shape, classes), dtype=g.dtype)
    onp.put_along_axis(out, indices[..., None], g[..., None], axis=-1)
    return out


_unpick: Function = primitive(
    _unpicked,
    [lambda g, y, h, indices, classes: pick(g, indices)],
    [lambda t, y, h, indices, classes: _unpick(t, indices, classes)],
)
pick: Function = primitive(
    _pick,
    [lambda g, y, x, indices: _unpick(g, indices, np.shape(x)[-1])],
    [lambda t, y, x, indices: pick(t, indices)],
)
pick.__doc__ = (
    """out[...] = x[..., indices[...]]: one entry of the last axis each. x: (..., V), indices: (...) integers."""
)


def _all_within(indices: Array, rows: int) -> bool:
    """Whether there are indices, all of 0 .. rows - 1: what native code, which looks at none, asks for."""
    return bool(indices.size) and int(indices.view(onp.uint64).max()) < rows


def _looked_up(table: Array, indices: Array) -> Array:
    indices, kernel = as_integers("indices", indices), tier.kernel("gather", dtype_of(table))
    if kernel is not None and table.flags.c_contiguous and table.ndim and _all_within(indices, len(table)):
        return kernel(table, indices)
    return table[indices]


def _summed_rows(g: Array, indices: Array, rows: int) -> Array:
    """out[r] = the sum of g[i] over indices[i] = r."""
    indices, kernel = as_integers("indices", indices), tier.kernel("summed_rows", g.dtype)
    if kernel is not None and _all_within(indices, rows):
        return kernel(g, indices, rows)
    return _summed_rows_by_sorting(g, indices % rows, rows)  # -1 is the last row


def _summed_rows_by_sorting(g: Array, indices: Array, rows: int) -> Array:
    """The slow twin; fifty times faster than np.add.at on rows."""
    row = g.shape[indices.ndim :]
    flat, values = indices.ravel(), g.reshape(indices.size, *row)
    out = onp.zeros((rows, *row), dtype=g.dtype)
    if flat.size:
        order = onp.argsort(flat, kind="stable")
        ordered = flat[order]
        starts = onp.flatnonzero(onp.concatenate(([True], ordered[1:] != ordered[:-1])))
        out[ordered[starts]] = onp.add.reduceat(values[order], starts, axis=0)
    return out


_sum_rows: Function = primitive(
    _summed_rows,
    [lambda g, y, h, indices, rows: embedding(g, indices)],
    [lambda t, y, h, indices, rows: _sum_rows(t, indices, rows)],
)
embedding: Function = primitive(
    _looked_up,
    lambda wanted, g, y, table, indices: [
        (_sum_rows if is_traced(g) else _summed_rows)(g, indices, shape_of(table)[0]),
    ],
    [lambda t, y, table, indices: embedding(t, indices)],
)
embedding.__doc__ = """table[indices]: rows of a (V, E) table for integer indices (...), as (..., E)."""
