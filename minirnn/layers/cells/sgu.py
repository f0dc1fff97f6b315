"""SGU and DSGU, simple gated units (Gao & Glowacka 2016, arXiv:1604.02910).

    x_g = W_g x + b_g
    z_g = tanh(U_g (x_g * h))
    z_out = softplus(z_g * h)                     SGU
    z_out = sigmoid(U_o (z_g * h))                DSGU
    z = hard_sigmoid(W_z x + U_z h + b_z)
    h' = (1 - z) * h + z * z_out

x: (B, I), h: (B, H); w (2H, I), u (2H, H), b (2H,) in the order g, z; in DSGU u (3H, H) in the order g, z, o. The
input multiplies the state, deeply, in place of a second gate: for sequence classification, with faster learning
than an LSTM; DSGU is the more stable. hard_sigmoid(a) = 0.2 a + 0.5, cut to [0, 1]: the slope is Theano's, the
paper's library's.

torchrecurrent has PyTorch's slope, 1/6, and a bias beside U_g.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, softplus, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import hard_sigmoid, move, rows
from minirnn.layers.cells.registry import register


@register(year=2016, use="sequence classification: the input multiplies the state")
@cell(w=("2*hidden", "input"), u=("2*hidden", "hidden"), b=("2*hidden",))
def SGU(p: Any, h: Any, x: Any) -> Any:
    """The simple gated unit. State and output: h (B, H)."""
    x_g, x_z = split(linear(x, p.w, p.b), 2)
    u_g, u_z = rows(p.u, 2)
    z_g = tanh(linear(x_g * h, u_g))
    z_out = softplus(z_g * h)
    h = move(hard_sigmoid(x_z + linear(h, u_z)), h, z_out)
    return h, h


@register(year=2016, use="SGU with one more matrix, which steadies it")
@cell(w=("2*hidden", "input"), u=("3*hidden", "hidden"), b=("2*hidden",))
def DSGU(p: Any, h: Any, x: Any) -> Any:
    """The deep simple gated unit. State and output: h (B, H)."""
    x_g, x_z = split(linear(x, p.w, p.b), 2)
    u_g, u_z, u_o = rows(p.u, 3)
    z_g = tanh(linear(x_g * h, u_g))
    z_out = sigmoid(linear(z_g * h, u_o))
    h = move(hard_sigmoid(x_z + linear(h, u_z)), h, z_out)
    return h, h
