"""One step at a time, T = 1 and B = 1, the state handed back: how long a call takes, half of the time and at its worst.

python -m benchmarks --only single_steps
"""

import itertools
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import numpy as np
from rich.table import Table

import minirnn
from benchmarks.peers import installed
from minirnn.speed.timing import within
from minirnn.speed.twins import BUILT_IN, TWINS

__all__ = ["measure", "table"]

SIZES = [(29, 100), (64, 256)]
KINDS = ["RNN", "LSTM", "GRU"]
CALLS = 2000


def ours(kind: str, inputs: int, hidden: int) -> Callable[[], Any]:
    """A minirnn layer's next step."""
    minirnn.set_num_threads(1)
    layer, x = getattr(minirnn, kind)(inputs, hidden), np.ones((1, 1, inputs), np.float32)
    state = [layer(x)[1]]

    def step() -> None:
        state[0] = layer(x, state[0])[1]

    return step


def torchs(kind: str, inputs: int, hidden: int) -> Callable[[], Any]:
    """The next step of PyTorch's layer."""
    import torch

    torch.set_num_threads(1)
    layer, x = getattr(torch.nn, kind)(inputs, hidden), torch.ones((1, 1, inputs))
    with torch.no_grad():
        state = [layer(x)[1]]

    def step() -> None:
        with torch.no_grad():
            state[0] = layer(x, state[0])[1]

    return step


def jaxs(kind: str, inputs: int, hidden: int) -> Callable[[], Any]:
    """The next step of JAX's twin, compiled."""
    import jax
    import jax.numpy as jnp

    cell = BUILT_IN[kind.lower()](inputs, hidden)
    given, x = {name: jnp.asarray(array) for name, array in cell.parameters().items()}, jnp.ones((1, inputs))
    run = jax.jit(lambda state, x: TWINS[type(cell)]["jax"](given, state, x))
    state = [jax.tree.map(jnp.asarray, cell.initial_state(1))]
    state[0] = tuple(state[0]) if kind == "LSTM" else state[0]

    def step() -> None:
        state[0] = jax.block_until_ready(run(state[0], x))[0]

    return step


MAKERS = {"minirnn": ours, "torch": torchs, "jax": jaxs}


def timed(library: str, kind: str, inputs: int, hidden: int, calls: int) -> tuple[float, float]:
    """Microseconds a step: the median, and what 99 of 100 stay below."""
    step = MAKERS[library](kind, inputs, hidden)
    for _ in range(50):
        step()
    took = []
    for _ in range(calls):
        start = time.perf_counter()
        step()
        took.append(1e6 * (time.perf_counter() - start))
    cuts = quantiles(took, n=100)
    return cuts[49], cuts[98]


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a layer and size: microseconds by library, each in a process of its own."""
    rows = []
    for kind, (inputs, hidden) in itertools.product(KINDS, SIZES[:1] if quick else SIZES):
        us = {
            library: within(library, timed, library, kind, inputs, hidden, CALLS // 10 if quick else CALLS)
            for library in MAKERS
            if library == "minirnn" or installed(library)
        }
        rows.append({"kind": kind, "size": (inputs, hidden), "us": us})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """The measurement as a table."""
    libraries = list(rows[0]["us"])
    made = Table("layer", "(I, H)", *[f"{name}: p50, p99" for name in libraries])
    made.title = "single steps: microseconds a call (T = 1, B = 1, the state handed back), float32, 1 thread"
    for row in rows:
        taken = [f"{row['us'][name][0]:.1f}, {row['us'][name][1]:.1f}" for name in libraries]
        made.add_row(row["kind"], str(tuple(row["size"])), *taken)
    return made
