"""The simple network's time loops, compiled. The maths and the slow twins: minirnn/kernels/rnn.py."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels import rnn
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

__all__ = ["NativeSimple"]


class _Forward(NamedTuple):
    ih: Array
    hh: Array
    bias: Array
    memory: Workspace


class _Backward(NamedTuple):
    ih: Array | None
    hh: Array
    memory: Workspace


class NativeSimple(NativeKernel, rnn.Simple):
    def forward_weights(self, parameters: Mapping[str, Array]) -> Any:
        w_ih, w_hh = parameters["weight_ih"], parameters["weight_hh"]
        memory, by = Workspace("packed"), np.ones(len(w_ih), w_ih.dtype)
        bias = parameters["bias_ih"] + parameters["bias_hh"] if "bias_ih" in parameters else np.zeros_like(by)
        return _Forward(
            packed_transposed(memory, "ih", w_ih, by), packed_transposed(memory, "hh", w_hh, by), bias, memory
        )

    def forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> list[Call]:
        h = tape["h"]
        n, b, hidden = len(h) - 1, h.shape[1], h.shape[2]
        arrays = (x.reshape(-1), h.reshape(-1), weights.ih, weights.hh, weights.bias, flags_of(outside))
        return [partial(_forward, *arrays, n, b, x.shape[1], hidden, self.name == "rnn_relu")]

    def backward_weights(self, parameters: Mapping[str, Array], wanted: set[str]) -> Any:
        memory = Workspace("packed")
        ih = packed(memory, "ih", parameters["weight_ih"]) if "xs" in wanted else None
        return _Backward(ih, packed(memory, "hh", parameters["weight_hh"]), memory)

    def unwinding(
        self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace
    ) -> list[Call]:
        d_outputs, d_state, dz, _ = moving
        n, b, hidden = dz.shape
        passed = work.array("passed", (b, hidden), dz.dtype)
        flat = [array.reshape(-1) for array in (tape["h"], d_outputs, d_state["h"], dz, passed)]
        return [partial(_unwind, *flat, weights.hh, flags_of(outside), n, b, hidden, self.name == "rnn_relu")]


@compiled
def _forward(
    x: Array,
    h: Array,
    ih: Array,
    hh: Array,
    bias: Array,
    outside: Array,
    n: int,
    b: int,
    inputs: int,
    hidden: int,
    relu: bool,
) -> None:
    zero, after = h.dtype.type(0), b * hidden
    rows = h.reshape((-1, hidden))
    for t in range(n):
        at = t * after
        project_ahead(h, after, x, t, n, b, ih, inputs, hidden)
        multiply(h, at + after, hidden, h, at, hidden, b, hh, hidden, hidden, np.bool_(True))
        for r in range((t + 1) * b, (t + 2) * b):
            if outside.size and outside[r - b]:
                copy_row(rows, r, rows, r - b)
            elif relu:
                for j in range(hidden):
                    pre = rows[r, j] + bias[j]
                    rows[r, j] = zero if pre <= zero else pre  # nan stays
            else:
                for j in range(hidden):
                    rows[r, j] = tanh(rows[r, j] + bias[j])


@compiled
def _unwind(
    h: Array,
    d_outputs: Array,
    dh: Array,
    dz: Array,
    passed: Array,
    hh: Array,
    outside: Array,
    n: int,
    b: int,
    hidden: int,
    relu: bool,
) -> None:
    one, zero, after, start = h.dtype.type(1), h.dtype.type(0), b * hidden, np.intp(0)
    d_steps, came, steps = dz.reshape((n, after)), d_outputs.reshape((n, after)), h.reshape((n + 1, after))
    d_rows, kept, dh_rows = dz.reshape((-1, hidden)), passed.reshape((b, hidden)), dh.reshape((b, hidden))
    for t in range(n - 1, -1, -1):
        for j in range(after):
            dh[j] += came[t, j]
        if relu:
            for j in range(after):
                d_steps[t, j] = dh[j] * (one if steps[t + 1, j] > zero else zero)
        else:
            for j in range(after):
                d_steps[t, j] = dh[j] * (one - steps[t + 1, j] * steps[t + 1, j])
        if outside.size:
            for row in range(b):
                copy_row(kept, row, dh_rows, row)
                if outside[t * b + row]:
                    fill_row(d_rows, t * b + row, zero)
        multiply(dh, start, hidden, dz, t * after, hidden, b, hh, hidden, hidden, np.bool_(False))
        if outside.size:
            for row in range(b):
                if outside[t * b + row]:
                    copy_row(dh_rows, row, kept, row)
