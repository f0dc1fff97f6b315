"""From a cell to a compiled program: trace, passes, places, code."""

import logging
from typing import Any

from minirnn.compile.arrays.program import arrays_of
from minirnn.compile.errors import CannotCompile
from minirnn.compile.native import native_of
from minirnn.compile.nodes import nodes_of
from minirnn.compile.passes import FUSING, optimised
from minirnn.compile.place import place
from minirnn.compile.program import Program
from minirnn.compile.trace import trace

__all__ = ["native_program", "numpy_program"]

_log = logging.getLogger("minirnn")


def numpy_program(cell: Any, state: Any, xs: Any) -> Program:
    """The cell's program in NumPy. CannotCompile: it cannot be traced."""
    traced = trace(cell, state, xs)
    graph = optimised(traced.graph)
    try:
        return arrays_of(traced, place(graph))
    except CannotCompile as error:
        _log.info("minirnn: %s runs node by node: %s", type(cell).__name__, error)
        return nodes_of(traced, graph)


def native_program(cell: Any, state: Any, xs: Any) -> Program | None:
    """The cell's program in native code; None where there is none for its step. CannotCompile: it cannot be traced."""
    traced = trace(cell, state, xs)
    try:
        return native_of(traced, place(optimised(traced.graph, FUSING), sink=True))
    except CannotCompile as error:
        _log.info("minirnn: %s runs on NumPy: %s", type(cell).__name__, error)
        return None
