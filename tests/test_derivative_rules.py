"""Derivatives where a result or an input is zero: the right values by hand, and by differences elsewhere."""

import math

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import functional
from minirnn.gradcheck import gradcheck

AT_ZEROS = {
    "prod of one zero": (anp.prod, [0.0, 2, 3], [6, 0, 0]),
    "prod of two zeros": (anp.prod, [0.0, 0, 3], [0, 0, 0]),
    "prod along an axis": (lambda x: anp.sum(anp.prod(x, axis=0) * x[0]), [[0.0, 2], [3, 0]], [[0, 0], [0, 4]]),
    "prod, axes kept": (
        lambda x: anp.sum(anp.prod(x, axis=(0, -1), keepdims=True)),
        [[[0.0, 2]], [[3, 1]]],
        [[[6, 0]], [[0, 0]]],
    ),
    "prod of unlike sizes": (anp.prod, [1e200, 1e-200, 3], [3e-200, 3e200, 1]),
    "prod that underflows": (anp.prod, [1e-200, 1e-200, 3], [3e-200, 3e-200, 0]),
    "cumprod": (lambda x: anp.sum(anp.cumprod(x)), [0.0, 2, 3], [9, 0, 0]),
    "cumprod of two zeros": (lambda x: anp.sum(anp.cumprod(x, axis=0)), [3.0, 0, 0, 5], [1, 3, 0, 0]),
    "norm": (anp.linalg.norm, [0.0, 0], [0, 0]),
    "norm of a matrix": (anp.linalg.norm, [[0.0, 0], [0, 0]], [[0, 0], [0, 0]]),
    "norms of rows": (lambda x: anp.sum(anp.linalg.norm(x, axis=1)), [[0.0, 0], [3, 4]], [[0, 0], [0.6, 0.8]]),
    "norms kept": (
        lambda x: anp.sum(anp.linalg.norm(x, axis=1, keepdims=True)),
        [[0.0, 0], [3, 4]],
        [[0, 0], [0.6, 0.8]],
    ),
    "norm of order 3": (lambda x: anp.linalg.norm(x, 3), [0.0, 0], [0, 0]),
    "norm of order 1.5": (lambda x: anp.linalg.norm(x, 1.5), [0.0, -2], [0, -1]),
    "norm of order 1": (lambda x: anp.linalg.norm(x, ord=1), [0.0, -2], [0, -1]),
    "largest entry": (lambda x: anp.linalg.norm(x, np.inf), [1.0, -2], [0, -1]),
    "std of equal entries": (anp.std, [2.0, 2, 2], [0, 0, 0]),
    "std of rows": (
        lambda x: anp.sum(anp.std(x, axis=-1, ddof=1)),
        [[2.0, 2], [0, 2]],
        [[0, 0], [-(0.5**0.5), 0.5**0.5]],
    ),
    "sinc": (lambda x: anp.sum(anp.sinc(x)), [0.0, 1.0, 1e-9], [0, -1, -(math.pi**2) / 3 * 1e-9]),
    "logaddexp of -inf": (lambda x: anp.logaddexp(x[0], x[1]), [-math.inf, -math.inf], [0, 0]),
    "logaddexp with one -inf": (lambda x: anp.logaddexp(x[0], x[1]), [-math.inf, 3], [0, 1]),
    "logaddexp of inf": (lambda x: anp.logaddexp(x[0], x[1]), [math.inf, 3], [1, 0]),
    "logaddexp2": (lambda x: anp.logaddexp2(x[0], x[1]), [1.0, 1], [0.5, 0.5]),
    "logsumexp of -inf": (lambda x: functional.logsumexp(x), [-math.inf, -math.inf], [0, 0]),
    "det of a singular matrix": (anp.linalg.det, [[1.0, 2], [2, 4]], [[4, -2], [-2, 1]]),
    "det of zeros": (anp.linalg.det, [[0.0, 0], [0, 0]], [[0, 0], [0, 0]]),
    "power 0": (lambda x: anp.sum(x**0.0), [0.0, 2], [0, 0]),
    "power 2": (lambda x: anp.sum(x**2.0), [0.0, 2], [0, 4]),
    "zero to a power": (lambda x: anp.sum(np.zeros(3) ** x), [0.0, 1, 2], [0, 0, 0]),
    "abs": (lambda x: anp.sum(anp.abs(x)), [0.0, -2], [0, -1]),
    "var": (anp.var, [2.0, 2], [0, 0]),
    "max of equal entries": (anp.max, [2.0, 2, 1], [0.5, 0.5, 0]),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", AT_ZEROS)
def test_the_derivative_at_zeros_is_right_in_both_modes(case, dtype):
    function, x, expected = AT_ZEROS[case]
    x, expected = np.array(x), np.array(expected, float)
    if (dtype is np.float32 and np.abs(expected[np.isfinite(expected)]).max() > 1e30) or "underflows" in case:
        dtype = np.float64
    x = x.astype(dtype)
    g = minirnn.grad(function)(x)
    assert g.dtype == dtype
    assert np.allclose(g, expected, rtol=1e-6, atol=1e-12)
    if np.isfinite(expected).all() and "underflows" not in case:
        direction = np.arange(1, x.size + 1, dtype=dtype).reshape(x.shape)
        assert np.allclose(minirnn.jvp(function, (x,), (direction,))[1], np.sum(expected * direction), rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (anp.prod, [0.0, 2, 3], [5, 3, 2]),
        (anp.prod, [0.0, 0, 3], [3, 3, 0]),
        (lambda x: anp.sum(anp.cumprod(x)), [0.0, 2, 3], [6, 4, 2]),
        (lambda x: anp.sum(anp.sinc(x)), [0.0], [-(math.pi**2) / 3]),
        (lambda x: anp.logaddexp(x[0], 1.0), [1.0], [0.25]),
    ],
)
def test_second_derivatives_at_zeros(function, x, expected):
    assert np.allclose(minirnn.hvp(function)(np.array(x), np.ones(len(x))), expected, rtol=1e-12)


@pytest.mark.parametrize("x", [-3.0, -30.0, -300.0])
def test_a_slope_that_is_nearly_zero_has_all_its_digits(x):
    known = math.exp(x) / (1 + math.exp(x))  # 1e-131 at the last, where (1 + tanh(x / 2)) / 2 is 0
    assert minirnn.grad(lambda x: anp.logaddexp(x, 0.0))(np.array(x)) == pytest.approx(known, rel=1e-12)
    assert minirnn.grad(lambda x: anp.logaddexp2(x, 0.0))(np.array(x)) == pytest.approx(2**x / (1 + 2**x), rel=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: anp.prod(x, axis=1),
        lambda x: anp.prod(x, (0, 2), keepdims=True),
        lambda x: anp.cumprod(x),
        lambda x: anp.cumprod(x, axis=1),
        lambda x: anp.cumprod(x, -1),
        lambda x: anp.std(x, axis=(1, 2), ddof=1, keepdims=True),
        lambda x: anp.linalg.norm(x, axis=1, keepdims=True),
        lambda x: anp.linalg.norm(x, 3, 0),
        lambda x: anp.linalg.norm(x, axis=(0, 2)),
        lambda x: anp.linalg.norm(x, "nuc", axis=(0, 1)),
        lambda x: anp.linalg.norm(x, -np.inf, axis=0),
        lambda x: anp.linalg.norm(x),
        lambda x: anp.linalg.det(x[..., :2]),
        lambda x: anp.sinc(x) + anp.sinc(0.1 * x),
        lambda x: anp.logaddexp(x, x[:1, :, :1] * 2) + anp.logaddexp2(x[0], x),
    ],
)
def test_where_nothing_is_zero_the_derivative_is_that_of_differences(function):
    x = np.random.default_rng(0).uniform(0.5, 1.5, (3, 2, 4))

    def backward(g, x):
        return minirnn.vjp(function, x)[1](g)

    report = gradcheck(function, x, vjp=backward)
    assert report.ok, report
    weights = np.cos(np.arange(function(x).size)).reshape(function(x).shape)
    loss = lambda x: anp.sum(function(x) * weights)
    moved = minirnn.jvp(loss, (x,), (np.sin(x),))[1]
    assert np.isclose(moved, np.sum(minirnn.grad(loss)(x) * np.sin(x)), rtol=1e-10)


@pytest.mark.parametrize("function", [anp.prod, lambda x: anp.sum(anp.cumprod(x, axis=0)), anp.std])
def test_empty_arrays_get_empty_gradients(function):
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning) if function is anp.std else np.errstate():
        assert minirnn.grad(function)(np.zeros((0, 2))).shape == (0, 2)
