"""The LSTM of "LSTM: A Search Space Odyssey" and what it takes out of it (Greff, Srivastava, Koutník, Steunebrink &
Schmidhuber 2015, arXiv:1503.04069).

    z = tanh(W_z x + R_z h + b_z)                          block input
    i = sigmoid(W_i x + R_i h + p_i * c + b_i)
    f = sigmoid(W_f x + R_f h + p_f * c + b_f)
    c' = f * c + i * z
    o = sigmoid(W_o x + R_o h + p_o * c' + b_o)
    h' = o * tanh(c')

x: (B, I), h, c: (B, H); w (4H, I), r (4H, H), b (4H,) in the order z, i, f, o, and p (3H,) in the order i, f, o, each
without the gates that are not there. The paper's variants, which may be combined:

    NIG, NFG, NOG      without=("input_gate",), ("forget_gate",), ("output_gate",)      that gate is 1
    NIAF, NOAF         without=("input_activation",), ("output_activation",)            z, or h', without its tanh
    NP                 without=("peepholes",)                                           p = 0
    CIFG               coupled=True, which is the cell CIFG                             f = 1 - i
    FGR                full_gate_recurrence=True     R_gates [i; f; o] of the step before is added to all three gates

For asking which part of an LSTM a task needs; the paper finds the forget gate and the output activation. Its start:
all normal with deviation 0.1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cells.gates import rows
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.lstm import LSTMState
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["CIFG", "GreffLSTM", "GreffState"]

PARTS = ("input_gate", "forget_gate", "output_gate", "input_activation", "output_activation", "peepholes")


class GreffState(NamedTuple):
    """h, c: (B, H); gates: i, f and o of the step before, those that are there, side by side, for FGR."""

    h: Array
    c: Array
    gates: Array


@register(year=2015, use="which part of an LSTM does a task need? each can be left out")
class GreffLSTM(Cell):
    """The LSTM, with parts left out. State: LSTMState(h, c), (B, H) each, or GreffState; output: h."""

    w: Array
    r: Array
    b: Array
    p: Array | None
    r_gates: Array | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        without: Sequence[str] = (),
        coupled: bool = False,
        full_gate_recurrence: bool = False,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        name = type(self).__name__
        strangers = [part for part in without if part not in PARTS]
        if isinstance(without, str) or strangers:
            raise ValueError(f"{name}: without={without!r} came, a tuple out of {', '.join(PARTS)} was expected")
        if coupled and {"input_gate", "forget_gate"} & set(without):
            raise ValueError(f"{name}: coupled=True makes the forget gate of the input gate; leave neither of them out")
        self.without, self.coupled, self.full_gate_recurrence = tuple(without), coupled, full_gate_recurrence
        there = {gate[0]: gate not in without for gate in PARTS[:3]}
        self.gates = tuple(gate for gate in "ifo" if there[gate] and not (gate == "f" and coupled))
        stacked = len(self.gates) * hidden_size
        rows_ = stacked + hidden_size
        shapes: dict[str, tuple[int, ...]] = {"w": (rows_, input_size), "r": (rows_, hidden_size), "b": (rows_,)}
        self.p = self.r_gates = None
        if self.gates and "peepholes" not in without:
            shapes["p"] = (stacked,)
        if full_gate_recurrence:
            if not self.gates:
                raise ValueError(f"{name}: full_gate_recurrence=True came, and no gate is left to recur")
            shapes["r_gates"] = (stacked, stacked)
        declare(self, input_size, hidden_size, rng, dtype, shapes, dict.fromkeys(shapes, init.normal(0.1)))

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> LSTMState | GreffState:
        h = super().initial_state(batch_size, dtype)
        if self.r_gates is None:
            return LSTMState(h, h.copy())
        return GreffState(h, h.copy(), onp.zeros((batch_size, len(self.r_gates)), h.dtype))

    def step(self, state: Any, x: Any) -> tuple[Any, Any]:
        z, *before = split(linear(x, self.w, self.b) + linear(state.h, self.r), 1 + len(self.gates))
        if self.r_gates is not None:
            recurring = split(linear(state.gates, self.r_gates), len(self.gates))
            before = [a + b for a, b in zip(before, recurring, strict=True)]
        peepholes = [0.0] * len(self.gates) if self.p is None else rows(self.p, len(self.gates))
        parts = dict(zip(self.gates, zip(before, peepholes, strict=True), strict=True))

        def gate(name: str, c: Any) -> Any:
            return sigmoid(parts[name][0] + parts[name][1] * c) if name in parts else 1.0

        z = z if "input_activation" in self.without else tanh(z)
        i = gate("i", state.c)
        f = 1 - i if self.coupled else gate("f", state.c)
        c = f * state.c + i * z
        o = gate("o", c)
        h = o * (c if "output_activation" in self.without else tanh(c))
        if self.r_gates is None:
            return LSTMState(h, c), h
        values = {"i": i, "f": f, "o": o}
        return GreffState(h, c, np.concatenate([values[name] for name in self.gates], axis=-1)), h

    def extra_repr(self) -> str:
        options = [f"without={self.without}"] * bool(self.without) + ["coupled=True"] * self.coupled
        options += ["full_gate_recurrence=True"] * self.full_gate_recurrence
        return ", ".join([super().extra_repr(), *options])


@register(year=2015, use="an LSTM at three quarters of its parameters: what is not written is kept")
class CIFG(GreffLSTM):
    """The LSTM with coupled input and forget gate, f = 1 - i. State: LSTMState(h, c), (B, H) each; output: h."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peepholes: bool = True,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        without = () if peepholes else ("peepholes",)
        super().__init__(input_size, hidden_size, without=without, coupled=True, rng=rng, dtype=dtype)
