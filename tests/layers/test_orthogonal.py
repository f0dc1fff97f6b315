import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn import LSTM, RNN
from minirnn.layers.orthogonal import MAPS, Orthogonal, cayley, matrix_exponential, orthogonal


def skew(rng, size, scale=1.0):
    x = scale * rng.standard_normal((size, size))
    return x - x.T


def error(q):
    return np.abs(q @ q.T - np.eye(len(q))).max()


@given(st.integers(1, 12), st.floats(0, 50), st.integers(0, 10**6))
def test_both_maps_of_a_skew_matrix_are_rotations(size, scale, seed):
    a = skew(np.random.default_rng(seed), size, scale)
    for q in (matrix_exponential(a), cayley(a)):
        assert error(q) < 1e-11
        assert np.linalg.det(q) > 0


@pytest.mark.parametrize("scale", [0.0, 0.01, 0.5, 3.0, 40.0])
def test_the_exponential_is_pytorchs(scale, torch, rng):
    a = scale * rng.standard_normal((6, 6)) / 6
    found, expected = matrix_exponential(a), torch.linalg.matrix_exp(torch.tensor(a)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * np.abs(expected).max())


def test_a_rotation_by_an_angle_is_both_maps():
    angle = 0.7
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(matrix_exponential(angle * turn), rotation, atol=1e-15)
    np.testing.assert_allclose(cayley(-np.tan(angle / 2) * turn), rotation, atol=1e-15)


def test_each_block_is_its_base_turned_by_the_map(torch, rng):
    weight, free = rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
    one = np.eye(3)
    for k in (slice(0, 3), slice(3, 6)):
        u, _, vt = np.linalg.svd(weight[k])
        a = free[k] - free[k].T
        turns = torch.linalg.matrix_exp(torch.tensor(a)).numpy(), np.linalg.solve(one + a, one - a)
        for name, turn in zip(("exponential", "cayley"), turns, strict=True):
            np.testing.assert_allclose(Orthogonal(weight, name)(free)[k], u @ vt @ turn, atol=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_both_derivatives_of_a_map_are_right(name, rng, gradcheck):
    x, weights = rng.standard_normal((4, 4)), rng.standard_normal((4, 4))
    f = lambda x: anp.sum(MAPS[name](x - x.T) * weights)
    report = minirnn.gradcheck.gradcheck(f, x, order=2)
    assert report.ok, report


@pytest.mark.parametrize("name", MAPS)
def test_each_gate_starts_at_the_nearest_orthogonal_matrix_and_stays_orthogonal(name, rng):
    layer = LSTM(2, 5, rng=rng, dtype=np.float64)
    weight, xs = layer.parameters()["layers.0.cell.weight_hh"].copy(), rng.standard_normal((6, 3, 2))
    made = orthogonal(layer, map=name)
    (path,) = made.parametrizations
    for gate, q in zip(np.split(weight, 4), np.split(made.computed(None)[path], 4), strict=True):
        assert error(q) < 1e-13
        near = np.linalg.norm(gate - q)
        for _ in range(10):
            assert near < np.linalg.norm(gate - q @ matrix_exponential(skew(rng, 5, 0.1)))
    optimizer = minirnn.optim.SGD(made, lr=1.0)
    before = made.computed(None)[path]
    for _ in range(5):
        optimizer.step(minirnn.grad(lambda layer: anp.sum((layer(xs)[0] - 1) ** 2))(made))
    now = made.computed(None)[path]
    assert np.abs(now - before).max() > 0.1
    assert max(error(q) for q in np.split(now, 4)) < 1e-12


def test_a_reflection_can_be_a_start(rng):
    mirror = np.diag([1.0, 1.0, -1.0])
    np.testing.assert_allclose(Orthogonal(mirror)(np.zeros((3, 3))), mirror)


def test_an_orthogonal_network_keeps_the_length_of_its_state(rng):
    layer = orthogonal(RNN(2, 8, nonlinearity="relu", bias=False, rng=rng, dtype=np.float64))
    (weight,) = layer.computed(None).values()
    h = rng.standard_normal(8)
    np.testing.assert_allclose(np.linalg.norm(np.linalg.matrix_power(weight, 1000) @ h), np.linalg.norm(h), rtol=1e-10)
