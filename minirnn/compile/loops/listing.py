"""A loop program as lines for a reader.

for t in n
    map b x (300): v0 = tanh(a0) from a0 = f v1[300*b*t] -> s0[300*b + 300*b*t]
"""

from collections.abc import Iterator, Sequence
from typing import Any

from minirnn.compile.loops.program import (
    Barrier,
    ColumnSum,
    For,
    Function,
    Gather,
    Index,
    Let,
    Map,
    Multiply,
    MultiplyDirect,
    MultiplyTransposed,
    Number,
    Pack,
    Part,
    Reduce,
    Ref,
    Slot,
    Statement,
    When,
)

__all__ = ["listing"]


def listing(function: Function) -> str:
    """The program's text."""
    return "\n".join([f"{function.name}:", *_body(function.body, "    ")])


def _body(body: Sequence[Statement], pad: str) -> Iterator[str]:
    for statement in body:
        yield pad + _text(statement)
        if isinstance(statement, (For, When)):
            yield from _body(statement.body, pad + "    ")


def _text(statement: Statement) -> str:
    match statement:
        case For(var, times, _, reverse):
            return f"for {var} in {_index(times)}{', from the last' if reverse else ''}"
        case When(flags):
            return f"when {' or '.join(flags)}"
        case Let(name, value):
            return f"{name} = ({_index(value)}) mod 2"
        case Map(rows, dims, loads, lines, stores, where):
            made = "; ".join([f"{v.name} = {v.op}({', '.join(map(_operand, v.operands))})" for v in lines])
            came = ", ".join([f"{name} = {_ref(ref)}" for name, ref in loads])
            to = ", ".join([f"{name} -> {_ref(ref)}" for name, ref in stores])
            over = "" if where is None else f" where {_ref(where)}"
            return f"map {_index(rows)} x {_sizes(dims)}{over}: {came}; {made}; {to}"
        case Reduce(op, rows, free, axes, sources, out):
            came = " * ".join(map(_ref, sources))
            return f"{op} {_index(rows)} x {_sizes(free)} over {_sizes(axes)}: {came} -> {_ref(out)}"
        case Gather(rows, dims, axis, numbers, source, out, add):
            how = "add" if add else "take"
            return f"{how} {_index(rows)} x {_sizes(dims)}, by {numbers} at axis {axis}: {_ref(source)} -> {_ref(out)}"
        case Pack(source, rows, width, memory, part):
            return f"pack {_index(rows)} x {_size(width)}: {_ref(source)} -> {memory}{_part(part)}"
        case Multiply(out, left, packed, rows, k, n, part):
            sizes = f"{_index(rows)} x {_size(k)} x {_size(n)}"
            return f"multiply {sizes}: {_ref(left)} @ {packed} -> {_ref(out)}{_part(part)}"
        case MultiplyDirect(out, left, right, rows, k, n):
            return f"multiply {_index(rows)} x {_size(k)} x {_size(n)}: {_ref(left)} @ {_ref(right)} -> {_ref(out)}"
        case MultiplyTransposed(out, left, packed, m, rows, n, _, part):
            return f"multiply {m} x {_index(rows)} x {n}: {_ref(left)}.T @ {packed} -> {out}{_part(part)}"
        case ColumnSum(out, source, rows, width, part):
            return f"sum of {_index(rows)} rows x {width}: {_ref(source)} -> {out}{_part(part)}"
        case Part(first, end, many, unit):
            return f"{first}, {end} = this thread's part of {_index(many)}, by {unit}"
        case Barrier():
            return "barrier"


def _part(part: tuple[str, str] | None) -> str:
    return "" if part is None else f", {part[0]} to {part[1]}"


def _operand(operand: Any) -> str:
    return _size(operand.value) if isinstance(operand, Number) else str(operand)


def _size(size: Any) -> str:
    return _index(size) if isinstance(size, tuple) and not isinstance(size, Slot) else str(size)


def _sizes(sizes: Any) -> str:
    return f"({', '.join(map(_size, sizes))})"


def _index(index: Index) -> str:
    return (
        " + ".join(["*".join([str(k), *names]) if k != 1 or not names else "*".join(names) for k, names in index])
        or "0"
    )


def _ref(ref: Ref) -> str:
    return f"{ref.memory}[{_index(ref.at)}; {_size(ref.row)}, {', '.join(map(_size, ref.strides))}]"
