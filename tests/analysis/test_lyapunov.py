import autograd.numpy as np
import numpy as onp
import pytest
from analysis_cases import inputs_for, layer_of
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn import analysis


@minirnn.cell(nothing=("input",))
def henon(p, s, x):
    """x' = 1 - 1.4 x^2 + y, y' = 0.3 x (Hénon 1976): the exponents sum to log 0.3."""
    a, b = s[:, :1], s[:, 1:]
    s = np.concatenate([1 - 1.4 * a**2 + b, 0.3 * a], axis=1)
    return s, s


@minirnn.cell(nothing=("input",))
def logistic(p, s, x):
    """s' = 4 s (1 - s): log 2."""
    s = 4 * s * (1 - s)
    return s, s


@minirnn.cell(nothing=("input",), state_=("a", "b"))
def cat(p, s, x):
    """Arnold's cat map, on two arrays of the state: log((3 + sqrt 5) / 2) and its negative."""
    a, b = 2 * s.a + s.b, s.a + s.b
    return (a - onp.floor(np_value(a)), b - onp.floor(np_value(b))), a


def np_value(box):
    while hasattr(box, "_value"):
        box = box._value
    return box


def nothing_in(steps, batch=1):
    return onp.zeros((steps, batch, 1))


def test_known_maps():
    found = analysis.lyapunov(henon(1, 2, dtype=onp.float64), nothing_in(2500), onp.array([[0.1, 0.1]]), transient=100)
    assert found.sum() == pytest.approx(onp.log(0.3), abs=1e-9)
    assert found[0, 0] == pytest.approx(0.419, abs=0.02)
    found = analysis.lyapunov(logistic(1, 1, dtype=onp.float64), nothing_in(3000), onp.array([[0.3]]), transient=100)
    assert found[0, 0] == pytest.approx(onp.log(2), abs=0.01)
    state = cat.State(onp.array([[0.2], [0.7]]), onp.array([[0.4], [0.1]]))
    found = analysis.lyapunov(cat(1, 1, dtype=onp.float64), nothing_in(60, 2), state, transient=20)
    golden = onp.log((3 + 5**0.5) / 2)
    assert found == pytest.approx(onp.array([[golden] * 2, [-golden] * 2]), abs=1e-9)


@given(st.integers(0, 99))
def test_a_linear_map_has_the_logarithms_of_its_eigenvalues(seed):
    @minirnn.cell(u=("hidden", "hidden"))
    def linear_cell(p, h, x):
        h = h @ p.u.T
        return h, h

    basis, sizes = onp.random.default_rng(seed).standard_normal((3, 3)), onp.array([1.3, 0.8, 0.2])
    cell = linear_cell(1, 3, dtype=onp.float64)
    cell.u[...] = basis @ onp.diag(sizes) @ onp.linalg.inv(basis)
    found = analysis.lyapunov(cell, nothing_in(80), transient=60)
    assert found[:, 0] == pytest.approx(onp.log(sizes), abs=1e-6)


def test_the_largest_exponents_by_themselves_are_the_same():
    layer = layer_of("LSTM")
    xs = inputs_for(layer, 30)
    every = analysis.lyapunov(layer, xs, transient=10)
    assert every.shape == (8, 2)
    assert (onp.diff(every, axis=0) <= 0).all()
    assert analysis.lyapunov(layer, xs, transient=10, count=3) == pytest.approx(every[:3], rel=1e-9)


def test_an_exponent_is_the_slope_of_the_gradient_flow():
    layer = minirnn.RNN(3, 8, rng=onp.random.default_rng(0), dtype=onp.float64)
    xs = inputs_for(layer, 200, batch=1)
    flow = analysis.gradient_flow(layer, xs).state["h", "h"].spectral[:, 0]
    slope = onp.log(flow[180] / flow[80]) / 100
    assert analysis.lyapunov(layer, xs, count=1, transient=20)[0, 0] == pytest.approx(slope, abs=0.02)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"count": 9}, "count=9 came, 1 to 8"), ({"transient": 6}, "xs has 6 steps"), ({"count": 0}, "count=0 came")],
)
def test_what_cannot_be_is_said(options, says):
    layer = layer_of("LSTM")
    with pytest.raises(ValueError, match=says):
        analysis.lyapunov(layer, inputs_for(layer), **options)
