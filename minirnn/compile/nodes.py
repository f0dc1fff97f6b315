"""A step that no loop program holds: its graph, and that of its derivative, computed node by node at every step.

Nothing is known here but what each node computes, so that every graph can run this way. It is for what loop programs
have not learnt yet, and slower. What a step computes is not kept: backward computes it again.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from minirnn.compile.calls import OfParameters, Values
from minirnn.compile.ir import Graph, evaluate_into
from minirnn.compile.place import is_row_wise, place
from minirnn.compile.program import Program, layout_of
from minirnn.compile.shares import Task
from minirnn.compile.tape import Beginnings
from minirnn.compile.trace import Traced
from minirnn.module import Array

__all__ = ["nodes_of"]

Arrays = Sequence[Any]


def nodes_of(traced: Traced, graph: Graph) -> Program:
    """The program of the step's graph."""
    placed = place(graph, hoist=False)
    ahead, back = _Nodes(placed, placed.forward), _Nodes(placed, placed.backward)
    layout = layout_of(traced, placed)._replace(row_wise=is_row_wise(graph, placed.known))
    runs, text = (ahead.forward, back.backward), partial(str, graph)
    return Program(layout, ahead.known, back.known, *runs, back.finish, False, text)


class _Nodes(OfParameters):
    """One direction."""

    def results(self, kind: str) -> list[Any]:
        return self.placed.results(kind)

    def finish(self, parameters: Arrays, once: Values, sums: Arrays) -> list[Any]:
        return self.gradients(parameters, once, sums)

    def forward(
        self, n: int, b: int, p: Arrays, once: Values, x: Arrays, s: Arrays, k: Arrays, y: Arrays, keep: bool,
        outside: Any, anew: Beginnings | None, work: Any,
    ) -> Task:  # fmt: skip
        """The call that runs n steps of b rows."""
        return partial(self._ahead, n, b, once, x, s, y, outside, anew)

    def backward(
        self, n: int, b: int, p: Arrays, once: Values, x: Arrays, s: Arrays, k: Arrays, y: Arrays, d: Arrays,
        dx: Arrays, sums: Arrays, starts: bool, wants: tuple[bool, bool], outside: Any,
        anew: Beginnings | None, work: Any,
    ) -> Task:  # fmt: skip
        return partial(self._back, n, b, once, x, s, y, [array[:b] for array in d], dx, sums, starts, outside, anew)

    def _ahead(
        self,
        n: int,
        b: int,
        once: Values,
        x: Arrays,
        s: Arrays,
        y: Arrays,
        outside: Array | None,
        anew: Beginnings | None,
    ) -> None:
        for t in range(n):
            now, then = slice(t * b, t * b + b), slice(t * b + b, t * b + 2 * b)
            if anew is not None:
                for array, left, made in zip(anew.given, s, anew.states, strict=True):
                    array[now] = np.where(_over(anew.begins[t], array), made, left[now])
            known = self._step(once, b, {"input": _cut(x, now), "state": _cut(_given(s, anew), now)})
            for array, node in zip(s, self.results("state"), strict=True):
                array[then] = known[node]
                if outside is not None:
                    np.copyto(array[then], array[now], where=_over(outside[now], array))
            for array, node in zip(y, self.results("output"), strict=True):
                array[now] = known[node]

    def _back(
        self, n: int, b: int, once: Values, x: Arrays, s: Arrays, y: Arrays, d: Arrays, dx: Arrays, sums: Arrays,
        starts: bool, outside: Array | None, anew: Beginnings | None,
    ) -> None:  # fmt: skip
        for t in reversed(range(n)):
            now, held = slice(t * b, t * b + b), [array.copy() for array in d]
            if outside is not None:
                for array in d:
                    np.copyto(array, 0, where=_over(outside[now], array))
            then = slice(now.stop, now.stop + b)
            there = dict(zip(self.results("state"), _cut(s, then), strict=True))
            before = _cut(_given(s, anew), now)
            given = {"input": _cut(x, now), "state": before, "d_output": _cut(y, now), "d_state": list(d)}
            known = self._step({**there, **once}, b, given)
            new = [np.array(known[node]) for node in self.results("d_state") if node is not None]
            for array, value, before in zip(d, new, held, strict=True):
                array[...] = value
                if outside is not None:
                    np.copyto(array, before, where=_over(outside[now], array))
            if anew is not None:
                for array, total in zip(d, anew.d_states, strict=True):
                    made = _over(anew.begins[t], array)
                    np.add(total, array, out=total, where=made)
                    np.copyto(array, 0, where=made)
            for array, node in zip(dx, self.results("d_input"), strict=True):
                if array is not None:
                    array[now] = known[node]
            for array, node in zip(sums, self.part.sums, strict=False):  # none where none is asked for
                array[...] = known[node] if starts else array + known[node]
            starts = False

    def _step(self, once: Values, b: int, given: Mapping[str, Arrays]) -> Values:
        """The values of a step, of what is known before and of its arguments by kind."""
        known = dict(once)
        for kind, arrays in given.items():
            known.update(zip(self.placed.of_kind(kind), arrays, strict=True))
        evaluate_into(known, self.part.loop, b)
        return known


def _cut(arrays: Arrays, now: slice) -> list[Any]:
    return [array[now] for array in arrays]


def _given(s: Arrays, anew: Beginnings | None) -> Arrays:
    """What steps are given: what the one before left, unless some are made anew."""
    return s if anew is None else anew.given


def _over(outside: Array, array: Array) -> Array:
    """Flags of rows, (b, 1), as they fit an array of these rows."""
    return outside.reshape(-1, *[1] * (array.ndim - 1))
