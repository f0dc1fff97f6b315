"""What resets cost: a training pass of LSTM and GRU with flags beside one without, in turn.

python -m benchmarks --only resets
"""

import itertools
from typing import Any

import autograd.numpy as anp
import numpy as np
from rich.table import Table

import minirnn
from benchmarks.peers import Problem
from minirnn.speed.timing import THREADS, interleaved

__all__ = ["measure", "table"]

SIZES = [(16, 50, 64, 128), (32, 100, 128, 256)]
SHARES = (0.02, 0.2)  # of the steps, at random, at which a sequence begins


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a layer and size: milliseconds without flags, and with each share of them."""
    minirnn.set_num_threads(THREADS)
    rows = []
    for kind, size in itertools.product(["LSTM", "GRU"], SIZES[:1] if quick else SIZES):
        problem = Problem(kind, "train", size, "float32")
        batch, steps, inputs, hidden = size
        layer, xs = getattr(minirnn, kind)(inputs, hidden), problem.xs()

        def passed(resets: Any, layer: Any = layer, xs: Any = xs) -> Any:
            loss = lambda layer, xs: anp.sum(layer(xs, resets=resets)[0])
            gradient = minirnn.value_and_grad(loss, argnums=(0, 1))
            return lambda: gradient(layer, xs)

        rng = np.random.default_rng(0)
        calls = {"without": passed(None)}
        calls |= {f"{share:.0%}": passed(rng.random((steps, batch)) < share) for share in SHARES}
        timings = interleaved(calls, seconds=2.0 if quick else 6.0)
        rows.append({"kind": kind, "size": size, "ms": {name: 1e3 * t.median for name, t in timings.items()}})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """The measurement as a table; a ratio is the time over that without flags."""
    shares = [name for name in rows[0]["ms"] if name != "without"]
    made = Table("layer", "(B, T, I, H)", "no flags, ms", *[f"{share} of the steps" for share in shares])
    made.title = f"resets: milliseconds a training pass, float32, {THREADS} threads, and what flags cost"
    for row in rows:
        ms = row["ms"]
        over = [f"{ms[share]:.3g}   {ms[share] / ms['without']:.3f}" for share in shares]
        made.add_row(row["kind"], str(tuple(row["size"])), f"{ms['without']:.3g}", *over)
    return made
