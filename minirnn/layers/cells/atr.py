"""ATR, the addition-subtraction twin-gated recurrent network (Zhang, Xiong, Su, Lin & Zhang 2018, arXiv:1810.12546).

    p = W x + b
    q = U h
    i = sigmoid(p + q)        input gate
    f = sigmoid(p - q)        forget gate
    h' = i * p + f * h

x: (B, I), h: (B, H); w (H, I), u (H, H), b (H,). One matrix for the input and one for the state serve both gates and
the candidate: what a translation model used in a GRU's place, for a third of its parameters.
torchrecurrent has a second bias in q.
"""

from typing import Any

from minirnn.functional import linear, sigmoid
from minirnn.layers.cell import cell
from minirnn.layers.cells.registry import register


@register(year=2018, use="two twin gates from one pair of matrices: a GRU at a third of the parameters")
@cell(w=("hidden", "input"), u=("hidden", "hidden"), b=("hidden",))
def ATR(p: Any, h: Any, x: Any) -> Any:
    """Twin gates by addition and subtraction. State and output: h (B, H)."""
    input_, state = linear(x, p.w, p.b), linear(h, p.u)
    i = sigmoid(input_ + state)
    f = sigmoid(input_ - state)
    h = i * input_ + f * h
    return h, h
