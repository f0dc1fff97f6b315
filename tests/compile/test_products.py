"""The products of native code against NumPy's, at sizes on both sides of every tile, strip and block."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

from minirnn.compile import native
from minirnn.compile.llvm import objects, products
from minirnn.compile.llvm.target import host

ROWS, LANES = host().tiles[0][0], host().lanes("float32")  # of the largest tile; of a vector
GUARD = 64
sizes = st.integers(1, 130)
dtypes = st.sampled_from(["float32", "float64"])
TOLERANCE = {"float32": 2e-6, "float64": 4e-15}


class Memory:
    """An array within guards, which nothing may write to."""

    def __init__(self, values):
        values = np.ascontiguousarray(values)
        self.whole = np.full(values.size + 2 * GUARD, 7, values.dtype)
        self.array = self.whole[GUARD:-GUARD].reshape(values.shape)
        self.array[...] = values

    @property
    def at(self):
        return self.array.__array_interface__["data"][0]

    def untouched_outside(self):
        return (self.whole[:GUARD] == 7).all() and (self.whole[-GUARD:] == 7).all()


def draw(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def run(name, dtype, *arguments):
    native._load_shared(dtype)
    function = objects.function(f"{name}_{dtype}", len(arguments))
    function(*[a.at if isinstance(a, Memory) else int(a) for a in arguments])
    assert all(a.untouched_outside() for a in arguments if isinstance(a, Memory))


def packed(matrix):
    """(k, n) as the right side of products."""
    (k, n), dtype = matrix.shape, matrix.dtype.name
    out = Memory(np.zeros(products.packed_size(host(), dtype, k, n), dtype))
    run("pack", dtype, Memory(matrix), n, k, n, out)
    return out


def close(ours, expected, k, dtype):
    return np.max(np.abs(ours - expected), initial=0.0) <= TOLERANCE[dtype] * (k + 4) ** 0.5 * 4


@given(sizes, sizes, sizes, dtypes, st.booleans(), st.integers(0, 9))
@example(ROWS, products.LEFT_AT_ONCE // ROWS + 1, 3, "float32", False, 0)  # the left side in more than one block
@example(3 * ROWS + 1, 5, 3 * LANES + 1, "float32", True, 2)  # every tile of rows, and of vectors
@example(ROWS + 1, products.K_OF_STRIPS + 1, 4 * LANES, "float32", True, 0)  # k in more than one part
@example(ROWS + 1, 2 * products.K_OF_STRIPS, 3, "float64", False, 1)
@example(1, 5, 9 * LANES - 1, "float32", False, 1)  # a single row, beyond what it takes at once
def test_multiply_is_the_product_and_touches_nothing_beside_it(m, k, n, dtype, add, gap):
    a, b, c = draw(0, (m, k + gap), dtype), draw(1, (k, n), dtype), draw(2, (m, n + gap), dtype)
    out = Memory(c)
    strip = k * host().lanes(dtype)
    run("multiply", dtype, out, n + gap, Memory(a), k + gap, 1, packed(b), m, k, n, strip, add)
    assert close(out.array[:, :n], (c[:, :n] if add else 0) + a[:, :k] @ b, k, dtype)
    assert np.array_equal(out.array[:, n:], c[:, n:])


@given(sizes, st.integers(1, 1100), sizes, dtypes, st.booleans(), st.integers(0, 3))
@example(products.TILES_AT_ONCE * ROWS + 1, products.K_AT_ONCE + 1, 3, "float32", False, 0)
def test_multiply_transposed_is_the_product_of_the_transpose(m, k, n, dtype, add, gap):
    a, b, c = draw(0, (k, m + gap), dtype), draw(1, (k, n), dtype), draw(2, (m, n), dtype)
    out, room = Memory(c), Memory(np.zeros(products.room_size(host()), dtype))
    run("multiply_transposed", dtype, out, Memory(a), m + gap, packed(b), m, k, n, room, add)
    assert close(out.array, (c if add else 0) + a[:, :m].T @ b, k, dtype)


@given(sizes, sizes, dtypes, st.integers(0, 3))
def test_packing_transposed_is_packing_the_transpose(n, k, dtype, gap):
    w = draw(0, (n, k + gap), dtype)
    out = Memory(np.zeros(products.packed_size(host(), dtype, k, n), dtype))
    run("pack_transposed", dtype, Memory(w), k + gap, k, n, out)
    assert np.array_equal(out.array, packed(np.ascontiguousarray(w[:, :k].T)).array)


@given(st.integers(1, 200), sizes, dtypes, st.booleans())
@example(products.ROWS_AT_ONCE + 1, LANES + 1, "float32", True)
def test_sums_of_columns(count, width, dtype, add):
    rows, total = draw(0, (count, width + 2), dtype), draw(1, width, dtype)
    out = Memory(total)
    run("column_sum", dtype, out, Memory(rows), width + 2, count, width, add)
    assert close(out.array, (total if add else 0) + rows[:, :width].sum(0), count, dtype)
