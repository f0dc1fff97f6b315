"""Constant folding, and what multiplying by 1, adding 0, reshaping twice and the like leave behind.

    2 * 3 -> 6        x * 1 -> x        x + zeros -> x        reshape(reshape(x)) -> reshape(x)

x * 0 stays: it is nan where x is.
"""

from typing import Any

from minirnn.compile.ir import Graph, Node, apply, const, is_scalar, make, rewrite
from minirnn.compile.operations import ELEMENTWISE

__all__ = ["fold"]


def fold(graph: Graph) -> Graph:
    """The graph without operations whose result is known, or is an operand."""
    return rewrite(graph, _folded)


def _folded(node: Node) -> Node:
    if node.op in ELEMENTWISE:
        return _elementwise(node)
    rule = _LAYOUT.get(node.op)
    return node if rule is None else rule(node)


def value_of(node: Node) -> float | None:
    """The number that a constant holds throughout."""
    while node.op in ("broadcast", "reshape", "cast"):
        node = node.operands[0]
    return node.attrs[0] if is_scalar(node) else None


def _like(x: Node, node: Node) -> Node:
    """x in the shape and dtype of the node that it stands for."""
    if x.dtype != node.dtype and not is_scalar(x):
        x = make("cast", x, attrs=(node.dtype,))
    return x if x.shape == node.shape else make("broadcast", x, attrs=node.shape, dtype=node.dtype)


def _elementwise(node: Node) -> Node:
    operands = node.operands
    if all(is_scalar(operand) for operand in operands):
        return const(apply(node, [operand.attrs[0] for operand in operands], 1))
    if node.dtype.kind == "f" and any(is_scalar(o) and type(o.attrs[0]) is int for o in operands):
        floats = [const(float(o.attrs[0])) if is_scalar(o) and type(o.attrs[0]) is int else o for o in operands]
        return _elementwise(make(node.op, *floats))  # 1 and 1.0 are one number
    plain = tuple([_without_broadcast(operand) for operand in operands])
    if plain != operands:
        smaller = make(node.op, *plain)
        if smaller.shape == node.shape and smaller.dtype == node.dtype:
            return _elementwise(smaller)
    values = [value_of(operand) for operand in operands]
    found = _identity(node.op, operands, values)
    return node if found is None else _like(found, node)


def _without_broadcast(operand: Node) -> Node:
    return operand.operands[0] if operand.op == "broadcast" else operand


def _identity(op: str, operands: tuple[Node, ...], values: list[float | None]) -> Node | None:
    """The operand that the operation gives back unchanged."""
    x = operands[0]
    match op, values:
        case "add" | "sub", [_, 0.0]:
            return x
        case "add", [0.0, _]:
            return operands[1]
        case "mul" | "div" | "pow", [_, 1.0]:
            return x
        case "mul", [1.0, _]:
            return operands[1]
        case "neg", _ if x.op == "neg":
            return x.operands[0]
        case "where", _ if values[0] is not None:
            return operands[1] if values[0] else operands[2]
    return None


def _reshape(node: Node) -> Node:
    (x,) = node.operands
    if x.shape == node.shape:
        return x
    if x.op == "reshape":
        return _reshape(make("reshape", x.operands[0], attrs=node.attrs))
    if x.op == "broadcast" and x.operands[0].shape == ():
        return make("broadcast", x.operands[0], attrs=node.attrs, dtype=node.dtype)
    return node


def _broadcast(node: Node) -> Node:
    (x,) = node.operands
    if x.shape == node.shape and x.dtype == node.dtype:
        return x
    if x.op == "broadcast" and x.dtype == node.dtype:
        return make("broadcast", x.operands[0], attrs=node.attrs, dtype=node.dtype)
    return node


def _transpose(node: Node) -> Node:
    (x,) = node.operands
    if x.op == "transpose":
        axes = tuple([x.attrs[axis] for axis in node.attrs])
        inner = x.operands[0]
        return inner if axes == tuple(range(len(axes))) else make("transpose", inner, attrs=axes)
    return node


def _slice(node: Node) -> Node:
    (x,) = node.operands
    if node.shape == x.shape and all(step == 1 for _, _, step in node.attrs):
        return x
    if x.op == "broadcast" and x.operands[0].shape == ():
        return make("broadcast", x.operands[0], attrs=node.shape, dtype=node.dtype)
    if x.op == "slice" and all(step == 1 for _, _, step in (*x.attrs, *node.attrs)):
        parts = [(a + c, a + d, 1) for (a, _, _), (c, d, _) in zip(x.attrs, node.attrs, strict=True)]
        return make("slice", x.operands[0], attrs=tuple(parts))
    if x.op == "concat":
        return _slice_of_concat(node, x)
    return node


def _slice_of_concat(node: Node, x: Node) -> Node:
    """A slice that lies within one part of a concatenation is a slice of that part."""
    axis, at = x.attrs[0], 0
    start, stop, step = node.attrs[axis]
    for part in x.operands:
        end = at + part.shape[axis]
        if at <= start and stop <= end and step == 1:
            parts = list(node.attrs)
            parts[axis] = (start - at, stop - at, 1)
            return _slice(make("slice", part, attrs=tuple(parts)))
        at = end
    return node


def _cast(node: Node) -> Node:
    (x,) = node.operands
    if x.dtype == node.dtype and not is_scalar(x):
        return x
    return node


_LAYOUT: dict[str, Any] = {
    "reshape": _reshape,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "cast": _cast,
}
