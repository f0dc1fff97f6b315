"""Locks of ours, which a forked child finds free.

A child of fork has one thread, the one that forked. What another held at that moment is held for ever there: the child
of a server that forks while a thread computes a gradient would hang at its own first gradient.
"""

import os
import threading
from collections.abc import Callable

__all__ = ["Lock"]


class Lock:
    """A re-entrant lock: `with lock:`. In a forked child it is free, unless the thread that forked holds it; where
    another thread held it, `abandoned` is called there, to put right what that thread left half done."""

    def __init__(self, abandoned: Callable[[], None] = lambda: None):
        self._lock, self._abandoned = threading.RLock(), abandoned
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _after_fork(self) -> None:
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()
            self._abandoned()
