"""What the lengths of a padded batch mean for an array (T, B, ...): what is inside, and what backwards is."""

from collections.abc import Callable
from typing import Any

import numpy as onp

from minirnn import loop
from minirnn.boxes import shape_of
from minirnn.module import Array
from minirnn.primitive import primitive

__all__ = ["only_inside", "reversed_within"]


def only_inside(xs: Array, lengths: Array | None) -> Array:
    """xs (T, B, ...) with zeros past each sequence's end, whatever stands there (also nan); lengths: (B,) or None."""
    if lengths is None:
        return xs
    return loop.only_where(onp.arange(shape_of(xs)[0])[:, None] < lengths, xs)


def _reversed(xs: Array, lengths: Array | None) -> Array:
    if lengths is None:
        return xs[::-1].copy()
    t = onp.arange(xs.shape[0])[:, None]
    return xs[onp.where(t < lengths, lengths - 1 - t, t), onp.arange(xs.shape[1])]


# Its own inverse and its own transpose, so it is its own derivative too.
reversed_within: Callable[..., Any] = primitive(
    _reversed,
    [lambda g, y, xs, lengths: reversed_within(g, lengths)],
    [lambda t, y, xs, lengths: reversed_within(t, lengths)],
)
reversed_within.__doc__ = """xs (T, B, ...), each sequence backwards within its own length, padding where it was.

lengths: (B,) integers, or None for the whole of T."""
