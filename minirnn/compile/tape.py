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
    def in_memory(layout: Layout, memory: Workspace, steps: int, count: int, anew: bool) -> "Tape":
        """anew: whether states are made anew before some steps."""

        def arrays(leaves: Sequence[Leaf], steps: int, what: str) -> list[Array]:
            return [memory.array(f"{what} {k}", (steps * count, *l.shape), l.dtype) for k, l in enumerate(leaves)]

        given = arrays(layout.states, steps, "given") if anew else []
        return Tape(arrays(layout.states, steps + 1, "state"), given, arrays(layout.stored, steps, "stored"))

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
