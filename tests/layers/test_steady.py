"""A layer's third call of one kind goes the short way, and gives what the long one gives, whatever was changed."""

import copy
import gc
import pickle
import weakref
from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import LSTM, Recurrent, cell, tree
from minirnn.layers.lstm import LSTMState

XS = onp.random.default_rng(0).standard_normal((3, 2, 4)).astype(onp.float32)
scale = 1.0


@cell(w=("hidden", "input"), u=("hidden", "hidden"))
def scaled_cell(p, h, x):
    h = scale * np.tanh(x @ p.w.T + h @ p.u.T)
    return h, h


def rng():
    return onp.random.default_rng(1)


MAKE = {
    "LSTM": lambda: LSTM(4, 5, rng=rng()),
    "GRU": lambda: minirnn.GRU(4, 5, rng=rng()),
    "own": lambda: Recurrent(scaled_cell(4, 5, rng=rng())),
    "Elman": lambda: Recurrent(minirnn.RNNCell(4, 5, rng=rng())),
}
needs_native = pytest.mark.skipif(minirnn.tier.native_reason() is not None, reason="no native code here")
pytestmark = needs_native


def steadied(kind):
    layer = MAKE[kind]()
    for _ in range(2):
        layer(XS)
    assert layer._steady.run is not None
    return layer


def same(found, expected):
    pairs = list(zip(tree.leaves(found), tree.leaves(expected), strict=True))
    return type(found[1]) is type(expected[1]) and all(onp.array_equal(a, b) for a, b in pairs)


def close(found, expected):
    return all(onp.allclose(a, b, atol=1e-5) for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True))


@pytest.mark.parametrize("kind", MAKE)
def test_the_short_way_gives_the_same_bits(kind):
    layer = steadied(kind)
    state = layer(XS)[1]
    assert same(layer(XS), MAKE[kind]()(XS))
    assert same(layer(XS, state), MAKE[kind]()(XS, state))
    assert close(layer(XS, state), by_reference(layer, state))


def by_reference(layer, state=None):
    with minirnn.engine("python"):
        return layer(XS, state)


def write_a_weight(layer):
    next(iter(layer.parameters().values()))[0, 0] += 1


def replace_a_weight(layer):
    part = next(module for module in layer.modules() if module._leaves)
    name = next(iter(part._leaves))
    setattr(part, name, minirnn.Parameter(getattr(part, name) + 1))


def change_what_the_step_reads(layer):
    globals()["scale"] = 0.5


@pytest.mark.parametrize("change", [write_a_weight, replace_a_weight, change_what_the_step_reads])
def test_a_change_is_seen(change, monkeypatch):
    monkeypatch.setitem(globals(), "scale", 1.0)
    layer = steadied("own")
    before = layer(XS)
    change(layer)
    assert not close(layer(XS), before)
    for _ in range(4):
        assert close(layer(XS), by_reference(layer))


def test_a_changed_option_of_the_cell_is_seen():
    layer = Recurrent(minirnn.RNNCell(4, 5, rng=rng()))
    for _ in range(3):
        layer(XS)
    layer.cell.nonlinearity = "relu"
    assert close(layer(XS), by_reference(layer))


def test_another_cell_is_seen():
    layer = steadied("own")
    layer.cell = scaled_cell(4, 5, rng=onp.random.default_rng(2))
    assert close(layer(XS), by_reference(layer))


@pytest.mark.parametrize("name", ["python", "compiled"])
def test_an_engine_or_a_tier_that_is_named_is_taken(name):
    layer = steadied("LSTM")
    with minirnn.engine(name), minirnn.tier.tier("numpy"):
        named = layer(XS)
    assert close(named, layer(XS))


@pytest.mark.parametrize(
    ("xs", "error"),
    [(XS.astype(onp.float64), TypeError), (XS[:, :, :3], ValueError), (onp.full_like(XS, onp.nan), ValueError)],
)
def test_what_does_not_fit_is_refused_as_before(xs, error):
    layer = steadied("LSTM")
    with pytest.raises(error):
        layer(xs)


def test_other_sizes_states_lengths_and_resets_are_as_in_a_first_call():
    layer, fresh = steadied("LSTM"), MAKE["LSTM"]()
    state = layer(XS)[1]
    resets = onp.zeros((3, 2), bool)
    resets[1, 0] = True
    for args, given in [
        ((XS[:2],), {}),
        ((XS, tuple(state)), {}),
        ((XS,), {"lengths": [1, 3]}),
        ((XS,), {"resets": resets}),
    ]:
        assert same(layer(*args, **given), fresh(*args, **given))
    with pytest.raises(ValueError, match="state"):
        layer(XS, state.h)


def test_a_gradient_through_the_layer_is_no_such_call():
    layer = steadied("LSTM")
    loss = lambda layer, xs: np.sum(layer(xs)[0] ** 2)
    found = minirnn.value_and_grad(loss, (0, 1))(layer, XS)
    with minirnn.engine("python"):
        expected = minirnn.value_and_grad(loss, (0, 1))(layer, XS)
    assert close(found, expected)


class Deep(NamedTuple):
    fast: LSTMState
    slow: onp.ndarray


class Nested(minirnn.Cell):
    """Its state is a nesting of nestings."""

    def __init__(self):
        self.input_size, self.hidden_size = 4, 5
        self.w = minirnn.Parameter(rng().standard_normal((5, 4)))

    def initial_state(self, batch_size, dtype=None):
        zeros = onp.zeros((batch_size, 5), dtype or self.dtype)
        return Deep(LSTMState(zeros, zeros), zeros)

    def step(self, state, x):
        h = np.tanh(x @ self.w.T + state.fast.c)
        return Deep(LSTMState(h, 0.5 * h), 0.9 * state.slow + 0.1 * h), h


def test_a_state_of_nested_nestings_takes_the_long_way():
    layer, xs = Recurrent(Nested()), XS.astype(onp.float64)
    expected = layer(xs)
    for state in [None, None, None, layer.initial_state(2), layer.initial_state(2)]:
        assert same(layer(xs, state), expected)


def ones_to_begin_with(layer):
    return lambda batch, dtype=None: tree.map(lambda zeros: zeros + 1, type(layer).initial_state(layer, batch, dtype))


def twice(cell):
    return lambda xs, *, rng=None: 2 * xs


@pytest.mark.parametrize("name", ["initial_state", "inputs"])
@pytest.mark.parametrize("kind", ["own", "GRU", "LSTM"])
def test_what_is_set_on_an_object_in_place_of_a_method_is_called(kind, name):
    layer = steadied(kind)
    inner = layer if kind == "own" else layer.layers[0]
    owner, make = (layer, ones_to_begin_with) if name == "initial_state" else (inner.cell, twice)
    object.__setattr__(owner, name, make(owner))
    found = [layer(XS) for _ in range(5)]
    assert not close(found[0], MAKE[kind]()(XS))
    assert all(same(one, found[0]) for one in found)
    assert close(found[0], by_reference(layer))


def test_a_layer_within_a_cell_keeps_both_its_key_and_its_states_shape():
    layer = Recurrent(Holds())
    state = layer.cell.before(XS)[1]
    for _ in range(3):
        layer.cell.before(XS, state)
        assert close(layer(XS), by_reference(layer))


class Holds(minirnn.Cell):
    """It runs a layer of one step within its own."""

    def __init__(self):
        self.input_size, self.hidden_size = 4, 5
        self.before = minirnn.Recurrent(minirnn.RNNCell(4, 5, rng=rng()))

    def step(self, state, x):
        h = np.tanh(0.5 * state + self.before.cell.step(state, x)[1])
        return h, h


def test_copies_begin_anew_and_nothing_is_kept_alive():
    layer = steadied("own")
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        write_a_weight(other)
        assert other._steady is None
        assert close(other(XS), by_reference(other))
    gone = weakref.ref(layer)
    gc.disable()
    try:
        del layer
        assert gone() is None
    finally:
        gc.enable()
