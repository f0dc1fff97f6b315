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


# ---------------------------------------------------------------- one function of arrays
class Counted:
    """The sums of arrays, and how often they were made: of the arrays themselves, or of copies."""

    def __init__(self):
        self.made, self.of = 0, []

    def __call__(self, parameters):
        self.made, self.of = self.made + 1, list(parameters)
        return [float(one.sum()) for one in parameters]


def arrays():
    return [np.arange(100.0), np.ones((2, 3), np.float32), np.zeros((0, 4))]


def test_what_comes_a_second_time_is_copied_and_a_third_time_kept():
    make = Counted()
    kept, given = while_unchanged.WhileUnchanged(make), arrays()
    for call, (made, copied) in enumerate([(1, False), (2, True), (2, True), (2, True)]):
        assert kept(given) == [4950.0, 6.0, 0.0], call
        assert make.made == made
        assert any(mine is theirs for mine, theirs in zip(make.of, given, strict=True)) != copied


@pytest.mark.parametrize("at", [(0, 0), (0, 7), (0, 8), (0, 99), (1, (0, 0)), (1, (1, 2))])
@pytest.mark.parametrize("before", range(5))
def test_a_change_of_any_number_at_any_call_is_seen_and_what_follows_is_kept_again(at, before):
    make = Counted()
    kept, given = while_unchanged.WhileUnchanged(make), arrays()
    for _ in range(before):
        kept(given)
    given[at[0]][at[1]] += 1
    for _ in range(4):
        assert kept(given) == [float(one.sum()) for one in given]
    made = make.made
    assert kept(given) == [float(one.sum()) for one in given]
    assert make.made == made <= before + 3


def test_parameters_that_change_at_every_call_are_not_copied():
    make = Counted()
    kept, given = while_unchanged.WhileUnchanged(make), arrays()
    for _ in range(5):
        given[1] += 1
        kept(given)
        assert make.of[0] is given[0]


@pytest.mark.parametrize("apart", [0, 1])
def test_where_one_array_lies_apart_nothing_is_kept(apart):
    make = Counted()
    kept, given = while_unchanged.WhileUnchanged(make), arrays()
    given[apart] = [np.arange(200.0)[::2], np.asfortranarray(given[1])][apart]
    for call in range(4):
        kept(given)
        assert make.made == call + 1


@pytest.mark.parametrize(
    ("models", "kept_bytes", "remembered"),
    [(16, 1 << 26, True), (17, 1 << 26, False), (3, 3 * 824, True), (3, 3 * 824 - 1, False), (1, 823, False)],
)
def test_so_many_models_and_bytes_are_kept_and_then_all_are_forgotten(models, kept_bytes, remembered, monkeypatch):
    monkeypatch.setattr(while_unchanged, "KEPT_BYTES", kept_bytes)  # 800 + 24 + 0 of each
    make = Counted()
    kept, every = while_unchanged.WhileUnchanged(make), [arrays() for _ in range(models)]
    for _ in range(2):
        for given in every:
            kept(given)
    made = make.made
    kept(every[0])
    assert (make.made == made) == remembered
