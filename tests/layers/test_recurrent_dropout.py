import autograd.numpy as anp
import numpy as np
import pytest
from few import few

import minirnn
from minirnn import (
    GRUCell,
    LSTMCell,
    LSTMState,
    Recurrent,
    RecurrentDropoutGRUCell,
    RecurrentDropoutLSTMCell,
    tree,
)

T, B, I, H = 6, 3, 2, 4
MAKERS = {
    "LSTM": (RecurrentDropoutLSTMCell, LSTMCell, {}),
    "projected": (RecurrentDropoutLSTMCell, LSTMCell, {"proj_size": 3}),
    "GRU": (RecurrentDropoutGRUCell, GRUCell, {}),
    "without bias": (RecurrentDropoutGRUCell, GRUCell, {"bias": False}),
}
each = pytest.mark.parametrize("kind", MAKERS)


def seeded(seed=0):
    return np.random.default_rng(seed)


def pair(kind, p=0.5, dtype=np.float64, **options):
    """The cell with dropout and the one without, of the same weights."""
    made, plain, own = MAKERS[kind]
    cell, other = made(I, H, p, rng=seeded(), dtype=dtype, **own, **options), plain(I, H, dtype=dtype, **own)
    other.load_state_dict(cell.state_dict())
    return cell, other


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(cell, xs, masks):
    """The equations over time, each gate with its own weights."""
    (W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o) = np.split(cell.weight_ih, 4), np.split(cell.weight_hh, 4)
    b_i, b_f, b_g, b_o = np.split(cell.bias_ih + cell.bias_hh, 4)
    h, c = np.zeros((B, cell.proj_size or H)), np.zeros((B, H))
    outputs = []
    for x, m in zip(xs, masks, strict=True):
        g = np.tanh(x @ W_g.T + h @ U_g.T + b_g)
        c = sigmoid(x @ W_f.T + h @ U_f.T + b_f) * c + sigmoid(x @ W_i.T + h @ U_i.T + b_i) * (m * g)
        h = sigmoid(x @ W_o.T + h @ U_o.T + b_o) * np.tanh(c)
        h = h if cell.weight_hr is None else h @ cell.weight_hr.T
        outputs.append(h)
    return np.stack(outputs)


def gru_by_hand(cell, xs, masks):
    (W_r, W_z, W_n), (U_r, U_z, U_n) = np.split(cell.weight_ih, 3), np.split(cell.weight_hh, 3)
    none = np.zeros(3 * H)
    (b_r, b_z, b_n), (v_r, v_z, v_n) = (
        np.split(none if bias is None else bias, 3) for bias in (cell.bias_ih, cell.bias_hh)
    )
    h, outputs = np.zeros((B, H)), []
    for x, m in zip(xs, masks, strict=True):
        r = sigmoid(x @ W_r.T + b_r + h @ U_r.T + v_r)
        z = sigmoid(x @ W_z.T + b_z + h @ U_z.T + v_z)
        n = np.tanh(x @ W_n.T + b_n + r * (h @ U_n.T + v_n))
        h = (1 - z) * (m * n) + z * h
        outputs.append(h)
    return np.stack(outputs)


@each
@pytest.mark.parametrize("per", ["step", "sequence"])
def test_it_is_the_papers_equations_under_the_masks_that_were_drawn(kind, per, rng):
    cell, _ = pair(kind, per=per)
    xs = rng.standard_normal((T, B, I))
    masks = cell.inputs(xs, rng=seeded(1)).mask
    by_hand = gru_by_hand if isinstance(cell, GRUCell) else lstm_by_hand
    np.testing.assert_allclose(Recurrent(cell)(xs, rng=seeded(1))[0], by_hand(cell, xs, masks), rtol=1e-11)
    assert {0.0, 2.0} == set(np.unique(masks))
    assert (masks == masks[0]).all() == (per == "sequence")


def test_the_share_of_dropped_candidates_is_p(rng):
    cell = RecurrentDropoutGRUCell(1, 200, 0.2)
    masks = cell.inputs(np.zeros((50, 20, 1), np.float32), rng=rng).mask
    assert abs((masks == 0).mean() - 0.2) < 0.005
    assert abs(masks.mean() - 1) < 0.01
    assert masks.dtype == np.float32


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_memory_is_not_lost_whatever_is_dropped(kind, rng):
    """With every candidate dropped, and gates that keep, the state stays as it is for a hundred steps."""
    cell, _ = pair(kind, p=1.0)
    for parameter in cell.parameters().values():
        parameter[...] = 0
    cell.bias_ih[slice(H, 2 * H)] = 100.0  # f of the LSTM, z of the GRU: keep
    memory = rng.standard_normal((B, H))
    state = LSTMState(memory, memory) if kind == "LSTM" else memory
    _, final = Recurrent(cell)(np.zeros((100, B, I)), state, rng=rng)
    assert np.array_equal(final.c if kind == "LSTM" else final, memory)


@each
@pytest.mark.parametrize("engine", ["auto", "compiled", "python"])
def test_without_an_rng_it_is_the_plain_cell_on_any_engine(kind, engine, rng):
    cell, plain = pair(kind)
    xs = rng.standard_normal((T, B, I))
    found, expected = Recurrent(cell, engine=engine)(xs), Recurrent(plain, engine=engine)(xs)
    assert all(np.array_equal(*both) for both in zip(tree.leaves(found), tree.leaves(expected), strict=True))


@each
@pytest.mark.parametrize("per", few(["step", "sequence"], ["sequence"]))
def test_the_gradient_goes_through_the_noise(kind, per, rng):
    cell, _ = pair(kind, per=per)
    xs = rng.standard_normal((2, 2, I))
    loss = lambda layer: anp.sum(layer(xs, rng=seeded(1), lengths=[2, 1])[0] ** 2)
    report = minirnn.gradcheck.gradcheck_module(Recurrent(cell), loss, method="directions")
    assert report.ok, report


@each
def test_a_padded_sequence_gets_what_it_gets_alone(kind, rng):
    cell, _ = pair(kind, dtype=np.float32)
    xs = rng.standard_normal((T, B, I)).astype(np.float32)
    outputs, final = Recurrent(cell)(xs, lengths=[6, 2, 4], rng=seeded(1))
    full, _ = Recurrent(cell)(xs, rng=seeded(1))
    assert all(leaf.dtype == np.float32 for leaf in tree.leaves((outputs, final)))
    np.testing.assert_array_equal(outputs[:2, 1], full[:2, 1])
    assert not outputs[2:, 1].any()
    np.testing.assert_array_equal(tree.leaves(final)[0][1], full[1, 1])


def test_a_differentiated_call_without_noise_says_so(rng):
    layer = Recurrent(pair("GRU")[0])
    with pytest.warns(UserWarning, match="differentiated without noise"):
        minirnn.grad(lambda layer: anp.sum(layer(rng.standard_normal((T, B, I)))[0]))(layer)


@pytest.mark.parametrize("made", [RecurrentDropoutLSTMCell, RecurrentDropoutGRUCell])
def test_bad_options_are_refused(made):
    with pytest.raises(ValueError, match=r"dropout 2 came"):
        made(I, H, 2)
    with pytest.raises(ValueError, match=r"per='batch' came, step or sequence"):
        made(I, H, per="batch")
    assert "p=0.25, per='step'" in repr(made(I, H))
