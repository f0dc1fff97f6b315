"""Native functions of rows against the interpreter of their loop programs, and against NumPy."""

import numpy as np
import pytest

import minirnn
from minirnn.compile.kernels import gather, kept, softmax, squares, summed_rows
from minirnn.compile.kernels.rows import ENTRIES_A_THREAD, PROGRAMS
from minirnn.compile.loops.interpreter import interpret

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
WIDTHS = [1, 7, 8, 9, 15, 16, 17, 33]


def interpreted(name, dtype, integers, **memory):
    """The memory after the loop program ran on it."""
    memory = {key: np.array(value) for key, value in memory.items()}
    interpret(PROGRAMS[name](dtype), {key: value.reshape(-1) for key, value in memory.items()}, integers)
    return memory


@each_dtype
@pytest.mark.parametrize("width", WIDTHS)
def test_rows_are_taken_and_summed_by_number(dtype, width, rng):
    table, values = rng.standard_normal((5, width)).astype(dtype), rng.standard_normal((3, 4, width)).astype(dtype)
    numbers = rng.integers(0, 5, (3, 4))  # twelve of five: some are repeated
    sizes = {"count": 12, "width": width}
    taken = interpreted("gather", dtype, sizes, source=table, numbers=numbers, out=np.zeros_like(values))["out"]
    assert np.array_equal(gather(table, numbers), taken)
    assert np.array_equal(taken, table[numbers])
    added = interpreted("summed_rows", dtype, sizes, source=values, numbers=numbers, out=np.zeros_like(table))["out"]
    assert np.array_equal(summed_rows(values, numbers, 5), added)
    expected = np.zeros_like(table)
    np.add.at(expected, numbers, values)
    assert np.allclose(added, expected, atol=10 * np.finfo(dtype).eps)


def test_views_and_rows_of_several_axes_are_taken_and_summed(rng):
    table, values = rng.standard_normal((6, 2, 3)), rng.standard_normal((4, 2, 3, 2)).transpose(3, 0, 1, 2)
    numbers = (np.arange(16).reshape(8, 2) % 6)[::2].T
    assert np.array_equal(gather(table, numbers), table[numbers])
    expected = np.zeros((6, 2, 3))
    np.add.at(expected, numbers, values)
    assert np.allclose(summed_rows(values, numbers, 6), expected)


@each_dtype
@pytest.mark.parametrize("width", WIDTHS)
def test_softmax_and_its_parts(dtype, width, rng):
    x = 5 * rng.standard_normal((4, width)).astype(dtype)
    y, top, total = softmax(x)
    eps = np.finfo(dtype).eps
    empty = {"top": np.zeros_like(top), "total": np.zeros_like(top), "y": np.zeros_like(x)}
    slow = interpreted("softmax", dtype, {"count": 4, "width": width}, x=x, **empty)
    assert np.array_equal(top, x.max(axis=1))
    for found, expected in [(y, slow["y"]), (total, slow["total"])]:
        assert np.allclose(found, expected, rtol=8 * eps, atol=8 * eps)
    exps = np.exp(x.astype(np.longdouble) - top[:, None])
    assert np.allclose(y, exps / exps.sum(axis=1, keepdims=True), rtol=20 * eps, atol=eps)


def test_softmax_of_what_is_not_finite_shows_in_the_top_and_of_minus_infinity_is_zero():
    x = np.array([[0, -np.inf, 0], [np.nan, 1, 2], [1, np.inf, 0], [-np.inf, -np.inf, -np.inf]], np.float32)
    y, top, total = softmax(x)
    assert (y[0].tolist(), top[0], total[0]) == ([0.5, 0, 0.5], 0, 2)
    assert not np.isfinite(top[1:]).any()


def test_softmax_is_the_same_to_the_bit_on_any_number_of_threads(rng):
    x = rng.standard_normal((3 * ENTRIES_A_THREAD // 50, 50)).astype(np.float32)
    found = []
    for count in (1, 2, 3):
        minirnn.set_num_threads(count)
        found.append([part.tobytes() for part in softmax(x)])
    assert found[0] == found[1] == found[2]


@each_dtype
def test_squares_are_summed_in_double_precision(dtype, rng):
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in [(), (0,), *[(n,) for n in WIDTHS], (30, 70)]]
    arrays += [np.asfortranarray(arrays[-1]), arrays[-1][::2, ::3], np.full(3, 1e30, dtype), np.full(3, 1e-30, dtype)]
    for array, found in zip(arrays, squares(arrays), strict=True):
        flat = array.astype(float).reshape(-1)
        slow = interpreted("squares", dtype, {"count": flat.size}, x=array.reshape(-1), total=np.zeros(1))["total"][0]
        assert np.allclose([found, slow], np.square(flat).sum(), rtol=1e-14)


def test_squares_of_what_is_not_finite_are_not(rng):
    arrays = [np.full(n, bad, np.float32) for n in (1, 20) for bad in (np.nan, np.inf, -np.inf)]
    assert not np.isfinite(squares(arrays)).any()


@each_dtype
@pytest.mark.parametrize("least", [0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1])
def test_numbers_without_a_sign_are_kept_from_the_least_on(dtype, least):
    bits = np.array([0, 1, 2**31 - 2, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1] * 3, np.uint32)[:23]
    found = kept(bits, least, 1.7, np.dtype(dtype))
    memory = {"bits": bits.view(np.int32), "out": np.ones(23, dtype)}
    interpret(PROGRAMS["kept"](dtype), memory, {"count": 23}, [least - 2**31, 1.7])
    assert np.array_equal(found, memory["out"])
    assert np.array_equal(found, np.where(bits >= least, np.dtype(dtype).type(1.7), 0))
