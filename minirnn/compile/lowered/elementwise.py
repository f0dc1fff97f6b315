"""Elementwise functions, and those that make arrays of a shape."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, const, make
from minirnn.compile.lowered import Lowered, as_node

__all__ = ["array", "cast", "clip", "elementwise", "multiply", "ones_like", "same", "square", "where", "zeros_like"]


def elementwise(op: str) -> Callable[..., Lowered]:
    def lowered(*operands: Any, **kwargs: Any) -> Lowered:
        if any(value is not None for value in kwargs.values()):
            raise CannotCompile(f"{op} with {', '.join(kwargs)}")
        if any(value is None for value in operands):
            return _with_none(op, operands)
        return make(op, *map(as_node, operands))

    return lowered


def _with_none(op: str, operands: Sequence[Any]) -> Node:
    """What a comparison with None says: clip's derivative compares with a bound that is not there."""
    (x,) = [as_node(value) for value in operands if value is not None]
    if op not in ("equal", "not_equal"):
        raise CannotCompile(f"{op} of None")
    return make("broadcast", const(op == "not_equal"), attrs=x.shape, dtype=np.dtype(bool))


def as_bool(node: Node) -> Node:
    return node if node.dtype.kind == "b" else make("not_equal", node, const(0.0))


def where(condition: Any, x: Any, y: Any) -> Lowered:
    return make("where", as_bool(as_node(condition)), as_node(x), as_node(y))


def clip(x: Any, a_min: Any = None, a_max: Any = None) -> Lowered:
    y = as_node(x)
    y = y if a_min is None else make("maximum", y, as_node(a_min))
    return y if a_max is None else make("minimum", y, as_node(a_max))


def cast(x: Any, dtype: Any, *args: Any, **kwargs: Any) -> Lowered:
    x, dtype = as_node(x), np.dtype(dtype)
    return x if x.dtype == dtype else make("cast", x, attrs=(dtype,))


def square(x: Any) -> Lowered:
    return make("mul", as_node(x), as_node(x))


def multiply(a: Any, b: Any, **kwargs: Any) -> Lowered:
    """A product in which a mask stands as a number: as one."""
    a, b = as_node(a), as_node(b)
    for mask, other in ((a, b), (b, a)):
        if mask.dtype.kind == "b" and other.dtype.kind == "f":
            return make("mul", other, make("cast", mask, attrs=(other.dtype,)))
    return make("mul", a, b)


def same(x: Any, *args: Any, **kwargs: Any) -> Lowered:
    return as_node(x)


def zeros_like(x: Any, *args: Any, **kwargs: Any) -> Lowered:
    x = as_node(x)
    return make("broadcast", const(0.0), attrs=x.shape, dtype=x.dtype)


def ones_like(x: Any, *args: Any, **kwargs: Any) -> Lowered:
    x = as_node(x)
    return make("broadcast", const(1.0), attrs=x.shape, dtype=x.dtype)


def array(args: Any, kwargs: Any, value: Any) -> Lowered:
    if args or set(kwargs) - {"copy"}:
        raise CannotCompile("np.array with options")
    return as_node(value)
