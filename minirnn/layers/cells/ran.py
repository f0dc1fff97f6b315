"""RAN, the recurrent additive network (Lee, Levy & Zettlemoyer 2017, arXiv:1705.07393).

    c~ = W_c x
    i = sigmoid(W_i x + U_i h + b_i)
    f = sigmoid(W_f x + U_f h + b_f)
    c' = i * c~ + f * c
    h' = tanh(c')

x: (B, I), h, c: (B, H); w (3H, I) in the order c, i, f; u (2H, H), b (2H,) in the order i, f. An LSTM whose
candidate is linear in the input alone: the memory is a weighted sum of inputs, each weight to be read off, at no
loss in language models.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.registry import register


@register(year=2017, use="a memory that is a readable weighted sum of the inputs")
@cell(w=("3*hidden", "input"), u=("2*hidden", "hidden"), b=("2*hidden",), state_=("h", "c"))
def RAN(p: Any, s: Any, x: Any) -> Any:
    """The recurrent additive network. State: h, c (B, H); output: h."""
    content, x_i, x_f = split(linear(x, p.w), 3)
    h_i, h_f = split(linear(s.h, p.u, p.b), 2)
    c = sigmoid(x_i + h_i) * content + sigmoid(x_f + h_f) * s.c
    h = tanh(c)
    return (h, c), h
