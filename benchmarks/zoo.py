"""Every cell of the zoo: a training pass by minirnn, by its own reference engine, and by torchrecurrent's layer.

python -m benchmarks --only zoo
"""

import math
from functools import partial
from typing import Any

from rich.table import Table

from benchmarks.peers import installed
from minirnn import cells
from minirnn.speed import SIZES, Pass
from minirnn.speed.passes import Call, Size, our_pass, torch_pass
from minirnn.speed.timing import Contender, apart

__all__ = ["contenders", "measure", "table"]

QUICK = ["MGU", "JANET", "PeepholeLSTM", "IndRNN", "LiGRU"]
VECTOR_CELLS = [name for name in cells.names() if name != "ConvLSTM"]  # whose input is a picture


def torchrecurrent_layer(name: str, inputs: int, hidden: int) -> Any:
    """The layer of torchrecurrent."""
    import torchrecurrent

    return getattr(torchrecurrent, name)(inputs, hidden)


def torchrecurrent_pass(name: str, what: Pass) -> Call | None:
    """A pass through it, where there is one: its IntersectionRNN takes as many features as it has units, no other."""
    if not installed("torchrecurrent"):
        return None
    import torchrecurrent

    if not hasattr(torchrecurrent, name) or (name == "IntersectionRNN" and what.size[2] != what.size[3]):
        return None
    return torch_pass(partial(torchrecurrent_layer, name), cells.get(name), what)


def contenders(name: str, size: Size) -> dict[str, Contender]:
    """A training pass by minirnn, by its reference engine, and by torchrecurrent."""
    cell, what = cells.get(name), Pass(size)
    return {
        "minirnn": Contender("minirnn", our_pass, (cell, what)),
        "python engine": Contender("python engine", our_pass, (cell, what, "python")),
        "torchrecurrent": Contender("torch", torchrecurrent_pass, (name, what)),
    }


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a cell and size: seconds of each contender."""
    rows = []
    for name in QUICK if quick else VECTOR_CELLS:
        for size in SIZES[:2] if quick else SIZES:
            timings = apart(contenders(name, size), seconds=0.6, rounds=3)
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
