"""Computed: a layer some of whose arrays are computed anew for every call, and bound for it.

The step, and whatever engine runs it, sees plain arrays of the usual names: weight drop, weight normalisation and
orthogonal matrices cost one small computation a call, and every kernel still runs.
"""

import inspect
from collections.abc import Mapping
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.layers.recurrent import Cell, RecurrentLayer, State
from minirnn.module import Array, Module
from minirnn.resets import Resets

__all__ = ["Computed", "RecurrentComputed", "matching"]


def matching(name: str, layer: Module, pattern: str) -> list[str]:
    """The dotted paths of the layer's parameters that a glob matches. ValueError: none does."""
    paths = list(layer.parameters(frozen=True))
    found = [path for path in paths if fnmatchcase(path, pattern)]
    if not found:
        raise ValueError(f"{name}: no parameter matches {pattern!r}; the paths are {', '.join(paths) or 'none'}")
    return found


class Computed(Module):
    """A layer, called as it is called itself, with what `computed(rng)` returns in the place of its own arrays.

    A subclass says which those are. Its twin for recurrent layers inherits from RecurrentComputed first, and is itself
    a recurrent layer. TypeError: not a layer.
    """

    layer: Any

    def __init__(self, layer: Module):
        name = type(self).__name__
        if isinstance(layer, Cell):
            raise TypeError(f"{name}: {type(layer).__name__} came, which is a cell; give its layer, Recurrent(cell)")
        if not isinstance(layer, Module) or not callable(layer):
            raise TypeError(f"{name}: {type(layer).__name__} came, a layer was expected")
        self.layer = layer
        if not isinstance(layer, RecurrentLayer):
            self.__signature__, self._hands_on_rng = _signature(layer)

    def computed(self, rng: np.random.Generator | None) -> Mapping[str, Array]:
        """Dotted path within the layer -> the array that stands there during this call."""
        raise NotImplementedError

    def bound(self, rng: np.random.Generator | None = None) -> Any:
        """The layer as it is during a call: a bound copy."""
        return self.layer.bind(self.computed(rng))

    def plain(self) -> Any:
        """A copy of the layer alone, its arrays those of a call without noise: for what is trained no more."""
        layer = deepcopy(self.layer)
        layer.load_state_dict(self.computed(None), strict=False)
        return layer

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        rng = keywords.get("rng") if self._hands_on_rng else keywords.pop("rng", None)
        return self.bound(rng)(*args, **keywords)


def _signature(layer: Any) -> tuple[inspect.Signature, bool]:
    """What a call takes: what the layer takes, and an rng; and whether the layer takes one too."""
    taken = dict(inspect.signature(layer).parameters)
    if getattr(layer, "recurrent", None) is False:  # a Sequential that holds no recurrent layer
        taken = {name: taken[name] for name in taken if name not in ("state", "lengths", "resets", "reset_state")}
    takes_rng = "rng" in taken
    named = [one.replace(annotation=inspect.Parameter.empty) for one in taken.values()]
    if not takes_rng:
        named.append(inspect.Parameter("rng", inspect.Parameter.KEYWORD_ONLY, default=None))
    return inspect.Signature(named), takes_rng


class RecurrentComputed(RecurrentLayer, Computed):
    """The same around a recurrent layer: it stands wherever one stands, with the layer's states and layouts."""

    batch_first = property(lambda self: self.layer.batch_first)
    engine = property(lambda self: self.layer.engine)
    input_size = property(lambda self: self.layer.input_size)
    output_size = property(lambda self: self.layer.output_size)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return self.layer.initial_state(batch_size, dtype)

    def batch_axes(self) -> Any:
        return self.layer.batch_axes()

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        outputs, final = self.bound(rng).run(xs, state, lengths, rng, engine, resets)
        return outputs, final
