"""What gates are called: the notes' words and the papers', for cells whose steps are known.

    the notes    papers       LSTM     GRU
    keep         forget       f        z
    write        input        i        1 - z
    show, read   output       o
                 candidate    g        n
                 reset                 r

A step's own local variables are its names (see minirnn.analysis.record), so a cell of anyone's own needs no entry here:
`record(layer, xs, "f")`, `gradient_flow(layer, xs, keep="1 - z")`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minirnn.functional import sigmoid, tanh
from minirnn.layers import Cell
from minirnn.module import Array

__all__ = ["Expression", "Memory", "memory_of", "synonyms"]

SAME = {"input": "write", "forget": "keep", "output": "show", "read": "show"}

# class: role -> what the step calls it; "array" is the array of the state that the keep gate multiplies
_LSTM = {"write": "i", "keep": "f", "candidate": "g", "show": "o", "array": "c"}
_BEFORE_SIGMOID = {
    "write": "sigmoid(i)",
    "keep": "sigmoid(f)",
    "candidate": "tanh(g)",
    "show": "sigmoid(o)",
    "array": "c",
}
_PEEPHOLE = {"write": "peephole.i", "keep": "peephole.f", "show": "o", "array": "c"}
_MOVED = {"write": "z", "keep": "1 - z", "array": "h"}

CELLS: dict[str, dict[str, str]] = {
    "LSTMCell": _LSTM,
    "GRUCell": {"reset": "r", "keep": "z", "write": "1 - z", "candidate": "n", "array": "h"},
    "GreffLSTM": {**_LSTM, "candidate": "z"},
    "WMCLSTM": _LSTM | {"candidate": "tanh(g)"},
    "PeepholeLSTM": _PEEPHOLE,
    "ResLSTM": _PEEPHOLE,
    "LayerNormLSTM": _BEFORE_SIGMOID,
    "MultiplicativeLSTM": _BEFORE_SIGMOID,
    "MCLSTM": _BEFORE_SIGMOID | {"candidate": "tanh(n)"},
    "ChoGRU": {"reset": "r", "keep": "z", "write": "1 - z", "array": "h"},
    "LayerNormGRU": {**_MOVED, "reset": "r", "candidate": "candidate"},
    "MUT1": {**_MOVED, "reset": "r"},
    "MUT2": {**_MOVED, "reset": "r"},
    "MUT3": {**_MOVED, "reset": "r"},
    "MGU": {"write": "f", "keep": "1 - f", "array": "h"},
    "MinGRU": {**_MOVED, "candidate": "candidate"},
    "MinLSTM": {"keep": "kept", "write": "1 - kept", "candidate": "candidate", "array": "h"},
    "MinimalRNN": {"keep": "u", "write": "1 - u", "candidate": "z", "array": "h"},
    "LiGRU": {"keep": "sigmoid(z)", "write": "1 - sigmoid(z)", "array": "h"},
    "LightRU": {"write": "move.z", "keep": "1 - move.z", "array": "h"},
    "UGRNN": {"keep": "sigmoid(g)", "write": "1 - sigmoid(g)", "candidate": "tanh(c)", "array": "h"},
    "JANET": {"keep": "sigmoid(s)", "candidate": "tanh(c)", "array": "h"},
    "ATR": {"write": "i", "keep": "f", "array": "h"},
    "SRU": {"keep": "f", "write": "1 - f", "show": "r", "array": "h"},
    "QRNN": {"keep": "f", "write": "1 - f", "show": "sigmoid(o)", "array": "c"},
    "SGU": {"write": "move.z", "keep": "1 - move.z", "array": "h"},
    "DSGU": {"write": "move.z", "keep": "1 - move.z", "array": "h"},
    "TRNN": {"keep": "sigmoid(f)", "write": "1 - sigmoid(f)", "array": "h"},
    "TGRU": {"keep": "sigmoid(f)", "array": "h"},
    "TLSTM": {"keep": "sigmoid(f)", "write": "1 - sigmoid(f)", "array": "c"},
    "TauGRU": {"write": "g", "keep": "1 - g", "array": "h"},
    "IntersectionRNN": {"keep": "sigmoid(g_h)", "write": "1 - sigmoid(g_h)", "array": "h"},
}

_EXPRESSION = re.compile(r"(1\s*-\s*)?(?:(sigmoid|tanh)\()?([\w.]+)(\))?")
_FUNCTIONS = {"sigmoid": sigmoid, "tanh": tanh}


class Expression(NamedTuple):
    """A recorded name, or what is made of one: "z", "1 - z", "sigmoid(f)", "1 - sigmoid(f)"."""

    name: str
    function: str | None = None
    complement: bool = False

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """ValueError: nothing of the kind."""
        match = _EXPRESSION.fullmatch(text.strip())
        if match is None or bool(match[2]) != bool(match[4]):
            raise ValueError(f"{text!r} came; a name was expected, or one as in '1 - z', 'sigmoid(f)', 'tanh(g)'")
        return cls(match[3], match[2], match[1] is not None)

    def of(self, value: Array) -> Any:
        """The expression's value where the name's is this."""
        value = value if self.function is None else _FUNCTIONS[self.function](value)
        return 1 - value if self.complement else value


class Memory(NamedTuple):
    """The array of the state that lives on by a gate, and that gate: c and f in an LSTM."""

    array: str
    gate: str


def _roles(cell: Cell) -> Mapping[str, str]:
    return next((CELLS[cls.__name__] for cls in type(cell).__mro__ if cls.__name__ in CELLS), {})


def synonyms(cell: Cell) -> dict[str, str]:
    """Word -> what the cell's step calls it, in both vocabularies; empty for a cell that is not known.

    A step that applies its sigmoid where it uses the gate calls the sum before it by the gate's letter. That letter
    means the gate here too, as in the paper: "f" is "sigmoid(f)".
    """
    roles = {role: text for role, text in _roles(cell).items() if role != "array"}
    words = dict(roles)
    words |= {other: roles[role] for other, role in SAME.items() if role in roles}
    for text in roles.values():
        expression = Expression.parse(text)
        if expression.function is not None and not expression.complement:
            words.setdefault(expression.name, text)
    return words


def memory_of(cell: Cell, keep: str | None, arrays: Sequence[str]) -> Memory | None:
    """The memory and its keep gate; with `keep`, of a cell whose own is not known: c, or the first array, by it."""
    roles = _roles(cell)
    array = roles.get("array", "c" if "c" in arrays else arrays[0])
    gate = roles.get("keep") if keep is None else keep
    return None if gate is None else Memory(array, gate)
