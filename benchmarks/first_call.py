"""What a cell costs before it is fast: its first pass, one of another size, and the first one of the next process.

python -m benchmarks --only first_call

The CPU seconds of a pass (outputs, and the gradients of all weights and inputs) over those of the same pass done again,
each cell in processes of its own. "fresh" is the first cell of a fresh installation, which also compiles what all
cells share. Python's bytecode is taken to be on disk: with PYTHONDONTWRITEBYTECODE, importing the compiler takes .08
seconds more.
"""

import gc
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from minirnn import GRUCell, LSTMCell, RNNCell, cells
from minirnn.speed.passes import Call, Pass, our_pass
from minirnn.speed.timing import afresh

__all__ = ["measure", "table"]

CELLS = [
    *["RNN", "LSTM", "GRU", "MGU", "PeepholeLSTM", "LayerNormLSTM", "IndRNN"],
    *["LiGRU", "MinGRU", "LEM", "sLSTM", "mLSTM", "UGRNN", "LMU"],
]
CLASSIC = {"RNN": RNNCell, "LSTM": LSTMCell, "GRU": GRUCell}
SIZES = [(3, 7, 8, 20), (5, 4, 12, 24), (2, 9, 6, 40)]  # B, T, I, H


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a cell: seconds until the first pass, until one of another size, and in a process that finds the first
    one's files; MiB that a second cell keeps in a process. The first row is a fresh installation's."""
    names = CELLS[:5] if quick else CELLS
    with tempfile.TemporaryDirectory() as folder:
        fresh = {"cell": f"{names[0]}, fresh", **afresh(_seconds, names[0], folder)}
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            afresh(_seconds, "JANET", folder)
            first, second = afresh(_seconds, name, folder), afresh(_seconds, name, folder)
            rows.append({"cell": name, **first, "next": second["first"], "memory": afresh(_kept, name, folder)})
    return [fresh, *rows]


def _passes(name: str, folder: str) -> list[Call]:
    """A pass at each size, in a process of its own: `folder` is where it finds and leaves what is compiled."""
    os.environ["MINIRNN_CACHE"] = folder
    import minirnn.compile.llvm.objects as objects

    objects.available()  # llvmlite's import is not the cell's
    return [our_pass(CLASSIC.get(name) or cells.get(name), Pass(size)) for size in SIZES]


def _seconds(name: str, folder: str) -> dict[str, float]:
    first, *others = _passes(name, folder)
    return {"first": _longer(first), "another": median([_longer(call) for call in others])}


def _kept(name: str, folder: str) -> float:
    """MiB of this process more, once its second cell has run."""
    _passes("JANET", folder)[0]()
    call = _passes(name, folder)[0]
    before = _resident()
    call()
    return _resident() - before


def _longer(call: Call) -> float:
    """The first call's CPU seconds over those of the same call afterwards."""
    times = []
    for _ in range(4):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return times[0] - min(times[1:])


def _resident() -> float:
    """MiB of this process."""
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmRSS"))) / 1024


def table(rows: list[dict[str, Any]]) -> Table:
    """The measurement as a table."""
    made = Table(
        "cell", "first pass", "another size", "next process", "MiB kept", title="CPU seconds before a cell is fast"
    )
    for row in rows:
        later = [f"{row['next']:.3f}", f"{row['memory']:.1f}"] if "next" in row else []
        made.add_row(row["cell"], f"{row['first']:.3f}", f"{row['another']:.3f}", *later)
    return made
