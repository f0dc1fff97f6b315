"""What every layer made of layers promises: engines, gradients of both kinds and orders, dtypes, sizes, copies."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from few import few
from padded_batches import assert_close, results, sequences, weighted, weights_for
from stack_makers import STACKS, I

import minirnn
from minirnn import (
    Bidirectional,
    Cell,
    DeepTransition,
    DenselyConnected,
    GRUCell,
    Highway,
    LearnedInitialState,
    Linear,
    Parameter,
    Recurrent,
    Stacked,
    TimeReversed,
    engines,
    tree,
)

each_stack = pytest.mark.parametrize("make", STACKS.values(), ids=STACKS)
T, B = 4, 3


def made(make, **keywords):
    return make(np.random.default_rng(3), **keywords)


def problem(layer):
    """xs, a state, weights; no state where the layer learns its own."""
    xs, state = sequences(layer, T, B)
    learned = any(isinstance(module, LearnedInitialState) for module in layer.modules())
    return xs, None if learned else state, weights_for(layer(xs, state))


@each_stack
def test_every_engine_gives_the_same_numbers(make):
    layer = made(make)
    xs, state, weights = problem(layer)
    lengths = np.array([4, 1, 3])
    with minirnn.engine("python"):
        expected = results(layer, xs, state, weights, lengths)
    assert_close(results(layer, xs, state, weights, lengths), expected)
    assert_close(results(made(make, engine="python"), xs, state, weights, lengths), expected)


@pytest.mark.parametrize("make", few(STACKS.values(), [*STACKS.values()][::3]), ids=STACKS)
def test_the_gradient_is_the_slope_and_forward_mode_agrees(make):
    layer = made(make)
    xs, state, weights = problem(layer)
    value = lambda layer, xs: weighted(layer(xs, state, lengths=np.array([4, 1, 3])), weights)
    rng = np.random.default_rng(1)
    by_layer, by_xs = minirnn.grad(value, argnums=(0, 1))(layer, xs)
    along = {name: rng.standard_normal(array.shape) for name, array in layer.parameters().items()}
    along_xs = rng.standard_normal(xs.shape)
    moved = lambda h: layer.bind({name: array + h * along[name] for name, array in layer.parameters().items()})
    at = lambda h: value(moved(h), xs + h * along_xs)
    slope = (8 * (at(1e-3) - at(-1e-3)) - (at(2e-3) - at(-2e-3))) / 12e-3
    product = sum((gradient * along[name]).sum() for name, gradient in by_layer.items()) + (by_xs * along_xs).sum()
    assert slope == pytest.approx(product, rel=1e-7)
    assert minirnn.jvp(value, (layer, xs), (along, along_xs))[1] == pytest.approx(product, rel=1e-12)
    assert all(gradient.any() for name, gradient in by_layer.items() if not _on_no_input(name))


def _on_no_input(name):
    """The weights on what a deep transition's further cells get, which is zeros."""
    return ".transitions." in name and name.rpartition(".")[2] in ("weight_ih", "w")


@pytest.mark.parametrize("make", few(STACKS.values(), [*STACKS.values()][::3]), ids=STACKS)
def test_second_derivatives(make):
    layer = made(make)
    xs, state, weights = problem(layer)
    value = lambda xs: weighted(layer(xs, state), weights)
    along = np.random.default_rng(1).standard_normal(xs.shape)
    found = minirnn.hvp(value)(xs, along)
    slope = (minirnn.grad(value)(xs + 1e-5 * along) - minirnn.grad(value)(xs - 1e-5 * along)) / 2e-5
    np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-8)


@each_stack
def test_float32_stays_float32(make):
    layer = made(make).astype(np.float32)
    xs, state, weights = problem(layer)
    found = results(layer, xs, state, weights, np.array([4, 1, 3]))
    assert {leaf.dtype for leaf in tree.leaves(found)} == {np.dtype(np.float32)}


@each_stack
def test_sizes_are_those_of_what_goes_in_and_comes_out(make):
    layer = made(make)
    outputs, final = layer(np.zeros((T, B, I)))
    assert layer.input_size == I
    assert outputs.shape == (T, B, layer.output_size)
    pairs = zip(tree.leaves(final), tree.leaves(layer.batch_axes()), strict=True)
    assert all(leaf.shape[axis] == B for leaf, axis in pairs)


@each_stack
def test_copies_and_pickles_give_the_same_numbers(make):
    layer = made(make)
    xs, state = sequences(layer, T, B)
    for copy in (deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(copy) == repr(layer)
        assert_close(copy(xs, state), layer(xs, state))


# ---------------------------------------------------------------- what reaches the inside
class Noisy(Cell):
    """h' = x + h, and with an rng noise on x."""

    def __init__(self):
        self.input_size = self.hidden_size = self.output_size = 2
        self.scale = Parameter(np.ones(2))

    def inputs(self, xs, *, rng=None):
        return xs if rng is None else xs + rng.standard_normal(xs.shape)

    def step(self, h, x):
        h = h + self.scale * x
        return h, h


def gru(size=2):
    return GRUCell(size, 2, rng=np.random.default_rng(0), dtype=np.float64)


AROUND = {  # a cell or layer of 2 features in, 2 out -> a layer around it
    "Stacked, below": lambda inner, **kw: Stacked([inner, gru()], **kw),
    "Stacked, above": lambda inner, **kw: Stacked([gru(), inner], **kw),
    "Bidirectional, ahead": lambda inner, **kw: Bidirectional(inner, gru(), **kw),
    "Bidirectional, from the end": lambda inner, **kw: Bidirectional(gru(), inner, **kw),
    "DenselyConnected": lambda inner, **kw: DenselyConnected([inner, gru(4)], **kw),
    "TimeReversed": TimeReversed,
    "Highway": lambda inner, **kw: Highway(inner, rng=np.random.default_rng(0), **kw),
    "LearnedInitialState": LearnedInitialState,
}
each_around = pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
XS = np.ones((3, 2, 2))


@pytest.mark.parametrize(
    "around",
    [
        *AROUND.values(),
        lambda inner: Recurrent(DeepTransition(inner, [gru(1)])),
        lambda inner: Recurrent(DeepTransition(gru(), [inner])),
    ],
    ids=[*AROUND, "DeepTransition, first", "DeepTransition, after it"],
)
def test_an_rng_reaches_what_takes_one_and_without_one_there_is_no_noise(around):
    layer = around(Noisy())
    first, again, other = (layer(XS, rng=np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert np.array_equal(layer(XS)[0], layer(XS)[0])


@pytest.fixture
def ran(monkeypatch):
    """The names of the cells that ran on the engine "noted"."""
    names = []

    def prepare(call):
        names.append(type(call.cell).__name__)
        return engines._reference(call)

    monkeypatch.setattr(engines, "_engines", [*engines._engines, engines.Engine("noted", prepare)])
    return names


@each_around
def test_an_engine_named_outside_reaches_what_is_inside(around, ran):
    TimeReversed(around(Noisy()), engine="noted")(XS)
    assert "Noisy" in ran


@each_around
@pytest.mark.parametrize("within", [False, True])
def test_an_engine_named_inside_wins(around, within, ran):
    inner = Recurrent(Noisy(), engine="python")
    layer = around(inner, engine="noted") if within else TimeReversed(around(Noisy(), engine="python"), engine="noted")
    layer(XS)
    assert "Noisy" not in ran


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize("wrap", [TimeReversed, Highway, LearnedInitialState, Bidirectional])
def test_what_is_no_recurrent_layer_is_an_error_that_says_so(wrap):
    given = (Linear(2, 2), minirnn.GRU(2, 2)) if wrap is Bidirectional else (Linear(2, 2),)
    with pytest.raises(TypeError, match=f"{wrap.__name__}: Linear came, a Cell or a recurrent layer was expected"):
        wrap(*given)


def test_batch_first_inside_is_an_error():
    with pytest.raises(ValueError, match="TimeReversed: batch_first belongs to the outermost layer"):
        TimeReversed(minirnn.GRU(2, 2, batch_first=True))
