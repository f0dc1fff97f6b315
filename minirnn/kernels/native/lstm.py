"""The LSTM's time loops, compiled. The maths and the slow twins: minirnn/kernels/lstm.py, whose names these are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels import lstm
from minirnn.kernels.kernel import Gradients, Tape, rows_of
from minirnn.kernels.native.curves import tanh
from minirnn.kernels.native.gemm import multiply
from minirnn.kernels.native.jit import compiled
from minirnn.kernels.native.products import NativeKernel, flags_of, packed, packed_transposed
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

    def forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        z, h, c, tanh_c = (tape[name] for name in ("z", "h", "c", "tanh_c"))
        m = tape.get("m", weights.hr[:0])
        sizes = (len(z), z.shape[1], x.shape[1], c.shape[2], h.shape[2])
        flat = [array.reshape(-1) for array in (x, z, h, c, tanh_c, m)]
        _forward(*flat, weights.ih, weights.hh, weights.hr, weights.bias, weights.stretch, flags_of(outside), *sizes)

    def backward_weights(self, parameters: Mapping[str, Array], wanted: set[str]) -> _Backward:
        memory = Workspace("packed")
        hh, hr = packed(memory, "hh", parameters["weight_hh"]), parameters.get("weight_hr")
        ih = packed(memory, "ih", parameters["weight_ih"]) if "xs" in wanted else None
        return _Backward(ih, hh, hh[:0] if hr is None else packed(memory, "hr", hr), memory)

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
        n, b, hidden = tape["tanh_c"].shape
        shown, projected = d_outputs.shape[2], "m" in tape
        dm = work.array("dm", (b, hidden), dz.dtype) if projected else d_state["h"]
        dh_all = work.array("dh_all", d_outputs.shape, dz.dtype) if projected else dz[:0]
        passed = work.array("passed", (b, shown), dz.dtype)
        arrays = (tape["z"], tape["c"], tape["tanh_c"], d_outputs, d_state["h"], d_state["c"], dz, dm, dh_all, passed)
        flat = [array.reshape(-1) for array in arrays]
        _unwind(*flat, weights.hh, weights.hr, flags_of(outside), n, b, hidden, shown)
        if projected and "weight_hr" in gradients:
            total, starts = gradients.arrays["weight_hr"], gradients.starts("weight_hr")
            self.add_product(total, starts, rows_of(dh_all), rows_of(tape["m"]), work)


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
    width, one = 4 * hidden, z.dtype.type(1)
    multiply(z, 0, width, x, 0, inputs, n * b, ih, inputs, width, np.bool_(False))
    for t in range(n):
        multiply(z, t * b * width, width, h, t * b * shown, shown, b, hh, shown, width, np.bool_(True))
        for r in range(t * b, (t + 1) * b):
            at, now, new, new_h = r * width, r * hidden, (r + b) * hidden, (r + b) * shown
            if outside.size and outside[r]:
                for j in range(hidden):
                    c[new + j] = c[now + j]
                for j in range(shown):
                    h[new_h + j] = h[new_h - b * shown + j]
                if hr.size:  # the gradient of W_hr multiplies it by 0, which is not 0 if this memory holds nan
                    for j in range(hidden):
                        m[now + j] = 0
                continue
            for j in range(width):
                z[at + j] = tanh(z[at + j] + bias[j]) * stretch[j] + (one - stretch[j])
            i, f, g, o = at, at + hidden, at + 2 * hidden, at + 3 * hidden
            for j in range(hidden):
                c[new + j] = z[f + j] * c[now + j] + z[i + j] * z[g + j]
            for j in range(hidden):
                tanh_c[now + j] = tanh(c[new + j])
            if hr.size:
                for j in range(hidden):
                    m[now + j] = z[o + j] * tanh_c[now + j]
            else:
                for j in range(hidden):
                    h[new_h + j] = z[o + j] * tanh_c[now + j]
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
    width, one = 4 * hidden, z.dtype.type(1)
    for t in range(n - 1, -1, -1):
        start = t * b * shown
        for j in range(b * shown):
            dh[j] += d_outputs[start + j]
        if hr.size:
            for j in range(b * shown):
                dh_all[start + j] = dh[j]
            multiply(dm, np.intp(0), hidden, dh, np.intp(0), shown, b, hr, shown, hidden, np.bool_(False))
        if outside.size:
            for j in range(b * shown):
                passed[j] = dh[j]
        for row in range(b):
            r = t * b + row
            at, now, to = r * width, r * hidden, row * hidden
            if outside.size and outside[r]:
                for j in range(width):
                    dz[at + j] = 0
                if hr.size:
                    for j in range(shown):
                        dh_all[r * shown + j] = 0
                continue
            i, f, g, o = at, at + hidden, at + 2 * hidden, at + 3 * hidden
            for j in range(hidden):
                dz[o + j] = dm[to + j] * tanh_c[now + j] * (z[o + j] * (one - z[o + j]))
            for j in range(hidden):
                dc[to + j] += dm[to + j] * z[o + j] * (one - tanh_c[now + j] * tanh_c[now + j])
            for j in range(hidden):
                dz[i + j] = dc[to + j] * z[g + j] * (z[i + j] * (one - z[i + j]))
            for j in range(hidden):
                dz[f + j] = dc[to + j] * c[now + j] * (z[f + j] * (one - z[f + j]))
            for j in range(hidden):
                dz[g + j] = dc[to + j] * z[i + j] * (one - z[g + j] * z[g + j])
            for j in range(hidden):
                dc[to + j] *= z[f + j]
        multiply(dh, np.intp(0), shown, dz, t * b * width, width, b, hh, width, shown, np.bool_(False))
        if outside.size:
            for row in range(b):
                if outside[t * b + row]:
                    for j in range(shown):
                        dh[row * shown + j] = passed[row * shown + j]
