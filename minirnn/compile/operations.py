"""Every operation of a graph, in one table: its shape, what it computes in NumPy, how it may be treated.

A new operation is one entry here (and where code is made of it: a function that traces it in lowered/, an entry of
llvm/curves.py or of the loop programs).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "BATCH",
    "CHEAP",
    "COMPARISONS",
    "COMPUTED",
    "ELEMENTWISE",
    "LOOPED",
    "OPERATIONS",
    "REGISTER",
    "VIEWS",
    "Operation",
    "concrete",
    "load",
    "put",
    "size_value",
    "untake",
]

BATCH = 1_000_003  # stands for the size of the batch
Shape = tuple[int, ...]
Attrs = tuple[Any, ...]


class Operation(NamedTuple):
    """kind: "loop" (an entry follows from the operands' entries there), "view" (its entries are the operand's),
    "whole" (an entry follows from many), "part" (none of these).

    shape(operands, attrs); compute(node, values, batch), of the operands' values. cost of an entry: 0, computed again
    rather than stored; 1, computed again within a loop rather than read; 2, computed once. rounded: of integers it
    makes integers. infix: how it is written, between two operands.
    """

    kind: str
    shape: Callable[[Sequence[Any], Attrs], Iterable[int]]
    compute: Callable[[Any, Sequence[Any], int], Any]
    cost: int = 2
    rounded: bool = False
    infix: str = ""


# ---------------------------------------------------------------- sizes that wait for the batch
def concrete(shape: Sequence[int], batch: int) -> Shape:
    """The shape at a size of the batch."""
    return tuple([dim // BATCH * batch if dim % BATCH == 0 else dim for dim in shape])


def size_value(attrs: Sequence[int], batch: int) -> float | int:
    """Of (times, plus, power): (times * batch + plus) ** power."""
    times, plus, power = attrs
    return times * batch + plus if power == 1 else 1.0 / (times * batch + plus)


# ---------------------------------------------------------------- elementwise
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
_SIMPLE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "where": np.where,
    **COMPARISONS,
}
_PLAIN: dict[str, Callable[..., Any]] = {
    "div": np.true_divide,
    "mod": np.mod,
    "floor": np.floor,
    "ceil": np.ceil,
    "sqrt": np.sqrt,
}
_CURVES: dict[str, Callable[..., Any]] = {
    "pow": np.power,
    "logaddexp": np.logaddexp,
    "arctan2": np.arctan2,
    "sigmoid": sigmoid,
    "softplus": softplus,
    **{name: getattr(np, name) for name in ("tanh", "exp", "expm1", "log", "log1p", "sin", "cos", "tan")},
    **{name: getattr(np, name) for name in ("arcsin", "arccos", "arctan", "sinh", "cosh")},
}
ELEMENTWISE: dict[str, Callable[..., Any]] = {**_SIMPLE, **_PLAIN, **_CURVES}
ROUNDED = {"neg", "abs", "sign", "floor", "ceil", "add", "sub", "mul", "maximum", "minimum", "mod", "pow", "where"}
INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "mod": "%"}
INFIX |= {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}


def _entry(name: str) -> Operation:
    function = ELEMENTWISE[name]
    return Operation(
        "loop",
        lambda operands, attrs: np.broadcast_shapes(*[node.shape for node in operands]),
        lambda node, values, batch: function(*values),
        0 if name in _SIMPLE else 1 if name in _PLAIN else 2,
        name in ROUNDED,
        INFIX.get(name, ""),
    )


# ---------------------------------------------------------------- shapes
def _same(operands: Sequence[Any], attrs: Attrs) -> Shape:
    found: Shape = operands[0].shape
    return found


def _along(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _left(operands: Sequence[Any], attrs: Attrs) -> list[int]:
    """Without the axes that are reduced."""
    return [dim for axis, dim in enumerate(operands[0].shape) if axis not in attrs]


def _windows_shape(operands: Sequence[Any], attrs: Attrs) -> Shape:
    """(B, Y, X, C): every window of the two axes in the middle, before the channels."""
    shape, (size,) = operands[0].shape, attrs
    return (shape[0], shape[1] - size + 1, shape[2] - size + 1, size, size, shape[3])


def _matmul_shape(operands: Sequence[Any], attrs: Attrs) -> Shape:
    (a, b), (ta, tb) = operands, attrs
    return (a.shape[1] if ta else a.shape[0], b.shape[0] if tb else b.shape[1])


def _concat_shape(operands: Sequence[Any], attrs: Attrs) -> Shape:
    return _along(operands[0].shape, attrs[0], sum(node.shape[attrs[0]] for node in operands))


def _einsum_shape(operands: Sequence[Any], attrs: Attrs) -> Shape:
    inputs, output = attrs[0].split("->")
    sizes: dict[str, int] = {}
    for letters, node in zip(inputs.split(","), operands, strict=True):
        sizes |= {
            letter: dim for letter, dim in zip(letters, node.shape, strict=True) if dim != 1 or letter not in sizes
        }
    return tuple([sizes[letter] for letter in output])


# ---------------------------------------------------------------- values
def _slices(attrs: Sequence[tuple[int, int, int]], batch: int) -> tuple[slice, ...]:
    made = []
    for start, stop, step in attrs:
        start, stop = concrete((start, stop), batch)
        made.append(slice(start, stop if stop >= 0 else None, step))
    return tuple(made)


def put(value: Any, shape: Shape, where: tuple[slice, ...], dtype: Any) -> Any:
    """The value in zeros."""
    out = np.zeros(shape, dtype)
    out[where] = value
    return out


def untake(value: Any, axis: int, size: int, numbers: Sequence[int], dtype: Any) -> Any:
    """The value's entries along an axis added up where the numbers say."""
    out = np.zeros(_along(np.shape(value), axis, size), dtype)
    where: Any = (*[slice(None)] * axis, np.array(numbers, int))
    np.add.at(out, where, value)
    return out


def load(module: str, name: str) -> Callable[..., Any]:
    """The function of this name in a module."""
    from importlib import import_module

    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _windows(node: Any, values: Sequence[Any], batch: int) -> Any:
    size = node.attrs[0]
    view = np.lib.stride_tricks.sliding_window_view(values[0], (size, size), axis=(1, 2))
    return np.moveaxis(view, 3, -1)


def _matmul(node: Any, values: Sequence[Any], batch: int) -> Any:
    a, b = (value.T if turned else value for value, turned in zip(values, node.attrs, strict=True))
    return np.matmul(a, b)


def _called(node: Any, values: Sequence[Any], batch: int) -> Any:
    return load(*node.attrs[:2])(*[values[part] if place else part for place, part in node.attrs[3:]])


def _reduction(name: str) -> Operation:
    """attrs: the axes."""
    return Operation("whole", _left, lambda node, values, batch: getattr(np, name)(values[0], axis=node.attrs))


def _running(name: str) -> Operation:
    """attrs: the axis."""
    return Operation("whole", _same, lambda node, values, batch: getattr(np, name)(values[0], axis=node.attrs[0]))


OPERATIONS: Mapping[str, Operation] = {
    **{name: _entry(name) for name in ELEMENTWISE},
    "cast": Operation(  # attrs: a dtype
        "loop", _same, lambda node, values, batch: np.asarray(values[0]).astype(node.attrs[0]), cost=0
    ),
    "copy": Operation("loop", _same, lambda node, values, batch: values[0]),
    "slice": Operation(  # attrs: (start, stop, step) of every axis
        "view",
        lambda operands, attrs: [len(range(*part)) for part in attrs],
        lambda node, values, batch: values[0][_slices(node.attrs, batch)],
        cost=0,
    ),
    "reshape": Operation(  # attrs: the shape
        "view",
        lambda operands, attrs: attrs,
        lambda node, values, batch: np.reshape(values[0], concrete(node.attrs, batch)),
        cost=0,
    ),
    "broadcast": Operation(  # attrs: the shape
        "view",
        lambda operands, attrs: attrs,
        lambda node, values, batch: np.broadcast_to(np.asarray(values[0], node.dtype), concrete(node.attrs, batch)),
        cost=0,
    ),
    "transpose": Operation(  # attrs: the axes
        "view",
        lambda operands, attrs: [operands[0].shape[axis] for axis in attrs],
        lambda node, values, batch: np.transpose(values[0], node.attrs),
        cost=0,
    ),
    "windows": Operation("view", _windows_shape, _windows, cost=0),  # attrs: how wide and high
    "concat": Operation(  # attrs: the axis
        "part", _concat_shape, lambda node, values, batch: np.concatenate(values, node.attrs[0])
    ),
    "put": Operation(  # zeros of shape attrs[0], with the operand at the slices attrs[1:]
        "whole",
        lambda operands, attrs: attrs[0],
        lambda node, values, batch: put(
            values[0], concrete(node.attrs[0], batch), _slices(node.attrs[1:], batch), node.dtype
        ),
    ),
    "take": Operation(  # attrs: the axis, numbers
        "whole",
        lambda operands, attrs: _along(operands[0].shape, attrs[0], len(attrs) - 1),
        lambda node, values, batch: np.take(values[0], np.array(node.attrs[1:], int), node.attrs[0]),
    ),
    "untake": Operation(  # attrs: the axis, its size, numbers
        "whole",
        lambda operands, attrs: _along(operands[0].shape, attrs[0], attrs[1]),
        lambda node, values, batch: untake(
            values[0], node.attrs[0], concrete(node.attrs[1:2], batch)[0], node.attrs[2:], node.dtype
        ),
    ),
    **{name: _reduction(name) for name in ("sum", "amax", "amin", "prod")},
    **{name: _running(name) for name in ("cumsum", "cumprod")},
    "matmul": Operation("whole", _matmul_shape, _matmul),  # of two matrices; attrs: whether each is transposed first
    "einsum": Operation(
        "whole", _einsum_shape, lambda node, values, batch: np.einsum(node.attrs[0], *values)
    ),  # attrs: the equation
    "call": Operation("part", lambda operands, attrs: attrs[2], _called),  # a function by module and name, as it is
    "const": Operation("part", lambda operands, attrs: np.shape(attrs[0]), lambda node, values, batch: node.attrs[0]),
    "size": Operation(  # no operands: a number that follows from the size of the batch; attrs as for size_value
        "part", lambda operands, attrs: (), lambda node, values, batch: size_value(node.attrs, batch)
    ),
}

LOOPED = {name for name, operation in OPERATIONS.items() if operation.kind == "loop"}
VIEWS = {name for name, operation in OPERATIONS.items() if operation.kind == "view"}
COMPUTED = {name for name, operation in OPERATIONS.items() if operation.kind == "whole"}  # beside what is looped
CHEAP = {name for name, operation in OPERATIONS.items() if operation.cost == 0}
REGISTER = {name for name in LOOPED - {"copy"} if OPERATIONS[name].cost < 2}
