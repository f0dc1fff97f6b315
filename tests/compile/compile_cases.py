"""Problems for the compiler's tests, and one engine's numbers beside another's."""

from typing import Any, NamedTuple

import numpy as np

import minirnn
from minirnn import tree
from minirnn.boxes import unboxed

CLASSIC = {"RNN": minirnn.RNNCell, "LSTM": minirnn.LSTMCell, "GRU": minirnn.GRUCell}
EVERY = [*CLASSIC, *minirnn.cells.names()]


class Problem(NamedTuple):
    cell: Any
    state: Any
    xs: Any


def cell_of(name: str, dtype: Any = np.float64) -> Any:
    rng = np.random.default_rng(3)
    return (
        CLASSIC[name](2, 3, rng=rng, dtype=dtype)
        if name in CLASSIC
        else minirnn.cells.small(name, rng=rng, dtype=dtype)
    )


def problem(cell: Any, steps: int = 5, batch: int = 4, seed: int = 0) -> Problem:
    """A cell with random inputs and a random state."""
    rng = np.random.default_rng(seed)
    size = cell.input_size if isinstance(cell.input_size, tuple) else (cell.input_size,)
    xs = cell.inputs(rng.standard_normal((steps, batch, *size)).astype(cell.dtype))
    move = lambda a: (a + 0.3 * rng.standard_normal(a.shape)).astype(a.dtype) if a.dtype.kind == "f" else a
    return Problem(cell, tree.map(move, cell.initial_state(batch)), xs)


def numbers(given: Problem, engine: str, **options: Any) -> list[Any]:
    """Outputs, final states, and the gradients of all float arrays, under a fixed cotangent."""
    leaves, rebuild = tree.flatten(tuple(given))
    moving = [k for k, leaf in enumerate(leaves) if leaf.dtype.kind == "f"]
    others: list[Any] = []

    def run(*moved: Any) -> tuple[Any, ...]:
        arrays = list(leaves)
        for k, array in zip(moving, moved, strict=True):
            arrays[k] = array
        final, outputs = minirnn.scan(*rebuild(arrays), engine=engine, **options)
        results = [*tree.leaves(outputs), *tree.leaves(final)]
        others[:] = [unboxed(r) for r in results if r.dtype.kind != "f"]
        return tuple([r for r in results if r.dtype.kind == "f"])

    results, pullback = minirnn.transform.silent_vjp(run, *[leaves[k] for k in moving])
    rng = np.random.default_rng(9)
    gradients = pullback(tuple([rng.standard_normal(r.shape).astype(r.dtype) for r in results]))
    return [*results, *others, *gradients]


def worst(found: list[Any], expected: list[Any]) -> float:
    """The largest error of any array, in units of its largest number; of one that holds nothing but rounding, a
    millionth of the largest number of all."""
    sizes = [float(np.max(np.abs(b), initial=0.0)) for b in expected]
    least, errors = 1e-6 * max(sizes), []
    for a, b, size in zip(found, expected, sizes, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        errors.append(float(np.max(np.abs(a - b), initial=0.0)) / (max(size, least) or 1.0))
    return max(errors)


def error(given: Problem, **options: Any) -> float:
    """The compiled numbers against the reference's, which keeps everything."""
    whole = {name: value for name, value in options.items() if name != "checkpoint_every"}
    return worst(numbers(given, "compiled", **options), numbers(given, "python", **whole))
