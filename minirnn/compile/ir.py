"""The graph of a step: typed nodes, what each computes in plain NumPy, and the graph as text.

    h = tanh(x @ w.T + h @ u.T)        a step
    %4 = matmul(h, u^T)                a node: an operation, its operands, its attributes, a shape and a dtype

Shapes are tuples of integers in which BATCH, a large prime, stands for the size of the batch, and a multiple of it for
that multiple: every rule of shapes is then plain arithmetic, and no graph knows a batch. `evaluate` computes a graph
node by node; it is the slow twin of all passes and of all code that is generated.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "BATCH",
    "COMPARISONS",
    "ELEMENTWISE",
    "Graph",
    "Node",
    "apply",
    "concrete",
    "const",
    "evaluate",
    "has_batch",
    "precision",
    "size_value",
    "input_node",
    "is_scalar",
    "make",
    "rewrite",
]

BATCH = 1_000_003
Shape = tuple[int, ...]
Array = np.ndarray


class Node:
    """One value of a step. Nodes are compared by identity; nothing changes one once it is made."""

    __slots__ = ("attrs", "dtype", "op", "operands", "shape")

    def __init__(self, op: str, operands: tuple["Node", ...], attrs: tuple[Any, ...], shape: Shape, dtype: Any):
        self.op, self.operands, self.attrs, self.shape, self.dtype = op, operands, attrs, shape, np.dtype(dtype)

    def __repr__(self) -> str:
        return f"{self.op}{shape_text(self.shape)}"


# ---------------------------------------------------------------- elementwise operations
def sigmoid(x: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def softplus(x: Any) -> Any:
    return np.logaddexp(x, np.zeros_like(x))


COMPARISONS: dict[str, Callable[..., Any]] = {
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_not": np.logical_not,
    "isfinite": np.isfinite,
    "isnan": np.isnan,
}

_ROUNDED = ("neg", "abs", "sign", "floor", "ceil", "add", "sub", "mul", "maximum", "minimum", "mod", "pow", "where")

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "pow": np.power,
    "mod": np.mod,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "logaddexp": np.logaddexp,
    "arctan2": np.arctan2,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arctan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "where": np.where,
    **COMPARISONS,
}


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
        shape = np.broadcast_shapes(*[node.shape for node in operands])
        return Node(op, operands, attrs, shape, _elementwise_dtype(op, operands))
    if dtype is None:
        dtype = attrs[0] if op == "cast" else _result_dtype(operands)
    return Node(op, operands, attrs, tuple(_SHAPES[op](operands, attrs)), dtype)


def _result_dtype(operands: Iterable[Node]) -> Any:
    return np.result_type(*[precision(node) for node in operands])


def _elementwise_dtype(op: str, operands: tuple[Node, ...]) -> Any:
    if op in COMPARISONS:
        return np.dtype(bool)
    dtype = _result_dtype(operands[1:] if op == "where" else operands)
    return dtype if dtype.kind == "f" or op in _ROUNDED else np.dtype(np.float64)


def _slice_shape(operands: Sequence[Node], attrs: tuple[Any, ...]) -> Shape:
    return tuple([len(range(*part)) for part in attrs])


def _along(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _windows_shape(shape: Shape, size: int) -> Shape:
    """(B, Y, X, C): every window of the two axes in the middle, before the channels."""
    return (shape[0], shape[1] - size + 1, shape[2] - size + 1, size, size, shape[3])


def _matmul_shape(operands: Sequence[Node], attrs: tuple[Any, ...]) -> Shape:
    (a, b), (ta, tb) = operands, attrs
    return (a.shape[1] if ta else a.shape[0], b.shape[0] if tb else b.shape[1])


def _concat_shape(operands: Sequence[Node], attrs: tuple[Any, ...]) -> Shape:
    (axis,), first = attrs, operands[0].shape
    return (*first[:axis], sum(node.shape[axis] for node in operands), *first[axis + 1 :])


def _einsum_shape(operands: Sequence[Node], attrs: tuple[Any, ...]) -> Shape:
    inputs, output = attrs[0].split("->")
    sizes: dict[str, int] = {}
    for letters, node in zip(inputs.split(","), operands, strict=True):
        sizes |= {
            letter: dim for letter, dim in zip(letters, node.shape, strict=True) if dim != 1 or letter not in sizes
        }
    return tuple([sizes[letter] for letter in output])


# "size" has no operands: a number that follows from the size of the batch; attrs as for size_value
_SHAPES: dict[str, Callable[[Sequence[Node], tuple[Any, ...]], Iterable[int]]] = {
    "cast": lambda operands, attrs: operands[0].shape,
    "reshape": lambda operands, attrs: attrs,
    "broadcast": lambda operands, attrs: attrs,
    "transpose": lambda operands, attrs: [operands[0].shape[axis] for axis in attrs],
    "slice": _slice_shape,  # attrs: (start, stop, step) of every axis
    "put": lambda operands, attrs: attrs[0],  # zeros of shape attrs[0], with the operand at the slices attrs[1:]
    "concat": _concat_shape,
    "take": lambda operands, attrs: _along(operands[0].shape, attrs[0], len(attrs) - 1),  # attrs: axis, numbers
    "untake": lambda operands, attrs: _along(operands[0].shape, attrs[0], attrs[1]),  # attrs: axis, size, numbers
    "windows": lambda operands, attrs: _windows_shape(operands[0].shape, attrs[0]),  # attrs: how wide and high
    "cumsum": lambda operands, attrs: operands[0].shape,
    "cumprod": lambda operands, attrs: operands[0].shape,
    "sum": lambda operands, attrs: [dim for axis, dim in enumerate(operands[0].shape) if axis not in attrs],
    "amax": lambda operands, attrs: [dim for axis, dim in enumerate(operands[0].shape) if axis not in attrs],
    "amin": lambda operands, attrs: [dim for axis, dim in enumerate(operands[0].shape) if axis not in attrs],
    "prod": lambda operands, attrs: [dim for axis, dim in enumerate(operands[0].shape) if axis not in attrs],
    "matmul": _matmul_shape,  # of two matrices; attrs: whether each is transposed first
    "einsum": _einsum_shape,
    "call": lambda operands, attrs: attrs[2],  # a function by module and name, as it is
}


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
    stack: list[tuple[Node, Iterator[Node]]] = []
    if root not in found:
        stack.append((root, iter(root.operands)))
    while stack:
        node, rest = stack[-1]
        below = next((operand for operand in rest if operand not in found), None)
        if below is None:
            found[node] = None
            stack.pop()
        else:
            stack.append((below, iter(below.operands)))


def rewrite(graph: Graph, rule: Callable[[Node], Node]) -> Graph:
    """The graph with rule(node) in place of every node, operands first; the rule sees new operands."""
    new: dict[Node, Node] = {}
    for node in graph.nodes():
        operands = tuple([new[operand] for operand in node.operands])
        same = all(a is b for a, b in zip(operands, node.operands, strict=True))
        new[node] = rule(node if same else Node(node.op, operands, node.attrs, node.shape, node.dtype))
    for node in graph.inputs:
        new.setdefault(node, node)
    return Graph(graph.inputs, {key: new[node] for key, node in graph.outputs.items()})


# ---------------------------------------------------------------- the evaluator
def concrete(shape: Sequence[int], batch: int) -> Shape:
    """The shape at a size of the batch."""
    return tuple([dim // BATCH * batch if dim % BATCH == 0 else dim for dim in shape])


def _slices(attrs: Sequence[tuple[int, int, int]], batch: int) -> tuple[slice, ...]:
    made = []
    for start, stop, step in attrs:
        start, stop = concrete((start, stop), batch)
        made.append(slice(start, stop if stop >= 0 else None, step))
    return tuple(made)


def put(value: Any, shape: Shape, where: tuple[slice, ...], dtype: Any) -> Array:
    """The value in zeros."""
    out = np.zeros(shape, dtype)
    out[where] = value
    return out


def untake(value: Any, axis: int, size: int, numbers: Sequence[int], dtype: Any) -> Array:
    """The value's entries along an axis added up where the numbers say."""
    out = np.zeros(_along(np.shape(value), axis, size), dtype)
    where: Any = (*[slice(None)] * axis, np.array(numbers, int))
    np.add.at(out, where, value)
    return out


def size_value(attrs: Sequence[int], batch: int) -> float | int:
    """Of (times, plus, power): (times * batch + plus) ** power."""
    times, plus, power = attrs
    return times * batch + plus if power == 1 else 1.0 / (times * batch + plus)


def load(module: str, name: str) -> Callable[..., Any]:
    """The function of this name in a module."""
    from importlib import import_module

    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def apply(node: Node, values: Sequence[Any], batch: int) -> Any:
    """What a node computes, of its operands' values."""
    attrs = node.attrs
    match node.op:
        case "const":
            return attrs[0]
        case "size":
            return size_value(attrs, batch)
        case "cast":
            return np.asarray(values[0]).astype(attrs[0])
        case "reshape":
            return np.reshape(values[0], concrete(attrs, batch))
        case "broadcast":
            return np.broadcast_to(np.asarray(values[0], node.dtype), concrete(attrs, batch))
        case "transpose":
            return np.transpose(values[0], attrs)
        case "slice":
            return values[0][_slices(attrs, batch)]
        case "put":
            return put(values[0], concrete(attrs[0], batch), _slices(attrs[1:], batch), node.dtype)
        case "take":
            return np.take(values[0], np.array(attrs[1:], int), attrs[0])
        case "untake":
            return untake(values[0], attrs[0], concrete(attrs[1:2], batch)[0], attrs[2:], node.dtype)
        case "windows":
            view = np.lib.stride_tricks.sliding_window_view(values[0], (attrs[0], attrs[0]), axis=(1, 2))
            return np.moveaxis(view, 3, -1)
        case "cumsum" | "cumprod":
            return getattr(np, node.op)(values[0], axis=attrs[0])
        case "concat":
            return np.concatenate(values, attrs[0])
        case "sum" | "amax" | "amin" | "prod":
            return getattr(np, node.op)(values[0], axis=attrs)
        case "matmul":
            a, b = (value.T if turned else value for value, turned in zip(values, attrs, strict=True))
            return np.matmul(a, b)
        case "einsum":
            return np.einsum(attrs[0], *values)
        case "call":
            return load(*attrs[:2])(*[values[part] if place else part for place, part in attrs[3:]])
    return ELEMENTWISE[node.op](*values)


def evaluate(graph: Graph, values: Mapping[Node, Any], batch: int) -> dict[tuple[str, str], Any]:
    """The outputs, of a value for every input; in NumPy, one call a node."""
    known = dict(values)
    with np.errstate(all="ignore"):
        for node in graph.nodes():
            if node not in known:
                found = apply(node, [known[operand] for operand in node.operands], batch)
                known[node] = found if node.op == "size" or is_scalar(node) else np.asarray(found, node.dtype)
    return {key: np.asarray(known[node], node.dtype) for key, node in graph.outputs.items()}


# ---------------------------------------------------------------- as text
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "mod": "%"}
_INFIX |= {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}
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
    if op in _INFIX:
        return f"{names[0]} {_INFIX[op]} {names[1]}"
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
