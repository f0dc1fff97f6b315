"""Cells whose behaviour is known, and what several of these tests ask of a layer."""

import autograd.numpy as np
import numpy as onp

import minirnn
from minirnn import cells


@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"), b=("hidden",), state_=("c", "h"))
def carousel(p, s, x):
    """A cell of anyone's own, with a gate called k that keeps."""
    k = minirnn.functional.sigmoid(x @ p.w.T + s.h @ p.u.T + p.b)
    c = k * s.c + (1 - k) * np.tanh(s.h @ p.u.T)
    return (c, np.tanh(c)), np.tanh(c)


def layer_of(name, dtype=onp.float64, seed=0):
    """A small layer of a built-in cell, of one of the zoo, or of the cell above."""
    rng = onp.random.default_rng(seed)
    if name in ("RNN", "LSTM", "GRU"):
        return getattr(minirnn, name)(3, 4, rng=rng, dtype=dtype)
    if name == "carousel":
        return minirnn.Recurrent(carousel(3, 4, rng=rng, dtype=dtype))
    return minirnn.Recurrent(cells.small(name, rng=rng, dtype=dtype))


def inputs_for(layer, steps=6, batch=2, seed=1):
    size = layer.input_size if isinstance(layer.input_size, tuple) else (layer.input_size,)
    return onp.random.default_rng(seed).standard_normal((steps, batch, *size))
