"""Steps in which rows of the batch meet, and steps whose values have several rows for one of the batch."""

import autograd.numpy as np
import numpy as onp

import minirnn
from minirnn.functional import linear, softmax, tanh

H = 4


class OneLine(minirnn.Cell):
    """h' = tanh(line(cell, h, a)) of a state h and a = W x."""

    def __init__(self, line, dtype=onp.float64):
        self.input_size, self.hidden_size, self.line = 3, H, line
        rng = onp.random.default_rng(0)
        self.w = minirnn.Parameter(rng.uniform(-0.8, 0.8, (H, 3)).astype(dtype))
        self.u = minirnn.Parameter(rng.uniform(-0.6, 0.6, (H, H)).astype(dtype))
        self.v = minirnn.Parameter(rng.uniform(-0.8, 0.8, (H,)).astype(dtype))

    def initial_state(self, batch_size, dtype=None):
        return onp.zeros((batch_size, H), self.w.dtype)

    def step(self, h, x):
        h = tanh(self.line(self, h, linear(x, self.w)))
        return h, h


def _beside(h, a):
    return np.concatenate([tanh(h), tanh(a)], axis=1)


def _beside_its_halves(p, h, a):
    t = np.exp(-((h + a) ** 2))
    halves = np.reshape(np.reshape(t, (-1, 2)) @ p.u[:2, :2], (-1, H))
    return np.concatenate([t, halves], axis=1) @ np.concatenate([p.u, p.u]) + np.mean(h, axis=0)


MEETING = {
    "a whole beside its halves": _beside_its_halves,
    "sum over rows": lambda p, h, a: a + h - 0.2 * np.sum(h, axis=0, keepdims=True),
    "sum of everything": lambda p, h, a: a + 0.1 * np.sum(h) + h,
    "strongest of all rows": lambda p, h, a: a + np.max(h, axis=0),
    "softmax over rows": lambda p, h, a: a + softmax(h, axis=0),
    "product of all rows": lambda p, h, a: a + h @ (a.T @ h),
    "product of pairs of rows": lambda p, h, a: a + 0.1 * ((h @ h.T) @ a),
    "attention between rows": lambda p, h, a: a + softmax(h @ h.T) @ a,
    "mean of rows": lambda p, h, a: a + h - np.mean(h, axis=0),
    "batch normalisation": lambda p, h, a: h + p.v * (a - np.mean(a, axis=0)) / np.sqrt(np.var(a, axis=0) + 0.1),
    "spread of rows": lambda p, h, a: a + h / (1.0 + np.std(np.concatenate([a, h]), axis=0, ddof=1, keepdims=True)),
    "masks of rows": lambda p, h, a: a + h @ ((h > 0).T @ a) + np.sum((a > 0) * a, axis=0) * h,
    "number of rows": lambda p, h, a: a * len(h) + h * (p.v / len(h)),
    "rows by number": lambda p, h, a: a + np.sum(h[[0, 0]] * p.u[[1, 1]], axis=0),
    "every other of pairs": lambda p, h, a: a + 0.1 * (h[:, :2] @ a[:, ::2].T) @ a,
    "first row": lambda p, h, a: a + h[0] * p.v,
    "rows behind one another": lambda p, h, a: np.concatenate([h, a], axis=0)[: np.shape(h)[0]] + a,
    "stacked in front": lambda p, h, a: np.sum(np.stack([a, h], axis=0), axis=0),
    "contraction over rows": lambda p, h, a: a + np.einsum("bi,bj,bk->ik", h, a, h)[0] * h,
    "a column of ones": lambda p, h, a: a + h + np.ones((np.shape(h)[0], 1), p.v.dtype) @ p.v[None],
    "halves turned": lambda p, h, a: a + np.reshape(np.swapaxes(np.reshape(h.T, (2, 2, -1)), 0, 1), (H, -1)).T,
}
SEVERAL = {
    "a value and its column": lambda p, h, a: (h - a) * (h - a)[:, 1:2] + (a * p.v) * (a * p.v)[:, :1],
    "halves of a part": lambda p, h, a: np.reshape(np.reshape(_beside(h, a)[:, 2:6], (-1, 2)) * p.v[:2], (-1, H)) + a,
    "weights in front": lambda p, h, a: a + (p.u @ h.T).T,
    "halves of rows": lambda p, h, a: np.reshape(tanh(np.reshape(h, (-1, 2)) + p.v[:2]), (-1, H)) + a,
    "product of halves": lambda p, h, a: np.reshape(np.reshape(h, (-1, 2)) @ p.u[:2, :2], (-1, H)) + a,
    "linear of a matrix a row": lambda p, h, a: np.reshape(linear(np.reshape(h, (-1, 2, 2)), p.u[:2, :2]), (-1, H)) + a,
    "turned and reshaped": lambda p, h, a: np.reshape(np.swapaxes(np.reshape(h, (-1, 2, 2)), 1, 2), (-1, H)) + a,
    "part reshaped": lambda p, h, a: a + np.reshape(np.reshape(h, (-1, 2, 2))[:, :, :1], (-1, 2))[:, :1],
    "every other": lambda p, h, a: np.concatenate([h[:, ::2], a[:, ::-1][:, :2]], axis=1),
    "strongest, with ties": lambda p, h, a: a + np.max(np.maximum(h, 0.1), axis=1, keepdims=True),
}
