"""DeepTransition: several transitions of the state between two time steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import check_like
from minirnn.layers.recurrent import Cell, RecurrentLayer, State
from minirnn.layers.sizes import as_shape
from minirnn.module import Array, Module

__all__ = ["DeepTransition"]


class DeepTransition(Cell):
    """A cell, and further transitions of its state before the next step.

        s_0 = first(s, x)
        s_k = transition_k(s_{k-1})                     for k = 1 .. n
        s'  = s_n

    x: (B, I). State: the first cell's. A transition is a Module from (B, H) to (B, H), where the state is that one
    array, as in the DT-RNN of Pascanu et al. 2014, arXiv:1312.6026, or a Cell with the first one's state, of any
    family, which takes no input and is given zeros: transition_k(s) = cell(s, 0), as in the deep transition GRU of
    Miceli Barone et al. 2017, arXiv:1707.07631. Its input size is then of no use, build it as 1; the weights on it get
    a gradient of zero. Output: the last cell's, or after a Module the state.

        DeepTransition(GRUCell(29, 100, rng=rng), [GRUCell(1, 100, rng=rng) for _ in range(3)])

    ValueError: no transitions, or a state of other names, shapes or dtypes. TypeError: neither a Cell nor a Module that
    maps an array, or a Module where the state is several arrays.
    """

    def __init__(self, first: Cell, transitions: Sequence[Module]):
        if not isinstance(first, Cell):
            raise TypeError(f"DeepTransition: {type(first).__name__} came first, a Cell was expected")
        if not transitions:
            raise ValueError("DeepTransition: no transitions came, at least one was expected")
        self.input_size, self.hidden_size = first.input_size, first.hidden_size
        state = first.initial_state(1)
        for k, transition in enumerate(transitions):
            _check_transition(f"DeepTransition: transitions.{k} ({type(transition).__name__})", transition, state)
        self.first, self.transitions = first, tuple(transitions)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return self.first.initial_state(batch_size, dtype)

    def counts_steps(self) -> bool:
        return any(cell.counts_steps() for cell in (self.first, *self.transitions) if isinstance(cell, Cell))

    def inputs(self, xs: Array, *, rng: np.random.Generator | None = None, **start: Any) -> Any:
        """What each of the cells takes, in order: the first one's from xs (T, B, I), the others' from zeros. start: for
        those that count steps."""
        found = [_inputs(self.first, xs, rng, start)]
        for cell in self.transitions:
            if isinstance(cell, Cell):
                zeros = np.zeros((*shape_of(xs)[:2], *as_shape(cell.input_size)), dtype_of(xs))
                found.append(_inputs(cell, zeros, rng, start))
        return tuple(found)

    def step(self, state: State, x: Any) -> tuple[State, Any]:
        state, output = self.first.step(state, x[0])
        coming = iter(x[1:])
        for transition in self.transitions:
            if isinstance(transition, Cell):
                state, output = transition.step(state, next(coming))
            else:
                state = output = transition(state)  # type: ignore[operator]
        return state, output


def _inputs(cell: Cell, xs: Any, rng: Any, start: Mapping[str, Any]) -> Any:
    make: Any = cell.inputs
    return make(xs, rng=rng, **start) if cell.counts_steps() else make(xs, rng=rng)


def _check_transition(name: str, transition: Module, state: State) -> None:
    if isinstance(transition, Cell):
        check_like(f"{name}: state", state, transition.initial_state(1))
        return
    if isinstance(transition, RecurrentLayer) or not (isinstance(transition, Module) and callable(transition)):
        raise TypeError(f"{name}: a Cell, or a Module from (B, H) to (B, H), was expected")
    if not hasattr(state, "shape"):
        raise TypeError(f"{name}: the state is {type(state).__name__} of several arrays, which takes a Cell")
    check_like(f"{name}: result", state, transition(state))
