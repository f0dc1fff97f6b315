"""Cells that nobody designed: random steps of one to three states, compiled and traced."""

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import error, problem
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn.functional import linear, relu, sigmoid, softplus, split, tanh
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
}
TWO = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "product": lambda a, b: a * b,
    "larger": np.maximum,
    "chosen": lambda a, b: np.where(a > b, a, 0.5 * b),
    "shifted": _shifted,
    "pairs": _pairs,
    "kept": lambda a, b: sigmoid(a) * b + (1 - sigmoid(a)) * a,
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
                values.append(TWO[name](left, values[b % len(values)]))
        new = tuple([tanh(values[end % len(values)]) for end in self.ends[: self.states]])
        return new, values[self.ends[-1] % len(values)]


OPERATIONS = st.sampled_from([*ONE, *TWO, *["matrix"] * 4, *["vector"] * 2])
INDEX = st.integers(0, 40)
CELLS = st.builds(
    RandomCell,
    st.integers(1, 3),
    st.lists(st.tuples(OPERATIONS, INDEX, INDEX), min_size=1, max_size=12).map(tuple),
    st.tuples(INDEX, INDEX, INDEX, INDEX),
)


@given(CELLS, st.booleans(), st.booleans())
def test_a_random_cell_in_numpy_agrees_to_ten_digits(cell, ragged, reverse):
    lengths = onp.array([5, 1, 3]) if ragged else None
    with tier("numpy"):
        assert error(problem(cell, 5, 3), lengths=lengths, reverse=reverse) < 1e-10


@given(CELLS)
def test_a_random_cell_in_native_code_agrees_to_ten_digits(cell):
    pytest.importorskip("llvmlite")
    with tier("native"):
        assert error(problem(cell, 5, 3), lengths=onp.array([5, 1, 3])) < 1e-10
