"""From a cell to a compiled program: trace, passes, places, code; from disk where it was made before."""

import logging
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

from minirnn.compile import files
from minirnn.compile.emit import numpy_block
from minirnn.compile.errors import CannotCompile
from minirnn.compile.native import native_of
from minirnn.compile.passes import FUSING, PASSES, optimised
from minirnn.compile.place import Placed, place
from minirnn.compile.program import Layout, Program, layout_of, layout_text, read_layout
from minirnn.compile.trace import Traced, trace

__all__ = ["native_program", "numpy_program", "numpy_source", "placed_for_numpy", "program_of"]

_log = logging.getLogger("minirnn")


def placed_for_numpy(traced: Traced, passes: Sequence[Any] = PASSES, **choices: Any) -> Placed:
    """The graph as the NumPy emitter takes it."""
    return place(optimised(traced.graph, passes), **choices)


def numpy_source(traced: Traced, title: str, passes: Sequence[Any] = PASSES, **choices: Any) -> tuple[str, Layout]:
    """The source of the NumPy module, and what is needed to call it."""
    placed = placed_for_numpy(traced, passes, **choices)
    layout = layout_of(traced, placed)
    return numpy_block.emit(placed, title) + f"\nLAYOUT = {layout_text(layout)}\n", layout


def program_of(module: ModuleType | Any, layout: Layout) -> Program:
    """A generated module's functions; forward and backward run a block themselves."""
    names = ("once_forward", "once_backward", "forward", "backward", "finish")
    once_forward, once_backward, forward, backward, finish = (getattr(module, name) for name in names)
    forward, backward = partial(partial, forward), partial(partial, backward)
    listing = partial(files.text_of, module)
    return Program(layout, once_forward, once_backward, forward, backward, finish, False, listing)


def numpy_program(cell: Any, state: Any, xs: Any, key: Any, *, anew: bool = False) -> Program:
    """The cell's program in NumPy. CannotCompile: says why there is none. anew: whatever is on disk."""
    title = type(cell).__name__
    name = files.name_of(title, key, "numpy")
    module = None if anew else files.kept(name)
    if module is None:
        module = files.write(name, numpy_source(trace(cell, state, xs), title)[0])
    return program_of(module, read_layout(module.LAYOUT))


def native_program(cell: Any, state: Any, xs: Any) -> Program | None:
    """The cell's program in native code; None where there is none for its step. CannotCompile: it cannot be traced."""
    traced = trace(cell, state, xs)
    try:
        return native_of(traced, place(optimised(traced.graph, FUSING), sink=True))
    except CannotCompile as error:
        _log.info("minirnn: %s runs on generated NumPy: %s", type(cell).__name__, error)
        return None
