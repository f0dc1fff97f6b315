"""SGRN, the simple gated recurrent network (2020, doi:10.1049/gtd2.12056).

    f = sigmoid(W x + b + U h)
    h' = tanh((1 - f) * (W x + b) + f * h)

x: (B, I), h: (B, H); w (H, I), u (H, H), b (H,). A single matrix for the input, in gate and candidate: small and
fast, for forecasts of load and power. The equations are as in torchrecurrent 0.2.5, which has a second bias beside
U h; the paper could not be had.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import keep
from minirnn.layers.cells.registry import register


@register(year=2020, use="forecasts on small devices: one gate, one pair of matrices")
@cell(w=("hidden", "input"), u=("hidden", "hidden"), b=("hidden",))
def SGRN(p: Any, h: Any, x: Any) -> Any:
    """The simple gated recurrent network. State and output: h (B, H)."""
    candidate = linear(x, p.w, p.b)
    f = sigmoid(candidate + linear(h, p.u))
    h = tanh(keep(f, h, candidate))
    return h, h
