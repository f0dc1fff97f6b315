"""Cells as a user writes them, for what is made of any cell."""

import autograd.numpy as np
import numpy as onp

import minirnn


@minirnn.cell(
    w=("2*hidden", "input"), u=("2*hidden", "hidden"), b=("2*hidden",), state_=("h", "fast"), options_={"decay": 0.5}
)
def leaky_cell(p, s, x):
    """A leaky unit beside a fast trace.

    z, n = W x + U h + b
    fast' = decay * fast + (1 - decay) * tanh(n)
    h' = (1 - sigmoid(z)) * h + sigmoid(z) * fast'
    """
    a = x @ p.w.T + s.h @ p.u.T + p.b
    size = a.shape[1] // 2
    z = 1 / (1 + np.exp(-a[:, :size]))
    fast = p.decay * s.fast + (1 - p.decay) * np.tanh(a[:, size:])
    h = (1 - z) * s.h + z * fast
    return (h, fast), h * fast


@minirnn.cell(w=("hidden", "input"))
def mean_cell(p, h, x):
    """Rows of the batch meet."""
    h = h + x @ p.w.T - np.mean(h, axis=0)
    return h, h


@minirnn.cell(w=("hidden", "input"))
def sorting_cell(p, h, x):
    """An operation that no file has."""
    h = np.sort(h + x @ p.w.T, axis=1)
    return h, h


class CrowdedCell(minirnn.Cell):
    """Arrays and variables with names that a file has for things of its own."""

    def __init__(self, input_size, hidden_size, *, rng, dtype=onp.float32):
        self.input_size, self.hidden_size = input_size, hidden_size
        draw = lambda *shape: minirnn.Parameter(rng.normal(0, 0.5, shape).astype(dtype))
        self.state, self.new = draw(hidden_size, input_size), draw(hidden_size, hidden_size)
        self.y, self.T, self.x = draw(hidden_size), draw(hidden_size), draw(hidden_size)

    def step(self, state, x):
        now = x @ self.state.T
        past = self.new * 2.0
        made = state @ past.T + self.y * self.x
        inside = np.tanh(now + made) * self.T
        lambda_ = state + inside
        carried = lambda_[:, ::-1]
        state = np.maximum(0.5 * lambda_, carried)
        return state, state * now
