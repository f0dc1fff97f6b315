"""RG-LRU, the real-gated linear recurrent unit of Griffin (De, Smith, Fernando, Botev et al. 2024, arXiv:2402.19427).

    u = W x + b                                    the linear layer that stands before it in Griffin's block
    r = sigmoid(W_r u + b_r)                       recurrence gate
    i = sigmoid(W_i u + b_i)                       input gate
    a = sigmoid(L)^(8 r)                           computed as exp(8 r log sigmoid(L))
    h' = a * h + sqrt(1 - a^2) * (i * u)

x: (B, I), h: (B, H); w (H, I), b (H,); w_gates (2H, H), b_gates (2H,) in the order r, i; decay L (H,).

r chooses between an ordinary step and keeping the state untouched (a = 1), which a GRU's gate cannot without also
closing to the input. For language models of long context, by `parallel`. The paper's start: L such that sigmoid(L)^8
is uniform between 0.9 and 0.999, W, W_r and W_i normal with variance 1 / fan-in (LeCun), biases 0.
"""

from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import init
from minirnn.functional import linear, sigmoid, split
from minirnn.layers.cells.linear_recurrence import linear_cell
from minirnn.layers.cells.parameters import fan_in_normal
from minirnn.layers.cells.registry import register
from minirnn.module import Array

__all__ = ["RGLRU"]

POWER = 8.0
TINY = 1e-20  # under the root, whose slope is infinite where a rounds to 1


def _decay(rng: onp.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    a = rng.uniform(0.9, 0.999, shape) ** (1 / POWER)
    return onp.log(a / (1 - a)).astype(dtype)


@register(year=2024, use="Griffin's recurrence: input-gated decay of a real diagonal state, trained in parallel")
@linear_cell(
    w=("hidden", "input"),
    b=("hidden",),
    w_gates=("2*hidden", "hidden"),
    b_gates=("2*hidden",),
    decay=("hidden",),
    init_={"w": fan_in_normal(1), "b": init.zeros, "w_gates": fan_in_normal(1), "b_gates": init.zeros, "decay": _decay},
)
def RGLRU(p: Any, x: Any) -> Any:
    """The real-gated linear recurrent unit. State and output: h (B, H)."""
    u = linear(x, p.w, p.b)
    r, i = split(sigmoid(linear(u, p.w_gates, p.b_gates)), 2)
    log_a = -POWER * r * np.logaddexp(-p.decay, 0.0)  # softplus, but its slope is exact where it is nearly 0
    gain = np.sqrt(TINY - np.expm1(2 * log_a))
    return np.exp(log_a), gain * i * u
