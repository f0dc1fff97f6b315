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
from minirnn.compile.rule import apart
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
        self._cell, self._frames, self._packed = call.cell, frames, packed
        self._parameters, self._kind = call.arrays, type(call.state)
        self.rebuild, self.rebuild_state = rebuild, call.rebuild_state  # of the leaves of outputs, of a state
        self._shape, self._dtype = call.xs.shape, call.xs.dtype
        leaves = (*frames.layout.outputs, *frames.layout.states)
        self.all_floats = {leaf.dtype.kind for leaf in leaves} == {"f"}  # the results, which then have gradients
        self.of_state = len(call.states)  # how many arrays a state has
        front = (1,) if packed else ()
        self._first = [(array.shape, array.dtype) for array in call.states]
        self._given = [((*front, *array.shape), array.dtype) for array in call.states]

    def __call__(self, xs: Any, state: Any) -> tuple[Any, Any] | None:
        states = self.states(xs, state)
        if states is None:
            return None
        outputs, final, _ = self.forward(xs, states, False)
        return self.rebuild(outputs), self.rebuild_state(final)

    def states(self, xs: Any, state: Any) -> list[Array] | None:
        """The arrays that the call begins with; None where it is of another kind."""
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
        return states

    def forward(self, xs: Array, states: list[Array], keep: bool) -> tuple[list[Array], list[Array], Any]:
        """The leaves of the outputs and of the final state, and what `backward` needs, if it is asked to `keep` it."""
        outputs, final, kept = self._frames.forward(self._parameters, [xs], states, keep)
        return outputs, self._with_front(final), kept

    def backward(
        self, kept: Any, cotangents: Sequence[Array | None], want_x: bool, wanted: Sequence[int]
    ) -> tuple[Array | None, list[Array], list[Array]]:
        """The gradients of xs, if it is wanted, of the state that came, and of those of the cell's arrays that are.
        cotangents: of the leaves of the outputs and of the final state, all floats, None for zeros."""
        count = len(cotangents) - len(self._first)
        given = [cotangents[:count], cotangents[count:]]
        d_xs, d_first, gradients = self._frames.backward(self._parameters, kept, *given, want_x, bool(wanted))
        return d_xs[0], self._with_front(d_first), apart([gradients[i] for i in wanted])

    def _with_front(self, states: list[Array]) -> list[Array]:
        return [array[None] for array in states] if self._packed else states

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
