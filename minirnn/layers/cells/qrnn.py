"""QRNN, the quasi-recurrent network with fo-pooling (Bradbury, Merity, Xiong & Socher 2016, arXiv:1611.01576).

    z = tanh(W_z [x_{t-k+1}; ...; x_t])            [;]: the last k inputs, side by side: a convolution over time
    f = sigmoid(W_f [x_{t-k+1}; ...; x_t])
    o = sigmoid(W_o [x_{t-k+1}; ...; x_t])
    c' = f * c + (1 - f) * z
    h = o * c'

x: (B, I), c: (B, H); w (3H, k I) in the order z, f, o, and in each row the oldest input first; b (3H,), which the paper
leaves out. window = k: how many inputs a step sees, 2 by default.

Convolutions do what needs the neighbours, and only the pooling is recurrent. For text, where an n-gram says much.
The k - 1 inputs before the present one belong to the state, so that a sequence in pieces, or one generated step by
step, is what it is as a whole; before its start they are zeros.
"""

import itertools
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn.checks import check_positive
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cells.associative_scan import linear_scan
from minirnn.layers.cells.linear_recurrence import begun_anew, by_native_loop, check_cuts, check_sequence, last
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.recurrent import Cell
from minirnn.module import Array
from minirnn.padding import over_time, where
from minirnn.resets import Resets

__all__ = ["QRNN", "QRNNState"]


class QRNNState(NamedTuple):
    """c: (B, H); past: the inputs before the present one, the oldest first, (B, (k - 1) I)."""

    c: Array
    past: Array


@register(year=2016, use="text: convolutions over time, and a recurrence that is only pooling")
class QRNN(Cell):
    """The quasi-recurrent network. State: QRNNState(c, past); output: h (B, H)."""

    w: Array
    b: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        window: int = 2,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        (window,) = check_positive("QRNN", window=window)
        self.window = window
        shapes = {"w": (3 * hidden_size, window * input_size), "b": (3 * hidden_size,)}
        declare(self, input_size, hidden_size, rng, dtype, shapes)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> QRNNState:
        past = onp.zeros((batch_size, onp.shape(self.w)[1] * (self.window - 1) // self.window), dtype or self.dtype)
        return QRNNState(super().initial_state(batch_size, dtype), past)

    def coefficients(self, seen: Any) -> Any:
        """f, (1 - f) * z and o, of the last k inputs (..., k I)."""
        z, f, o = split(linear(seen, self.w, self.b), 3)
        f = sigmoid(f)
        return f, (1 - f) * tanh(z), sigmoid(o)

    def step(self, state: QRNNState, x: Any) -> tuple[QRNNState, Any]:
        seen = np.concatenate([state.past, x], axis=-1)
        f, b, o = self.coefficients(seen)
        c = f * state.c + b
        return QRNNState(c, seen[:, np.shape(x)[-1] :]), o * c

    def parallel(
        self,
        xs: Array,
        state: QRNNState | None = None,
        *,
        resets: Any = None,
        reset_state: QRNNState | None = None,
    ) -> tuple[Any, QRNNState]:
        """The whole sequence at once: xs (T, B, I) -> (outputs (T, B, H), final state), equal to step by step, with
        resets and reset_state as `minirnn.scan` takes them.

        TypeError, ValueError: xs of another shape or float dtype, a state that is not like `initial_state`'s, other
        flags.
        """
        c, past = state = check_sequence(self, xs, state)
        cut = check_cuts(self, xs, state, resets, reset_state)
        found = by_native_loop(self, xs, state, resets, reset_state)
        if found is not None:
            return found
        before = self._before(xs, past, cut)
        seen = np.concatenate([*[array[: len(xs)] for array in before], xs], axis=-1)
        f, b, o = self.coefficients(seen)
        cs = linear_scan(*((f, b) if cut is None else begun_anew(f, b, cut.of(cut.state.c))), c)
        ends = [array[len(xs)] for array in before]
        return o * cs, QRNNState(last(cs, c), np.concatenate(ends, axis=-1) if ends else past)

    def _before(self, xs: Any, past: Any, cut: Resets | None) -> list[Any]:
        """The inputs before the present one, the oldest first: each (T + 1, B, I), for every step and the next one."""
        steps, batch, features = np.shape(xs)
        split_up = (batch, self.window - 1, features)
        every = np.concatenate([np.swapaxes(np.reshape(past, split_up), 0, 1), xs])
        found = [every[k : k + steps + 1] for k in range(self.window - 1)]
        if cut is None:
            return found
        anew, since = np.reshape(cut.state.past, split_up), cut.counted(self.window, 0)  # steps since a beginning
        for k, d in itertools.product(range(self.window - 1), repeat=2):
            if k + d < self.window - 1:
                found[k] = where(onp.equal(since, d), over_time(anew[:, k + d], steps + 1), found[k])
        return found

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, window={self.window}"
