"""What a gradient costs beside the function's own work: value_and_grad around a primitive that does nothing.

python -m benchmarks --only overhead
"""

from typing import Any

import autograd.extend as extend
import numpy as np
from rich.table import Table

import minirnn
from benchmarks.timing import interleaved
from minirnn import Module, Parameter

__all__ = ["measure", "table"]


class Flat(Module):
    """Four small parameters and nothing below."""

    def __init__(self) -> None:
        for name in "abcd":
            setattr(self, name, Parameter(np.ones((3, 3))))


_nothing = extend.primitive(lambda *arrays: np.float64(0.0))
extend.defvjp_argnums(_nothing, lambda argnums, y, args, kw: lambda g: [args[i] for i in argnums])


def _loss(model: Module) -> Any:
    """One traced call that takes every parameter, whose value and derivatives cost nothing to compute."""
    return _nothing(
        *(held[name] for module in model.modules() for held in (module.__dict__,) for name in module._leaves)
    )


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """Microseconds a call of value_and_grad, for a flat Module of 4 parameters and for an LSTM layer's 4."""
    models = {"a flat Module of 4 parameters": Flat(), "an LSTM layer": minirnn.LSTM(3, 4, dtype=np.float64)}
    gradient = minirnn.value_and_grad(_loss)
    calls = {name: lambda model=model: gradient(model) for name, model in models.items()}
    timings = interleaved(calls, seconds=0.5 if quick else 4.0)
    return [{"around": name, "microseconds": 1e6 * timing.median} for name, timing in timings.items()]


def table(rows: list[dict[str, Any]]) -> Table:
    """The measurement as a table."""
    made = Table("value_and_grad around an empty function of", "µs a call", title="overhead")
    for row in rows:
        made.add_row(row["around"], f"{row['microseconds']:.0f}")
    return made
