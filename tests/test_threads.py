import numpy as np
import pytest

import minirnn
from minirnn import functional, threads


@pytest.fixture
def restored():
    before = minirnn.get_num_threads()
    yield
    minirnn.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("shape", [(700, 90, 300), (90, 700, 300), (300, 2, 4), (1, 5000, 2000), (0, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_the_same_in_any_number_of_threads(count, shape, dtype, rng, restored):
    minirnn.set_num_threads(count)
    m, k, n = shape
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((n, k)).astype(dtype).T
    found = threads.product(a, b)
    assert found.dtype == dtype
    assert np.allclose(found, a.astype(np.float64) @ b, rtol=0, atol=300 * np.finfo(dtype).eps * k**0.5)
    assert np.array_equal(found, threads.product(a, b))


def test_a_product_differentiates_to_any_order(rng):
    a, b, v = (rng.standard_normal(shape) for shape in [(3, 4), (4, 2), (3, 4)])
    loss = lambda a, b: (functional.product(a, b) ** 3).sum()
    eps = 1e-5
    slope = (minirnn.grad(loss)(a + eps * v, b) - minirnn.grad(loss)(a - eps * v, b)) / (2 * eps)
    assert np.allclose(minirnn.hvp(loss)(a, b, v), slope, rtol=1e-7, atol=1e-7)
    assert np.allclose(minirnn.jvp(lambda b: loss(a, b), (b,), (b,))[1], 3 * loss(a, b))


def test_each_keeps_the_order_and_raises_what_a_thread_raises():
    assert threads.each(lambda i: i * i, range(5)) == [0, 1, 4, 9, 16]
    with pytest.raises(ZeroDivisionError):
        threads.each(lambda i: 1 // i, [2, 1, 0])


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_number_of_threads_is_a_positive_integer(count):
    with pytest.raises(ValueError, match="a positive integer was expected"):
        minirnn.set_num_threads(count)
