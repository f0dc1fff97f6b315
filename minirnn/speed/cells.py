"""A cell at a size: what is measured is a Cell class, built anew for every size, or a Cell as it is."""

from typing import Any

import numpy as np

from minirnn.layers import Cell

__all__ = ["built", "name_of"]


def name_of(cell: type[Cell] | Cell) -> str:
    """The class's name."""
    return cell.__name__ if isinstance(cell, type) else type(cell).__name__


def built(cell: type[Cell] | Cell, inputs: int, hidden: int, dtype: str = "float32") -> Cell:
    """The cell at a size and in a float dtype, the same numbers each time. A Cell keeps its size, and a class whose
    cells take as many features as they have units is given as many. ValueError: the class does not take (inputs,
    hidden)."""
    if isinstance(cell, Cell):
        return cell.astype(dtype)
    make: Any = cell

    def at(features: int) -> Cell:
        made: Cell = make(features, hidden, rng=np.random.default_rng(0))
        return made.astype(dtype)

    try:
        try:
            return at(inputs)
        except ValueError:
            return at(hidden)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{cell.__name__}({inputs}, {hidden}, rng=...) fails: {error}; give a Cell in place of the class, as in "
            f"my_cell = {cell.__name__}(...)"
        ) from error
