import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn import functional, selecting

FUNCTIONS = {
    "tanh": functional.tanh,
    "sigmoid": functional.sigmoid,
    "relu": functional.relu,
    "softplus": functional.softplus,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "softmax": functional.softmax,
    "log_softmax": functional.log_softmax,
    "logsumexp": functional.logsumexp,
    "softmax, axis 0": lambda x: functional.softmax(x, axis=0),
    "logsumexp, kept": lambda x: functional.logsumexp(x, axis=0, keepdims=True),
    "pick": lambda x: functional.pick(x, np.array([1, 3, 0])),
    "embedding": lambda x: functional.embedding(x, np.array([[0, 2], [2, 2]])),
    "no rows of an embedding": lambda x: functional.embedding(x, np.zeros((0, 2), int)),
    "split": lambda x: functional.split(x, 2)[1],
    "stack": lambda x: functional.stack([x[0], x[2], x[0]]),
    "linear": lambda x: functional.linear(x, x),
    "linear with bias": lambda x: functional.linear(anp.stack([x, -x]), x[:2], x[0, :2]),
}
each = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)


def numerical(f, x, v, eps=1e-5):
    return (f(x + eps * v) - f(x - eps * v)) / (2 * eps)


@pytest.fixture
def point(rng):
    return rng.standard_normal((3, 4)), rng.standard_normal((3, 4))


@each
def test_derivatives_in_both_modes_are_the_numerical_ones(f, point):
    x, v = point
    y, moved = minirnn.jvp(f, (x,), (v,))
    assert np.allclose(moved, numerical(f, x, v), atol=1e-8)
    w = np.cos(np.arange(y.size)).reshape(y.shape)
    assert np.isclose(np.sum(minirnn.vjp(f, x)[1](w)[0] * v), np.sum(moved * w))


@each
def test_second_derivatives_agree_in_three_orders(f, point):
    x, v = point
    w = np.cos(np.arange(np.size(f(x)))).reshape(np.shape(f(x)))
    loss = lambda x: anp.sum(f(x) ** 2 * w) / 2
    expected = numerical(minirnn.grad(loss), x, v)
    reverse = minirnn.grad(lambda x: anp.sum(minirnn.grad(loss)(x) * v))(x)
    over_forward = minirnn.grad(lambda x: minirnn.jvp(loss, (x,), (v,))[1])(x)
    for found in (minirnn.hvp(loss)(x, v), reverse, over_forward):
        assert np.allclose(found, expected, atol=1e-7)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(f, dtype, point):
    x = point[0].astype(dtype)
    assert f(x).dtype == dtype
    assert minirnn.grad(lambda x: anp.sum(f(x) ** 2))(x).dtype == dtype


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "softplus", "silu", "softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_inputs_give_finite_values_and_derivatives(name, dtype):
    x = np.array([[-1e4, 0, 1e4], [1e4, 1e4, -1e4]], dtype)
    f = FUNCTIONS[name]
    assert np.isfinite(f(x)).all()
    loss = lambda x: anp.sum(f(x) * np.arange(1, f(x).size + 1, dtype=dtype).reshape(f(x).shape))
    assert np.isfinite(minirnn.grad(loss)(x)).all()
    assert np.isfinite(minirnn.hvp(loss)(x, np.ones_like(x))).all()


def test_values_at_a_few_points():
    assert functional.sigmoid(np.array(0.0)) == 0.5
    assert functional.softplus(np.array([-1e4, 1e4])).tolist() == [0, 1e4]
    assert functional.relu(np.array([-2.0, 3.0])).tolist() == [0, 3]
    assert functional.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf
    assert np.allclose(functional.softmax(np.array([[0.0, np.log(3)]])), [[0.25, 0.75]])


@given(st.integers(0, 6), st.lists(st.integers(0, 4), max_size=12))
def test_summing_rows_is_add_at(width, indices):
    g = np.random.default_rng(width).standard_normal((len(indices), width))
    expected = np.zeros((5, width))
    np.add.at(expected, np.array(indices, int), g)
    for tier in ("auto", "numpy"):
        with minirnn.tier.tier(tier):
            assert np.allclose(selecting._summed_rows(g, np.array(indices, int), 5), expected, atol=1e-14)


def test_dropout_zeroes_a_share_and_keeps_the_mean(rng):
    x = np.ones((200, 200), np.float32)
    y = functional.dropout(x, 0.25, rng)
    assert y.dtype == np.float32
    assert abs((y == 0).mean() - 0.25) < 0.01
    assert abs(y.mean() - 1) < 0.02
    assert not functional.dropout(x, 1.0, rng).any()


@pytest.mark.parametrize("call", [lambda: functional.split(np.ones(5), 2), lambda: functional.stack([])])
def test_bad_input_is_an_error(call):
    with pytest.raises(ValueError, match=r"divide|no arrays"):
        call()


@pytest.mark.parametrize("name", functional.__all__)
def test_every_function_is_described(name):
    assert len(getattr(functional, name).__doc__ or "") > 20
