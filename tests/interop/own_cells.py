"""Cells as a user writes them, for what is made of any cell."""

import autograd.numpy as np

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
