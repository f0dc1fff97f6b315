"""What stands past the ends of sequences that are shorter than their batch, and how it is kept out of everything.

Mask before the function, not after it: where a function is undefined (log 0, 0 / 0), what is cut off behind it leaves
0 * nan in the gradient, which is nan.
"""

from collections.abc import Sequence
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import tree
from minirnn.boxes import dtype_of, shape_of, unboxed
from minirnn.module import Array

__all__ = ["begin", "filled", "only_inside", "only_where", "over_time", "where"]


def _beside(mask: Array, array: Any) -> Array:
    """The mask with axes of length 1 behind its own, to stand beside the array."""
    return mask.reshape(mask.shape + (1,) * (np.ndim(array) - mask.ndim))


def where(mask: Array, array: Any, other: Any) -> Any:
    """The array where the mask, over its first axes, is True, and the other elsewhere."""
    return np.where(_beside(mask, array), array, other)


def over_time(array: Any, steps: int) -> Any:
    """(B, ...) at every step, (T, B, ...): autograd's derivative of `where` does not sum over what was broadcast."""
    return np.repeat(array[None], steps, axis=0)


def only_where(mask: Array, array: Any) -> Any:
    """The array with zeros where the mask is False, whatever stands there (also nan)."""
    return where(mask, array, onp.zeros((), dtype_of(array)))


def begin(state: Any, columns: Sequence[Any], lengths: Array, reverse: bool) -> tuple[Any, list[Any]]:
    """What each sequence's first step in the order of time is given: the state and the rows (B, ...) of xs. A sequence
    that has no step borrows them of the longest; lengths are not all 0.

    They are differentiable: where rows of the batch meet in a step, what stands beside a sequence reaches its results.
    """
    whose = onp.where(lengths > 0, onp.arange(len(lengths)), onp.argmax(lengths))
    t = lengths[whose] - 1 if reverse else onp.zeros_like(whose)
    return tree.map(lambda leaf: leaf[whose], state), [column[t, whose] for column in columns]


def only_inside(xs: Array, lengths: Array | None) -> Array:
    """xs (T, B, ...) with zeros past each sequence's end, whatever stands there (also nan); lengths: (B,) or None."""
    if lengths is None:
        return xs
    return only_where(onp.arange(shape_of(xs)[0])[:, None] < lengths, xs)


def filled(xs: Array, lengths: Array | None) -> Array:
    """xs (T, B, ...) with each sequence's first row past its end, whatever stood there, and no gradient there: for a
    function that need not be defined at padding, whose derivative there would be 0 * nan."""
    if lengths is None or not lengths.any():
        return xs
    _, (first,) = begin((), [unboxed(xs)], lengths, reverse=False)
    return where(onp.arange(shape_of(xs)[0])[:, None] < lengths, xs, first)
