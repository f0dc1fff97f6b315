"""A padded batch gives each sequence what it gets alone: outputs, states and gradients. For any recurrent layer."""

import numpy as np

import minirnn
from minirnn import tree


def sequences(layer, steps, batch, seed=0):
    """Random xs and a random state for a cell or layer, in its dtype."""
    rng = np.random.default_rng(seed)
    features = layer.input_size if isinstance(layer.input_size, tuple) else (layer.input_size,)
    dtype = next(iter(layer.parameters(frozen=True).values())).dtype
    xs = rng.standard_normal((steps, batch, *features)).astype(dtype)
    moved = lambda leaf: leaf + 0.5 * rng.standard_normal(leaf.shape).astype(dtype) if leaf.dtype.kind == "f" else leaf
    return xs, tree.map(moved, layer.initial_state(batch))


def weights_for(nesting):
    """Numbers of the nesting's shapes, all different, for a weighted sum."""
    return tree.map(lambda leaf: np.sin(7.0 + np.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype), nesting)


def weighted(nesting, weights):
    pairs = zip(tree.leaves(nesting), tree.leaves(weights), strict=True)
    return sum((leaf * weight).sum() for leaf, weight in pairs)


def results(layer, xs, state, weights, lengths=None):
    """(outputs, final state), and the gradients of their weighted sum by parameters, xs and state (None: its own)."""

    def loss(layer, xs, state):
        found = layer(xs, state, lengths=lengths)
        return weighted(found, weights), found

    differentiated = (0, 1) if state is None else (0, 1, 2)
    (_, found), gradients = minirnn.value_and_grad(loss, argnums=differentiated, has_aux=True)(layer, xs, state)
    return (*found, *gradients, *(None,) * (3 - len(differentiated)))


def assert_close(came, expected):
    want, have = dict(tree.named_leaves(expected)), dict(tree.named_leaves(came))
    assert list(have) == list(want)
    for path, value in want.items():
        np.testing.assert_allclose(have[path], value, rtol=1e-10, atol=1e-12, err_msg=path)


def assert_alone_is_the_same(layer, lengths, seed=0, padding=0, own_state=False, rising=False):
    """Every sequence of a batch, with nan past its end, against a batch of that sequence alone; lengths: 0 and up.

    padding: steps that no sequence has; own_state: the layer begins where it wants to, otherwise at random;
    rising: xs are positive and grow,
    for steps that are defined there alone.
    """
    steps, batch = max(lengths), len(lengths)
    xs, state = sequences(layer, steps + padding, batch, seed)
    state, xs = None if own_state else state, np.cumsum(abs(xs) + 0.1, axis=0) if rising else xs
    weights = weights_for(layer(xs, state))
    for i, length in enumerate(lengths):
        xs[length:, i] = np.nan
    outputs, final, d_layer, d_xs, d_state = results(layer, xs, state, weights, np.array(lengths))
    assert not any(array[n:, i].any() for array in tree.leaves((outputs, d_xs)) for i, n in enumerate(lengths))
    row = lambda states, i: tree.map(lambda leaf, axis: leaf.take([i], axis), states, layer.batch_axes())
    piece = lambda sequences, i, length: tree.map(lambda leaf: leaf[:length, i : i + 1], sequences)
    summed = {name: np.zeros_like(value) for name, value in d_layer.items()}
    for i, length in enumerate(lengths):
        start = None if own_state else row(state, i)
        own = piece(weights[0], i, length), row(weights[1], i)
        if length == 0:  # nothing happens: the state is held, and so is its cotangent
            assert_close(row(final, i), row(layer.initial_state(batch) if own_state else state, i))
            if not own_state:
                assert_close(row(d_state, i), own[1])
            continue
        alone = results(layer, piece(xs, i, length), start, own)
        d_start = None if own_state else row(d_state, i)
        found = piece(outputs, i, length), row(final, i), piece(d_xs, i, length), d_start
        assert_close(found, (*alone[:2], *alone[3:]))
        summed = {name: summed[name] + value for name, value in alone[2].items()}
    assert_close(d_layer, summed)
