"""RNN, LSTM and GRU: minirnn's engines and tiers, PyTorch, JAX and autograd, in one run, taken in turn.

python -m benchmarks --only layers
"""

import itertools
from typing import Any

import numpy as np
from rich.table import Table

import minirnn
from benchmarks.memory import peak_memory
from benchmarks.ours import kernel_call, layer_call
from benchmarks.peers import Problem, autograd_loop, jax_scan, torch_layer
from minirnn.speed.passes import peak
from minirnn.speed.timing import THREADS, Contender, apart

__all__ = ["SIZES", "measure", "plot", "table"]

SIZES = [(1, 25, 29, 100), (16, 50, 64, 128), (32, 100, 128, 256), (64, 100, 256, 512)]
WIDE = (16, 50, 64, 1024)  # weights that no cache near a processor holds; in float32 alone, as it takes long
SLOW_LOOPS_UP_TO = 16 * 50 * 128  # B T H: beyond, a traced Python loop takes seconds
OURS = ["minirnn", "minirnn, kernel alone", "minirnn, NumPy tier", "minirnn, python engine"]
PEERS = ["torch", "jax", "autograd"]


def contenders(problem: Problem) -> dict[str, Contender]:
    """Everybody who can run it in reasonable time, by name."""
    batch, steps, _, hidden = problem.size
    found = {
        "minirnn": Contender("minirnn", layer_call, (problem, THREADS)),
        "minirnn, kernel alone": Contender("minirnn", kernel_call, (problem, THREADS)),
        "minirnn, NumPy tier": Contender("NumPy tier", layer_call, (problem, THREADS, "auto", "numpy")),
        "torch": Contender("torch", torch_layer, (problem, THREADS)),
        "jax": Contender("jax", jax_scan, (problem,)),
    }
    if batch * steps * hidden <= SLOW_LOOPS_UP_TO:
        found["minirnn, python engine"] = Contender("python engine", layer_call, (problem, THREADS, "python"))
        found["autograd"] = Contender("autograd", autograd_loop, (problem,))
    return found


def problems(quick: bool) -> list[Problem]:
    """What is measured."""
    dtypes = ["float32"] if quick else ["float32", "float64"]
    sizes = SIZES[:2] if quick else SIZES
    kinds, modes = ["LSTM", "GRU", "RNN"], ["train", "forward"]
    found = [Problem(*given) for given in itertools.product(kinds, modes, sizes, dtypes)]
    wide = [] if quick else [Problem(kind, mode, WIDE, "float32") for kind, mode in itertools.product(kinds, modes)]
    return found + wide


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a problem: seconds of each contender (median and quartiles), the share of the products' floor, and the
    peak memory of a float32 training pass."""
    minirnn.set_num_threads(THREADS)
    chosen = problems(quick)
    peaks = {dtype: peak(dtype, THREADS) for dtype in {problem.dtype for problem in chosen}}
    rows = []
    for problem in chosen:
        timings = apart(contenders(problem), seconds=1.0 if quick else 3.0, rounds=5 if quick else 7)
        floor = problem.flops() / peaks[problem.dtype]
        memory = peak_memory(problem) if problem.mode == "train" and problem.dtype == "float32" else None
        rows.append(
            {
                **problem._asdict(),
                "seconds": {name: timing._asdict() for name, timing in timings.items()},
                "floor": floor,
                "share_of_floor": floor / timings["minirnn"].median,
                "peak_mib": memory,
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds of each contender, and minirnn's time over each peer's."""
    names = [name for name in OURS + PEERS if any(name in row["seconds"] for row in rows)]
    peers = [name for name in PEERS if name in names]
    over = [f"/ {name}" for name in peers]
    made = Table("layer", "pass", "(B, T, I, H)", "dtype", *names, *over, "floor / time", "MiB")
    made.title = f"milliseconds a pass, medians, {THREADS} threads; ratios are minirnn's time over the peer's"
    for row in rows:
        times = {name: timing["median"] for name, timing in row["seconds"].items()}
        made.add_row(
            row["kind"],
            row["mode"],
            str(tuple(row["size"])),
            row["dtype"],
            *[f"{1e3 * times[name]:.3g}" if name in times else "" for name in names],
            *[f"{times['minirnn'] / times[name]:.2f}" if name in times else "" for name in peers],
            f"{row['share_of_floor']:.2f}",
            "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
        )
    return made


def plot(rows: list[dict[str, Any]], axes: Any) -> None:
    """Bars: the time of a float32 training pass over PyTorch's, for each layer and size."""
    chosen = [row for row in rows if row["mode"] == "train" and row["dtype"] == "float32" and "torch" in row["seconds"]]
    names = [name for name in ("minirnn", "jax", "torch") if all(name in row["seconds"] for row in chosen)]
    places, width = np.arange(len(chosen)), 0.8 / len(names)
    for k, name in enumerate(names):
        ratios = [row["seconds"][name]["median"] / row["seconds"]["torch"]["median"] for row in chosen]
        axes.bar(places + (k - (len(names) - 1) / 2) * width, ratios, width, label=name)
    axes.set_xticks(
        places, [f"{row['kind']}\n{','.join(map(str, row['size']))}" for row in chosen], fontsize=6, rotation=90
    )
    axes.set_ylabel("time of a training pass over PyTorch's")
    axes.set_title(f"float32, {THREADS} threads, sizes (B,T,I,H)", fontsize=9)
    axes.axhline(1.0, color="0.6", linewidth=0.8)
    axes.legend(frameon=False)
