"""Recurrent dropout without memory loss (Semeniuta, Severyn & Barth 2016, arXiv:1603.05118): LSTM and GRU.

Dropout on the candidate alone, d(g) = m * g with m = 0 with probability p, else 1 / (1 - p):

    LSTM:   c' = f * c + i * d(g)            GRU:   h' = (1 - z) * d(n) + z * h

What is remembered is never touched, so that it can be kept for any number of steps. Dropout on h or c itself would
erase a memory within 1 / p steps. All other equations are those of lstm_step and gru_step.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import as_generator
from minirnn.dropping import dropout_mask
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.dropout import check_probability, warn_without_noise
from minirnn.layers.gru import GRUCell
from minirnn.layers.lstm import LSTMCell, LSTMState
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["DroppedInput", "RecurrentDropoutGRUCell", "RecurrentDropoutLSTMCell"]

PER = ("step", "sequence")


class DroppedInput(NamedTuple):
    """x: (B, I), and the candidate's mask m: (B, H); with a leading axis of time before the loop."""

    x: Array
    mask: Array


class _CandidateDropout(Cell):
    """What both cells share: p, and the masks that `inputs` puts beside xs where an rng is given."""

    p: float
    per: str

    def _set(self, p: float, per: str) -> None:
        self.p = check_probability(type(self).__name__, p)
        if per not in PER:
            raise ValueError(f"{type(self).__name__}: per={per!r} came, step or sequence was expected")
        self.per = per

    def inputs(self, xs: Array, *, rng: np.random.Generator | None = None) -> Any:
        """xs (T, B, I) with a mask (T, B, H) beside it; xs alone where there is no noise."""
        if not self.p:
            return xs
        if rng is None:
            warn_without_noise(xs, *self._arrays())
            return xs
        rng = as_generator(type(self).__name__, rng)
        steps, batch = shape_of(xs)[:2]
        drawn = steps if self.per == "step" else 1
        mask = dropout_mask((drawn, batch, self.hidden_size), self.p, dtype_of(xs), rng)
        return DroppedInput(xs, np.broadcast_to(mask, (steps, batch, self.hidden_size)))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}, per={self.per!r}"


class RecurrentDropoutLSTMCell(_CandidateDropout, LSTMCell):
    """An LSTM with dropout on its candidate g where an rng is given; without one it is the LSTM, on any engine.

    per: "step" draws a mask at every step, "sequence" one for all steps; the paper tries both. Parameters, state
    LSTMState(h, c) and output h are LSTMCell's.

    ValueError: p is no probability, an unknown `per`, and what LSTMCell raises.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        p: float = 0.25,
        *,
        per: str = "step",
        bias: bool = True,
        proj_size: int = 0,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        self._set(p, per)
        super().__init__(input_size, hidden_size, bias, proj_size, rng=rng, dtype=dtype)

    def step(self, state: LSTMState, x: Any) -> tuple[LSTMState, Array]:
        if not isinstance(x, DroppedInput):
            return super().step(state, x)
        pre = linear(x.x, self.weight_ih, self.bias_ih) + linear(state.h, self.weight_hh, self.bias_hh)
        i, f, g, o = split(pre, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), x.mask * tanh(g), sigmoid(o)
        c = f * state.c + i * g
        h = o * tanh(c)
        h = h if self.weight_hr is None else linear(h, self.weight_hr)
        return LSTMState(h, c), h


class RecurrentDropoutGRUCell(_CandidateDropout, GRUCell):
    """A GRU with dropout on its candidate n where an rng is given; without one it is the GRU, on any engine.

    per: "step" draws a mask at every step, "sequence" one for all steps; the paper tries both. Parameters, state and
    output h are GRUCell's.

    ValueError: p is no probability, an unknown `per`, and what GRUCell raises.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        p: float = 0.25,
        *,
        per: str = "step",
        bias: bool = True,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        self._set(p, per)
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)

    def step(self, h: Array, x: Any) -> tuple[Array, Array]:
        if not isinstance(x, DroppedInput):
            return super().step(h, x)
        from_x = split(linear(x.x, self.weight_ih, self.bias_ih), 3)
        from_h = split(linear(h, self.weight_hh, self.bias_hh), 3)
        r, z = sigmoid(from_x[0] + from_h[0]), sigmoid(from_x[1] + from_h[1])
        n = x.mask * tanh(from_x[2] + r * from_h[2])
        h = (1 - z) * n + z * h
        return h, h
