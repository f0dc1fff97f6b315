"""Memory that is used again: the first touch of fresh pages costs more than many of the loops that fill them."""

from typing import Any

import numpy as np

from minirnn.module import Array

__all__ = ["Workspace", "free_bytes", "release_all"]

LIMIT = 1 << 30  # bytes kept for later calls
LARGE = 1 << 20  # bytes
ALIGNMENT = 64

# What finished workspaces held, by role. Every operation on these is atomic: a garbage collection, which may start
# anywhere, runs Workspace.__del__, and a lock that it waited for could be its own thread's.
_free: dict[str, list[dict[str, Array]]] = {}


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
        dtype = np.dtype(dtype)
        size = dtype.itemsize
        for length in shape:
            size *= length
        self._large |= size > LARGE
        memory = self._held.get(name)
        if memory is None or memory.size < size:
            memory = self._held[name] = _aligned(size)
        return np.ndarray(shape, dtype, memory)

    def __del__(self) -> None:
        if len(self._pool) < 64 and (not self._large or free_bytes() < LIMIT):
            self._pool.append(self._held)


def _aligned(size: int) -> Array:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


def free_bytes() -> int:
    """How much the pool holds for later calls."""
    return sum(memory.size for pool in list(_free.values()) for held in list(pool) for memory in list(held.values()))


def release_all() -> None:
    """Give the pool's memory back to the system."""
    for pool in list(_free.values()):
        pool.clear()
