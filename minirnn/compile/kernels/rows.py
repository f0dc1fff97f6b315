"""Rows of tables and of logits, and sums of squares.

gather        out[j] = table[numbers[j]]
summed_rows   out[numbers[j]] += values[j], j after j
softmax       top = max_k x_k;  y = exp(x - top);  total = sum_k y_k;  y /= total, row by row
squares       sum_k x_k^2 in float64, of each array
kept          scale where bits >= least, else 0

Arrays are float32 or float64. Every sum is taken in the same order in every run.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from minirnn import threads
from minirnn.compile.address import address
from minirnn.compile.kernels.kernel import Kernel
from minirnn.compile.loops.program import For, Function, Gather, Line, Map, Number, Reduce, Ref, Slot, Statement, index
from minirnn.module import Array

__all__ = ["PROGRAMS", "gather", "kept", "softmax", "squares", "summed_rows"]

ONE = index(1)
COUNT, WIDTH = index((1, "count")), index((1, "width"))
ENTRIES_A_THREAD = 1 << 17  # of logits: a tenth of a millisecond of exp, which pays for waking a thread


# ---------------------------------------------------------------- loop programs
def _by_numbers(name: str, dtype: str, add: bool) -> Function:
    source, out = (Ref(memory, dtype, (), 0, (WIDTH, 1)) for memory in ("source", "out"))
    move = Gather(ONE, (COUNT, WIDTH), 0, "numbers", source, out, add)
    return Function(name, dtype, ("source", "numbers", "out"), ("count", "width"), (move,))


def _softmax(dtype: str) -> Function:
    x, y = (Ref(memory, dtype, index((1, "row", "width")), 0, (1,)) for memory in ("x", "y"))
    top, total = (Ref(memory, dtype, index((1, "row")), 0, ()) for memory in ("top", "total"))
    shifted = Line("shifted", "sub", ("x", "top"), dtype, dtype), Line("y", "exp", ("shifted",), dtype, dtype)
    share = Line("share", "div", ("y", "total"), dtype, dtype)
    body: tuple[Statement, ...] = (
        Reduce("amax", ONE, (), (WIDTH,), (x,), top),
        Map(ONE, (WIDTH,), (("x", x), ("top", _for_all(top))), shifted, (("y", y),)),
        Reduce("sum", ONE, (), (WIDTH,), (y,), total),
        Map(ONE, (WIDTH,), (("y", y), ("total", _for_all(total))), (share,), (("share", y),)),
    )
    return Function("softmax", dtype, ("x", "top", "total", "y"), ("count", "width"), (For("row", COUNT, body),))


def _for_all(one: Ref) -> Ref:
    """The number for every entry of a row."""
    return one._replace(strides=(0,))


def _squares(dtype: str) -> Function:
    x = Ref("x", dtype, (), 0, (1,))
    total = Reduce("sum", ONE, (), (COUNT,), (x, x), Ref("total", "float64", (), 0, ()))
    return Function("squares", dtype, ("x", "total"), ("count",), (total,))


def _kept(dtype: str) -> Function:
    bits, out = Ref("bits", "int32", (), 0, (1,)), Ref("out", dtype, (), 0, (1,))
    lines = (  # both moved by 2^31: numbers without a sign keep their order as numbers with one
        Line("moved", "add", ("bits", Number(-(1 << 31))), "int32", "int32"),
        Line("kept", "greater_equal", ("moved", Number(Slot(0))), "int32", "bool"),
        Line("mask", "where", ("kept", Number(Slot(1)), Number(0.0)), dtype, dtype),
    )
    work = Map(ONE, (COUNT,), (("bits", bits),), lines, (("mask", out),))
    return Function("kept", dtype, ("bits", "out"), ("count",), (work,))


PROGRAMS = {
    "kept": _kept,
    "gather": lambda dtype: _by_numbers("gather", dtype, False),
    "summed_rows": lambda dtype: _by_numbers("summed_rows", dtype, True),
    "softmax": _softmax,
    "squares": _squares,
}


@cache
def _kernel(name: str, dtype: Any) -> Kernel:
    return Kernel(PROGRAMS[name](dtype.name), 2 if name == "kept" else 0)


# ---------------------------------------------------------------- calls
def gather(table: Array, numbers: Array) -> Array:
    """table[numbers], of a table (V, ...) without gaps and int64 numbers (...), all of 0 .. V - 1."""
    row, numbers = table.shape[1:], np.ascontiguousarray(numbers)
    out = np.empty((*numbers.shape, *row), table.dtype)
    _moved("gather", table, numbers, out, math.prod(row))
    return out


def summed_rows(values: Array, numbers: Array, rows: int) -> Array:
    """(rows, ...): the sums of values[j] over numbers[j] = r. values: (..., ...), numbers: (...), of 0 .. rows - 1."""
    row = values.shape[numbers.ndim :]
    values, numbers = np.ascontiguousarray(values), np.ascontiguousarray(numbers)
    out = np.zeros((rows, *row), values.dtype)
    _moved("summed_rows", values, numbers, out, math.prod(row))
    return out


def _moved(name: str, source: Array, numbers: Array, out: Array, width: int) -> None:
    call = [address(source), address(numbers), address(out), numbers.size, width]
    _kernel(name, source.dtype)(np.array([call], np.int64))


def softmax(x: Array) -> tuple[Array, Array, Array]:
    """(softmax(x), max x, sum exp(x - max x)) of the rows of x: (N, V), N, V >= 1 -> (N, V), (N,), (N,)."""
    x, (count, width) = np.ascontiguousarray(x), x.shape
    y, top, total = np.empty_like(x), np.empty(count, x.dtype), np.empty(count, x.dtype)
    shares = max(1, min(threads.get_num_threads(), x.size // ENTRIES_A_THREAD, count))
    cuts = [count * k // shares for k in range(shares + 1)]
    bytes_of_row, size = width * x.itemsize, x.itemsize
    at_x, at_top, at_total, at_y = address(x), address(top), address(total), address(y)

    def share(k: int) -> None:
        first, behind = cuts[k], cuts[k + 1]
        call = [
            at_x + first * bytes_of_row,
            at_top + first * size,
            at_total + first * size,
            at_y + first * bytes_of_row,
        ]
        kernel(np.array([[*call, behind - first, width]], np.int64))

    kernel = _kernel("softmax", x.dtype)
    threads.each(share, range(shares))
    return y, top, total


def squares(arrays: Sequence[Array]) -> list[float]:
    """The sum of the squares of each array's entries, in float64; inf where that overflows, nan where an entry is."""
    totals = np.empty(len(arrays))
    flat = [array if array.flags.forc else np.ascontiguousarray(array) for array in arrays]
    to, dtypes = address(totals), {array.dtype for array in flat}
    for dtype in dtypes:
        calls = [[address(a), to + 8 * k, a.size] for k, a in enumerate(flat) if a.dtype == dtype]
        _kernel("squares", dtype)(np.array(calls, np.int64))
    found: list[float] = totals.tolist()
    return found


def kept(bits: Array, least: int, scale: float, dtype: Any) -> Array:
    """scale where bits >= least, else 0. bits: (N,) uint32; least: up to 2^32 - 1; the result of this float dtype."""
    out = np.empty(bits.shape, dtype)
    numbers = np.array([least - (1 << 31), scale], np.float64).view(np.int64)
    _kernel("kept", dtype)(np.array([[address(bits), address(out), bits.size, *numbers.tolist()]], np.int64))
    return out
