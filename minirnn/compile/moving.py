"""The tangent of a scan is a scan: of the step that moves a state and its tangent together.

    step:    h' = f(p, h, x)                 moving step:    (h', Df (dp, dh, dx)) = F((p, dp), (h, dh), (x, dx))

`Moving` is that step as a cell. It is compiled like any other, and its backward pass gives second derivatives: with
y = f(a), the gradient of <g, f(a)> moves, when a moves by v, as the gradient of <g, Df(a) v> by a, and when g moves, by
the gradient along that; and <u, gradient> has Df(a) u for its gradient by g. `Gradient` is the gradient as a function.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import bundle, tree
from minirnn.boxes import dtype_of
from minirnn.transform import jvp

__all__ = ["Gradient", "Moving", "are_floats"]

Arrays = Sequence[Any]


def are_floats(arrays: Arrays) -> list[bool]:
    """Which arrays can move."""
    return [dtype_of(array).kind == "f" for array in arrays]


class Moving:
    """A cell and the tangents of its float arrays. State: (the cell's, its float arrays' tangents); x likewise; so is
    the output."""

    def __init__(self, cell: Any, tangents: Sequence[Any]):
        self.cell, self.tangents = cell, list(tangents)

    def step(self, state: Any, x: Any) -> tuple[Any, Any]:
        (state, t_state), (x, t_x) = state, x
        leaves, rebuild = tree.flatten((self.cell, state, x))
        moving = [k for k, is_float in enumerate(are_floats(leaves)) if is_float]
        again = tree.flatten(state)[1]
        shown: list[Any] = []

        def run(*moved: Any) -> tuple[Any, ...]:
            given = list(leaves)
            for k, leaf in zip(moving, moved, strict=True):
                given[k] = leaf
            cell, state, x = rebuild(given)
            new, output = cell.step(state, x)
            (states, _), (outputs, nested) = tree.flatten(new), tree.flatten(output)
            shown[:] = [len(states), nested]
            return *states, *outputs

        tangents = [*self.tangents, *t_state, *t_x]
        results, moved = jvp(run, [leaves[k] for k in moving], tangents)
        count, nested = shown
        floats = are_floats(results)
        t_states = [t for t, is_float in zip(moved[:count], floats[:count], strict=True) if is_float]
        t_outputs = [t for t, is_float in zip(moved[count:], floats[count:], strict=True) if is_float]
        return (again(results[:count]), t_states), (nested(results[count:]), t_outputs)

    __call__ = step

    def _arrays(self) -> list[Any]:
        return [*self.cell._arrays(), *self.tangents]


tree.register(
    Moving, lambda moving: ([("cell", moving.cell), ("tangents", moving.tangents)], lambda parts: Moving(*parts))
)


class Gradient(bundle.Rule):
    """A rule's backward pass as a function of its arrays and of its results' cotangents.

    moved(arrays, tangents) is the rule of the moving call, which knows its arrays and where the rule's own arrays,
    results and their tangents stand among its; None where there is none.
    """

    def __init__(
        self,
        rule: bundle.Rule,
        wanted: Sequence[int],
        count: int,
        moved: Callable[[Arrays, dict[int, Any]], Any],
    ):
        self.rule, self.wanted, self.count, self.moved = rule, list(wanted), count, moved

    def twin(self, *given: Any) -> tuple[Any, ...]:
        return tuple(bundle.twin_backward(self.rule, given[: self.count], given[self.count :], self.wanted))

    def forward(self, arrays: Arrays, keep: bool) -> tuple[tuple[Any, ...], Any]:
        of, cotangents = arrays[: self.count], arrays[self.count :]
        return tuple(self.rule.backward(of, self.rule.forward(of, True)[1], cotangents, self.wanted)), None

    def backward(self, arrays: Arrays, cache: Any, cotangents: Arrays, wanted: Sequence[int]) -> Arrays:
        of, g = arrays[: self.count], arrays[self.count :]
        tangents = {i: u for i, u in zip(self.wanted, cotangents, strict=True) if u is not None}
        found = self.moved(of, tangents)
        if found is None:
            return super().backward(arrays, cache, cotangents, wanted)
        results, d = self._through(found, [None] * len(g), g, [i for i in wanted if i < self.count])
        places, made = found.places_of_tangents(), iter(d)
        return [next(made) if i < self.count else _moved_by(results, places, i - self.count, g) for i in wanted]

    def tangent(self, arrays: Arrays, results: Arrays, tangents: dict[int, Any]) -> Arrays:
        of, g = arrays[: self.count], arrays[self.count :]
        moves = {i: t for i, t in tangents.items() if i < self.count}
        moved_g = [tangents.get(self.count + k) for k in range(len(g))]
        if not moves:
            return self.rule.backward(of, self.rule.forward(of, True)[1], moved_g, self.wanted)
        found = self.moved(of, moves)
        if found is None:
            return super().tangent(arrays, results, tangents)
        return self._through(found, moved_g, g, self.wanted)[1]

    def _through(self, found: Any, of_results: Arrays, of_tangents: Arrays, wanted: Sequence[int]) -> tuple[Any, Any]:
        """The moving call's results, and their gradient by the rule's own arrays under these cotangents."""
        results, cache = found.forward(found.arrays, True)
        cotangents: list[Any] = [None] * len(results)
        places, own = found.places_of_tangents(), found.places_of_arrays()
        for k, (g, moved_g) in enumerate(zip(of_results, of_tangents, strict=True)):
            cotangents[found.place_of_result(k)] = g
            if places[k] is not None:
                cotangents[places[k]] = moved_g
        return results, found.backward(found.arrays, cache, cotangents, [own[i] for i in wanted])


def _moved_by(results: Arrays, places: Sequence[int | None], k: int, g: Arrays) -> Any:
    place = places[k]
    return np.zeros_like(g[k]) if place is None else results[place]
