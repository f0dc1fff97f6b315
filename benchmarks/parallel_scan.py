"""Where a linear recurrence is faster all at once: minGRU's training pass by the loop, on one thread and on all, and on
NumPy's arrays of all steps, as `parallel` has it without native code; and of these, the associative scan against the
plain loop over time.

python -m benchmarks --only parallel_scan
"""

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from rich.table import Table

import minirnn
from minirnn import Recurrent, cells
from minirnn.layers.cells.associative_scan import linear_scan
from minirnn.speed.timing import THREADS, Contender, apart

__all__ = ["measure", "table"]

Size = tuple[int, int, int]
Call = Callable[[], Any]
SCANS = {"loop": "loop", "pairs": "prefix"}  # by name, the methods

LONG = [(10_000, 1, 128), (100_000, 1, 128)]
NARROW = [(steps, 1, 32) for steps in (16, 64, 256, 1024, 4096)]
WIDE = [(1024, 1, 64), (1024, 1, 128), (1024, 1, 256), (1024, 4, 256), (1024, 32, 256)]
QUICK = [(64, 1, 32), (256, 1, 32), (256, 16, 64)]


def training_pass(size: Size, threads: int, at_once: bool = False) -> Call:
    """Value and gradients of a minGRU over (T, B, H) inputs: by the loop, or at once on NumPy's arrays."""
    minirnn.set_num_threads(threads)
    steps, batch, hidden = size
    rng = np.random.default_rng(0)
    layer = Recurrent(cells.MinGRU(hidden, hidden, rng=rng))
    xs = rng.standard_normal((steps, batch, hidden), dtype=np.float32)
    run = (lambda layer: layer.cell.parallel(xs)) if at_once else (lambda layer: layer(xs))
    gradient = minirnn.value_and_grad(lambda layer: anp.sum(run(layer)[0] ** 2))

    def call() -> Any:
        with minirnn.engine("python" if at_once else "auto"):  # or `parallel` leaves it to the loop
            return gradient(layer)

    return call


def scan(size: Size, method: str) -> Call:
    """Value and gradients of linear_scan alone, by one of its methods."""
    minirnn.set_num_threads(THREADS)
    rng = np.random.default_rng(0)
    a = rng.uniform(0.1, 0.99, size).astype(np.float32)
    b, h = rng.standard_normal(a.shape, dtype=np.float32), np.zeros(a.shape[1:], np.float32)
    gradient = minirnn.value_and_grad(lambda a, b: anp.sum(linear_scan(a, b, h, method=method)), argnums=(0, 1))
    return lambda: gradient(a, b)


def contenders(size: Size) -> dict[str, Contender]:
    """What is timed, by name; the scan alone not where it takes long."""
    found = {
        "one thread": Contender("one thread", training_pass, (size, 1)),
        "loop": Contender("loop", training_pass, (size, THREADS)),
        "at once": Contender("at once", training_pass, (size, THREADS, True)),
    }
    if size not in LONG:
        found |= {f"scan by {name}": Contender("scan", scan, (size, method)) for name, method in SCANS.items()}
    return found


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a size (T, B, H): median seconds of the training passes, and of both ways to scan."""
    rows = []
    for size in QUICK if quick else NARROW + WIDE + LONG:
        timings = apart(contenders(size), seconds=1.0 if quick else 4.0, rounds=5 if quick else 9)
        rows.append({"size": size, "seconds": {name: timing.median for name, timing in timings.items()}})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds, and how many times faster."""
    names = ["one thread", "loop", "at once", "scan by loop", "scan by pairs"]
    made = Table("T", "B", "H", *[f"{name} ms" for name in names], "one thread / all", "at once / loop", "loop / pairs")
    made.title = f"minGRU, float32, {THREADS} threads: training pass; NumPy's scan alone, with its gradient"
    for row in rows:
        times = row["seconds"]
        ratios = (("one thread", "loop"), ("at once", "loop"), ("scan by loop", "scan by pairs"))
        made.add_row(
            *map(str, row["size"]),
            *[f"{1e3 * times[name]:.3g}" if name in times else "" for name in names],
            *[f"{times[a] / times[b]:.2f}x" if a in times else "" for a, b in ratios],
        )
    return made
