"""Shares of a batch and blocks of steps: how the work of a share runs, and what a block sees of arrays (T, B, ...).

A share's work is a generator: it yields the calls of one block after the other, which do without the interpreter's
lock, and returns its result; where what it does next reads what calls have made, it yields none first. The first
block's are ready before the share's thread is woken: two threads that prepare theirs at the same time take the lock
from each other at every step, and lost a fifth of a short sequence's time.
"""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import numpy as np

from minirnn import threads
from minirnn.compile.workspace import Workspace
from minirnn.module import Array

__all__ = ["Task", "Rows", "Work", "each_in_a_thread", "outside_in", "rows_in"]

Task = Callable[[], object]
Rows = tuple[int, int]  # of the batch, or steps of a sequence: the first, and the one behind the last
Work = Generator[list[Task], None, Any]


def each_in_a_thread(share: Callable[[Any], Work], items: Sequence[Any]) -> list[Any]:
    """The results of share(item) for all items, one a thread."""
    return threads.each(_finished, items, lambda item: _begun(share(item)))


def _begun(work: Work) -> tuple[list[Task], Work]:
    return next(work), work


def _finished(begun: tuple[list[Task], Work]) -> Any:
    """Make the calls; the work's result."""
    calls, work = begun
    while True:
        for call in calls:
            call()
        try:
            calls = next(work)
        except StopIteration as stop:
            return stop.value


# ---------------------------------------------------------------- blocks
def outside_in(outside: Array | None, now: slice, rows: Rows) -> Array | None:
    """Where sequences are over within a block, (n, b, 1), of (T, B, 1); None where none is."""
    if outside is None:
        return None
    block = outside[now, rows[0] : rows[1]]
    return np.ascontiguousarray(block) if block.any() else None


def rows_in(
    array: Array, now: slice, rows: Rows, outside: Array | None, work: Workspace, name: str
) -> tuple[Array, list[Task]]:
    """A block of (T, B, ...) as contiguous (n*b, ...), zero where a sequence is over, and the calls that fill it; a
    view, and none, where that is one."""
    block = array[now, rows[0] : rows[1]]
    n, b, *tail = block.shape
    if outside is None and block.flags.c_contiguous:
        return block.reshape(n * b, *tail), []
    copy = work.array(name, block.shape, array.dtype)
    calls: list[Task] = [partial(np.copyto, copy, block)]
    if outside is not None:
        over = outside.reshape(n, b, *[1] * len(tail))
        calls.append(partial(np.copyto, copy, copy.dtype.type(0), where=over))
    return copy.reshape(n * b, *tail), calls
