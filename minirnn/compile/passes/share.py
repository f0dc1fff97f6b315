"""Common subexpressions: what is computed twice, forward or backward, is computed once."""

from typing import Any

from minirnn.compile.ir import Graph, Node, rewrite

__all__ = ["share"]

_COMMUTE = {"add", "mul", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"}


def share(graph: Graph) -> Graph:
    """The graph with one node for every value."""
    known: dict[Any, Node] = {}
    return rewrite(graph, lambda node: known.setdefault(_identity(node), node))


def _identity(node: Node) -> Any:
    if node.op == "input":
        return node
    if node.op == "const":
        value = node.attrs[0]
        held = str(value) if node.shape == () else (value.tobytes(), node.shape)  # as 0.0 and -0.0 are equal
        return "const", held, node.dtype
    operands = sorted(node.operands, key=id) if node.op in _COMMUTE else node.operands
    return node.op, tuple(operands), node.attrs, node.shape, node.dtype
