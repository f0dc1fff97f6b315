"""Counted: a layer of a cell that knows its step's index, which goes on counting from call to call."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn.boxes import shape_of
from minirnn.engines import check_engine_name, scan
from minirnn.layers.recurrent import Cell, RecurrentLayer, State
from minirnn.module import Array
from minirnn.padding import filled
from minirnn.resets import Resets

__all__ = ["Counted", "CountedState"]


class CountedState(NamedTuple):
    """cell: the cell's own state; steps: how many steps each sequence has had, (B,) integers."""

    cell: State
    steps: Array


class Counted(RecurrentLayer):
    """One cell over time, whose clock stands in the layer's state: a sequence in pieces is the sequence in one.

        layer = Counted(minirnn.cells.ClockworkRNN(64, 128))

    `Recurrent` has such a cell count from 0 in every call, which is wrong for truncated back-propagation and for
    sampling step by step. State: CountedState; each sequence of a batch counts for itself.

    TypeError: a cell that counts nothing.
    """

    def __init__(self, cell: Cell, *, batch_first: bool = False, engine: str = "auto"):
        if not isinstance(cell, Cell) or not cell.counts_steps():
            raise TypeError(f"Counted: {type(cell).__name__} came, a cell whose inputs take start= was expected")
        self.cell = cell
        self.batch_first, self.engine = batch_first, check_engine_name(engine)

    input_size = property(lambda self: self.cell.input_size)
    output_size = property(lambda self: self.cell.output_size)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> CountedState:
        return CountedState(self.cell.initial_state(batch_size, dtype), np.zeros(batch_size, np.int64))

    def run(
        self,
        xs: Any,
        state: CountedState,
        lengths: Array | None,
        rng: Any,
        engine: str,
        resets: Resets | None = None,
    ) -> tuple[Any, CountedState]:
        steps, batch = shape_of(xs)[:2]
        cuts = resets or Resets.at(np.zeros((steps, batch), bool), state)
        count = cuts.counted(state.steps, cuts.state.steps)
        inputs: Any = self.cell.inputs
        final, outputs = scan(
            self.cell,
            state.cell,
            inputs(filled(xs, lengths), rng=rng, start=count[:-1]),
            lengths=lengths,
            engine=self.engine if self.engine != "auto" else engine,
            resets=None if resets is None else resets.flags,
            reset_state=None if resets is None else resets.state.cell,
        )
        ends = np.full(batch, steps) if lengths is None else lengths
        return outputs, CountedState(final, count[ends, np.arange(batch)])
