"""A whole sequence through a kernel: as shares of the batch, one a thread, and each share as blocks of steps.

A share is some rows of the batch: rows never meet but in the sums over weights. A block is as many steps as fit into
the cache. What the backward pass needs is kept in a tape, a workspace of the call's own; with `every`, only every k-th
state is kept, and the tape of the k steps behind each is filled again when the backward pass comes to it.

Time runs forward here: a reversed sequence comes as flipped views.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels.kernel import Call, Gradients, Kernel, Sizes, Tape
from minirnn.kernels.shares import Rows, Work, each_in_a_thread, here, outside_in, rows_in
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array
from minirnn.reference import pieces

__all__ = ["Problem", "backward", "forward", "tangent"]

Named = Mapping[str, Array]


class Problem(NamedTuple):
    """xs: (T, B, I) in the order of the steps; outside: (T, B, 1), True where a sequence is over, or None."""

    kernel: Kernel
    sizes: Sizes
    parameters: Named
    xs: Array
    outside: Array | None
    every: int | None

    def pieces(self) -> list[Rows]:
        return list(pieces(len(self.xs), self.every or len(self.xs)))


class _Kept(NamedTuple):
    """One share's cache: the whole tape, or the states at the start of every piece."""

    rows: Rows
    memory: Workspace | None
    tape: Tape
    starts: dict[str, Array]


# ---------------------------------------------------------------- forward
def forward(problem: Problem, state: Named, ordered: Array, final: Named, keep: bool) -> list[_Kept]:
    """Write the outputs into `ordered` (T, B, P) and the last state into `final`; the cache is empty unless `keep`."""
    weights = problem.kernel.forward_weights(problem.parameters)

    def share(rows: Rows) -> Work:
        lo, hi = rows
        work, memory, tape, starts = Workspace("work"), None, None, {}
        spans = problem.pieces()
        if keep and problem.every is None:
            memory = Workspace("tape")
            tape = _new_tape(problem, memory, len(problem.xs), hi - lo)
        elif keep:
            starts = {name: np.empty((len(spans), hi - lo, a.shape[1]), a.dtype) for name, a in state.items()}
        entering = {name: array[lo:hi] for name, array in state.items()}
        for k, span in enumerate(spans):
            for name, kept in starts.items():
                kept[k] = entering[name]
            entering = yield from _piece(problem, weights, rows, span, entering, tape, ordered, work)
        for name, array in final.items():
            array[lo:hi] = entering[name]
        return _Kept(rows, memory, tape or {}, starts)

    kept = each_in_a_thread(share, _shares(problem))
    return kept if keep else []


def _shares(problem: Problem) -> list[Rows]:
    steps, batch, _ = problem.xs.shape
    return problem.kernel.shares(steps, batch, problem.sizes)


def _piece(
    problem: Problem,
    weights: Any,
    rows: Rows,
    span: Rows,
    entering: Named,
    tape: Tape | None,
    ordered: Array | None,
    work: Workspace,
) -> Work:
    """Run steps span[0]..span[1] of a share from the state `entering`; the state behind them, in borrowed memory."""
    kernel, (lo, hi), (start, stop) = problem.kernel, rows, span
    length = kernel.block_steps(hi - lo, problem.sizes, backward=False)
    scratch = None if tape is not None else _new_tape(problem, work, min(length, stop - start), hi - lo)
    for first, last in pieces(stop - start, length):
        block = _steps(tape, first, last) if tape is not None else _steps(scratch or {}, 0, last - first)
        if scratch is not None or first == 0:
            for name in kernel.states:
                block[name][0] = entering[name]
        now = slice(start + first, start + last)
        outside = outside_in(problem.outside, now, rows)
        x, calls = rows_in(problem.xs, now, rows, outside, work, "x")
        calls += kernel.forward(weights, x, block, outside, work)
        if ordered is not None:
            calls.append(partial(np.copyto, ordered[now, lo:hi], block["h"][1:]))
            if outside is not None:
                calls.append(partial(np.copyto, ordered[now, lo:hi], 0.0, where=outside))
        yield calls
        entering = {name: block[name][last - first] for name in kernel.states}
    return dict(entering)


# ---------------------------------------------------------------- backward
def backward(
    problem: Problem,
    cache: list[_Kept],
    d_outputs: Array | None,
    d_final: Mapping[str, Array | None],
    wanted: set[str],
) -> dict[str, Array]:
    """The cotangents of "xs", of the states and of the parameters wanted, by name. d_outputs is in the steps' order."""
    kernel, batch = problem.kernel, problem.xs.shape[1]
    dtype, widths = problem.xs.dtype, kernel.state_widths(problem.sizes)
    weights = kernel.backward_weights(problem.parameters, wanted)
    again = kernel.forward_weights(problem.parameters) if problem.every is not None else None
    d_xs = np.empty(problem.xs.shape, dtype) if "xs" in wanted else None
    d_first = {name: np.empty((batch, width), dtype) for name, width in widths.items()}

    def share(kept: _Kept) -> Work:
        lo, hi = kept.rows
        work, memory = Workspace("work"), Workspace("again")
        gradients = Gradients(wanted, problem.parameters)
        d_state = {name: work.array(f"d_{name}", (hi - lo, width), dtype) for name, width in widths.items()}
        for name, array in d_state.items():
            came = d_final[name]
            array[...] = 0.0 if came is None else came[lo:hi]
        for k, (start, stop) in reversed(list(enumerate(problem.pieces()))):
            tape = kept.tape
            if again is not None:
                tape = _new_tape(problem, memory, stop - start, hi - lo)
                entering = {name: states[k] for name, states in kept.starts.items()}
                yield from _piece(problem, again, kept.rows, (start, stop), entering, tape, None, work)
            length = kernel.block_steps(hi - lo, problem.sizes, backward=True)
            for first, last in reversed(list(pieces(stop - start, length))):
                now, block = slice(start + first, start + last), _steps(tape, first, last)
                yield _block_backward(
                    problem, weights, block, now, kept.rows, d_outputs, d_state, d_xs, gradients, work
                )
        for name, array in d_state.items():
            d_first[name][lo:hi] = array
        return gradients

    total, *others = each_in_a_thread(share, cache)
    for other in others:
        total.add(other)
    return {**d_first, **total.arrays, **({} if d_xs is None else {"xs": d_xs})}


def _block_backward(
    problem: Problem,
    weights: Any,
    tape: Tape,
    now: slice,
    rows: Rows,
    d_outputs: Array | None,
    d_state: dict[str, Array],
    d_xs: Array | None,
    gradients: Gradients,
    work: Workspace,
) -> list[Call]:
    outside = outside_in(problem.outside, now, rows)
    shape = (now.stop - now.start, rows[1] - rows[0], problem.xs.shape[2])
    x, calls = rows_in(problem.xs, now, rows, outside, work, "x")
    if d_outputs is None:
        d_block = work.array("d_outputs", (*shape[:2], problem.sizes.shown), x.dtype)
        d_block[...] = 0.0
    else:
        d_rows_out, copies = rows_in(d_outputs, now, rows, outside, work, "d_outputs")
        d_block = d_rows_out.reshape(*shape[:2], problem.sizes.shown)
        calls += copies
    d_rows = None
    if d_xs is not None:
        d_rows = d_xs[now].reshape(x.shape) if shape[1] == d_xs.shape[1] else work.array("d_x", x.shape, x.dtype)
    calls += problem.kernel.backward(weights, x, tape, d_block, d_state, d_rows, gradients, outside, work)
    if d_xs is not None and d_rows is not None and shape[1] != d_xs.shape[1]:
        calls.append(partial(np.copyto, d_xs[now, rows[0] : rows[1]], d_rows.reshape(shape)))
    return calls


# ---------------------------------------------------------------- tangent
def tangent(
    problem: Problem, state: Named, t_xs: Array | None, t_state: Mapping[str, Array | None], moved: Named
) -> tuple[Array, dict[str, Array]]:
    """The tangents of the outputs, in the steps' order, and of the last state; moved: tangents of some parameters."""
    kernel, (steps, batch, _), dtype = problem.kernel, problem.xs.shape, problem.xs.dtype
    widths, rows, work = kernel.state_widths(problem.sizes), (0, batch), Workspace("work")
    weights = kernel.forward_weights(problem.parameters)
    t_outputs = np.zeros((steps, batch, problem.sizes.shown), dtype)
    came = {name: t_state[name] for name in widths}
    now_t = {
        name: np.zeros((batch, width), dtype) if came[name] is None else np.array(came[name])
        for name, width in widths.items()
    }
    entering = dict(state)
    for first, last in pieces(steps, kernel.block_steps(batch, problem.sizes, backward=False)):
        now = slice(first, last)
        outside = outside_in(problem.outside, now, rows)
        tape = _new_tape(problem, work, last - first, batch)
        entering = here(_piece(problem, weights, rows, (first, last), entering, tape, None, work))
        x, copies = rows_in(problem.xs, now, rows, outside, work, "x")
        t_x = None
        if t_xs is not None:
            t_x, more = rows_in(t_xs, now, rows, outside, work, "t_x")
            copies += more
        for copy in copies:
            copy()
        t_outputs[now] = kernel.tangent(problem.parameters, x, tape, moved, t_x, now_t, outside)
        if outside is not None:
            np.copyto(t_outputs[now], 0.0, where=outside)
        entering = {name: array.copy() for name, array in entering.items()}
    return t_outputs, now_t


# ---------------------------------------------------------------- blocks
def _new_tape(problem: Problem, memory: Workspace, steps: int, batch: int) -> Tape:
    kernel, dtype = problem.kernel, problem.xs.dtype
    return {
        name: memory.array(f"tape {name}", (steps + (name in kernel.states), batch, width), dtype)
        for name, width in kernel.tape_widths(problem.sizes).items()
    }


def _steps(tape: Tape, first: int, last: int) -> Tape:
    """Steps first..last of a tape, the states with the one behind the last."""
    return {name: array[first : last + 1] if name in ("h", "c") else array[first:last] for name, array in tape.items()}
