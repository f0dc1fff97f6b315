"""Stacked: what stands between the layers, and in which order."""

import numpy as np
import pytest

import minirnn
from minirnn import GRU, LSTM, Function, GRUCell, LayerNorm, LSTMCell, Recurrent, RNNCell, Stacked, cells, tree
from minirnn.functional import dropout

T, B, I, H = 4, 3, 2, 3
FLOAT64 = {"dtype": np.float64}


def same(a, b):
    return all(np.allclose(x, y, rtol=1e-12, atol=1e-14) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


@pytest.fixture
def xs(rng):
    return rng.standard_normal((T, B, I))


@pytest.fixture
def layers(rng):
    return [GRU(I, H, rng=rng, **FLOAT64), LSTM(H, H, rng=rng, **FLOAT64), Recurrent(RNNCell(H, H, rng=rng, **FLOAT64))]


def test_each_layer_sees_the_outputs_of_the_one_below_and_the_state_is_the_tuple_of_theirs(layers, xs):
    y, states = xs, []
    for layer in layers:
        y, state = layer(y)
        states.append(state)
    assert same(Stacked(layers)(xs), (y, tuple(states)))
    assert tree.map(np.shape, Stacked(layers).initial_state(B)) == tree.map(np.shape, tuple(states))


def test_residual_adds_what_goes_into_each_layer_but_the_first(layers, xs):
    first, second, third = layers
    y = first(xs)[0]
    y = second(y)[0] + y
    y = third(y)[0] + y
    assert same(Stacked(layers, residual=True)(xs)[0], y)


@pytest.mark.parametrize("norm", ["layer", LayerNorm, lambda size: LayerNorm(size, dtype=np.float64)])
def test_norms_stand_before_each_layer_but_the_first_inside_the_residual_branch(layers, xs, norm):
    stack = Stacked(layers, residual=True, norm=norm)
    stack.norms[0].weight, stack.norms[1].bias = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    y = layers[0](xs)[0]
    y = layers[1](stack.norms[0](y))[0] + y
    y = layers[2](stack.norms[1](y))[0] + y
    assert same(stack(xs)[0], y)
    assert [name for name in stack.parameters() if "norm" in name] == [
        f"norms.{i}.{what}" for i in (0, 1) for what in ("weight", "bias")
    ]


def test_dropout_stands_behind_the_norm_and_not_on_what_is_added(layers, xs):
    stack, seed = Stacked(layers[:2], dropout=0.5, residual=True, norm="layer"), np.random.default_rng
    y = layers[0](xs)[0]
    y = layers[1](dropout(stack.norms[0](y), 0.5, seed(1)))[0] + y
    assert same(stack(xs, rng=seed(1))[0], y)
    assert same(stack(xs), Stacked(layers[:2], residual=True, norm="layer")(xs))


def test_a_norm_has_the_layers_dtype_and_the_size_of_what_it_sees(rng):
    stack = Stacked([GRUCell(I, 5, rng=rng), GRUCell(5, 4, rng=rng)], norm=LayerNorm)
    assert (stack.norms[0].weight.shape, stack.norms[0].weight.dtype) == ((5,), np.float32)


def test_images_run_through_a_stack(rng):
    films = rng.standard_normal((T, B, 2, 3, 4))
    make = lambda channels: cells.ConvLSTM((channels, 3, 4), 5, rng=rng, **FLOAT64)
    stack = Stacked([make(2), make(5)], residual=True, norm="layer")
    outputs, _ = stack(films)
    assert stack.output_size == (5, 3, 4)
    assert outputs.shape == (T, B, 5, 3, 4)
    assert stack.norms[0].weight.shape == (5, 3, 4)


def test_the_repr_says_the_options(layers):
    assert repr(Stacked(layers, dropout=0.5, residual=True)).startswith("Stacked(dropout=0.5, residual=True):")


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (
            lambda: Stacked([RNNCell(I, 3), GRU(4, H)]),
            ValueError,
            r"layers\.0 \(Recurrent\) gives 3 features, the input_size of layers\.1 \(GRU\) is 4",
        ),
        (
            lambda: Stacked([LSTMCell(I, 4, proj_size=3), GRU(4, H)]),
            ValueError,
            r"layers\.0 \(Recurrent\) gives 3 features",
        ),
        (
            lambda: Stacked([GRU(I, 4, bidirectional=True), GRU(4, H)]),
            ValueError,
            r"layers\.0 \(GRU\) gives 8 features",
        ),
        (
            lambda: Stacked([GRU(I, 3), GRU(3, 3), GRU(3, 4)], residual=True),
            ValueError,
            r"adds what goes into layers\.2 \(GRU\), 3 features, to its 4 outputs; equal sizes were expected",
        ),
        (lambda: Stacked([GRU(I, H)], residual=True), ValueError, "residual=True acts between layers, and there is"),
        (lambda: Stacked([GRU(I, H)], norm="layer"), ValueError, "norm=layer acts between layers, and there is one"),
        (lambda: Stacked([GRU(I, H), GRU(H, H)], norm="batch"), TypeError, "norm='batch' came"),
        (lambda: Stacked([GRU(I, H), GRU(H, H)], norm=LayerNorm(H)), TypeError, "a function of the size"),
        (lambda: Stacked([GRU(I, H), GRU(H, H)], norm=lambda size: None), TypeError, "norm made a NoneType"),
    ],
)
def test_what_does_not_fit_is_an_error_when_it_is_built(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_norm_may_be_any_module(layers, xs):
    halved = Stacked(layers[:2], norm=lambda size: Function(lambda y: 0.5 * y))
    assert same(halved(xs)[0], layers[1](0.5 * layers[0](xs)[0])[0])


def test_another_dtype_inside_is_an_error_that_names_the_layer(rng):
    stack = Stacked([GRUCell(I, H, rng=rng, **FLOAT64), GRUCell(H, H, rng=rng)])
    with pytest.raises(TypeError, match="Recurrent: xs is float64, the parameters are float32"):
        stack(np.ones((T, B, I)))
    assert minirnn.RNN(I, H).output_size == H
