"""CW-RNN, the clockwork network (Koutník, Greff, Gomez & Schmidhuber 2014, arXiv:1402.3511).

    a = tanh(W x + U h + b)
    h' = a where t mod T = 0, and h elsewhere        t: the step's index; T: each unit's period

x: (B, I), h: (B, H); w (H, I), u (H, H), b (H,). The units are in equal modules, one for each period, the fastest
first; a module sees itself and slower ones, so that U's blocks below the diagonal are 0.

Slow modules carry the long memory at no cost in steps, fast ones the detail: for signals with several time scales. The
paper's periods are powers of two; its start is normal with deviation 0.1.

The index comes in through `inputs`, which counts from 0 in every call. A sequence in pieces goes on at
`cell.inputs(xs, start=...)`, given to `minirnn.scan`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import linear, tanh
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.cells.timed import column, indices
from minirnn.layers.recurrent import Cell
from minirnn.module import Array, Buffer

__all__ = ["ClockInput", "ClockworkRNN"]


class ClockInput(NamedTuple):
    """x: (B, I), and t: (B, 1), the step's index; with a leading axis of time before the loop."""

    x: Array
    t: Array


@register(year=2014, use="several time scales: modules that step at their own periods", options={"periods": (1, 2, 3)})
class ClockworkRNN(Cell):
    """The clockwork network. State and output: h (B, H). periods: one a module, in steps."""

    w: Array
    u: Array
    b: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        periods: Sequence[int] = (1, 2, 4, 8),
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        periods = check_positive("ClockworkRNN", **{f"periods[{k}]": t for k, t in enumerate(periods)})
        if not periods or list(periods) != sorted(set(periods)) or hidden_size % len(periods):
            raise ValueError(
                f"ClockworkRNN: periods={tuple(periods)} came, rising numbers were expected, as many as divide "
                f"hidden_size={hidden_size}"
            )
        self.periods = tuple(periods)
        shapes = {"w": (hidden_size, input_size), "u": (hidden_size, hidden_size), "b": (hidden_size,)}
        declare(self, input_size, hidden_size, rng, dtype, shapes, dict.fromkeys(shapes, init.normal(0.1)))
        period = onp.repeat(periods, hidden_size // len(periods))
        self.period = Buffer(period)
        self.seen = Buffer((period[:, None] <= period).astype(dtype))  # by row: no unit sees a faster one
        self.u = self.u * self.seen

    def inputs(self, xs: Array, *, rng: onp.random.Generator | None = None, start: Any = 0) -> ClockInput:
        """xs (T, B, I) with the steps' indices beside it, from `start` on, or `start` (T, B) itself."""
        steps, batch = np.shape(xs)[:2]
        return ClockInput(xs, onp.broadcast_to(column(indices(xs, start)), (steps, batch, 1)))

    def step(self, h: Array, x: ClockInput) -> tuple[Array, Array]:
        a = tanh(linear(x.x, self.w, self.b) + linear(h, self.u * self.seen))
        h = np.where(x.t % self.period == 0, a, h)
        return h, h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, periods={self.periods}"
