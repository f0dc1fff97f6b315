"""The GRU's time loops, compiled. The maths and the slow twins: minirnn/kernels/gru.py, whose names these are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels import gru
from minirnn.kernels.kernel import Gradients, Tape
from minirnn.kernels.native.curves import tanh
from minirnn.kernels.native.gemm import multiply
from minirnn.kernels.native.jit import compiled
from minirnn.kernels.native.products import NativeKernel, flags_of, packed, packed_transposed
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

    def forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        z, h, s = tape["z"], tape["h"], tape["s"]
        n, b, hidden = s.shape
        pre = work.array("pre", z.shape[1:], z.dtype)
        flat = [array.reshape(-1) for array in (x, z, h, s, pre)]
        matrices = (weights.ih, weights.hh, weights.bias, np.ascontiguousarray(weights.bias_s))
        _forward(*flat, *matrices, flags_of(outside), n, b, x.shape[1], hidden)

    def backward_weights(self, parameters: Mapping[str, Array], wanted: set[str]) -> _Backward:
        memory = Workspace("packed")
        w_ih = self.in_dz_order(parameters["weight_ih"]) if "xs" in wanted else None
        ih = None if w_ih is None else packed(memory, "ih", w_ih)
        return _Backward(ih, packed(memory, "hh", parameters["weight_hh"]), memory)

    def unwind(
        self,
        weights: Any,
        tape: Tape,
        d_outputs: Array,
        d_state: dict[str, Array],
        dz: Array,
        gradients: Gradients,
        outside: Array | None,
        work: Workspace,
    ) -> None:
        n, b, hidden = tape["s"].shape
        flat = [array.reshape(-1) for array in (tape["z"], tape["h"], tape["s"], d_outputs, d_state["h"], dz)]
        _unwind(*flat, weights.hh, flags_of(outside), n, b, hidden)


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
    width, half = 3 * hidden, z.dtype.type(0.5)
    multiply(z, 0, width, x, 0, inputs, n * b, ih, inputs, width, np.bool_(False))
    for t in range(n):
        multiply(pre, 0, width, h, t * b * hidden, hidden, b, hh, hidden, width, np.bool_(False))
        for row in range(b):
            at_r = (t * b + row) * width
            at_z, at_n = at_r + hidden, at_r + 2 * hidden
            of, now, new = row * width, (t * b + row) * hidden, ((t + 1) * b + row) * hidden
            if outside.size and outside[t * b + row]:
                for j in range(hidden):
                    h[new + j] = h[now + j]
                continue
            for j in range(2 * hidden):
                z[at_r + j] = tanh(z[at_r + j] + pre[of + j] + bias[j]) * half + half
            for j in range(hidden):
                s[now + j] = pre[of + 2 * hidden + j] + bias_s[j]
            for j in range(hidden):
                z[at_n + j] = tanh(z[at_n + j] + bias[2 * hidden + j] + z[at_r + j] * s[now + j])
            for j in range(hidden):
                h[new + j] = z[at_n + j] + z[at_z + j] * (h[now + j] - z[at_n + j])


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
    width, wide, one = 3 * hidden, 4 * hidden, z.dtype.type(1)
    for t in range(n - 1, -1, -1):
        start = t * b * hidden
        for j in range(b * hidden):
            dh[j] += d_outputs[start + j]
        for row in range(b):
            r = t * b + row
            at_r, now, to = r * width, r * hidden, row * hidden
            at_z, at_n = at_r + hidden, at_r + 2 * hidden
            d_n, d_r, d_z, d_s = r * wide, r * wide + hidden, r * wide + 2 * hidden, r * wide + 3 * hidden
            if outside.size and outside[r]:
                for j in range(wide):
                    dz[d_n + j] = 0
                continue
            for j in range(hidden):
                dz[d_n + j] = dh[to + j] * (one - z[at_z + j]) * (one - z[at_n + j] * z[at_n + j])
            for j in range(hidden):
                dz[d_s + j] = dz[d_n + j] * z[at_r + j]
            for j in range(hidden):
                dz[d_r + j] = dz[d_s + j] * s[now + j] * (one - z[at_r + j])
            for j in range(hidden):
                dz[d_z + j] = dh[to + j] * (h[now + j] - z[at_n + j]) * (z[at_z + j] * (one - z[at_z + j]))
            for j in range(hidden):
                dh[to + j] *= z[at_z + j]
        multiply(dh, 0, hidden, dz, t * b * wide + hidden, wide, b, hh, width, hidden, np.bool_(True))
