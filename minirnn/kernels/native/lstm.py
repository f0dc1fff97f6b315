"""The LSTM's time loops, compiled. The maths and the slow twins: minirnn/kernels/lstm.py, whose names these are."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels import lstm
from minirnn.kernels.kernel import Call, Cotangents, Tape, rows_of
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

__all__ = ["NativeLSTM"]


class _Forward(NamedTuple):
    ih: Array
    hh: Array
    hr: Array
    bias: Array
    stretch: Array
    memory: Workspace


class _Backward(NamedTuple):
    ih: Array | None
    hh: Array
    hr: Array
    memory: Workspace


class NativeLSTM(NativeKernel, lstm.LSTMKernel):
    def forward_weights(self, parameters: Mapping[str, Array]) -> Any:
        w_ih, w_hh, w_hr = parameters["weight_ih"], parameters["weight_hh"], parameters.get("weight_hr")
        memory = Workspace("packed")
        by = lstm.stretch(len(w_ih) // 4, w_ih.dtype)
        bias = np.zeros_like(by) if "bias_ih" not in parameters else parameters["bias_ih"] + parameters["bias_hh"]
        ih, hh = packed_transposed(memory, "ih", w_ih, by), packed_transposed(memory, "hh", w_hh, by)
        hr = by[:0] if w_hr is None else packed_transposed(memory, "hr", w_hr, np.ones(len(w_hr), by.dtype))
        return _Forward(ih, hh, hr, bias * by, by, memory)

    def forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> list[Call]:
        z, h, c, tanh_c = (tape[name] for name in ("z", "h", "c", "tanh_c"))
        m = tape.get("m", weights.hr[:0])
        sizes = (len(z), z.shape[1], x.shape[1], c.shape[2], h.shape[2])
        flat = [array.reshape(-1) for array in (x, z, h, c, tanh_c, m)]
        matrices = (weights.ih, weights.hh, weights.hr, weights.bias, weights.stretch)
        return [partial(_forward, *flat, *matrices, flags_of(outside), *sizes)]

    def backward_weights(self, parameters: Mapping[str, Array], wanted: set[str]) -> _Backward:
        memory = Workspace("packed")
        hh, hr = packed(memory, "hh", parameters["weight_hh"]), parameters.get("weight_hr")
        ih = packed(memory, "ih", parameters["weight_ih"]) if "xs" in wanted else None
        return _Backward(ih, hh, hh[:0] if hr is None else packed(memory, "hr", hr), memory)

    def unwinding(
        self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace
    ) -> list[Call]:
        d_outputs, d_state, dz, gradients = moving
        n, b, hidden = tape["tanh_c"].shape
        shown, projected = d_outputs.shape[2], "m" in tape
        dm = work.array("dm", (b, hidden), dz.dtype) if projected else d_state["h"]
        dh_all = work.array("dh_all", d_outputs.shape, dz.dtype) if projected else dz[:0]
        passed = work.array("passed", (b, shown), dz.dtype)
        arrays = (tape["z"], tape["c"], tape["tanh_c"], d_outputs, d_state["h"], d_state["c"], dz, dm, dh_all, passed)
        flat = [array.reshape(-1) for array in arrays]
        calls: list[Call] = [partial(_unwind, *flat, weights.hh, weights.hr, flags_of(outside), n, b, hidden, shown)]
        if projected and "weight_hr" in gradients:
            total, starts = gradients.arrays["weight_hr"], gradients.starts("weight_hr")
            calls.append(partial(self.add_product, total, starts, rows_of(dh_all), rows_of(tape["m"]), work))
        return calls


@compiled
def _forward(
    x: Array,
    z: Array,
    h: Array,
    c: Array,
    tanh_c: Array,
    m: Array,
    ih: Array,
    hh: Array,
    hr: Array,
    bias: Array,
    stretch: Array,
    outside: Array,
    n: int,
    b: int,
    inputs: int,
    hidden: int,
    shown: int,
) -> None:
    width, one, zero, start = 4 * hidden, z.dtype.type(1), z.dtype.type(0), np.intp(0)
    rows, gates, m_rows = z.reshape((n * b, width)), z.reshape((n * b, 4, hidden)), m.reshape((-1, hidden))
    h_rows, cells, tanhs = h.reshape((-1, shown)), c.reshape((-1, hidden)), tanh_c.reshape((-1, hidden))
    for t in range(n):
        project_ahead(z, start, x, t, n, b, ih, inputs, width)
        multiply(z, t * b * width, width, h, t * b * shown, shown, b, hh, shown, width, np.bool_(True))
        for r in range(t * b, (t + 1) * b):
            if outside.size and outside[r]:
                copy_row(cells, r + b, cells, r)
                copy_row(h_rows, r + b, h_rows, r)
                if hr.size:  # the gradient of W_hr multiplies it by 0, which is not 0 if this memory holds nan
                    fill_row(m_rows, r, zero)
                continue
            for j in range(width):
                rows[r, j] = tanh(rows[r, j] + bias[j]) * stretch[j] + (one - stretch[j])
            for j in range(hidden):
                cells[r + b, j] = gates[r, 1, j] * cells[r, j] + gates[r, 0, j] * gates[r, 2, j]
            for j in range(hidden):
                tanhs[r, j] = tanh(cells[r + b, j])
            if hr.size:
                for j in range(hidden):
                    m_rows[r, j] = gates[r, 3, j] * tanhs[r, j]
            else:
                for j in range(hidden):
                    h_rows[r + b, j] = gates[r, 3, j] * tanhs[r, j]
        if hr.size:
            _project(h, m, hr, outside, t, b, hidden, shown)


@compiled
def _project(h: Array, m: Array, hr: Array, outside: Array, t: int, b: int, hidden: int, shown: int) -> None:
    """h[t + 1] = W_hr m[t] where the sequence goes on."""
    one = np.intp(1)
    for r in range(t * b, (t + 1) * b):
        if not (outside.size and outside[r]):
            at = (r + b) * shown
            multiply(h, at, shown, m, r * hidden, hidden, one, hr, hidden, shown, np.bool_(False))


@compiled
def _unwind(
    z: Array,
    c: Array,
    tanh_c: Array,
    d_outputs: Array,
    dh: Array,
    dc: Array,
    dz: Array,
    dm: Array,
    dh_all: Array,
    passed: Array,
    hh: Array,
    hr: Array,
    outside: Array,
    n: int,
    b: int,
    hidden: int,
    shown: int,
) -> None:
    width, one, zero, start = 4 * hidden, z.dtype.type(1), z.dtype.type(0), np.intp(0)
    gates, d_gates, d_rows = z.reshape((n * b, 4, hidden)), dz.reshape((n * b, 4, hidden)), dz.reshape((n * b, width))
    cells, tanhs = c.reshape((-1, hidden)), tanh_c.reshape((-1, hidden))
    dc_rows, dm_rows, dh_rows = dc.reshape((b, hidden)), dm.reshape((b, hidden)), dh.reshape((b, shown))
    came, kept, every = d_outputs.reshape((n, b * shown)), passed.reshape((b, shown)), dh_all.reshape((-1, shown))
    for t in range(n - 1, -1, -1):
        for j in range(b * shown):
            dh[j] += came[t, j]
        if hr.size:
            for row in range(b):
                copy_row(every, t * b + row, dh_rows, row)
            multiply(dm, start, hidden, dh, start, shown, b, hr, shown, hidden, np.bool_(False))
        if outside.size:
            for row in range(b):
                copy_row(kept, row, dh_rows, row)
        for row in range(b):
            r = t * b + row
            if outside.size and outside[r]:
                fill_row(d_rows, r, zero)
                if hr.size:
                    fill_row(every, r, zero)
                continue
            for j in range(hidden):
                d_gates[r, 3, j] = dm_rows[row, j] * tanhs[r, j] * (gates[r, 3, j] * (one - gates[r, 3, j]))
            for j in range(hidden):
                dc_rows[row, j] += dm_rows[row, j] * gates[r, 3, j] * (one - tanhs[r, j] * tanhs[r, j])
            for j in range(hidden):
                d_gates[r, 0, j] = dc_rows[row, j] * gates[r, 2, j] * (gates[r, 0, j] * (one - gates[r, 0, j]))
            for j in range(hidden):
                d_gates[r, 1, j] = dc_rows[row, j] * cells[r, j] * (gates[r, 1, j] * (one - gates[r, 1, j]))
            for j in range(hidden):
                d_gates[r, 2, j] = dc_rows[row, j] * gates[r, 0, j] * (one - gates[r, 2, j] * gates[r, 2, j])
            for j in range(hidden):
                dc_rows[row, j] *= gates[r, 1, j]
        multiply(dh, start, shown, dz, t * b * width, width, b, hh, width, shown, np.bool_(False))
        if outside.size:
            for row in range(b):
                if outside[t * b + row]:
                    copy_row(dh_rows, row, kept, row)
