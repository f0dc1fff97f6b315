"""Forms that derivative rules leave, in the words that a person would have written.

a + (-b) -> a - b            x ** 2 -> x * x             transpose(a) @ b -> a.T @ b, within the product
row.T @ b -> column @ b
x ** -0.5 -> 1 / sqrt(x)     g / cosh(x) ** 2 -> g * (1 - tanh(x) ** 2)
sum(x, (0, 1)) -> sum(sum(x, 1), 0)      over rows of the batch last
x > 0 -> max(x, 0) > 0       where max(x, 0) is there: what is stored for relu's derivative is its value
"""

from minirnn.compile.ir import BATCH, Graph, Node, const, is_scalar, make, rewrite

__all__ = ["algebra"]


def algebra(graph: Graph) -> Graph:
    return rewrite(_of_values(graph), _simpler)


def _of_values(graph: Graph) -> Graph:
    """max(x, 0) > 0 in place of x > 0."""
    nodes = graph.nodes()
    rectified = {n.operands[0]: n for n in nodes if n.op == "maximum" and is_scalar(n.operands[1], 0)}
    masks = [n for n in nodes if n.op == "greater" and is_scalar(n.operands[1], 0) and n.operands[0] in rectified]
    if not masks:
        return graph
    every = Graph(
        graph.inputs, {**{("", str(k)): rectified[n.operands[0]] for k, n in enumerate(masks)}, **graph.outputs}
    )
    new: dict[Node, Node] = {node: node for node in graph.inputs}
    for node in every.nodes():
        operands = tuple([new[operand] for operand in node.operands])
        same = operands == node.operands
        new[node] = node if same else Node(node.op, operands, node.attrs, node.shape, node.dtype)
        if node in masks:
            if rectified[node.operands[0]] not in new:
                new[rectified[node.operands[0]]] = make("maximum", operands[0], const(0.0))
            new[node] = make("greater", new[rectified[node.operands[0]]], const(0.0))
    return Graph(graph.inputs, {key: new[node] for key, node in graph.outputs.items()})


def _simpler(node: Node) -> Node:
    found = _RULES[node.op](node) if node.op in _RULES else None
    return node if found is None or found.dtype != node.dtype or found.shape != node.shape else found


def _add(node: Node) -> Node | None:
    a, b = node.operands
    if b.op == "neg":
        return make("sub", a, b.operands[0])
    if a.op == "neg":
        return make("sub", b, a.operands[0])
    return None


def _sub(node: Node) -> Node | None:
    a, b = node.operands
    return make("add", a, b.operands[0]) if b.op == "neg" else None


def _mul(node: Node) -> Node | None:
    """Signs move out of products, where a sum may take them in."""
    a, b = node.operands
    if a.op == "neg" and not is_scalar(b):
        return make("neg", make("mul", a.operands[0], b))
    if b.op == "neg" and not is_scalar(a):
        return make("neg", make("mul", a, b.operands[0]))
    return None


def _div(node: Node) -> Node | None:
    g, below = node.operands
    square = below.op == "mul" and below.operands[0] is below.operands[1]
    square = square or (below.op == "pow" and is_scalar(below.operands[1], 2))
    if square and below.operands[0].op == "cosh":
        y = make("tanh", below.operands[0].operands[0])
        return make("mul", g, make("sub", const(1.0), make("mul", y, y)))
    return None


def _pow(node: Node) -> Node | None:
    x, exponent = node.operands
    if node.dtype.kind != "f" or not is_scalar(exponent):
        return None
    match exponent.attrs[0]:
        case 2:
            return make("mul", x, x)
        case -1:
            return make("div", const(1.0), x)
        case 0.5:
            return make("sqrt", x)
        case -0.5:
            return make("div", const(1.0), make("sqrt", x))
    return None


def _matmul(node: Node) -> Node | None:
    """A transpose before a product is a flag of the product."""
    operands, flags = list(node.operands), list(node.attrs)
    for k in range(2):
        if operands[k].op == "transpose":
            operands[k], flags[k] = operands[k].operands[0], not flags[k]
    if flags[0] and operands[0].shape[0] == 1 and operands[0].shape[1] % BATCH == 0:  # a row of rows of the batch
        operands[0], flags[0] = make("reshape", operands[0], attrs=(operands[0].shape[1], 1)), False
    return make("matmul", *operands, attrs=tuple(flags)) if operands != list(node.operands) else None


def _transpose(node: Node) -> Node | None:
    """(a @ b)^T = b^T @ a^T."""
    (x,) = node.operands
    if x.op == "matmul" and node.attrs == (1, 0):
        (a, b), (ta, tb) = x.operands, x.attrs
        return make("matmul", b, a, attrs=(not tb, not ta))
    return None


def _sum(node: Node) -> Node | None:
    """Over rows of the batch and more: each row's sum, and then over rows."""
    (x,), axes = node.operands, node.attrs
    if axes[:1] != (0,) or len(axes) == 1 or x.shape[0] % BATCH:
        return None
    return make("sum", make("sum", x, attrs=axes[1:]), attrs=(0,))


_RULES = {
    "sum": _sum,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "matmul": _matmul,
    "transpose": _transpose,
}
