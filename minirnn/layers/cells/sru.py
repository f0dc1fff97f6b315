"""SRU, the simple recurrent unit (Lei, Zhang, Wang, Dai & Artzi 2017, arXiv:1709.02755, version 1).

    x~ = W x
    f = sigmoid(W_f x + b_f)
    r = sigmoid(W_r x + b_r)
    c' = f * c + (1 - f) * x~
    h = r * tanh(c') + (1 - r) * W_s x             a highway to the input itself, without W_s, where I = H

x: (B, I), c: (B, H); w (3H, I) in the order x~, f, r; b (2H,) in the order f, r; skip W_s (H, I), or None where I = H.

An LSTM's gates without its products with the state: all products are made for the whole sequence at once. For deep
stacks of fast layers. The paper's later versions give f and r a peephole to c, which makes the recurrence nonlinear and
`parallel` impossible; this is the first.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cells.gates import keep
from minirnn.layers.cells.linear_recurrence import LinearCell
from minirnn.layers.cells.parameters import declare, fan_in_uniform
from minirnn.layers.cells.registry import register
from minirnn.module import Array

__all__ = ["SRU"]


@register(year=2017, use="fast deep stacks: an LSTM's gates without products with the state, and a highway")
class SRU(LinearCell):
    """The simple recurrent unit. State: c (B, H); output: h (B, H)."""

    w: Array
    b: Array
    skip: Array | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        shapes: dict[str, tuple[int, ...]] = {"w": (3 * hidden_size, input_size), "b": (2 * hidden_size,)}
        self.skip = None
        if input_size != hidden_size:
            shapes["skip"] = (hidden_size, input_size)
        init_ = {name: init.zeros if name == "b" else fan_in_uniform for name in shapes}
        declare(self, input_size, hidden_size, rng, dtype, shapes, init_)

    def coefficients(self, x: Any) -> Any:
        candidate, f, r = split(linear(x, self.w), 3)
        b_f, b_r = split(self.b, 2)
        f, r = sigmoid(f + b_f), sigmoid(r + b_r)
        return f, (1 - f) * candidate, r, x if self.skip is None else linear(x, self.skip)

    def read(self, c: Any, r: Any, x: Any) -> Any:
        return keep(r, tanh(c), x)
