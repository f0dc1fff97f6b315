"""RHN, the recurrent highway network (Zilly, Srivastava, Koutník & Schmidhuber 2017, arXiv:1607.03474).

    s_0 = h
    n_l = tanh(W_n x [l = 1] + R_n,l s_{l-1} + b_n,l)              for l = 1..depth
    t_l = sigmoid(W_t x [l = 1] + R_t,l s_{l-1} + b_t,l)
    s_l = t_l * n_l + (1 - t_l) * s_{l-1}
    h' = s_depth

x: (B, I), h: (B, H); w (2H, I), r (depth, 2H, H), b (depth, 2H) in the order n, t. The carry gate is coupled to the
transform gate, as in the paper's experiments. Several highway layers between two time steps: for a deep transition that
still trains (character models of depth 10). The paper's start for language models: weights uniform within 0.04, b_t
at -2, so that a layer at first carries.
"""

from typing import Any

import numpy as np

from minirnn import init
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import move
from minirnn.layers.cells.registry import register
from minirnn.module import Array


def _carry(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    b = np.zeros(shape, dtype)
    b[:, shape[1] // 2 :] = -2
    return b


@register(year=2017, use="a deep transition between two steps, of highway layers")
@cell(
    w=("2*hidden", "input"),
    r=("depth", "2*hidden", "hidden"),
    b=("depth", "2*hidden"),
    options_={"depth": 3},
    init_={"w": init.uniform(-0.04, 0.04), "r": init.uniform(-0.04, 0.04), "b": _carry},
)
def RHN(p: Any, s: Any, x: Any) -> Any:
    """The recurrent highway network. State and output: h (B, H). depth: highway layers a step."""
    for layer in range(p.depth):
        before = linear(s, p.r[layer], p.b[layer])
        n, t = split(before + linear(x, p.w) if layer == 0 else before, 2)
        s = move(sigmoid(t), s, tanh(n))
    return s, s
