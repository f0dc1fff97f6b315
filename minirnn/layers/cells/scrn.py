"""SCRN, the structurally constrained recurrent network (Mikolov, Joulin, Chopra, Mathieu & Ranzato 2014,
arXiv:1412.7753).

    s' = (1 - alpha) * B x + alpha * s            context: slow, linear
    h' = sigmoid(P s' + A x + R h)                hidden: fast
    y = U h' + V s'                               output; the paper's f, a softmax, belongs to the head

x: (B, I), s: (B, C), h, y: (B, H); B (C, I), A (H, I), P (H, C), R (H, H), U (H, H), V (H, C). A plain RNN beside
units that are nothing but leaky means of the input: longer memory for language models, without a gate. context, C,
is H by default; alpha is 0.95, as in the paper. The paper writes no biases.

torchrecurrent feeds tanh(y) back in place of h, trains alpha from 0.5 on, has C = H, and biases.
"""

from typing import Any

from minirnn.functional import linear, sigmoid
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import keep
from minirnn.layers.cells.registry import register


@register(year=2014, use="a plain RNN beside slow leaky means of its input: topics in language models")
@cell(
    A=("hidden", "input"),
    B=("context", "input"),
    P=("hidden", "context"),
    R=("hidden", "hidden"),
    U=("hidden", "hidden"),
    V=("hidden", "context"),
    state_={"h": ("hidden",), "s": ("context",)},
    options_={"alpha": 0.95, "context": "hidden"},
)
def SCRN(p: Any, state: Any, x: Any) -> Any:
    """A slow context beside a plain RNN. State: h (B, H), s (B, C); output: y (B, H). Options: alpha, context."""
    s = keep(p.alpha, state.s, linear(x, p.B))
    h = sigmoid(linear(s, p.P) + linear(x, p.A) + linear(state.h, p.R))
    return (h, s), linear(h, p.U) + linear(s, p.V)
