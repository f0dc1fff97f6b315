"""Orthogonal recurrent matrices: W = B Q(A), A skew-symmetric, which stay orthogonal whatever the optimiser does.

    exponential:   Q(A) = exp(A)                     Lezcano-Casado & Martinez-Rubio 2019, arXiv:1901.08428
    Cayley:        Q(A) = (I + A)^-1 (I - A)         Helfrich, Willmott & Ye 2018, arXiv:1707.09520

A = X - X^T for a free matrix X that starts at 0; B, which is not trained, is the start. With B any orthogonal matrix,
also of determinant -1, nothing is out of reach (Lezcano-Casado 2019, arXiv:1909.09501); alone, neither map gives a
reflection, and Cayley's no rotation by half a turn, for which Helfrich et al. have a diagonal of signs in B's place.
"""

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn.boxes import unboxed
from minirnn.functional import product
from minirnn.layers.reparametrize import Parametrization, Reparametrized, square_blocks
from minirnn.module import Array, Buffer, Module
from minirnn.primitive import primitive

__all__ = ["Orthogonal", "cayley", "matrix_exponential", "orthogonal"]

_TERMS = 12  # of exp's series at a norm of 1/2: what is left out is below 1e-13


def matrix_exponential(a: Array) -> Array:
    """exp(A) of a square matrix (N, N), by its series at A / 2^s and s squarings."""
    norm = float(onp.max(onp.sum(onp.abs(unboxed(a)), axis=0), initial=0.0))
    squarings = max(0, int(onp.ceil(onp.log2(norm))) + 1) if norm > 0.5 else 0
    a, one = a * 0.5**squarings, onp.eye(np.shape(a)[0], dtype=np.result_type(a))
    total = one
    for k in range(_TERMS, 0, -1):  # Horner: 1 + A/1 (1 + A/2 (1 + A/3 (...
        total = one + product(a, total) * (1.0 / k)
    for _ in range(squarings):
        total = product(total, total)
    return total


_inverse: Callable[..., Any] = primitive(
    onp.linalg.inv,
    [lambda g, y, a: -product(np.transpose(y), product(g, np.transpose(y)))],
    [lambda t, y, a: -product(y, product(t, y))],
)


def cayley(a: Array) -> Array:
    """(I + A)^-1 (I - A) of a skew-symmetric matrix (N, N)."""
    one = onp.eye(np.shape(a)[0], dtype=np.result_type(a))
    return product(_inverse(one + a), one - a)


MAPS: dict[str, Callable[[Array], Array]] = {"exponential": matrix_exponential, "cayley": cayley}


class Orthogonal(Parametrization):
    """B Q(X - X^T) for each (H, H) block of a recurrent weight (k * H, H); X is the free array, and starts at 0.

    base: B (k * H, H), a buffer, each block the orthogonal matrix that is nearest to the weight's. map: "exponential"
    or "cayley". ValueError: no such map, or no square blocks.
    """

    def __init__(self, array: Array, map: str = "exponential"):
        if map not in MAPS:
            raise ValueError(f"orthogonal: map={map!r} came, {' or '.join(MAPS)} was expected")
        self.map = map
        self.base = Buffer(onp.concatenate([_nearest(block) for block in square_blocks("orthogonal", array)]))

    def start(self, array: Array) -> Array:
        return onp.zeros_like(array)

    def __call__(self, free: Array) -> Array:
        bases, blocks = (square_blocks("orthogonal", one) for one in (self.base, free))
        turns = [MAPS[self.map](x - np.transpose(x)) for x in blocks]
        return np.concatenate([product(base, turn) for base, turn in zip(bases, turns, strict=True)])

    def extra_repr(self) -> str:
        return self.map


def _nearest(matrix: Array) -> Array:
    """The orthogonal matrix nearest to a square one: U V^T of its singular value decomposition."""
    u, _, vt = onp.linalg.svd(matrix)
    return u @ vt


def orthogonal(layer: Module, pattern: str = "*weight_hh*", *, map: str = "exponential") -> Reparametrized:
    """The layer with orthogonal matrices in place of the recurrent weights that a glob matches, gate by gate.

        layer = orthogonal(RNN(64, 128))
        layer = orthogonal(LSTM(64, 128), map="cayley")

    They start at the orthogonal matrices nearest to the layer's own. See Orthogonal and Reparametrized, also for what
    they raise.
    """
    return Reparametrized(layer, pattern, lambda array: Orthogonal(array, map))
