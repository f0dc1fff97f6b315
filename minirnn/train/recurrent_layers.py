"""The recurrent layers of a model, by the name of their cell: lstm, gru, rnn, and every cell of the zoo."""

from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.layers import GRU, LSTM, RNN, Recurrent, RecurrentLayer, Stacked, cells
from minirnn.layers.cells.registry import card
from minirnn.layers.counted import Counted

__all__ = ["CELLS", "cell_name", "check_chrono", "recurrent_layer"]

_LAYERS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
CELLS = tuple(_LAYERS)
_GATES = {"lstm": 4, "gru": 3}


def cell_name(name: str) -> str:
    """A cell's name as it is written, for one in any case. ValueError: there is none, or its input is no vector."""
    known = {one.lower(): one for one in (*CELLS, *cells.names())}
    exact = known.get(name.lower())
    if exact is None:
        close = ", ".join(known[one] for one in get_close_matches(name.lower(), known, n=3))
        raise ValueError(
            f"cell={name!r} came, one of {', '.join(CELLS)}, or a name that `minirnn cells` lists, was expected"
            + (f"; near it are {close}" if close else "")
        )
    if exact not in CELLS and isinstance(card(cells.get(exact)).small[0], tuple):
        raise ValueError(f"cell={name!r} came, whose input is a frame; a text or a task gives vectors")
    return exact


def check_chrono(cell: str, chrono: int | None) -> None:
    """ValueError: the cell has no gates that chrono could open."""
    if chrono is not None and cell not in _GATES:
        raise ValueError(f"chrono={chrono} came with cell={cell!r}; it is for {' and '.join(_GATES)}: leave it out")


def recurrent_layer(
    cell: str,
    input_size: int,
    hidden: int,
    layers: int = 1,
    *,
    dropout: float = 0.0,
    chrono: int | None = None,
    rng: np.random.Generator | None = None,
    dtype: DTypeLike = np.float32,
) -> RecurrentLayer:
    """Recurrent layers of one kind, `hidden` units each, on top of each other: xs (T, B, I) -> (T, B, hidden).

    dropout: between them, where an rng is given. chrono: the most steps that gates begin by keeping for (init.chrono).
    ValueError: no such cell, sizes that it does not take, or chrono for a cell other than lstm and gru.
    """
    name, between, rng = cell_name(cell), dropout if layers > 1 else 0.0, rng or np.random.default_rng()
    check_chrono(name, chrono)
    if name in _LAYERS:
        made: RecurrentLayer = _LAYERS[name](input_size, hidden, layers, dropout=between, rng=rng, dtype=dtype)
        if chrono is not None:
            init.apply(made, {"*.bias_ih": init.chrono(chrono, _GATES[name]), "*.bias_hh": init.zeros}, rng=rng)
        return made
    sizes = [input_size] + [hidden] * (layers - 1)
    each = [cells.make(name, size, hidden, rng=rng, dtype=dtype) for size in sizes]
    stack: list[RecurrentLayer] = [Counted(one) if one.counts_steps() else Recurrent(one) for one in each]
    return stack[0] if layers == 1 else Stacked(stack, dropout=between)
