"""A whole sequence through a compiled cell: shares of the batch, blocks of steps, checkpoints.

A share is some rows of the batch, one a thread, where rows of the batch never meet; a block is as many steps as fit
into the cache; with `every`, only every k-th state is kept and the steps behind it are run again when the backward pass
comes to them. Time runs forward here: a reversed sequence comes as flipped views.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn import threads
from minirnn.compile.program import Program
from minirnn.compile.shares import Rows, Task, Work, each_in_a_thread, outside_in, rows_in
from minirnn.compile.tape import Beginnings, Tape
from minirnn.compile.team import in_one_go, worthwhile
from minirnn.compile.trace import Leaf
from minirnn.compile.workspace import Workspace
from minirnn.module import Array
from minirnn.reference import pieces

__all__ = ["Kept", "Problem", "backward", "forward"]

Arrays = Sequence[Any]

# numbers that a block holds: in native code what stays in the cache; on NumPy, where every operation goes over all of
# it, as many as make up for the calls
BLOCK_NUMBERS = {True: 1 << 19, False: 1 << 21}
SHARE = 3e6  # multiplications and additions that are worth a thread of their own


class Problem(NamedTuple):
    """One call. xs: (T, B, ...) each, in the order of the steps; outside: (T, B, 1), True where nothing is run and the
    state is held: xs hold something there all the same, and d_outputs are 0 there. begins: (T, B, 1), before which
    steps the state becomes that of `anew`, (B, ...) each. whole: no thread has rows of its own."""

    program: Program
    parameters: Arrays
    xs: Arrays
    outside: Array | None
    every: int | None
    begins: Array | None = None
    anew: Arrays = ()
    whole: bool = False

    @property
    def steps(self) -> int:
        return int(self.xs[0].shape[0])

    @property
    def batch(self) -> int:
        return int(self.xs[0].shape[1])

    def pieces(self) -> list[Rows]:
        return list(pieces(self.steps, self.every or self.steps))

    def by_team(self) -> "Problem":
        """The same, run by all threads together, where that is better than rows of its own for each."""
        if self.program.team is None or not worthwhile(self.program, self.steps, self.batch):
            return self
        xs = [np.ascontiguousarray(array) for array in self.xs]  # copies between blocks would part them
        return self._replace(program=self.program.team.program(), xs=xs, whole=True)

    def shares(self) -> list[Rows]:
        if self.whole or not (self.program.native and self.program.layout.row_wise):
            return [(0, self.batch)]
        work = self.program.layout.work * self.steps * self.batch / 2
        count = max(1, min(threads.get_num_threads(), self.batch, int(work / SHARE)))
        return [(self.batch * k // count, self.batch * (k + 1) // count) for k in range(count)]

    def run(self, share: Callable[[Any], Work], items: Sequence[Any]) -> list[Any]:
        """What the shares give; one that all threads run together runs in one go."""
        return [in_one_go(share(item)) for item in items] if self.whole else each_in_a_thread(share, items)

    def tape(self, memory: Workspace, steps: int, count: int) -> Tape:
        return Tape.in_memory(self.program.layout, memory, steps, count, self.begins is not None)

    def anew_in(self, now: slice, rows: Rows, given: Arrays, d_anew: Arrays = ()) -> Beginnings | None:
        """What a block is told of sequences that begin within it."""
        if self.begins is None:
            return None
        return Beginnings(self.begins[now, rows[0] : rows[1]], [a[rows[0] : rows[1]] for a in self.anew], given, d_anew)

    def block_steps(self, rows: int, backward: bool) -> int:
        return max(1, BLOCK_NUMBERS[self.program.native] // (rows * self.program.layout.widths[backward]))


class Kept(NamedTuple):
    """One share's cache: all states and stored values, or the states at the start of every piece."""

    rows: Rows
    memory: Workspace | None
    tape: Tape
    starts: list[Array]


_NO_TAPE = Tape([], [], [])


# ---------------------------------------------------------------- forward
def forward(problem: Problem, state: Arrays, outputs: Arrays, final: Arrays, keep: bool) -> list[Kept]:
    """Write the outputs (T, B, ...), in the order of the steps, and the last state; an empty cache unless `keep`."""
    problem = problem.by_team()
    once = problem.program.once_forward(problem.parameters)

    def share(rows: Rows) -> Work:
        work, memory, tape = Workspace("compiled work"), None, _NO_TAPE
        starts: list[Array] = []
        spans, count = problem.pieces(), rows[1] - rows[0]
        if keep and problem.every is None:
            memory = Workspace("compiled tape")
            tape = problem.tape(memory, problem.steps, count)
        elif keep:
            starts = [np.empty((len(spans), count, *a.shape[1:]), a.dtype) for a in state]
        entering: Arrays = [array[rows[0] : rows[1]] for array in state]
        for k, span in enumerate(spans):
            for kept, array in zip(starts, entering, strict=False):
                kept[k] = array
            entering = yield from _piece(problem, once, rows, span, entering, tape, outputs, work)
        yield []
        for array, last in zip(final, entering, strict=True):
            array[rows[0] : rows[1]] = last
        return Kept(rows, memory, tape, starts)

    kept = problem.run(share, problem.shares())
    return kept if keep else []


def _piece(
    problem: Problem,
    once: Any,
    rows: Rows,
    span: Rows,
    entering: Arrays,
    tape: Tape,
    outputs: Arrays | None,
    work: Workspace,
) -> Work:
    """Run the steps of a piece of a share; the state behind them, in borrowed memory."""
    count, keep, (start, stop) = rows[1] - rows[0], tape is not _NO_TAPE, span
    length = problem.block_steps(count, False)
    if problem.whole and not keep:  # each is a call of its own, for which threads are woken
        length *= 4
    scratch = _NO_TAPE if keep else problem.tape(work, min(length, stop - start), count)
    leaves = problem.program.layout.outputs
    for first, last in pieces(stop - start, length):
        n, now = last - first, slice(start + first, start + last)
        s, given, k = tape.block(first, last, count) if keep else scratch.block(0, n, count)
        if not keep or first == 0:
            for array, came in zip(s, entering, strict=True):
                array[:count] = came
        outside = outside_in(problem.outside, now, rows)
        x, calls = _all_rows_in(problem.xs, now, rows, work, "x")
        y = [_rows_out(outputs, i, now, rows, leaf, work) for i, leaf in enumerate(leaves)]
        anew = problem.anew_in(now, rows, given)
        run = problem.program.forward(
            n, count, problem.parameters, once, x, s, k, y, keep, _flat(outside), anew, work.array
        )
        calls.append(_with_its_blas(problem, count, run))
        if outputs is not None:
            calls += _delivery(y, outputs, now, rows)
        yield calls
        if not keep:
            yield []  # the next block begins where this one ended
        entering = [array[n * count : (n + 1) * count] for array in s]
    return list(entering)


def _with_its_blas(problem: Problem, count: int, run: Task) -> Task:
    """The call; BLAS keeps to one thread in it where a step's products are small: its threads would meet at every
    step."""
    if problem.program.native or problem.program.layout.work * count / 3 >= threads.SHARE:
        return run

    def held() -> None:
        with threads.single_threaded_blas:
            run()

    return held


def _flat(outside: Array | None) -> Array | None:
    return None if outside is None else outside.reshape(-1, 1)


# ---------------------------------------------------------------- backward
def backward(
    problem: Problem, cache: list[Kept], d_outputs: Arrays, d_final: Arrays, d_xs: Arrays, want_parameters: bool
) -> tuple[list[Array], list[Array], list[Any]]:
    """The cotangents of the first state, of the state made anew and of the parameters; those of the inputs are written
    into d_xs.

    d_outputs, d_final and d_xs are for the float arrays among outputs, states and inputs; None among the first two
    stands for zeros, among d_xs for what is not asked for.
    """
    if len(cache) == 1:
        problem = problem.by_team()
    if problem.whole:  # copies between blocks would part them
        d_outputs = [None if d is None else np.ascontiguousarray(d) for d in d_outputs]
    program, layout = problem.program, problem.program.layout
    once = program.once_backward(problem.parameters)
    again = program.once_forward(problem.parameters) if problem.every is not None else None
    floats = [leaf for leaf in layout.states if leaf.dtype.kind == "f"]
    d_first = [np.empty((problem.batch, *leaf.shape), leaf.dtype) for leaf in floats]
    d_anew = [np.zeros_like(d) for d in d_first] if problem.begins is not None else []
    wants = (any(d is not None for d in d_xs), want_parameters)

    def share(kept: Kept) -> Work:
        lo, hi = kept.rows
        count, work, memory = hi - lo, Workspace("compiled work"), Workspace("compiled again")
        empty = np.empty if layout.row_wise else np.zeros
        sums = [empty(leaf.shape, leaf.dtype) for leaf in layout.sums] if want_parameters or not layout.row_wise else []
        d = [work.array(f"d {k}", (2 * count, *leaf.shape), leaf.dtype) for k, leaf in enumerate(floats)]
        for array, came in zip(d, d_final, strict=True):
            array[:count] = 0 if came is None else came[lo:hi]
        starts, d_of_anew = True, [array[lo:hi] for array in d_anew]
        for k, (start, stop) in reversed(list(enumerate(problem.pieces()))):
            tape = kept.tape
            if again is not None:
                tape = problem.tape(memory, stop - start, count)
                entering = [array[k] for array in kept.starts]
                yield from _piece(problem, again, kept.rows, (start, stop), entering, tape, None, work)
            for first, last in reversed(list(pieces(stop - start, problem.block_steps(count, True)))):
                now, n = slice(start + first, start + last), last - first
                outside = outside_in(problem.outside, now, kept.rows)
                x, calls = _all_rows_in(problem.xs, now, kept.rows, work, "x")
                y, more = _d_outputs(problem, d_outputs, now, kept.rows, work)
                dx = _d_inputs(problem, d_xs, now, kept.rows, work) if wants[0] else _no_d_inputs(problem)
                s, given, held = tape.block(first, last, count)
                moving, anew = (y, d, dx, sums, starts, wants), problem.anew_in(now, kept.rows, given, d_of_anew)
                run = program.backward(
                    n, count, problem.parameters, once, x, s, held, *moving, _flat(outside), anew, work.array
                )
                calls += [*more, _with_its_blas(problem, count, run)]
                starts = False
                if wants[0]:
                    floats_of_x = [a for a, leaf in zip(dx, layout.inputs, strict=True) if leaf.dtype.kind == "f"]
                    calls += _delivery(floats_of_x, d_xs, now, kept.rows)
                yield calls
            if again is not None:
                yield []  # the piece before this one is written where this one lies
        yield []
        for array, last_d in zip(d_first, d, strict=True):
            array[lo:hi] = last_d[:count]
        return sums

    total, *others = problem.run(share, cache)
    for other in others:
        for array, more in zip(total, other, strict=True):
            array += more
    gradients = program.finish(problem.parameters, once, total) if want_parameters else []
    return d_first, d_anew, gradients


def _d_outputs(
    problem: Problem, d_outputs: Arrays, now: slice, rows: Rows, work: Workspace
) -> tuple[list[Array], list[Task]]:
    leaves = [leaf for leaf in problem.program.layout.outputs if leaf.dtype.kind == "f"]
    found, calls, count = [], list[Task](), (now.stop - now.start) * (rows[1] - rows[0])
    for k, (leaf, given) in enumerate(zip(leaves, d_outputs, strict=True)):
        if given is None:
            array = work.array(f"d_output {k}", (count, *leaf.shape), leaf.dtype)
            array[...] = 0
        else:
            array, more = rows_in(given, now, rows, None, work, f"d_output {k}")
            calls += more
        found.append(array)
    return found, calls


def _d_inputs(problem: Problem, d_xs: Arrays, now: slice, rows: Rows, work: Workspace) -> list[Any]:
    """Where the generated code writes the inputs' cotangents: None for inputs that are no floats."""
    given = iter(range(len(d_xs)))
    leaves = problem.program.layout.inputs
    return [
        _rows_out(d_xs, next(given), now, rows, leaf, work, "dx") if leaf.dtype.kind == "f" else None for leaf in leaves
    ]


def _no_d_inputs(problem: Problem) -> list[Any]:
    return [None] * len(problem.program.layout.inputs)


# ---------------------------------------------------------------- blocks
def _all_rows_in(arrays: Arrays, now: slice, rows: Rows, work: Workspace, name: str) -> tuple[list[Array], list[Task]]:
    pairs = [rows_in(array, now, rows, None, work, f"{name} {i}") for i, array in enumerate(arrays)]
    return [array for array, _ in pairs], [call for _, calls in pairs for call in calls]


def _rows_out(
    arrays: Arrays | None, k: int, now: slice, rows: Rows, leaf: Leaf, work: Workspace, what: str = "y"
) -> Array:
    """Rows to write a block into: a view of the k-th array where it is contiguous there, and otherwise borrowed."""
    if arrays is not None and arrays[k] is not None:
        block = arrays[k][now, rows[0] : rows[1]]
        if block.flags.c_contiguous:
            return block.reshape(block.shape[0] * block.shape[1], *block.shape[2:])
    return work.array(f"{what} {k}", ((now.stop - now.start) * (rows[1] - rows[0]), *leaf.shape), leaf.dtype)


def _delivery(y: Arrays, arrays: Arrays, now: slice, rows: Rows) -> list[Task]:
    """The calls that bring what was written into borrowed rows to its place."""
    calls: list[Task] = []
    for flat, array in zip(y, arrays, strict=True):
        if array is None:
            continue
        block = array[now, rows[0] : rows[1]]
        if not block.flags.c_contiguous:
            calls.append(partial(np.copyto, block, flat.reshape(block.shape)))
    return calls
