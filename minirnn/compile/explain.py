"""What the compiler makes of a cell, for a reader: the step and its derivative as traced, after the passes, and where
each operation stands in a pass over a whole sequence."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from minirnn.boxes import dtype_of, shape_of
from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, expression, shape_text
from minirnn.compile.loops.direction import Direction, parts_of
from minirnn.compile.loops.program import statements
from minirnn.compile.passes import FUSING, optimised
from minirnn.compile.place import Placed, Program, place
from minirnn.compile.trace import Traced, trace
from minirnn.module import Module
from minirnn.tier import native_reason

__all__ = ["explain", "program_lines"]


def explain(layer: Module, xs: Any, *, file: TextIO | None = None) -> None:
    """Print how the first cell of a layer is compiled for inputs like xs (T, B, I); `file`: standard output.

    CannotCompile: says why it is not. ValueError: the layer holds no cell.
    """
    cell: Any = next((module for module in layer.modules() if hasattr(module, "step")), None)
    if cell is None:
        raise ValueError(f"explain: {type(layer).__name__} holds no cell; a recurrent layer or a Cell was expected")
    if len(shape_of(xs)) == 2:
        xs = xs[:, None]
    traced = trace(cell, cell.initial_state(shape_of(xs)[1], dtype_of(xs)), cell.inputs(xs))
    placed = place(optimised(traced.graph))
    print(_text(type(cell).__name__, str(traced.graph), placed), file=file or sys.stdout)
    print(f"\n{_code(traced)}", file=file or sys.stdout)


def _code(traced: Traced) -> str:
    """What code runs it here."""
    if reason := native_reason():
        return f"runs on generated NumPy: {reason}"
    try:
        placed = place(optimised(traced.graph, FUSING), sink=True)
        functions = [Direction(placed, *part, native=True).function for part in parts_of(placed)]
        loops = [len(list(statements(function.body))) for function in functions]
    except CannotCompile as error:
        return f"runs in NumPy, node by node, as there is no native code for it: {error}"
    return f"runs as native code: {loops[0]} statements forward, {loops[1]} backward, for all sizes"


def _text(title: str, before: str, placed: Placed) -> str:
    lines = [
        f"{title}: its step and the step's derivative, as traced",
        *_indented(before.splitlines()),
        "",
        "after the passes",
        *_indented(str(placed.graph).splitlines()),
        "",
        "forward, over a sequence",
        *_indented(program_lines(placed, placed.forward)),
        "",
        "backward, over the sequence",
        *_indented(program_lines(placed, placed.backward)),
    ]
    return "\n".join(lines)


def _indented(lines: Sequence[str] | Iterator[str]) -> list[str]:
    return [f"    {line}" for line in lines]


_PHASES = {
    "once": "once, of the parameters alone",
    "before": "for all steps at once, before the loop",
    "loop": "step by step",
    "after": "for all steps at once, behind the loop",
    "sums": "summed over all steps",
    "finish": "once, of those sums",
}


def program_lines(placed: Placed, program: Program) -> Iterator[str]:
    """A program, one operation a line, under the part of the pass in which it stands."""
    names = _names(placed, program)
    backward = program is placed.backward
    if not placed.row_wise:
        yield "rows of the batch meet within a step, so that everything stays in the loop"
    for phase, title in _PHASES.items():
        nodes = [node for node in getattr(program, phase) if node.op != "const"]
        if not nodes:
            continue
        yield f"{title}:"
        for node in nodes:
            text = expression(node, [_name(operand, names) for operand in node.operands])
            yield f"    {names[node]:<12} = {text:<64} {shape_text(node.shape)}"
    if not backward and placed.stored:
        yield f"stored for backward: the states, and {', '.join(names[node] for node in placed.stored)}"
    found = [
        f"{kind}.{name}".rstrip(".") + " = " + _name(node, names) for (kind, name), node in _results(placed, backward)
    ]
    yield f"results: {', '.join(found)}"


def _results(placed: Placed, backward: bool) -> list[tuple[tuple[str, str], Node]]:
    return [item for item in placed.graph.outputs.items() if item[0][0].startswith("d_") == backward]


def _names(placed: Placed, program: Program) -> dict[Node, str]:
    """v1, v2, ... for the graph's values, the same forward and backward."""
    names: dict[Node, str] = {}
    for k, node in enumerate(node for node in placed.graph.nodes() if node.op not in ("const", "input")):
        names[node] = f"v{k + 1}"
    return names


def _name(node: Node, names: dict[Node, str]) -> str:
    if node in names:
        return names[node]
    if node.op == "const":
        return expression(node, [])
    kind, name = node.attrs
    return {"parameter": name, "input": f"x.{name}".rstrip(".")}.get(kind, f"{kind}.{name}".rstrip("."))
