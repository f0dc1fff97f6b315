"""A layer of minirnn as a call: through the public API, or its kernel alone."""

from typing import Any

import autograd.numpy as anp
import numpy as np

import minirnn
from benchmarks.peers import Call, Problem
from minirnn import tree
from minirnn.call import Call as Scan
from minirnn.compile.engine import program_for
from minirnn.compile.rule import Compiled
from minirnn.tier import tier

__all__ = ["kernel_call", "layer_call"]


def layer_call(problem: Problem, threads: int, engine: str = "auto", kernels: str = "auto") -> Call:
    """A pass through the public API: the layer, or minirnn.value_and_grad by the layer's weights and the input."""
    minirnn.set_num_threads(threads)
    _, _, inputs, hidden = problem.size
    layer = getattr(minirnn, problem.kind)(inputs, hidden, dtype=problem.dtype, engine=engine)
    xs = problem.xs()
    gradient = minirnn.value_and_grad(lambda layer, xs: anp.sum(layer(xs)[0]), argnums=(0, 1))

    def call() -> Any:
        with tier(kernels):
            return gradient(layer, xs) if problem.mode == "train" else layer(xs)

    return call


def kernel_call(problem: Problem, threads: int) -> Call:
    """The same work of the compiled program alone: no layer, no checks, no trace."""
    minirnn.set_num_threads(threads)
    batch, _, inputs, hidden = problem.size
    cell = getattr(minirnn, f"{problem.kind}Cell")(inputs, hidden, dtype=problem.dtype)
    scanned = Scan(cell, cell.initial_state(batch), problem.xs(), None, False, None)
    rule = Compiled(scanned, program_for(scanned), lambda call: None)
    arrays = [*scanned.columns, *scanned.states, *tree.leaves(cell)]
    trains, every = problem.mode == "train", range(len(arrays))

    def call() -> Any:
        results, cache = rule.forward(arrays, keep=trains)
        if trains:
            cotangents = [np.ones_like(results[0]), *[None for _ in scanned.states]]
            rule.backward(arrays, cache, cotangents, every)

    return call
