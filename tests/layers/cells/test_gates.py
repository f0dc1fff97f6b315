"""What the families share, and the starts that papers give."""

import numpy as np
import pytest

from minirnn import cells
from minirnn.init import constant, ones, zeros
from minirnn.layers.cells.gates import blocks, chrono, hard_sigmoid, keep, move, rows


def test_the_leaky_updates_are_each_others_mirror(rng):
    z, h, candidate = rng.random((3, 4, 5))
    assert np.allclose(keep(z, h, candidate), move(1 - z, h, candidate), atol=1e-15)
    assert (keep(1.0, h, candidate) == h).all()
    assert (move(1.0, h, candidate) == candidate).all()


def test_the_hard_sigmoid_is_cut_at_0_and_1():
    assert np.allclose(hard_sigmoid(np.array([-9.0, -2.5, 0.0, 1.0, 2.5, 9.0])), [0, 0, 0.5, 0.7, 1, 1])
    assert hard_sigmoid(np.ones(2, np.float32)).dtype == np.float32


def test_rows_are_the_blocks_in_order():
    first, second = rows(np.arange(8.0).reshape(4, 2), 2)
    assert first.tolist() == [[0, 1], [2, 3]]
    assert second.tolist() == [[4, 5], [6, 7]]


def test_blocks_draw_in_order_and_refuse_what_they_do_not_divide(rng):
    assert blocks(zeros, ones, constant(3.0))(rng, (6,), np.float32).tolist() == [0, 0, 1, 1, 3, 3]
    with pytest.raises(ValueError, match=r"\(3 \* H, ...\) was expected"):
        blocks(zeros, ones, ones)(rng, (4,), np.float32)


def test_chrono_biases_are_logs_of_up_to_t_max(rng):
    bias = chrono(50)(rng, (2000,), np.float32)
    assert bias.dtype == np.float32
    assert 0 <= bias.min() < 0.1
    assert np.log(45) < bias.max() <= np.log(49)
    with pytest.raises(ValueError, match="t_max=2 came"):
        chrono(2)


def orthogonal(u):
    return np.allclose(u @ u.T, np.eye(len(u)), atol=1e-5)


STARTS = {
    "AntisymmetricRNN": lambda p, H: abs(p.w.std() - H**-0.5) < 0.01 and not p.b.any(),
    "CFN": lambda p, H: (p.b[:H] == 1).all() and (p.b[H:] == -1).all(),
    "FastRNN": lambda p, H: (p.alpha, p.beta) == (-3, 3),
    "FastGRNN": lambda p, H: (p.zeta, p.nu) == (1, -4),
    "IndRNN": lambda p, H: 0 <= p.u.min() < 0.1 < 0.9 < p.u.max() <= 1,
    "IntersectionRNN": lambda p, H: not p.b[: 2 * H].any() and (p.b[2 * H :] == 1).all(),
    "JANET": lambda p, H: p.b[:H].min() >= 0 and p.b[:H].max() > 3 and not p.b[H:].any(),
    "LiGRU": lambda p, H: orthogonal(p.u[:H]) and orthogonal(p.u[H:]),
    "OriginalLSTM": lambda p, H: 0.19 < abs(p.w).max() <= 0.2 and not p.b.any(),
    "UGRNN": lambda p, H: not p.b[:H].any() and (p.b[H:] == 1).all(),
    "UnICORNN": lambda p, H: abs(p.c).max() <= 0.1 and p.u.min() >= 0 and p.u.max() > 0.9,
}


@pytest.mark.parametrize("name", STARTS)
def test_parameters_start_as_in_the_paper(name, rng):
    assert STARTS[name](cells.make(name, 30, 60, rng=rng), 60)


@pytest.mark.parametrize("name", ["FastRNN", "IndRNN"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
def test_a_nonlinearity_is_by_name(name, nonlinearity, rng):
    cell = cells.make(name, 2, 3, rng=rng, nonlinearity=nonlinearity)
    h, _ = cell.step(np.zeros((1, 3), np.float32), 9 * rng.standard_normal((1, 2)).astype(np.float32))
    low = h.min()
    assert low < 0 if nonlinearity == "tanh" else low >= 0


def test_a_delay_is_as_long_as_it_says(rng):
    cell = cells.make("TauGRU", 2, 3, rng=rng, delay=4)
    xs = rng.standard_normal((6, 1, 2)).astype(np.float32)
    state = cell.initial_state(1)
    shown = [state.h]
    for x in xs:
        state, h = cell.step(state, x)
        shown.append(h)
    assert np.array_equal(state.past[0], np.concatenate(shown[-5:-1]))


def test_a_context_has_a_size_of_its_own(rng):
    cell = cells.make("SCRN", 3, 4, rng=rng, context=2)
    assert (cell.P.shape, cell.initial_state(5).s.shape) == ((4, 2), (5, 2))
