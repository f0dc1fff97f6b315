"""Data-parallel training: 2 ranks of one thread beside 1 rank of two, at three sizes, and what an alpha-beta model
makes of it for clusters.

python -m benchmarks --only parallel
"""

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

__all__ = ["allreduce_seconds", "measure", "smallest_batch", "table"]

SIZES = {"small": (128, 32), "middle": (256, 64), "large": (512, 64)}  # hidden units, streams
SEQ_LENGTH, VOCABULARY = 64, 65
RANKS = (10, 100, 1000)
# Gbit/s -> (seconds of latency, bytes a second): what TCP over Ethernet, and RDMA, usually have.
NETWORKS = {10: (30e-6, 10e9 / 8), 100: (3e-6, 100e9 / 8)}
EFFICIENCY = 0.8
BUFFERS = [2**k for k in range(2, 25, 2)]  # bytes


def allreduce_seconds(ranks: int, size: int, latency: float, bandwidth: float) -> float:
    """Of `size` bytes: 2 log2(P) alpha + 2 (P - 1) / P n beta, reduce-scatter and allgather by halving and doubling.

    (Thakur, Rabenseifner & Gropp 2005, doi:10.1177/1094342005051521; what is added up on the way is left out.)
    """
    return 2 * math.ceil(math.log2(ranks)) * latency + 2 * (ranks - 1) / ranks * size / bandwidth if ranks > 1 else 0.0


def smallest_batch(step: tuple[float, float], communication: float) -> int:
    """Streams b of a rank, whose step takes step[0] + step[1] b s, at which computing is EFFICIENCY of the time."""
    needed = communication * EFFICIENCY / (1 - EFFICIENCY)
    return max(1, math.ceil((needed - step[0]) / step[1]))


def measure(quick: bool = False) -> dict[str, Any] | None:
    """Seconds a step, the share in communication, Allreduce's seconds by bytes; None where there is no MPI."""
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if mpiexec is None or importlib.util.find_spec("mpi4py") is None:
        return None
    seconds = 1.0 if quick else 2.5
    run = lambda ranks, *words: _run([mpiexec, "-n", str(ranks)], *map(str, words))
    rows = []
    for name in list(SIZES)[:1] if quick else SIZES:
        hidden, batch = SIZES[name]
        threads = run(1, "step", hidden, batch, 2, seconds)
        ranks = run(2, "step", hidden, batch, 1, seconds)
        alone = [run(1, "step", hidden, b, 1, seconds / 2)["seconds"] for b in (batch // 4, batch // 2)]
        slope = (alone[1] - alone[0]) / (batch // 4)
        fitted = (max(0.0, alone[0] - slope * (batch // 4)), slope)
        rows.append({"size": name, "threads": threads, "ranks": ranks, "half": alone[1], "step": fitted})
    sums = run(2, "sums", *BUFFERS)
    return {"rows": rows, "sums": sums, "fit": _fitted(sums)}


def _run(launcher: list[str], *words: str) -> Any:
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    command = [*launcher, sys.executable, "-m", "benchmarks.parallel", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)


def _fitted(sums: dict[str, float]) -> tuple[float, float]:
    """(alpha, bytes a second) of 2 alpha + n / bandwidth, two ranks; the least squares of relative errors."""
    sizes, seconds = np.array([float(n) for n in sums]), np.array(list(sums.values()))
    design = np.stack([np.full(len(sizes), 2.0), sizes], 1) / seconds[:, None]
    (alpha, beta), *_ = np.linalg.lstsq(design, np.ones(len(sizes)), rcond=None)
    return float(alpha), float(1 / beta)


def predictions(row: dict[str, Any]) -> list[dict[str, Any]]:
    """For each number of ranks and network: efficiency at the measured streams a rank, and the least streams."""
    size, batch = row["threads"]["bytes"], row["threads"]["batch"]
    found = []
    for gbits, network in NETWORKS.items():
        for ranks in RANKS:
            communication = allreduce_seconds(ranks, size, *network) + 2 * math.ceil(math.log2(ranks)) * network[0]
            computing = row["step"][0] + row["step"][1] * batch
            least = smallest_batch(row["step"], communication)
            found.append(
                {
                    "gbits": gbits,
                    "ranks": ranks,
                    "communication": communication,
                    "efficiency": computing / (computing + communication),
                    "streams": least,
                }
            )
    return found


def table(figures: dict[str, Any] | None) -> Table:
    """What was measured, and what follows from it for clusters."""
    if figures is None:
        return Table(title="parallel: not measured, there is no MPI: pip install 'minirnn[mpi]'")
    alpha, bandwidth = figures["fit"]
    made = Table("size", "parameters", "streams", "1 rank x 2 threads ms", "2 ranks x 1 thread ms", "communication")
    made.add_column("efficiency")
    made.add_column("cluster: network, ranks: efficiency at so many streams a rank; the least for 80 %")
    made.title = (
        f"LSTM language model, T {SEQ_LENGTH}, float32; Allreduce between 2 ranks here: alpha {1e6 * alpha:.1f} us, "
        f"{bandwidth / 1e9:.1f} GB/s"
    )
    for row in figures["rows"]:
        threads, ranks = row["threads"], row["ranks"]
        words = "{gbits} Gbit/s, {ranks}: {efficiency:.0%}; {streams}"
        cluster = [words.format(**one) for one in predictions(row)]
        made.add_row(
            row["size"],
            f"{threads['bytes'] // 4:,}",
            str(threads["batch"]),
            f"{1e3 * threads['seconds']:.1f}",
            f"{1e3 * ranks['seconds']:.1f}",
            f"{ranks['communication']:.1%}",
            f"{row['half'] / ranks['seconds']:.0%}",
            "\n".join(cluster),
        )
    return made


# ---------------------------------------------------------------- what runs on the ranks
def _step(hidden: int, batch: int, threads: int, seconds: float) -> dict[str, Any]:
    """Median seconds a step of `fit` on all ranks, and the share that Allreduce takes, the slower rank waited for."""
    from mpi4py import MPI

    import minirnn
    from minirnn.data import streams
    from minirnn.optim import Adam
    from minirnn.parallel import MPICommunicator
    from minirnn.train import LanguageModel, fit
    from minirnn.train.language_model import next_token_loss

    comm = MPICommunicator(MPI.COMM_WORLD)
    minirnn.set_num_threads(threads * comm.size)  # fit divides it over the ranks of this host
    model = LanguageModel(VOCABULARY, "lstm", hidden, rng=np.random.default_rng(0))
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, batch * SEQ_LENGTH * 20 + 1)
    chunks, times = streams(tokens, batch, SEQ_LENGTH), []
    optimizer = Adam(model)
    steps = 5
    fit(model, next_token_loss, chunks, optimizer, steps=steps, clip_norm=1.0, comm=comm)
    begun = time.perf_counter()
    fit(model, next_token_loss, chunks, optimizer, steps=steps, clip_norm=1.0, comm=comm)
    steps = comm.bcast(max(10, int(seconds / (time.perf_counter() - begun) * steps)))
    comm.seconds, begun = 0.0, time.perf_counter()
    fit(model, next_token_loss, chunks, optimizer, steps=steps, clip_norm=1.0, comm=comm,
        callbacks=[lambda progress: times.append(time.perf_counter())])  # fmt: skip
    share = comm.seconds / (time.perf_counter() - begun)
    return {
        "seconds": median(np.diff(times)) if times else 0.0,
        "communication": max(comm.gather(share)),
        "bytes": sum(p.nbytes for p in model.parameters().values()),
        "batch": batch,
    }


def _sums(sizes: list[int]) -> dict[int, float]:
    """Median seconds of an Allreduce of so many bytes."""
    from mpi4py import MPI

    from minirnn.parallel import MPICommunicator

    comm, found = MPICommunicator(MPI.COMM_WORLD), {}
    for size in sizes:
        buffer, times = np.zeros(size // 4, np.float32), []
        for _ in range(30):
            comm.any(False)  # both begin together
            begun = time.perf_counter()
            comm.sum(buffer)
            times.append(time.perf_counter() - begun)
        found[size] = median(times[5:])
    return found


if __name__ == "__main__":
    from mpi4py import MPI

    kind, words = sys.argv[1], sys.argv[2:]
    made = _step(*map(int, words[:3]), float(words[3])) if kind == "step" else _sums([int(word) for word in words])
    if MPI.COMM_WORLD.Get_rank() == 0:
        print(json.dumps(made))
