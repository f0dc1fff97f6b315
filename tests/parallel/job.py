"""What mpiexec starts: `python job.py MODE FOLDER [...]`. Rank 0 writes what came out of it."""

import os
import pickle
import signal
import sys
from pathlib import Path

from mpi4py import MPI
from trainings import text

from minirnn.train import Checkpoints

COMM = MPI.COMM_WORLD
MODE, FOLDER = sys.argv[1], Path(sys.argv[2])


def keep(name, value):
    if COMM.rank == 0:
        (FOLDER / name).write_bytes(pickle.dumps(value))


def endless(**more):
    """Goes on until it is ended; saves all the time."""
    (FOLDER / f"pid {COMM.rank}").write_text(str(os.getpid()))
    text(COMM, steps=10**6, checkpoints=Checkpoints(FOLDER / "checkpoints", every=2), val_every=10**6, **more)


def trouble(training_step):
    """An error on the last rank alone, in the middle of a training."""
    import trainings

    calls, loss = 0, trainings.next_token_loss

    def fails(*args):
        nonlocal calls
        calls += 1
        if COMM.rank == COMM.size - 1 and calls == training_step:
            raise RuntimeError("no more of this")
        return loss(*args)

    trainings.next_token_loss = fails
    endless()


if MODE == "equal":
    keep(f"{COMM.size}", [text(COMM) for _ in range(2)])
elif MODE == "pieces":
    steps = int(sys.argv[3])
    keep(f"{steps}", text(COMM, steps=steps, checkpoints=Checkpoints(FOLDER / "checkpoints", every=9), resume=True))
elif MODE == "endless":
    endless()
elif MODE == "trouble":
    trouble(100)
elif MODE == "interrupted":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        endless()
    except KeyboardInterrupt as interrupted:
        keep("said", str(interrupted))
