"""What the compiled kernels share: packed weights, the products around the time loops, blocks and shares."""

from typing import Any

import numpy as np

from minirnn import threads
from minirnn.kernels.kernel import Gradients, Kernel, Sizes
from minirnn.kernels.native import gemm
from minirnn.kernels.native.jit import compiled
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = ["NativeKernel", "flags_of", "packed", "packed_transposed"]

FORWARD_NUMBERS, BACKWARD_NUMBERS = 1 << 19, 1 << 20  # pre-activations in a block: what stays in the cache
SHARE = 3e6  # multiplications and additions that are worth a thread of their own


def packed(work: Workspace, name: str, matrix: Array) -> Array:
    """A matrix (k, n) as the right side of products."""
    k, n = matrix.shape
    out = work.array(name, (gemm.packed_size(k, n, matrix.dtype),), matrix.dtype)
    gemm.pack(np.ascontiguousarray(matrix).reshape(-1), 0, n, k, n, out)
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
def _add_sums(rows: Array, first: int, last: int, width: int, total: Array, at: int, starts: bool) -> None:
    """total[at:] (+)= the sum of columns first..last of rows (flat, `width` wide), by partial sums of 64 rows."""
    count = last - first
    if starts:
        for j in range(count):
            total[at + j] = 0
    part = np.empty(count, rows.dtype)
    steps = rows.size // width
    for top in range(0, steps, 64):
        for j in range(count):
            part[j] = rows[top * width + first + j]
        for i in range(top + 1, min(top + 64, steps)):
            for j in range(count):
                part[j] += rows[i * width + first + j]
        for j in range(count):
            total[at + j] += part[j]


class NativeKernel(Kernel):
    """Mixed into a NumPy kernel, before it."""

    def block_steps(self, batch: int, sizes: Sizes, backward: bool) -> int:
        at_once = BACKWARD_NUMBERS if backward else FORWARD_NUMBERS
        return max(1, at_once // (batch * self.gates * sizes.hidden))

    def shares(self, steps: int, batch: int, sizes: Sizes) -> list[tuple[int, int]]:
        work = 2.0 * steps * batch * self.gates * sizes.hidden * (sizes.input + sizes.shown)
        count = max(1, min(threads.get_num_threads(), batch, int(work / SHARE)))
        return [(batch * k // count, batch * (k + 1) // count) for k in range(count)]

    def input_gradient(self, weights: Any, dz: Array, d_x: Array) -> None:
        width, columns = dz.shape[1], self.input_columns(dz.shape[1])
        first, k, n = columns[0][0], columns[-1][1] - columns[0][0], d_x.shape[1]
        gemm.multiply(d_x.reshape(-1), 0, n, dz.reshape(-1), first, width, len(dz), weights.ih, k, n, False)

    def weight_gradients(self, dz: Array, x: Array, h: Array, gradients: Gradients, work: Workspace) -> None:
        rows, width = dz.shape
        first, last = self.state_columns(width)
        inputs, flat = self.input_columns(width), dz.reshape(-1)
        both = "weight_ih" in gradients and "weight_hh" in gradients and inputs == [(first, last, 0)]
        if both:  # one pass over dz
            starts = gradients.starts("weight_ih")
            gradients.starts("weight_hh")
            c, other = (gradients.arrays[name].reshape(-1) for name in ("weight_ih", "weight_hh"))
            right, beside = packed(work, "x packed", x), packed(work, "h packed", h)
            _product(flat, 0, width, width, rows, c, 0, right, x.shape[1], other, beside, h.shape[1], not starts)
        if "weight_ih" in gradients and not both:
            add, c = not gradients.starts("weight_ih"), gradients.arrays["weight_ih"].reshape(-1)
            right, n = packed(work, "x packed", x), x.shape[1]
            for start, stop, row in inputs:
                _product(flat, start, width, stop - start, rows, c, row * n, right, n, c, right, 0, add)
        if "weight_hh" in gradients and not both:
            add, c = not gradients.starts("weight_hh"), gradients.arrays["weight_hh"].reshape(-1)
            right = packed(work, "h packed", h)
            _product(flat, first, width, last - first, rows, c, 0, right, h.shape[1], c, right, 0, add)
        if "bias_ih" in gradients:
            starts = gradients.starts("bias_ih")
            for start, stop, row in inputs:
                _add_sums(flat, start, stop, width, gradients.arrays["bias_ih"], row, starts)
        if "bias_hh" in gradients:
            _add_sums(flat, first, last, width, gradients.arrays["bias_hh"], 0, gradients.starts("bias_hh"))

    def add_product(self, total: Array, starts: bool, left: Array, right: Array, work: Workspace) -> None:
        side, c, (rows, width) = packed(work, "right packed", right), total.reshape(-1), left.shape
        _product(left.reshape(-1), 0, width, width, rows, c, 0, side, right.shape[1], c, side, 0, not starts)


_product = gemm.multiply_transposed
