"""STAR, the stackable recurrent cell (Turkoglu, D'Aronco, Wegner & Schindler 2019, arXiv:1911.11033).

    z = tanh(W_z x + b_z)
    k = sigmoid(W_k x + U h + b_k)
    h' = tanh((1 - k) * h + k * z)

x: (B, I), h: (B, H); w (2H, I), b (2H,) in the order z, k; u (H, H). Gradients keep their size through depth as
well as through time: for stacks of ten layers and more, with 60 % fewer parameters than an LSTM.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import move
from minirnn.layers.cells.registry import register


@register(year=2019, use="stacks of many layers: gradients that keep their size in depth")
@cell(w=("2*hidden", "input"), u=("hidden", "hidden"), b=("2*hidden",))
def STAR(p: Any, h: Any, x: Any) -> Any:
    """The stackable recurrent cell. State and output: h (B, H)."""
    z, k = split(linear(x, p.w, p.b), 2)
    h = tanh(move(sigmoid(k + linear(h, p.u)), h, tanh(z)))
    return h, h
