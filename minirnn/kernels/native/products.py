"""What the compiled kernels share: packed weights, the products around the time loops, blocks and shares."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any

import numpy as np

from minirnn import threads
from minirnn.kernels.kernel import Call, Gradients, Kernel, Sizes
from minirnn.kernels.native import gemm
from minirnn.kernels.native.gemm import multiply, multiply_transposed, pack
from minirnn.kernels.native.jit import compiled
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = [
    "NativeKernel",
    "add_sums",
    "copy_row",
    "fill_row",
    "flags_of",
    "packed",
    "packed_transposed",
    "project_ahead",
]

NUMBERS = 1 << 20  # pre-activations in a block
PROJECTED = 64  # rows projected at once: enough for whole tiles, and still in the cache when the loop comes to them
SHARE = 3e6  # multiplications and additions that are worth a thread of their own


def packed(work: Workspace, name: str, matrix: Array) -> Array:
    """A matrix (k, n) as the right side of products."""
    k, n = matrix.shape
    out = work.array(name, (gemm.packed_size(k, n, matrix.dtype),), matrix.dtype)
    pack(np.ascontiguousarray(matrix).reshape(-1), 0, n, k, n, out)
    return out


def packed_transposed(work: Workspace, name: str, matrix: Array, by: Array) -> Array:
    """(by[:, None] * matrix)^T as the right side of products."""
    n, k = matrix.shape
    out = work.array(name, (gemm.packed_size(k, n, matrix.dtype),), matrix.dtype)
    gemm.pack_transposed(np.ascontiguousarray(matrix), by, out)
    return out


def flags_of(outside: Array | None) -> Array:
    """(n, b, 1) booleans as flat bytes; empty where there are none."""
    return _NONE if outside is None else outside.view(np.uint8).reshape(-1)


_NONE = np.zeros(0, np.uint8)


@compiled
def copy_row(to: Array, to_row: int, source: Array, row: int) -> None:
    """to[to_row] = source[row]; as a loop, which compiles in a tenth of the time."""
    for j in range(source.shape[1]):
        to[to_row, j] = source[row, j]


@compiled
def fill_row(to: Array, row: int, value: Any) -> None:
    for j in range(to.shape[1]):
        to[row, j] = value


@compiled
def project_ahead(z: Array, z_at: int, x: Array, t: int, n: int, b: int, ih: Array, inputs: int, width: int) -> None:
    """The products x W_ih^T of some steps from t on, where t is the first of such a group of the n steps.

    z is flat; the first step's rows begin at the number z_at.
    """
    steps = max(1, PROJECTED // b)
    if t % steps == 0:
        to, of, rows = z_at + t * b * width, t * b * inputs, min(steps, n - t) * b
        multiply(z, to, width, x, of, inputs, rows, ih, inputs, width, np.bool_(False))


@compiled
def add_sums(rows: Array, first: int, last: int, width: int, total: Array, at: int, add: bool) -> None:
    """total[at:] (+)= the sum of columns first..last of rows (flat, `width` wide), by partial sums of 64 rows."""
    count = last - first
    onto, part = total[at : at + count], np.empty(count, rows.dtype)
    if not add:
        for j in range(count):
            onto[j] = 0
    steps = rows.size // width
    for top in range(0, steps, 64):
        for j in range(count):
            part[j] = 0
        for i in range(top, min(top + 64, steps)):
            row = rows[i * width + first : i * width + last]
            for j in range(count):
                part[j] += row[j]
        for j in range(count):
            onto[j] += part[j]


@compiled
def _weight_gradients(
    dz: Array,
    width: int,
    columns: Array,
    first: int,
    last: int,
    x: Array,
    h: Array,
    right_x: Array,
    right_h: Array,
    ih: Array,
    hh: Array,
    bias_ih: Array,
    bias_hh: Array,
    add: bool,
) -> None:
    """ih, hh, bias_ih, bias_hh (+)= dz^T x, dz^T h and the sums of dz; an empty one is not asked for. All are flat.

    columns: input_columns as an array; first, last: state_columns; right_*: room for x and h packed.
    """
    k, start = dz.size // width, np.intp(0)
    n_x, n_h = x.size // k, h.size // k
    if ih.size:
        pack(x, start, n_x, k, n_x, right_x)
    if hh.size:
        pack(h, start, n_h, k, n_h, right_h)
    together = ih.size > 0 and hh.size > 0 and columns[0, 0] == first and columns[0, 1] == last
    if together:  # one pass over dz
        multiply_transposed(dz, first, width, last - first, k, ih, start, right_x, n_x, hh, right_h, n_h, add)
    if hh.size and not together:
        multiply_transposed(dz, first, width, last - first, k, hh, start, right_h, n_h, hh, right_h, start, add)
    for i in range(len(columns)):
        left, right, row = columns[i]
        if ih.size and not together:
            at = row * n_x
            multiply_transposed(dz, left, width, right - left, k, ih, at, right_x, n_x, ih, right_x, start, add)
        if bias_ih.size:
            add_sums(dz, left, right, width, bias_ih, row, add)
    if bias_hh.size and bias_ih.size and len(columns) == 1 and columns[0, 0] == first and columns[0, 1] == last:
        for j in range(bias_hh.size):  # the same sums
            bias_hh[j] = bias_ih[j]
    elif bias_hh.size:
        add_sums(dz, first, last, width, bias_hh, start, add)


class NativeKernel(Kernel):
    """Mixed into a NumPy kernel, before it."""

    def block_steps(self, batch: int, sizes: Sizes, backward: bool) -> int:
        return max(1, NUMBERS // (batch * self.gates * sizes.hidden))

    def shares(self, steps: int, batch: int, sizes: Sizes) -> list[tuple[int, int]]:
        work = 2.0 * steps * batch * self.gates * sizes.hidden * (sizes.input + sizes.shown)
        count = max(1, min(threads.get_num_threads(), batch, int(work / SHARE)))
        return [(batch * k // count, batch * (k + 1) // count) for k in range(count)]

    def blas_in_the_loop(self, batch: int, width: int, shown: int) -> AbstractContextManager[None]:
        return nullcontext()  # there is none

    def input_gradient(self, weights: Any, dz: Array, d_x: Array) -> Call:
        width, columns = dz.shape[1], self.input_columns(dz.shape[1])
        first, k, n = columns[0][0], columns[-1][1] - columns[0][0], d_x.shape[1]
        left = (dz.reshape(-1), first, width, len(dz))
        return partial(gemm.multiply, d_x.reshape(-1), 0, n, *left, weights.ih, k, n, False)

    def weight_gradients(self, dz: Array, x: Array, h: Array, gradients: Gradients, work: Workspace) -> Call:
        width, none = dz.shape[1], _nothing(dz.dtype)
        totals, add = [], True
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            totals.append(gradients.arrays[name].reshape(-1) if name in gradients else none)
            add = not gradients.starts(name)
        sides = [
            work.array(name, (gemm.packed_size(len(dz), right.shape[1], dz.dtype),), dz.dtype) if total.size else none
            for name, right, total in zip(("packed x", "packed h"), (x, h), totals, strict=False)
        ]
        columns, flat = _columns(self, width), dz.reshape(-1)
        first, last = self.state_columns(width)
        right = (x.reshape(-1), h.reshape(-1), *sides)
        return partial(_weight_gradients, flat, width, columns, first, last, *right, *totals, add)

    def add_product(self, total: Array, starts: bool, left: Array, right: Array, work: Workspace) -> None:
        side, c, (rows, width) = packed(work, "right packed", right), total.reshape(-1), left.shape
        multiply_transposed(left.reshape(-1), 0, width, width, rows, c, 0, side, right.shape[1], c, side, 0, not starts)


@cache
def _columns(kernel: Kernel, width: int) -> Array:
    return np.array(kernel.input_columns(width), np.intp)


@cache
def _nothing(dtype: Any) -> Array:
    return np.zeros(0, dtype)
