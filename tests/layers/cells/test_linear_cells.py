import numpy as np
import pytest

import minirnn
from minirnn import Recurrent, cells
from minirnn.layers.cells.lru import LRU
from minirnn.layers.cells.mingru import MinLSTM
from minirnn.layers.cells.qrnn import QRNN
from minirnn.layers.cells.rglru import RGLRU
from minirnn.layers.cells.sru import SRU

sigmoid = lambda x: 1 / (1 + np.exp(-x))


def test_lru_is_a_complex_recurrence(rng):
    cell = LRU(3, 4, rng=rng, dtype=np.float64)
    xs, s, outputs = rng.standard_normal((7, 2, 3)), np.zeros((2, 4), complex), []
    eigenvalues = np.exp(-np.exp(cell.nu) + 1j * np.exp(cell.theta))
    for x in xs:
        s = eigenvalues * s + np.exp(cell.gamma) * (x @ (cell.b_re + 1j * cell.b_im).T)
        outputs.append((s @ (cell.c_re + 1j * cell.c_im).T).real + x @ cell.d.T)
    found, final = Recurrent(cell)(xs)
    np.testing.assert_allclose(found, np.stack(outputs), rtol=1e-12)
    np.testing.assert_allclose(final.re + 1j * final.im, s, rtol=1e-12)


def test_lru_starts_on_its_ring_and_keeps_the_variance(rng):
    cell = LRU(3, 2000, r_min=0.8, r_max=0.9, min_phase=0.1, max_phase=0.3, rng=rng, dtype=np.float64)
    radius, phase = np.exp(-np.exp(cell.nu)), np.exp(cell.theta)
    assert 0.8 < radius.min() < 0.805
    assert 0.895 < radius.max() < 0.9
    assert 0.1 < phase.min() < phase.max() < 0.3
    np.testing.assert_allclose(np.exp(2 * cell.gamma) + radius**2, 1, rtol=1e-12)


@pytest.mark.parametrize("options", [{"r_min": 0.5, "r_max": 0.5}, {"r_max": 1.5}, {"max_phase": 0.0}])
def test_lru_refuses_an_empty_ring(options):
    with pytest.raises(ValueError, match="0 <= r_min < r_max <= 1 and 0 <= min_phase < max_phase"):
        LRU(3, 4, **options)


def test_minlstm_shares_between_gates_that_both_round_to_zero():
    cell = MinLSTM(1, 1)
    cell.w[:] = 0
    cell.b[:] = [-200.0, -200.0 + np.log(3), 2.0]  # f, i, h~: a quarter is kept
    h, _ = cell.step(np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))
    assert h[0, 0] == pytest.approx(0.25 * 1 + 0.75 * 2)


def test_minlstm_is_the_ratio_of_its_gates(rng):
    cell = MinLSTM(3, 4, rng=rng, dtype=np.float64)
    x, h = rng.standard_normal((2, 3)), rng.standard_normal((2, 4))
    f, i, candidate = np.split(x @ cell.w.T + cell.b, 3, axis=1)
    f, i = sigmoid(f), sigmoid(i)
    np.testing.assert_allclose(cell.step(h, x)[0], f / (f + i) * h + i / (f + i) * candidate, rtol=1e-13)


def test_rglru_is_its_equations_and_starts_between_09_and_0999(rng):
    cell = RGLRU(3, 400, rng=rng, dtype=np.float64)
    a8 = sigmoid(cell.decay) ** 8
    assert 0.9 < a8.min() < 0.91
    assert 0.99 < a8.max() < 0.999
    x, h = rng.standard_normal((2, 3)), rng.standard_normal((2, 400))
    u = x @ cell.w.T + cell.b
    r, i = np.split(sigmoid(u @ cell.w_gates.T + cell.b_gates), 2, axis=1)
    a = a8**r
    np.testing.assert_allclose(cell.step(h, x)[0], a * h + np.sqrt(1 - a**2) * i * u, rtol=1e-10)


def test_rglru_has_a_finite_gradient_where_it_only_keeps():
    cell = RGLRU(2, 3)
    cell.b_gates[:3] = -500.0  # r rounds to 0, a to 1: the root's slope would be infinite
    x, h = np.ones((1, 2), np.float32), np.ones((1, 3), np.float32)
    value, gradient = minirnn.value_and_grad(lambda cell: cell.step(h, x)[0].sum())(cell)
    assert value == pytest.approx(3)
    assert all(np.isfinite(g).all() for g in gradient.values())


@pytest.mark.parametrize(("inputs", "has_skip"), [(3, True), (4, False)])
def test_sru_is_its_equations(rng, inputs, has_skip):
    cell = SRU(inputs, 4, rng=rng, dtype=np.float64)
    assert (cell.skip is not None) == has_skip
    x, c = rng.standard_normal((2, inputs)), rng.standard_normal((2, 4))
    candidate, f, r = np.split(x @ cell.w.T, 3, axis=1)
    f, r = sigmoid(f + cell.b[:4]), sigmoid(r + cell.b[4:])
    new = f * c + (1 - f) * candidate
    found, output = cell.step(c, x)
    np.testing.assert_allclose(found, new, rtol=1e-13)
    np.testing.assert_allclose(output, r * np.tanh(new) + (1 - r) * (x @ cell.skip.T if has_skip else x), rtol=1e-13)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_qrnn_is_a_convolution_over_time_and_a_pooling(rng, torch, window):
    cell = QRNN(3, 4, window=window, rng=rng, dtype=np.float64)
    xs = rng.standard_normal((6, 2, 3))
    kernel = torch.tensor(cell.w.reshape(12, window, 3).swapaxes(1, 2))
    padded = torch.tensor(np.concatenate([np.zeros((window - 1, 2, 3)), xs])).permute(1, 2, 0)
    z, f, o = (torch.conv1d(padded, kernel, torch.tensor(cell.b))).permute(2, 0, 1).chunk(3, dim=2)
    z, f, o = z.tanh(), f.sigmoid(), o.sigmoid()
    c, outputs = torch.zeros(2, 4, dtype=torch.float64), []
    for t in range(6):
        c = f[t] * c + (1 - f[t]) * z[t]
        outputs.append(o[t] * c)
    found, final = Recurrent(cell)(xs)
    np.testing.assert_allclose(found, torch.stack(outputs).numpy(), rtol=1e-12)
    assert final.past.shape == (2, 3 * (window - 1))
    np.testing.assert_allclose(cell.parallel(xs)[0], found, rtol=1e-12)


def test_qrnn_generates_step_by_step_what_it_gives_at_once(rng):
    cell = QRNN(3, 4, window=3, rng=rng, dtype=np.float64)
    xs, state, outputs = rng.standard_normal((6, 2, 3)), cell.initial_state(2), []
    for t in range(6):
        output, state = Recurrent(cell)(xs[t : t + 1], state)
        outputs.append(output)
    assert np.array_equal(np.concatenate(outputs), Recurrent(cell)(xs)[0])


@pytest.mark.parametrize("name", ["LRU", "QRNN", "RGLRU", "SRU"])
@pytest.mark.parametrize("sizes", [(0, 3), (3, -1), (2.5, 3)])
def test_sizes_that_are_none_are_refused(name, sizes):
    with pytest.raises(ValueError, match=f"{name}: (input|hidden)_size="):
        cells.make(name, *sizes)
