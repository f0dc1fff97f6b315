"""Resets: cut sequences against each alone, for cells, stacks, engines and directions; and what is refused."""

import autograd.numpy as anp
import numpy as np
import pytest
from cut_sequences import assert_cut_is_the_same, random_flags, results
from hypothesis import given
from hypothesis import strategies as st
from padded_batches import assert_close, sequences, weighted, weights_for
from stack_makers import STACKS

import minirnn
from minirnn import GRU, LSTM, RNN, LearnedInitialState, Linear, Recurrent, Sequential, TimeReversed, cells, scan, tree
from minirnn.layers.counted import Counted
from minirnn.tier import native_reason, tier
from minirnn.train.language_model import LanguageModel

no_llvm = pytest.mark.skipif(native_reason() is not None, reason="llvmlite is not installed: pip install minirnn[fast]")
ENGINES = ["python", "numpy", pytest.param("native", marks=no_llvm)]
every_engine = pytest.mark.parametrize("on", ENGINES)
LENGTHS = [6, 3, 0]


def rng():
    return np.random.default_rng(3)


def running(on):
    return minirnn.engine("python") if on == "python" else tier(on)


def states_of(layer):
    """A learned state is its own; others are given two."""
    return 0 if any(isinstance(module, LearnedInitialState) for module in layer.modules()) else 2


# ---------------------------------------------------------------- each cut sequence alone
@every_engine
@pytest.mark.parametrize("states", [0, 1, 2])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_the_classic_layers(kind, lengths, states, on):
    with running(on):
        layer = kind(2, 3, 2, bidirectional=True, rng=rng(), dtype=np.float64)
        assert_cut_is_the_same(layer, random_flags(6, 3, 1), lengths, states)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", STACKS)
def test_every_stack(name, turned):
    layer = STACKS[name](rng())
    layer = TimeReversed(layer) if turned else layer
    assert_cut_is_the_same(layer, random_flags(6, 3, 2), [6, 4, 1], states_of(layer))


@given(
    st.sampled_from(cells.names()),
    st.lists(st.integers(0, 6), min_size=1, max_size=3).filter(any),
    st.integers(0, 99),
    st.sampled_from([None, 1, 2, 5]),
    st.booleans(),
    st.booleans(),
)
def test_any_cell(name, lengths, seed, every, reverse, turned):
    layer = Recurrent(cells.small(name, rng=rng()), reverse=reverse, checkpoint_every=every)
    layer = TimeReversed(layer) if turned else layer
    assert_cut_is_the_same(layer, random_flags(max(lengths), len(lengths), seed), lengths, seed=seed)


@pytest.mark.parametrize("name", ["ClockworkRNN", "PhasedLSTM", "QRNN"])
def test_clocks_and_windows_begin_anew(name):
    layers = [Recurrent(minirnn.Zoneout(cells.small(name, rng=rng()), 0.0)), TimeReversed(cells.small(name, rng=rng()))]
    layers += [Counted(cells.small(name, rng=rng()))] if name != "QRNN" else []
    deep = [cells.small(name, rng=np.random.default_rng(seed)) for seed in (3, 4)]
    layers.append(Recurrent(minirnn.DeepTransition(deep[0], deep[1:])))
    for layer in layers:
        assert_cut_is_the_same(layer, random_flags(6, 3, 4), [6, 3, 5], 0 if isinstance(layer, Counted) else 2)


@pytest.mark.slow
@every_engine
@pytest.mark.parametrize("name", cells.names())
def test_every_cell_on_every_engine(name, on):
    reverse = cells.names().index(name) % 2 == 0
    with running(on):
        for seed, every in enumerate([None, 2]):
            layer = Recurrent(cells.small(name, rng=rng()), reverse=reverse, checkpoint_every=every)
            assert_cut_is_the_same(layer, random_flags(6, 3, seed), LENGTHS if seed else None, seed=seed)


@every_engine
def test_every_step_begins_a_sequence(on):
    with running(on):
        for reverse in (False, True):
            layer = Recurrent(minirnn.LSTMCell(2, 3, rng=rng(), dtype=np.float64), reverse=reverse)
            assert_cut_is_the_same(layer, np.ones((4, 2), bool))


@every_engine
def test_a_step_that_is_undefined_where_no_sequence_is(on):
    """log of a state that is given but never used, as every row begins anew; padding holds it, too."""

    @minirnn.cell(w=("hidden", "input"))
    def logarithms(p, h, x):
        h = anp.log(h) ** 2 + 1.5 + (x @ p.w.T) ** 2
        return h, h

    layer = Recurrent(logarithms(2, 3, rng=rng(), dtype=np.float64))
    xs, flags = np.random.default_rng(0).standard_normal((4, 2, 2)), np.zeros((4, 2), bool)
    flags[0], flags[2, 0] = True, True
    state, anew = np.zeros((2, 3)), np.full((2, 3), 2.0)
    weights = weights_for(layer(xs, anew))
    with running(on), np.errstate(all="ignore"):
        found = results(layer, xs, [state, anew], weights, resets=flags, lengths=[4, 2])
    with np.errstate(all="ignore"):
        flags[0] = False
        expected = results(layer, xs, [anew, anew], weights, resets=flags, lengths=[4, 2])
    d_state, d_anew = found[1][2:]
    assert not d_state.any()
    assert_close((found[0], *found[1][:2], d_anew), (expected[0], *expected[1][:2], sum(expected[1][2:])))


# ---------------------------------------------------------------- parallel scans
@pytest.mark.parametrize("name", [name for name in cells.names() if hasattr(cells.get(name), "parallel")])
def test_a_whole_sequence_at_once_is_cut_too(name):
    cell = cells.small(name, rng=rng())
    if name == "QRNN":  # whose window reaches behind more than one step
        cell = cells.QRNN(2, 3, window=4, rng=rng(), dtype=np.float64)
    (xs, state), flags = sequences(Recurrent(cell), 7, 3), random_flags(7, 3, 5)
    anew = tree.map(lambda leaf: 0.5 * leaf, state)

    def at_once(cell, xs, state, anew):
        with tier("numpy"):  # native code runs the loop
            return cell.parallel(xs, state, resets=flags, reset_state=anew)

    def step_by_step(cell, xs, state, anew):
        return scan(cell, state, xs, engine="python", resets=flags, reset_state=anew)[::-1]

    weights, found = weights_for(at_once(cell, xs, state, anew)), []
    for run in (at_once, step_by_step):
        loss = lambda *given, run=run: weighted(run(*given), weights)
        found.append((run(cell, xs, state, anew), minirnn.grad(loss, argnums=(0, 1, 2, 3))(cell, xs, state, anew)))
    assert_close(*found)
    assert_close(cell.parallel(xs, state, resets=flags), at_once(cell, xs, state, state))


# ---------------------------------------------------------------- derivatives of derivatives, and tangents
@pytest.mark.parametrize("on", ENGINES[1:])
@pytest.mark.parametrize("ways", [{}, {"reverse": True}, {"lengths": [5, 2, 4]}, {"checkpoint_every": 2}])
def test_tangents_and_second_derivatives_are_the_references(ways, on):
    cell = minirnn.LSTMCell(2, 3, rng=rng(), dtype=np.float64)
    (xs, state), flags = sequences(Recurrent(cell), 5, 3), random_flags(5, 3, 6)
    anew = tree.map(lambda leaf: 0.5 * leaf, state)

    def loss(cell, xs, state, anew):
        final, outputs = scan(cell, state, xs, resets=flags, reset_state=anew, **ways)
        return anp.sum(outputs**3) + anp.sum(final.c * final.h)

    def found():
        primals, moves = (cell, xs, state, anew), (cell.parameters(), xs[::-1], anew, state)
        tangent = minirnn.jvp(loss, primals, moves)
        return tangent, minirnn.hvp(loss, argnums=(0, 1, 2, 3))(*primals, moves)

    with minirnn.engine("python"):
        expected = found()
    with tier(on), minirnn.engine("compiled"):
        assert_close(found(), expected)


def test_the_gradient_is_that_of_the_numbers():
    layer = GRU(2, 3, rng=rng(), dtype=np.float64)
    (xs, state), flags = sequences(layer, 4, 2), random_flags(4, 2, 0)

    def loss(layer, xs, state, anew):
        outputs, final = layer(xs, state, resets=flags, reset_state=anew)
        return anp.sum(outputs**2) + anp.sum(anp.sin(final))

    assert minirnn.gradcheck.gradcheck(loss, layer, xs, state, 0.5 * state).ok


# ---------------------------------------------------------------- what is said, and how
def test_flags_that_cut_nothing_change_no_bit():
    layer, xs = LSTM(2, 3, rng=rng()), rng().standard_normal((5, 2, 2)).astype(np.float32)
    without, none = layer(xs), np.zeros((5, 2), bool)
    late = none.copy()
    late[0] = True  # the state is the initial one anyway
    for flags in (none, late):
        for one, other in zip(tree.leaves(layer(xs, resets=flags)), tree.leaves(without), strict=True):
            assert np.array_equal(one, other)


def test_without_a_state_of_their_own_resets_return_to_that_of_the_call():
    layer, xs = GRU(2, 3, rng=rng()), rng().standard_normal((4, 1, 2)).astype(np.float32)
    flags, carried = np.array([[0], [0], [1], [0]]), np.full((1, 1, 3), 0.5, np.float32)
    given = layer(xs, carried, resets=flags)[0][2:]
    zeros = layer(xs, carried, resets=flags, reset_state=layer.initial_state(1))[0][2:]
    assert np.array_equal(given, layer(xs[2:], carried)[0])
    assert np.array_equal(zeros, layer(xs[2:])[0])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_layouts_and_dtypes_of_flags(dtype):
    xs, flags = rng().standard_normal((4, 2, 2)).astype(np.float32), random_flags(4, 2, 1).astype(dtype)
    layer, turned = LSTM(2, 3, rng=rng()), LSTM(2, 3, batch_first=True, rng=rng())
    expected = layer(xs, resets=flags)[0]
    assert np.array_equal(turned(xs.swapaxes(0, 1), resets=flags.T)[0].swapaxes(0, 1), expected)
    assert np.allclose(layer(xs[:, 1], resets=flags[:, 1].tolist())[0], expected[:, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("resets", "error", "message"),
    [
        (np.zeros((2, 4), bool), ValueError, r"LSTM: resets: shape \(2, 4\) came, booleans of shape \(4, 2\)"),
        (np.zeros((4, 2)), TypeError, r"LSTM: resets: float64 came, booleans of shape \(4, 2\)"),
        (np.full((4, 2), 2), ValueError, "LSTM: resets: integers from 2 to 2 came, 0 and 1 were expected"),
        (np.full((4, 2), -1), ValueError, "integers from -1 to -1 came"),
        ("now", TypeError, "LSTM: resets: str came, an array was expected"),
    ],
)
def test_other_flags_are_refused(resets, error, message):
    with pytest.raises(error, match=message):
        LSTM(2, 3)(np.zeros((4, 2, 2), np.float32), resets=resets)


def test_a_state_without_flags_or_of_another_kind_is_refused():
    layer, xs = GRU(2, 3), np.zeros((4, 2, 2), np.float32)
    flags, wrong = np.zeros((4, 2), bool), np.zeros((1, 2, 4), np.float32)
    with pytest.raises(ValueError, match="GRU: reset_state came without resets"):
        layer(xs, reset_state=layer.initial_state(2))
    with pytest.raises(ValueError, match=r"GRU: reset_state is float32 \(1, 2, 4\), float32 \(1, 2, 3\) was expected"):
        layer(xs, resets=flags, reset_state=wrong)
    cell, state = layer.cells()[0], np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="scan: reset_state came without resets"):
        scan(cell, state, xs, reset_state=state)
    with pytest.raises(ValueError, match=r"scan: reset_state is float32 \(2, 4\)"):
        scan(cell, state, xs, resets=flags, reset_state=wrong[0])
    with pytest.raises(ValueError, match=r"scan: resets: shape \(4,\)"):
        scan(cell, state, xs, resets=flags[:, 0])


def test_a_bare_step_takes_them_too():
    flags = np.array([[0, 0], [0, 1], [1, 0]])
    final, outputs = scan(lambda h, x: (h + x, h), np.zeros(2), np.ones((3, 2)), resets=flags)
    assert outputs.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert final.tolist() == [1, 2]


class TestSequential:
    def test_hands_them_to_its_recurrent_layers(self):
        first, second = GRU(2, 3, rng=rng()), LSTM(3, 3, rng=rng())
        model, xs = Sequential(first, np.tanh, second), rng().standard_normal((5, 2, 2)).astype(np.float32)
        flags = random_flags(5, 2, 2)
        carried = tree.map(lambda leaf: leaf + 0.5, model.initial_state(2))
        outputs, states = model(xs, carried, resets=flags, reset_state=model.initial_state(2))
        h, one = first(xs, carried[0], resets=flags, reset_state=first.initial_state(2))
        y, two = second(np.tanh(h), carried[1], resets=flags, reset_state=second.initial_state(2))
        assert_close((outputs, states), (y, (one, two)))

    def test_says_who_takes_none(self):
        class Own(minirnn.Module):
            def __call__(self, xs, state=None):
                return xs, state

        xs, flags = np.zeros((4, 2, 2), np.float32), np.zeros((4, 2), bool)
        with pytest.raises(ValueError, match="resets came, and no layer takes them"):
            Sequential(Linear(2, 3))(xs, resets=flags)
        with pytest.raises(ValueError, match=r"resets came, and layers\.1 \(Own\), which has a state, takes none"):
            Sequential(GRU(2, 2), Own())(xs, resets=flags)
        with pytest.raises(ValueError, match="reset_state came without resets"):
            Sequential(GRU(2, 2))(xs, reset_state=(None,))
        with pytest.raises(ValueError, match="list came as reset_state, a tuple of 1 states was expected"):
            Sequential(GRU(2, 2))(xs, resets=flags, reset_state=[None])


def test_a_language_model_reads_documents_behind_one_another():
    model = LanguageModel(7, "lstm", 5, embedding=4, rng=rng())
    tokens, flags = np.arange(12).reshape(6, 2) % 7, np.zeros((6, 2), bool)
    flags[3, 0] = True
    logits = model(tokens, resets=flags)[0]
    assert np.allclose(logits[3:, :1], model(tokens[3:, :1])[0], atol=1e-6)
    assert np.allclose(logits[:, 1:], model(tokens[:, 1:])[0], atol=1e-6)
