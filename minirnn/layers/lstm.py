"""Long short-term memory (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735): step, cell, layer.

The forget gate is from Gers et al. 2000, doi:10.1162/089976600300015015; the projection from Sak et al. 2014,
arXiv:1402.1128.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn.checks import as_generator, check_positive, is_integer
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.gates import declare_gates
from minirnn.layers.recurrent import Cell
from minirnn.layers.stack import CellStack
from minirnn.module import Array

__all__ = ["LSTM", "LSTMCell", "LSTMState", "lstm_step"]


class LSTMState(NamedTuple):
    """h: what is shown, (B, H) or (B, P); c: what is remembered, (B, H)."""

    h: Array
    c: Array


def lstm_step(
    h: Array,
    c: Array,
    x: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    weight_hr: Array | None = None,
) -> tuple[Array, Array]:
    """One step of an LSTM. h, c: (B, H), x: (B, I), weights (4H, I) and (4H, H) in the order i, f, g, o -> h', c'.

    i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      write (input gate)
    f = sigmoid(W_if x + b_if + W_hf h + b_hf)      keep (forget gate)
    g = tanh(W_ig x + b_ig + W_hg h + b_hg)         what to write
    o = sigmoid(W_io x + b_io + W_ho h + b_ho)      show (output gate)
    c' = f * c + i * g
    h' = o * tanh(c')                               and with weight_hr (P, H), h' = W_hr (o * tanh(c'))
    """
    i, f, g, o = split(linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh), 4)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * tanh(c)
    return h if weight_hr is None else linear(h, weight_hr), c


class LSTMCell(Cell):
    """An LSTM's parameters and step; see lstm_step for the equations. State: LSTMState(h, c); the output is h."""

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None
    bias_hh: Array | None
    weight_hr: Array | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        proj_size: int = 0,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        name = type(self).__name__
        check_positive(name, input_size=input_size, hidden_size=hidden_size)
        if not is_integer(proj_size) or not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size={proj_size!r} came, 0 to {hidden_size - 1} was expected")
        self.weight_hr = None
        self.proj_size = int(proj_size)
        declare_gates(self, 4, input_size, hidden_size, bias, rng, dtype, self.proj_size)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> LSTMState:
        dtype = dtype or self.dtype
        return LSTMState(
            np.zeros((batch_size, self.proj_size or self.hidden_size), dtype),
            np.zeros((batch_size, self.hidden_size), dtype),
        )

    def step(self, state: LSTMState, x: Any) -> tuple[LSTMState, Array]:
        h, c = lstm_step(*state, x, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.weight_hr)
        return LSTMState(h, c), h


class LSTM(CellStack):
    """Long short-term memory, with PyTorch's arguments, equations, shapes and initial distribution.

    Called with xs (T, B, I) and a state LSTMState(h, c), h (layers * directions, B, P or H) and c the same with H, it
    returns outputs (T, B, directions * (P or H)) and the final state; see RecurrentLayer for batch_first, unbatched
    input, lengths and rng.
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
        proj_size: int = 0,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
    ):
        rng = as_generator("LSTM", rng)
        super().__init__(
            lambda size: LSTMCell(size, hidden_size, bias, proj_size, rng=rng, dtype=dtype),
            input_size,
            proj_size or hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            batch_first=batch_first,
            engine=engine,
        )
