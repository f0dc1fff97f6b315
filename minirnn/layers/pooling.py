"""Pooling over time: one vector from a sequence's outputs, its end respected.

Each takes outputs (T, B, ...) and lengths (B,), and returns (B, ...); without lengths all T steps count. What stands
past a sequence's end has no influence and no gradient, whatever it is (also nan). A sequence of length 0 has zeros,
with no gradient.
"""

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import functional
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import check_lengths
from minirnn.module import Array, Module
from minirnn.padding import only_inside

__all__ = ["Pool", "last_valid_step", "max_pool", "mean_pool"]


def last_valid_step(outputs: Array, lengths: Any = None) -> Array:
    """y[b] = outputs[lengths[b] - 1, b]: each sequence's last output. (T, B, ...) -> (B, ...).

    ValueError: lengths that are no integers (B,) within 0 .. T.
    """
    steps = shape_of(outputs)[0]
    if lengths is None and steps:
        return outputs[-1]
    lengths = _checked(outputs, lengths)
    if not steps:
        return _zeros(outputs)
    rows = np.reshape(outputs, (-1, *shape_of(outputs)[2:]))
    last = functional.embedding(rows, onp.maximum(lengths - 1, 0) * len(lengths) + onp.arange(len(lengths)))
    return _only_where(lengths > 0, last)


def mean_pool(outputs: Array, lengths: Any = None) -> Array:
    """y[b] = sum over t < lengths[b] of outputs[t, b] / lengths[b]. (T, B, ...) -> (B, ...).

    ValueError: lengths that are no integers (B,) within 0 .. T.
    """
    lengths = _checked(outputs, lengths)
    counts = onp.maximum(lengths, 1).astype(dtype_of(outputs))
    return np.sum(only_inside(outputs, lengths), axis=0) / _beside(counts, np.ndim(outputs) - 1)


def max_pool(outputs: Array, lengths: Any = None) -> Array:
    """y[b] = the largest of outputs[t, b] over t < lengths[b], feature by feature. (T, B, ...) -> (B, ...).

    Steps that share the maximum share its gradient. ValueError: lengths that are no integers (B,) within 0 .. T.
    """
    lengths = _checked(outputs, lengths)
    if not shape_of(outputs)[0]:
        return _zeros(outputs)
    inside = _beside(onp.arange(shape_of(outputs)[0])[:, None] < lengths, np.ndim(outputs))
    lowest = onp.array(-onp.inf, dtype_of(outputs))
    return _only_where(lengths > 0, np.max(np.where(inside, outputs, lowest), axis=0))


POOLS: dict[str, Callable[[Array, Any], Array]] = {"last": last_valid_step, "mean": mean_pool, "max": max_pool}


class Pool(Module):
    """One of the pools as a layer: Sequential(LSTM(8, 64), Pool("mean"), Linear(64, 10)).

    how: "last", "mean" or "max". Called with outputs (T, B, ...), or (B, T, ...) with batch_first, and lengths (B,),
    which a Sequential hands on; or with a single sequence's (T, F) and no lengths, which gives (F,).

    ValueError: another name, or lengths that do not fit.
    """

    def __init__(self, how: str, *, batch_first: bool = False):
        if how not in POOLS:
            raise ValueError(f"Pool: {how!r} came, one of {', '.join(POOLS)} was expected")
        self.how, self.batch_first = how, batch_first

    def __call__(self, outputs: Array, *, lengths: Any = None) -> Array:
        if lengths is None and np.ndim(outputs) == 2:
            return POOLS[self.how](outputs[:, None], None)[0]
        return POOLS[self.how](np.swapaxes(outputs, 0, 1) if self.batch_first else outputs, lengths)

    def extra_repr(self) -> str:
        return self.how


def _checked(outputs: Array, lengths: Any) -> Array:
    if np.ndim(outputs) < 2:
        raise ValueError(f"pooling: outputs have shape {shape_of(outputs)}, (T, B, ...) was expected")
    steps, batch = shape_of(outputs)[:2]
    return onp.full(batch, steps) if lengths is None else check_lengths(lengths, steps, batch)


def _beside(array: Array, ndim: int) -> Array:
    """An array over the first axes with axes of length 1 behind, `ndim` in all."""
    return array.reshape(array.shape + (1,) * (ndim - array.ndim))


def _only_where(mask: Array, pooled: Array) -> Array:
    if mask.all():
        return pooled
    return np.where(_beside(mask, np.ndim(pooled)), pooled, onp.zeros((), dtype_of(pooled)))


def _zeros(outputs: Array) -> Array:
    return onp.zeros(shape_of(outputs)[1:], dtype_of(outputs))
