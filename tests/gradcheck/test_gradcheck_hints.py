"""The report's hints: which mistake a pattern in the gradient points at."""

import re

import numpy as np
import pytest
from traps import TRAPS

from minirnn.gradcheck import gradcheck

HINTS = {
    "LSTM: shared gates, /4": ("w", "0.25 (1/4) times what it should be"),
    "LSTM: final c ignored": ("u", "leaves out output 1"),
    "LSTM: forget gate's rows": ("u", "in rows 2:4 (block 1 of 4) alone is 0.5 (1/2) times"),
    "GRU: no path through the reset gate": ("u", "in rows 0:4 (block 0 of 3) alone is zero, and should not be"),
    "GRU: sign of dz": ("w", "in rows 4:8 (block 1 of 3) alone has the wrong sign"),
    "RNN: no carry of dh": ("h", "zero throughout"),
    "RNN: last step's input": ("xs", "at index 3 of axis 0 (the last of 4) is 2 times"),
    "RNN: one sequence": ("xs", "at index 1 of axis 1 (only that one of 3) is 0.9 (9/10) times"),
    "linear: square matrix transposed": ("x", "is right for a transposed w"),
    "linear: weight gradient transposed": ("w", "is the transpose of what it should be"),
    "linear: bias not summed over the batch": ("b", "index 0 of axis 0 of the output alone: a sum over that axis"),
    "linear: bias summed twice": ("b", "2 times what it should be: counted twice?"),
    "linear: mean over the batch for the sum": ("w", "1/3) times what it should be: averaged over an axis of length 3"),
    "linear: sign": ("w", "has the wrong sign"),
    "linear: one row": ("w", "at index 2 of axis 0 (only that one of 4) is 1.5 (3/2) times"),
    "linear: zero": ("b", "zero throughout"),
    "relative error 1e-4": ("x", "1.0001 times"),
    "ELU: wrong where negative": ("x", "where the argument is negative"),
    "clipped inside the backward": ("xs", "not linear in the cotangent: clipped at 5?"),
    "two outputs: the second's cotangent ignored": ("x", "leaves out output 1: a path through it is dropped"),
}


@pytest.mark.parametrize("name", HINTS)
def test_a_pattern_is_recognised_and_names_its_argument(name):
    trap = next(t for t in TRAPS if t.name == name)
    report = gradcheck(trap.f, *trap.draw(np.random.default_rng(1)), vjp=trap.wrong, seed=1)
    argument, says = HINTS[name]
    hints = [f"hint: {a.name}: {hint}" for a in report.arguments for hint in a.hints]
    found = [hint for hint in hints if hint.startswith(f"hint: {argument}:")]
    assert found, str(report)
    assert says in found[0]
    assert found[0] in str(report)


def test_a_matrix_that_may_not_be_transposed_is_no_explanation():
    w = np.array([[1.0, 0.1, 0.1], [1.0, 2.0, 0.1], [3.0, 1.5, 2.0]])

    def backward(g, x, w):
        if abs(w[0, 2]) > abs(w[2, 0]):
            raise np.linalg.LinAlgError("an upper one")
        return g @ w.T * [1.3, 0.77, 1.11], x.T @ g

    report = gradcheck(lambda x, w: x @ w, np.array([[1.0, 3.0, -2.0]]), w, vjp=backward)
    assert report.kind == "mismatch"
    assert "transpose" not in str(report)


@pytest.mark.parametrize("bound", [0.5, 2.0])
def test_a_bound_that_several_coordinates_share_is_called_clipping(bound):
    x = np.linspace(-1, 1, 12)
    clipped = lambda g, x: (np.clip(3 * g * np.cosh(3 * x), -bound, bound),)
    report = gradcheck(lambda x: np.sinh(3 * x), x, vjp=clipped)
    assert "clipped" in str(report)


def test_a_branch_is_called_by_the_magnitude_that_leads_there():
    huber = next(t for t in TRAPS if t.name.startswith("Huber"))
    report = gradcheck(huber.f, np.linspace(-4, 4, 12), vjp=huber.wrong)
    assert "where the argument's magnitude exceeds about 1.82 to 2.55" in str(report)


def test_right_arguments_get_no_hint():
    report = gradcheck(
        lambda x, y: x * y, np.arange(1.0, 4.0), np.arange(2.0, 5.0), vjp=lambda g, x, y: (g * y, 2 * g * x)
    )
    assert [bool(a.hints) for a in report.arguments] == [False, True]
    assert "wrong by y\n" in str(report)


def test_a_small_relative_error_is_put_down_to_precision():
    single = lambda g, x: (g * np.cos(x).astype(np.float32).astype(np.float64),)
    report = gradcheck(np.sin, np.linspace(0.1, 1.2, 7), vjp=single)
    assert report.kind == "mismatch"
    assert "single precision, or a constant with few digits" in str(report)


@pytest.mark.parametrize(
    ("shape", "says"),
    [((4, 3), "x was broadcast, so sum over axis 0"), ((2, 4, 3), r"sum over axes \(0, 1\)"), ((4,), r"\(3,\) was")],
)
def test_a_wrong_shape_says_what_to_sum(shape, says):
    report = gradcheck(lambda x: x + np.zeros((4, 3)), np.ones(3), vjp=lambda g, x: (np.ones(shape),))
    assert report.kind == "shape"
    assert re.search(says, str(report))
