"""MPI as a Communicator, and the processes that mpiexec started."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import numpy as np

from minirnn.module import Array
from minirnn.parallel.communicator import SINGLE, Communicator
from minirnn.threads import get_num_threads, limited

__all__ = ["MPICommunicator", "communicator", "launched", "rank_threads", "world"]

T = TypeVar("T")

INSTALL = "pip install 'minirnn[mpi]'"
# Where a launcher says how many processes it started: MPICH and its kin, and Slurm for them; Open MPI.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


class MPICommunicator:
    """An mpi4py communicator. seconds: spent in sums so far, waiting for slower ranks included."""

    def __init__(self, comm: Any):
        self.comm = comm
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()
        self.seconds = 0.0

    def sum(self, buffer: Array) -> None:
        from mpi4py import MPI

        start = time.perf_counter()
        self.comm.Allreduce(MPI.IN_PLACE, buffer, op=MPI.SUM)
        self.seconds += time.perf_counter() - start

    def bcast(self, value: T) -> T:
        result: T = self.comm.bcast(value, root=0)
        return result

    def gather(self, value: T) -> list[T]:
        result: list[T] = self.comm.allgather(value)
        return result

    def any(self, flag: bool) -> bool:
        from mpi4py import MPI

        raised = np.array([flag], np.int32)
        self.comm.Allreduce(MPI.IN_PLACE, raised, op=MPI.MAX)
        return bool(raised[0])

    def abort(self, message: str) -> NoReturn:
        sys.stdout.flush()
        print(f"minirnn: {message}", file=sys.__stderr__, flush=True)
        time.sleep(0.5)  # the launcher forwards what was said before it kills
        self.comm.Abort(1)
        raise SystemExit(1)  # not reached

    def __repr__(self) -> str:
        return f"MPICommunicator(rank {self.rank} of {self.size})"


def communicator(comm: Any) -> Communicator:
    """A Communicator: None is one process, an mpi4py communicator (`MPI.COMM_WORLD`) is wrapped.

    TypeError: neither, and no Communicator.
    """
    if comm is None:
        return SINGLE
    if all(hasattr(comm, name) for name in ("Allreduce", "Get_rank", "allgather")):
        return MPICommunicator(comm)
    if all(hasattr(comm, name) for name in ("rank", "size", "sum", "bcast", "gather", "any", "abort")):
        made: Communicator = comm
        return made
    raise TypeError(f"comm: {type(comm).__name__} came; MPI.COMM_WORLD of mpi4py, or a Communicator, was expected")


def launched() -> int | None:
    """How many processes an MPI launcher says that it started, this one among them; None: there was none."""
    said = [os.environ[name] for name in _SIZES if os.environ.get(name, "").isdigit()]
    return int(said[0]) if said else None


def world() -> Communicator:
    """All the processes that mpiexec started, or SINGLE where it started one or none.

    ImportError: it started several, and mpi4py is not installed. RuntimeError: mpi4py's MPI knows nothing of them.
    """
    count = launched()
    if count is None or count == 1:
        return SINGLE
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(f"mpiexec started {count} processes; to train on them: {INSTALL} ({error})") from None
    except RuntimeError as error:  # mpi4py finds no MPI library
        raise ImportError(f"mpi4py finds no MPI library ({error}); to get both: {INSTALL}") from None
    if MPI.COMM_WORLD.Get_size() != count:
        version = MPI.Get_library_version().split("\n")[0].strip("\0 ")
        raise RuntimeError(
            f"mpiexec started {count} processes, but mpi4py sees {MPI.COMM_WORLD.Get_size()}: its MPI is another one "
            f"({version}); use the mpiexec that belongs to it"
        )
    return MPICommunicator(MPI.COMM_WORLD)


@contextmanager
def rank_threads(comm: Communicator) -> Iterator[int]:
    """Within the block, kernels and BLAS keep to this rank's part of the processors; how many threads that makes.

    The ranks on one host divide the processors that they may all use; a rank that its launcher bound to processors of
    its own takes those.
    """
    before = get_num_threads()
    if comm.size == 1:
        yield before
        return
    mine = (_host(), frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None)
    here = [processors for host, processors in comm.gather(mine) if host == mine[0]]
    count = min(before, threads_of(mine[1], here))
    with limited(count):
        yield count


def threads_of(mine: frozenset[int] | None, here: list[frozenset[int] | None]) -> int:
    """How many threads a rank runs, given the processors that it and each rank of its host may use (None: unknown)."""
    if mine is None:
        return max(1, (os.cpu_count() or 1) // len(here))
    sharing = sum(1 for other in here if other is None or other & mine)
    return max(1, len(mine) // sharing)


def _host() -> str:
    import platform

    return platform.node()
