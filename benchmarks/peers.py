"""The same layer as a peer has it: a call for one forward pass, or one training pass (forward and all gradients).

Each function returns None where the peer is not installed. Inputs and weights are random; nothing depends on them.
"""

import importlib.util
from typing import Any, NamedTuple

import numpy as np

from minirnn.speed.passes import Call, Pass, jax_pass, torch_pass
from minirnn.speed.timing import THREADS
from minirnn.speed.twins import BUILT_IN, TWINS

__all__ = ["Problem", "autograd_loop", "installed", "jax_scan", "torch_layer"]

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


class Problem(NamedTuple):
    """What is timed: RNN, LSTM or GRU; forward or train; (B, T, I, H); float32 or float64."""

    kind: str
    mode: str
    size: tuple[int, int, int, int]
    dtype: str

    @property
    def cell(self) -> Any:
        """Its class."""
        return BUILT_IN[self.kind.lower()]

    def as_pass(self, threads: int = THREADS) -> Pass:
        """The same without the kind."""
        return Pass(self.size, self.mode, self.dtype, threads)

    def xs(self) -> Any:
        """(T, B, I) standard normal numbers."""
        batch, steps, inputs, _ = self.size
        return np.random.default_rng(0).standard_normal((steps, batch, inputs)).astype(self.dtype)

    def flops(self) -> float:
        """Floating-point operations of the matrix products alone: 2 a multiply-add, three passes where it trains."""
        batch, steps, inputs, hidden = self.size
        return 2.0 * batch * steps * (inputs + hidden) * GATES[self.kind] * hidden * (3 if self.mode == "train" else 1)


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def torch_layer(problem: Problem, threads: int) -> Call | None:
    """torch.nn.LSTM and its kin."""
    return (
        torch_pass(TWINS[problem.cell]["torch"], problem.cell, problem.as_pass(threads)) if installed("torch") else None
    )


def jax_scan(problem: Problem) -> Call | None:
    """jit(lax.scan) of the step, and its gradient."""
    return jax_pass(TWINS[problem.cell]["jax"], problem.cell, problem.as_pass()) if installed("jax") else None


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
