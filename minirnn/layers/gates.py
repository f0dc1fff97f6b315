"""The parameters that RNN, LSTM and GRU cells have in common: stacked gates under PyTorch's names and shapes."""

import numpy as np
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import as_generator, check_positive
from minirnn.layers.recurrent import Cell
from minirnn.module import Parameter

__all__ = ["declare_gates"]


def declare_gates(
    cell: Cell,
    gates: int,
    input_size: int,
    hidden_size: int,
    bias: bool,
    rng: np.random.Generator | None,
    dtype: DTypeLike,
    proj_size: int = 0,
) -> None:
    """Give a cell PyTorch's parameters, U(-k, k) with k = 1 / sqrt(H): weight_ih (gates*H, I), weight_hh (gates*H, H),
    two biases (gates*H,) or None, and with proj_size weight_hr (P, H), where weight_hh is (gates*H, P)."""
    name = type(cell).__name__
    input_size, hidden_size = check_positive(name, input_size=input_size, hidden_size=hidden_size)
    draw, rng = init.torch_default(hidden_size), as_generator(name, rng)
    rows, fed_back = gates * hidden_size, proj_size or hidden_size
    cell.input_size, cell.hidden_size, cell.output_size = input_size, hidden_size, fed_back
    cell.weight_ih = Parameter(draw(rng, (rows, input_size), dtype))
    cell.weight_hh = Parameter(draw(rng, (rows, fed_back), dtype))
    cell.bias_ih = Parameter(draw(rng, (rows,), dtype)) if bias else None
    cell.bias_hh = Parameter(draw(rng, (rows,), dtype)) if bias else None
    if proj_size:
        cell.weight_hr = Parameter(draw(rng, (proj_size, hidden_size), dtype))
