"""Both sides of a product in its precision, as loop programs take them: masks @ w -> cast(masks) @ w."""

import numpy as np

from minirnn.compile.ir import Graph, Node, make, rewrite

__all__ = ["alike"]


def alike(graph: Graph) -> Graph:
    """The graph in which products are of numbers of one kind, and of floats."""
    return rewrite(graph, _alike)


def _alike(node: Node) -> Node:
    if node.op != "matmul":
        return node
    dtype = node.dtype if node.dtype.kind == "f" else np.dtype(np.float64)
    sides = [o if o.dtype == dtype else make("cast", o, attrs=(dtype,)) for o in node.operands]
    if all(side is operand for side, operand in zip(sides, node.operands, strict=True)):
        return node
    product = make("matmul", *sides, attrs=node.attrs)
    return product if dtype == node.dtype else make("cast", product, attrs=(node.dtype,))
