"""MCLSTM, the LSTM with a memory controller (NIPS 2017, a workshop paper from Intel:
https://www.intel.com/content/dam/www/public/us/en/ai/documents/Sequence-Modeling-NIPS-2017.pdf).

    f = sigmoid(W_f x + U_f v + b_f)
    i = sigmoid(W_i x + U_i v + b_i)
    o = sigmoid(W_o x + U_o v + b_o)          shows the memory to the reader
    m = sigmoid(W_m x + U_m v + b_m)          shows the memory to the next step's gates
    n = tanh(W_n x + U_n v + b_n)
    c' = f * c + i * n
    h = o * tanh(c')                          output
    v' = m * tanh(c')                         control

x: (B, I), v, c, h: (B, H); w (5H, I), u (5H, H), b (5H,) in the order f, i, o, m, n. What the gates see and what is
put out are different views of the memory. The equations are as in torchrecurrent 0.2.5: the paper could not be had.
"""

from typing import Any

from minirnn.functional import sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import gates
from minirnn.layers.cells.registry import register


@register(year=2017, use="an LSTM whose gates and whose readers see different views of the memory")
@cell(w=("5*hidden", "input"), u=("5*hidden", "hidden"), b=("5*hidden",), state_=("v", "c"))
def MCLSTM(p: Any, s: Any, x: Any) -> Any:
    """The LSTM with a memory controller. State: v, c (B, H); output: h (B, H)."""
    f, i, o, m, n = gates(p, s.v, x, 5)
    c = sigmoid(f) * s.c + sigmoid(i) * tanh(n)
    h = sigmoid(o) * tanh(c)
    v = sigmoid(m) * tanh(c)
    return (v, c), h
