"""Weight normalisation (Salimans & Kingma 2016, arXiv:1602.07868): a weight's length apart from its direction."""

import autograd.numpy as np
import numpy as onp

from minirnn.layers.reparametrize import Parametrization, Reparametrized
from minirnn.module import Array, Module, Parameter

__all__ = ["WeightNorm", "weight_norm"]


class WeightNorm(Parametrization):
    """w = g v / ||v||, for each row of a weight (O, ...), the inputs of one unit. v is the free array.

    g: (O, 1, ...), at the start the rows' own lengths, so that nothing changes. ValueError: a row of zeros, which has
    no direction, or an array without rows.
    """

    def __init__(self, array: Array):
        if onp.ndim(array) < 2:
            raise ValueError(f"weight_norm: shape {onp.shape(array)} came, a weight (O, I) was expected")
        lengths = _lengths(array)
        if not lengths.all():
            raise ValueError(f"weight_norm: row {int(onp.argmin(lengths))} is zero, which has no direction")
        self.gain = Parameter(lengths)

    def __call__(self, free: Array) -> Array:
        return free * (self.gain / _lengths(free))


def _lengths(rows: Array) -> Array:
    return np.sqrt(np.sum(rows * rows, axis=tuple(range(1, np.ndim(rows))), keepdims=True))


def weight_norm(layer: Module, pattern: str = "*weight_hh*") -> Reparametrized:
    """The layer with w = g v / ||v|| for the weights that a glob matches, g and v being trained.

        layer = weight_norm(LSTM(64, 128))
        head = weight_norm(Linear(128, 65), "weight")

    See WeightNorm and Reparametrized, also for what they raise.
    """
    return Reparametrized(layer, pattern, WeightNorm)
