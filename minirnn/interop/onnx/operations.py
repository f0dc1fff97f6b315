"""The operations of a traced step (minirnn.compile.ir) as ONNX's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.interop.onnx.graph import TO_THE_END, CannotExport, Graph

__all__ = ["translate"]

# what a node is of its operands, where ONNX has the operation
_SAME = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "pow": "Pow",
    "maximum": "Max",
    "minimum": "Min",
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "arcsin": "Asin",
    "arccos": "Acos",
    "arctan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "where": "Where",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "equal": "Equal",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_not": "Not",
    "isnan": "IsNaN",
}
_REDUCTIONS = {"sum": "ReduceSum", "amax": "ReduceMax", "amin": "ReduceMin", "prod": "ReduceProd"}
_CONVOLUTION = ("minirnn.layers.cells.convolution", "_convolved")


def translate(g: Graph, node: Any, operands: Sequence[str]) -> str:
    """The node in the graph g, of its operands' names; the name of the result.

    Numbers among the operands are constants of the dtype that they take where they stand. CannotExport: ONNX has no
    such operation; names it.
    """
    from minirnn.compile.operations import ELEMENTWISE

    if node.op in ELEMENTWISE:
        return _elementwise(g, node, list(operands))
    if node.op in _REDUCTIONS:
        return g.op(_REDUCTIONS[node.op], operands[0], g.ints(*node.attrs), keepdims=0)
    if node.op not in _LAYOUT:
        raise CannotExport(f"ONNX has no operation {node.op!r}")
    return _LAYOUT[node.op](g, node, list(operands))


# ---------------------------------------------------------------- elementwise
def _elementwise(g: Graph, node: Any, names: list[str]) -> str:
    from minirnn.compile.ir import is_scalar
    from minirnn.compile.operations import COMPARISONS

    skip = 1 if node.op == "where" else 0
    arrays = node.operands[skip:]
    dtype: Any = node.dtype
    if node.op in COMPARISONS:
        dtype = np.result_type(*[n.attrs[0] if is_scalar(n) else n.dtype for n in arrays])
    if node.op.startswith("logical"):
        dtype = np.dtype(bool)
    for k, operand in enumerate(arrays, skip):
        if is_scalar(operand):
            names[k] = g.constant(operand.attrs[0], dtype)
        elif operand.dtype != dtype:
            names[k] = g.cast(names[k], dtype)
    if node.op in _SAME:
        return g.op(_SAME[node.op], *names)
    if node.op not in _MADE:
        raise CannotExport(f"ONNX has no operation {node.op!r}")
    return _MADE[node.op](g, dtype, *names)


def _mod(g: Graph, dtype: Any, a: str, b: str) -> str:
    """NumPy's, whose result has the divisor's sign; ONNX's is that one for integers alone."""
    if dtype.kind != "f":
        return g.op("Mod", a, b)
    return g.op("Sub", a, g.op("Mul", b, g.op("Floor", g.op("Div", a, b))))


def _logaddexp(g: Graph, dtype: Any, a: str, b: str) -> str:
    """max(a, b) + softplus(-|a - b|)."""
    apart = g.op("Neg", g.op("Abs", g.op("Sub", a, b)))
    return g.op("Add", g.op("Max", a, b), g.op("Softplus", apart))


def _expm1(g: Graph, dtype: Any, x: str) -> str:
    """2 t / (1 - t) with t = tanh(x / 2), which keeps its digits near 0; exp(x) - 1 elsewhere."""
    one = g.constant(1.0, dtype)
    half = g.op("Mul", x, g.constant(0.5, dtype))
    near = g.op("Less", g.op("Abs", half), g.constant(0.25, dtype))
    t = g.op("Tanh", g.op("Where", near, half, g.constant(0.0, dtype)))
    small = g.op("Div", g.op("Add", t, t), g.op("Sub", one, t))
    return g.op("Where", near, small, g.op("Sub", g.op("Exp", x), one))


def _log1p(g: Graph, dtype: Any, x: str) -> str:
    """log(u) x / (u - 1) with u = 1 + x as it is rounded, and x where u is 1 (W. Kahan)."""
    one = g.constant(1.0, dtype)
    u = g.op("Add", x, one)
    gone = g.op("Equal", u, one)
    divisor = g.op("Where", gone, one, g.op("Sub", u, one))
    return g.op("Where", gone, x, g.op("Mul", g.op("Log", u), g.op("Div", x, divisor)))


_MADE: dict[str, Callable[..., str]] = {
    "mod": _mod,
    "logaddexp": _logaddexp,
    "expm1": _expm1,
    "log1p": _log1p,
    "not_equal": lambda g, dtype, a, b: g.op("Not", g.op("Equal", a, b)),
    "isfinite": lambda g, dtype, x: g.op("Not", g.op("Or", g.op("IsNaN", x), g.op("IsInf", x))),
}


# ---------------------------------------------------------------- layout and products
def sizes(g: Graph, values: Sequence[int]) -> str:
    """Integers as a vector, of which some are multiples of the batch."""
    from minirnn.compile.ir import BATCH

    depends = [value > 0 and value % BATCH == 0 for value in values]
    if not any(depends):
        return g.ints(*values)
    parts = [g.size(v // BATCH) if one else g.ints(v) for v, one in zip(values, depends, strict=True)]
    return parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=0)


def _reshape(g: Graph, node: Any, names: list[str]) -> str:
    from minirnn.compile.ir import BATCH

    multiples = [dim > 0 and dim % BATCH == 0 for dim in node.attrs]
    if sum(multiples) == 1 and 0 not in node.attrs:  # the one size that the others leave
        shape = g.ints(*[-1 if one else dim for dim, one in zip(node.attrs, multiples, strict=True)])
    else:
        shape = sizes(g, node.attrs)
    return g.op("Reshape", names[0], shape)


def _broadcast(g: Graph, node: Any, names: list[str]) -> str:
    from minirnn.compile.ir import is_scalar

    (operand,) = node.operands
    if is_scalar(operand):
        names[0] = g.constant(operand.attrs[0], node.dtype)
    elif operand.dtype != node.dtype:
        names[0] = g.cast(names[0], node.dtype)
    return g.op("Expand", names[0], sizes(g, node.attrs))


def _slice(g: Graph, node: Any, names: list[str]) -> str:
    shape = node.operands[0].shape
    axes = [k for k, part in enumerate(node.attrs) if part != (0, shape[k], 1)]
    starts, stops, steps = zip(*[node.attrs[k] for k in axes], strict=True)
    ends = [
        -TO_THE_END if stop < 0 else TO_THE_END if stop == shape[k] else stop
        for k, stop in zip(axes, stops, strict=True)
    ]
    return g.op("Slice", names[0], sizes(g, starts), sizes(g, ends), g.ints(*axes), g.ints(*steps))


def _cast(g: Graph, node: Any, names: list[str]) -> str:
    from minirnn.compile.ir import is_scalar

    (operand,) = node.operands
    return g.constant(operand.attrs[0], node.dtype) if is_scalar(operand) else g.cast(names[0], node.dtype)


def _alike(g: Graph, node: Any, names: list[str]) -> list[str]:
    """The operands, all of the result's dtype."""
    return [
        name if operand.dtype == node.dtype else g.cast(name, node.dtype)
        for name, operand in zip(names, node.operands, strict=True)
    ]


def _matmul(g: Graph, node: Any, names: list[str]) -> str:
    a, b = _alike(g, node, names)
    turned_a, turned_b = node.attrs
    return (
        g.op("Gemm", a, b, transA=int(turned_a), transB=int(turned_b)) if turned_a or turned_b else g.op("MatMul", a, b)
    )


def _call(g: Graph, node: Any, names: list[str]) -> str:
    if node.attrs[:2] != _CONVOLUTION:
        raise CannotExport(f"ONNX has no operation for {node.attrs[0]}.{node.attrs[1]}, which is called as it is")
    edge = node.operands[1].shape[-1] // 2
    return g.op("Conv", *names, pads=[edge] * 4)


_LAYOUT: dict[str, Callable[[Graph, Any, list[str]], str]] = {
    "reshape": _reshape,
    "broadcast": _broadcast,
    "slice": _slice,
    "cast": _cast,
    "matmul": _matmul,
    "call": _call,
    "transpose": lambda g, node, names: g.op("Transpose", names[0], perm=list(node.attrs)),
    "concat": lambda g, node, names: g.op("Concat", *_alike(g, node, names), axis=node.attrs[0]),
    "einsum": lambda g, node, names: g.op("Einsum", *_alike(g, node, names), equation=node.attrs[0]),
}
