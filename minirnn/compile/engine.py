"""The engine "compiled": which calls of `scan` it can run, and how such a call stands among differentiable functions.

The code for a cell is looked for under the cell's key, in memory and on disk, and made where there is none. Before its
first use in a process it is compared with the reference on a tiny problem.
"""

import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from minirnn import bundle, loop, reference, tree
from minirnn.boxes import shape_of, tracing, unboxed
from minirnn.compile import build, sequence
from minirnn.compile.errors import CannotCompile
from minirnn.compile.key import Unhashable, call_key
from minirnn.compile.order import Order
from minirnn.compile.program import Program
from minirnn.compile.verify import CompilerError, verify
from minirnn.kernels import tier
from minirnn.module import Array, Module

__all__ = ["passed_by", "program_for", "refusal", "run"]


class _Refused(NamedTuple):
    """Why a cell cannot be compiled; `told` where the user should hear of it."""

    reason: str
    told: bool


class _Found:
    """A cell's program in NumPy, and in Numba from the first call on that is large enough for it."""

    def __init__(self, program: Program, rebuild: Callable[..., Any], key: Any):
        self.program, self.rebuild, self.key = program, rebuild, key  # rebuild: the outputs' nesting, of their leaves
        self._native: Program | None = None
        self._tried = False

    def for_call(self, cell: Any, state: Any, xs: Any, rows: int) -> Program:
        """Which program a call of so many steps times rows takes: it depends on the size and the tier alone."""
        chosen = tier.chosen()
        if chosen == "numpy" or (chosen == "auto" and self.program.layout.work * rows < NATIVE):
            return self.program
        if not self._tried:
            with tracing:
                if not self._tried:
                    with suppress(CannotCompile):  # nothing here to compare it with
                        self._native = _verified(build.numba_program, cell, state, xs, self.key)
                    self._tried = True
        return self._native or self.program


NATIVE = 4e5  # multiplications and additions of a call from which on compilation by Numba is worth its seconds

_known: dict[Any, _Found | _Refused] = {}
_said: set[Any] = set()
_chosen = threading.local()


# ---------------------------------------------------------------- what can be run
def refusal(cell: Any, state: Any, xs: Any) -> str | None:
    """Why the call cannot be compiled, or None."""
    found = _find(cell, state, xs)
    if isinstance(found, _Refused):
        return found.reason
    _chosen.call = (cell, state, xs, found)  # `run` comes next, with the same arguments
    return None


def passed_by(cell: Any, reason: str) -> None:
    """Say once for each class of cells that "auto" leaves it to the engine "python", and why."""
    found = type(cell), reason
    if found not in _said and reason in _worth_telling:
        _said.add(found)
        warnings.warn(
            f"{type(cell).__name__} runs on the engine 'python', step by step: it cannot be compiled, as {reason}. "
            "engine='python' says that this is meant",
            stacklevel=5,
        )


_worth_telling: set[str] = set()


def _find(cell: Any, state: Any, xs: Any) -> _Found | _Refused:
    if not isinstance(cell, Module):
        return _Refused("a bare step came, whose closure's arrays a compiler cannot see; make it a Cell", False)
    try:
        key = call_key(cell, state, xs)
        found = _known.get(key)
    except (Unhashable, TypeError) as error:
        return _refused(str(error))
    if found is None:
        with tracing:  # not a lock of its own: the comparison traces, and a gradient elsewhere may wait for this
            found = _known.get(key)
            if found is None:
                found = _known[key] = _made(cell, state, xs, key)
    return found


def _refused(reason: str) -> _Refused:
    _worth_telling.add(reason)
    return _Refused(reason, True)


def _made(cell: Any, state: Any, xs: Any, key: Any) -> _Found | _Refused:
    """The program for a key, compared with the reference; or why there is none."""
    if 0 in shape_of(tree.leaves(xs)[0])[:2]:
        return _Refused("there is no step, or no row", False)
    try:
        with np.errstate(all="ignore"):
            rebuild = _output_nesting(cell, state, xs)
    except Exception as error:  # the step fails by itself: the reference says how
        return _Refused(f"its step fails: {error}", False)
    try:
        program = _verified(build.numpy_program, cell, state, xs, key)
    except CannotCompile as error:
        return _refused(str(error))
    return _Found(program, rebuild, key)


def _verified(make: Callable[..., Any], cell: Any, state: Any, xs: Any, key: Any) -> Any:
    """The program that `make` gives, held against the reference; made anew where a file held another cell's."""
    program = make(cell, state, xs, key)
    if program is not None:
        try:
            verify(program, cell, state, xs)
        except CompilerError:
            program = make(cell, state, xs, key, anew=True)
            verify(program, cell, state, xs)
    return program


def _output_nesting(cell: Any, state: Any, xs: Any) -> Callable[..., Any]:
    """How the leaves of a step's output are put together."""
    plain = [
        tree.map(lambda leaf: loop.read_only(unboxed(leaf)), cell),
        tree.map(lambda leaf: loop.read_only(unboxed(leaf)[:1]), state),
        tree.map(lambda leaf: loop.read_only(unboxed(leaf)[0][:1]), xs),
    ]
    _, output = plain[0].step(*plain[1:])
    return tree.flatten(output)[1]


def program_for(cell: Any, state: Any, xs: Any) -> Program:
    """The compiled program of a call. CannotCompile: says why there is none."""
    found = _find(cell, state, xs)
    if isinstance(found, _Refused):
        raise CannotCompile(found.reason)
    rows = shape_of(tree.leaves(xs)[0])
    return found.for_call(cell, state, xs, rows[0] * rows[1])


# ---------------------------------------------------------------- running it
def run(
    cell: Any, state: Any, xs: Any, lengths: Array | None, reverse: bool, checkpoint_every: int | None
) -> tuple[Any, Any]:
    """(final state, outputs), as reference.run; what has no steps or rows is the reference's, and so are sequences of
    different lengths where rows of the batch meet: what stands beside a sequence that is over then matters."""
    call = getattr(_chosen, "call", None)
    _chosen.call = None
    same = call is not None and call[0] is cell and call[1] is state and call[2] is xs
    found = call[3] if same and call is not None else _find(cell, state, xs)
    if isinstance(found, _Refused):
        return reference.run(cell, state, xs, lengths, reverse, checkpoint_every)
    columns, rebuild_xs = tree.flatten(xs)
    states, rebuild_state = tree.flatten(state)
    steps, batch = shape_of(columns[0])[:2]
    same_pace = lengths is None or (found.program.layout.row_wise and lengths.any())
    if not (steps and batch and same_pace):
        return reference.run(cell, state, xs, lengths, reverse, checkpoint_every)
    arrays = [*columns, *states, *_arrays_of(cell)]

    def twin(*given: Any) -> tuple[Any, ...]:
        parts = given[: len(columns)], given[len(columns) : len(columns) + len(states)]
        bound = tree.flatten(cell)[1](given[len(columns) + len(states) :])
        final, outputs = reference.run(
            bound, rebuild_state(parts[1]), rebuild_xs(parts[0]), lengths, reverse, checkpoint_every
        )
        return *tree.leaves(outputs), *tree.leaves(final)

    program = found.for_call(cell, state, xs, steps * batch)
    rule = _Compiled(twin, program, (len(columns), len(states)), lengths, reverse, checkpoint_every)
    results = bundle.call(rule, arrays)
    count = len(program.layout.outputs)
    return rebuild_state(results[count:]), found.rebuild(results[:count])


def _arrays_of(cell: Module) -> list[Any]:
    """The cell's distinct arrays, in the order in which the tree module finds them."""
    found = list(cell._arrays())
    if len({id(array) for array in found}) == len(found):
        return found
    return tree.leaves(cell)


class _Compiled(bundle.Rule):
    """arrays: the inputs, the states, the cell's arrays. Results: the outputs, the final states."""

    def __init__(
        self,
        twin: Any,
        program: Program,
        counts: tuple[int, int],
        lengths: Array | None,
        reverse: bool,
        every: int | None,
    ):
        super().__init__(twin)
        self.program, self.lengths, self.reverse, self.every = program, lengths, reverse, every
        self.first_state, self.first_parameter = counts[0], counts[0] + counts[1]

    def _problem(self, arrays: Sequence[Array]) -> tuple[Order, sequence.Problem]:
        steps = len(arrays[0])
        order = Order(self.lengths, steps, self.reverse)
        xs = [order.there(array) for array in arrays[: self.first_state]]
        every = self.every if self.every is not None and self.every < steps else None
        return order, sequence.Problem(self.program, arrays[self.first_parameter :], xs, order.outside, every)

    def forward(self, arrays: Sequence[Array], keep: bool) -> tuple[tuple[Array, ...], Any]:
        (order, problem), states = self._problem(arrays), arrays[self.first_state : self.first_parameter]
        shape, leaves = arrays[0].shape[:2], self.program.layout.outputs
        outputs = [np.empty((*shape, *leaf.shape), leaf.dtype) for leaf in leaves]
        final = [np.empty(array.shape, array.dtype) for array in states]
        ordered = outputs if order.outside is not None else [order.there(array) for array in outputs]
        with order.quiet():
            cache = sequence.forward(problem, states, ordered, final, keep)
        if order.outside is not None:
            outputs = [order.back(array) for array in outputs]
        return (*outputs, *final), (order, problem, cache) if keep else None

    def backward(
        self, arrays: Sequence[Array], cache: Any, cotangents: Sequence[Any], wanted: Sequence[int]
    ) -> list[Array]:
        order, problem, kept = cache
        layout, count = self.program.layout, len(self.program.layout.outputs)
        d_outputs = [
            None if g is None else order.only_inside(g)
            for g, leaf in zip(cotangents[:count], layout.outputs, strict=True)
            if leaf.dtype.kind == "f"
        ]
        d_final = [g for g, leaf in zip(cotangents[count:], layout.states, strict=True) if leaf.dtype.kind == "f"]
        asked = set(wanted)
        d_xs = {
            i: np.empty(arrays[i].shape, leaf.dtype) if i in asked else None
            for i, leaf in enumerate(layout.inputs)
            if leaf.dtype.kind == "f"
        }
        ordered = list(d_xs.values())
        if order.outside is None:
            ordered = [None if d is None else order.there(d) for d in ordered]
        of_parameters = any(i >= self.first_parameter for i in asked)
        with order.quiet():
            d_first, gradients = sequence.backward(problem, kept, d_outputs, d_final, ordered, of_parameters)
        if order.outside is not None:
            if not all(np.isfinite(g).all() for g in gradients if g is not None):
                return list(super().backward(arrays, None, cotangents, wanted))  # a state that is held: see Order
            d_xs = {i: None if d is None else order.back(d) for i, d in d_xs.items()}
        floats = [i for i, leaf in enumerate(layout.states, self.first_state) if leaf.dtype.kind == "f"]
        found = {**d_xs, **dict(zip(floats, d_first, strict=True))}
        found |= dict(enumerate(gradients, self.first_parameter))
        return _apart([found[i] for i in wanted])


def _apart(arrays: Sequence[Any]) -> list[Array]:
    """The arrays, sharing memory with nothing."""
    seen: set[int] = set()
    made = []
    for array in arrays:
        if array.base is not None or id(array) in seen:
            array = np.array(array)
        seen.add(id(array))
        made.append(array)
    return made
