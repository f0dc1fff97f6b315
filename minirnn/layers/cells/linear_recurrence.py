"""LinearCell: a cell whose state is multiplied and added to by what comes from the input alone, h' = a(x) h + b(x).

Its author writes a(x) and b(x), for one step or for all at once; the step and `parallel`, the whole sequence by
linear_scan, are both made of that function, so that they cannot be two different formulas.

Native code runs the loop over time in a third to four fifths of the time of these arrays, at every size that was
measured, and its threads share out a single sequence: so `parallel` leaves a sequence to it where it can run the cell
(`python -m benchmarks --only parallel_scan`).
"""

from collections.abc import Callable
from typing import Any, cast

import autograd.numpy as np

from minirnn import tier, tree
from minirnn.boxes import dtype_of
from minirnn.call import Call
from minirnn.checks import check_float, check_like
from minirnn.engines import choose
from minirnn.layers.cell import cell
from minirnn.layers.cells.associative_scan import complex_pairs, linear_scan
from minirnn.layers.recurrent import Cell
from minirnn.module import Array
from minirnn.resets import Resets, check_resets

__all__ = ["LinearCell", "begun_anew", "by_native_loop", "check_cuts", "check_sequence", "last", "linear_cell"]


class LinearCell(Cell):
    """A cell with `coefficients(x)`, and so with a step and with `parallel`.

    A complex state is a NamedTuple (re, im); a and b are then pairs of real arrays.
    """

    def coefficients(self, x: Any) -> Any:
        """(a, b), and what else `read` takes: x (B, I) -> (B, H) each, or (T, B, I) -> (T, B, H)."""
        raise NotImplementedError(f"{type(self).__name__} defines no coefficients(x)")

    def read(self, h: Any, *seen: Any) -> Any:
        """The output, of the new state and of what the coefficients left beside a and b."""
        return h

    def step(self, state: Any, x: Any) -> tuple[Any, Any]:
        a, b, *seen = self.coefficients(x)
        state = _advance(a, state, b)
        return state, self.read(state, *seen)

    def parallel(self, xs: Array, state: Any = None, *, resets: Any = None, reset_state: Any = None) -> tuple[Any, Any]:
        """The whole sequence at once: xs (T, B, I) -> (outputs (T, B, H), final state), equal to step by step, with
        resets and reset_state as `scan` takes them.

        TypeError, ValueError: xs of another shape or float dtype, a state that is not like `initial_state`'s, other
        flags.
        """
        state = check_sequence(self, xs, state)
        cut = check_cuts(self, xs, state, resets, reset_state)
        found = by_native_loop(self, xs, state, resets, reset_state)
        if found is not None:
            return found
        a, b, *seen = self.coefficients(xs)
        states = _scan(*((a, b) if cut is None else begun_anew(a, b, cut)), state)
        return self.read(states, *seen), last(states, state)


def linear_cell(
    *, read_: Callable[..., Any] | None = None, **declaration: Any
) -> Callable[[Callable[..., Any]], type[LinearCell]]:
    """Make a LinearCell of a function (p, x) -> (a, b, *seen), its coefficients, and of read_(p, h, *seen), if given.

    The other arguments are `minirnn.cell`'s.
    """

    def declare(function: Callable[..., Any]) -> type[LinearCell]:
        base = cell(**declaration)(function)
        inside = {name: getattr(function, name) for name in ("__module__", "__qualname__", "__doc__")}
        methods = {"coefficients": function} | ({"read": read_} if read_ else {})
        return cast(type[LinearCell], type(function.__name__, (LinearCell, base), {**inside, **methods}))

    return declare


def check_sequence(cell: Cell, xs: Any, state: Any) -> Any:
    """The state before the first step, zeros by default. TypeError, ValueError: xs or the state does not fit."""
    name = f"{type(cell).__name__}.parallel"
    check_float(name, xs, cell.dtype)
    if np.ndim(xs) != 3 or np.shape(xs)[2] != cell.input_size:
        raise ValueError(f"{name}: xs has shape {np.shape(xs)}, (T, B, {cell.input_size}) was expected")
    zeros = cell.initial_state(np.shape(xs)[1])
    if state is None:
        return zeros
    check_like(f"{name}: state", zeros, state)
    return state


def check_cuts(cell: Cell, xs: Any, state: Any, resets: Any, reset_state: Any) -> Resets | None:
    """Where sequences begin anew, and with which state. TypeError, ValueError: what came does not fit."""
    name = f"{type(cell).__name__}.parallel"
    if resets is None:
        if reset_state is not None:
            raise ValueError(f"{name}: reset_state came without resets, which say where the state becomes that one")
        return None
    if reset_state is not None:
        check_like(f"{name}: reset_state", state, reset_state)
    flags = check_resets(f"{name}: resets", resets, np.shape(xs)[:2])
    return Resets.at(flags, state if reset_state is None else reset_state)


def begun_anew(a: Any, b: Any, cut: Resets) -> tuple[Any, Any]:
    """a and b of a recurrence that begins anew at some steps: there a is 0, and b has what a makes of the new state."""
    flags = cut.flags[:, :, None]
    kept, gone = (tree.map(lambda part, m=m: part * m.astype(dtype_of(part)), a) for m in (~flags, flags))
    return kept, _advance(gone, cut.state, b)


def by_native_loop(cell: Cell, xs: Any, state: Any, resets: Any, reset_state: Any) -> tuple[Any, Any] | None:
    """(outputs, final state) of the loop over time, where it runs as native code; None elsewhere."""
    if tier.current() != "native":
        return None
    name, run = choose("auto", Call(cell, state, xs, None, False, None, resets, reset_state))
    if name != "compiled":
        return None
    final, outputs = run()
    return outputs, final


def last(states: Any, before: Any) -> Any:
    """The final state, of all the states (T, B, ...); the one before the first step where there are none."""
    return tree.map(lambda every, first: every[-1] if np.shape(every)[0] else first, states, before)


def _advance(a: Any, h: Any, b: Any) -> Any:
    """a * h + b, of real arrays or of complex numbers as (re, im)."""
    if not isinstance(h, tuple):
        return a * h + b
    (a_re, a_im), (b_re, b_im), (re, im) = a, b, h
    return _like(h, a_re * re - a_im * im + b_re, a_re * im + a_im * re + b_im)


def _scan(a: Any, b: Any, h: Any) -> Any:
    """All the states (T, B, H), of real arrays or of complex numbers as (re, im)."""
    if not isinstance(h, tuple):
        return linear_scan(a, b, h)
    b_pairs = complex_pairs(*b)
    a_pairs = complex_pairs(*a) + np.zeros_like(b_pairs)  # one a for all steps, beside a b for each
    states = linear_scan(a_pairs, b_pairs, complex_pairs(*h), pairs=True)
    return _like(h, states[..., 0], states[..., 1])


def _like(state: Any, re: Any, im: Any) -> Any:
    """(re, im) as the NamedTuple that the state is."""
    return type(state)(re, im)
