"""RNN, LSTM and GRU cells as ONNX's own operators: their weights in its order of gates, one operator a layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.interop.onnx.graph import Graph, Value
from minirnn.layers.gru import GRUCell
from minirnn.layers.lstm import LSTMCell
from minirnn.layers.recurrent import Cell
from minirnn.layers.rnn import RNNCell
from minirnn.module import Array

__all__ = ["is_native", "native", "reordered"]

# ONNX's order of gates by ours: LSTM i, f, g, o -> i, o, f, c; GRU r, z, n -> z, r, h
ORDER: dict[type[Cell], tuple[int, ...]] = {RNNCell: (0,), LSTMCell: (0, 3, 1, 2), GRUCell: (1, 0, 2)}


def is_native(*cells: Cell) -> bool:
    """Whether one operator can run the cells, one a direction."""
    first = cells[0]
    kinds = {
        (type(cell), cell.input_size, cell.hidden_size, cell.dtype, getattr(cell, "nonlinearity", "")) for cell in cells
    }
    return len(kinds) == 1 and type(first) in ORDER and not getattr(first, "proj_size", 0)


def native(
    g: Graph, cells: Sequence[Any], xs: Value, initial: Sequence[str], lengths: str, *, reverse: bool = False, hint: str
) -> tuple[str, list[str]]:
    """One layer, one or both directions. initial: h, and for LSTM c, (directions, B, H); lengths: (B,) int32 or "".

    Returns the outputs (T, directions, B, H), and the final states as the initial ones.
    """
    first, directions = cells[0], len(cells)
    ids = tuple([id(array) for cell in cells for array in cell._arrays()])
    w, r, b = (
        g.derived((what, ids), np.stack(arrays), f"{hint}.{what}")
        for what, arrays in {
            "W": [reordered(cell, cell.weight_ih) for cell in cells],
            "R": [reordered(cell, cell.weight_hh) for cell in cells],
            "B": [_biases(cell) for cell in cells],
        }.items()
    )
    attributes: dict[str, Any] = {"hidden_size": first.hidden_size}
    attributes["direction"] = "bidirectional" if directions == 2 else "reverse" if reverse else "forward"
    if isinstance(first, GRUCell):
        attributes["linear_before_reset"] = 1  # r * (W_hn h + b_hn)
    if isinstance(first, RNNCell):
        attributes["activations"] = [first.nonlinearity.capitalize()] * directions
    kind = type(first).__name__.removesuffix("Cell")
    found = g.ops(kind, xs.name, w, r, b, lengths, *initial, results=1 + len(initial), hint=hint, **attributes)
    return found[0], found[1:]


def reordered(cell: Any, array: Array) -> Array:
    """The gates' rows of a weight or bias in ONNX's order."""
    order = ORDER[type(cell)]
    blocks = np.split(np.asarray(array), len(order))
    return np.concatenate([blocks[k] for k in order])


def _biases(cell: Any) -> Array:
    """(2 * gates * H,): of the input's product, then of the state's; zeros where the cell has none."""
    none = np.zeros(len(cell.weight_ih), cell.weight_ih.dtype)
    both = [none if bias is None else reordered(cell, bias) for bias in (cell.bias_ih, cell.bias_hh)]
    return np.concatenate(both)
