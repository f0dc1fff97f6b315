"""The LSTM with peepholes (Gers, Schraudolph & Schmidhuber 2002, JMLR 3, pages 115-143; as written by Graves 2013,
arXiv:1308.0850).

    i = sigmoid(W_i x + U_i h + v_i * c + b_i)
    f = sigmoid(W_f x + U_f h + v_f * c + b_f)
    g = tanh(W_g x + U_g h + b_g)
    c' = f * c + i * g
    o = sigmoid(W_o x + U_o h + v_o * c' + b_o)
    h' = o * tanh(c')

x: (B, I), h, c: (B, H); w (4H, I), u (4H, H), b (4H,) in the order i, f, g, o; v (3H,) in the order i, f, o. The
gates see the memory itself, and not what is shown of it alone: for counting and for the precise timing of events.
"""

from typing import Any

from minirnn.functional import tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import peephole
from minirnn.layers.cells.registry import register


@register(year=2002, use="counting and precise timing: gates that see the memory")
@cell(w=("4*hidden", "input"), u=("4*hidden", "hidden"), v=("3*hidden",), b=("4*hidden",), state_=("h", "c"))
def PeepholeLSTM(p: Any, s: Any, x: Any) -> Any:
    """The LSTM with peepholes. State: h, c (B, H); output: h."""
    o, c = peephole(p, s.h, s.c, x)
    h = o * tanh(c)
    return (h, c), h
