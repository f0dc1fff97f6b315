"""Slices move towards the inputs: (a + b)[:, :H] -> a[:, :H] + b[:, :H].

A loop over the columns of one gate then reads its parts of the pre-activations where they lie, and the gates' sums are
never written. For code that fuses; NumPy, which pays for every call, is better off with the one wide sum.
"""

from minirnn.compile.ir import Graph, Node, make, rewrite
from minirnn.compile.operations import ELEMENTWISE

__all__ = ["narrow"]


def narrow(graph: Graph) -> Graph:
    return rewrite(graph, _narrowed)


def _narrowed(node: Node) -> Node:
    if node.op != "slice" or any(step != 1 for _, _, step in node.attrs):
        return node
    (x,) = node.operands
    if x.op == "slice" and all(step == 1 for _, _, step in x.attrs):
        parts = [(a + c, a + d, 1) for (a, _, _), (c, d, _) in zip(x.attrs, node.attrs, strict=True)]
        return make("slice", x.operands[0], attrs=tuple(parts))
    if x.op not in ELEMENTWISE and x.op != "cast":
        return node
    operands = [_narrowed(_part(operand, node, len(x.shape))) for operand in x.operands]
    return Node(x.op, tuple(operands), x.attrs, node.shape, node.dtype)


def _part(operand: Node, node: Node, axes: int) -> Node:
    """The slice of an operand that the node's slice needs: whole along the axes in which it is broadcast."""
    missing = axes - len(operand.shape)
    attrs = tuple(
        [
            (0, 1, 1) if dim == 1 and node.operands[0].shape[missing + k] != 1 else node.attrs[missing + k]
            for k, dim in enumerate(operand.shape)
        ]
    )
    if all(part == (0, dim, 1) for part, dim in zip(attrs, operand.shape, strict=True)):
        return operand
    return make("slice", operand, attrs=attrs)
