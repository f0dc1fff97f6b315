"""What backwards is for an array (T, B, ...) of a padded batch."""

from collections.abc import Callable
from typing import Any

import numpy as onp

from minirnn.module import Array
from minirnn.primitive import primitive

__all__ = ["reversed_within"]


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
