"""Variational (locked) dropout: one mask a sequence, the same at every step."""

import autograd.numpy as np
import numpy as onp

from minirnn.functional import locked_dropout
from minirnn.layers.dropout import check_probability, noise
from minirnn.module import Array, Module

__all__ = ["VariationalDropout"]


class VariationalDropout(Module):
    """Dropout between recurrent layers whose mask is drawn once a sequence and shared over time, where an rng is given.

        y_t = m * x_t,    m = 0 with probability p, else 1 / (1 - p)

    xs: (T, B, F), or (T, F) unbatched, or (B, T, F) with batch_first; m: (B, F) or (F,). `dropout(xs)` without rng
    returns xs as it is. What a unit is told about the start of a sequence it is told until its end: fresh noise at
    every step would be averaged away by the memory.  (Gal & Ghahramani 2016, arXiv:1512.05287.)

    ValueError: p is no probability, or xs has no axis of time.
    """

    def __init__(self, p: float = 0.5, *, batch_first: bool = False):
        self.p, self.batch_first = check_probability("VariationalDropout", p), batch_first

    def __call__(self, xs: Array, *, rng: onp.random.Generator | None = None) -> Array:
        if np.ndim(xs) < 2:
            raise ValueError(f"VariationalDropout: xs has shape {np.shape(xs)}; (T, B, F) or (T, F) was expected")
        if self.batch_first and np.ndim(xs) > 2:
            return np.swapaxes(noise(np.swapaxes(xs, 0, 1), self.p, rng, locked_dropout), 0, 1)
        return noise(xs, self.p, rng, locked_dropout)

    def extra_repr(self) -> str:
        return f"{self.p}" + ", batch_first=True" * self.batch_first
