"""What follows from the parameters is kept between calls, and never beyond a change of one of them."""

import numpy as np
import pytest

import minirnn
from minirnn import GRU, LSTM, tree, value_and_grad
from minirnn.compile import while_unchanged
from minirnn.compile.address import address

TARGETS = np.ones((3, 2, 3), np.float32)
XS = np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)


def outcome(layer, name):
    """Outputs, final state and gradients on an engine."""
    with minirnn.engine(name):
        found = value_and_grad(lambda layer: minirnn.losses.mse(layer(XS)[0], TARGETS))(layer)
        return tree.leaves((layer(XS), found))


def equal(layer):
    pairs = zip(outcome(layer, "compiled"), outcome(layer, "python"), strict=True)
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs)


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
@pytest.mark.parametrize("at", [(0, 0), (-1, -1), (5, 2)])
@pytest.mark.parametrize("make", [LSTM, GRU])
def test_a_weight_written_in_place_is_seen_after_any_number_of_calls(make, at, calls, on_tier):
    layer = make(4, 3, rng=np.random.default_rng(1))
    for _ in range(calls):
        assert equal(layer)
    for weight in layer.parameters().values():
        weight[at if weight.ndim == 2 else at[0]] += 2.0
        assert equal(layer)


def test_models_of_one_cell_do_not_get_each_others_weights():
    layers = [LSTM(4, 3, rng=np.random.default_rng(k)) for k in range(while_unchanged.KEPT + 2)]
    assert all(equal(layer) for _ in range(3) for layer in layers)


def test_weights_that_lie_apart_in_memory_are_read_anew():
    layer = LSTM(4, 3, rng=np.random.default_rng(2))
    name = next(name for name, array in layer.parameters().items() if array.shape == (12, 4))
    apart = np.asfortranarray(layer.parameters()[name])
    bound = layer.bind({name: apart})
    for change in (0.0, 0.0, 0.0, 1.0):
        apart[3, 1] += change
        assert equal(bound)


@pytest.mark.parametrize(("limit", "kept"), [("KEPT", while_unchanged.KEPT), ("KEPT_BYTES", 0)])
def test_what_is_kept_does_not_grow(limit, kept, monkeypatch):
    sizes, keep = [], while_unchanged.WhileUnchanged._keep

    def noted(self, *args):
        keep(self, *args)
        sizes.append(len(self._known))

    monkeypatch.setattr(while_unchanged.WhileUnchanged, "_keep", noted)
    monkeypatch.setattr(while_unchanged, limit, kept)
    for k in range(2 * while_unchanged.KEPT):
        layer = LSTM(4, 5, rng=np.random.default_rng(k))  # another size, which no other test has filled
        for _ in range(3):
            layer(XS)
    assert max(sizes) == kept


@pytest.mark.parametrize("array", [np.ones(3), np.ones((3, 4))[1:, ::2], np.ones((2, 3)).T, np.zeros((0, 2))])
def test_the_address_is_the_one_that_numpy_says(array):
    assert address(array) == array.__array_interface__["data"][0]
