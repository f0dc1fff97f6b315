"""LightRU, the light recurrent unit (Ye et al. 2024, doi:10.3390/electronics13163204).

    h~ = tanh(W_h x + b_h)
    f = sigmoid(W_f x + U_f h + b_f)
    h' = (1 - f) * h + f * h~

x: (B, I), h: (B, H); w (2H, I) and b (2H,) in the order h, f; u (H, H). The candidate sees the input alone, so that
h is a weighted mean of candidates whose weights can be read off: for long dependencies that are to be explained.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import move
from minirnn.layers.cells.registry import register


@register(year=2024, use="a state that is a readable weighted mean of its inputs")
@cell(w=("2*hidden", "input"), u=("hidden", "hidden"), b=("2*hidden",))
def LightRU(p: Any, h: Any, x: Any) -> Any:
    """The light recurrent unit. State and output: h (B, H)."""
    candidate, f = split(linear(x, p.w, p.b), 2)
    h = move(sigmoid(f + linear(h, p.u)), h, tanh(candidate))
    return h, h
