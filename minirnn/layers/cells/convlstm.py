"""ConvLSTM, a peephole LSTM over images (Shi, Chen, Wang, Yeung, Wong & Woo 2015, arXiv:1506.04214).

    i = sigmoid(W_i * x + U_i * h + v_i . c + b_i)           *: convolution, .: the product of each pixel
    f = sigmoid(W_f * x + U_f * h + v_f . c + b_f)
    c' = f . c + i . tanh(W_g * x + U_g * h + b_g)
    o = sigmoid(W_o * x + U_o * h + v_o . c' + b_o)
    h' = o . tanh(c')

x: (B, C, Y, X), h, c: (B, H, Y, X), H the number of hidden channels; w (4H, C, k, k), u (4H, H, k, k), b (4H,) in the
order i, f, g, o; v (3H, Y, X) in the order i, f, o. Convolutions keep the size, with zeros outside; k = kernel, odd.

input_size is the shape (C, Y, X) of a frame, and a sequence is (T, B, C, Y, X): for films and for maps over time
(rain in the next hour). Weights start as PyTorch's convolutions do, uniform within 1 / sqrt(fan-in).
"""

from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import sigmoid, tanh
from minirnn.layers.cells.convolution import convolve
from minirnn.layers.cells.gates import rows
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.lstm import LSTMState
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["ConvLSTM"]


def _channels(x: Any, n: int) -> list[Any]:
    """The n blocks of the channels, (B, n H, Y, X) -> (B, H, Y, X) each."""
    size = np.shape(x)[1] // n
    return [x[:, k * size : (k + 1) * size] for k in range(n)]


def _of_fan_in(rng: onp.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    return init.torch_default(int(onp.prod(shape[1:])))(rng, shape, dtype)


@register(year=2015, use="films and maps over time: an LSTM of convolutions", small=((2, 3, 4), 2))
class ConvLSTM(Cell):
    """The convolutional LSTM. State: LSTMState(h, c), (B, H, Y, X) each; output: h. input_size: (C, Y, X)."""

    input_size: tuple[int, int, int]
    w: Array
    u: Array
    v: Array
    b: Array

    def __init__(
        self,
        input_size: tuple[int, int, int],
        hidden_size: int,
        *,
        kernel: int = 3,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        if not isinstance(input_size, tuple) or len(input_size) != 3:
            raise ValueError(f"ConvLSTM: input_size={input_size!r} came, a frame's shape (C, Y, X) was expected")
        hidden_size, kernel = check_positive("ConvLSTM", hidden_size=hidden_size, kernel=kernel)
        if kernel % 2 == 0:
            raise ValueError(f"ConvLSTM: kernel={kernel} came, an odd number was expected, which keeps a frame's size")
        self.kernel = kernel
        channels, *frame = [check_positive("ConvLSTM", input_size=size)[0] for size in input_size]
        shapes: dict[str, tuple[int, ...]] = {"w": (4 * hidden_size, channels, kernel, kernel)}
        shapes |= {"u": (4 * hidden_size, hidden_size, kernel, kernel), "v": (3 * hidden_size, *frame)}
        shapes |= {"b": (4 * hidden_size,)}
        init_: dict[str, init.Initialiser] = {"w": _of_fan_in, "u": _of_fan_in, "v": init.zeros, "b": init.zeros}
        declare(self, input_size, hidden_size, rng, dtype, shapes, init_)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> LSTMState:
        zeros = onp.zeros((batch_size, self.hidden_size, *self.input_size[1:]), dtype or self.dtype)
        return LSTMState(zeros, zeros.copy())

    def step(self, state: LSTMState, x: Any) -> tuple[LSTMState, Any]:
        h, c = state
        i, f, g, o = _channels(convolve(x, self.w) + convolve(h, self.u) + self.b[:, None, None], 4)
        v_i, v_f, v_o = rows(self.v, 3)
        c = sigmoid(f + v_f * c) * c + sigmoid(i + v_i * c) * tanh(g)
        h = sigmoid(o + v_o * c) * tanh(c)
        return LSTMState(h, c), h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, kernel={self.kernel}"
