"""Cells that know the time: ClockworkRNN, CfC, PhasedLSTM."""

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import Recurrent, cells, scan
from minirnn.layers.cells.cfc import CfC
from minirnn.layers.cells.clockwork import ClockworkRNN
from minirnn.layers.cells.phasedlstm import PhasedLSTM, openness


def drawn(rng, steps=6, features=3):
    return rng.standard_normal((steps, 2, features))


# ---------------------------------------------------------------- clockwork
def test_a_unit_moves_only_at_its_period(rng):
    cell = ClockworkRNN(3, 8, periods=(1, 2, 3, 5), rng=rng, dtype=onp.float64)
    outputs, _ = Recurrent(cell)(drawn(rng, 12))
    moved = (onp.diff(outputs, axis=0, prepend=0) != 0).all(axis=1)
    expected = onp.arange(12)[:, None] % onp.repeat([1, 2, 3, 5], 2) == 0
    assert onp.array_equal(moved, expected)


def test_a_slow_module_sees_no_faster_one(rng):
    cell = ClockworkRNN(3, 4, periods=(1, 2), rng=rng, dtype=onp.float64)
    xs = drawn(rng)
    moved = onp.array([[1.0, 1, 0, 0]] * 2)
    assert onp.array_equal(Recurrent(cell)(xs, moved)[0][..., 2:], Recurrent(cell)(xs)[0][..., 2:])
    assert (cell.u[2:, :2] == 0).all()
    gradient = minirnn.grad(lambda cell: np.sum(Recurrent(cell)(xs)[0]))(cell)["u"]
    assert not gradient[2:, :2].any()
    assert gradient[:2].all()


def test_a_module_that_always_moves_is_the_simple_network(rng):
    cell, rnn = ClockworkRNN(3, 4, periods=(1,), rng=rng), minirnn.RNNCell(3, 4)
    rnn.load_state_dict({"weight_ih": cell.w, "weight_hh": cell.u, "bias_ih": cell.b, "bias_hh": 0 * cell.b})
    xs = drawn(rng).astype(onp.float32)
    onp.testing.assert_allclose(Recurrent(cell)(xs)[0], Recurrent(rnn)(xs)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["ClockworkRNN", "PhasedLSTM"])
def test_pieces_go_on_where_the_clock_stood(rng, name):
    cell = cells.small(name, rng=rng)
    xs = drawn(rng, 7, 2)
    middle, first = scan(cell, cell.initial_state(2), cell.inputs(xs[:3]))
    _, second = scan(cell, middle, cell.inputs(xs[3:], start=3))
    onp.testing.assert_allclose(onp.concatenate([first, second]), Recurrent(cell)(xs)[0], rtol=1e-13)


@pytest.mark.parametrize("periods", [(), (2, 1), (1, 1), (1, 2, 4), (0, 1)])
def test_periods_that_are_none_are_refused(periods):
    with pytest.raises(ValueError, match=r"ClockworkRNN: periods"):
        ClockworkRNN(3, 4, periods=periods)


# ---------------------------------------------------------------- closed form
def test_cfc_is_its_equations_at_any_elapsed_time(rng):
    cell = CfC(3, 4, backbone=5, rng=rng, dtype=onp.float64)
    x, h, dt = drawn(rng, 1)[0], rng.standard_normal((2, 4)), onp.array([[0.3], [2.0]])
    y = 1.7159 * onp.tanh(2 / 3 * (onp.concatenate([x, h], axis=1) @ cell.w_y.T + cell.b_y))
    f, g, k = onp.split(y @ cell.w.T + cell.b, 3, axis=1)
    s = 1 / (1 + onp.exp(f * dt))
    _, output = cell.step(h, type(cell.inputs(x[None]))(x, dt))
    onp.testing.assert_allclose(output, s * onp.tanh(g) + (1 - s) * onp.tanh(k), rtol=1e-13)


@pytest.mark.parametrize("make", [CfC, PhasedLSTM])
@pytest.mark.parametrize("shape", [(6,), (6, 2)])
def test_times_come_beside_or_inside_the_input(rng, make, shape):
    xs, times = drawn(rng, features=2), rng.uniform(0.5, 2, shape)
    cell, timed = (make(2 + k, 4, timestamps=bool(k), rng=onp.random.default_rng(1), dtype=onp.float64) for k in (0, 1))
    timed.load_state_dict(cell.state_dict())
    _, beside = scan(cell, cell.initial_state(2), cell.inputs(xs, time=times))
    column = onp.broadcast_to(times.reshape(6, -1, 1), (6, 2, 1))
    inside, _ = Recurrent(timed)(onp.concatenate([xs, column], axis=2))
    assert onp.array_equal(beside, inside)
    assert not onp.allclose(beside, Recurrent(cell)(xs)[0])


@pytest.mark.parametrize("make", [CfC, PhasedLSTM])
def test_times_that_do_not_fit_are_refused(rng, make):
    xs = drawn(rng)
    with pytest.raises(ValueError, match=r"time has shape \(5,\), \(6, 2\) or \(6,\) was expected"):
        make(3, 4).inputs(xs, time=onp.ones(5))
    with pytest.raises(ValueError, match="timestamps=True takes it from the last feature"):
        make(3, 4, timestamps=True).inputs(xs, time=onp.ones(6))


@pytest.mark.parametrize("make", [CfC, PhasedLSTM])
def test_the_time_has_a_gradient(rng, make):
    cell = make(3, 4, timestamps=True, rng=rng, dtype=onp.float64, **({"r_on": 1.0} if make is PhasedLSTM else {}))
    xs = drawn(rng) + onp.arange(6)[:, None, None]
    assert minirnn.gradcheck.gradcheck(lambda xs: np.sum(Recurrent(cell)(xs)[0] ** 2), xs).ok
    assert minirnn.grad(lambda xs: np.sum(Recurrent(cell)(xs)[0] ** 2))(xs)[..., 2].all()


# ---------------------------------------------------------------- phases
def test_a_gate_opens_closes_and_leaks():
    time = onp.array([[0.0], [0.5], [1.0], [1.5], [2.0], [4.0], [10.0], [-9.5]])
    k = openness(time, onp.array([10.0]), onp.array([0.0]), r_on=0.2, leak=0.001)
    onp.testing.assert_allclose(k[:, 0], [0, 0.5, 1, 0.5, 0.0002, 0.0004, 0, 0.5], atol=1e-15)


def test_a_shut_unit_holds_its_memory(rng):
    cell = PhasedLSTM(3, 4, r_on=0.1, leak=0.0, rng=rng, dtype=onp.float64)
    cell.period, cell.shift = onp.full(4, 10.0), onp.zeros(4)
    state = type(cell.initial_state(2))(*rng.standard_normal((2, 2, 4)))
    outputs, final = Recurrent(cell)(drawn(rng, 9), state)  # open between 0 and 1, and at 0 by nothing yet
    assert onp.array_equal(final.c, state.c)
    assert onp.array_equal(outputs, onp.broadcast_to(state.h, outputs.shape))


def test_a_unit_that_is_open_is_an_lstm_with_peepholes(rng):
    cell, lstm = PhasedLSTM(3, 4, r_on=1.0, rng=rng), cells.PeepholeLSTM(3, 4)
    cell.period, cell.shift = onp.ones(4, onp.float32), onp.full(4, 0.5, onp.float32)  # half a period past every shift
    lstm.load_state_dict({name: value for name, value in cell.state_dict().items() if name in "wuvb"})
    xs = drawn(rng).astype(onp.float32)
    onp.testing.assert_allclose(Recurrent(cell)(xs)[0], Recurrent(lstm)(xs)[0], rtol=1e-6)


def test_periods_are_drawn_log_uniformly_and_shifts_within_them(rng):
    cell = PhasedLSTM(3, 2000, rng=rng, dtype=onp.float64)
    assert 1 <= cell.period.min() < 1.05
    assert 19 < cell.period.max() <= onp.exp(3)
    assert abs(onp.log(cell.period).mean() - 1.5) < 0.1
    assert ((cell.shift >= 0) & (cell.shift <= cell.period)).all()


@pytest.mark.parametrize("options", [{"r_on": 0.0}, {"r_on": 1.5}, {"leak": -0.1}])
def test_impossible_rhythms_are_refused(options):
    with pytest.raises(ValueError, match="PhasedLSTM: r_on="):
        PhasedLSTM(3, 4, **options)
