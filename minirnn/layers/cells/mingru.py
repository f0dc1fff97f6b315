"""minGRU and minLSTM, a GRU and an LSTM whose gates see the input alone (Feng, Tung, Ahmed, Bengio & Hajimirsadegh
2024, "Were RNNs All We Needed?", arXiv:2410.01201).

minGRU                                      minLSTM
    z = sigmoid(W_z x + b_z)                    f = sigmoid(W_f x + b_f)
    h~ = W_h x + b_h                            i = sigmoid(W_i x + b_i)
    h' = (1 - z) * h + z * h~                   h~ = W_h x + b_h
                                                h' = f / (f + i) * h + i / (f + i) * h~

x: (B, I), h: (B, H); minGRU: w (2H, I), b (2H,) in the order z, h; minLSTM: w (3H, I), b (3H,) in the order f, i, h.

For long sequences, whose time all processors share out. minLSTM's ratio is computed as the sigmoid of the difference of
the gates' logarithms, as in the paper's appendix, so that it holds where both gates round to zero.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, softplus, split
from minirnn.layers.cells.linear_recurrence import linear_cell
from minirnn.layers.cells.registry import register


@register(year=2024, use="a GRU that trains in parallel over time: its gate sees the input alone")
@linear_cell(w=("2*hidden", "input"), b=("2*hidden",))
def MinGRU(p: Any, x: Any) -> Any:
    """The minimal GRU of Feng et al. State and output: h (B, H)."""
    z, candidate = split(linear(x, p.w, p.b), 2)
    z = sigmoid(z)
    return 1 - z, z * candidate


@register(year=2024, use="an LSTM that trains in parallel over time: its gates see the input alone")
@linear_cell(w=("3*hidden", "input"), b=("3*hidden",))
def MinLSTM(p: Any, x: Any) -> Any:
    """The minimal LSTM of Feng et al. State and output: h (B, H)."""
    f, i, candidate = split(linear(x, p.w, p.b), 3)
    kept = sigmoid(softplus(-i) - softplus(-f))  # f / (f + i): the sigmoid of log f - log i
    return kept, (1 - kept) * candidate
