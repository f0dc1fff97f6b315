"""ChoGRU, IRNN, RHN, coRNN, LayerNormLSTM and LayerNormGRU, step by step against their equations."""

import numpy as np
import pytest

import minirnn
from minirnn import Recurrent, cells

sigmoid = lambda x: 1 / (1 + np.exp(-x))


def made(name, rng, **options):
    """A cell with all parameters away from their tame start, a state and an input."""
    cell = cells.make(name, 3, 4, rng=rng, dtype=np.float64, **options)
    for value in cell.parameters().values():
        value[...] += 0.5 * rng.standard_normal(value.shape)
    return cell, rng.standard_normal((2, 4)), rng.standard_normal((2, 3))


def test_chogru_resets_before_the_product(rng):
    cell, h, x = made("ChoGRU", rng)
    (w_r, w_z, w_n), (u_r, u_z, u_n), (b_r, b_z, b_n) = (np.split(a, 3) for a in (cell.w, cell.u, cell.b))
    r, z = sigmoid(x @ w_r.T + h @ u_r.T + b_r), sigmoid(x @ w_z.T + h @ u_z.T + b_z)
    n = np.tanh(x @ w_n.T + (r * h) @ u_n.T + b_n)
    np.testing.assert_allclose(cell.step(h, x)[0], z * h + (1 - z) * n, rtol=1e-12)


def test_chogru_is_the_gru_where_the_reset_gate_is_open(rng):
    cell, h, x = made("ChoGRU", rng)
    cell.b[:4] = 50.0
    gru = minirnn.GRUCell(3, 4, dtype=np.float64)
    gru.load_state_dict({"weight_ih": cell.w, "weight_hh": cell.u, "bias_ih": cell.b, "bias_hh": 0 * cell.b})
    np.testing.assert_allclose(cell.step(h, x)[0], gru.step(h, x)[0], rtol=1e-12)


def test_irnn_starts_as_a_sum_of_what_it_sees():
    cell = cells.IRNN(1, 2, rng=np.random.default_rng(0), dtype=np.float64)
    cell.w[:] = [[1], [-1]]
    outputs, _ = Recurrent(cell)(np.array([1.0, 2, 3]).reshape(3, 1, 1))
    assert np.array_equal(outputs[:, 0], [[1, 0], [3, 0], [6, 0]])


@pytest.mark.parametrize("depth", [1, 4])
def test_rhn_goes_through_its_layers_and_sees_the_input_in_the_first(rng, depth):
    cell, h, x = made("RHN", rng, depth=depth)
    s = h
    for layer in range(depth):
        before = s @ cell.r[layer].T + cell.b[layer] + (x @ cell.w.T if layer == 0 else 0)
        n, t = np.tanh(before[:, :4]), sigmoid(before[:, 4:])
        s = t * n + (1 - t) * s
    np.testing.assert_allclose(cell.step(h, x)[0], s, rtol=1e-12)


def test_rhn_starts_by_carrying():
    assert (cells.RHN(3, 4, depth=2).b == [[0] * 4 + [-2] * 4] * 2).all()


def test_cornn_by_hand():
    cell = cells.coRNN(1, 1, dt=0.5, gamma=1.0, epsilon=2.0, dtype=np.float64)
    cell.w[:], cell.u[:], cell.v[:], cell.b[:] = 0, 0, 1, 0
    (y, z), output = cell.step(cell.State(np.array([[1.0]]), np.array([[-1.0]])), np.array([[100.0]]))
    assert z[0, 0] == -1 + 0.5 * (1 - 1 * 1 - 2 * -1)  # tanh(100) is 1
    assert output[0, 0] == y[0, 0] == 1 + 0.5 * z[0, 0] == 1.0


def test_cornn_is_an_oscillator_whose_energy_only_damping_takes():
    cell = cells.coRNN(1, 1, dt=0.01, gamma=4.0, epsilon=0.0, dtype=np.float64)
    for value in cell.parameters().values():
        value[:] = 0
    state = cell.State(np.ones((1, 1)), np.zeros((1, 1)))
    outputs, _ = Recurrent(cell)(np.zeros((1000, 1, 1)), state)
    np.testing.assert_allclose(outputs[:, 0, 0], np.cos(2 * 0.01 * np.arange(1, 1001)), atol=0.02)


def normalised(torch, a, norm):
    weight, bias = (None if p is None else torch.tensor(p) for p in (norm.weight, norm.bias))
    return torch.nn.functional.layer_norm(torch.tensor(a), (a.shape[1],), weight, bias, 1e-5).numpy()


def test_layernormlstm_is_its_equations_with_torchs_normalisation(rng, torch):
    cell, h, x = made("LayerNormLSTM", rng)
    c = rng.standard_normal((2, 4))
    gates = normalised(torch, x @ cell.w.T, cell.norm_x) + normalised(torch, h @ cell.u.T, cell.norm_h) + cell.b
    i, f, g, o = np.split(gates, 4, axis=1)
    c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    state, output = cell.step(type(cell.initial_state(2))(h, c), x)
    np.testing.assert_allclose(state.c, c_new, rtol=1e-12)
    np.testing.assert_allclose(output, sigmoid(o) * np.tanh(normalised(torch, c_new, cell.norm_c)), rtol=1e-12)


def test_layernormgru_is_its_equations_with_torchs_normalisation(rng, torch):
    cell, h, x = made("LayerNormGRU", rng)
    a, b = x @ cell.w.T, h @ cell.u.T
    r, z = np.split(
        sigmoid(normalised(torch, a[:, :8], cell.norm_x) + normalised(torch, b[:, :8], cell.norm_h) + cell.b), 2, axis=1
    )
    n = np.tanh(normalised(torch, a[:, 8:], cell.norm_nx) + r * normalised(torch, b[:, 8:], cell.norm_nh))
    np.testing.assert_allclose(cell.step(h, x)[0], (1 - z) * h + z * n, rtol=1e-12)


@pytest.mark.parametrize("name", ["LayerNormLSTM", "LayerNormGRU"])
def test_the_scale_of_the_weights_does_not_matter(rng, name):
    cell, _, _ = made(name, rng)
    xs = rng.standard_normal((5, 2, 3))
    before, _ = Recurrent(cell)(xs)
    cell.w[:], cell.u[:] = 1e4 * cell.w, 1e4 * cell.u
    again, _ = Recurrent(cell)(1e3 * xs)
    np.testing.assert_allclose(again, before, rtol=1e-3, atol=1e-3)
