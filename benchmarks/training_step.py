"""A whole training step of a character model: embedding, LSTM, linear, cross-entropy, clipping, Adam; and its parts.

python -m benchmarks --only training_step
"""

import importlib.util
from typing import Any

import numpy as np
from rich.table import Table

import minirnn
from benchmarks.peers import Call
from minirnn.losses import cross_entropy
from minirnn.optim import Adam, clip_by_global_norm
from minirnn.speed.timing import THREADS, Contender, apart

__all__ = ["SIZES", "measure", "table"]

SIZES = [(1, 25, 16, 100), (32, 64, 64, 256)]
VOCABULARY = 65


def _tokens(size: tuple[int, int, int, int]) -> tuple[Any, Any]:
    batch, steps, _, _ = size
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (steps + 1, batch))
    return tokens[:-1], tokens[1:]


def ours(size: tuple[int, int, int, int]) -> Call:
    """One step with minirnn, the state carried."""
    minirnn.set_num_threads(THREADS)
    _, _, embedding, hidden = size
    inputs, targets = _tokens(size)
    rng = np.random.default_rng(0)
    model = minirnn.Sequential(
        minirnn.Embedding(VOCABULARY, embedding, rng=rng),
        minirnn.LSTM(embedding, hidden, rng=rng),
        minirnn.Linear(hidden, VOCABULARY, rng=rng),
    )

    def loss(model: Any, state: Any) -> Any:
        logits, state = model(inputs, state)
        return cross_entropy(logits, targets), state

    gradient, optimizer, carried = minirnn.value_and_grad(loss, has_aux=True), Adam(model, lr=1e-3), [None]

    def call() -> None:
        (_, carried[0]), grads = gradient(model, carried[0])
        grads, _ = clip_by_global_norm(grads, 1.0)
        optimizer.step(grads)

    return call


def with_torch(size: tuple[int, int, int, int]) -> Call | None:
    """The same with PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(THREADS)
    _, _, embedding, hidden = size
    inputs, targets = (torch.from_numpy(tokens) for tokens in _tokens(size))
    layers = torch.nn.ModuleList(
        [
            torch.nn.Embedding(VOCABULARY, embedding),
            torch.nn.LSTM(embedding, hidden),
            torch.nn.Linear(hidden, VOCABULARY),
        ]
    )
    optimizer, carried = torch.optim.Adam(layers.parameters(), lr=1e-3), [None]

    def call() -> None:
        outputs, state = layers[1](layers[0](inputs), carried[0])
        carried[0] = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(layers[2](outputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        optimizer.step()

    return call


def with_jax(size: tuple[int, int, int, int]) -> Call | None:
    """The same with JAX, everything under one jit."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax
    import jax.numpy as jnp

    batch, _, embedding, hidden = size
    inputs, targets = (jnp.asarray(tokens) for tokens in _tokens(size))
    rng = np.random.default_rng(0)
    shapes = {"e": (VOCABULARY, embedding), "w": (4 * hidden, embedding), "u": (4 * hidden, hidden), "b": (4 * hidden,)}
    shapes |= {"v": (VOCABULARY, hidden), "a": (VOCABULARY,)}
    draw = lambda shape: jnp.asarray(rng.uniform(-0.1, 0.1, shape).astype(np.float32))
    params = {name: draw(shape) for name, shape in shapes.items()}
    zeros = {name: jnp.zeros(shape, jnp.float32) for name, shape in shapes.items()}

    def loss(p: Any, state: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(x @ p["w"].T + h @ p["u"].T + p["b"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        state, outputs = jax.lax.scan(step, state, p["e"][inputs])
        log_p = jax.nn.log_softmax(outputs @ p["v"].T + p["a"])
        return -jnp.take_along_axis(log_p, targets[:, :, None], axis=2).mean(), state

    @jax.jit
    def update(p: Any, m: Any, v: Any, t: Any, state: Any) -> Any:
        grads, state = jax.grad(loss, has_aux=True)(p, state)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in grads.values()))
        grads = {name: g * jnp.minimum(1.0, 1.0 / norm) for name, g in grads.items()}
        m = {name: 0.9 * m[name] + 0.1 * g for name, g in grads.items()}
        v = {name: 0.999 * v[name] + 0.001 * g * g for name, g in grads.items()}
        scale = {name: jnp.sqrt(v[name] / (1 - 0.999**t)) + 1e-8 for name in p}
        p = {name: p[name] - 1e-3 * m[name] / (1 - 0.9**t) / scale[name] for name in p}
        return p, m, v, t + 1, state

    start = jnp.zeros((batch, hidden), jnp.float32)
    carried = [(params, zeros, zeros, jnp.float32(1), (start, start))]

    def call() -> None:
        carried[0] = jax.block_until_ready(update(*carried[0]))

    return call


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """A row a size: seconds of each contender."""
    rows = []
    for size in SIZES:
        makers = {"minirnn": ours, "torch": with_torch, "jax": with_jax}
        contenders = {name: Contender(name, make, (size,)) for name, make in makers.items()}
        timings = apart(contenders, seconds=2.0 if quick else 8.0, rounds=5 if quick else 15)
        rows.append({"size": size, "seconds": {name: timing._asdict() for name, timing in timings.items()}})
    return rows


def table(rows: list[dict[str, Any]]) -> Table:
    """Milliseconds a step, and minirnn's over each peer's."""
    peers = [name for name in rows[0]["seconds"] if name != "minirnn"]
    made = Table("(B, T, embedding, H)", "minirnn", *peers, *(f"/ {name}" for name in peers))
    made.title = "milliseconds a training step of a character LSTM, float32, medians"
    for row in rows:
        times = {name: 1e3 * timing["median"] for name, timing in row["seconds"].items()}
        made.add_row(
            str(tuple(row["size"])),
            f"{times['minirnn']:.3g}",
            *[f"{times[name]:.3g}" for name in peers],
            *[f"{times['minirnn'] / times[name]:.2f}" for name in peers],
        )
    return made
