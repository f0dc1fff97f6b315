"""A recurrent cell of ten lines of NumPy, trained in JAX by its derived backward pass.

The cell is written as a file of JAX, as `minirnn export examples/cell_in_jax.py:decaying cell_jax.py --to jax` writes
it. From there on nothing of minirnn runs: JAX trains it on the adding problem (Hochreiter & Schmidhuber 1997), where
two marked numbers of a sequence are to be summed; always saying 1 has a mean squared error of 0.167. At the end the
trained weights go back into minirnn's cell, which computes the same.

pip install 'minirnn[peers]'; python examples/cell_in_jax.py
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import autograd.numpy as np
import numpy as onp

import minirnn
from minirnn.interop.source import write


@minirnn.cell(w=("3*hidden", "input"), u=("3*hidden", "hidden"), b=("3*hidden",), state_=("h", "c"))
def decaying(p: Any, s: Any, x: Any) -> Any:
    """A memory that decays as fast as its input says, and a gate in front of it.

    c' = sigmoid(f) * c + (1 - sigmoid(f)) * tanh(g)
    h' = sigmoid(o) * c'
    """
    f, g, o = np.split(x @ p.w.T + s.h @ p.u.T + p.b, 3, axis=1)
    keep = minirnn.functional.sigmoid(f)
    c = keep * s.c + (1 - keep) * np.tanh(g)
    h = minirnn.functional.sigmoid(o) * c
    return (h, c), h


def batch(rng: onp.random.Generator, size: int, steps: int) -> tuple[Any, Any]:
    """Sequences (T, B, 2) of numbers and marks, and the sums of the two numbers that are marked (B,)."""
    numbers, marks = rng.uniform(size=(steps, size)), onp.zeros((steps, size))
    first, second = rng.integers(0, steps // 2, size), rng.integers(steps // 2, steps, size)
    marks[first, onp.arange(size)] = marks[second, onp.arange(size)] = 1
    return onp.stack([numbers, marks], axis=-1).astype(onp.float32), (numbers * marks).sum(0).astype(onp.float32)


def main(steps: int, length: int) -> None:
    import jax
    import jax.numpy as jnp

    with tempfile.TemporaryDirectory() as folder:
        write(decaying, Path(folder) / "cell_jax.py", to="jax")
        sys.path.insert(0, folder)
        cell: Any = importlib.import_module("cell_jax")

    hidden, rate, rng = 32, 0.01, onp.random.default_rng(0)
    weights = {"cell": cell.init(jax.random.key(0), 2, hidden), "read": jnp.zeros(hidden), "bias": jnp.ones(())}
    moments = jax.tree.map(lambda a: (jnp.zeros_like(a), jnp.zeros_like(a)), weights)

    def loss(weights: Any, xs: Any, sums: Any) -> Any:
        outputs, _ = cell.apply(weights["cell"], xs)
        return ((outputs[-1] @ weights["read"] + weights["bias"] - sums) ** 2).mean()

    @jax.jit
    def update(weights: Any, moments: Any, xs: Any, sums: Any, t: Any) -> Any:
        """A step of Adam."""
        value, grads = jax.value_and_grad(loss)(weights, xs, sums)
        moments = jax.tree.map(lambda g, m: (0.9 * m[0] + 0.1 * g, 0.999 * m[1] + 0.001 * g * g), grads, moments)
        scale = jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = jax.tree.map(lambda a, m: a - rate * scale * m[0] / (jnp.sqrt(m[1]) + 1e-8), weights, moments)
        return weights, moments, value

    for t in range(1, steps + 1):
        weights, moments, value = update(weights, moments, *batch(rng, 64, length), t)
        if t % 100 == 0 or t == steps:
            print(f"step {t:4}  mean squared error {value:.4f}")

    ours = decaying(2, hidden)
    ours.load_state_dict({name: onp.asarray(a) for name, a in weights["cell"]._asdict().items()})
    xs, _ = batch(rng, 3, length)
    apart = onp.abs(minirnn.Recurrent(ours)(xs)[0] - onp.asarray(cell.apply(weights["cell"], xs)[0])).max()
    print(f"minirnn's own cell with these weights: {apart:.0e} from JAX's outputs")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--length", type=int, default=30)
    main(**vars(parser.parse_args()))
