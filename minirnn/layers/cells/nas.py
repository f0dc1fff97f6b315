"""NAS, the cell found by neural architecture search (Zoph & Le 2016, arXiv:1611.01578).

    a_k = W_k x,  m_k = U_k h + b_k,  k = 0 .. 7
    l_1 = tanh(sigmoid(a_0 + m_0) * relu(a_1 + m_1))
    l_2 = tanh(sigmoid(a_2 + m_2) + relu(a_3 * m_3))
    l_3 = tanh(tanh(a_4 + m_4) * sigmoid(a_5 + m_5))
    l_4 = sigmoid(tanh(a_6 + m_6) + sigmoid(a_7 + m_7))
    c' = tanh(l_1 + c) * l_2
    h' = tanh(c' * tanh(l_3 + l_4))

x: (B, I), h, c: (B, H); w (8H, I), u (8H, H), b (8H,) in the order 0 .. 7. Trained on Penn Treebank by a controller
that wrote such cells: for language models where an LSTM's size is no limit. The paper draws the cell; a_3 * m_3 is
a product in the drawing's code that its authors gave to TensorFlow. torchrecurrent has the sum a_3 + m_3.
"""

from typing import Any

from minirnn.functional import linear, relu, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.registry import register


@register(year=2016, use="language models: the cell that an architecture search found")
@cell(w=("8*hidden", "input"), u=("8*hidden", "hidden"), b=("8*hidden",), state_=("h", "c"))
def NAS(p: Any, s: Any, x: Any) -> Any:
    """The cell of the search. State: h, c (B, H); output: h."""
    a, m = split(linear(x, p.w), 8), split(linear(s.h, p.u, p.b), 8)
    l_1 = tanh(sigmoid(a[0] + m[0]) * relu(a[1] + m[1]))
    l_2 = tanh(sigmoid(a[2] + m[2]) + relu(a[3] * m[3]))
    l_3 = tanh(tanh(a[4] + m[4]) * sigmoid(a[5] + m[5]))
    l_4 = sigmoid(tanh(a[6] + m[6]) + sigmoid(a[7] + m[7]))
    c = tanh(l_1 + s.c) * l_2
    h = tanh(c * tanh(l_3 + l_4))
    return (h, c), h
