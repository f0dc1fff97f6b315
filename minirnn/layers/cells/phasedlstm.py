"""Phased LSTM (Neil, Pfeiffer & Liu 2016, arXiv:1610.09513).

    phi = ((t - s) mod T) / T                        the phase of each unit's own clock, of period T and shift s
    k = 2 phi / r           for phi < r / 2          opening
        2 - 2 phi / r       for r / 2 <= phi < r     closing
        leak phi            elsewhere                shut
    c~, h~: as in an LSTM with peepholes (PeepholeLSTM)
    c' = k * c~ + (1 - k) * c
    h' = k * h~ + (1 - k) * h

x: (B, I), h, c: (B, H), t: (B, 1); period and shift (H,), w (4H, I), u (4H, H), b (4H,) in the order i, f, g, o,
v (3H,) in the order i, f, o. r = r_on, the share of a period that a unit is open, is not trained, as in the paper.

A unit is updated only while it is open, so that a memory is old in its own periods and not in steps: for thousands of
steps and for events at irregular times. The paper's start: T = exp(U(0, 3)), s uniform in 0..T, r = 0.05. Its leak,
0.001 in training, lets gradients through a shut gate; for evaluation the paper takes it away: `cell.leak = 0.0`.

t comes in through `inputs`: with timestamps=True it is the last feature of xs, which input_size counts; else the
step's index, counted from 0 in every call. `minirnn.scan` takes other times, as `cell.inputs(xs, time=...)`, and for a
sequence in pieces `cell.inputs(xs, start=...)`.
"""

from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import tanh
from minirnn.layers.cells.gates import move, peephole
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.cells.timed import TimedInput, beside, indices
from minirnn.layers.lstm import LSTMState
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["PhasedLSTM", "openness"]


def openness(time: Array, period: Array, shift: Array, r_on: float, leak: float) -> Array:
    """k of the equations above. time: (B, 1), period and shift: (H,) -> (B, H)."""
    turns = (time - shift) / period
    phase = turns - np.floor(turns)
    ramp = 2 * phase / r_on
    return np.where(phase < r_on / 2, ramp, np.where(phase < r_on, 2 - ramp, leak * phase))


@register(year=2016, use="thousands of steps, irregular events: units open at their own rhythm", options={"r_on": 0.8})
class PhasedLSTM(Cell):
    """The phased LSTM. State: LSTMState(h, c), (B, H) each; output: h. r_on, leak, timestamps: see above."""

    period: Array
    shift: Array
    w: Array
    u: Array
    v: Array
    b: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        r_on: float = 0.05,
        leak: float = 0.001,
        timestamps: bool = False,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        if not (0 < r_on <= 1 and 0 <= leak <= 1):
            raise ValueError(f"PhasedLSTM: r_on={r_on} and leak={leak} came, 0 < r_on <= 1 and 0 <= leak <= 1 expected")
        self.r_on, self.leak, self.timestamps = float(r_on), float(leak), timestamps
        shapes: dict[str, tuple[int, ...]] = {"period": (hidden_size,), "shift": (hidden_size,)}
        shapes |= {"w": (4 * hidden_size, input_size - timestamps), "u": (4 * hidden_size, hidden_size)}
        shapes |= {"v": (3 * hidden_size,), "b": (4 * hidden_size,)}
        init_ = {"period": init.uniform(0, 3), "shift": init.uniform(0, 1)}
        declare(self, input_size, hidden_size, rng, dtype, shapes, init_)
        self.period = onp.exp(self.period)
        self.shift = self.shift * self.period

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> LSTMState:
        zeros = super().initial_state(batch_size, dtype)
        return LSTMState(zeros, zeros.copy())

    def inputs(
        self, xs: Array, *, rng: onp.random.Generator | None = None, time: Any = None, start: Any = 0
    ) -> TimedInput:
        """xs (T, B, I) with the time of each step beside it: (T, B) or (T,), or counted from `start` on, or
        `start` (T, B) itself."""
        return beside("PhasedLSTM", xs, self.timestamps, time, indices(xs, start))

    def step(self, state: LSTMState, x: TimedInput) -> tuple[LSTMState, Any]:
        k = openness(x.time, self.period, self.shift, self.r_on, self.leak)
        o, c = peephole(self, state.h, state.c, x.x)
        new = LSTMState(move(k, state.h, o * tanh(c)), move(k, state.c, c))
        return new, new.h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, r_on={self.r_on}, leak={self.leak}" + ", timestamps=True" * self.timestamps
