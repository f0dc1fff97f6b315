"""Data-parallel training: every rank holds the model, and works on its share of each batch's streams.

world          the ranks that mpiexec started, or this one process
communicator   what `fit(..., comm=...)` takes, as a Communicator
SINGLE         one process, which talks to nobody: the default of all that takes a communicator

MPI itself is mpi4py's, which the extra `mpi` installs; it is imported where more than one process is asked for.
"""

from minirnn.parallel.agreement import DifferentRanksError, compare, first, guard, together
from minirnn.parallel.communicator import SINGLE, Communicator, RankFailedError, Single
from minirnn.parallel.mpi import MPICommunicator, communicator, launched, rank_threads, world
from minirnn.parallel.noise import StreamNoise
from minirnn.parallel.replicas import Replicas, Trouble
from minirnn.parallel.shares import Divisible, Reduction, Share, divide, share_of, step_weights

__all__ = [
    # who talks to whom
    "Communicator",
    "MPICommunicator",
    "SINGLE",
    "Single",
    "communicator",
    "launched",
    "rank_threads",
    "world",
    # what all have to agree on
    "DifferentRanksError",
    "RankFailedError",
    "compare",
    "first",
    "guard",
    "together",
    # what each has to do
    "Divisible",
    "Reduction",
    "Replicas",
    "Share",
    "StreamNoise",
    "Trouble",
    "divide",
    "share_of",
    "step_weights",
]
