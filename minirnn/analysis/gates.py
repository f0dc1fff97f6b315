"""What gates do over a text or a task: how often they are shut or open, how long units remember, which ones are dead.

A gate is left-saturated where it is below 0.1, right-saturated where it is above 0.9 (Karpathy, Johnson & Fei-Fei 2015,
arXiv:1506.02078). A unit whose keep gate is f on the mean forgets by f a step: what it holds is down to a 1/e-th after
-1 / log f steps.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.analysis.recording import record_cells
from minirnn.module import Array, Module

__all__ = ["LEFT", "RIGHT", "CellGates", "GateStatistics", "gate_statistics"]

LEFT, RIGHT = 0.1, 0.9
DEAD = 1e-3  # of the standard deviation of what a unit shows, over time and batch
ROLES = ("write", "keep", "show", "reset")


class GateStatistics(NamedTuple):
    """One gate: mean, left and right (shares of the time below 0.1 and above 0.9), (H,) each."""

    mean: Array
    left: Array
    right: Array


class CellGates(NamedTuple):
    """One cell: its gates by name; memory: steps until 1/e of what a unit holds is left, (H,), None without a keep
    gate; dead: (H,), the units whose output never moves."""

    gates: dict[str, GateStatistics]
    memory: Array | None
    dead: Array


def gate_statistics(
    layer: Module, xs: Any, names: Sequence[str] | None = None, *, keep: str | None = None, state: Any = None
) -> dict[str, CellGates]:
    """Path of a cell -> what its gates do over xs; the path of a cell that came itself is "".

    layer, xs, state: as for `record`. names: the gates, by default those of write, keep, show and reset that the cell
    has; keep: the name of the keep gate, where the cell's own is not known.

    ValueError: a name that no step has; no names, and a cell whose gates are not known; values outside 0 to 1, which is
    no gate.
    """
    wanted = list(ROLES) if names is None else list(names)
    kept_as = keep or "keep"
    cells = record_cells(layer, xs, [*wanted, kept_as, "outputs"], state=state)
    there = {name for values in cells.values() for name in values}
    missing = [name for name in [*(names or ()), *([keep] if keep else [])] if name not in there]
    if missing:
        raise ValueError(
            f"gate_statistics: no step names {', '.join(missing)}; minirnn.analysis.record lists the names"
        )
    found = {path: _of_cell(values, wanted, kept_as) for path, values in cells.items()}
    if not any(of_cell.gates for of_cell in found.values()):
        raise ValueError("gate_statistics: the gates of this cell are not known by name; name them, names=['z', ...]")
    return found


def _of_cell(values: dict[str, Array], wanted: Sequence[str], kept_as: str) -> CellGates:
    gates = {name: _of_gate(name, values[name]) for name in wanted if name in values}
    memory = None if kept_as not in values else _memory(_flat(values[kept_as]).mean(axis=0))
    return CellGates(gates, memory, _flat(values["outputs"]).std(axis=0) < DEAD)


def _of_gate(name: str, values: Array) -> GateStatistics:
    if not (values.min() >= 0 and values.max() <= 1):  # nan is no gate either
        raise ValueError(f"gate_statistics: {name} has values from {values.min():.3g} to {values.max():.3g}; no gate")
    flat = _flat(values)
    return GateStatistics(flat.mean(axis=0), (flat < LEFT).mean(axis=0), (flat > RIGHT).mean(axis=0))


def _memory(keep: Array) -> Array:
    """Steps until a 1/e-th is left where a share `keep` stays at each step."""
    with np.errstate(divide="ignore"):
        steps: Array = -1 / np.log(keep)
    return steps


def _flat(values: Array) -> Array:
    """(T, B, ...) -> (T B, units), in float64."""
    return values.reshape(values.shape[0] * values.shape[1], -1).astype(np.float64)
