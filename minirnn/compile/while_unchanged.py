"""A function of a cell's parameters whose result is kept for as long as they are seen to be what they were.

Anybody may write into parameters, so that their bytes are compared with a copy, a quarter of the time that packing
takes. A copy is worth its time where parameters come a second time unchanged, which a training's never do.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minirnn.compile.address import address
from minirnn.module import Array

__all__ = ["WhileUnchanged"]

Arrays = Sequence[Any]

KEPT = 16  # models whose parameters' consequences are kept, of one cell and its sizes
KEPT_BYTES = 1 << 26  # of their parameters
GLANCE = 64  # bytes of each array

_compare = (ctypes.cdll.msvcrt if os.name == "nt" else ctypes.PyDLL(None)).memcmp
_compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


def _same(a: int, b: int, size: int) -> bool:
    return bool(_compare(a, b, size) == 0)


class _Known(NamedTuple):
    """glance: the first bytes of each parameter; copies: the parameters that `result` follows from, none yet where they
    came once."""

    glance: list[bytes]
    copies: list[Array]
    places: list[int]
    result: Any


class WhileUnchanged:
    """kept(parameters) is make(parameters), which is not None."""

    def __init__(self, make: Callable[[Arrays], Any]):
        self._make = make
        self._known: dict[tuple[int, ...], _Known] = {}

    def __call__(self, parameters: Arrays) -> Any:
        if not all(array.flags.c_contiguous for array in parameters):
            return self._make(parameters)
        where = tuple([address(array) for array in parameters])
        sizes = [array.nbytes for array in parameters]
        known = self._known.get(where)
        if known is not None and known.result is not None and all(map(_same, where, known.places, sizes)):
            return known.result
        glance = [ctypes.string_at(place, min(size, GLANCE)) for place, size in zip(where, sizes, strict=True)]
        if known is None or known.glance != glance:
            self._keep(where, sizes, _Known(glance, [], [], None))
            return self._make(parameters)
        copies = [array.copy() for array in parameters]  # before: others may write at the same time
        result = self._make(copies)
        self._keep(where, sizes, _Known(glance, copies, [address(array) for array in copies], result))
        return result

    def _keep(self, where: tuple[int, ...], sizes: Sequence[int], known: _Known) -> None:
        limit = min(KEPT, KEPT_BYTES // max(1, sum(sizes)))
        if where not in self._known and len(self._known) >= limit:
            self._known.clear()
        if limit:
            self._known[where] = known
