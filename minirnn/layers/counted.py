"""Counted: a layer of a cell that knows its step's index, which goes on counting from call to call."""

import inspect
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn.boxes import shape_of
from minirnn.engines import check_engine_name, scan
from minirnn.layers.recurrent import Cell, RecurrentLayer, State
from minirnn.module import Array
from minirnn.padding import filled

__all__ = ["Counted", "CountedState", "counts_steps"]


class CountedState(NamedTuple):
    """cell: the cell's own state; steps: how many steps each sequence has had, (B,) integers."""

    cell: State
    steps: Array


def counts_steps(cell: Cell) -> bool:
    """Whether what the cell's steps take depends on where they begin: `cell.inputs(xs, start=...)`."""
    return "start" in inspect.signature(cell.inputs).parameters


class Counted(RecurrentLayer):
    """One cell over time, whose clock stands in the layer's state: a sequence in pieces is the sequence in one.

        layer = Counted(minirnn.cells.ClockworkRNN(64, 128))

    `Recurrent` has such a cell count from 0 in every call, which is wrong for truncated back-propagation and for
    sampling step by step. State: CountedState; all sequences of a batch must have had equally many steps.

    TypeError: a cell that counts nothing. ValueError: sequences that stand at different steps.
    """

    def __init__(self, cell: Cell, *, batch_first: bool = False, engine: str = "auto"):
        if not isinstance(cell, Cell) or not counts_steps(cell):
            raise TypeError(f"Counted: {type(cell).__name__} came, a cell whose inputs take start= was expected")
        self.cell = cell
        self.batch_first, self.engine = batch_first, check_engine_name(engine)

    input_size = property(lambda self: self.cell.input_size)
    output_size = property(lambda self: self.cell.output_size)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> CountedState:
        return CountedState(self.cell.initial_state(batch_size, dtype), np.zeros(batch_size, np.int64))

    def run(
        self, xs: Any, state: CountedState, lengths: Array | None, rng: Any, engine: str
    ) -> tuple[Any, CountedState]:
        had = state.steps
        if had.size and had.min() != had.max():
            raise ValueError(
                f"Counted: the sequences stand at steps {had.min()} to {had.max()}; only a batch of one pace can be "
                "gone on with"
            )
        inputs: Any = self.cell.inputs
        final, outputs = scan(
            self.cell,
            state.cell,
            inputs(filled(xs, lengths), rng=rng, start=int(had[0]) if had.size else 0),
            lengths=lengths,
            engine=self.engine if self.engine != "auto" else engine,
        )
        return outputs, CountedState(final, had + (shape_of(xs)[0] if lengths is None else lengths))
