"""What NumPy's functions were noted to do to one entry of every array (minirnn/optim/noted.py), as one loop over all.

m += 0.1 * (g - m)    as noted   subtract(1, 2), multiply(3, -1), add(2, 4), and m is 5
                      as a Map   a1, a2 -> v3 = a1 - a2; v4 = v3 * number; v5 = a2 + v4 -> a2
"""

from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from minirnn.compile.address import address
from minirnn.compile.errors import CannotCompile
from minirnn.compile.kernels.kernel import Kernel
from minirnn.compile.loops.program import Function, Line, Map, Number, Ref, Slot, index
from minirnn.compile.operations import COMPARISONS, ELEMENTWISE
from minirnn.module import Array

__all__ = ["entrywise", "program_of"]

Steps = tuple[tuple[Any, tuple[int, ...]], ...]

_OPERATIONS = {f: op for op, f in ELEMENTWISE.items() if isinstance(f, np.ufunc) and op not in COMPARISONS}


def entrywise(steps: Steps, results: tuple[int, ...], dtype: Any) -> "Entrywise | None":
    """A function that changes arrays in place as noted; None where a step is no operation of a float's.

    steps: (ufunc, operands), of which the k-th makes the value len(results) + k; the k-th array begins as value k and
    ends as value results[k]; an operand -1 is a number that the call brings.
    """
    return _made(steps, results, dtype)


@cache
def _made(steps: Steps, results: tuple[int, ...], dtype: Any) -> "Entrywise | None":
    if any(ufunc not in _OPERATIONS for ufunc, _ in steps):
        return None
    try:
        return Entrywise(*program_of(steps, results, dtype.name))
    except CannotCompile:
        return None


def program_of(steps: Steps, results: tuple[int, ...], dtype: str) -> tuple[Function, int]:
    """The loop program, and how many numbers its call brings."""
    arrays, numbers = len(results), count()

    def name(value: int) -> str:
        return f"a{value}" if value < arrays else f"v{value}"

    lines, read = list[Line](), {value for k, value in enumerate(results) if value != k and value < arrays}
    for value, (ufunc, operands) in enumerate(steps, arrays):
        given = tuple([Number(Slot(next(numbers))) if o < 0 else name(o) for o in operands])
        lines.append(Line(name(value), _OPERATIONS[ufunc], given, dtype, dtype))
        read |= {o for o in operands if 0 <= o < arrays}
    refs = [Ref(f"a{k}", dtype, (), 0, (1,)) for k in range(arrays)]
    loads = tuple([(name(k), refs[k]) for k in sorted(read)])
    stores = tuple([(name(value), refs[k]) for k, value in enumerate(results) if value != k])
    work = Map(index(1), (index((1, "count")),), loads, tuple(lines), stores)
    memory = tuple([f"a{k}" for k in range(arrays)])
    return Function("entrywise", dtype, memory, ("count",), (work,)), next(numbers)


class Entrywise:
    """Changes arrays in place."""

    def __init__(self, program: Function, numbers: int):
        self._kernel, self._arrays = Kernel(program, numbers), len(program.memory)

    def __call__(self, calls: Sequence[Sequence[Array]], numbers: Sequence[float]) -> None:
        """calls: arrays of one size each, of this dtype and without gaps; numbers: those of all calls."""
        block = np.empty((len(calls), self._arrays + 1 + self._kernel.numbers), np.int64)
        block[:, : self._arrays + 1] = [[*map(address, arrays), arrays[0].size] for arrays in calls]
        block[:, self._arrays + 1 :] = np.array(numbers, np.float64).view(np.int64)
        self._kernel(block)
