"""Where a linear recurrence is faster all at once: minGRU's training pass step by step and by `parallel`, and inside
`parallel` the associative scan against the plain loop over time.

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
from minirnn.speed.timing import interleaved

__all__ = ["measure", "table"]

NARROW = [(steps, 1, 32) for steps in (16, 64, 256, 1024, 4096)]
WIDE = [(1024, 1, 64), (1024, 1, 128), (1024, 1, 256), (1024, 4, 256), (1024, 32, 256)]
QUICK = [(64, 1, 32), (256, 1, 32), (256, 16, 64)]


def training_passes(steps: int, batch: int, hidden: int) -> dict[str, Callable[[], Any]]:
    """Value and gradients of a minGRU over (T, B, H) inputs, step by step and at once."""
    rng = np.random.default_rng(0)
    layer = Recurrent(cells.MinGRU(hidden, hidden, rng=rng))
    xs = rng.standard_normal((steps, batch, hidden), dtype=np.float32)
    slow = minirnn.value_and_grad(lambda layer: anp.sum(layer(xs)[0] ** 2))
    fast = minirnn.value_and_grad(lambda layer: anp.sum(layer.cell.parallel(xs)[0] ** 2))
    return {"step by step": lambda: slow(layer), "parallel": lambda: fast(layer)}


def scans(steps: int, batch: int, hidden: int) -> dict[str, Callable[[], Any]]:
    """Value and gradients of linear_scan alone, by both of its methods."""
    rng = np.random.default_rng(0)
    a = rng.uniform(0.1, 0.99, (steps, batch, hidden)).astype(np.float32)
    b, h = rng.standard_normal(a.shape, dtype=np.float32), np.zeros(a.shape[1:], np.float32)

    def by(method: str) -> Callable[[], Any]:
        gradient = minirnn.value_and_grad(lambda a, b: anp.sum(linear_scan(a, b, h, method=method)), argnums=(0, 1))
        return lambda: gradient(a, b)

    return {"loop": by("loop"), "prefix": by("prefix")}


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a size (T, B, H): median seconds of both training passes, and of both ways to scan."""
    rows = []
    for size in QUICK if quick else NARROW + WIDE:
        calls = training_passes(*size) | scans(*size)
        timings = interleaved(calls, seconds=1.0 if quick else 4.0, rounds=5 if quick else 9)
        rows.append({"size": size, "seconds": {name: timing.median for name, timing in timings.items()}})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds, and how many times faster."""
    made = Table("T", "B", "H", "step by step ms", "parallel ms", "faster", "loop ms", "associative ms", "faster")
    made.title = "minGRU, float32: training pass; the scan alone, with its gradient"
    for row in rows:
        slow, fast, loop, prefix = (row["seconds"][name] for name in ("step by step", "parallel", "loop", "prefix"))
        times = [f"{1e3 * slow:.3g}", f"{1e3 * fast:.3g}", f"{slow / fast:.1f}x"]
        made.add_row(
            *map(str, row["size"]), *times, f"{1e3 * loop:.3g}", f"{1e3 * prefix:.3g}", f"{loop / prefix:.2f}x"
        )
    return made
