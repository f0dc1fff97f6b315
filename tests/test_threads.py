import contextlib
import os
import threading

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


@pytest.mark.parametrize(("ends", "between"), [("latest first", 1), ("earliest first", 4)])
def test_limits_that_overlap_put_back_what_was_before_them(ends, between, restored):
    """Trials in threads of one process begin and end as they please."""
    minirnn.set_num_threads(3)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(threads.limited(1))
    assert minirnn.get_num_threads() == 1
    second.enter_context(threads.limited(4))
    assert minirnn.get_num_threads() == 4
    one, other = (second, first) if ends == "latest first" else (first, second)
    one.close()
    assert minirnn.get_num_threads() == between
    other.close()
    assert minirnn.get_num_threads() == 3


def test_a_limit_that_is_no_number_of_threads_changes_nothing(restored):
    minirnn.set_num_threads(3)
    with pytest.raises(ValueError, match="a positive integer was expected"), threads.limited(0):
        pass
    with pytest.raises(ZeroDivisionError), threads.limited(2):
        1 / 0  # noqa: B018
    assert minirnn.get_num_threads() == 3


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


@pytest.mark.skipif(
    threads._current_processor is None or len(os.sched_getaffinity(0)) < 2,
    reason="one processor, or a system that does not say where a thread runs",
)
def test_threads_keep_off_the_callers_processor_and_may_use_all_others(monkeypatch):
    before, mine = os.sched_getaffinity(0), threads._current_processor()
    monkeypatch.setattr(threads, "_kept_from", -1)
    os.sched_setaffinity(0, {mine, *sorted(before - {mine})[:1]})
    try:
        allowed = threads.each(lambda i: os.sched_getaffinity(0), range(2))
        expected = os.sched_getaffinity(0) - {threads._kept_from}
    finally:
        os.sched_setaffinity(0, before)
    assert allowed[0] == expected


@pytest.mark.parametrize("prepared", [[], [0], [0, 1]])
def test_each_prepares_in_the_callers_thread_and_waits_for_the_others_when_that_fails(prepared):
    done = []

    def ready(item):
        if item not in prepared:
            raise KeyError(item)
        return threading.current_thread()

    def run(prepared_in):
        done.append(prepared_in)

    with pytest.raises(KeyError):
        threads.each(run, [0, 1, 2], ready)
    assert done == [threading.current_thread()] * len(prepared)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_number_of_threads_is_a_positive_integer(count):
    with pytest.raises(ValueError, match="a positive integer was expected"):
        minirnn.set_num_threads(count)


def blas_threads():
    return {pool.get_num_threads() for pool in threads._blas_pools()}


needs_blas = pytest.mark.skipif(
    not threads._blas_pools(), reason="threadpoolctl is not installed: pip install 'minirnn[fast]'"
)


@needs_blas
def test_any_thread_may_hold_blas_to_one_thread_and_it_is_let_go_again(restored):
    minirnn.set_num_threads(2)

    def hold(i):
        with threads.single_threaded_blas:
            return threading.get_ident(), blas_threads()

    found = threads.each(hold, range(2))
    assert len({thread for thread, _ in found}) == 2
    assert [seen for _, seen in found] == [{1}, {1}]
    assert blas_threads() == {2}


@needs_blas
@pytest.mark.parametrize("shape", [(1600, 76, 10), (1, 300, 200), (300, 200, 1)])
def test_a_product_that_is_worth_no_second_thread_leaves_blas_asleep(shape, rng, monkeypatch, restored):
    minirnn.set_num_threads(2)
    seen, real = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda *args, **to: seen.append(blas_threads()) or real(*args, **to))
    threads.product(rng.standard_normal(shape[:2]), rng.standard_normal(shape[1:]))
    assert seen == [{1}]
