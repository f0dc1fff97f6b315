"""A compiled call among differentiable functions: its results, its backward pass, and how these move (moving.py)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minirnn import bundle, reference, tree
from minirnn.boxes import dtype_of, shape_of
from minirnn.call import Call
from minirnn.compile import sequence
from minirnn.compile.frames import Kept
from minirnn.compile.moving import Gradient, Moving, are_floats
from minirnn.compile.order import Order
from minirnn.compile.packing import Packing
from minirnn.compile.program import Program
from minirnn.module import Array
from minirnn.transform import jvp

__all__ = ["Compiled", "apart", "arrays_of", "is_compiled", "run"]

MovingProgram = Callable[[Call], Program | None]


def run(call: Call, program: Program, rebuild: Callable[..., Any], moving: MovingProgram) -> tuple[Any, Any]:
    """(final state, outputs) of a call; rebuild: the outputs' nesting, of their leaves; moving(call): the program of
    the call of the moving cell, or None.

    What is not compiled is the reference's.
    """
    if not is_compiled(call, program):
        return reference.run(call.cell, call.state, call.xs, call.lengths, call.reverse, call.every, call.anew)
    rule = Compiled(call, program, moving)
    results = bundle.call(rule, [*call.columns, *call.states, *call.fresh, *arrays_of(call)])
    count = len(program.layout.outputs)
    return call.rebuild_state(results[count:]), rebuild(results[:count])


def is_compiled(call: Call, program: Program) -> bool:
    """Not so are sequences of different lengths where rows of the batch meet: what stands beside a sequence that is
    over then matters."""
    return call.lengths is None or bool(program.layout.row_wise and call.lengths.any())


def arrays_of(call: Call) -> list[Any]:
    """The cell's distinct arrays, in the order in which the tree module finds them."""
    return call.arrays if len(set(map(id, call.arrays))) == len(call.arrays) else tree.leaves(call.cell)


class Compiled(bundle.Rule):
    """arrays: the inputs, the states, what they are when made anew, if they are, the cell's arrays. Results: the
    outputs, the final states."""

    def __init__(self, call: Call, program: Program, moving: MovingProgram):
        self.call, self.program, self.moving = call, program, moving
        self.first_state = len(call.columns)
        self.first_anew = self.first_state + len(call.states)
        self.first_parameter = self.first_anew + len(call.fresh)
        self.every = call.every if call.every is not None and call.every < call.steps else None
        self.frames = None
        if call.lengths is None and call.anew is None and not call.reverse and self.every is None:
            self.frames = sequence.frames(program, call.steps, call.batch)

    def twin(self, *given: Any) -> tuple[Any, ...]:
        """The slow twin."""
        call = self.call
        bound = tree.flatten(call.cell)[1](given[self.first_parameter :])
        xs = call.rebuild_xs(given[: self.first_state])
        state = call.rebuild_state(given[self.first_state : self.first_anew])
        anew = None if call.anew is None else call.anew._replace(state=self._anew(given))
        final, outputs = reference.run(bound, state, xs, call.lengths, call.reverse, call.every, anew)
        return *tree.leaves(outputs), *tree.leaves(final)

    def _anew(self, arrays: Sequence[Any]) -> Any:
        """The state made anew."""
        return self.call.rebuild_state(arrays[self.first_anew : self.first_parameter])

    def _problem(self, arrays: Sequence[Array]) -> tuple[Order | Packing, sequence.Problem]:
        call, program = self.call, self.program
        order = sequence.ordered(program, call.lengths, (call.steps, call.batch), call.reverse)
        xs = [order.there(array) for array in arrays[: self.first_state]]
        given, fresh = arrays[self.first_parameter :], arrays[self.first_anew : self.first_parameter]
        anew = [np.ascontiguousarray(order.rows(array)) for array in fresh]
        begins = None if call.anew is None else order.begins(call.anew.begins)
        packing = order if isinstance(order, Packing) else None
        return order, sequence.Problem(program, given, xs, self.every, packing, begins, anew)

    def forward(self, arrays: Sequence[Array], keep: bool) -> tuple[tuple[Array, ...], Any]:
        given = arrays[self.first_state : self.first_anew]
        if self.frames is not None:
            parameters = arrays[self.first_parameter :]
            made, last, held = self.frames.forward(parameters, arrays[: self.first_state], given, keep)
            return (*made, *last), held
        order, problem = self._problem(arrays)
        states = [order.rows(array) for array in given]
        outputs = [order.room(leaf.shape, leaf.dtype) for leaf in self.program.layout.outputs]
        final = [np.empty(array.shape, array.dtype) for array in states]
        with order.quiet():
            cache = sequence.forward(problem, states, outputs, final, keep)
        results = [*map(order.back, outputs), *map(order.held, given, final)]
        return tuple(results), (order, problem, cache) if keep else None

    def backward(
        self, arrays: Sequence[Array], cache: Any, cotangents: Sequence[Any], wanted: Sequence[int]
    ) -> list[Array]:
        layout, count = self.program.layout, len(self.program.layout.outputs)
        if self.frames is not None:
            return self._backward_at_once(arrays, cache, cotangents, wanted)
        order, problem, kept = cache
        d_outputs = [
            None if g is None else order.there(g)
            for g, leaf in zip(cotangents[:count], layout.outputs, strict=True)
            if leaf.dtype.kind == "f"
        ]
        d_left = [g for g, leaf in zip(cotangents[count:], layout.states, strict=True) if leaf.dtype.kind == "f"]
        d_final = [None if g is None else order.rows(g) for g in d_left]
        asked = set(wanted)
        d_xs = {
            i: order.room(leaf.shape, leaf.dtype) if i in asked else None
            for i, leaf in enumerate(layout.inputs)
            if leaf.dtype.kind == "f"
        }
        of_parameters, rooms = any(i >= self.first_parameter for i in asked), list(d_xs.values())
        with order.quiet():
            d_first, d_anew, gradients = sequence.backward(problem, kept, d_outputs, d_final, rooms, of_parameters)
        pads = problem.packing is not None and problem.packing.pads
        if pads and not all(np.isfinite(g).all() for g in gradients if g is not None):
            return list(super().backward(arrays, None, cotangents, wanted))  # a state that is held: see Packing
        found: dict[int, Any] = {i: None if d is None else order.back(d) for i, d in d_xs.items()}
        floats = [i for i, leaf in enumerate(layout.states, self.first_state) if leaf.dtype.kind == "f"]
        for i, d, left in zip(floats, d_first, d_left, strict=True):
            found[i] = order.held(np.zeros_like(arrays[i]) if left is None else left, d)
        for i, d in zip(floats, d_anew, strict=False):
            found[i + len(layout.states)] = order.held(np.zeros_like(arrays[i]), d)
        found |= dict(enumerate(gradients, self.first_parameter))
        return apart([found[i] for i in wanted])

    def _backward_at_once(
        self, arrays: Sequence[Array], kept: Kept, cotangents: Sequence[Any], wanted: Sequence[int]
    ) -> list[Array]:
        """As backward, of a call that a frame holds."""
        assert self.frames is not None
        layout, count = self.program.layout, len(self.program.layout.outputs)
        d_outputs = [g for g, leaf in zip(cotangents[:count], layout.outputs, strict=True) if leaf.dtype.kind == "f"]
        d_final = [g for g, leaf in zip(cotangents[count:], layout.states, strict=True) if leaf.dtype.kind == "f"]
        wants = any(i < self.first_state for i in wanted), any(i >= self.first_parameter for i in wanted)
        d_xs, d_first, gradients = self.frames.backward(
            arrays[self.first_parameter :], kept, d_outputs, d_final, *wants
        )
        first = iter(d_first)
        d_states = [next(first) if leaf.dtype.kind == "f" else None for leaf in layout.states]
        found = [*d_xs, *d_states, *gradients]
        return apart([found[i] for i in wanted])

    # ------------------------------------------------------------ tangents, and gradients that are differentiated
    def _moved(self, arrays: Sequence[Any], tangents: dict[int, Any]) -> "_Moved | None":
        """The rule of the moving call; None where it cannot be compiled, or not for sequences of different lengths."""
        floats = are_floats(arrays)
        t = [_tangent(a, tangents.get(i)) for i, a in enumerate(arrays) if floats[i]]
        ends = self.first_state, self.first_anew, self.first_parameter
        of_x, of_state, of_anew = [sum(floats[:end]) for end in ends]
        moving = Moving(tree.flatten(self.call.cell)[1](arrays[self.first_parameter :]), t[of_anew:])
        state = self.call.rebuild_state(arrays[self.first_state : self.first_anew]), t[of_x:of_state]
        xs = self.call.rebuild_xs(arrays[: self.first_state]), t[:of_x]
        resets: tuple[Any, Any] = (None, None)
        if self.call.anew is not None:
            resets = self.call.resets, (self._anew(arrays), t[of_state:of_anew])
        call = Call(moving, state, xs, self.call.lengths, self.call.reverse, self.call.every, *resets)
        program = self.moving(call)
        if program is None or (call.lengths is not None and not program.layout.row_wise):
            return None
        return _Moved(self, call, program, floats)

    def tangent(self, arrays: Sequence[Any], results: Sequence[Any], tangents: dict[int, Any]) -> Sequence[Any]:
        moved = self._moved(arrays, tangents)
        if moved is None:
            return super().tangent(arrays, results, tangents)
        return moved.tangents_of(moved.forward(moved.arrays, False)[0])

    def tangent_again(self, arrays: Sequence[Any], tangents: dict[int, Any]) -> Sequence[Any]:
        moved = self._moved(arrays, tangents)
        if moved is None:
            return super().tangent_again(arrays, tangents)
        return moved.tangents_of(bundle.call(moved, moved.arrays))

    def backward_again(self, arrays: Sequence[Any], cotangents: Sequence[Any], wanted: Sequence[int]) -> Sequence[Any]:
        gradient = Gradient(self, wanted, len(arrays), self._moved)
        return bundle.call(gradient, [*arrays, *cotangents])


class _Moved(Compiled):
    """The rule of a moving call, with its arrays."""

    def __init__(self, rule: Compiled, call: Call, program: Program, floats: Sequence[bool]):
        super().__init__(call, program, lambda call: None)
        self.of, self.floats = rule, floats
        self.arrays = [*call.columns, *call.states, *call.fresh, *tree.leaves(call.cell)]

    def twin(self, *given: Any) -> tuple[Any, ...]:
        """The slow twin: the tangent of the rule's."""
        places = self.places_of_arrays()
        own, taken = [given[k] for k in places], set(places)
        moving = [i for i, is_float in enumerate(self.floats) if is_float]
        tangents = [array for k, array in enumerate(given) if k not in taken]

        def run(*moved: Any) -> tuple[Any, ...]:
            arrays = list(own)
            for i, array in zip(moving, moved, strict=True):
                arrays[i] = array
            return self.of.twin(*arrays)

        results, moved = jvp(run, [own[i] for i in moving], tangents)
        count = len(self.of.program.layout.outputs)
        parts: list[Any] = []
        for cut in (slice(0, count), slice(count, None)):
            parts += results[cut]
            parts += [t for y, t in zip(results[cut], moved[cut], strict=True) if dtype_of(y).kind == "f"]
        return tuple(parts)

    def places_of_arrays(self) -> list[int]:
        """Where the rule's arrays stand among those of the moving call: each kind's tangents follow it."""
        ends = (0, self.of.first_state, self.of.first_anew, self.of.first_parameter, len(self.floats))
        places, at = list[int](), 0
        for start, stop in pairwise(ends):
            places += range(at, at + stop - start)
            at += stop - start + sum(self.floats[start:stop])
        return places

    def place_of_result(self, k: int) -> int:
        """Where the rule's k-th result stands among the moving call's."""
        outputs = self.of.program.layout.outputs
        return k if k < len(outputs) else k + sum(leaf.dtype.kind == "f" for leaf in outputs)

    def places_of_tangents(self) -> list[int | None]:
        """Where the tangents of the rule's results stand; None for what is no float."""
        places: list[int | None] = []
        at = 0
        for leaves in (self.of.program.layout.outputs, self.of.program.layout.states):
            at += len(leaves)
            for leaf in leaves:
                places.append(at if leaf.dtype.kind == "f" else None)
                at += leaf.dtype.kind == "f"
        return places

    def tangents_of(self, results: Sequence[Any]) -> list[Any]:
        """The tangents of the rule's results among the moving call's."""
        return [
            _tangent(results[self.place_of_result(k)], None) if place is None else results[place]
            for k, place in enumerate(self.places_of_tangents())
        ]


def _tangent(array: Any, tangent: Any) -> Any:
    return np.zeros(shape_of(array), dtype_of(array)) if tangent is None else tangent


def apart(arrays: Sequence[Any]) -> list[Array]:
    """The arrays, sharing memory with nothing."""
    seen: set[int] = set()
    made = []
    for array in arrays:
        if array.base is not None or id(array) in seen:
            array = np.array(array)
        seen.add(id(array))
        made.append(array)
    return made
