"""Memory that is used again: the first touch of fresh pages costs more than many of the loops that fill them."""

from typing import Any, NamedTuple

import numpy as np

from minirnn.module import Array

__all__ = ["ALIGNMENT", "Workspace", "free_bytes", "release_all"]

LIMIT = 1 << 30  # bytes kept for later calls
LARGE = 1 << 20  # bytes
ALIGNMENT = 64

# What finished workspaces held, by role. Every operation on these is atomic: a garbage collection, which may start
# anywhere, runs Workspace.__del__, and a lock that it waited for could be its own thread's.
_free: dict[str, list[dict[str, "_Held"]]] = {}


class _Held(NamedTuple):
    """Memory, and the array that it was last lent as: making one anew costs more than finding it."""

    memory: Array
    array: Array
    shape: tuple[int, ...]
    dtype: Any  # as it was asked for


class Workspace:
    """Named arrays with undefined contents. What it holds returns to the pool of its role when it dies.

    A name gets the same memory at every request, so an earlier array of that name is overwritten through the later one.
    """

    def __init__(self, role: str) -> None:
        self._pool = _free.setdefault(role, [])
        try:
            self._held = self._pool.pop()
        except IndexError:
            self._held = {}
        self._large = False  # whether it may hold enough to look at the limit

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array of this shape, aligned for vector instructions."""
        held = self._held.get(name)
        if held is not None and held.dtype is dtype and held.shape == shape:
            self._large |= held.memory.size > LARGE
            return held.array
        exact = np.dtype(dtype)
        size = exact.itemsize
        for length in shape:
            size *= length
        self._large |= size > LARGE
        memory = held.memory if held is not None and held.memory.size >= size else _aligned(size)
        array = np.ndarray(shape, exact, memory)
        self._held[name] = _Held(memory, array, shape, dtype)
        return array

    def __del__(self) -> None:
        if len(self._pool) < 64 and (not self._large or free_bytes() < LIMIT):
            self._pool.append(self._held)


def _aligned(size: int) -> Array:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


def free_bytes() -> int:
    """How much the pool holds for later calls."""
    return sum(held.memory.size for pool in list(_free.values()) for lent in list(pool) for held in list(lent.values()))


def release_all() -> None:
    """Give the pool's memory back to the system."""
    for pool in list(_free.values()):
        pool.clear()
