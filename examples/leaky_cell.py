"""A new cell in ten lines, and the same cell as PyTorch's and JAX's users write it.

minirnn check examples/leaky_cell.py:leaky_cell
minirnn bench examples/leaky_cell.py:leaky_cell --against torch,jax
"""

import autograd.numpy as np

import minirnn


@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"), b=("hidden",))
def leaky_cell(p, h, x):
    h = 0.5 * h + 0.5 * np.tanh(x @ p.w.T + h @ p.u.T + p.b)
    return h, h


def leaky_cell_torch(input_size, hidden_size):
    """A module whose parameters are called as the cell's; called on (T, B, I) it returns the outputs."""
    import torch

    class Leaky(torch.nn.Module):
        def __init__(self):
            super().__init__()
            new = lambda *shape: torch.nn.Parameter(
                torch.empty(shape).uniform_(-(hidden_size**-0.5), hidden_size**-0.5)
            )
            self.w, self.u, self.b = new(hidden_size, input_size), new(hidden_size, hidden_size), new(hidden_size)

        def forward(self, xs):
            h, outputs = xs.new_zeros(xs.shape[1], hidden_size), []
            for a in xs @ self.w.T + self.b:  # the inputs' products, for all steps at once
                h = 0.5 * h + 0.5 * torch.tanh(a + h @ self.u.T)
                outputs.append(h)
            return torch.stack(outputs)

    return Leaky()


def leaky_cell_jax(p, h, x):
    """A step for jax.lax.scan, on the cell's own arrays."""
    import jax.numpy as jnp

    h = 0.5 * h + 0.5 * jnp.tanh(x @ p["w"].T + h @ p["u"].T + p["b"])
    return h, h
