"""Reparametrized: a layer whose weights are functions of what is trained.

What the layer keeps under a weight's name is then the free parameter, and the function's value stands there during a
call. There is one array of a weight and no second that could be stale; it is saved, loaded and trained under its old
name, below `layer`, and what a function needs beside it (a gain, a base) below `parametrizations`.
"""

from collections.abc import Callable
from typing import Any, Self

import autograd.numpy as np
import numpy as onp

from minirnn.layers.computed import Computed, RecurrentComputed, matching
from minirnn.layers.recurrent import RecurrentLayer
from minirnn.module import Array, Module

__all__ = ["Parametrization", "Reparametrized", "square_blocks"]


class Parametrization(Module):
    """A differentiable function of one array, made from the array at its start; subclasses say which.

    It may have parameters and buffers of its own.
    """

    def __call__(self, free: Array) -> Array:
        """The array that is used, of the same shape as the free one."""
        raise NotImplementedError

    def start(self, array: Array) -> Array:
        """The free array for which the used one is `array`, or what is nearest to it."""
        return array


class Reparametrized(Computed):
    """A layer, each of whose parameters that a glob matches is a function of what is trained.

        Reparametrized(LSTM(64, 128), "*weight_hh*", WeightNorm)

    make: from an array at its start to its Parametrization. The layer is taken over: its arrays are rewritten to be the
    free ones. Around a recurrent layer it is a recurrent layer. `plain()` is a copy of the layer with the arrays as
    they are used.

    ValueError: no path matches, or an array is none that the parametrization takes. TypeError: not a layer.
    """

    def __new__(cls, layer: Any = None, *args: Any, **keywords: Any) -> Self:
        kind: Any = RecurrentReparametrized if isinstance(layer, RecurrentLayer) else cls
        return super().__new__(kind)

    def __init__(self, layer: Module, pattern: str, make: Callable[[Array], Parametrization]):
        super().__init__(layer)
        arrays = layer.parameters(frozen=True)
        made, free = {}, {}
        for path in matching("Reparametrized", layer, pattern):
            try:
                made[path] = make(arrays[path])
                free[path] = made[path].start(arrays[path])
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        layer.load_state_dict(free, strict=False)
        self.parametrizations = made

    def computed(self, rng: onp.random.Generator | None) -> dict[str, Array]:
        arrays, functions = self.layer.parameters(frozen=True), self.parametrizations
        return {path: functions[path](arrays[path]) for path in functions}


class RecurrentReparametrized(RecurrentComputed, Reparametrized):
    pass


def square_blocks(name: str, array: Array) -> list[Array]:
    """A recurrent weight (k * H, H) as its k blocks (H, H), one a gate. ValueError: it is none."""
    shape = np.shape(array)
    if len(shape) != 2 or not shape[1] or shape[0] % shape[1]:
        raise ValueError(f"{name}: shape {shape} came, a recurrent weight (k * H, H) was expected")
    return [array[k : k + shape[1]] for k in range(0, shape[0], shape[1])]
