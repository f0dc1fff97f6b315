"""A batch whose rows are cut by resets gives each cut sequence what it gets alone. For any recurrent layer."""

import warnings
from itertools import pairwise

import numpy as np
from padded_batches import assert_close, sequences, weighted, weights_for

import minirnn
from minirnn import Bidirectional, Recurrent, TimeReversed, tree
from minirnn.layers.composite import Composite
from minirnn.layers.counted import Counted, CountedState
from minirnn.layers.stack import CellStack


def from_the_end(layer, turned=False):
    """Which numbers of a state are those of a run from the end, as a state of one row."""
    match layer:
        case TimeReversed():
            return from_the_end(layer.layer, not turned)
        case CellStack():
            return layer._pack(tuple([from_the_end(part, turned) for part in layer.layers]))
        case Bidirectional():
            return from_the_end(layer.forward, turned), from_the_end(layer.backward, turned)
        case Composite():
            return tuple([from_the_end(part, turned) for part in layer.parts()])
        case Counted():
            return CountedState(_all_of(layer.cell, turned), np.full(1, turned))
        case Recurrent():
            return _all_of(layer, layer.reverse != turned)
    return from_the_end(layer.layer, turned)


def _all_of(layer, is_so):
    return tree.map(lambda leaf: np.full(leaf.shape, is_so), layer.initial_state(1))


def pieces(flags, length):
    """(start, stop, whether a flag begins it) of a row's cut sequences."""
    cuts = [0, *(t for t in range(1, length) if flags[t]), length]
    return [(a, b, bool(flags[a])) for a, b in pairwise(cuts)]


def results(layer, xs, states, weights, **given):
    """(outputs, final state), and the gradients of their weighted sum by parameters, xs and each of the states."""
    names = ["state", "reset_state"][: len(states)]

    def loss(layer, xs, *states):
        found = layer(xs, **dict(zip(names, states, strict=True)), **given)
        return weighted(found, weights), found

    argnums = tuple(range(2 + len(states)))
    with warnings.catch_warnings():  # a state to which nothing returns
        warnings.simplefilter("ignore", minirnn.transform.UnreachedWarning)
        (_, found), gradients = minirnn.value_and_grad(loss, argnums=argnums, has_aux=True)(layer, xs, *states)
    return found, gradients


def assert_cut_is_the_same(layer, flags, lengths=None, states=2, seed=0):
    """Every cut sequence of a batch against itself alone, with nan past each row's end; flags: (T, B).

    states: none are given, the state, or that and the one to which resets return.
    """
    flags = np.asarray(flags)
    steps, batch = flags.shape
    xs, state = sequences(layer, steps, batch, seed)
    anew = tree.map(lambda leaf: leaf[::-1] * 0.5 if leaf.dtype.kind == "f" else leaf, state)
    given = [state, anew][:states]
    weights = weights_for(layer(xs, *given[:1]))
    ends = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    for b, end in enumerate(ends):
        xs[end:, b] = np.nan
    options = {"resets": flags} | ({} if lengths is None else {"lengths": ends})
    (outputs, final), (d_layer, d_xs, *d_states) = results(layer, xs, given, weights, **options)
    turned, axes = from_the_end(layer), layer.batch_axes()
    row = lambda states, b: tree.map(lambda leaf, axis: leaf.take([b], axis), states, axes)
    summed = {name: np.zeros_like(value) for name, value in d_layer.items()}
    expected_d = [tree.map(np.zeros_like, state) for _ in given]
    for b, end in enumerate(ends):
        each = pieces(flags[:, b], end) if end else []
        if not each and given:  # nothing happens: the state is held, and so is its cotangent
            assert_close(row(final, b), row(state, b))
            expected_d[0] = _with_row(expected_d[0], row(weights[1], b), b, axes)
        for start, stop, flagged in each:
            last = tree.map(lambda back, s=start, e=stop, end=end: np.where(back, s == 0, e == end), turned)
            first = tree.map(lambda back, s=start, e=stop, end=end: np.where(back, e == end, s == 0), turned)
            is_state = tree.map(lambda first, back, f=flagged: first & (back | ~np.bool_(f)), first, turned)
            own = weights[0][start:stop, b : b + 1], tree.map(lambda w, m: w * m, row(weights[1], b), last)
            begun = [] if not given else [tree.map(np.where, is_state, row(state, b), row(given[-1], b))]
            alone, gradients = results(layer, xs[start:stop, b : b + 1], begun, own)
            assert_close(outputs[start:stop, b : b + 1], alone[0])
            assert_close(d_xs[start:stop, b : b + 1], gradients[1])
            _assert_close_where(last, row(final, b), alone[1])
            summed = {name: summed[name] + value for name, value in gradients[0].items()}
            if given:
                for k, mine in enumerate([is_state, tree.map(np.logical_not, is_state)]):
                    part = tree.map(lambda d, m: d * m, gradients[2], mine)
                    expected_d[min(k, len(given) - 1)] = _with_row(expected_d[min(k, len(given) - 1)], part, b, axes)
        assert not any(array[end:, b].any() for array in tree.leaves((outputs, d_xs)))
    assert_close(d_layer, summed)
    assert_close(d_states, expected_d)


def _with_row(states, part, b, axes):
    """The states with a part added to one of their rows."""

    def added(leaf, part, axis):
        leaf = leaf.copy()
        np.moveaxis(leaf, axis, 0)[b] += np.moveaxis(part, axis, 0)[0].astype(leaf.dtype)
        return leaf

    return tree.map(added, states, part, axes)


def _assert_close_where(mask, came, expected):
    assert_close(*(tree.map(lambda leaf, m: np.where(m, leaf, 0), states, mask) for states in (came, expected)))


def random_flags(steps, batch, seed, share=0.3):
    return np.random.default_rng(seed).random((steps, batch)) < share
