"""A layer's calls that differ from the one before in nothing but numbers: what was found for that holds for these.

A model that is run one step at a time makes such calls, and looking at each of them anew takes several times as long as
its arithmetic. Everything that could have changed is held against what it was, by identity: the attributes of the
layer and of the modules within it, the code of the step, the engine, the tier and the number of threads that are
chosen, the shapes and dtypes of what comes. Numbers are read anew at every call.
"""

import math
from collections.abc import Callable, Sequence
from operator import is_, itemgetter
from typing import Any
from weakref import ref

import numpy as np

from minirnn import threads, tier
from minirnn.call import Call
from minirnn.compile import sequence
from minirnn.compile.engine import found_for
from minirnn.compile.key import known_by_memo
from minirnn.module import Array, Module

__all__ = ["Steady", "steady"]

_PASSED_BY = {"_cached_plan", "_memo", "_steady"}


class _Same:
    """A module whose attributes are the objects that they were."""

    def __init__(self, module: Module):
        held = module.__dict__
        self._module, self._count = ref(module), len(held)  # no cycle: a layer keeps this
        self._read = itemgetter(*[name for name in held if name not in _PASSED_BY])
        self._values = self._read(held)

    def holds(self) -> bool:
        held = self._module().__dict__
        try:
            return len(held) == self._count and all(map(is_, self._read(held), self._values))
        except KeyError:
            return False


def _surroundings(engine: Callable[[], str]) -> tuple[Any, ...]:
    return engine(), tier.chosen(), threads.get_num_threads()


class Steady:
    """steady(xs, state) -> (outputs, final state), or None where the call is of another kind."""

    def __init__(
        self, modules: Sequence[Module], call: Call, packed: bool, engine: Callable[[], str], frames: Any, rebuild: Any
    ):
        self._engine, self._around = engine, _surroundings(engine)
        self._modules = [_Same(module) for module in modules]
        self._cell, self._frames, self._rebuild, self._packed = call.cell, frames, rebuild, packed
        self._parameters, self._kind, self._rebuild_state = call.arrays, type(call.state), call.rebuild_state
        self._shape, self._dtype = call.xs.shape, call.xs.dtype
        front = (1,) if packed else ()
        self._first = [(array.shape, array.dtype) for array in call.states]
        self._given = [((*front, *array.shape), array.dtype) for array in call.states]

    def __call__(self, xs: Any, state: Any) -> tuple[Any, Any] | None:
        if type(xs) is not np.ndarray or xs.shape != self._shape or xs.dtype != self._dtype:
            return None
        if state is None:
            states = self._taken_apart(self._cell.initial_state(self._shape[1], self._dtype), self._first)
        else:
            states = self._taken_apart(state, self._given)
        if (
            states is None
            or self._around != _surroundings(self._engine)
            or not all(same.holds() for same in self._modules)
        ):
            return None
        if not known_by_memo(self._cell) or not math.isfinite(np.vdot(xs, xs)):
            return None
        outputs, final, _ = self._frames.forward(self._parameters, [xs], states, False)
        if self._packed:
            final = [array[None] for array in final]
        return self._rebuild(outputs), self._rebuild_state(final)

    def _taken_apart(self, state: Any, expected: Sequence[tuple[Any, Any]]) -> list[Array] | None:
        """The state's arrays, where they are such as came before."""
        if type(state) is not self._kind:
            return None
        states = [state] if self._kind is np.ndarray else list(state)
        for array, (shape, dtype) in zip(states, expected, strict=True):
            if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
                return None
        return states


def steady(
    modules: Sequence[Module], cell: Module, xs: Any, state: Any, packed: bool, engine: Callable[[], str]
) -> Steady | None:
    """For calls like this one: xs (T, B, ...), and the state as the cell takes it; None where there is no short way.
    modules: the layer and all within it, whose attributes decide what is run; packed: the layer's states have an axis
    of length 1 in front; engine(): the one that is chosen around the call."""
    if type(xs) is not np.ndarray or engine() != "auto" or not known_by_memo(cell):
        return None
    call = Call(cell, state, xs, None, False, None)
    parts = call.state if hasattr(type(call.state), "_fields") else [call.state]
    if {type(part) for part in parts} != {np.ndarray}:
        return None
    found = found_for(call)
    frames = None if found is None else sequence.frames(found.program(call), call.steps, call.batch)
    if found is None or frames is None or len(set(map(id, call.arrays))) != len(call.arrays):
        return None
    return Steady(modules, call, packed, engine, frames, found.rebuild)
