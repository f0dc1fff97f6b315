"""Compiled cells beside the fused kernel, the reference, torchrecurrent and JAX, in one run, taken in turn.

python -m benchmarks --only compiled
"""

import math
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from rich.table import Table

import minirnn
from benchmarks.peers import _installed
from benchmarks.timing import THREADS, interleaved
from minirnn.kernels.tier import tier

__all__ = ["CELLS", "SIZES", "measure", "table"]

Call = Callable[[], Any]
SIZES = [(1, 25, 29, 100), (16, 50, 64, 128), (32, 100, 128, 256)]
CELLS = ["MGU", "JANET", "PeepholeLSTM", "IndRNN", "LiGRU"]


def ours(cell: Any, size: tuple[int, int, int, int], engine: str, kernels: str = "auto") -> Call:
    """A training pass: the gradient by the cell's arrays and the input."""
    batch, steps, _, _ = size
    layer = minirnn.Recurrent(cell, engine=engine)
    features = cell.input_size if isinstance(cell.input_size, tuple) else (cell.input_size,)
    xs = np.random.default_rng(0).standard_normal((steps, batch, *features)).astype("float32")
    gradient = minirnn.value_and_grad(lambda layer, xs: anp.sum(layer(xs)[0]), argnums=(0, 1))

    def call() -> Any:
        with tier(kernels):
            return gradient(layer, xs)

    return call


def torchrecurrent_layer(name: str, size: tuple[int, int, int, int]) -> Call | None:
    """The layer of torchrecurrent, trained likewise."""
    if not _installed("torchrecurrent"):
        return None
    import torch
    import torchrecurrent

    torch.set_num_threads(THREADS)
    batch, steps, inputs, hidden = size
    layer = getattr(torchrecurrent, name)(inputs, hidden)
    xs = torch.from_numpy(np.random.default_rng(0).standard_normal((steps, batch, inputs)).astype("float32"))
    given = xs.requires_grad_()

    def call() -> None:
        layer.zero_grad(set_to_none=True)
        given.grad = None
        layer(given)[0].sum().backward()

    return call


def jax_step(name: str, size: tuple[int, int, int, int]) -> Call | None:
    """jit(grad(lax.scan)) of the same step, on the cell's own arrays."""
    if not _installed("jax"):
        return None
    import jax
    import jax.numpy as jnp

    batch, steps, inputs, hidden = size
    cell = minirnn.cells.make(name, inputs, hidden, rng=np.random.default_rng(0))
    weights = {key: jnp.asarray(value) for key, value in cell.parameters().items()}
    sigmoid, tanh = jax.nn.sigmoid, jnp.tanh

    def mgu(p: Any, h: Any, x: Any) -> Any:
        (x_f, x_h), (u_f, u_h) = jnp.split(x @ p["w"].T + p["b"], 2, 1), jnp.split(p["u"], 2)
        f = sigmoid(x_f + h @ u_f.T)
        h = (1 - f) * h + f * tanh(x_h + (f * h) @ u_h.T)
        return h, h

    def janet(p: Any, h: Any, x: Any) -> Any:
        f, c = jnp.split(x @ p["w"].T + p["b"] + h @ p["u"].T, 2, 1)
        h = sigmoid(f) * h + (1 - sigmoid(f - 1.0)) * tanh(c)
        return h, h

    def peephole(p: Any, s: Any, x: Any) -> Any:
        (h, c), (v_i, v_f, v_o) = s, jnp.split(p["v"], 3)
        i, f, g, o = jnp.split(x @ p["w"].T + p["b"] + h @ p["u"].T, 4, 1)
        c = sigmoid(f + v_f * c) * c + sigmoid(i + v_i * c) * tanh(g)
        h = sigmoid(o + v_o * c) * tanh(c)
        return (h, c), h

    def indrnn(p: Any, h: Any, x: Any) -> Any:
        h = jax.nn.relu(x @ p["w"].T + p["b"] + p["u"] * h)
        return h, h

    def ligru(p: Any, h: Any, x: Any) -> Any:
        z, c = jnp.split(x @ p["w"].T + p["b"] + h @ p["u"].T, 2, 1)
        h = sigmoid(z) * h + (1 - sigmoid(z)) * jax.nn.relu(c)
        return h, h

    step = {"MGU": mgu, "JANET": janet, "PeepholeLSTM": peephole, "IndRNN": indrnn, "LiGRU": ligru}[name]

    def loss(weights: Any, xs: Any) -> Any:
        zeros = jnp.zeros((batch, hidden), "float32")
        state = (zeros, zeros) if name == "PeepholeLSTM" else zeros
        return jax.lax.scan(lambda s, x: step(weights, s, x), state, xs)[1].sum()

    xs = jnp.asarray(np.random.default_rng(0).standard_normal((steps, batch, inputs)).astype("float32"))
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1)))
    return lambda: jax.block_until_ready(compiled(weights, xs))


def contenders(name: str, size: tuple[int, int, int, int]) -> dict[str, Call]:
    """Everybody who can run the cell, by name."""
    _, _, inputs, hidden = size
    make = lambda: minirnn.cells.make(name, inputs, hidden, rng=np.random.default_rng(0))
    calls: dict[str, Call | None] = {
        "compiled": ours(make(), size, "compiled"),
        "compiled, NumPy": ours(make(), size, "compiled", "numpy"),
        "python": ours(make(), size, "python"),
        "torchrecurrent": torchrecurrent_layer(name, size),
        "jax": jax_step(name, size),
    }
    return {who: call for who, call in calls.items() if call is not None}


def lstm(size: tuple[int, int, int, int]) -> dict[str, Call]:
    """An LSTM's step, compiled, and the kernel that a person wrote."""
    _, _, inputs, hidden = size
    make = lambda: minirnn.LSTMCell(inputs, hidden, rng=np.random.default_rng(0))
    return {"compiled": ours(make(), size, "compiled"), "fused": ours(make(), size, "fused")}


def zoo(size: tuple[int, int, int, int]) -> list[dict[str, Call]]:
    """Every cell whose input is a vector, compiled and on the reference."""
    _, _, inputs, hidden = size
    found = []
    for name in minirnn.cells.names():
        if name in ("ConvLSTM", "ClockworkRNN"):  # sizes of their own
            continue
        make = lambda name=name: minirnn.cells.make(name, inputs, hidden, rng=np.random.default_rng(0))
        found.append({"compiled": ours(make(), size, "compiled"), "python": ours(make(), size, "python")})
    return found


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a comparison: (size, what, against whom, geometric mean of the ratios of times)."""
    minirnn.set_num_threads(THREADS)
    seconds, rounds, rows = (1.0, 3, []) if quick else (2.0, 5, [])
    for size in SIZES[:2] if quick else SIZES:
        times = [_medians(lstm(size), seconds, rounds)]
        rows.append(_row(size, "LSTM's step", "compiled", "fused", times))
        times = [_medians(contenders(name, size), seconds, rounds) for name in CELLS]
        for who in ("torchrecurrent", "jax", "python"):
            if all(who in found for found in times):
                rows.append(_row(size, ", ".join(CELLS), "compiled", who, times))
        if all("torchrecurrent" in found for found in times):
            rows.append(_row(size, ", ".join(CELLS), "compiled, NumPy", "torchrecurrent", times))
        if not quick:
            rows.append(_row(size, "the zoo", "compiled", "python", [_medians(c, 0.5, 3) for c in zoo(size)]))
    return rows


def _medians(calls: dict[str, Call], seconds: float, rounds: int) -> dict[str, float]:
    return {name: timing.median for name, timing in interleaved(calls, seconds=seconds, rounds=rounds).items()}


def _row(size: Any, what: str, who: str, whom: str, times: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [found[who] / found[whom] for found in times]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return {"size": size, "cells": what, "who": who, "whom": whom, "ratio": mean, "seconds": times}


def table(rows: list[dict[str, Any]]) -> Table:
    """Ratios of times, one column a size."""
    sizes = list(dict.fromkeys(tuple(row["size"]) for row in rows))
    made = Table("training pass", "time of", "over", *map(str, sizes))
    made.title = f"geometric means of ratios of times, float32, {THREADS} threads, sizes (B, T, I, H)"
    for key in dict.fromkeys((row["cells"], row["who"], row["whom"]) for row in rows):
        by = {tuple(r["size"]): r["ratio"] for r in rows if (r["cells"], r["who"], r["whom"]) == key}
        made.add_row(*key, *[f"{by[size]:.3f}" if size in by else "" for size in sizes])
    return made
