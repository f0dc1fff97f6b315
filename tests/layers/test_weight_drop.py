import pickle

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import (
    GRU,
    LSTM,
    Bidirectional,
    GRUCell,
    Linear,
    LSTMCell,
    Recurrent,
    RNNCell,
    Sequential,
    Stacked,
    WeightDrop,
    cells,
    tree,
)
from minirnn.functional import dropout
from minirnn.layers import RecurrentLayer

T, B, I, H = 5, 3, 2, 4
LAYERS = {
    "LSTM": lambda **kw: LSTM(I, H, 2, **kw),
    "GRU": lambda **kw: GRU(I, H, bidirectional=True, **kw),
    "Bidirectional": lambda **kw: Bidirectional(LSTMCell(I, H, **kw), RNNCell(I, 3, **kw)),
    "Stacked": lambda **kw: Stacked([RNNCell(I, 3, **kw), GRUCell(3, H, **kw)], dropout=0.5),
}
each = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def seeded(seed=0):
    return np.random.default_rng(seed)


def made(make, p=0.5, dtype=np.float64):
    return WeightDrop(make(rng=seeded(), dtype=dtype), "*weight_hh*", p)


def same(found, expected, rtol=1e-12):
    for one, other in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-15)


# ---------------------------------------------------------------- the definition
@each
def test_it_is_the_layer_with_dropped_weights(make, rng):
    layer, xs, noise = made(make), rng.standard_normal((T, B, I)), seeded(1)
    arrays = layer.layer.parameters()
    dropped = {path: dropout(arrays[path], 0.5, noise) for path in arrays if "weight_hh" in path}
    same(layer(xs, rng=seeded(1)), layer.layer.bind(dropped)(xs, rng=noise))
    assert len(dropped) == 2


def test_each_call_has_one_mask_of_its_own():
    layer = WeightDrop(LSTM(1, 100), "*weight_hh*", 0.3)
    path = layer.paths[0]
    first, second = (layer.computed(rng)[path] for rng in (seeded(1), seeded(2)))
    plain = layer.layer.parameters()[path]
    assert first.dtype == np.float32
    assert abs((first == 0).mean() - 0.3) < 0.01
    np.testing.assert_allclose(first[first != 0], plain[first != 0] / 0.7, rtol=1e-6)
    assert ((first == 0) != (second == 0)).any()


@each
def test_without_an_rng_it_is_the_layer(make, rng):
    layer, xs = made(make), rng.standard_normal((T, B, I))
    same(layer(xs), layer.layer(xs), rtol=0)
    same(layer.plain()(xs), layer(xs), rtol=0)
    with pytest.warns(UserWarning, match="differentiated without noise"):
        minirnn.grad(lambda layer: anp.sum(layer(xs)[0]))(layer)


# ---------------------------------------------------------------- gradients, engines
def test_the_gradient_goes_through_the_noise(rng):
    layer, xs = (
        made(lambda **kw: Bidirectional(LSTMCell(I, 2, **kw), RNNCell(I, 3, **kw))),
        rng.standard_normal((2, 2, I)),
    )
    loss = lambda layer: anp.sum(layer(xs, rng=seeded(1))[0] ** 2)
    report = minirnn.gradcheck.gradcheck_module(layer, loss, method="directions")
    assert report.ok, report


def test_a_dropped_weight_gets_no_gradient(rng):
    layer, xs = made(LAYERS["LSTM"]), rng.standard_normal((T, B, I))
    gradients = minirnn.grad(lambda layer: anp.sum(layer(xs, rng=seeded(1))[0] ** 2))(layer)
    for path, array in layer.computed(seeded(1)).items():
        assert ((gradients[f"layer.{path}"] != 0) == (array != 0)).all()


@each
@pytest.mark.parametrize("chosen", ["auto", "compiled"])
def test_every_engine_gives_the_references_numbers(make, chosen, rng):
    layer, xs = made(make), rng.standard_normal((T, B, I))

    def numbers(name):
        with minirnn.engine(name):
            loss = lambda layer, xs: anp.sum(layer(xs, rng=seeded(1), lengths=[5, 2, 3])[0] ** 2)
            return minirnn.value_and_grad(loss, argnums=(0, 1))(layer, xs)

    same(numbers(chosen), numbers("python"), rtol=1e-9)


# ---------------------------------------------------------------- as every layer
@each
def test_it_is_a_recurrent_layer_with_the_layers_states_and_layouts(make, rng):
    layer = made(make, dtype=np.float32)
    xs = rng.standard_normal((T, B, I)).astype(np.float32)
    assert isinstance(layer, RecurrentLayer)
    assert (layer.input_size, layer.output_size) == (I, layer.layer.output_size)
    outputs, final = layer(xs, lengths=[5, 2, 3], rng=seeded(1))
    assert all(leaf.dtype == np.float32 for leaf in tree.leaves((outputs, final)))
    assert not outputs[2:, 1].any()
    same(layer(xs[:, 0], rng=seeded(1)), layer.bound(seeded(1))(xs[:, 0], rng=_after(layer, seeded(1))), rtol=1e-5)
    same(layer(xs, final), layer.layer(xs, final), rtol=0)


def _after(layer, rng):
    layer.computed(rng)
    return rng


def test_batch_first_is_the_layers_own(rng):
    layer = WeightDrop(LSTM(I, H, batch_first=True, dtype=np.float64))
    xs = rng.standard_normal((B, T, I))
    same(layer(xs), layer.layer(xs), rtol=0)


def test_it_stands_in_stacks_and_sequences(rng):
    model = Sequential(
        WeightDrop(LSTM(I, H, rng=rng)),
        WeightDrop(Linear(H, H, rng=rng), "weight"),
        Stacked([WeightDrop(GRU(H, 3, rng=rng)), RNNCell(3, I, rng=rng)]),
    )
    xs = rng.standard_normal((T, B, I)).astype(np.float32)
    outputs, states = model(xs, rng=seeded(1))
    assert outputs.shape == (T, B, I)
    assert len(states) == 2
    assert not np.allclose(outputs, model(xs)[0])
    assert np.array_equal(outputs, pickle.loads(pickle.dumps(model))(xs, rng=seeded(1))[0])


def test_other_layers_are_called_as_they_are_themselves(rng):
    x = rng.standard_normal((B, I)).astype(np.float32)
    head = WeightDrop(Linear(I, 3, rng=rng), "weight", 0.5)
    assert not isinstance(head, RecurrentLayer)
    same(head(x), head.layer(x))
    same(head(x, rng=seeded(1)), x @ head.computed(seeded(1))["weight"].T + head.layer.bias, rtol=1e-5)
    plain = Sequential(WeightDrop(Sequential(Linear(I, 3), np.tanh), "*weight"))
    assert plain(x, rng=rng).shape == (B, 3)
    whole = Sequential(WeightDrop(Sequential(Recurrent(cells.MGU(I, H)), Linear(H, 3)), "*.u"))
    outputs, states = whole(x[:, None], rng=rng)
    assert outputs.shape == (B, 1, 3)
    assert states[0][0].shape == (1, H)


def test_weights_are_saved_and_loaded(tmp_path, rng):
    layer, other = made(LAYERS["LSTM"]), made(LAYERS["LSTM"])
    for value in layer.parameters().values():
        value += rng.standard_normal(value.shape)
    minirnn.save(layer, tmp_path / "w")
    minirnn.load(other, tmp_path / "w")
    xs = rng.standard_normal((T, B, I))
    same(other(xs, rng=seeded(1)), layer(xs, rng=seeded(1)), rtol=0)
    assert set(layer.state_dict()) == {f"layer.{path}" for path in layer.layer.state_dict()}


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: WeightDrop(GRU(I, H), "*.w_hh"),
            ValueError,
            r"no parameter matches '\*.w_hh'; the paths are layers.0",
        ),
        (lambda: WeightDrop(GRU(I, H), p=-0.1), ValueError, r"WeightDrop: dropout -0\.1 came"),
        (lambda: WeightDrop(GRUCell(I, H)), TypeError, r"GRUCell came, which is a cell; give its layer"),
        (lambda: WeightDrop(np.tanh), TypeError, "ufunc came, a layer was expected"),
        (lambda: WeightDrop(GRU(I, H))(np.zeros((T, B, 3), np.float32)), ValueError, "xs has 3 features"),
    ],
)
def test_bad_input_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_frozen_weights_are_dropped_too_and_stay_frozen():
    layer = LSTM(3, 8, rng=np.random.default_rng(0))
    layer.freeze("*weight_hh*")
    dropped = WeightDrop(layer, "*weight_hh*", 0.5)
    (path,) = dropped.paths
    array = dropped.computed(np.random.default_rng(1))[path]
    assert 0.2 < (array == 0).mean() < 0.8
    assert not any("weight_hh" in name for name in dropped.parameters())
    xs = np.ones((2, 1, 3), np.float32)
    assert not np.array_equal(dropped(xs, rng=np.random.default_rng(1))[0], dropped(xs)[0])
