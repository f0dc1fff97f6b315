"""Attention against its formulas, written with loops over queries and entries, and the masked softmax at extremes."""

import autograd.numpy as np
import numpy as onp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn.gradcheck import gradcheck_module
from minirnn.layers import AdditiveAttention, DotAttention, masked_softmax

Q, M, A = 4, 3, 5
FLOAT64 = {"dtype": onp.float64}
MAKERS = {
    "additive": lambda rng: AdditiveAttention(Q, M, A, rng=rng, **FLOAT64),
    "dot": lambda rng: DotAttention(Q),
    "scaled dot": lambda rng: DotAttention(Q, scaled=True),
    "general": lambda rng: DotAttention(Q, M, general=True, rng=rng, **FLOAT64),
    "scaled general": lambda rng: DotAttention(Q, M, general=True, scaled=True, rng=rng, **FLOAT64),
}
SCORES = {
    "additive": lambda p, q, m: p.v @ onp.tanh(p.weight_query @ q + p.weight_memory @ m),
    "dot": lambda p, q, m: q @ m,
    "scaled dot": lambda p, q, m: q @ m / onp.sqrt(Q),
    "general": lambda p, q, m: q @ p.weight @ m,
    "scaled general": lambda p, q, m: q @ p.weight @ m / onp.sqrt(Q),
}
kinds = pytest.mark.parametrize("kind", MAKERS)


def problem(kind, rng, steps=2, batch=3, entries=5):
    attention = MAKERS[kind](rng)
    memory = rng.standard_normal((entries, batch, attention.memory_size))
    return attention, rng.standard_normal((steps, batch, Q)), memory


@kinds
def test_contexts_and_weights_are_the_formulas(kind, rng):
    attention, query, memory = problem(kind, rng)
    lengths = onp.array([5, 2, 0])
    memory[2:, 1] = memory[:, 2] = onp.nan  # past the ends
    context, weights = attention(query, memory, lengths=lengths)
    for t, b in onp.ndindex(2, 3):
        scores = [SCORES[kind](attention, query[t, b], memory[s, b]) for s in range(lengths[b])]
        expected = onp.exp(scores) / onp.exp(scores).sum()
        assert onp.allclose(weights[t, b, : lengths[b]], expected)
        assert not weights[t, b, lengths[b] :].any()
        assert onp.allclose(context[t, b], expected @ memory[: lengths[b], b] if lengths[b] else 0.0)


@kinds
def test_one_step_is_the_same_as_one_of_several(kind, rng):
    attention, query, memory = problem(kind, rng)
    context, weights = attention(query, memory)
    alone = attention(query[1], memory)
    assert onp.allclose(alone[0], context[1])
    assert onp.allclose(alone[1], weights[1])


@kinds
def test_a_mask_may_differ_from_query_to_query(kind, rng):
    attention, query, memory = problem(kind, rng, steps=5)
    causal = onp.broadcast_to(onp.tri(5, dtype=bool)[:, None], (5, 3, 5))
    context, weights = attention(query, memory, mask=causal, lengths=onp.array([5, 4, 3]))
    assert onp.array_equal(attention(query, memory, mask=causal.tolist(), lengths=[5, 4, 3])[0], context)
    assert (weights[~causal] == 0).all()
    for t in range(5):
        expected = attention(query[t], memory, lengths=onp.minimum([5, 4, 3], t + 1))[0]
        assert onp.allclose(context[t], expected)


@kinds
def test_derivatives_of_both_orders_are_right(kind, rng, gradcheck):
    attention, query, memory = problem(kind, rng, entries=4)
    lengths = onp.array([4, 2, 0])
    memory[2:, 1] = onp.nan

    def loss(attention, query, inside):
        context, weights = attention(query, np.where(onp.isnan(memory), onp.nan, inside), lengths=lengths)
        return np.sum(np.sin(context)) + np.sum(weights * weights)

    inside = onp.nan_to_num(memory)
    if attention.parameters():
        assert gradcheck_module(attention, loss, query, inside).ok
    gradcheck(lambda query, inside: loss(attention, query, inside), query, inside)
    v = rng.standard_normal(query.shape)
    gradient = lambda query: minirnn.grad(loss, argnums=1)(attention, query, inside)
    numerical = (gradient(query + 1e-5 * v) - gradient(query - 1e-5 * v)) / 2e-5
    assert onp.allclose(minirnn.hvp(lambda query: loss(attention, query, inside))(query, v), numerical, atol=1e-8)


@kinds
def test_float32_stays_float32(kind, rng):
    attention, query, memory = problem(kind, rng)
    attention, query, memory = attention.astype(onp.float32), query.astype("f"), memory.astype("f")
    loss = lambda query, memory: np.sum(attention(query, memory, lengths=onp.array([5, 2, 0]))[0] ** 2)
    assert {g.dtype for g in minirnn.grad(loss, argnums=(0, 1))(query, memory)} == {onp.dtype("f")}
    assert {part.dtype for part in attention(query, memory)} == {onp.dtype("f")}


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=3), st.sampled_from([1, 1e4]))
def test_a_masked_softmax_is_the_softmax_of_what_is_left(mask, size):
    mask = onp.array(mask)
    scores = size * onp.random.default_rng(0).standard_normal(mask.shape)
    scores[~mask] = onp.nan
    weights = masked_softmax(scores, mask)
    for row, inside, found in zip(scores, mask, weights, strict=True):
        assert onp.allclose(found[inside], minirnn.functional.softmax(row[inside]) if inside.any() else [])
        assert not found[~inside].any()


def test_what_is_masked_moves_nothing_in_either_mode(rng):
    scores, moved, mask = rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), onp.array([True, True, False])
    expected = minirnn.jvp(lambda x: masked_softmax(x, mask), (scores,), (moved,))[1]
    moved[:, 2] = onp.nan
    for found in (
        minirnn.jvp(lambda x: masked_softmax(x, mask), (scores,), (moved,))[1],
        minirnn.vjp(lambda x: masked_softmax(x, mask), scores)[1](moved)[0],  # its Jacobian is symmetric
    ):
        assert onp.allclose(found, expected)


@pytest.mark.parametrize("dtype", [onp.float32, onp.float64])
def test_huge_scores_give_finite_weights_and_gradients(dtype):
    scores = onp.array([[1e30, -1e30, 0], [-1e30, -1e30, 1e30], [1e30, 1e30, 1e30]], dtype)
    mask = onp.array([[True, True, True], [True, True, False], [False, False, False]])
    assert onp.allclose(masked_softmax(scores, mask), [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0]])
    g = minirnn.grad(lambda x: np.sum(masked_softmax(x, mask) ** 2))(scores)
    assert onp.isfinite(g).all()
    assert g.dtype == dtype


E = onp.zeros((5, 2, 3))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda a: a(onp.zeros((2, 3)), E), ValueError, r"query has shape \(2, 3\); \(..., B, 4\)"),
        (lambda a: a(onp.zeros(4), E), ValueError, "query has shape"),
        (lambda a: a(onp.zeros((2, 4)), E[0]), ValueError, r"memory has shape \(2, 3\)"),
        (lambda a: a(onp.zeros((3, 4)), E), ValueError, "query has a batch of 3, memory of 2"),
        (lambda a: a(onp.zeros((2, 4), "f"), E), TypeError, "query is float32, the parameters are float64"),
        (lambda a: a(onp.zeros((2, 4)), E, lengths=[6, 1]), ValueError, "between 1 and 6"),
        (lambda a: a(onp.zeros((2, 4)), E, mask=onp.ones((5, 2), bool)), ValueError, r"\(B=2, S=5\)"),
        (lambda a: a(onp.zeros((2, 4)), E, mask=onp.ones((2, 5))), TypeError, "mask is float64, booleans"),
        (lambda a: a(onp.zeros((2, 4)), E, mask=onp.ones((1, 2, 5), bool)), ValueError, "query"),
        (lambda a: DotAttention(4, 3), ValueError, "sizes 4 and 3 came, one was expected, or general=True"),
        (lambda a: AdditiveAttention(4, 3, 0), ValueError, "attention_size=0"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says, rng):
    with pytest.raises(error, match=says):
        call(AdditiveAttention(4, 3, 5, rng=rng, **FLOAT64))
