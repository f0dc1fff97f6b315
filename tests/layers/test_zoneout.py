import pickle

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import (
    Bidirectional,
    GRUCell,
    LSTMCell,
    LSTMState,
    Recurrent,
    RecurrentDropoutLSTMCell,
    RNNCell,
    Zoneout,
    cells,
    lstm_step,
    tree,
)

T, B, I, H = 6, 3, 2, 4
CELLS = {
    "RNN": lambda: Zoneout(RNNCell(I, H, rng=seeded(), dtype=np.float64), 0.3),
    "LSTM": lambda: Zoneout(LSTMCell(I, H, rng=seeded(), dtype=np.float64), {"h": 0.2, "c": 0.5}),
    "half of it": lambda: Zoneout(LSTMCell(I, H, rng=seeded(), dtype=np.float64), {"c": 0.5}),
    "mLSTM": lambda: Zoneout(cells.small("mLSTM", rng=seeded()), 0.3),
    "ClockworkRNN": lambda: Zoneout(cells.small("ClockworkRNN", rng=seeded()), 0.3),
    "dropout too": lambda: Zoneout(RecurrentDropoutLSTMCell(I, H, 0.5, rng=seeded(), dtype=np.float64), 0.3),
}
each = pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)


def seeded(seed=0):
    return np.random.default_rng(seed)


def lstm_by_hand(cell, xs, d_h, d_c):
    """The equations of the paper: h~ is of c~, which zoneout has not touched."""
    h, c, outputs = np.zeros((B, H)), np.zeros((B, H)), []
    for t in range(T):
        new_h, new_c = lstm_step(h, c, xs[t], *cell.parameters().values())
        h, c = d_h[t] * h + (1 - d_h[t]) * new_h, d_c[t] * c + (1 - d_c[t]) * new_c
        outputs.append(h)
    return np.stack(outputs), LSTMState(h, c)


def same(found, expected, rtol=1e-12):
    for one, other in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-15)


# ---------------------------------------------------------------- the definition
def test_a_unit_keeps_its_old_value_where_its_mask_says_so(rng):
    cell, xs = CELLS["LSTM"](), rng.standard_normal((T, B, I))
    masks = cell.inputs(xs, rng=seeded(1)).masks
    assert all(set(np.unique(mask)) == {0, 1} for mask in masks)
    same(Recurrent(cell)(xs, rng=seeded(1)), lstm_by_hand(cell.cell, xs, *masks))


def test_without_an_rng_each_unit_moves_as_it_does_on_average(rng):
    cell, xs = CELLS["LSTM"](), rng.standard_normal((T, B, I))
    same(Recurrent(cell)(xs), lstm_by_hand(cell.cell, xs, [0.2] * T, [0.5] * T))


def test_a_step_without_noise_is_the_mean_over_the_masks(rng):
    cell = Zoneout(GRUCell(I, H, rng=rng, dtype=np.float64), 0.3)
    x, h = rng.standard_normal((1, 1, I)), rng.standard_normal((1, H))
    many = Recurrent(cell, engine="python")(np.repeat(x, 20000, axis=1), np.repeat(h, 20000, axis=0), rng=rng)[0][0]
    np.testing.assert_allclose(many.mean(axis=0), Recurrent(cell)(x, h)[0][0, 0], atol=0.02)


def test_masks_are_drawn_for_each_array_of_the_state_at_its_own_rate(rng):
    cell = Zoneout(LSTMCell(I, 100), {"h": 0.05, "c": 0.5})
    masks = cell.inputs(np.zeros((50, 20, I), np.float32), rng=rng).masks
    assert [mask.dtype for mask in masks] == [np.float32, np.float32]
    np.testing.assert_allclose([mask.mean() for mask in masks], [0.05, 0.5], atol=0.005)
    assert len({mask.tobytes() for mask in masks[1]}) == 50
    assert CELLS["half of it"]().inputs(np.zeros((1, 1, I)), rng=rng).masks[0] is None


@pytest.mark.parametrize(("p", "moves"), [(0.0, True), (1.0, False)])
def test_at_the_ends_all_units_move_or_none(p, moves, rng):
    cell, xs = GRUCell(I, H, rng=rng), rng.standard_normal((T, B, I)).astype(np.float32)
    start = rng.standard_normal((B, H)).astype(np.float32)
    outputs, final = Recurrent(Zoneout(cell, p))(xs, start, rng=rng)
    same((outputs, final), Recurrent(cell)(xs, start) if moves else (np.stack([start] * T), start), rtol=1e-5)


# ---------------------------------------------------------------- outputs
@each
def test_an_output_that_is_of_the_state_follows_it(make, rng):
    layer = Recurrent(make())
    outputs, final = layer(rng.standard_normal((T, B, layer.input_size)), rng=rng)
    shown = tree.leaves(final)[0]
    if np.shape(shown) == np.shape(outputs[-1]):
        assert np.array_equal(outputs[-1], shown)


@minirnn.cell(w=("hidden", "input"))
def squared(p, h, x):
    h = anp.tanh(x @ p.w.T) + 0.5 * h
    return h, h * h


def test_an_output_that_the_cell_computes_is_left_as_it_is(rng):
    cell = squared(I, H, rng=rng, dtype=np.float64)
    h, x = rng.standard_normal((B, H)), rng.standard_normal((B, I))
    new, output = Zoneout(cell, 0.25).step(h, x)
    expected, of_it = cell.step(h, x)
    same((new, output), (0.25 * h + 0.75 * expected, of_it))


# ---------------------------------------------------------------- as every cell
@each
def test_the_gradient_goes_through_the_noise(make, rng):
    layer = Recurrent(make())
    xs = rng.standard_normal((2, 2, layer.input_size))
    loss = lambda layer: anp.sum(layer(xs, rng=seeded(1))[0] ** 2)
    report = minirnn.gradcheck.gradcheck_module(layer, loss, method="directions")
    assert report.ok, report


@each
def test_float32_stays_float32_and_lengths_hold_the_state(make, rng):
    layer = Recurrent(make().astype(np.float32))
    xs = rng.standard_normal((T, B, layer.input_size)).astype(np.float32)
    for noise in (lambda: seeded(1), lambda: None):
        outputs, final = layer(xs, lengths=[6, 2, 4], rng=noise())
        full, _ = layer(xs, rng=noise())
        assert all(leaf.dtype == np.float32 for leaf in tree.leaves((outputs, final)))
        np.testing.assert_array_equal(outputs[:2, 1], full[:2, 1])
        assert not outputs[2:, 1].any()
        assert all(np.isfinite(leaf).all() for leaf in tree.leaves(final))


@pytest.mark.parametrize("reverse", [False, True])
def test_engine_auto_is_the_reference(reverse, rng):
    layer, xs = Recurrent(CELLS["LSTM"](), reverse=reverse), rng.standard_normal((T, B, I))
    for noise in (lambda: seeded(1), lambda: None):
        with minirnn.engine("python"):
            expected = layer(xs, rng=noise())
        same(layer(xs, rng=noise()), expected)


def test_the_noise_is_the_same_however_it_is_recomputed(rng):
    cell, xs = CELLS["LSTM"](), rng.standard_normal((T, B, I))
    gradient = lambda **options: minirnn.grad(lambda cell: anp.sum(Recurrent(cell, **options)(xs, rng=seeded())[0]))
    plain, pieces = gradient()(cell), gradient(checkpoint_every=2)(cell)
    same(plain, pieces)


def test_it_stands_in_a_stack_and_is_saved(rng):
    layer = Bidirectional(CELLS["LSTM"](), CELLS["RNN"]())
    assert layer(rng.standard_normal((T, B, I)), rng=rng)[0].shape == (T, B, 2 * H)
    assert layer.output_size == 2 * H
    assert "Zoneout(2, 4, h=0.2, c=0.5)" in repr(pickle.loads(pickle.dumps(layer)))


def test_a_cells_own_inputs_are_handed_on(rng):
    cell, xs = CELLS["ClockworkRNN"](), rng.standard_normal((T, B, I))
    assert cell.inputs(xs, start=3).t[0, 0, 0] == 3
    assert cell.inputs(xs, rng=rng, start=3).x.t[0, 0, 0] == 3


def test_a_differentiated_call_without_noise_says_so(rng):
    layer = Recurrent(CELLS["RNN"]())
    with pytest.warns(UserWarning, match="differentiated without noise"):
        minirnn.grad(lambda layer: anp.sum(layer(rng.standard_normal((T, B, I)))[0]))(layer)


@pytest.mark.parametrize(
    ("cell", "p", "error", "says"),
    [
        (LSTMCell(I, H), {"a": 0.1}, ValueError, "p names a; the float arrays of the state are h, c"),
        (GRUCell(I, H), {"c": 0.1}, ValueError, "p names c; the float arrays of the state are h"),
        (GRUCell(I, H), 1.5, ValueError, r"dropout 1\.5 came"),
        (minirnn.GRU(I, H), 0.1, TypeError, "GRU came, a Cell was expected; wrap the cell"),
    ],
)
def test_bad_options_are_refused(cell, p, error, says):
    with pytest.raises(error, match=says):
        Zoneout(cell, p)
