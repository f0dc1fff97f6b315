"""Keras's weights, against its documented equations written out in NumPy: x @ kernel + h @ recurrent_kernel + bias."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn import Bidirectional, Recurrent, cells
from minirnn.interop.keras import keras_weights, load_keras_weights


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple_rnn(xs, kernel, recurrent, bias=0.0):
    h, outputs = np.zeros((xs.shape[1], len(recurrent))), []
    for x in xs:
        h = np.tanh(x @ kernel + h @ recurrent + bias)
        outputs.append(h)
    return np.stack(outputs)


def lstm(xs, kernel, recurrent, bias=0.0):
    h = c = np.zeros((xs.shape[1], len(recurrent)))
    outputs = []
    for x in xs:
        i, f, candidate, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs)


def gru(xs, kernel, recurrent, bias=None, *, reset_after):
    n = len(recurrent)
    bias = np.zeros((2, 3 * n)) if bias is None else bias if reset_after else np.stack([bias, np.zeros_like(bias)])
    h, outputs = np.zeros((xs.shape[1], n)), []
    for x in xs:
        a = x @ kernel + bias[0]
        z = sigmoid(a[:, :n] + h @ recurrent[:, :n] + bias[1, :n])
        r = sigmoid(a[:, n : 2 * n] + h @ recurrent[:, n : 2 * n] + bias[1, n : 2 * n])
        if reset_after:
            candidate = np.tanh(a[:, 2 * n :] + r * (h @ recurrent[:, 2 * n :] + bias[1, 2 * n :]))
        else:
            candidate = np.tanh(a[:, 2 * n :] + (r * h) @ recurrent[:, 2 * n :])
        h = z * h + (1 - z) * candidate
        outputs.append(h)
    return np.stack(outputs)


KINDS = {
    "SimpleRNN": (lambda rng, bias: minirnn.RNN(3, 4, bias=bias, rng=rng, dtype=np.float64), simple_rnn, 1, (4,)),
    "LSTM": (lambda rng, bias: minirnn.LSTM(3, 4, bias=bias, rng=rng, dtype=np.float64), lstm, 4, (16,)),
    "GRU": (
        lambda rng, bias: minirnn.GRU(3, 4, bias=bias, rng=rng, dtype=np.float64),
        lambda *args: gru(*args, reset_after=True),
        3,
        (2, 12),
    ),
    "GRU, reset before": (
        lambda rng, bias: Recurrent(cells.ChoGRU(3, 4, rng=rng, dtype=np.float64)),
        lambda *args: gru(*args, reset_after=False),
        3,
        (12,),
    ),
}
each = pytest.mark.parametrize("kind", KINDS)


def weights_of(rng, gates, bias):
    shapes = [(3, 4 * gates), (4, 4 * gates), *([bias] if bias else [])]
    return [rng.uniform(-1, 1, shape) for shape in shapes]


@pytest.mark.parametrize(
    ("kind", "bias"), [(kind, True) for kind in KINDS] + [(kind, False) for kind in ("SimpleRNN", "LSTM", "GRU")]
)
def test_keras_weights_give_kerass_outputs(kind, bias):
    make, reference, gates, bias_shape = KINDS[kind]
    rng = np.random.default_rng(0)
    layer, weights = make(rng, bias), weights_of(rng, gates, bias_shape if bias else None)
    load_keras_weights(layer, weights)
    xs = rng.standard_normal((5, 2, 3))
    np.testing.assert_allclose(layer(xs)[0], reference(xs, *weights), atol=1e-13)


@each
@given(seed=st.integers(0, 1000))
def test_there_and_back_is_the_same(kind, seed):
    make, _, gates, bias_shape = KINDS[kind]
    rng = np.random.default_rng(seed)
    layer, weights = make(rng, True), weights_of(rng, gates, bias_shape)
    load_keras_weights(layer, weights)
    for came, expected in zip(keras_weights(layer), weights, strict=True):
        np.testing.assert_array_equal(came, expected)


@each
def test_our_weights_in_kerass_equations_give_our_outputs(kind):
    make, reference, _, _ = KINDS[kind]
    rng = np.random.default_rng(1)
    layer, xs = make(rng, True), rng.standard_normal((5, 2, 3))
    np.testing.assert_allclose(reference(xs, *keras_weights(layer)), layer(xs)[0], atol=1e-13)


def test_a_model_is_its_layers_lists_one_after_the_other():
    rng = np.random.default_rng(0)
    both = Bidirectional(lambda: minirnn.LSTMCell(2, 4, rng=rng, dtype=np.float64))
    model = minirnn.Sequential(
        minirnn.Embedding(7, 2, rng=rng, dtype=np.float64), both, minirnn.Linear(8, 7, rng=rng, dtype=np.float64)
    )
    embedding, *directions, kernel, bias = keras_weights(model)
    tokens = rng.integers(0, 7, (5, 3))
    xs = embedding[tokens]
    ahead, back = lstm(xs, *directions[:3]), lstm(xs[::-1], *directions[3:])[::-1]
    np.testing.assert_allclose(model(tokens)[0], np.concatenate([ahead, back], axis=2) @ kernel + bias, atol=1e-13)


def test_what_does_not_fit_is_told_and_nothing_is_written():
    layer = minirnn.GRU(3, 4, rng=np.random.default_rng(0))
    before = keras_weights(layer)
    with pytest.raises(ValueError, match=r"2 arrays came, 3 were expected, for .*weight_ih"):
        load_keras_weights(layer, before[:2])
    with pytest.raises(ValueError, match=r"weights\[2\] has shape \(12,\), \(2, 12\).*reset_after=False.*ChoGRU"):
        load_keras_weights(layer, [*before[:2], np.zeros(12, np.float32)])
    with pytest.raises(ValueError, match="float64"):
        load_keras_weights(layer, [array.astype(np.float64) for array in before])
    for came, expected in zip(keras_weights(layer), before, strict=True):
        np.testing.assert_array_equal(came, expected)


def test_a_layer_that_keras_does_not_have_is_refused():
    with pytest.raises(TypeError, match=r"Keras has no twin of what holds cell\.w"):
        keras_weights(Recurrent(cells.MGU(3, 4)))
    with pytest.raises(TypeError, match="no twin"):
        keras_weights(minirnn.LSTM(3, 4, proj_size=2))


def test_another_epsilon_is_told_and_nothing_is_written():
    ours = minirnn.Sequential(minirnn.Linear(2, 3), minirnn.LayerNorm(3))
    before = ours.state_dict()
    weights = keras_weights(ours, epsilon=1e-5)
    for call in (lambda: keras_weights(ours), lambda: load_keras_weights(ours, [2 * w for w in weights])):
        with pytest.raises(ValueError, match=r"layers.1 has eps=1e-05, Keras's LayerNormalization 0.001: make"):
            call()
    assert all(np.array_equal(before[name], array) for name, array in ours.state_dict().items())
    load_keras_weights(ours, [2 * w for w in weights], epsilon=1e-5)
    assert np.array_equal(ours.state_dict()["layers.0.weight"], 2 * before["layers.0.weight"])
    assert len(keras_weights(minirnn.LayerNorm(3, eps=1e-3))) == 2
