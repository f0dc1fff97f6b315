"""Cells that nobody designed: random steps of one to three states, compiled and traced."""

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import error, problem
from hypothesis import example, given
from hypothesis import strategies as st

import minirnn
from minirnn.call import Call
from minirnn.compile.engine import program_for
from minirnn.functional import linear, logsumexp, relu, sigmoid, softmax, softplus, split, tanh
from minirnn.tier import tier

H, MATRICES = 4, 3


def _normalised(a):
    centred = a - np.mean(a, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + 0.1)


def _shifted(a, b):
    return np.concatenate([a[:, 1:], b[:, :1]], axis=1)


def _pairs(a, b):
    """Batched small products: each row as a 2 x 2 matrix."""
    a, b = np.reshape(a, (-1, 2, 2)), np.reshape(b, (-1, 2, 2))
    return np.reshape(np.sum(a[:, :, :, None] * b[:, None, :, :], axis=2), (-1, H))


def _matrix(a):
    return np.reshape(a, (-1, 2, 2))


def _row(a):
    return np.reshape(a, (-1, H))


def _of_rows(a):
    return (a - np.mean(a, axis=0)) / np.sqrt(np.var(a, axis=0, keepdims=True) + 0.1)


ORDER, MASK, CONSTANTS = onp.array([2, 0, 0, -1]), onp.arange(H) > 1, onp.linspace(0.2, 1.1, H)

ONE = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "softplus": softplus,
    "negative": lambda a: -a,
    "shrunk": lambda a: 0.3 * a - 0.1,
    "bell": lambda a: np.exp(-a * a),
    "rational": lambda a: a / (1.0 + a**2),
    "normalised": _normalised,
    "swapped": lambda a: np.concatenate(split(a, 2)[::-1], axis=-1),
    "strongest": lambda a: a - np.max(a, axis=1, keepdims=True),
    "turned": lambda a: np.reshape(np.swapaxes(np.reshape(a, (-1, 2, 2)), 1, 2), (-1, H)),
    "squeezed": lambda a: np.clip(a, -0.7, 0.9),
    "rooted": lambda a: np.sqrt(a * a + 0.2),
    "below": lambda a: np.clip(a, None, 0.6),
    "above": lambda a: np.clip(a, -0.4, None) - 0.1 * a,
    "softmax": softmax,
    "logsumexp": lambda a: 0.3 * a - logsumexp(a, keepdims=True),
    "shortened": lambda a: a / (1.0 + np.linalg.norm(a, axis=1, keepdims=True)),
    "spread": lambda a: a * np.var(a, axis=1)[:, None],
    "powers": lambda a: (0.1 + np.abs(a)) ** 1.3 - 0.2 * a**3,
    "masked": lambda a: np.where(np.logical_or(a > 0.3, a < -0.5), 0.7 * a, 0.1),
    "constants": lambda a: a * CONSTANTS + CONSTANTS[::-1] * MASK,
    "reordered": lambda a: a[:, ORDER],
    "chosen ones": lambda a: np.concatenate([a[:, MASK], a[:, ::-1][:, :2]], axis=1),
    "rolled": lambda a: np.roll(a, 1, axis=1),
    "running": lambda a: 0.5 * np.cumsum(a, axis=1),
    "product": lambda a: a + np.prod(a, axis=1, keepdims=True),
    "halves": lambda a: np.concatenate(np.split(a, [1], axis=1)[::-1], axis=1),
    "an empty part": lambda a: np.concatenate([a, a[:, 3:3]], axis=1) + np.sum(a[:, 2:2]),
    "last axis first": lambda a: _row(np.moveaxis(_matrix(a), 1, 2)) - a,
    "two rows of one": lambda a: _row(tanh(np.reshape(a, (-1, 2)) + 0.1)),
    "a product of halves": lambda a: _row(np.reshape(a, (-1, 2)) @ CONSTANTS.reshape(2, 2)),
    "a column": lambda a: a * a[:, :1] - a[:, 2][:, None],
}
TWO = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "product": lambda a, b: a * b,
    "larger": np.maximum,
    "chosen": lambda a, b: np.where(a > b, a, 0.5 * b),
    "shifted": _shifted,
    "pairs": _pairs,
    "products": lambda a, b: _row(_matrix(a) @ np.swapaxes(_matrix(b), 1, 2)),
    "outer": lambda a, b: np.einsum("bi,bj,bj->bi", a, b, a),
    "attended": lambda a, b: np.sum(softmax(a)[:, :, None] * b[:, None, :], axis=1),
    "log of a sum": lambda a, b: np.logaddexp(a, b),
    "stacked": lambda a, b: np.mean(np.stack([a, b], axis=1) * CONSTANTS[:2, None], axis=1),
    "to a power": lambda a, b: (0.2 + np.abs(a)) ** sigmoid(b),
    "by masks": lambda a, b: a * (b > 0.1) + b * (a <= b),
    "kept": lambda a, b: sigmoid(a) * b + (1 - sigmoid(a)) * a,
}


MEETING = {
    "normed rows": lambda a, b: _of_rows(a) + b,
    "all rows": lambda a, b: a * np.sum(b) * 0.1 + np.max(b, axis=0),
    "product of rows": lambda a, b: 0.3 * a @ (a.T @ b),
    "between rows": lambda a, b: softmax(a @ b.T) @ b,
    "softmax of rows": lambda a, b: softmax(a, axis=0) * b,
    "a row": lambda a, b: a * b[0] + b[[0, 0]][1],
    "behind one another": lambda a, b: (
        np.concatenate([b, a], axis=0)[: np.shape(a)[0]] * np.concatenate([a, b], 0)[len(a) :]
    ),
    "in front": lambda a, b: np.sum(np.stack([a, b, a]), axis=0),
    "transposed": lambda a, b: np.reshape(np.swapaxes(np.reshape(a.T, (2, 2, -1)), 0, 1), (H, -1)).T + b,
}


class RandomCell(minirnn.Cell):
    """plan: (operation, operand, operand or matrix) a value; ends: the values that are new states and output."""

    def __init__(self, states, plan, ends):
        self.input_size, self.hidden_size, self.states, self.plan, self.ends = 3, H, states, plan, ends
        rng = onp.random.default_rng(0)
        self.w = minirnn.Parameter(rng.uniform(-0.8, 0.8, (2 * H, 3)))
        self.u = minirnn.Parameter(rng.uniform(-0.6, 0.6, (MATRICES, H, H)))
        self.v = minirnn.Parameter(rng.uniform(-0.8, 0.8, (H,)))

    def initial_state(self, batch_size, dtype=None):
        return tuple([onp.zeros((batch_size, H)) for _ in range(self.states)])

    def step(self, state, x):
        values = [*state, *split(linear(x, self.w), 2)]
        for name, a, b in self.plan:
            left = values[a % len(values)]
            if name == "matrix":
                values.append(linear(left, self.u[b % MATRICES]))
            elif name == "vector":
                values.append(self.v * left)
            elif name in ONE:
                values.append(ONE[name](left))
            else:
                values.append((TWO | MEETING)[name](left, values[b % len(values)]))
        new = tuple([tanh(values[end % len(values)]) for end in self.ends[: self.states]])
        return new, values[self.ends[-1] % len(values)]


INDEX = st.integers(0, 40)


def _cells(*more):
    operations = st.sampled_from([*ONE, *TWO, *["matrix"] * 6, *["vector"] * 3, *more])
    plan = st.lists(st.tuples(operations, INDEX, INDEX), min_size=1, max_size=12).map(tuple)
    return st.builds(RandomCell, st.integers(1, 3), plan, st.tuples(INDEX, INDEX, INDEX, INDEX))


CELLS = _cells()


EMPTY = RandomCell(
    2, (("an empty part", 0, 0), ("tanh", 0, 0), ("running", 34, 0), ("kept", 6, 0), ("tanh", 0, 0)), (0, 34, 0, 1)
)  # whose gradient is turned over while nothing is in it


@given(CELLS, st.booleans(), st.booleans())
@example(EMPTY, False, False)
@example(RandomCell(3, (("tanh", 0, 0), ("attended", 2, 0)), (0, 0, 0, 6)), False, False)  # a gradient of 1e-17
def test_a_random_cell_in_numpy_agrees_to_ten_digits(cell, ragged, reverse):
    lengths = onp.array([5, 1, 3]) if ragged else None
    with tier("numpy"):
        assert error(problem(cell, 5, 3), lengths=lengths, reverse=reverse) < 1e-10


@given(CELLS)
def test_a_random_cell_in_native_code_agrees_to_ten_digits(cell):
    pytest.importorskip("llvmlite")
    with tier("native"):
        assert program_for(Call(*problem(cell, 5, 3), None, False, None)).native
        assert error(problem(cell, 5, 3), lengths=onp.array([5, 1, 3])) < 1e-10


@given(_cells(*MEETING, *MEETING), st.integers(1, 4))
def test_a_random_cell_whose_rows_meet_agrees_to_ten_digits(cell, batch):
    pytest.importorskip("llvmlite")
    with tier("native"):
        assert program_for(Call(*problem(cell, 4, batch), None, False, None)).native
        assert error(problem(cell, 4, batch), checkpoint_every=3) < 1e-10
