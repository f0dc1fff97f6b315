"""FastRNN and FastGRNN (Kusupati, Singh, Bhatia, Kumar, Jain & Varma 2018, arXiv:1901.02358).

    h~ = tanh(W x + U h + b)
    h' = sigmoid(alpha) * h~ + sigmoid(beta) * h                               FastRNN

    z = sigmoid(W x + U h + b_z)
    h~ = tanh(W x + U h + b_h)
    h' = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * h~ + z * h                  FastGRNN

x: (B, I), h: (B, H); w (H, I), u (H, H); b (H,), and in FastGRNN (2H,) in the order z, h; alpha, beta, zeta, nu:
(1,). A weighted residual connection steadies a plain RNN; FastGRNN makes its weight a gate that reuses the matrices
of the candidate. For devices with kilobytes of memory. W and U may be made low-rank, sparse and quantised, here
they are not. As in the paper's code alpha and beta start at -3 and 3, zeta and nu at 1 and -4.

torchrecurrent starts alpha at 3 and beta at -3, which forgets, zeta at 3 and nu at -3, and its gate z is a tanh
unless nonlinearity="sigmoid" is given.
"""

from typing import Any

from minirnn import init
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import ACTIVATIONS
from minirnn.layers.cells.registry import register


@register(year=2018, use="a plain RNN that trains, by two more scalars")
@cell(
    w=("hidden", "input"),
    u=("hidden", "hidden"),
    b=("hidden",),
    alpha=(1,),
    beta=(1,),
    init_={"alpha": init.constant(-3.0), "beta": init.constant(3.0)},
    options_={"nonlinearity": ("tanh", "relu", "sigmoid")},
)
def FastRNN(p: Any, h: Any, x: Any) -> Any:
    """A weighted residual RNN. State and output: h (B, H). Option: nonlinearity, in tanh's place."""
    candidate = ACTIVATIONS[p.nonlinearity](linear(x, p.w, p.b) + linear(h, p.u))
    h = sigmoid(p.alpha) * candidate + sigmoid(p.beta) * h
    return h, h


@register(year=2018, use="a gate for two more scalars and a bias: models of a few kilobytes")
@cell(
    w=("hidden", "input"),
    u=("hidden", "hidden"),
    b=("2*hidden",),
    zeta=(1,),
    nu=(1,),
    init_={"zeta": init.ones, "nu": init.constant(-4.0)},
)
def FastGRNN(p: Any, h: Any, x: Any) -> Any:
    """A gate that shares the candidate's matrices. State and output: h (B, H)."""
    b_z, b_h = split(p.b, 2)
    shared = linear(x, p.w) + linear(h, p.u)
    z = sigmoid(shared + b_z)
    candidate = tanh(shared + b_h)
    h = (sigmoid(p.zeta) * (1 - z) + sigmoid(p.nu)) * candidate + z * h
    return h, h
