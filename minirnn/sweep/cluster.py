"""Dask's workers: local ones, or those of a scheduler that is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minirnn.threads import get_num_threads

__all__ = ["INSTALL", "capacity", "connect"]

INSTALL = "pip install 'minirnn[sweep]'"


@contextmanager
def connect(scheduler: str | None = None, *, workers: int | None = None, threads: int = 1) -> Iterator[Any]:
    """A Dask client: of a new local cluster of so many processes (by default as many as the processors carry, with so
    many threads a trial), or of the scheduler at an address, as in tcp://HOST:8786.

    ImportError: Dask is not installed. OSError: nobody answers at that address.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError(f"a sweep runs on Dask, which is not installed: {INSTALL} ({error})") from None
    if scheduler is not None:
        with Client(scheduler, timeout=10) as client:
            yield client
        return
    count = workers or max(1, get_num_threads() // threads)
    quiet = {"distributed.admin.tick.limit": "10 s", "distributed.worker.memory.terminate": False}
    with (
        dask.config.set(quiet),
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


def capacity(client: Any) -> int:
    """How many trials run at a time: one for each thread of a worker, and one where all workers are starting anew."""
    return max(1, sum(client.nthreads().values()))
