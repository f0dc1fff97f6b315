"""What `cell.inputs` makes of xs, seen from outside: features of it, the steps' indices, or constants.

A file for another library holds no Python of the cell's; what its steps take is made again from this.
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["Made", "made_of"]

EXAMPLES = ((3, 2), (5, 4))  # T and B of what `cell.inputs` is tried on


class Made(NamedTuple):
    """An array that `cell.inputs` makes of xs. kind: "features", xs[..., first:last]; "steps", t at step t; "constant",
    the same at every step."""

    kind: str
    dtype: Any
    shape: tuple[int, ...]
    first: int = 0
    last: int = 0
    value: bytes = b""
    narrow: bool = False  # whether xs has other features too


def made_of(cell: Cell, features: tuple[int, ...], dtype: Any) -> list[Made]:
    """What each array of `cell.inputs` is, seen at two sizes and of random numbers. ValueError: none of the three."""
    tried = []
    for k, (steps, batch) in enumerate(EXAMPLES):
        xs = np.random.default_rng(k).standard_normal((steps, batch, *features)).astype(dtype)
        tried.append([(path, _recognised(np.asarray(leaf), xs)) for path, leaf in tree.named_leaves(cell.inputs(xs))])
    for (path, one), (_, other) in zip(*tried, strict=True):
        if one is None or one != other:
            raise ValueError(
                f"what its inputs() makes as {path or 'input'} is neither features of xs, nor the steps' indices, nor "
                "constant"
            )
    return [one for _, one in tried[0] if one is not None]


def _recognised(leaf: Array, xs: Array) -> Made | None:
    steps = len(xs)
    shape, first = leaf.shape[2:], leaf[0, 0]
    if leaf.ndim == xs.ndim and leaf.shape[2:-1] == xs.shape[2:-1]:
        for k in range(xs.shape[-1] - shape[-1] + 1):
            if np.array_equal(leaf, xs[..., k : k + shape[-1]]):
                return Made("features", leaf.dtype, shape, k, k + shape[-1], narrow=shape != xs.shape[2:])
    if np.array_equal(leaf, np.broadcast_to(first, leaf.shape)):
        return Made("constant", leaf.dtype, shape, value=np.ascontiguousarray(first).tobytes())
    counted = np.arange(steps).reshape(-1, *[1] * (leaf.ndim - 1))
    if np.array_equal(leaf, np.broadcast_to(counted, leaf.shape)):
        return Made("steps", leaf.dtype, shape)
    return None
