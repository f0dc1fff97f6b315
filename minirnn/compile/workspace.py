"""Memory that is used again: the first touch of fresh pages costs more than many of the loops that fill them."""

from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

import numpy as np

from minirnn.module import Array

__all__ = ["ALIGNMENT", "Pool", "Workspace", "aligned", "free_bytes", "release_all"]

T = TypeVar("T")

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
        memory = held.memory if held is not None and held.memory.size >= size else aligned(size)
        array = np.ndarray(shape, exact, memory)
        self._held[name] = _Held(memory, array, shape, dtype)
        return array

    def __del__(self) -> None:
        if len(self._pool) < 64 and (not self._large or free_bytes() < LIMIT):
            self._pool.append(self._held)


def aligned(size: int) -> Array:
    """Bytes with undefined contents, from an address on that suits vector instructions."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


class Pool(Generic[T]):
    """Up to `most` things that wait to be used again, each of `nbytes` bytes."""

    def __init__(self, most: int, nbytes: int) -> None:
        self._most, self.nbytes = most, nbytes
        self._free: list[T] = []
        _pools.add(self)

    def take(self) -> T | None:
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give_back(self, thing: T) -> None:
        if len(self._free) < self._most and (self.nbytes <= LARGE or free_bytes() < LIMIT):
            self._free.append(thing)

    def free_bytes(self) -> int:
        return self.nbytes * len(self._free)

    def release(self) -> None:
        self._free.clear()


_pools: WeakSet[Pool[Any]] = WeakSet()


def free_bytes() -> int:
    """How much the pools hold for later calls."""
    lent = [held.memory.size for pool in list(_free.values()) for lent in list(pool) for held in list(lent.values())]
    return sum(lent) + sum(pool.free_bytes() for pool in list(_pools))


def release_all() -> None:
    """Give the pools' memory back to the system."""
    for pool in list(_free.values()):
        pool.clear()
    for each in list(_pools):
        each.release()
