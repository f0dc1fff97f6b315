"""The graph of a step: typed nodes of operations (operations.py), their evaluation, and the graph as text.

    h = tanh(x @ w.T + h @ u.T)        a step
    %4 = matmul(h, u^T)                a node: an operation, its operands, its attributes, a shape and a dtype

Shapes are tuples of integers in which BATCH, a large prime, stands for the size of the batch, and a multiple of it for
that multiple: every rule of shapes is then plain arithmetic, and no graph knows a batch. `evaluate` computes a graph
node by node; it is the slow twin of all passes and of all code that is generated.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.operations import BATCH, COMPARISONS, ELEMENTWISE, OPERATIONS, Shape, concrete, size_value

__all__ = [
    "BATCH",
    "Graph",
    "Node",
    "apply",
    "concrete",
    "const",
    "evaluate",
    "evaluate_into",
    "has_batch",
    "precision",
    "size_value",
    "input_node",
    "is_scalar",
    "make",
    "rewrite",
]

Array = np.ndarray


class Node:
    """One value of a step. Nodes are compared by identity; nothing changes one once it is made."""

    __slots__ = ("attrs", "dtype", "op", "operands", "shape")

    def __init__(self, op: str, operands: tuple["Node", ...], attrs: tuple[Any, ...], shape: Shape, dtype: Any):
        self.op, self.operands, self.attrs, self.shape, self.dtype = op, operands, attrs, shape, np.dtype(dtype)

    def __repr__(self) -> str:
        return f"{self.op}{shape_text(self.shape)}"


# ---------------------------------------------------------------- making nodes
def const(value: Any) -> Node:
    """A number, which takes the precision of what it meets, or an array that no argument of the step reaches."""
    if isinstance(value, (bool, int, float)):
        return Node("const", (), (value,), (), np.dtype(type(value)))
    value = np.asarray(value)
    if value.ndim == 0:
        return const(value.item())
    return Node("const", (), (value,), value.shape, value.dtype)


def input_node(kind: str, name: str, shape: Shape, dtype: Any) -> Node:
    """An argument: kind is parameter, state, input, d_state or d_output; name is its path within."""
    return Node("input", (), (kind, name), shape, dtype)


def is_scalar(node: Node, value: float | None = None) -> bool:
    """Whether the node is a constant number, and this one if a value is given."""
    return node.op == "const" and node.shape == () and (value is None or node.attrs[0] == value)


def precision(node: Node) -> Any:
    """What an operand counts as where a dtype is found: a number takes that of what it meets."""
    if node.op == "size":
        return node.dtype.type(1).item()
    return node.attrs[0] if is_scalar(node) else node.dtype


def has_batch(node: Node) -> bool:
    return any(dim % BATCH == 0 and dim > 0 for dim in node.shape)


def make(op: str, *operands: Node, attrs: tuple[Any, ...] = (), dtype: Any = None) -> Node:
    """A node of an operation; its shape and, where it is not given, its dtype follow."""
    if op in ELEMENTWISE:
        dtype = _elementwise_dtype(op, operands)
    elif dtype is None:
        dtype = attrs[0] if op == "cast" else _result_dtype(operands)
    return Node(op, operands, attrs, tuple(OPERATIONS[op].shape(operands, attrs)), dtype)


def _result_dtype(operands: Iterable[Node]) -> Any:
    return np.result_type(*[precision(node) for node in operands])


def _elementwise_dtype(op: str, operands: tuple[Node, ...]) -> Any:
    if op in COMPARISONS:
        return np.dtype(bool)
    dtype = _result_dtype(operands[1:] if op == "where" else operands)
    return dtype if dtype.kind == "f" or OPERATIONS[op].rounded else np.dtype(np.float64)


# ---------------------------------------------------------------- graphs
class Graph(NamedTuple):
    """inputs in the order in which `evaluate` takes them; outputs by (kind, name)."""

    inputs: tuple[Node, ...]
    outputs: dict[tuple[str, str], Node]

    def nodes(self) -> list[Node]:
        """Every node that an output needs, operands first, in a fixed order."""
        found: dict[Node, None] = {}
        for output in self.outputs.values():
            _collect(output, found)
        return list(found)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def only(self, *kinds: str) -> "Graph":
        """The part of the graph that these kinds of output need."""
        return Graph(self.inputs, {key: node for key, node in self.outputs.items() if key[0] in kinds})


def _collect(root: Node, found: dict[Node, None]) -> None:
    stack = [root]
    while stack:
        node = stack[-1]
        missing = [operand for operand in node.operands if operand not in found]
        if missing and node not in found:
            stack.extend(reversed(missing))
        else:
            found.setdefault(stack.pop())


def rewrite(graph: Graph, rule: Callable[[Node], Node]) -> Graph:
    """The graph with rule(node) in place of every node, operands first; the rule sees new operands."""
    new: dict[Node, Node] = {}
    for node in graph.nodes():
        operands = tuple([new[operand] for operand in node.operands])
        new[node] = rule(
            node if operands == node.operands else Node(node.op, operands, node.attrs, node.shape, node.dtype)
        )
    for node in graph.inputs:
        new.setdefault(node, node)
    return Graph(graph.inputs, {key: new[node] for key, node in graph.outputs.items()})


# ---------------------------------------------------------------- the evaluator
def apply(node: Node, values: Sequence[Any], batch: int) -> Any:
    """What a node computes, of its operands' values."""
    return OPERATIONS[node.op].compute(node, values, batch)


def evaluate(graph: Graph, values: Mapping[Node, Any], batch: int) -> dict[tuple[str, str], Any]:
    """The outputs, of a value for every input; in NumPy, one call a node."""
    known = dict(values)
    with np.errstate(all="ignore"):
        evaluate_into(known, graph.nodes(), batch)
    return {key: np.asarray(known[node], node.dtype) for key, node in graph.outputs.items()}


def evaluate_into(known: dict[Node, Any], nodes: Iterable[Node], batch: int) -> None:
    """Add the nodes' values, operands first, to those that are known."""
    for node in nodes:
        if node not in known:
            found = apply(node, [known[operand] for operand in node.operands], batch)
            known[node] = found if node.op == "size" or is_scalar(node) else np.asarray(found, node.dtype)


# ---------------------------------------------------------------- as text
_WIDE = 60  # characters of an expression that is written where it is used


def dim_text(dim: int) -> str:
    if dim % BATCH or not dim:
        return str(dim)
    return "B" if dim == BATCH else f"{dim // BATCH}*B"


def shape_text(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(dim_text, shape)) + ("," if len(shape) == 1 else "") + ")"


def _slice_text(part: tuple[int, int, int], dim: int) -> str:
    start, stop, step = part
    if (start, stop, step) == (0, dim, 1):
        return ":"
    by = f":{step}" if step != 1 else ""
    return f"{dim_text(start) if start else ''}:{dim_text(stop) if stop not in (dim, -1) else ''}{by}"


def expression(node: Node, names: Sequence[str]) -> str:
    """The node as text, of its operands'."""
    attrs, op = node.attrs, node.op
    if op in OPERATIONS and (infix := OPERATIONS[op].infix):
        return f"{names[0]} {infix} {names[1]}"
    match op:
        case "const":
            return f"{attrs[0]:g}" if node.shape == () else f"constant{shape_text(node.shape)}"
        case "neg":
            return f"-{names[0]}"
        case "size":
            return f"({attrs[0]}*B{attrs[1]:+d}){'' if attrs[2] == 1 else f'**{attrs[2]}'}"
        case "matmul":
            a, b = (f"{name}.T" if turned else name for name, turned in zip(names, attrs, strict=True))
            return f"{a} @ {b}"
        case "slice":
            parts = ", ".join(_slice_text(p, dim) for p, dim in zip(attrs, node.operands[0].shape, strict=True))
            return f"{names[0]}[{parts}]"
        case "put":
            parts = ", ".join(_slice_text(p, dim) for p, dim in zip(attrs[1:], attrs[0], strict=True))
            return f"zeros[{parts} := {names[0]}]"
        case "reshape" | "broadcast":
            return f"{op}({names[0]}, {shape_text(attrs)})"
        case "call":
            return f"{attrs[1]}({', '.join(names[part] if place else repr(part) for place, part in attrs[3:])})"
        case "concat":
            return f"concat({', '.join(names)}; axis {attrs[0]})"
    inside = ", ".join([*names, *(str(a) for a in attrs)])
    return f"{op}({inside})"


def _lines(graph: Graph) -> Iterator[str]:
    """One line a value: short expressions that are used once stand where they are used."""
    nodes, uses = graph.nodes(), dict.fromkeys(graph.nodes(), 0)
    for node in nodes:
        for operand in node.operands:
            uses[operand] += 1
    results: dict[Node, list[str]] = {}
    for (kind, name), node in graph.outputs.items():
        results.setdefault(node, []).append(_label(kind, name))
    texts: dict[Node, str] = {}
    count = 0
    for node in nodes:
        if node.op == "input":
            texts[node] = _label(*node.attrs)
            continue
        text = expression(node, [texts[operand] for operand in node.operands])
        if node in results or (uses[node] > 1 and node.op != "const") or len(text) > _WIDE:
            count += 1
            texts[node] = f"v{count}"
            label = f"   -> {', '.join(results[node])}" if node in results else ""
            yield f"v{count:<4}= {text:<70} {shape_text(node.shape)} {node.dtype}{label}"
        else:
            texts[node] = text if node.op in ("const", "slice") or "(" in text[-1:] else f"({text})"
    for node, named in results.items():
        if node.op == "input":
            yield f"     = {texts[node]:<70} {shape_text(node.shape)} {node.dtype}   -> {', '.join(named)}"


def _label(kind: str, name: str) -> str:
    short = {"parameter": "", "state": "state", "input": "x", "d_state": "d_state", "d_output": "d_output"}
    prefix = short.get(kind, kind)
    return f"{prefix}.{name}".strip(".") or kind
