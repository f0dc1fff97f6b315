"""Before a compiled cell is used: its results and gradients beside the reference's, on a tiny problem.

Both run on the cell's own arrays, with a few steps and rows of the call's inputs, slightly moved by noise so that no
number is zero by chance. A disagreement is a bug of the compiler, and an error that carries both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import reference, tree
from minirnn.boxes import unboxed
from minirnn.compile import sequence
from minirnn.compile.order import Order
from minirnn.compile.program import Program
from minirnn.transform import silent_vjp

__all__ = ["CompilerError", "verify"]

STEPS, ROWS, DRAWS = 3, 2, 3
TOLERANCE = {"float32": 2e-3, "float64": 1e-8, "float16": 1e-1}


class CompilerError(RuntimeError):
    """Compiled code and the reference give different numbers."""


def verify(program: Program, cell: Any, state: Any, xs: Any) -> None:
    """CompilerError: the program's outputs, states or gradients differ from the reference's on every draw."""
    cell, state, xs = (tree.map(unboxed, part) for part in (cell, state, xs))

    def differences(seed: int) -> list[tuple[str, float]]:
        return _differences(program, cell, state, xs, np.random.default_rng(seed))

    problems = [differences(0)]
    if problems[0]:
        problems += [differences(seed) for seed in range(1, DRAWS)]
    if all(problems):
        source = getattr(program.once_forward, "__globals__", {}).get("__file__", "memory")
        listed = "\n".join([f"  {name}: {error:.2g} relative" for name, error in problems[0]])
        raise CompilerError(
            f"minirnn compiled {type(cell).__name__} wrongly. This is a bug of minirnn; engine='python' avoids it. "
            f"Against the reference differ\n{listed}\nThe code is in {source}:\n{_text(source)}"
        )


def _text(source: str) -> str:
    try:
        with open(source) as file:
            return file.read()
    except OSError:
        return "(it was not written)"


def _differences(program: Program, cell: Any, state: Any, xs: Any, rng: np.random.Generator) -> list[tuple[str, float]]:
    def near(array: Any, cut: int) -> Any:
        small = np.array(array[:STEPS, :ROWS] if cut else array[:ROWS])
        return small + 0.1 * rng.standard_normal(small.shape).astype(small.dtype) if small.dtype.kind == "f" else small

    with np.errstate(all="ignore"):
        state, xs = tree.map(lambda a: near(a, 0), state), tree.map(lambda a: near(a, 1), xs)
        leaves, rebuild = tree.flatten((xs, state, cell))
        moving = [k for k, leaf in enumerate(leaves) if leaf.dtype.kind == "f"]
        lengths = np.maximum(1, STEPS - np.arange(len(tree.leaves(state)[0] if tree.leaves(state) else leaves[0][0])))
        lengths = np.minimum(lengths, len(leaves[0]))
        if not program.layout.row_wise:  # all at one pace
            lengths = np.full_like(lengths, len(leaves[0]))
        names: list[str] = []

        def run(*moved: Any) -> tuple[Any, ...]:
            given = list(leaves)
            for k, leaf in zip(moving, moved, strict=True):
                given[k] = leaf
            x, s, c = rebuild(given)
            final, outputs = reference.run(c, s, x, lengths, False, None)
            named = [*(("output " + n, v) for n, v in tree.named_leaves(outputs))]
            named += [("state " + n, v) for n, v in tree.named_leaves(final)]
            kept = [(n, v) for n, v in named if unboxed(v).dtype.kind == "f"]
            names[:] = [n for n, _ in kept]
            return tuple([v for _, v in kept])

        expected, pullback = silent_vjp(run, *[leaves[k] for k in moving])
        cotangents = [rng.standard_normal(value.shape).astype(value.dtype) for value in expected]
        gradients = pullback(tuple(cotangents))
        found, found_gradients = _compiled(program, leaves, xs, state, lengths, cotangents)
        names += [
            f"gradient of {name}" for name, leaf in tree.named_leaves((xs, state, cell)) if leaf.dtype.kind == "f"
        ]
        pairs = zip(names, [*expected, *gradients], [*found, *found_gradients], strict=True)
        return [(name, error) for name, a, b in pairs for error in [_error(a, b)] if error > TOLERANCE[a.dtype.name]]


def _compiled(
    program: Program, leaves: Sequence[Any], xs: Any, state: Any, lengths: Any, cotangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The compiled float results, and the gradients of the float leaves."""
    layout = program.layout
    columns, states = tree.leaves(xs), tree.leaves(state)
    parameters = leaves[len(columns) + len(states) :]
    steps, batch = columns[0].shape[:2]
    order = Order(lengths, steps, False)
    problem = sequence.Problem(program, parameters, [order.there(array) for array in columns], order.outside, None)
    outputs = [np.empty((steps, batch, *leaf.shape), leaf.dtype) for leaf in layout.outputs]
    final = [np.empty_like(array) for array in states]
    kept = sequence.forward(problem, states, outputs, final, True)
    found = [array for array in (*map(order.back, outputs), *final) if array.dtype.kind == "f"]
    count = sum(leaf.dtype.kind == "f" for leaf in layout.outputs)
    d_xs = [np.empty_like(a) for a in columns if a.dtype.kind == "f"]
    d_outputs = [order.only_inside(g) for g in cotangents[:count]]
    d_state, d_parameters = sequence.backward(problem, kept, d_outputs, cotangents[count:], d_xs, True)
    return found, [*map(order.back, d_xs), *d_state, *(d for d in d_parameters if d is not None)]


def _error(expected: Any, found: Any) -> float:
    """The largest difference in units of the largest number; where the reference is no number, nothing is asked."""
    if expected.shape != found.shape:
        return float("inf")
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    scale = max(1e-6, float(np.abs(expected[finite]).max()))
    difference = np.abs(np.where(finite, expected - np.where(finite, found, 0), 0)).max()
    return float(difference) / scale if np.isfinite(difference) else float("inf")
