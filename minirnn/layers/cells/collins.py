"""UGRNN and the intersection RNN, "+RNN" (Collins, Sohl-Dickstein & Sussillo 2016, arXiv:1611.09913).

    c = tanh(W_c x + U_c h + b_c)
    g = sigmoid(W_g x + U_g h + b_g)
    h' = g * h + (1 - g) * c                                       UGRNN

    a = E x                                                        the input, brought to H
    y_in = relu(W_y a + U_y h + b_y)
    h_in = tanh(W_h a + U_h h + b_h)
    g_y = sigmoid(W_gy a + U_gy h + b_gy)
    g_h = sigmoid(W_gh a + U_gh h + b_gh)
    y = g_y * a + (1 - g_y) * y_in                                 IntersectionRNN: the output,
    h' = g_h * h + (1 - g_h) * h_in                                and the state

x: (B, I), h: (B, H); in UGRNN w (2H, I), u (2H, H), b (2H,) in the order c, g; in IntersectionRNN e (H, I), w (4H,
H), u (4H, H), b (4H,) in the order y_in, h_in, g_y, g_h. UGRNN is the plainest gated cell, and easy to train; the
intersection RNN, gated in depth as well as in time, is for deep stacks. The gates' biases start at 1: the paper
adds a forget bias there, which it tunes.

The paper's +RNN needs I = H, and embeds the input of its first layer linearly; here that embedding E belongs to the
cell. torchrecurrent's IntersectionRNN has none, and is ours with E = 1; it starts the gates' biases at 0.
"""

from typing import Any

from minirnn import init
from minirnn.functional import linear, relu, sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import blocks, gates, keep
from minirnn.layers.cells.registry import register


@register(year=2016, use="the plainest gated cell: one gate, which keeps")
@cell(
    w=("2*hidden", "input"),
    u=("2*hidden", "hidden"),
    b=("2*hidden",),
    init_={"b": blocks(init.zeros, init.ones)},
)
def UGRNN(p: Any, h: Any, x: Any) -> Any:
    """The update gate RNN. State and output: h (B, H)."""
    c, g = gates(p, h, x, 2)
    h = keep(sigmoid(g), h, tanh(c))
    return h, h


@register(year=2016, use="deep stacks: gates in depth as well as in time")
@cell(
    e=("hidden", "input"),
    w=("4*hidden", "hidden"),
    u=("4*hidden", "hidden"),
    b=("4*hidden",),
    init_={"b": blocks(init.zeros, init.zeros, init.ones, init.ones)},
)
def IntersectionRNN(p: Any, h: Any, x: Any) -> Any:
    """The +RNN. State: h (B, H); output: y (B, H)."""
    a = linear(x, p.e)
    y_in, h_in, g_y, g_h = gates(p, h, a, 4)
    y = keep(sigmoid(g_y), a, relu(y_in))
    h = keep(sigmoid(g_h), h, tanh(h_in))
    return h, y
