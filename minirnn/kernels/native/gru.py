"""The GRU's time loops, compiled. The maths and the slow twins: minirnn/kernels/gru.py, whose names these are."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels import gru
from minirnn.kernels.kernel import Call, Cotangents, Tape
from minirnn.kernels.native.curves import tanh
from minirnn.kernels.native.gemm import multiply
from minirnn.kernels.native.jit import compiled
from minirnn.kernels.native.products import (
    NativeKernel,
    copy_row,
    fill_row,
    flags_of,
    packed,
    packed_transposed,
    project_ahead,
)
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = ["NativeGRU"]


class _Forward(NamedTuple):
    ih: Array
    hh: Array
    bias: Array
    bias_s: Array
    memory: Workspace


class _Backward(NamedTuple):
    ih: Array | None
    hh: Array
    memory: Workspace


class NativeGRU(NativeKernel, gru.GRUKernel):
    def forward_weights(self, parameters: Mapping[str, Array]) -> Any:
        w_ih, w_hh = parameters["weight_ih"], parameters["weight_hh"]
        memory, by = Workspace("packed"), gru.stretch(len(w_ih) // 3, w_ih.dtype)
        bias, bias_s = gru.biases(parameters, by)
        if bias is None or bias_s is None:
            bias, bias_s = np.zeros_like(by), np.zeros(len(w_ih) // 3, by.dtype)
        ih, hh = packed_transposed(memory, "ih", w_ih, by), packed_transposed(memory, "hh", w_hh, by)
        return _Forward(ih, hh, bias, bias_s, memory)

    def forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> list[Call]:
        z, h, s = tape["z"], tape["h"], tape["s"]
        n, b, hidden = s.shape
        pre = work.array("pre", z.shape[1:], z.dtype)
        flat = [array.reshape(-1) for array in (x, z, h, s, pre)]
        matrices = (weights.ih, weights.hh, weights.bias, np.ascontiguousarray(weights.bias_s))
        return [partial(_forward, *flat, *matrices, flags_of(outside), n, b, x.shape[1], hidden)]

    def backward_weights(self, parameters: Mapping[str, Array], wanted: set[str]) -> _Backward:
        memory = Workspace("packed")
        w_ih = self.in_dz_order(parameters["weight_ih"]) if "xs" in wanted else None
        ih = None if w_ih is None else packed(memory, "ih", w_ih)
        return _Backward(ih, packed(memory, "hh", parameters["weight_hh"]), memory)

    def unwinding(
        self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace
    ) -> list[Call]:
        d_outputs, d_state, dz, _ = moving
        n, b, hidden = tape["s"].shape
        flat = [array.reshape(-1) for array in (tape["z"], tape["h"], tape["s"], d_outputs, d_state["h"], dz)]
        return [partial(_unwind, *flat, weights.hh, flags_of(outside), n, b, hidden)]


@compiled
def _forward(
    x: Array,
    z: Array,
    h: Array,
    s: Array,
    pre: Array,
    ih: Array,
    hh: Array,
    bias: Array,
    bias_s: Array,
    outside: Array,
    n: int,
    b: int,
    inputs: int,
    hidden: int,
) -> None:
    width, half, start = 3 * hidden, z.dtype.type(0.5), np.intp(0)
    gates, products = z.reshape((n * b, 3, hidden)), pre.reshape((b, 3, hidden))
    biases, h_rows, s_rows = bias.reshape((3, hidden)), h.reshape((-1, hidden)), s.reshape((-1, hidden))
    for t in range(n):
        project_ahead(z, start, x, t, n, b, ih, inputs, width)
        multiply(pre, start, width, h, t * b * hidden, hidden, b, hh, hidden, width, np.bool_(False))
        for row in range(b):
            r = t * b + row
            if outside.size and outside[r]:
                copy_row(h_rows, r + b, h_rows, r)
                continue
            for k in range(2):
                for j in range(hidden):
                    gates[r, k, j] = tanh(gates[r, k, j] + products[row, k, j] + biases[k, j]) * half + half
            for j in range(hidden):
                s_rows[r, j] = products[row, 2, j] + bias_s[j]
            for j in range(hidden):
                gates[r, 2, j] = tanh(gates[r, 2, j] + biases[2, j] + gates[r, 0, j] * s_rows[r, j])
            for j in range(hidden):
                h_rows[r + b, j] = gates[r, 2, j] + gates[r, 1, j] * (h_rows[r, j] - gates[r, 2, j])


@compiled
def _unwind(
    z: Array,
    h: Array,
    s: Array,
    d_outputs: Array,
    dh: Array,
    dz: Array,
    hh: Array,
    outside: Array,
    n: int,
    b: int,
    hidden: int,
) -> None:
    width, wide, one, zero, start = 3 * hidden, 4 * hidden, z.dtype.type(1), z.dtype.type(0), np.intp(0)
    d_rows = dz.reshape((n * b, wide))
    gates, d_gates, came = z.reshape((n * b, 3, hidden)), dz.reshape((n * b, 4, hidden)), d_outputs.reshape((n, -1))
    h_rows, s_rows, dh_rows = h.reshape((-1, hidden)), s.reshape((-1, hidden)), dh.reshape((b, hidden))
    for t in range(n - 1, -1, -1):
        for j in range(b * hidden):
            dh[j] += came[t, j]
        for row in range(b):
            r = t * b + row
            if outside.size and outside[r]:
                fill_row(d_rows, r, zero)
                continue
            for j in range(hidden):
                slope = one - gates[r, 2, j] * gates[r, 2, j]
                d_gates[r, 0, j] = dh_rows[row, j] * (one - gates[r, 1, j]) * slope
            for j in range(hidden):
                d_gates[r, 3, j] = d_gates[r, 0, j] * gates[r, 0, j]
            for j in range(hidden):
                d_gates[r, 1, j] = d_gates[r, 3, j] * s_rows[r, j] * (one - gates[r, 0, j])
            for j in range(hidden):
                slope = gates[r, 1, j] * (one - gates[r, 1, j])
                d_gates[r, 2, j] = dh_rows[row, j] * (h_rows[r, j] - gates[r, 2, j]) * slope
            for j in range(hidden):
                dh_rows[row, j] *= gates[r, 1, j]
        multiply(dh, start, hidden, dz, t * b * wide + hidden, wide, b, hh, width, hidden, np.bool_(True))
