"""Weight drop: dropout on a layer's weights, as AWD-LSTM's on its recurrent ones."""

from typing import Any, Self

import numpy as np

from minirnn.layers.computed import Computed, RecurrentComputed, matching
from minirnn.layers.dropout import check_probability, noise
from minirnn.layers.recurrent import RecurrentLayer
from minirnn.module import Array, Module

__all__ = ["WeightDrop"]


class WeightDrop(Computed):
    """A layer whose weights have dropout in a call with an rng: one mask a call, the same at every step.

        WeightDrop(LSTM(64, 128), "*weight_hh*", 0.5)

    pattern: a glob over the dotted paths of the layer's parameters. Each entry of such an array is 0 with probability p
    and divided by 1 - p otherwise. As no state is touched and the steps are as they were, the fastest engine runs.
    Around a recurrent layer it is a recurrent layer; any other layer is welcome too (DropConnect, Wan et al. 2013).
    (Merity, Keskar & Socher 2018, arXiv:1708.02182.)

    ValueError: no path matches, or p is no probability. TypeError: not a layer.
    """

    def __new__(cls, layer: Any = None, *args: Any, **keywords: Any) -> Self:
        kind: Any = RecurrentWeightDrop if isinstance(layer, RecurrentLayer) else cls
        return super().__new__(kind)

    def __init__(self, layer: Module, pattern: str = "*weight_hh*", p: float = 0.5):
        super().__init__(layer)
        self.p = check_probability("WeightDrop", p)
        self.paths = tuple(matching("WeightDrop", layer, pattern))

    def computed(self, rng: np.random.Generator | None) -> dict[str, Array]:
        arrays = self.layer.parameters(frozen=True)
        return {path: noise(arrays[path], self.p, rng) for path in self.paths}

    def extra_repr(self) -> str:
        return f"{', '.join(self.paths)}, p={self.p}"


class RecurrentWeightDrop(RecurrentComputed, WeightDrop):
    pass
