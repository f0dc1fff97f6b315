"""RNN, LSTM and GRU cells, problems for them, and both sides' numbers: the compiled ones and the reference loop's."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import minirnn
from minirnn import tree

CELLS = {
    "tanh": lambda i, h, **kw: minirnn.RNNCell(i, h, **kw),
    "relu": lambda i, h, **kw: minirnn.RNNCell(i, h, nonlinearity="relu", **kw),
    "lstm": lambda i, h, **kw: minirnn.LSTMCell(i, h, **kw),
    "projected": lambda i, h, **kw: minirnn.LSTMCell(i, h, proj_size=max(1, h - 1), **kw),
    "gru": lambda i, h, **kw: minirnn.GRUCell(i, h, **kw),
}


class Problem(NamedTuple):
    cell: object
    xs: np.ndarray
    state: object
    lengths: np.ndarray | None
    reverse: bool
    every: int | None

    def scan(self, engine, every=None):
        """scan of this problem as a function of its cell, input and state."""

        def run(cell, xs, state):
            return minirnn.scan(
                cell,
                state,
                xs,
                lengths=self.lengths,
                reverse=self.reverse,
                engine=engine,
                checkpoint_every=every,
            )

        return run

    def primals(self):
        return self.cell, self.xs, self.state


def problem(kind, steps=5, batch=3, inputs=2, hidden=4, dtype=np.float64, seed=0, **options):
    """A problem with everything drawn from a seed."""
    rng = np.random.default_rng(seed)
    options = {"bias": True, "lengths": None, "reverse": False, "every": None, "scale": 1.0, **options}
    cell = CELLS[kind](inputs, max(2, hidden), bias=options["bias"], rng=rng, dtype=dtype)
    xs = (options["scale"] * rng.standard_normal((steps, batch, inputs))).astype(dtype)
    state = draw_like(cell.initial_state(batch), rng)
    return Problem(cell, xs, state, options["lengths"], options["reverse"], options["every"])


def draw_like(nesting, rng):
    return tree.map(lambda leaf: rng.standard_normal(np.shape(leaf)).astype(leaf.dtype), nesting)


def strided(array, layout):
    """The same numbers in another layout."""
    if layout == "swapped":
        return np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)
    if layout == "reversed":
        return np.ascontiguousarray(array[::-1, :, ::-1])[::-1, :, ::-1]
    if layout == "wide":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array


@st.composite
def problems(draw, dtype=np.float64):
    steps, batch = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    lengths = st.lists(st.integers(0, steps), min_size=batch, max_size=batch).map(np.array)
    made = problem(
        draw(st.sampled_from(list(CELLS))),
        steps,
        batch,
        draw(st.integers(1, 5)),
        draw(st.integers(2, 40)),
        dtype,
        seed=draw(st.integers(0, 1000)),
        bias=draw(st.booleans()),
        lengths=draw(st.none() | lengths),
        reverse=draw(st.booleans()),
        every=draw(st.none() | st.integers(1, 10)),
    )
    return made._replace(xs=strided(made.xs, draw(st.sampled_from(["plain", "swapped", "reversed", "wide"]))))


def both(made, seed=1):
    """(the compiled, the reference's) results, gradients and tangents, each as one nesting."""
    return [numbers(made, engine, seed) for engine in ("compiled", "python")]


def numbers(made, engine, seed=1):
    rng = np.random.default_rng(seed)
    run = made.scan(engine, made.every if engine == "compiled" else None)
    results, pullback = minirnn.vjp(run, *made.primals())
    cotangent = draw_like(results, rng)
    tangents = tuple(draw_like(g, rng) for g in (made.cell.parameters(), made.xs, made.state))
    moved = minirnn.jvp(run, made.primals(), tangents)[1]
    return {"results": results, "gradients": pullback(cotangent), "tangents": moved}


def worst(ours, reference):
    """(largest difference in units of the reference array's largest entry, where).

    A few numbers that cancelled have lost digits that no order of the sum keeps: an array that is small beside the
    others of its kind (results, gradients, tangents) is measured by a tenth of their largest entry.
    """
    sizes = [(path, float(np.max(np.abs(b), initial=0.0))) for path, b in tree.named_leaves(reference)]
    of_kind = {path.partition(".")[0]: 0.0 for path, _ in sizes}
    for path, size in sizes:
        of_kind[path.partition(".")[0]] = max(size, of_kind[path.partition(".")[0]])
    errors = []
    for (path, a), (_, b), (_, size) in zip(tree.named_leaves(ours), tree.named_leaves(reference), sizes, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = max(size, 0.1 * of_kind[path.partition(".")[0]]) or 1.0
        errors.append((float(np.max(np.abs(a - b), initial=0.0) / scale), path))
    return max(errors)
