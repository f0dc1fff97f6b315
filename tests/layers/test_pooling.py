"""Pooling over time against a loop over the sequences, each cut to its length."""

import autograd.numpy as np
import numpy as onp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn.layers import Pool, last_valid_step, max_pool, mean_pool

ALONE = {
    last_valid_step: lambda xs: xs[-1],
    mean_pool: lambda xs: xs.sum(axis=0) / len(xs),
    max_pool: lambda xs: xs.max(axis=0),
}
each = pytest.mark.parametrize("pool", ALONE, ids=lambda pool: pool.__name__)
dtypes = pytest.mark.parametrize("dtype", [onp.float32, onp.float64])


@each
@given(st.integers(0, 4), st.integers(1, 3), st.sampled_from([(), (2,), (2, 3)]), st.data())
def test_each_sequence_is_pooled_as_if_it_were_alone(pool, steps, batch, features, data):
    lengths = onp.array(data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)), int)
    xs = onp.random.default_rng(0).standard_normal((steps, batch, *features))
    xs[onp.arange(steps)[:, None] >= lengths] = onp.nan  # whatever stands there
    pooled = pool(xs, lengths)
    assert pooled.shape == (batch, *features)
    for b, length in enumerate(lengths):
        assert onp.allclose(pooled[b], ALONE[pool](xs[:length, b]) if length else 0.0)


@each
@dtypes
def test_gradients_keep_their_dtype_and_end_where_a_sequence_ends(pool, dtype, rng):
    xs, lengths = rng.standard_normal((4, 3, 2)).astype(dtype), onp.array([2, 0, 4])
    xs[2:, 0], xs[:, 1] = onp.nan, onp.nan
    g = minirnn.grad(lambda xs: np.sum(pool(xs, lengths) ** 2))(xs)
    assert g.dtype == pool(xs, lengths).dtype == dtype
    assert onp.isfinite(g).all()
    assert not g[2:, 0].any()
    assert not g[:, 1].any()
    assert g[:2, 0].any()


@each
def test_derivatives_of_both_orders_are_right(pool, rng, gradcheck):
    lengths = onp.array([2, 0, 4])
    gradcheck(lambda xs: np.sum(np.tanh(pool(xs, lengths))), xs := rng.standard_normal((4, 3, 2)))
    loss, v = lambda xs: np.sum(np.tanh(pool(xs, lengths))), rng.standard_normal(xs.shape)
    numerical = (minirnn.grad(loss)(xs + 1e-5 * v) - minirnn.grad(loss)(xs - 1e-5 * v)) / 2e-5
    assert onp.allclose(minirnn.hvp(loss)(xs, v), numerical, atol=1e-8)


@each
def test_without_lengths_all_steps_count(pool, rng):
    xs = rng.standard_normal((4, 3, 2))
    assert onp.allclose(pool(xs), ALONE[pool](xs))


@pytest.mark.parametrize("how", ["last", "mean", "max"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_sequential_hands_its_lengths_to_a_pool(how, batch_first, rng):
    gru = minirnn.GRU(2, 5, batch_first=batch_first, rng=rng)
    model = minirnn.Sequential(gru, Pool(how, batch_first=batch_first), minirnn.Linear(5, 3, rng=rng))
    xs, lengths = rng.standard_normal((6, 4, 2), dtype=onp.float32), onp.array([6, 2, 1, 3])
    logits, _ = model(xs.swapaxes(0, 1) if batch_first else xs, lengths=lengths)
    for b, length in enumerate(lengths):
        assert onp.allclose(logits[b], model(xs[:length, b])[0], atol=1e-6)


def test_a_sequential_hands_its_lengths_down_to_a_sequential_inside(rng):
    inside = minirnn.Sequential(minirnn.Linear(2, 5, rng=rng), Pool("max"))
    xs, lengths = rng.standard_normal((6, 4, 2), dtype=onp.float32), onp.array([6, 2, 1, 3])
    pooled = minirnn.Sequential(inside, np.tanh)(xs, lengths=lengths)
    assert onp.allclose(pooled[2], onp.tanh(inside.layers[0](xs[0, 2])), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Pool("sum"), "'sum' came, one of last, mean, max"),
        (lambda: mean_pool(onp.zeros(3)), r"outputs have shape \(3,\), \(T, B, ...\) was expected"),
        (lambda: max_pool(onp.zeros((3, 2)), [1, 4]), "lengths: between 1 and 4, xs has 3 steps"),
        (lambda: last_valid_step(onp.zeros((3, 2)), [1.0, 2.0]), "integers of shape"),
        (lambda: minirnn.Sequential(minirnn.Linear(2, 2))(onp.zeros((3, 1, 2)), lengths=[3]), "no layer takes them"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, says):
    with pytest.raises(ValueError, match=says):
        call()
