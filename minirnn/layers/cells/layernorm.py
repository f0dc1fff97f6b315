"""LayerNormLSTM and LayerNormGRU (Ba, Kiros & Hinton 2016, arXiv:1607.06450, equations 20 to 22 and 26 to 28).

With LN(a) = (a - mean a) / sqrt(var a + 1e-5), over the whole vector of a layer's pre-activations:

    i, f, g, o = p_x * LN(W x) + p_h * LN(U h) + b                         LayerNormLSTM
    c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h' = sigmoid(o) * tanh(p_c * LN(c') + b_c)

    r, z = sigmoid(p_x * LN(W x) + p_h * LN(U h) + b)                      LayerNormGRU
    n = tanh(q_x * LN(W_n x) + b_x + r * (q_h * LN(U_n h) + b_h))
    h' = (1 - z) * h + z * n

x: (B, I), h, c: (B, H); LSTM: w (4H, I), u (4H, H), b (4H,) in the order i, f, g, o; GRU: w (3H, I), u (3H, H) in the
order r, z, n, b (2H,). The gains p_x, p_h, p_c, q_x, q_h are norm_x.weight, norm_h.weight, norm_c.weight,
norm_nx.weight, norm_nh.weight, ones at first; the shifts b_c, b_x, b_h are norm_c.bias, norm_nx.bias, norm_nh.bias,
zeros at first. The paper's three biases of the gates, which only ever occur as a sum, are one.

A state neither grows nor dies with the scale of weights and inputs: for long sequences and for small batches.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.checks import check_positive
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cells.gates import move
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.lstm import LSTMState
from minirnn.layers.norm import LayerNorm
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["LayerNormGRU", "LayerNormLSTM"]


@register(year=2016, use="an LSTM that the scale of weights and inputs does not touch")
class LayerNormLSTM(Cell):
    """The LSTM with layer normalisation. State: LSTMState(h, c), (B, H) each; output: h."""

    w: Array
    u: Array
    b: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        shapes = {"w": (4 * hidden_size, input_size), "u": (4 * hidden_size, hidden_size), "b": (4 * hidden_size,)}
        declare(self, input_size, hidden_size, rng, dtype, shapes)
        self.norm_x = LayerNorm(4 * hidden_size, bias=False, dtype=dtype)
        self.norm_h = LayerNorm(4 * hidden_size, bias=False, dtype=dtype)
        self.norm_c = LayerNorm(hidden_size, dtype=dtype)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> LSTMState:
        zeros = super().initial_state(batch_size, dtype)
        return LSTMState(zeros, zeros.copy())

    def step(self, state: LSTMState, x: Any) -> tuple[LSTMState, Any]:
        h, c = state
        i, f, g, o = split(self.norm_x(linear(x, self.w)) + self.norm_h(linear(h, self.u)) + self.b, 4)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(self.norm_c(c))
        return LSTMState(h, c), h


@register(year=2016, use="a GRU that the scale of weights and inputs does not touch")
class LayerNormGRU(Cell):
    """The GRU with layer normalisation. State and output: h (B, H)."""

    w: Array
    u: Array
    b: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        shapes = {"w": (3 * hidden_size, input_size), "u": (3 * hidden_size, hidden_size), "b": (2 * hidden_size,)}
        declare(self, input_size, hidden_size, rng, dtype, shapes)
        self.norm_x = LayerNorm(2 * hidden_size, bias=False, dtype=dtype)
        self.norm_h = LayerNorm(2 * hidden_size, bias=False, dtype=dtype)
        self.norm_nx = LayerNorm(hidden_size, dtype=dtype)
        self.norm_nh = LayerNorm(hidden_size, dtype=dtype)

    def step(self, h: Array, x: Any) -> tuple[Array, Array]:
        from_x, from_h, n = linear(x, self.w), linear(h, self.u), 2 * self.hidden_size
        gates = self.norm_x(from_x[..., :n]) + self.norm_h(from_h[..., :n]) + self.b
        r, z = split(sigmoid(gates), 2)
        candidate = tanh(self.norm_nx(from_x[..., n:]) + r * self.norm_nh(from_h[..., n:]))
        h = move(z, h, candidate)
        return h, h
