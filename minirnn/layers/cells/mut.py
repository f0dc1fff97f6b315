"""MUT1, MUT2 and MUT3, found by mutation of the GRU (Jozefowicz, Zaremba & Sutskever 2015, PMLR 37, pages 2342-2350,
https://proceedings.mlr.press/v37/jozefowicz15.html).

    z = sigmoid(W_z x + b_z)                           MUT1
    r = sigmoid(W_r x + U_r h + b_r)
    h~ = tanh(U_h (r * h) + tanh(W_h x) + b_h)

    z = sigmoid(W_z x + U_z h + b_z)                   MUT2
    r = sigmoid(W_r x + U_r h + b_r)
    h~ = tanh(U_h (r * h) + W_h x + b_h)

    z = sigmoid(W_z x + U_z tanh(h) + b_z)             MUT3
    r = sigmoid(W_r x + U_r h + b_r)
    h~ = tanh(U_h (r * h) + W_h x + b_h)

    h' = (1 - z) * h + z * h~                          each

x: (B, I), h: (B, H); w (3H, I), u (3H, H), b (3H,) in the order z, r, h; in MUT1 u (2H, H) in the order r, h. The
best of more than ten thousand cells that were tried on arithmetic, XML and language models.

Where I = H the paper has x itself in place of MUT1's W_h x and of MUT2's W_r x; the matrices let I differ, so that
MUT2 here is a GRU with its reset gate before the product. torchrecurrent too has the matrices, and two biases a
gate.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import move, rows
from minirnn.layers.cells.registry import register


@register(year=2015, use="the best mutation of the GRU on arithmetic and XML")
@cell(w=("3*hidden", "input"), u=("2*hidden", "hidden"), b=("3*hidden",))
def MUT1(p: Any, h: Any, x: Any) -> Any:
    """An update gate that sees the input alone. State and output: h (B, H)."""
    x_z, x_r, x_h = split(linear(x, p.w), 3)
    b_z, b_r, b_h = split(p.b, 3)
    u_r, u_h = rows(p.u, 2)
    z = sigmoid(x_z + b_z)
    r = sigmoid(x_r + linear(h, u_r, b_r))
    h = move(z, h, tanh(linear(r * h, u_h, b_h) + tanh(x_h)))
    return h, h


@register(year=2015, use="a GRU, its reset gate before the product")
@cell(w=("3*hidden", "input"), u=("3*hidden", "hidden"), b=("3*hidden",))
def MUT2(p: Any, h: Any, x: Any) -> Any:
    """The mutation nearest to a GRU. State and output: h (B, H)."""
    x_z, x_r, x_h = split(linear(x, p.w, p.b), 3)
    u_z, u_r, u_h = rows(p.u, 3)
    z = sigmoid(x_z + linear(h, u_z))
    r = sigmoid(x_r + linear(h, u_r))
    h = move(z, h, tanh(x_h + linear(r * h, u_h)))
    return h, h


@register(year=2015, use="a GRU whose update gate sees tanh(h)")
@cell(w=("3*hidden", "input"), u=("3*hidden", "hidden"), b=("3*hidden",))
def MUT3(p: Any, h: Any, x: Any) -> Any:
    """An update gate that sees the squashed state. State and output: h (B, H)."""
    x_z, x_r, x_h = split(linear(x, p.w, p.b), 3)
    u_z, u_r, u_h = rows(p.u, 3)
    z = sigmoid(x_z + linear(tanh(h), u_z))
    r = sigmoid(x_r + linear(h, u_r))
    h = move(z, h, tanh(x_h + linear(r * h, u_h)))
    return h, h
