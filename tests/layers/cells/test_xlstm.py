import numpy as np
import pytest

import minirnn
from minirnn import Recurrent, cells, tree
from minirnn.layers.cells.xlstm import mLSTM, mLSTMState, sLSTM, stabilised_gates

FORGET = {"sigmoid": lambda f: 1 / (1 + np.exp(-f)), "exp": np.exp}
sigmoid = FORGET["sigmoid"]


def slstm_as_written(p, xs):
    """The paper's equations 8 to 14, with nothing kept from overflowing."""
    h = c = n = np.zeros((xs.shape[1], p.hidden_size))
    outputs = []
    for x in xs:
        i, f, z, o = np.split(x @ p.w.T + h @ p.r.T + p.b, 4, axis=1)
        c = FORGET[p.forget](f) * c + np.exp(i) * np.tanh(z)
        n = FORGET[p.forget](f) * n + np.exp(i)
        h = sigmoid(o) * c / n
        outputs.append(h)
    return np.stack(outputs)


def mlstm_as_written(p, xs):
    """The paper's equations 19 to 27, one head at a time."""
    batch, size = xs.shape[1], p.hidden_size // p.heads
    outputs = np.zeros((len(xs), batch, p.hidden_size))
    for head in range(p.heads):
        cut = slice(head * size, (head + 1) * size)
        c, n = np.zeros((batch, size, size)), np.zeros((batch, size))
        for t, x in enumerate(xs):
            q, k, v, o = (block[:, cut] for block in np.split(x @ p.w.T + p.b, 4, axis=1))
            i, f = (block[:, head, None] for block in np.split(x @ p.w_gates.T + p.b_gates, 2, axis=1))
            i, f, k = np.exp(i), FORGET[p.forget](f), k / size**0.5
            c = f[:, :, None] * c + i[:, :, None] * np.einsum("bv,bk->bvk", v, k)
            n = f * n + i * k
            size_of_n = np.maximum(np.abs(np.einsum("bk,bk->b", n, q)), 1)[:, None]
            outputs[t, :, cut] = sigmoid(o) * np.einsum("bvk,bk->bv", c, q) / size_of_n
    return outputs


CASES = [
    (sLSTM, slstm_as_written, {}),
    (mLSTM, mlstm_as_written, {"heads": 1}),
    (mLSTM, mlstm_as_written, {"heads": 2}),
]


@pytest.mark.parametrize("forget", FORGET)
@pytest.mark.parametrize(("make", "as_written", "options"), CASES)
def test_stabilised_gates_give_what_the_plain_ones_give(rng, make, as_written, options, forget):
    cell = make(3, 4, forget=forget, rng=rng, dtype=np.float64, **options)
    for name, value in cell.parameters().items():
        value[...] += rng.standard_normal(value.shape) * (1.0 if "w" in name else 0.1)
    xs = 3 * rng.standard_normal((8, 2, 3))
    outputs, _ = Recurrent(cell)(xs)
    np.testing.assert_allclose(outputs, as_written(cell, xs), rtol=1e-11, atol=1e-13)


def test_the_larger_gate_is_one(rng):
    f, i, m = stabilised_gates(np.array([1000.0, -1000.0]), np.array([-1000.0, 1000.0]))
    assert (f == [1, 0]).all()
    assert (i == [0, 1]).all()
    assert (m == 1000).all()


@pytest.mark.parametrize("name", ["sLSTM", "mLSTM"])
@pytest.mark.parametrize("size", [-1e4, 1e4])
@pytest.mark.parametrize("forget", FORGET)
def test_huge_gates_overflow_nothing_in_float32(rng, name, size, forget):
    cell = cells.make(name, 3, 4, forget=forget, rng=rng)
    gates = cell.b if name == "sLSTM" else cell.b_gates
    gates[: len(gates) // 2] = size
    xs = rng.standard_normal((20, 2, 3)).astype(np.float32)
    value, gradient = minirnn.value_and_grad(lambda layer: (layer(xs)[0] ** 2).sum())(Recurrent(cell))
    assert all(np.isfinite(leaf).all() for leaf in [value, *gradient.values()])


def test_a_first_input_is_shown_however_small_its_gate():
    cell = sLSTM(1, 1, rng=np.random.default_rng(0))
    for value in cell.parameters().values():
        value[...] = 0
    shown = []
    for gate in (0, -1e4):
        cell.b[:] = [gate, 0, 0.5, 1e4]  # i, f, z, o
        shown.append(Recurrent(cell)(np.zeros((1, 1, 1), np.float32))[0].item())
    assert shown[0] == shown[1]
    expected = np.full(2, np.tanh(np.float32(0.5)))
    np.testing.assert_array_max_ulp(np.float32(shown), expected, 2)  # native tanh: see test_curves


def test_the_stabiliser_is_only_a_unit_of_measurement(rng):
    cell = cells.small("mLSTM", rng=rng)
    xs = rng.standard_normal((5, 2, 2))
    state = tree.map(lambda leaf: leaf + rng.standard_normal(leaf.shape), cell.initial_state(2))
    down = np.exp(-3.0)
    scaled = mLSTMState(state.c * down, state.n * down, state.m + 3)
    np.testing.assert_allclose(Recurrent(cell)(xs, state)[0], Recurrent(cell)(xs, scaled)[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"heads": 3}, "heads=3 came, which does not divide hidden_size=4"), ({"forget": "tanh"}, "forget='tanh' came")],
)
def test_mlstm_refuses_what_cannot_be(options, says):
    with pytest.raises(ValueError, match=says):
        mLSTM(3, 4, **options)
