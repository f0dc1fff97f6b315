"""JANET, just another network: an LSTM with its forget gate alone (van der Westhuizen & Lasenby 2018,
arXiv:1804.04849).

    s = W_f x + U_f h + b_f
    c = tanh(W_c x + U_c h + b_c)
    h' = sigmoid(s) * h + (1 - sigmoid(s - beta)) * c

x: (B, I), h: (B, H); w (2H, I), u (2H, H), b (2H,) in the order f, c; beta: a number, 1, that lets more in than is
let go. An LSTM's accuracy at half of its parameters, and long memory by its start. As in the paper b_f starts as
log U(1, T - 1), T the longest dependency; T is 100 here, and another is set by minirnn.init.apply with
minirnn.layers.cells.gates.chrono. In torchrecurrent beta is trained.
"""

from typing import Any

from minirnn import init
from minirnn.functional import sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import blocks, chrono, gates
from minirnn.layers.cells.registry import register


@register(year=2018, use="an LSTM with the forget gate alone, for long memory")
@cell(
    w=("2*hidden", "input"),
    u=("2*hidden", "hidden"),
    b=("2*hidden",),
    init_={"b": blocks(chrono(100), init.zeros)},
    options_={"beta": 1.0},
)
def JANET(p: Any, h: Any, x: Any) -> Any:
    """The forget gate alone. State and output: h (B, H), the paper's c. Option: beta."""
    s, c = gates(p, h, x, 2)
    h = sigmoid(s) * h + (1 - sigmoid(s - p.beta)) * tanh(c)
    return h, h
