import numpy as np
import pytest

from minirnn import Recurrent
from minirnn.layers.cells.lmu import LMU, legendre_memory, zero_order_hold


def test_the_continuous_memory_of_three_numbers():
    a, b = legendre_memory(3, theta=2.0)
    assert np.array_equal(2 * a, [[-1, -1, -1], [3, -3, -3], [-5, 5, -5]])
    assert np.array_equal(2 * b, [1, -3, 5])


@pytest.mark.parametrize(("order", "theta"), [(1, 4.0), (6, 10.0), (12, 100.0)])
def test_zero_order_hold_is_the_solution_over_one_step(order, theta):
    a, b = legendre_memory(order, theta)
    a_step, b_step = zero_order_hold(a, b)
    small = 1e-3
    m = np.concatenate([np.eye(order), np.zeros((order, 1))], axis=1)  # one column without input, and u = 1
    u = np.zeros(order + 1)
    u[-1] = 1
    for _ in range(1000):  # Runge and Kutta's fourth order
        slope = lambda m: a @ m + b[:, None] * u
        k1 = slope(m)
        k2 = slope(m + small / 2 * k1)
        k3 = slope(m + small / 2 * k2)
        m = m + small / 6 * (k1 + 2 * k2 + 2 * k3 + slope(m + small * k3))
    np.testing.assert_allclose(np.column_stack([a_step, b_step]), m, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("order", "theta"), [(5, 0.5), (64, 784.0), (256, 784.0)])
def test_the_exponential_is_torchs(torch, order, theta):
    a, b = legendre_memory(order, theta)
    both = torch.zeros((order + 1, order + 1), dtype=torch.float64)
    both[:-1, :-1], both[:-1, -1] = torch.tensor(a), torch.tensor(b)
    expected = torch.linalg.matrix_exp(both).numpy()
    a_step, b_step = zero_order_hold(a, b)
    scale = np.abs(expected).max()
    assert np.abs(a_step - expected[:-1, :-1]).max() < 1e-9 * scale
    assert np.abs(b_step - expected[:-1, -1]).max() < 1e-9 * scale


def test_the_memory_holds_what_was_written_theta_steps_ago():
    theta, order = 50.0, 12
    a, b = zero_order_hold(*legendre_memory(order, theta))
    u, m = np.sin(2 * np.pi * np.arange(300) / 60), np.zeros(order)
    for value in u:
        m = a @ m + b * value
    now, before = m @ (-1.0) ** np.arange(order), m.sum()  # Legendre's polynomials at -1 and at 1
    assert now == pytest.approx(u[-1], abs=0.06)
    assert before == pytest.approx(u[-1 - 50], abs=0.06)


def test_one_step_is_its_equations(rng):
    cell = LMU(3, 4, order=5, theta=7.0, rng=rng, dtype=np.float64)
    cell.e_m = rng.standard_normal(5)
    h, m, x = rng.standard_normal((2, 4)), rng.standard_normal((2, 5)), rng.standard_normal((2, 3))
    u = x @ cell.e_x + h @ cell.e_h + m @ cell.e_m
    m_new = m @ cell.a.T + np.outer(u, cell.b)
    h_new = np.tanh(x @ cell.w_x.T + h @ cell.w_h.T + m_new @ cell.w_m.T)
    state, output = cell.step(type(cell.initial_state(2))(h, m), x)
    np.testing.assert_allclose(state.m, m_new, rtol=1e-12)
    np.testing.assert_allclose(output, h_new, rtol=1e-12)


def test_its_matrices_are_buffers_in_the_cells_dtype(rng):
    cell = LMU(3, 4, order=6, rng=rng)
    assert not {"a", "b"} & set(cell.parameters())
    assert cell.state_dict()["a"].dtype == np.float32
    assert Recurrent(cell)(np.ones((3, 1, 3), np.float32))[1].m.shape == (1, 6)


@pytest.mark.parametrize(("options", "says"), [({"theta": 0.0}, "theta=0.0 came"), ({"order": 0}, "order=0 came")])
def test_no_window_and_no_memory_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        LMU(3, 4, **options)
