"""Convolutions as what they are: windows around every pixel, side by side as rows, and one product with the weights.

    convolved(x, w)        rows (B Y X, k k C) of windows @ w as (k k C, O)
    correlated(x, g, k)    (B Y X, O)^T of g @ the same rows: what the weights' gradient is

For code that has loops; NumPy calls the functions as they are.
"""

from minirnn.compile.ir import Graph, Node, make, rewrite

__all__ = ["unfold"]

_HOME = "minirnn.layers.cells.convolution"


def unfold(graph: Graph) -> Graph:
    """The graph without calls of convolutions."""
    return rewrite(graph, _unfolded)


def _unfolded(node: Node) -> Node:
    if node.op != "call" or node.attrs[0] != _HOME:
        return node
    if node.attrs[1] == "_convolved":
        x, weight = node.operands
        out, channels, kernel, _ = weight.shape
        right = _reshaped(_turned(weight, 2, 3, 1, 0), kernel * kernel * channels, out)
        product = make("matmul", _rows(x, kernel), right, attrs=(False, False))
        batch, _, height, width = node.shape
        return _turned(_reshaped(product, batch, height, width, out), 0, 3, 1, 2)
    if node.attrs[1] == "_correlated":
        x, g = node.operands
        out, channels, kernel, _ = node.shape
        left = _reshaped(_turned(g, 0, 2, 3, 1), g.shape[0] * g.shape[2] * g.shape[3], out)
        product = make("matmul", left, _rows(x, kernel), attrs=(True, False))
        return _turned(_reshaped(product, out, kernel, kernel, channels), 0, 3, 1, 2)
    return node


def _rows(x: Node, kernel: int) -> Node:
    """(B, C, Y, X) -> (B Y X, k k C), a window a row, zeros outside."""
    batch, channels, height, width = x.shape
    edge = kernel // 2
    padded = (batch, height + 2 * edge, width + 2 * edge, channels)
    inside = (0, batch, 1), (edge, edge + height, 1), (edge, edge + width, 1), (0, channels, 1)
    last = _turned(x, 0, 2, 3, 1)
    windows = make("windows", make("put", last, attrs=(padded, *inside)) if edge else last, attrs=(kernel,))
    return _reshaped(windows, batch * height * width, kernel * kernel * channels)


def _turned(x: Node, *axes: int) -> Node:
    return make("transpose", x, attrs=axes)


def _reshaped(x: Node, *shape: int) -> Node:
    return make("reshape", x, attrs=shape)
