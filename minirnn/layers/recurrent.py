"""Cell, what a recurrent cell is; RecurrentLayer, what a caller sees of any recurrent layer; Recurrent, one cell."""

import inspect
from functools import cached_property
from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import late, tree
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import as_array, as_generator, as_state, check_finite, check_float, check_lengths, check_positive
from minirnn.engines import check_engine_name, scan
from minirnn.layers import sizes
from minirnn.layers.steady import OneCell, by_short_way, look_for, runs_as, state_like
from minirnn.module import Array, Module
from minirnn.padding import filled
from minirnn.resets import Resets

__all__ = ["Cell", "Recurrent", "RecurrentLayer"]

State = Any


class Cell(Module):
    """A recurrent cell: parameters, and a pure function `step(state, x) -> (state, output)`.

        class Leaky(Cell):
            def __init__(self, input_size, hidden_size, *, rng):
                self.input_size, self.hidden_size = input_size, hidden_size
                self.w = Parameter(rng.uniform(-0.1, 0.1, (hidden_size, input_size)).astype(np.float32))
            def step(self, h, x):
                h = 0.9 * h + 0.1 * np.tanh(x @ self.w.T)
                return h, h

    `np` is autograd.numpy. The state is one (B, H) array, or a tuple or NamedTuple of (B, ...) arrays. The step is
    deterministic: noise, masks and time come in through `inputs`. output_size, that of what the step returns, is found
    by one step on zeros where the constructor does not set it.
    """

    input_size: int | tuple[int, ...]
    hidden_size: int
    output_size = cached_property(sizes.output_size)

    @property
    def dtype(self) -> Any:
        """The dtype of the cell's float arrays; float32 where it has none."""
        return sizes.float_dtype(self)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        """Zeros: (B, hidden_size), or the nesting of (B, ...) arrays that the step takes. Default dtype: the cell's."""
        return onp.zeros((batch_size, self.hidden_size), dtype or self.dtype)

    def step(self, state: State, x: Any) -> tuple[State, Any]:
        """One step of time: state (B, ...), x (B, input_size) -> (new state, output (B, ...))."""
        raise NotImplementedError(f"{type(self).__name__} defines no step(state, x)")

    def inputs(self, xs: Array, *, rng: onp.random.Generator | None = None) -> Any:
        """What the steps take, made for all of them before the loop: (T, B, ...) arrays, nested; here xs itself."""
        return xs

    def counts_steps(self) -> bool:
        """Whether what the steps take depends on where they begin: `inputs(xs, start=...)`, the first one's index, or
        (T, B), each one's."""
        return "start" in inspect.signature(self.inputs).parameters

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class RecurrentLayer(Module):
    """What every recurrent layer shares: it is called with (xs, state=None, *, lengths=None, rng=None, resets=None,
    reset_state=None) and returns (outputs, final_state).

    xs: (T, B, F), or (B, T, F) with batch_first, or (T, F) unbatched, in which case outputs and states lack the batch
    axis too. state: as `initial_state` makes it, zeros by default. lengths: (B,) integers; past its end a sequence's
    state is held and its outputs are zero. rng: a numpy Generator, where noise is wanted (training). input_size and
    output_size: F as a number, or a tuple such as (C, Y, X) where the sequences are (T, B, C, Y, X).

    resets: (T, B) booleans, or 0 and 1 as integers, laid out as xs is; where resets[t, b] is True a new sequence begins
    at step t, and before it the state of row b is the initial one again: what comes out is what the cut sequences give,
    each run alone, in either direction. The initial state is the one that the call begins with: zeros, a learned one,
    or the `state` that is given. WHO CARRIES A STATE FROM CHUNK TO CHUNK AND WANTS NEW SEQUENCES TO BEGIN AFRESH, AND
    NOT WITH THAT STATE, SAYS SO: reset_state=layer.initial_state(B), or any state, nested as `state`.

    ValueError, TypeError: xs of another number of axes, features or another float dtype; a state, lengths or resets
    that do not fit.
    """

    batch_first: bool
    engine: str
    input_size: int | tuple[int, ...]
    output_size = cached_property(sizes.output_size)
    explain = late.late("minirnn.compile.explain", "explain")  # explain(xs) prints what the compiler makes of the cell

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        """The state before the first step: zeros."""
        raise NotImplementedError

    def batch_axes(self) -> Any:
        """Which axis of each array of the state is the batch, nested as the state."""
        return tree.map(lambda leaf: 0, self.initial_state(1))

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        """(outputs, final state) for checked, batched, time-major input."""
        raise NotImplementedError

    def one_cell(self) -> OneCell | None:
        """What it runs, if that is one cell over time, from the first step to the last, and nothing else."""
        return None

    def __call__(
        self,
        xs: Array,
        state: State = None,
        *,
        lengths: Any = None,
        rng: onp.random.Generator | None = None,
        resets: Any = None,
        reset_state: State = None,
    ) -> tuple[Any, State]:
        found: Any = self._steady and by_short_way(self._steady, xs, state, lengths, rng, resets, reset_state)
        if found:
            return found
        name = type(self).__name__
        if rng is not None:
            as_generator(name, rng)
        xs = as_array(f"{name}: xs", xs)
        unbatched = self._check(xs)
        if unbatched and lengths is not None:
            raise ValueError(f"{name}: lengths came with unbatched xs; cut xs to its length instead")
        if unbatched:
            xs = xs[:, None]
        elif self.batch_first:
            xs = np.swapaxes(xs, 0, 1)
        steps, batch = shape_of(xs)[:2]
        state = (
            self.initial_state(batch, dtype_of(xs))
            if state is None
            else self._as_state("state", state, batch, xs, unbatched)
        )
        if lengths is not None:
            lengths = check_lengths(lengths, steps, batch)
        check_finite(name, xs, lengths, self._arrays())
        if reset_state is not None:
            reset_state = self._as_state("reset_state", reset_state, batch, xs, unbatched)
        axes = (steps,) if unbatched else (batch, steps) if self.batch_first else (steps, batch)
        cuts = Resets.came(name, resets, axes, self.batch_first, state, reset_state, lengths)
        outputs, final = self.run(xs, state, lengths, rng, self.engine, cuts)
        if not (self._bound or unbatched or self.batch_first) and lengths is None and rng is None and cuts is None:
            look_for(self, xs)
        if unbatched:
            return outputs[:, 0], tree.map(np.squeeze, final, self.batch_axes())
        return np.swapaxes(outputs, 0, 1) if self.batch_first else outputs, final

    def _as_state(self, what: str, state: State, batch: int, xs: Any, unbatched: bool) -> State:
        """A state that came, with the batch axis; an error where it does not fit."""
        wanted = state_like(self, batch, dtype_of(xs))
        wanted = tree.map(np.squeeze, wanted, self.batch_axes()) if unbatched else wanted
        state = as_state(f"{type(self).__name__}: {what}", wanted, state)
        return tree.map(np.expand_dims, state, self.batch_axes()) if unbatched else state

    def _check(self, xs: Any) -> bool:
        """Whether xs is unbatched; an error where it does not fit."""
        name, features = type(self).__name__, sizes.as_shape(self.input_size)
        layout = "(B, T, F)" if self.batch_first else "(T, B, F)"
        check_float(name, xs, sizes.first_dtype(self))
        shape = shape_of(xs)
        axes = len(shape) - len(features)
        if axes not in (1, 2):
            raise ValueError(f"{name}: xs has shape {shape}; {layout}, or (T, F) unbatched, was expected")
        if shape[axes:] != features:
            what = shape[axes:] if len(features) > 1 else shape[-1]
            raise ValueError(f"{name}: xs has {what} features, input_size is {self.input_size}")
        return axes == 1


class Recurrent(RecurrentLayer):
    """One cell over time. Its state is the cell's own: (B, H), or a nesting of (B, ...) arrays.

    checkpoint_every=k keeps every k-th state alone for the backward pass and recomputes the steps between; see scan.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        reverse: bool = False,
        batch_first: bool = False,
        engine: str = "auto",
        checkpoint_every: int | None = None,
    ):
        if not isinstance(cell, Cell):
            raise TypeError(f"Recurrent: {type(cell).__name__} came, a Cell was expected")
        self.cell = cell
        if checkpoint_every is not None:
            (checkpoint_every,) = check_positive("Recurrent", checkpoint_every=checkpoint_every)
        self.reverse, self.batch_first, self.engine = reverse, batch_first, check_engine_name(engine)
        self.checkpoint_every = checkpoint_every

    input_size = property(lambda self: self.cell.input_size)
    output_size = property(lambda self: self.cell.output_size)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return self.cell.initial_state(batch_size, dtype)

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        given: dict[str, Any] = {}
        if resets is not None:
            given = {"resets": resets.flags, "reset_state": None if resets.state is state else resets.state}
            state = resets.before_the_end(state, lengths) if self.reverse else state
        final, outputs = scan(
            self.cell,
            state,
            self._inputs(xs, lengths, rng, resets),
            lengths=lengths,
            reverse=self.reverse,
            engine=self.engine if self.engine != "auto" else engine,
            checkpoint_every=self.checkpoint_every,
            **given,
        )
        return outputs, final

    def _inputs(self, xs: Any, lengths: Array | None, rng: Any, resets: Resets | None) -> Any:
        """What the steps take; a cell that counts them counts those of each cut sequence."""
        make: Any = self.cell.inputs
        if type(self.cell).inputs is Cell.inputs:
            return make(xs, rng=rng)
        if resets is None or not self.cell.counts_steps():
            return make(filled(xs, lengths), rng=rng)
        return make(filled(xs, lengths), rng=rng, start=resets.counted(0, 0)[:-1])

    def one_cell(self) -> OneCell | None:
        plain = getattr(self.cell.inputs, "__func__", None) is Cell.inputs and runs_as(self, Recurrent)
        if self.reverse or self.checkpoint_every is not None or not plain:
            return None
        return OneCell((self,), self.cell, False)

    def extra_repr(self) -> str:
        return "reverse=True" if self.reverse else ""
