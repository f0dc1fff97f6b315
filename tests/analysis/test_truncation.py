import autograd.numpy as np
import numpy as onp
import pytest
from analysis_cases import inputs_for, layer_of

import minirnn
from minirnn import analysis

last_step = lambda outputs: np.sum(outputs[-1] ** 2)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_cut_beyond_the_sequence_costs_nothing_and_an_early_one_does(name):
    layer = layer_of(name)
    xs = inputs_for(layer, 12)
    found = analysis.truncation_bias(layer, last_step, xs, [1, 4, 12, 50])
    assert found.cosine[2:] == pytest.approx(1, abs=1e-12)
    assert found.norm[2:] == pytest.approx(1)
    assert found.cosine[0] < found.cosine[1] < 1


def test_the_truncated_gradient_is_that_of_the_last_piece():
    layer = layer_of("GRU")
    xs = inputs_for(layer, 7)
    _, middle = layer(xs[:4])
    tail = minirnn.grad(lambda layer: last_step(layer(xs[4:], middle)[0]))(layer)
    whole = minirnn.grad(lambda layer: last_step(layer(xs)[0]))(layer)
    flat = lambda grads: onp.concatenate([g.ravel() for g in grads.values()])
    found = analysis.truncation_bias(layer, last_step, xs, [4])
    assert found.norm[0] == pytest.approx(onp.linalg.norm(flat(tail)) / onp.linalg.norm(flat(whole)), rel=1e-10)
    assert found.cosine[0] == pytest.approx(
        flat(tail) @ flat(whole) / onp.linalg.norm(flat(tail)) / onp.linalg.norm(flat(whole)), rel=1e-10
    )


def test_a_model_of_tokens():
    rng = onp.random.default_rng(0)
    model = minirnn.Sequential(
        minirnn.Embedding(5, 3, rng=rng), minirnn.LSTM(3, 4, rng=rng), minirnn.Linear(4, 5, rng=rng)
    )
    tokens = rng.integers(0, 5, (9, 2))
    found = analysis.truncation_bias(model, lambda y: minirnn.losses.cross_entropy(y[:-1], tokens[1:]), tokens, [3, 9])
    assert 0.5 < found.cosine[0] < 1
    assert found.cosine[1] == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_compared_is_said():
    layer = layer_of("GRU")
    with pytest.raises(ValueError, match="k=0"):
        analysis.truncation_bias(layer, last_step, inputs_for(layer), [0])
    with pytest.raises(ValueError, match="zero"):
        analysis.truncation_bias(layer, lambda y: 0.0 * np.sum(y), inputs_for(layer), [2])
