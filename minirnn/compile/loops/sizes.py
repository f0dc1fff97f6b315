"""Sizes in a loop program: whole numbers, or sums of products of them with the size of the batch.

size_of(3 * BATCH) is 3 b       times(4, 3 b) is 12 b       dense((b, 2, 5)) is (10, 5, 1)
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from minirnn.compile.ir import BATCH
from minirnn.compile.loops.program import Index, index

__all__ = ["Size", "dense", "plus", "scaled", "size_of", "times"]

Size = Any  # an int, or an Index


def size_of(dim: int) -> Size:
    """A dimension of a graph, in which BATCH stands for the batch."""
    return index((dim // BATCH, "b")) if dim and dim % BATCH == 0 else dim


@lru_cache(1 << 14)
def times(*sizes: Size) -> Size:
    """The product, an int where it is one."""
    total = index(1)
    for size in sizes:
        pairs: list[Any] = [(p, q) for p in total for q in (index(size) if isinstance(size, int) else size)]
        total = index(*[(a * b, *names, *more) for (a, names), (b, more) in pairs])
    return _plain(total)


def plus(*sizes: Size) -> Size:
    """The sum, an int where it is one."""
    return _plain(index(*sizes))


def _plain(total: Index) -> Size:
    if not total:
        return 0
    return total[0][0] if len(total) == 1 and total[0][1] == () else total


@lru_cache(1 << 14)
def scaled(size: Size, *names: str) -> Index:
    """size * name * name ..., as an Index."""
    one: Any = (1, *names)
    return index(times(size, index(one)))


def dense(shape: Sequence[Size] | Iterable[Size]) -> tuple[Size, ...]:
    """The strides of an array of this shape without gaps."""
    strides, size = list[Size](), 1
    for dim in reversed(list(shape)):
        strides.append(size)
        size = times(size, dim)
    return tuple(reversed(strides))
