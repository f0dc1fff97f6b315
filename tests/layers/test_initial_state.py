"""LearnedInitialState: what a layer begins with is trained."""

import numpy as np
import pytest
from padded_batches import assert_close

import minirnn
from minirnn import GRU, LSTM, GRUCell, LearnedInitialState, Linear, Recurrent, Sequential, Stacked, tree

T, B, I, H = 4, 3, 2, 3


def lstm(rng, **keywords):
    return LearnedInitialState(LSTM(I, H, 2, bidirectional=True, rng=rng, dtype=np.float64), rng=rng, **keywords)


def test_it_begins_every_sequence_with_its_parameters(rng):
    layer, xs = lstm(rng), rng.standard_normal((T, B, I))
    repeated = lambda array: np.repeat(array[:, None], B, axis=1)
    state = minirnn.LSTMState(repeated(layer.initial_h), repeated(layer.initial_c))
    for came, expected in zip(tree.leaves(layer(xs)), tree.leaves(layer.layer(xs, state)), strict=True):
        assert_close(came, expected)
    assert layer.initial_h.shape == (4, H)


def test_its_gradient_is_that_of_the_state_summed_over_the_batch(rng):
    layer, xs = lstm(rng), rng.standard_normal((T, B, I))
    value = lambda layer, xs, state: (layer(xs, state, lengths=np.array([4, 1, 3]))[0] ** 2).sum()
    found = minirnn.grad(lambda layer: value(layer, xs, None))(layer)
    of_state = minirnn.grad(lambda state: value(layer.layer, xs, state))(layer.initial_state(B))
    np.testing.assert_allclose(found["initial_h"], of_state.h.sum(1), rtol=1e-12)
    np.testing.assert_allclose(found["initial_c"], of_state.c.sum(1), rtol=1e-12)
    assert found["initial_h"].any()


def test_without_an_rng_it_starts_at_the_layers_own_state_and_with_one_within_k():
    assert not any(leaf.any() for leaf in tree.leaves(LearnedInitialState(GRU(I, H)).initial_state(B)))
    drawn = LearnedInitialState(GRUCell(I, 100), rng=np.random.default_rng(0)).initial
    assert 0.08 < np.abs(drawn).max() <= 0.1


def test_parameters_are_named_after_their_place_in_the_state():
    stack = LearnedInitialState(Stacked([GRU(I, H), minirnn.LSTMCell(H, H)]))
    assert [name for name in stack.parameters() if "initial" in name] == ["initial_0", "initial_1_h", "initial_1_c"]


def test_a_state_that_is_given_wins(rng):
    layer, xs = lstm(rng), rng.standard_normal((T, B, I))
    zeros = layer.layer.initial_state(B)
    assert_close(layer(xs, zeros)[0], layer.layer(xs)[0])


@pytest.mark.parametrize(("shape", "keywords"), [((T, I), {}), ((B, T, I), {"batch_first": True})])
def test_unbatched_and_batch_first_input_begin_there_too(rng, shape, keywords):
    layer = lstm(rng, **keywords)
    outputs, final = layer(rng.standard_normal(shape))
    assert outputs.shape == (*shape[:-1], 2 * H)
    assert final.h.shape == ((4, H) if len(shape) == 2 else (4, B, H))


def test_another_dtype_may_be_asked_for():
    layer = LearnedInitialState(GRUCell(I, H, dtype=np.float64))
    assert layer.initial_state(B).dtype == np.float64
    assert layer.initial_state(B, np.float32).dtype == np.float32


def test_inside_other_layers_it_begins_there_too(rng):
    inner = LearnedInitialState(GRU(I, H, rng=rng), rng=rng)
    model = Sequential(Linear(5, I, rng=rng), Stacked([inner, GRU(H, H, rng=rng)]))
    (state,) = model.initial_state(B)
    assert_close(state[0], np.repeat(inner.initial[:, None], B, axis=1))
    gradients = minirnn.grad(lambda model: model(np.ones((T, B, 5), np.float32))[0].sum())(model)
    assert gradients["layers.1.layers.0.initial"].any()


def test_learning_it_twice_is_an_error():
    with pytest.raises(ValueError, match="is learned already"):
        LearnedInitialState(Stacked([LearnedInitialState(GRU(I, H)), Recurrent(GRUCell(H, H))]))
