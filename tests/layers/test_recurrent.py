"""What all recurrent layers promise: layouts, lengths, states, directions, edges and errors."""

from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest
from stack_makers import STACKS

import minirnn
from minirnn import GRU, LSTM, RNN, Bidirectional, GRUCell, LSTMCell, Recurrent, RNNCell, Stacked, tree

T, B, I, H = 5, 3, 2, 4
LAYERS = {
    "RNN": lambda **kw: RNN(I, H, dtype=np.float64, **kw),
    "LSTM": lambda **kw: LSTM(I, H, 2, dtype=np.float64, **kw),
    "GRU": lambda **kw: GRU(I, H, bidirectional=True, dtype=np.float64, **kw),
    "projected": lambda **kw: LSTM(I, H, bidirectional=True, proj_size=3, dtype=np.float64, **kw),
    "Recurrent": lambda **kw: Recurrent(RNNCell(I, H, dtype=np.float64), **kw),
    "Bidirectional": lambda **kw: Bidirectional(
        LSTMCell(I, H, dtype=np.float64), GRUCell(I, 3, dtype=np.float64), **kw
    ),
    "Stacked": lambda **kw: Stacked([RNNCell(I, 3, dtype=np.float64), LSTM(3, H, 2, dtype=np.float64)], **kw),
    **STACKS,
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


@pytest.fixture
def xs(rng):
    return rng.standard_normal((T, B, I))


def same(a, b, atol=1e-14):
    return all(np.allclose(x, y, rtol=0, atol=atol) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


def row(state, layer, b):
    """The state of one sequence of the batch."""
    return tree.map(lambda leaf, axis: leaf.take([b], axis), state, layer.batch_axes())


# ---------------------------------------------------------------- layouts
@each_layer
def test_batch_first_swaps_the_first_two_axes_of_input_and_output(make, xs):
    layer, first = make(), make(batch_first=True)
    first.load_state_dict(layer.state_dict())
    assert same(first(xs.swapaxes(0, 1)), (layer(xs)[0].swapaxes(0, 1), layer(xs)[1]))


@each_layer
def test_unbatched_is_a_batch_of_one_without_its_axis(make, xs):
    layer = make()
    outputs, final = layer(xs[:, :1])
    alone, alone_final = layer(xs[:, 0])
    assert same(alone, outputs[:, 0])
    assert same(alone_final, tree.map(np.squeeze, final, layer.batch_axes()))
    assert same(layer(xs[:, 0], alone_final)[0], layer(xs[:, :1], final)[0][:, 0])


# ---------------------------------------------------------------- states
@each_layer
def test_a_state_carried_on_is_the_same_as_one_long_run(make, xs):
    layer = make()
    if "backward" in str(layer) or "reverse" in str(layer).lower():
        assert same(layer(xs, layer.initial_state(B)), layer(xs))
        return
    first, state = layer(xs[:2])
    second, final = layer(xs[2:], state)
    assert same((np.concatenate([first, second]), final), layer(xs))


@each_layer
def test_default_states_are_zeros_of_the_parameters_dtype(make):
    for layer in (make(), make().astype(np.float32)):
        dtype = next(iter(layer.parameters().values())).dtype
        leaves = tree.leaves(layer.initial_state(B))
        assert all(leaf.dtype == dtype and not leaf.any() for leaf in leaves)
        outputs, final = layer(np.ones((T, B, I), dtype))
        assert {leaf.dtype for leaf in [outputs, *tree.leaves(final)]} == {dtype}


# ---------------------------------------------------------------- lengths
@each_layer
def test_lengths_are_the_same_as_each_sequence_alone(make, xs):
    layer, lengths = make(), np.array([5, 1, 3])
    outputs, final = layer(xs, lengths=lengths)
    for b, n in enumerate(lengths):
        alone, alone_final = layer(xs[:n, b : b + 1])
        assert same(outputs[:n, b : b + 1], alone)
        assert not outputs[n:, b].any()
        assert same(row(final, layer, b), alone_final)


@each_layer
def test_padding_may_hold_anything_and_gets_no_gradient(make, xs):
    layer, lengths = make(), np.array([5, 1, 3])
    padded = xs.copy()
    for b, n in enumerate(lengths):
        padded[n:, b] = np.nan
    assert same(layer(padded, lengths=lengths), layer(xs, lengths=lengths))
    grads, dx = minirnn.grad(lambda layer, xs: anp.sum(layer(xs, lengths=lengths)[0] ** 2), argnums=(0, 1))(
        layer, padded
    )
    assert all(np.isfinite(g).all() for g in grads.values())
    assert np.isfinite(dx).all()
    assert not dx[3:, 2].any()


@each_layer
def test_length_zero_holds_the_given_state(make, xs, rng):
    layer = make()
    state = tree.map(lambda leaf: rng.standard_normal(leaf.shape), layer.initial_state(B))
    outputs, final = layer(xs, state, lengths=np.zeros(B, int))
    assert not outputs.any()
    assert same(final, state)


# ---------------------------------------------------------------- edges
@pytest.mark.filterwarnings("ignore:the result does not depend on:minirnn.UnreachedWarning")  # where there is no step
@each_layer
@pytest.mark.parametrize(("steps", "batch"), [(1, 3), (0, 3), (4, 0), (0, 0)])
def test_one_step_no_step_and_no_batch(make, steps, batch):
    layer = make()
    xs = np.ones((steps, batch, I))
    width = layer(np.ones((1, 1, I)))[0].shape[-1]
    start = tree.map(lambda leaf: leaf + 0.5, layer.initial_state(batch))
    outputs, final = layer(xs, start)
    assert outputs.shape == (steps, batch, width)
    if steps == 0:
        assert same(final, start)
    grads, dx = minirnn.vjp(lambda layer, xs: layer(xs, start), layer, xs)[1]((outputs, final))
    assert dx.shape == xs.shape
    assert all(g.shape == p.shape for g, p in zip(grads.values(), layer.parameters().values(), strict=True))


@each_layer
def test_what_comes_out_can_be_written_to_and_is_not_the_input(make, xs):
    layer = make()
    before = layer.state_dict()
    start = layer.initial_state(B)
    outputs, final = layer(xs, start)
    for leaf in [outputs, *tree.leaves(final)]:
        leaf += 1
    assert not any(leaf.any() for leaf in tree.leaves(start))
    assert all(np.array_equal(value, before[name]) for name, value in layer.state_dict().items())


def test_reverse_runs_from_the_end():
    cell = RNNCell(I, H, dtype=np.float64)
    xs = np.random.default_rng(1).standard_normal((T, B, I))
    outputs, final = Recurrent(cell, reverse=True)(xs)
    ahead, ahead_final = Recurrent(cell)(xs[::-1])
    assert same((outputs[::-1], final), (ahead, ahead_final))


# ---------------------------------------------------------------- dropout
@pytest.mark.parametrize("make", [LSTM, GRU, RNN])
def test_dropout_acts_between_layers_where_an_rng_is_given(make, xs):
    layer = make(I, H, 2, dropout=0.5, dtype=np.float64)
    noisy = [layer(xs, rng=np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    assert same(noisy[0], noisy[1])
    assert not same(noisy[0], noisy[2])
    assert same(layer(xs)[0], layer(xs)[0])
    first = make(I, H, 1, dtype=np.float64)
    first.load_state_dict({name: value for name, value in layer.state_dict().items() if name.startswith("layers.0")})
    assert same(layer.layers[0](xs)[0], first(xs)[0])


def test_differentiating_dropout_without_noise_warns():
    layer = LSTM(I, H, 2, dropout=0.5)
    with pytest.warns(UserWarning, match="without noise"):
        minirnn.grad(lambda layer: anp.sum(layer(np.ones((T, B, I), np.float32))[0]))(layer)


# ---------------------------------------------------------------- errors
float32_xs = np.ones((T, B, I), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: LSTM(I, H)(np.ones((T, B, 7), np.float32)), ValueError, "LSTM: xs has 7 features, input_size is 2"),
        (lambda: LSTM(I, H)(np.ones((T, B, I))), TypeError, r"xs is float64, the parameters are float32.*astype"),
        (lambda: LSTM(I, H)(np.ones((T, B, I), int)), TypeError, "xs is int64"),
        (lambda: LSTM(I, H)(float32_xs[0, 0]), ValueError, r"xs has shape \(2,\)"),
        (lambda: LSTM(I, H)(float32_xs.tolist()), TypeError, "list came"),
        (lambda: LSTM(I, H)(float32_xs, np.zeros((1, B, H), np.float32)), ValueError, "state has leaves"),
        (lambda: LSTM(I, H)(float32_xs[:, 0], np.zeros((1, H), np.float32)), ValueError, "state has leaves"),
        (lambda: GRU(I, H)(float32_xs[:, 0], np.zeros((1, 1, H), np.float32)), ValueError, r"float32 \(1, 4\) was"),
        (lambda: GRU(I, H)(float32_xs, np.zeros((B, H), np.float32)), ValueError, r"state is float32 \(3, 4\)"),
        (lambda: GRU(I, H)(float32_xs, np.zeros((1, B, H))), ValueError, "state is float64"),
        (lambda: GRU(I, H)(float32_xs, lengths=[1, 2, 6]), ValueError, "between 1 and 6, xs has 5 steps"),
        (lambda: GRU(I, H)(float32_xs, lengths=[1, 2, -1]), ValueError, "between -1 and 2"),
        (lambda: GRU(I, H)(float32_xs, lengths=[1.0, 2, 3]), ValueError, "integers of shape"),
        (lambda: GRU(I, H)(float32_xs, lengths=[1, 2]), ValueError, r"shape \(3,\)"),
        (lambda: GRU(I, H)(float32_xs[:, 0], lengths=[1]), ValueError, "unbatched"),
        (lambda: GRU(0, H), ValueError, "input_size=0 came"),
        (lambda: GRU(I, 2.5), ValueError, "hidden_size=2.5 came"),
        (lambda: GRU(I, H, num_layers=0), ValueError, "num_layers=0"),
        (lambda: GRU(I, H, 2, dropout=1.5), ValueError, "dropout 1.5"),
        (lambda: GRU(I, H, dropout=0.5), ValueError, "acts between layers, and there is one"),
        (lambda: GRU(I, H, engine="turbo"), ValueError, "engine='turbo' came, one of auto, compiled, python"),
        (lambda: RNN(I, H, nonlinearity="cube"), ValueError, "tanh or relu"),
        (lambda: LSTM(I, H, proj_size=H), ValueError, "proj_size=4 came"),
        (lambda: Stacked([]), ValueError, "no layers came"),
        (lambda: Stacked([minirnn.Linear(I, H)]), TypeError, "Linear came"),
        (lambda: Stacked([GRU(I, H, batch_first=True)]), ValueError, "batch_first belongs to the outermost"),
        (lambda: Bidirectional(RNNCell(I, H), RNNCell(3, H)), ValueError, "input sizes 2 and 3"),
        (lambda: Recurrent(GRU(I, H)), TypeError, "GRU came, a Cell"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()


class Swapped(NamedTuple):
    c: Any
    h: Any


def test_named_arrays_of_another_meaning_are_no_state(rng):
    layer = minirnn.LSTM(3, 4, rng=rng)
    h, c = layer.initial_state(2)
    with pytest.raises(ValueError, match=r"leaves \['c', 'h'\], \['h', 'c'\] were expected"):
        layer(np.zeros((5, 2, 3), np.float32), Swapped(c, h))
