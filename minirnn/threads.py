"""How many threads minirnn uses, running a function in several at once, and large matrix products.

The threads are ours: in a kernel each runs a share of the batch from the first step to the last, so that they meet once
a sequence and not once a step. BLAS has a pool of its own, whose threads go on spinning for a while after each product
and would take the processors from ours (a training step took twice as long). So products that minirnn makes beside its
kernels run in our threads too, each with BLAS held to one, where the extra `fast` lets BLAS be reached.
"""

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any

import numpy as np

from minirnn.locks import Lock
from minirnn.module import Array

__all__ = [
    *("SHARE", "each", "get_num_threads", "is_worker", "limited", "product", "set_num_threads", "single_threaded_blas"),
]

SHARE = 4e6  # multiplications and additions that are worth a thread of their own
# From here on OpenBLAS wakes its pool: operations of a product of two matrices, and of one with a vector.
_BLAS_SHARES, _BLAS_SHARES_VECTOR = 2.0 * (1 << 18), 2.0 * 9216

_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_jobs: SimpleQueue[Any] = SimpleQueue()
_workers: list[threading.Thread] = []
_starting = Lock()
_limits: list[list[int]] = []  # of the blocks that have not ended, the latest last
_unlimited = _count
_limiting = Lock()


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
    _blas_pools.cache_clear()  # another BLAS may have been loaded since
    for pool in _blas_pools():
        _limit(pool, n)


@contextmanager
def limited(n: int) -> Iterator[None]:
    """Within the block, kernels and BLAS use up to n threads.

    The number is the whole process's, and blocks of several Python threads overlap: whichever ends last puts back what
    was there before the first of them began. ValueError: n is no positive integer.
    """
    global _unlimited
    mine = [n]
    with _limiting:
        before = _count
        set_num_threads(n)
        if not _limits:
            _unlimited = before
        _limits.append(mine)
    try:
        yield
    finally:
        with _limiting:
            _limits[:] = [limit for limit in _limits if limit is not mine]
            set_num_threads(_limits[-1][0] if _limits else _unlimited)


@functools.cache
def _blas_pools() -> tuple[Any, ...]:
    """NumPy's BLAS, and others that are loaded, as threadpoolctl reaches them; empty without it."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return ()
    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


def product(a: Array, b: Array) -> Array:
    """a @ b for two matrices."""
    work = 2.0 * a.shape[0] * a.shape[1] * b.shape[1]
    if work < (_BLAS_SHARES if min(a.shape[0], b.shape[1]) > 1 else _BLAS_SHARES_VECTOR) or not _blas_pools():
        return np.matmul(a, b)
    out = np.empty((a.shape[0], b.shape[1]), np.result_type(a, b))
    count = max(1, min(_count, int(work / SHARE), max(out.shape)))
    by_rows = out.shape[0] >= out.shape[1]
    cuts = [out.shape[0 if by_rows else 1] * k // count for k in range(count + 1)]

    def share(k: int) -> None:
        part = slice(cuts[k], cuts[k + 1])
        if by_rows:
            np.matmul(a[part], b, out=out[part])
        else:
            out[:, part] = np.matmul(a, b[:, part])

    with single_threaded_blas:
        each(share, range(count))
    return out


class _SingleThreadedBlas:
    """A block in which BLAS keeps to the thread that calls it; blocks may overlap in time."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = [(pool, pool.get_num_threads()) for pool in _blas_pools()]
                for pool, _ in self._before:
                    _limit(pool, 1)

    def forget(self) -> None:
        """End the blocks that other threads are in."""
        if self._inside:
            self._inside = 1
            self.__exit__()

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for pool, count in self._before:
                    _limit(pool, count)


def _limit(pool: Any, count: int) -> None:
    """Let a BLAS use so many threads, whichever thread asks: threadpoolctl 3.8 heeds only the thread that asked first,
    and passes over others without a word, until that one is forgotten."""
    forget = getattr(pool, "clear_controlling_thread", lambda force: None)
    forget(force=True)
    pool.set_num_threads(count)
    forget(force=True)


single_threaded_blas = _SingleThreadedBlas()


def each(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    ready: Callable[[Any], Any] = lambda item: item,
    abandon: Callable[[], None] = lambda: None,
) -> list[Any]:
    """[function(ready(item)) for item in items], the last here and the others in threads beside it.

    `ready` always runs here: for each item in turn, before its thread is woken. `abandon` is called where this thread
    fails or is interrupted, for the sake of others that wait for it.
    """
    if len(items) == 1:
        return [function(ready(items[0]))]
    _start_workers(len(items) - 1)
    _keep_apart()
    done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
    results: list[Any] = [None] * len(items)
    error: BaseException | None = None
    started = 0
    try:
        for i, item in enumerate(items[:-1]):
            _jobs.put((function, ready(item), i, done))
            started += 1
        results[-1] = function(ready(items[-1]))
    except BaseException:
        abandon()
        raise
    finally:  # the others use memory that this call lends them: wait for them whatever happens
        for _ in range(started):
            i, results[i], failed = done.get()
            error = error or failed
    if error is not None:
        raise error
    return results


def is_worker() -> bool:
    """Whether the thread that asks is one of those in which `each` runs functions."""
    return threading.current_thread() in _workers


def _start_workers(count: int) -> None:
    global _kept_from
    with _starting:
        while len(_workers) < count:
            _workers.append(threading.Thread(target=_work, args=(_jobs,), daemon=True, name="minirnn kernel"))
            _workers[-1].start()
            _kept_from = -1


# Linux often wakes a thread on the processor of the one that wakes it, and there it waits: after a pause, both shares
# of a kernel ran on one processor of two for fifty milliseconds of calls. So ours may go anywhere but there.
def _find_current_processor() -> Callable[[], int] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        found: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None
    return found


_current_processor = _find_current_processor()
_kept_from = -1


def _keep_apart() -> None:
    """Keep the workers off the caller's processor, where the caller may use others too."""
    global _kept_from
    processor = -1 if _current_processor is None else _current_processor()
    if processor in (-1, _kept_from):
        return
    others = os.sched_getaffinity(0) - {processor}
    if others:
        _kept_from = processor
        for worker in _workers:
            with suppress(OSError):
                os.sched_setaffinity(worker.native_id or 0, others)


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
    global _jobs, _kept_from
    _jobs, _kept_from = SimpleQueue(), -1
    _workers.clear()
    single_threaded_blas.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
