"""Shares of a batch: how the work of a share runs.

A share's work is a generator: it yields the calls of one block after the other, which do without the interpreter's
lock, and returns its result; where what it does next reads what calls have made, it yields none first. The first
block's are ready before the share's thread is woken: two threads that prepare theirs at the same time take the lock
from each other at every step, and lost a fifth of a short sequence's time.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any

from minirnn import threads

__all__ = ["Rows", "Task", "Work", "each_in_a_thread"]

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
