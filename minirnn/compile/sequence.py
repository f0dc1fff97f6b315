"""A whole sequence through a compiled cell: shares of the batch, blocks of steps, checkpoints.

A share is some rows of the batch, one a thread, where rows of the batch never meet; its spans are steps of all of them,
or, where sequences differ in length, of those that have begun; a block is as many steps as fit into the cache; with
`every`, only every k-th state is kept and the steps behind it are run again when the backward pass comes to them. Time
runs forward here: a reversed sequence comes as flipped views.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minirnn import threads
from minirnn.compile.frames import Frames
from minirnn.compile.order import Order
from minirnn.compile.packing import Packing
from minirnn.compile.program import Program
from minirnn.compile.shares import Task, Work, each_in_a_thread
from minirnn.compile.spans import Block, Span, cut
from minirnn.compile.tape import Beginnings, Tape
from minirnn.compile.team import in_one_go, worthwhile
from minirnn.compile.trace import Leaf
from minirnn.compile.workspace import Workspace
from minirnn.module import Array
from minirnn.reference import pieces

__all__ = ["Kept", "Problem", "backward", "forward", "frames", "ordered"]

Arrays = Sequence[Any]

# numbers that a block holds: in native code what stays in the cache; on NumPy, where every operation goes over all of
# it, as many as make up for the calls
BLOCK_NUMBERS = {True: 1 << 19, False: 1 << 21}
SHARE = 3e6  # multiplications and additions that are worth a thread of their own


def frames(program: Program, steps: int, batch: int) -> Frames | None:
    """For calls of so many steps and rows; None where one thread's block does not hold one."""
    if program.frames is None or shares_for(program, steps * batch, batch) > 1 or worthwhile(program, steps, batch):
        return None
    if steps > min(_block_steps(program, batch, backward) for backward in (False, True)):
        return None
    return program.frames(steps, batch)


def _block_steps(program: Program, rows: int, backward: bool) -> int:
    return max(1, BLOCK_NUMBERS[program.native] // (rows * program.layout.widths[backward]))


class Problem(NamedTuple):
    """One call. xs: (T, B, ...) each, in the order of the steps, or packed; begins: (T, B, 1), before which steps the
    state becomes that of `anew`, (B, ...) each. whole: no thread has rows of its own."""

    program: Program
    parameters: Arrays
    xs: Arrays
    every: int | None
    packing: Packing | None = None
    begins: Array | None = None
    anew: Arrays = ()
    whole: bool = False

    @property
    def steps(self) -> int:
        return int(self.xs[0].shape[0] if self.packing is None else self.packing.steps)

    @property
    def batch(self) -> int:
        return int(self.xs[0].shape[1] if self.packing is None else self.packing.batch)

    def by_team(self) -> "Problem":
        """The same, run by all threads together, where that is better than rows of its own for each."""
        packed = self.packing is not None and len(self.packing.shares) > 1
        if packed or self.program.team is None or not worthwhile(self.program, self.steps, self.batch):
            return self
        xs = [np.ascontiguousarray(array) for array in self.xs]  # copies between blocks would part them
        return self._replace(program=self.program.team.program(), xs=xs, whole=True)

    def shares(self) -> list[list[Span]]:
        if self.packing is not None:
            return self.packing.shares
        count = 1 if self.whole else shares_for(self.program, self.steps * self.batch, self.batch)
        ends = [self.batch * k // count for k in range(count + 1)]
        return [[Span(0, self.steps, rows)] for rows in pairwise(ends)]

    def run(self, share: Callable[[Any], Work], items: Sequence[Any]) -> list[Any]:
        """What the shares give; one that all threads run together runs in one go."""
        return [in_one_go(share(item)) for item in items] if self.whole else each_in_a_thread(share, items)

    def tape(self, memory: Workspace, steps: int, count: int) -> Tape:
        return Tape.in_memory(self.program.layout, memory, steps, count, self.begins is not None)

    def anew_in(self, block: Block, given: Arrays, d_anew: Arrays = ()) -> Beginnings | None:
        """What a block is told of sequences that begin within it."""
        if self.begins is None:
            return None
        states, d_states = [array[block.rows] for array in self.anew], [array[block.rows] for array in d_anew]
        return Beginnings(block.of(self.begins), states, given, d_states)

    def block_steps(self, rows: int, backward: bool) -> int:
        return _block_steps(self.program, rows, backward)


def shares_for(program: Program, rows: int, batch: int) -> int:
    """How many threads have rows of their own, of as many rows of all steps."""
    if not (program.native and program.layout.row_wise):
        return 1
    return max(1, min(threads.get_num_threads(), batch, int(program.layout.work * rows / 2 / SHARE)))


def ordered(program: Program, lengths: Array | None, shape: tuple[int, int], reverse: bool) -> Order | Packing:
    """How a call's arrays of (T, B) and of these lengths, not all 0, are run."""
    if lengths is None or lengths.min() == shape[0]:
        return Order(shape, reverse)
    batch = int(np.count_nonzero(lengths))
    alone = worthwhile(program, int(lengths.max()), batch)
    count = 1 if alone else shares_for(program, int(lengths.sum()), batch)
    return Packing(lengths, shape, reverse, count, program.layout.work / 2)


class Kept(NamedTuple):
    """One share's cache: the spans, or their pieces, with the tape of each; or with what each began with."""

    spans: list[Span]
    memory: Workspace | None
    tapes: list[Tape]
    starts: list[list[Array]]


# ---------------------------------------------------------------- forward
def forward(problem: Problem, state: Arrays, outputs: Arrays, final: Arrays, keep: bool) -> list[Kept]:
    """Write the outputs (T, B, ...), in the order of the steps, and the last state; an empty cache unless `keep`."""
    problem = problem.by_team()
    once = problem.program.once_forward(problem.parameters)

    def share(spans: list[Span]) -> Work:
        work, spans = Workspace("compiled work"), cut(spans, problem.every)
        memory, tapes = None, list[Tape]()
        starts: list[list[Array]] = []
        if keep and problem.every is None:
            memory = Workspace("compiled tape")
            shapes = [(span.steps, span.width) for span in spans]
            tapes = Tape.of_spans(problem.program.layout, memory, shapes, problem.begins is not None)
        lo, hi = spans[0].rows
        entering: Arrays = [array[lo:hi] for array in state]
        for k, span in enumerate(spans):
            if k:
                yield []  # this span begins where the one before it ends
            if span.rows[1] > hi:  # further rows join those that have begun
                joining = [array[hi : span.rows[1]] for array in state]
                entering, hi = list(map(np.concatenate, zip(entering, joining, strict=True))), span.rows[1]
            if keep and memory is None:
                starts.append([np.array(array) for array in entering])
            tape = None if memory is None else tapes[k]
            entering = yield from _run(problem, once, span, entering, tape, outputs, work)
        yield []
        for array, last in zip(final, entering, strict=True):
            array[lo:hi] = last
        return Kept(spans, memory, tapes, starts)

    kept = problem.run(share, problem.shares())
    return kept if keep else []


def _run(
    problem: Problem,
    once: Any,
    span: Span,
    entering: Arrays,
    tape: Tape | None,
    outputs: Arrays | None,
    work: Workspace,
) -> Work:
    """Run the steps of a span; the state behind them, in borrowed memory."""
    count = span.width
    length = problem.block_steps(count, False)
    if problem.whole and tape is None:  # each is a call of its own, for which threads are woken
        length *= 4
    held = problem.tape(work, min(length, span.steps), count) if tape is None else tape
    leaves = problem.program.layout.outputs
    for first, last in pieces(span.steps, length):
        n = last - first
        s, given, k = held.block(*((0, n) if tape is None else (first, last)), count)
        if tape is None or first == 0:
            for array, came in zip(s, entering, strict=True):
                array[:count] = came
        block = span.block(first, last)
        x, calls = _all_rows_in(problem.xs, block, work)
        places: Arrays = [None] * len(leaves) if outputs is None else outputs
        y = _all_rows_out(places, leaves, block, work, "y")
        told = block.outside, problem.anew_in(block, given)
        run = problem.program.forward(
            n, count, problem.parameters, once, x, s, k, y, tape is not None, *told, work.array
        )
        yield [*calls, _with_its_blas(problem, count, run), *_delivery(y, places, block)]
        if tape is None:
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
    floats_of_x = [leaf for leaf in layout.inputs if leaf.dtype.kind == "f"]
    no_x: Arrays = [None] * len(floats_of_x)

    def share(kept: Kept) -> Work:
        work, memory = Workspace("compiled work"), Workspace("compiled again")
        empty = np.empty if layout.row_wise else np.zeros
        sums = [empty(leaf.shape, leaf.dtype) for leaf in layout.sums] if want_parameters or not layout.row_wise else []
        lo, hi = kept.spans[-1].rows
        room = [work.array(f"d {k}", (2 * (hi - lo), *leaf.shape), leaf.dtype) for k, leaf in enumerate(floats)]
        for array, came in zip(room, d_final, strict=True):
            array[: hi - lo] = 0 if came is None else came[lo:hi]
        starts = True
        for k, span in reversed(list(enumerate(kept.spans))):
            count = span.width
            if span is not kept.spans[-1]:
                yield []  # what follows reads what the span behind this one has made, or writes to where that lies
            for array, d_state in zip(d_first, room, strict=True):  # of rows that have joined here
                array[span.rows[1] : hi] = d_state[count : hi - lo]
            hi, d = span.rows[1], [array[: 2 * count] for array in room]
            if again is not None:
                tape = problem.tape(memory, span.steps, count)
                yield from _run(problem, again, span, kept.starts[k], tape, None, work)
            else:
                tape = kept.tapes[k]
            for first, last in reversed(list(pieces(span.steps, problem.block_steps(count, True)))):
                block = span.block(first, last)
                x, calls = _all_rows_in(problem.xs, block, work)
                y, more = _d_outputs(problem, d_outputs, block, work)
                of_x = _all_rows_out(d_xs, floats_of_x, block, work, "dx") if wants[0] else no_x
                written = iter(of_x)
                dx = [next(written) if leaf.dtype.kind == "f" else None for leaf in layout.inputs]
                s, given, held = tape.block(first, last, count)
                told = block.outside, problem.anew_in(block, given, d_anew)
                moving = y, d, dx, sums, starts, wants
                run = program.backward(
                    last - first, count, problem.parameters, once, x, s, held, *moving, *told, work.array
                )
                starts = False
                yield [*calls, *more, _with_its_blas(problem, count, run), *_delivery(of_x, d_xs, block)]
        yield []
        for array, d_state in zip(d_first, room, strict=True):
            array[lo:hi] = d_state[: hi - lo]
        return sums

    total, *others = problem.run(share, cache)
    for other in others:
        for array, more in zip(total, other, strict=True):
            array += more
    gradients = program.finish(problem.parameters, once, total) if want_parameters else []
    return d_first, d_anew, gradients


def _d_outputs(problem: Problem, d_outputs: Arrays, block: Block, work: Workspace) -> tuple[list[Array], list[Task]]:
    leaves = [leaf for leaf in problem.program.layout.outputs if leaf.dtype.kind == "f"]
    found, calls = [], list[Task]()
    for k, (leaf, given) in enumerate(zip(leaves, d_outputs, strict=True)):
        if given is None:
            array = work.array(f"d_output {k}", (block.n * block.b, *leaf.shape), leaf.dtype)
            array[...] = 0
        else:
            array, more = block.rows_in(given, work, f"d_output {k}", only_inside=True)
            calls += more
        found.append(array)
    return found, calls


# ---------------------------------------------------------------- blocks
def _all_rows_in(arrays: Arrays, block: Block, work: Workspace) -> tuple[list[Array], list[Task]]:
    pairs = [block.rows_in(array, work, f"x {i}") for i, array in enumerate(arrays)]
    return [array for array, _ in pairs], [call for _, calls in pairs for call in calls]


def _all_rows_out(arrays: Arrays, leaves: Sequence[Leaf], block: Block, work: Workspace, name: str) -> list[Array]:
    pairs = enumerate(zip(arrays, leaves, strict=True))
    return [block.rows_out(array, leaf.shape, leaf.dtype, work, f"{name} {k}") for k, (array, leaf) in pairs]


def _delivery(written: Arrays, arrays: Arrays, block: Block) -> list[Task]:
    pairs = zip(written, arrays, strict=True)
    return [call for rows, array in pairs for call in block.delivery(rows, array)]
