"""Cells to be timed, and twins right and wrong: a module of its own, which other processes import."""

import autograd.numpy as np

import minirnn


@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"), state_=("h", "c"))
def summing(p, s, x):
    c = s.c + x @ p.w.T
    h = np.tanh(c + s.h @ p.u.T)
    return (h, c), h


@minirnn.cell(w=("hidden", "input"))
def branching(p, h, x):
    h = h + x @ p.w.T if np.sum(x) > 0 else h + np.tanh(x @ p.w.T)
    return h, h


def summing_jax(p, s, x):
    import jax.numpy as jnp

    h, c = s
    c = c + x @ p["w"].T
    h = jnp.tanh(c + h @ p["u"].T)
    return (h, c), h


def forgetful_jax(p, s, x):
    (h, c), output = summing_jax(p, s, x)
    return (h, 0.9 * c), output


def failing_jax(p, s, x):
    return s, x @ p["no such array"].T


def gru_without_names(input_size, hidden_size):
    import torch

    return torch.nn.Sequential(torch.nn.GRU(input_size, hidden_size))
