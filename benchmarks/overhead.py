"""What a gradient costs beside the function's own work: value_and_grad around a primitive that does nothing.

python -m benchmarks --only overhead
"""

from typing import Any

import autograd.extend as extend
import numpy as np
from rich.table import Table

import minirnn
from minirnn import Module, Parameter
from minirnn.speed.timing import interleaved

__all__ = ["measure", "table"]


class Flat(Module):
    """Four small parameters and nothing below."""

    def __init__(self) -> None:
        for name in "abcd":
            setattr(self, name, Parameter(np.ones((3, 3))))


_nothing = extend.primitive(lambda *arrays: np.float64(0.0))
extend.defvjp_argnums(_nothing, lambda argnums, y, args, kw: lambda g: [args[i] for i in argnums])


def _flat_loss(model: Any) -> Any:
    """One traced call that takes every parameter, whose value and derivatives cost nothing to compute."""
    return _nothing(model.a, model.b, model.c, model.d)


def _lstm_loss(model: Any) -> Any:
    cell = model.layers[0].cell
    return _nothing(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """Microseconds a call of value_and_grad, for a flat Module of 4 parameters and for an LSTM layer's 4."""
    flat, lstm = Flat(), minirnn.LSTM(3, 4, dtype=np.float64)
    of_flat, of_lstm = minirnn.value_and_grad(_flat_loss), minirnn.value_and_grad(_lstm_loss)
    calls = {"a flat Module of 4 parameters": lambda: of_flat(flat), "an LSTM layer": lambda: of_lstm(lstm)}
    timings = interleaved(calls, seconds=0.5 if quick else 4.0)
    return [{"around": name, "microseconds": 1e6 * timing.median} for name, timing in timings.items()]


def table(rows: list[dict[str, Any]]) -> Table:
    """The measurement as a table."""
    made = Table("value_and_grad around an empty function of", "µs a call", title="overhead")
    for row in rows:
        made.add_row(row["around"], f"{row['microseconds']:.0f}")
    return made
