"""A cell's program on NumPy: its loop programs printed as Python functions, and the calls that run a block of steps."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from minirnn.compile.arrays import printer
from minirnn.compile.calls import Calls, Once
from minirnn.compile.loops.direction import Direction, parts_of
from minirnn.compile.loops.program import Slot, index
from minirnn.compile.loops.sizes import times
from minirnn.compile.place import Placed
from minirnn.compile.program import Program, layout_of
from minirnn.compile.shares import Task
from minirnn.compile.trace import Traced
from minirnn.module import Array

__all__ = ["arrays_of"]


def arrays_of(traced: Traced, placed: Placed) -> Program:
    """The program of a placed graph. CannotCompile: says what loop programs have not."""
    forward, backward = (_Arrays(Direction(placed, *part), placed) for part in parts_of(placed))
    text = printer.source([(part.function, len(part.sizes), part.memory) for part in (forward, backward)])
    forward.run, backward.run = _functions(text)
    layout = layout_of(traced, placed)._replace(widths=(forward.width(), backward.width()))
    runs = forward.forward, backward.backward
    return Program(layout, forward.once, backward.once, *runs, backward.finish, False, lambda: text)


@cache
def _functions(text: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """The same for all sizes of a cell."""
    space: dict[str, Any] = {}
    exec(compile(text, "<minirnn on NumPy>", "exec"), space)
    return space["forward"], space["backward"]


class _Arrays(Calls):
    run: Callable[..., None]

    def __init__(self, direction: Direction, placed: Placed):
        super().__init__(direction, placed)
        sizes: list[Any] = list(self.sizes)
        self.memory: list[Any] = []  # how the function finds each: see printer.source
        for argument in self.arguments:
            if argument.kind == "work":
                count = index(times(argument.rows, argument.width))
                slots = tuple([(Slot(len(sizes) + k), names) for k, (_, names) in enumerate(count)])
                self.memory.append((argument.name, slots, argument.dtype))
                sizes += [size for size, _ in count]
            else:
                self.memory.append((argument.kind, argument.number))
        self.sizes = tuple(sizes)

    def width(self) -> int:
        """Numbers of scratch for each row of a block."""
        widths = [a.width for a in self.arguments if a.kind == "work" and any("n" in names for _, names in a.rows)]
        return max(1, sum(widths))

    def pack(self, matrices: Sequence[tuple[Any, bool]]) -> tuple[list[Array], Any]:
        packed = []
        for given, turned in matrices:
            plain = given.flags.c_contiguous and given.dtype == self.dtype
            matrix = given if plain else np.ascontiguousarray(given, self.dtype)
            packed.append(matrix.T if turned else matrix)
        return packed, None

    def call(self, n: int, b: int, flags: Sequence[bool], given: dict[str, Any], once: Once, work: Any) -> Task:
        return partial(self.run, n, b, *flags, self.sizes, work, {**once.arrays, **given})
