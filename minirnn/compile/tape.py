"""What a share of a call keeps of its steps, and what a block of them is told where sequences begin within it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.program import Layout
from minirnn.compile.trace import Leaf
from minirnn.compile.workspace import Workspace
from minirnn.module import Array

__all__ = ["Beginnings", "Tape"]


class Tape(NamedTuple):
    """Rows (steps * count, ...). states: what the steps left, behind that before the first, one step more than there
    are; given: what the steps were given, empty where that is what the one before left; stored: for backward."""

    states: list[Array]
    given: list[Array]
    stored: list[Array]

    @staticmethod
    def in_memory(
        layout: Layout, memory: Workspace, steps: int, count: int, anew: bool, more: int | None = None
    ) -> "Tape":
        """anew: whether states are made anew before some steps; more: rows of states before the first step, by default
        as many as any step has."""
        rows = steps * count

        def arrays(leaves: Sequence[Leaf], rows: int, what: str) -> list[Array]:
            return [memory.array(f"{what} {k}", (rows, *leaf.shape), leaf.dtype) for k, leaf in enumerate(leaves)]

        given = arrays(layout.states, rows, "given") if anew else []
        states = arrays(layout.states, rows + (count if more is None else more), "state")
        return Tape(states, given, arrays(layout.stored, rows, "stored"))

    @staticmethod
    def of_spans(layout: Layout, memory: Workspace, spans: Sequence[tuple[int, int]], anew: bool) -> "list[Tape]":
        """One each for (steps, count), behind one another."""
        rows = sum(steps * count for steps, count in spans)
        whole = Tape.in_memory(layout, memory, 1, rows, anew, sum(count for _, count in spans))
        tapes, at, state_at = list[Tape](), 0, 0
        for steps, count in spans:
            these, with_first = slice(at, at + steps * count), slice(state_at, state_at + (steps + 1) * count)
            given, stored = [array[these] for array in whole.given], [array[these] for array in whole.stored]
            tapes.append(Tape([array[with_first] for array in whole.states], given, stored))
            at, state_at = these.stop, with_first.stop
        return tapes

    def block(self, first: int, last: int, count: int) -> "Tape":
        """The steps from `first` on, to before `last`."""
        rows, one_more = slice(first * count, last * count), slice(first * count, (last + 1) * count)
        given, stored = [array[rows] for array in self.given], [array[rows] for array in self.stored]
        return Tape([array[one_more] for array in self.states], given, stored)


class Beginnings(NamedTuple):
    """begins: (n, b, 1), before which steps a row's state is made anew; states: what it then is, (b, ...); given: as
    on the tape; d_states: the cotangents of `states`, which are added to, of those that are floats."""

    begins: Array
    states: Sequence[Any]
    given: Sequence[Any]
    d_states: Sequence[Any] = ()

    def flags(self) -> Array:
        """(n*b, 1)"""
        return np.ascontiguousarray(self.begins).reshape(-1, 1)
