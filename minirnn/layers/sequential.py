"""Sequential: layers one after the other, recurrent or not; Function, a plain function among them."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as onp
from numpy.typing import DTypeLike

from minirnn.checks import as_generator
from minirnn.layers.recurrent import State
from minirnn.module import Array, Module

__all__ = ["Function", "Sequential"]


class Function(Module):
    """A plain function of an array as a Module, for a place in Sequential: Function(np.tanh)."""

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function

    def __call__(self, x: Array) -> Array:
        return self.function(x)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class Sequential(Module):
    """Layers one after the other: Sequential(Embedding(65, 64), LSTM(64, 128), Linear(128, 65)).

    Called with (xs, state=None, *, lengths=None, rng=None), it hands the rng and lengths to the layers that take
    them, and states to the recurrent ones. With a recurrent layer among them it returns (outputs, states), one state
    each as a tuple; with none, the outputs alone. Plain functions are welcome as layers.
    """

    def __init__(self, *layers: Module | Callable[[Array], Array]):
        if not layers:
            raise ValueError("Sequential: no layers came, at least one was expected")
        self.layers: Sequence[Any] = tuple(
            [layer if isinstance(layer, Module) else Function(layer) for layer in layers]
        )
        self._takes = tuple([_keywords(layer) for layer in self.layers])
        self.recurrent = any("state" in takes for takes in self._takes)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        """The recurrent layers' states before the first step, as a tuple."""
        pairs = zip(self.layers, self._takes, strict=True)
        return tuple([layer.initial_state(batch_size, dtype) for layer, takes in pairs if "state" in takes])

    def batch_axes(self) -> Any:
        """Which axis of each array of the states is the batch, nested as the states."""
        return tuple(
            [layer.batch_axes() for layer, takes in zip(self.layers, self._takes, strict=True) if "state" in takes]
        )

    def __call__(
        self, xs: Array, state: State = None, *, lengths: Any = None, rng: onp.random.Generator | None = None
    ) -> Any:
        count = sum("state" in takes for takes in self._takes)
        if state is None:
            state = (None,) * count
        if rng is not None:
            as_generator("Sequential", rng)
        if not isinstance(state, tuple) or len(state) != count:
            raise ValueError(
                f"Sequential: {type(state).__name__} came as state, a tuple of {count} states was expected"
            )
        if lengths is not None and not any("lengths" in takes for takes in self._takes):
            raise ValueError("Sequential: lengths came, and no layer takes them")
        coming, finals = iter(state), []
        for layer, takes in zip(self.layers, self._takes, strict=True):
            keywords = {name: value for name, value in (("rng", rng), ("lengths", lengths)) if name in takes}
            if "state" in takes:
                xs, final = layer(xs, next(coming), **keywords)
                finals.append(final)
            else:
                xs = layer(xs, **keywords)
        return (xs, tuple(finals)) if self.recurrent else xs


def _keywords(layer: Module) -> frozenset[str]:
    """Which of state, lengths and rng a layer takes; a Sequential without recurrent layers takes no state."""
    if isinstance(layer, Sequential) and not layer.recurrent:
        return frozenset({"rng"}.union(*layer._takes))
    if not callable(layer):
        raise TypeError(f"Sequential: {type(layer).__name__} cannot be called")
    return frozenset(inspect.signature(layer).parameters) & {"state", "lengths", "rng"}
