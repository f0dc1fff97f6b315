"""Lyapunov exponents: how fast small changes of the state grow or die along a trajectory.

    Q_{t+1} R_{t+1} = J_t Q_t,      lambda_i = mean over t of log |R_t[i, i]|

J_t is the Jacobian of step t, and Q an orthonormal basis of directions, made orthonormal again after each step so that
the fastest does not swallow the others (Benettin, Galgani, Giorgilli & Strelcyn 1980, doi:10.1007/BF02128236; for
recurrent networks Engelken, Wolf & Abbott 2023, arXiv:2006.02427). Positive: nearby states part, and gradients explode;
negative: what happened is forgotten, and gradients vanish, by exp(lambda) a step; near 0: they live long.
"""

from typing import Any

import numpy as np

from minirnn import threads, tree
from minirnn.analysis.unrolled import pushed_forward, unroll
from minirnn.module import Array, Module

__all__ = ["lyapunov"]


def lyapunov(layer: Module, xs: Array, state: Any = None, *, count: int | None = None, transient: int = 0) -> Array:
    """The Lyapunov exponents in nats a step, the largest first: (count, B), along the trajectory that xs drives.

    layer: a Cell or a layer of one cell; xs: (T, B, I); state: where the trajectory begins, zeros by default; count:
    how many exponents, all S of a state of S numbers by default; transient: steps that are run before the mean begins,
    while the basis turns into the right directions. -inf where a direction dies within a step.

    The last of several exponents need long trajectories; look whether half of T gives the same. ValueError, TypeError:
    a count that the state does not have, nothing left behind the transient, and what `gradient_flow` raises.
    """
    walked = unroll("lyapunov", layer, xs, state)
    leaves = [leaf for leaf in tree.leaves(walked.states[0]) if np.asarray(leaf).dtype.kind == "f"]
    sizes = [int(np.prod(np.shape(leaf)[1:])) for leaf in leaves]
    batch, size, steps = np.shape(leaves[0])[0], sum(sizes), len(walked.xs)
    wanted = size if count is None else count
    if not 1 <= wanted <= size:
        raise ValueError(f"lyapunov: count={count} came, 1 to {size} were expected, the numbers of the state")
    if not 0 <= transient < steps:
        raise ValueError(f"lyapunov: transient={transient} came, 0 to {steps - 1} were expected: xs has {steps} steps")
    basis = np.broadcast_to(np.eye(size, wanted), (batch, size, wanted))
    total = np.zeros((batch, wanted))
    cuts = np.cumsum(sizes)[:-1]
    for t in range(steps):
        columns = [
            np.moveaxis(part, 2, 0).reshape(wanted, *np.shape(leaf)).astype(leaf.dtype)
            for part, leaf in zip(np.split(basis, cuts, axis=1), leaves, strict=True)
        ]
        moved = pushed_forward(walked.cell, walked.states[t], walked.xs[t], columns)
        stretched = np.concatenate([np.moveaxis(m.reshape(wanted, batch, -1), 0, 2) for m in moved], axis=1)
        with threads.single_threaded_blas:
            basis, factors = np.linalg.qr(stretched.astype(np.float64))
        if t >= transient:
            with np.errstate(divide="ignore"):
                total += np.log(np.abs(np.diagonal(factors, axis1=1, axis2=2)))
    found: Array = -np.sort(-total.T / (steps - transient), axis=0)
    return found
