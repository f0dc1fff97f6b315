"""What the families of the zoo share: stacked gates, an LSTM with peepholes, the two leaky updates, and
initialisers by block.

Weights of several gates are stacked, w (n*H, I), u (n*H, H), b (n*H,), so that a step is one product with the input
and one with the state; each file gives the order of its blocks.
"""

from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import init
from minirnn.functional import linear, relu, sigmoid, split, tanh
from minirnn.module import Array

__all__ = ["ACTIVATIONS", "blocks", "chrono", "gates", "hard_sigmoid", "keep", "move", "peephole", "rows"]

ACTIVATIONS = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


def gates(p: Any, h: Array, x: Array, n: int) -> tuple[Array, ...]:
    """The n blocks of W x + U h + b, before their nonlinearities: (B, H) each."""
    return split(linear(x, p.w, p.b) + linear(h, p.u), n)


def rows(matrix: Array, n: int) -> tuple[Array, ...]:
    """The n blocks (H, ...) of a stacked (n*H, ...) array, for gates that are not computed at one go."""
    size = np.shape(matrix)[0] // n
    return tuple(matrix[k * size : (k + 1) * size] for k in range(n))


def peephole(p: Any, h: Array, c: Array, x: Array) -> tuple[Array, Array]:
    """(o, c') of an LSTM whose gates see the memory: blocks i, f, g, o of w, u, b and i, f, o of v (3H,)."""
    v_i, v_f, v_o = split(p.v, 3)
    i, f, g, o = gates(p, h, x, 4)
    i, f = sigmoid(i + v_i * c), sigmoid(f + v_f * c)
    c = f * c + i * tanh(g)
    return sigmoid(o + v_o * c), c


def keep(f: Array | float, h: Array, candidate: Array) -> Array:
    """f * h + (1 - f) * candidate: a leaky update by the share that stays."""
    return f * h + (1 - f) * candidate


def move(z: Array | float, h: Array, candidate: Array) -> Array:
    """(1 - z) * h + z * candidate: a leaky update by the share that is new."""
    return (1 - z) * h + z * candidate


def hard_sigmoid(x: Array) -> Array:
    """0.2 x + 0.5, cut to [0, 1]: the sigmoid in three straight lines, with Theano's slope."""
    return np.clip(0.2 * x + 0.5, 0, 1)


# ---------------------------------------------------------------- initialisers
def blocks(*initialisers: init.Initialiser) -> init.Initialiser:
    """Each initialiser draws one block of a stacked (n*H, ...) array, in order. ValueError: n does not divide it."""

    def draw(rng: onp.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
        size, rest = divmod(shape[0], len(initialisers))
        if rest:
            raise ValueError(f"blocks: shape {shape} came, ({len(initialisers)} * H, ...) was expected")
        return onp.concatenate([initialiser(rng, (size, *shape[1:]), dtype) for initialiser in initialisers])

    return draw


def chrono(t_max: int) -> init.Initialiser:
    """log U(1, t_max - 1), a forget gate's bias for memories of up to t_max steps (Tallec & Ollivier 2018,
    arXiv:1804.11188). ValueError: t_max below 3."""
    if t_max < 3:
        raise ValueError(f"chrono: t_max={t_max} came, 3 or more was expected")
    return lambda rng, shape, dtype: onp.log(rng.uniform(1, t_max - 1, shape)).astype(dtype)
