"""Dask's workers: local ones, or those of a scheduler that is there."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from minirnn.threads import get_num_threads

__all__ = ["INSTALL", "capacity", "connect", "replenish"]

SET_BY_DASK = ["PYTHONHASHSEED", "__DASK_PARENT_PID"]
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
    port = "127.0.0.1:0"  # any free one: Dask's own is taken where another cluster runs
    quiet = {"distributed.admin.tick.limit": "10 s", "distributed.worker.memory.terminate": False}
    quiet["distributed.scheduler.allowed-failures"] = 0  # the driver hears of each worker that dies, and counts
    with (
        _environment_as_before([*dask.config.get("distributed.nanny.pre-spawn-environ", {}), *SET_BY_DASK]),
        dask.config.set(quiet),
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=port, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _environment_as_before(names: Iterable[str]) -> Iterator[None]:
    """Put back what Dask sets in this process for its workers, and leaves: OPENBLAS_NUM_THREADS=1 among it."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def capacity(client: Any) -> int:
    """How many trials run at a time: one for each thread of a worker, and one where all workers are starting anew."""
    return max(1, sum(client.nthreads().values()))


def replenish(client: Any) -> None:
    """Start the workers again that a local cluster has given up.

    A worker that dies is started anew by its nanny; but one that is not there 15 seconds later, since it was killed
    again while it started, Dask closes for good.
    """
    cluster = client.cluster
    wanted = len(getattr(cluster, "worker_spec", ()))
    if wanted > len(getattr(cluster, "workers", ())):
        cluster.scale(wanted)
