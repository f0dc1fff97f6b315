"""The same layer as a peer has it: a call for one forward pass, or one training pass (forward and all gradients).

Each function returns None where the peer is not installed. Inputs and weights are random; nothing depends on them.
"""

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Problem", "autograd_loop", "jax_scan", "torch_layer"]

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
Call = Callable[[], Any]


class Problem(NamedTuple):
    """What is timed: RNN, LSTM or GRU; forward or train; (B, T, I, H); float32 or float64."""

    kind: str
    mode: str
    size: tuple[int, int, int, int]
    dtype: str

    def xs(self) -> Any:
        """(T, B, I) standard normal numbers."""
        batch, steps, inputs, _ = self.size
        return np.random.default_rng(0).standard_normal((steps, batch, inputs)).astype(self.dtype)

    def flops(self) -> float:
        """Floating-point operations of the matrix products alone: 2 a multiply-add, three passes where it trains."""
        batch, steps, inputs, hidden = self.size
        return 2.0 * batch * steps * (inputs + hidden) * GATES[self.kind] * hidden * (3 if self.mode == "train" else 1)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def torch_layer(problem: Problem, threads: int) -> Call | None:
    """torch.nn.LSTM and its kin."""
    if not _installed("torch"):
        return None
    import torch

    torch.set_num_threads(threads)
    _, _, inputs, hidden = problem.size
    layer = getattr(torch.nn, problem.kind)(inputs, hidden).to(getattr(torch, problem.dtype))
    xs = torch.from_numpy(problem.xs())

    def forward() -> Any:
        with torch.no_grad():
            return layer(xs)[0]

    given = xs.clone().requires_grad_()

    def train() -> None:
        layer.zero_grad(set_to_none=True)
        given.grad = None
        layer(given)[0].sum().backward()

    return train if problem.mode == "train" else forward


def jax_scan(problem: Problem) -> Call | None:
    """jit(lax.scan) of the step, and its gradient."""
    if not _installed("jax"):
        return None
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    batch, _, inputs, hidden = problem.size
    rows, rng = GATES[problem.kind] * hidden, np.random.default_rng(0)
    shapes = [(rows, inputs), (rows, hidden), (rows,), (rows,)]
    weights = [jnp.asarray(rng.uniform(-0.1, 0.1, shape).astype(problem.dtype)) for shape in shapes]

    def step(weights: Any, state: Any, x: Any) -> Any:
        w, u, b, c = weights
        if problem.kind == "RNN":
            h = jnp.tanh(x @ w.T + b + state @ u.T + c)
            return h, h
        if problem.kind == "GRU":
            a, z_ = x @ w.T + b, state @ u.T + c
            r, z = jax.nn.sigmoid(jnp.split(a + z_, 3, axis=1)[0]), jax.nn.sigmoid(jnp.split(a + z_, 3, axis=1)[1])
            n = jnp.tanh(a[:, 2 * hidden :] + r * z_[:, 2 * hidden :])
            h = (1 - z) * n + z * state
            return h, h
        h, memory = state
        i, f, g, o = jnp.split(x @ w.T + b + h @ u.T + c, 4, axis=1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(memory)
        return (h, memory), h

    def run(weights: Any, xs: Any) -> Any:
        zeros = jnp.zeros((batch, hidden), problem.dtype)
        state = (zeros, zeros) if problem.kind == "LSTM" else zeros
        return jax.lax.scan(lambda state, x: step(weights, state, x), state, xs)[1]

    xs = jnp.asarray(problem.xs())
    chosen = jax.grad(lambda w, x: run(w, x).sum(), argnums=(0, 1)) if problem.mode == "train" else run
    compiled = jax.jit(chosen)
    return lambda: jax.block_until_ready(compiled(weights, xs))


def autograd_loop(problem: Problem) -> Call | None:
    """autograd's own gradient of a Python loop over the step, as its users write it."""
    import autograd
    import autograd.numpy as anp

    batch, steps, inputs, hidden = problem.size
    rows, rng = GATES[problem.kind] * hidden, np.random.default_rng(0)
    shapes = [(rows, inputs), (rows, hidden), (rows,), (rows,)]
    weights = tuple(rng.uniform(-0.1, 0.1, shape).astype(problem.dtype) for shape in shapes)
    sigmoid = lambda x: 0.5 * (anp.tanh(0.5 * x) + 1.0)

    def run(given: Any) -> Any:
        (w, u, b, c), xs = given
        h = memory = np.zeros((batch, hidden), problem.dtype)
        outputs = []
        for t in range(steps):
            a, z = anp.dot(xs[t], w.T) + b, anp.dot(h, u.T) + c
            if problem.kind == "RNN":
                h = anp.tanh(a + z)
            elif problem.kind == "GRU":
                r, keep = sigmoid(a[:, :hidden] + z[:, :hidden]), sigmoid(a[:, hidden:-hidden] + z[:, hidden:-hidden])
                h = (1 - keep) * anp.tanh(a[:, -hidden:] + r * z[:, -hidden:]) + keep * h
            else:
                a = a + z
                i, f, g, o = (a[:, k * hidden : (k + 1) * hidden] for k in range(4))
                memory = sigmoid(f) * memory + sigmoid(i) * anp.tanh(g)
                h = sigmoid(o) * anp.tanh(memory)
            outputs.append(h)
        return anp.stack(outputs)

    given = (weights, problem.xs())
    if problem.mode == "forward":
        return lambda: run(given)
    gradient = autograd.grad(lambda given: anp.sum(run(given)))
    return lambda: gradient(given)
