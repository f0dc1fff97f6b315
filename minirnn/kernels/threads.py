"""How many threads the kernels use, and running a function in several at once.

The threads are ours, and each runs a share of the batch from the first step to the last, so that they meet once a
sequence and not once a step. BLAS has a pool of its own, which set_num_threads limits too where it can be reached.
"""

import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

__all__ = ["each", "get_num_threads", "set_num_threads"]

_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_jobs: SimpleQueue[Any] = SimpleQueue()
_workers: list[threading.Thread] = []
_starting = threading.Lock()


def get_num_threads() -> int:
    """How many threads a kernel may use."""
    return _count


def set_num_threads(n: int) -> None:
    """Let kernels and BLAS use up to n threads; by default as many as this process has processors.

    Results are the same to the bit from run to run at a fixed n. BLAS is limited through threadpoolctl, which the extra
    `fast` installs; without it, set OMP_NUM_THREADS before Python starts. ValueError: n is no positive integer.
    """
    global _count
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: {n!r} came, a positive integer was expected")
    _count = n
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(limits=n, user_api="blas")


def each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """[function(item) for item in items], the first here and the others in threads beside it."""
    if len(items) == 1:
        return [function(items[0])]
    _start_workers(len(items) - 1)
    done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
    for i, item in enumerate(items[1:], 1):
        _jobs.put((function, item, i, done))
    results: list[Any] = [None] * len(items)
    error: BaseException | None = None
    try:
        results[0] = function(items[0])
    finally:  # the others use memory that this call lends them: wait for them whatever happens
        for _ in items[1:]:
            i, results[i], failed = done.get()
            error = error or failed
    if error is not None:
        raise error
    return results


def _start_workers(count: int) -> None:
    with _starting:
        while len(_workers) < count:
            _workers.append(threading.Thread(target=_work, args=(_jobs,), daemon=True, name="minirnn kernel"))
            _workers[-1].start()


def _work(jobs: SimpleQueue[Any]) -> None:
    while True:
        function, item, i, done = jobs.get()
        outcome: tuple[int, Any, BaseException | None]
        try:
            outcome = i, function(item), None
        except BaseException as failed:
            outcome = i, None, failed
        done.put(outcome)
        del function, item, outcome, done  # or the last job's memory would stay lent until the next


def _forget_workers() -> None:
    """A forked child has none of its parent's threads."""
    global _jobs, _starting
    _jobs, _starting = SimpleQueue(), threading.Lock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
