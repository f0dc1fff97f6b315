"""The compiled products and tanh against their slow twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba", reason="Numba is not installed: pip install 'minirnn[fast]'")

from minirnn.kernels.native import curves, gemm
from minirnn.kernels.native.jit import compiled
from minirnn.kernels.native.products import add_sums, packed, packed_transposed
from minirnn.kernels.workspace import Workspace

sizes = st.integers(1, 130)
dtypes = st.sampled_from([np.float32, np.float64])
TOLERANCE = {np.float32: 2e-6, np.float64: 4e-15}


def draw(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_close(ours, slow, k, dtype):
    assert np.max(np.abs(ours - slow), initial=0.0) <= TOLERANCE[dtype] * (k + 4) ** 0.5 * 4


@given(sizes, sizes, sizes, dtypes, st.booleans(), st.integers(0, 9))
def test_multiply_is_the_product_and_touches_nothing_beside_it(m, k, n, dtype, add, gap):
    a, b, c = draw(0, (m, k + gap), dtype), draw(1, (k, n), dtype), draw(2, (m + 1, n + gap), dtype)
    expected = c.copy()
    gemm.multiply_slowly(expected[:m, gap:], a[:, gap:], b, add)
    right = packed(Workspace("test"), "b", b)
    gemm.multiply(c.reshape(-1), gap, n + gap, a.reshape(-1), gap, k + gap, m, right, k, n, add)
    assert_close(c, expected, k, dtype)
    assert np.array_equal(c[:, :gap], expected[:, :gap])
    assert np.array_equal(c[m:], expected[m:])


@given(sizes, st.integers(1, 1100), sizes, st.integers(0, 70), dtypes, st.booleans())
def test_multiply_transposed_is_one_product_or_two(m, k, n, other_n, dtype, add):
    a, b, other_b = draw(0, (k, m + 2), dtype), draw(1, (k, n), dtype), draw(2, (k, max(other_n, 1)), dtype)
    c, other_c = draw(3, (m, n), dtype), draw(4, (m, max(other_n, 1)), dtype)
    expected, other_expected = c.copy(), other_c.copy()
    gemm.multiply_slowly(expected, a[:, 1:-1].T, b, add)
    if other_n:
        gemm.multiply_slowly(other_expected, a[:, 1:-1].T, other_b, add)
    memory = Workspace("test")
    rights = packed(memory, "b", b), packed(memory, "other", other_b)
    flat, other_flat = c.reshape(-1), other_c.reshape(-1)
    gemm.multiply_transposed(a.reshape(-1), 1, m + 2, m, k, flat, 0, rights[0], n, other_flat, rights[1], other_n, add)
    assert_close(c, expected, k, dtype)
    assert_close(other_c, other_expected, k, dtype)


@given(sizes, sizes, dtypes)
def test_packing_transposed_is_packing_the_scaled_transpose(n, k, dtype):
    w, by, memory = draw(0, (n, k), dtype), draw(1, n, dtype), Workspace("test")
    transposed = packed_transposed(memory, "one", w, by)
    plain = packed(memory, "other", np.ascontiguousarray((w * by[:, None]).T))
    width = gemm.VECTORS * gemm.VECTOR_BYTES // np.dtype(dtype).itemsize
    panels = -(-n // width) * width * k  # what follows is room for the ends of blocks
    assert np.array_equal(transposed[:panels], plain[:panels])


@given(st.integers(1, 200), sizes, dtypes, st.booleans())
def test_sums_of_columns(count, width, dtype, add):
    rows, total = draw(0, (count, width + 2), dtype), draw(1, width, dtype)
    expected = (total if add else 0) + rows[:, 1:-1].sum(0)
    add_sums(rows.reshape(-1), 1, width + 1, width + 2, total, 0, add)
    assert_close(total, expected, count, dtype)


@compiled
def tanh_of_each(x, out):
    for i in range(x.size):
        out[i] = curves.tanh(x[i])


def ulp_errors(x):
    """How many units in the last place the compiled tanh is off, in x's dtype, against a wider one's."""
    out = np.empty_like(x)
    tanh_of_each(x, out)
    exact = np.tanh(x.astype(np.float64 if x.dtype == np.float32 else np.longdouble))
    return np.abs(out - exact) / np.spacing(np.abs(exact).astype(x.dtype))


def test_tanh_in_float32_is_within_two_and_a_half_ulp_over_the_whole_range():
    every_seventeenth = np.arange(0, 0x7F800000, 17 * 256, dtype=np.uint32).view(np.float32)
    dense = np.linspace(1e-3, 10, 1_000_003, dtype=np.float32)
    assert max(ulp_errors(every_seventeenth).max(), ulp_errors(dense).max(), ulp_errors(-dense).max()) < 2.5


def test_tanh_in_float64_is_full_precision():
    x = np.concatenate([np.exp(np.linspace(-40, 5, 400_001)), np.linspace(0, 25, 400_001)])
    assert ulp_errors(x).max() < 2.6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_of_what_is_not_an_ordinary_number(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, tiny, -tiny, 1e30, -50.0], dtype)
    out = np.empty_like(x)
    tanh_of_each(x, out)
    assert np.array_equal(out, np.array([0.0, -0.0, 1, -1, np.nan, tiny, -tiny, 1, -1], dtype), equal_nan=True)
    assert np.array_equal(np.signbit(out), np.signbit(np.tanh(x)))
