"""Memory capacity: how much of a random input can be read off the state, k steps later (Jaeger 2001, GMD report 152,
"Short term memory in echo state networks").

    MC = sum over k >= 1 of MC_k,      MC_k = squared correlation of u(t - k) and the best linear reading of the state

for an independent input u. At most the number of units; a chain of H units that hand on what they hold has H.
"""

from typing import NamedTuple

import numpy as np

from minirnn import tree
from minirnn.analysis.unrolled import cell_of, unroll
from minirnn.module import Array, Module

__all__ = ["MemoryCapacity", "memory_capacity"]


class MemoryCapacity(NamedTuple):
    """by_lag: MC_k for k = 1 .. lags, (lags,), each 0 to 1; total: their sum."""

    by_lag: Array
    total: float


def memory_capacity(
    layer: Module,
    rng: np.random.Generator,
    *,
    lags: int | None = None,
    steps: int = 4000,
    scale: float = 0.5,
    ridge: float = 1e-9,
) -> MemoryCapacity:
    """The memory capacity of a layer of one cell, as it is now, measured on steps that the reading was not fitted to.

    u(t) is drawn from U(-scale, scale), along one random direction where the input has more than one feature. The
    reading is a ridge regression of the state's numbers (h and c of an LSTM) and a constant, fitted to the first half
    of the steps behind the first `lags`; lags: twice the number of units by default.

    ValueError, TypeError: sizes that are not positive, too few steps for the regression, a layer of several cells.
    """
    cell = cell_of("memory_capacity", layer)
    if not isinstance(cell.input_size, int):
        raise ValueError(f"memory_capacity: inputs of shape {cell.input_size} came, vectors were expected")
    far = 2 * cell.hidden_size if lags is None else lags
    if far < 1 or not scale > 0 or not ridge >= 0:
        raise ValueError(
            f"memory_capacity: lags={far}, scale={scale}, ridge={ridge} came; 1 or more, > 0, >= 0 expected"
        )
    u = rng.uniform(-scale, scale, steps)
    direction = rng.standard_normal(cell.input_size) if cell.input_size > 1 else np.ones(1)
    direction /= np.linalg.norm(direction)
    xs = (u[:, None, None] * direction).astype(cell.dtype)
    seen = unroll("memory_capacity", cell, xs).states[1:]
    features = np.array([np.concatenate([np.ravel(leaf) for leaf in _leaves(state)]) for state in seen], np.float64)
    features = np.concatenate([features, np.ones((steps, 1))], axis=1)[far:]
    half = len(features) // 2
    if half <= features.shape[1]:
        raise ValueError(
            f"memory_capacity: steps={steps} leaves {half} steps to fit {features.shape[1]} numbers; more were expected"
        )
    targets = np.stack([u[far - k : steps - k] for k in range(1, far + 1)], axis=1)
    gram = features[:half].T @ features[:half]
    weights = np.linalg.solve(gram + ridge * half * np.eye(len(gram)), features[:half].T @ targets[:half])
    read, wanted = features[half:] @ weights, targets[half:]
    read, wanted = read - read.mean(axis=0), wanted - wanted.mean(axis=0)
    size = (read * read).sum(axis=0) * (wanted * wanted).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_lag: Array = np.where(size > 0, (read * wanted).sum(axis=0) ** 2 / size, 0.0)
    return MemoryCapacity(by_lag, float(by_lag.sum()))


def _leaves(state: object) -> list[Array]:
    return [leaf for leaf in tree.leaves(state) if np.asarray(leaf).dtype.kind == "f"]
