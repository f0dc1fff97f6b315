"""What generated Numba code is made of."""

import numpy as np
import pytest

pytest.importorskip("numba")

from minirnn.compile.native import compiled, exp, flat, loop, peek, poke


@compiled
def exponentials(x, out):
    for i in range(x.size):
        out[i] = exp(x[i])


@loop
def doubled(n, a, at, b, to):
    for i in range(n):
        poke(b, to + i, peek(a, at + i) + peek(a, at + i))


@pytest.mark.parametrize(("dtype", "ends"), [("f4", (-86, 88.7)), ("f8", (-707, 709.7))])
def test_exp_is_exact_to_two_ulp(dtype, ends):
    x = np.linspace(*ends, 20001).astype(dtype)
    out = np.empty_like(x)
    exponentials(x, out)
    assert np.max(np.abs(out / np.exp(x.astype("g")) - 1)) < 2 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_exp_at_its_ends(dtype):
    x = np.array([-np.inf, -1e4, 0.0, 1e4, np.inf, np.nan], dtype)
    out = np.empty_like(x)
    exponentials(x, out)
    assert np.array_equal(out, np.array([0, 0, 1, np.inf, np.inf, np.nan], dtype), equal_nan=True)
    assert exp(0.0) == 1.0


def test_memory_is_read_and_written_where_it_says():
    a, b = np.arange(10.0), np.zeros(10)
    doubled(3, a, 2, b, 5)
    assert b.tolist() == [0, 0, 0, 0, 0, 4, 6, 8, 0, 0]
    assert flat(np.arange(6).reshape(2, 3).T).tolist() == [0, 3, 1, 4, 2, 5]
