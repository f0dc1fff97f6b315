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

_HANDED_ON = {"state", "lengths", "rng", "resets", "reset_state"}


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

    Called with (xs, state=None, *, lengths=None, rng=None, resets=None, reset_state=None), it hands the rng, lengths
    and resets to the layers that take them, and states to the recurrent ones. With a recurrent layer among them it
    returns (outputs, states), one state each as a tuple; with none, the outputs alone. Plain functions are welcome as
    layers. ValueError: lengths or resets that no layer takes, or resets that a layer with a state does not.
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
        self,
        xs: Array,
        state: State = None,
        *,
        lengths: Any = None,
        rng: onp.random.Generator | None = None,
        resets: Any = None,
        reset_state: State = None,
    ) -> Any:
        state, anew = self._each("state", state), self._each("reset_state", reset_state)
        if rng is not None:
            as_generator("Sequential", rng)
        given = {"lengths": lengths, "resets": resets, "rng": rng}
        for what in ("lengths", "resets"):
            if given[what] is not None and not any(what in takes for takes in self._takes):
                raise ValueError(f"Sequential: {what} came, and no layer takes them")
        for k, takes in enumerate(self._takes):
            if resets is not None and "state" in takes and "resets" not in takes:
                name = type(self.layers[k]).__name__
                raise ValueError(f"Sequential: resets came, and layers.{k} ({name}), which has a state, takes none")
        if resets is None and reset_state is not None:
            raise ValueError("Sequential: reset_state came without resets, which say where the state becomes that one")
        coming, following, finals = iter(state), iter(anew), []
        for layer, takes in zip(self.layers, self._takes, strict=True):
            keywords = {name: given[name] for name in given if name in takes}
            if "state" in takes:
                then = next(following)
                if "reset_state" in takes:
                    keywords["reset_state"] = then
                xs, final = layer(xs, next(coming), **keywords)
                finals.append(final)
            else:
                xs = layer(xs, **keywords)
        return (xs, tuple(finals)) if self.recurrent else xs

    def _each(self, what: str, states: State) -> State:
        """The recurrent layers' states, None for each where none came."""
        count = sum("state" in takes for takes in self._takes)
        if states is None:
            return (None,) * count
        if not isinstance(states, tuple) or len(states) != count:
            raise ValueError(
                f"Sequential: {type(states).__name__} came as {what}, a tuple of {count} states was expected"
            )
        return states


def _keywords(layer: Module) -> frozenset[str]:
    """Which of what a Sequential is called with a layer takes; one without recurrent layers takes no state."""
    if isinstance(layer, Sequential) and not layer.recurrent:
        return frozenset({"rng"}.union(*layer._takes))
    if not callable(layer):
        raise TypeError(f"Sequential: {type(layer).__name__} cannot be called")
    return frozenset(inspect.signature(layer).parameters) & _HANDED_ON
