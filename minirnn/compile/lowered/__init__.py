"""Differentiable functions as nodes of the graph: what each of them is, of Nodes where traced arrays stood.

elementwise, layout, reductions, products; minirnn/compile/lower.py says which function is which.
"""

from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, const

__all__ = ["Lowered", "as_node"]

Lowered = Any  # a Node, or a tuple of them


def as_node(value: Any) -> Node:
    """A traced value, or a constant."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)):
        return const(value)
    raise CannotCompile(f"{type(value).__name__} came where an array was expected")
