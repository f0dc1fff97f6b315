"""Compiled cells: beside the reference, torchrecurrent and JAX; what compilation costs, how time
grows with the sequence, and memory. The whole zoo beside its reference is `--only zoo`.

python -m benchmarks --only compiled
"""

import math
from typing import Any

from rich.console import Group
from rich.table import Table

from benchmarks.memory import peak_memory
from benchmarks.peers import Problem, installed
from benchmarks.zoo import QUICK as CELLS
from benchmarks.zoo import contenders as zoo_contenders
from minirnn import LSTMCell, cells
from minirnn.speed import SIZES, Pass
from minirnn.speed.first_use import seconds_of_compilation
from minirnn.speed.passes import Size, jax_pass, our_pass
from minirnn.speed.timing import THREADS, Contender, afresh, apart

__all__ = ["JAX_TWINS", "measure", "table"]

LENGTHS = (10, 100, 1000, 10_000)
ONE_SEQUENCE = (1, LENGTHS[0], 64, 128)  # of whatever length


# ---------------------------------------------------------------- twins for JAX, see minirnn.speed.passes
def mgu(p: Any, h: Any, x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    (x_f, x_h), (u_f, u_h) = jnp.split(x @ p["w"].T + p["b"], 2, 1), jnp.split(p["u"], 2)
    f = jax.nn.sigmoid(x_f + h @ u_f.T)
    h = (1 - f) * h + f * jnp.tanh(x_h + (f * h) @ u_h.T)
    return h, h


def janet(p: Any, h: Any, x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    f, c = jnp.split(x @ p["w"].T + p["b"] + h @ p["u"].T, 2, 1)
    h = jax.nn.sigmoid(f) * h + (1 - jax.nn.sigmoid(f - 1.0)) * jnp.tanh(c)
    return h, h


def peephole(p: Any, state: Any, x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    (h, c), (v_i, v_f, v_o), sigmoid = state, jnp.split(p["v"], 3), jax.nn.sigmoid
    i, f, g, o = jnp.split(x @ p["w"].T + p["b"] + h @ p["u"].T, 4, 1)
    c = sigmoid(f + v_f * c) * c + sigmoid(i + v_i * c) * jnp.tanh(g)
    h = sigmoid(o + v_o * c) * jnp.tanh(c)
    return (h, c), h


def indrnn(p: Any, h: Any, x: Any) -> Any:
    import jax

    h = jax.nn.relu(x @ p["w"].T + p["b"] + p["u"] * h)
    return h, h


def ligru(p: Any, h: Any, x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    z, c = jnp.split(x @ p["w"].T + p["b"] + h @ p["u"].T, 2, 1)
    h = jax.nn.sigmoid(z) * h + (1 - jax.nn.sigmoid(z)) * jax.nn.relu(c)
    return h, h


JAX_TWINS = {"MGU": mgu, "JANET": janet, "PeepholeLSTM": peephole, "IndRNN": indrnn, "LiGRU": ligru}


# ---------------------------------------------------------------- what is measured
def contenders(name: str, size: Size) -> dict[str, Contender]:
    """Everybody who can run the cell, by name."""
    cell, what = cells.get(name), Pass(size)
    found = zoo_contenders(name, size)
    found["minirnn, NumPy"] = Contender("NumPy", our_pass, (cell, what, "auto", "numpy"))
    if installed("jax"):
        found["jax"] = Contender("jax", jax_pass, (JAX_TWINS[name], cell, what))
    return found


def measure(quick: bool = False) -> dict[str, Any]:
    """ratios: geometric means of ratios of times, a row a size and pair; compilation: seconds at two lengths; growth:
    seconds a step at each length; memory: a compiled LSTM's peak, MiB."""
    sizes, seconds, rounds = (SIZES[:2], 1.0, 3) if quick else (SIZES, 2.0, 5)
    rows = []
    for size in sizes:
        times = [_medians(contenders(name, size), seconds, rounds) for name in CELLS]
        for who, whom in [
            ("minirnn", "torchrecurrent"),
            ("minirnn", "jax"),
            ("minirnn", "python engine"),
            ("minirnn, NumPy", "torchrecurrent"),
        ]:
            if all(whom in found for found in times):
                rows.append(_row(size, ", ".join(CELLS), who, whom, times))
    lengths = LENGTHS[:-1] if quick else LENGTHS
    at = {steps: Pass((1, steps, *ONE_SEQUENCE[2:])) for steps in lengths}
    compilation = {n: afresh(seconds_of_compilation, LSTMCell, at[n], "compiled") for n in (lengths[0], lengths[-1])}
    grown = {n: Contender("compiled", our_pass, (LSTMCell, what, "compiled")) for n, what in at.items()}
    growth = {n: timing.median / n for n, timing in apart(grown, seconds=seconds, rounds=rounds).items()}
    problem = Problem("LSTM", "train", sizes[-1], "float32")
    memory = peak_memory(problem, "compiled")
    return {"ratios": rows, "compilation": compilation, "growth": growth, "memory": memory, "memory_at": sizes[-1]}


def _medians(each: dict[str, Contender], seconds: float, rounds: int) -> dict[str, float]:
    return {name: timing.median for name, timing in apart(each, seconds=seconds, rounds=rounds).items()}


def _row(size: Any, what: str, who: str, whom: str, times: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [found[who] / found[whom] for found in times]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return {"size": size, "cells": what, "who": who, "whom": whom, "ratio": mean, "seconds": times}


# ---------------------------------------------------------------- as tables
def table(figures: dict[str, Any]) -> Group:
    """Ratios of times, one column a size; and one column a length."""
    return Group(_ratios(figures["ratios"]), _lengths(figures), _memory(figures))


def _ratios(rows: list[dict[str, Any]]) -> Table:
    sizes = list(dict.fromkeys(tuple(row["size"]) for row in rows))
    made = Table("training pass", "time of", "over", *map(str, sizes))
    made.title = f"geometric means of ratios of times, float32, {THREADS} threads, sizes (B, T, I, H)"
    for key in dict.fromkeys((row["cells"], row["who"], row["whom"]) for row in rows):
        by = {tuple(r["size"]): r["ratio"] for r in rows if (r["cells"], r["who"], r["whom"]) == key}
        made.add_row(*key, *[f"{by[size]:.3f}" if size in by else "" for size in sizes])
    return made


def _lengths(figures: dict[str, Any]) -> Table:
    growth, compilation = figures["growth"], figures["compilation"]
    made = Table("an LSTM's step, compiled", *[f"T={n:,}" for n in growth])
    made.title = f"one sequence, (I, H) = {ONE_SEQUENCE[2:]}"
    made.add_row("training pass, microseconds a step", *[f"{1e6 * seconds:.3g}" for seconds in growth.values()])
    for emitter in ("numpy", "native"):
        found = {n: f"{seconds[emitter]:.2f}" for n, seconds in compilation.items()}
        made.add_row(f"compilation by {emitter}, seconds", *[found.get(n, "") for n in growth])
    return made


def _memory(figures: dict[str, Any]) -> Table:
    made = Table("peak of a training pass, MiB", title=f"LSTM at {tuple(figures['memory_at'])}")
    made.add_row(f"{figures['memory']:.0f}")
    return made
