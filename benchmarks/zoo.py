"""Every cell of the zoo: a training pass by minirnn, by its own reference engine, and by torchrecurrent's layer.

python -m benchmarks --only zoo
"""

import importlib.util
import math
from typing import Any

import autograd.numpy as anp
import numpy as np
from rich.table import Table

import minirnn
from benchmarks.peers import Call
from benchmarks.timing import THREADS, Contender, apart
from minirnn import Recurrent, cells
from minirnn.layers.cells.registry import card
from minirnn.layers.recurrent import Cell

__all__ = ["measure", "table"]

SIZES = [(1, 25, 29, 100), (16, 50, 64, 128), (32, 100, 128, 256)]
QUICK = ["MGU", "JANET", "PeepholeLSTM", "IndRNN", "LiGRU"]
SKIPPED = ["ConvLSTM"]  # its input is a picture


def made(name: str, inputs: int, hidden: int) -> Cell:
    """A cell at a size; where it takes as many features as it has units, with as many."""
    options, rng = card(cells.get(name)).options, np.random.default_rng(0)
    try:
        return cells.make(name, inputs, hidden, rng=rng, **options)
    except ValueError:
        return cells.make(name, hidden, hidden, rng=rng, **options)


def ours(name: str, size: tuple[int, int, int, int], engine: str) -> Call:
    """Value and gradients by the cell's parameters and its input."""
    minirnn.set_num_threads(THREADS)
    batch, steps, inputs, hidden = size
    cell = made(name, inputs, hidden)
    layer = Recurrent(cell, engine=engine)
    xs = np.random.default_rng(0).standard_normal((steps, batch, int(cell.input_size)), dtype=np.float32)
    gradient = minirnn.value_and_grad(lambda layer, xs: anp.sum(layer(xs)[0]), argnums=(0, 1))
    return lambda: gradient(layer, xs)


def theirs(name: str, size: tuple[int, int, int, int]) -> Call | None:
    """The same with torchrecurrent, where it has the cell."""
    if importlib.util.find_spec("torchrecurrent") is None:
        return None
    import torch
    import torchrecurrent

    if not hasattr(torchrecurrent, name):
        return None
    torch.set_num_threads(THREADS)
    batch, steps, inputs, hidden = size
    inputs = int(made(name, inputs, hidden).input_size)
    layer = getattr(torchrecurrent, name)(inputs, hidden)
    xs = torch.randn(steps, batch, inputs, requires_grad=True)

    def call() -> None:
        layer.zero_grad(set_to_none=True)
        xs.grad = None
        layer(xs)[0].sum().backward()

    return call


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a cell and size: seconds of each contender."""
    rows = []
    for name in QUICK if quick else [name for name in cells.names() if name not in SKIPPED]:
        for size in SIZES[:2] if quick else SIZES:
            contenders = {
                "minirnn": Contender("minirnn", ours, (name, size, "auto")),
                "python engine": Contender("python engine", ours, (name, size, "python")),
                "torchrecurrent": Contender("torch", theirs, (name, size)),
            }
            timings = apart(contenders, seconds=0.6, rounds=3)
            rows.append(
                {"cell": name, "size": size, "seconds": {who: timing.median for who, timing in timings.items()}}
            )
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds at each size, minirnn's over torchrecurrent's, and the geometric means below."""
    sizes = list(dict.fromkeys(tuple(row["size"]) for row in rows))
    by = {(row["cell"], tuple(row["size"])): row["seconds"] for row in rows}
    made = Table("cell", *(f"{size}" for size in sizes), title="milliseconds a training pass, float32: minirnn")
    for size in sizes:
        made.columns[1 + sizes.index(size)].header = f"{size}\nminirnn, / python engine, / torchrecurrent"
    for name in dict.fromkeys(row["cell"] for row in rows):
        made.add_row(name, *[_described(by[name, size]) for size in sizes])
    made.add_section()
    made.add_row("geometric mean", *[_means([by[name, s] for name, s in by if s == size]) for size in sizes])
    return made


def _described(seconds: dict[str, float]) -> str:
    mine, slow, peer = (seconds.get(who) for who in ("minirnn", "python engine", "torchrecurrent"))
    ratios = [f"{mine / other:.2f}" if mine and other else "" for other in (slow, peer)]
    return f"{1e3 * (mine or math.nan):8.3g} {ratios[0]:>6} {ratios[1]:>6}"


def _means(each: list[dict[str, float]]) -> str:
    found = []
    for other in ("python engine", "torchrecurrent"):
        logs = [math.log(seconds["minirnn"] / seconds[other]) for seconds in each if other in seconds]
        found.append(f"{math.exp(sum(logs) / len(logs)):.2f}" if logs else "")
    return f"{'':8} {found[0]:>6} {found[1]:>6}"
