"""The simple recurrent network (Elman 1990, doi:10.1207/s15516709cog1402_1): step, cell, layer."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.checks import as_generator
from minirnn.functional import linear, relu, tanh
from minirnn.layers.gates import declare_gates
from minirnn.layers.recurrent import Cell
from minirnn.layers.stack import CellStack
from minirnn.module import Array

__all__ = ["RNN", "RNNCell", "rnn_step"]

NONLINEARITIES = {"tanh": tanh, "relu": relu}


def rnn_step(
    h: Array,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    nonlinearity: str = "tanh",
) -> Array:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu. h: (B, H), x: (B, I), weights (H, I) and (H, H) -> (B, H)."""
    return NONLINEARITIES[nonlinearity](linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh))


class RNNCell(Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu; the output is h'. State: h (B, H)."""

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None
    bias_hh: Array | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"{type(self).__name__}: nonlinearity={nonlinearity!r} came, tanh or relu was expected")
        declare_gates(self, 1, input_size, hidden_size, bias, rng, dtype)
        self.nonlinearity = nonlinearity

    def step(self, h: Array, x: Any) -> tuple[Array, Array]:
        h = rnn_step(h, x, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.nonlinearity)
        return h, h


class RNN(CellStack):
    """The simple recurrent network, with PyTorch's arguments, equations, shapes and initial distribution.

    Called with xs (T, B, I) and a state h (layers * directions, B, H) it returns outputs (T, B, directions * H) and the
    final h; see RecurrentLayer for batch_first, unbatched input, lengths and rng.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
    ):
        rng = as_generator("RNN", rng)
        super().__init__(
            lambda size: RNNCell(size, hidden_size, bias, nonlinearity, rng=rng, dtype=dtype),
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            batch_first=batch_first,
            engine=engine,
        )
