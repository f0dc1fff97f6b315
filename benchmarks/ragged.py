"""What a batch of sequences of different lengths costs beside a full one, of LSTM and GRU; PyTorch's packed sequences.

python -m benchmarks --only ragged
"""

import itertools
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from rich.table import Table

import minirnn
from benchmarks.peers import GATES, Problem, installed
from minirnn.speed.timing import THREADS, Contender, apart

__all__ = ["measure", "table"]

SIZES = [(16, 50, 64, 128), (32, 100, 128, 256), (64, 100, 256, 512)]


def _lengths(batch: int, steps: int) -> dict[str, Any]:
    """By name, (B,) each, shuffled: all full; from 1 to T, evenly; half of them full, half of a tenth."""
    rng = np.random.default_rng(0)
    evenly = np.linspace(1, steps, batch).astype(np.int64)
    halves = np.where(np.arange(batch) % 2, steps, max(1, steps // 10))
    return {"full": None, "1 to T": rng.permutation(evenly), "T or T/10": rng.permutation(halves)}


def ours(problem: Problem, lengths: Any) -> Callable[[], Any]:
    """A training pass of minirnn."""
    minirnn.set_num_threads(THREADS)
    layer, xs = getattr(minirnn, problem.kind)(*problem.size[2:]), problem.xs()
    loss = lambda layer, xs: anp.sum(layer(xs, lengths=lengths)[0])
    gradient = minirnn.value_and_grad(loss, argnums=(0, 1))
    return lambda: gradient(layer, xs)


def packed(problem: Problem, lengths: Any) -> Callable[[], Any] | None:
    """The same of PyTorch, whose layer takes a packed sequence."""
    if not installed("torch"):
        return None
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence

    torch.set_num_threads(THREADS)
    layer = getattr(torch.nn, problem.kind)(*problem.size[2:])
    xs = torch.tensor(problem.xs(), requires_grad=True)

    def call() -> None:
        layer.zero_grad()
        xs.grad = None
        if lengths is None:
            layer(xs)[0].sum().backward()
        else:
            given = pack_padded_sequence(xs, torch.tensor(lengths), enforce_sorted=False)
            layer(given)[0].data.sum().backward()

    return call


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a layer, size and kind of lengths: how much of the rectangle they fill, and milliseconds of a pass."""
    rows = []
    for kind, size in itertools.product([kind for kind in GATES if kind != "RNN"], SIZES[:1] if quick else SIZES):
        problem, each = Problem(kind, "train", size, "float32"), _lengths(*size[:2])
        contenders = {f"minirnn {name}": Contender("minirnn", ours, (problem, found)) for name, found in each.items()}
        if size != SIZES[-1]:
            contenders |= {
                f"torch {name}": Contender("torch", packed, (problem, found)) for name, found in each.items()
            }
        timings = apart(contenders, seconds=2.0 if quick else 6.0, rounds=5)
        for name, found in each.items():
            ms = {
                who: 1e3 * timings[f"{who} {name}"].median for who in ("minirnn", "torch") if f"{who} {name}" in timings
            }
            full = {who: 1e3 * timings[f"{who} full"].median for who in ms}
            fill = 1.0 if found is None else float(np.mean(found) / size[1])
            rows.append({"kind": kind, "size": size, "lengths": name, "fill": fill, "ms": ms, "full": full})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """The measurement as a table; a ratio is the time over that of the full batch."""
    made = Table("layer", "(B, T, I, H)", "lengths", "filled", "minirnn, ms", "/ full", "torch packed, ms", "/ full")
    made.title = f"ragged batches: milliseconds a training pass, float32, {THREADS} threads"
    for row in rows:
        cells = [row["kind"], str(tuple(row["size"])), row["lengths"], f"{row['fill']:.2f}"]
        for who in ("minirnn", "torch"):
            there = who in row["ms"]
            cells += [f"{row['ms'][who]:.3g}", f"{row['ms'][who] / row['full'][who]:.2f}"] if there else ["", ""]
        made.add_row(*cells)
    return made
