"""The gated recurrent unit (Cho et al. 2014, arXiv:1406.1078): step, cell, layer.

The reset gate is applied after the recurrent product, as in cuDNN and PyTorch.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.checks import as_generator
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.gates import declare_gates
from minirnn.layers.recurrent import Cell
from minirnn.layers.stack import CellStack
from minirnn.module import Array

__all__ = ["GRU", "GRUCell", "gru_step"]


def gru_step(
    h: Array,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
) -> Array:
    """One step of a GRU. h: (B, H), x: (B, I), weights (3H, I) and (3H, H) in the order r, z, n -> h' (B, H).

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)            reset
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)            update (keep)
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn))         candidate
    h' = (1 - z) * n + z * h
    """
    from_x = split(linear(x, weight_ih, bias_ih), 3)
    from_h = split(linear(h, weight_hh, bias_hh), 3)
    r = sigmoid(from_x[0] + from_h[0])
    z = sigmoid(from_x[1] + from_h[1])
    n = tanh(from_x[2] + r * from_h[2])
    return (1 - z) * n + z * h


class GRUCell(Cell):
    """A GRU's parameters and step; see gru_step for the equations. State and output: h (B, H)."""

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None
    bias_hh: Array | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        declare_gates(self, 3, input_size, hidden_size, bias, rng, dtype)

    def step(self, h: Array, x: Any) -> tuple[Array, Array]:
        h = gru_step(h, x, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return h, h


class GRU(CellStack):
    """The gated recurrent unit, with PyTorch's arguments, equations, shapes and initial distribution.

    Called with xs (T, B, I) and a state h (layers * directions, B, H) it returns outputs (T, B, directions * H) and the
    final h; see RecurrentLayer for batch_first, unbatched input, lengths and rng.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
    ):
        rng = as_generator("GRU", rng)
        super().__init__(
            lambda size: GRUCell(size, hidden_size, bias, rng=rng, dtype=dtype),
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            batch_first=batch_first,
            engine=engine,
        )
