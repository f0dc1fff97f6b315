"""From a cell to a compiled program: trace, passes, places, code; from disk where it was made before."""

import logging
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

from minirnn.compile import files
from minirnn.compile.emit import numba_block, numpy_block
from minirnn.compile.emit.numba_memory import Unsupported
from minirnn.compile.passes import FUSING, PASSES, optimised
from minirnn.compile.place import Placed, place
from minirnn.compile.program import Layout, Program, layout_of, layout_text, read_layout
from minirnn.compile.trace import Traced, trace
from minirnn.kernels.tier import compiled_kernels

__all__ = ["numba_program", "numba_source", "numpy_program", "numpy_source", "placed_for_numpy", "program_of"]

_log = logging.getLogger("minirnn")


def placed_for_numpy(traced: Traced, passes: Sequence[Any] = PASSES, **choices: Any) -> Placed:
    """The graph as the NumPy emitter takes it."""
    return place(optimised(traced.graph, passes), **choices)


def numpy_source(traced: Traced, title: str, passes: Sequence[Any] = PASSES, **choices: Any) -> tuple[str, Layout]:
    """The source of the NumPy module, and what is needed to call it."""
    placed = placed_for_numpy(traced, passes, **choices)
    layout = layout_of(traced, placed)
    return numpy_block.emit(placed, title) + f"\nLAYOUT = {layout_text(layout)}\n", layout


def numba_source(traced: Traced, title: str, passes: Sequence[Any] = FUSING) -> str:
    """The source of the Numba module. Unsupported: the NumPy emitter is to be taken."""
    placed = place(optimised(traced.graph, passes), sink=True)
    return numba_block.emit(placed, title) + f"\nLAYOUT = {layout_text(layout_of(traced, placed))}\n"


def program_of(module: ModuleType | Any, layout: Layout, native: bool) -> Program:
    names = ("once_forward", "once_backward", "forward", "backward", "finish")
    once_forward, once_backward, forward, backward, finish = (getattr(module, name) for name in names)
    if not native:  # whose functions run a block themselves
        forward, backward = partial(partial, forward), partial(partial, backward)
    return Program(layout, once_forward, once_backward, forward, backward, finish, native)


def numpy_program(cell: Any, state: Any, xs: Any, key: Any, anew: bool = False) -> Program:
    """The cell's program in NumPy; anew: whatever a file holds. CannotCompile: says why there is none."""
    title = type(cell).__name__
    name = files.name_of(title, key, "numpy")
    module = None if anew else files.kept(name)
    if module is None:
        module = files.write(name, numpy_source(trace(cell, state, xs), title)[0])
    return program_of(module, read_layout(module.LAYOUT), False)


def numba_program(cell: Any, state: Any, xs: Any, key: Any, anew: bool = False) -> Program | None:
    """Likewise in Numba; None where there is no Numba, or the cell has what its emitter has no loop for."""
    if not compiled_kernels():
        return None
    title = type(cell).__name__
    name = files.name_of(title, key, "numba")
    module = None if anew else files.kept(name)
    if module is None:
        try:
            source = numba_source(trace(cell, state, xs), title)
        except Unsupported as error:
            _log.info("minirnn: %s runs on generated NumPy: %s", title, error)
            return None
        module = files.write(name, source)
    return program_of(module, read_layout(module.LAYOUT), True)
