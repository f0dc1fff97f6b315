"""Long short-term memory, forward and by back-propagation through time.

    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the four parts of W_ih x + b_ih + W_hh h + b_hh
    c' = f c + i g                      m = o tanh(c')                  h' = m, or W_hr m

Backward, with dh' and dc' the cotangents of h' and c' (from the output and from the step behind):

    dm   = dh', or W_hr^T dh'           dc  = dc' + dm o (1 - tanh(c')^2)
    dz_i = dc g i (1 - i)               dz_f = dc c f (1 - f)
    dz_g = dc i (1 - g^2)               dz_o = dm tanh(c') o (1 - o)
    dh   = W_hh^T dz                    dc of the step before = dc f

Every factor beside dc and dm is known before the loop, which leaves two products of rows and one of matrices in it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels.kernel import Cotangents, Kernel, Sizes, Tape, register, rows_of
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = ["LSTMKernel", "gates_of", "stretch"]

FACTORS_AT_ONCE = 1 << 15  # numbers: what keeps the factors of a few steps in the cache until the loop uses them


class ForwardWeights(NamedTuple):
    """The rows of the sigmoid gates are halved: sigmoid(z) = (1 + tanh(z / 2)) / 2 makes one tanh of all four gates,
    and halving is exact."""

    ih: Array
    hh: Array
    bias: Array | None
    hr: Array | None
    stretch: Array


def stretch(hidden: int, dtype: Any) -> Array:
    """1/2 for the gates i, f and o, 1 for g: (4H,)."""
    rows = np.full(4 * hidden, 0.5, dtype)
    rows[2 * hidden : 3 * hidden] = 1.0
    return rows


def gates_of(z: Array) -> list[Array]:
    """The parts i, f, g, o of the last axis."""
    hidden = z.shape[-1] // 4
    return [z[..., k * hidden : (k + 1) * hidden] for k in range(4)]


class LSTMKernel(Kernel):
    name = "lstm"
    gates = 4
    parameters = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    states = ("h", "c")
    state_paths = ("h", "c")

    def shapes(self, sizes: Sizes) -> dict[str, tuple[int, ...]]:
        return {**super().shapes(sizes), "weight_hr": (sizes.shown, sizes.hidden)}

    def tape_widths(self, sizes: Sizes) -> dict[str, int]:
        widths = {"z": 4 * sizes.hidden, "h": sizes.shown, "c": sizes.hidden, "tanh_c": sizes.hidden}
        return widths | ({"m": sizes.hidden} if sizes.shown != sizes.hidden else {})

    def state_widths(self, sizes: Sizes) -> dict[str, int]:
        return {"h": sizes.shown, "c": sizes.hidden}

    def forward_weights(self, parameters: Mapping[str, Array]) -> Any:
        w_ih, w_hh = parameters["weight_ih"], parameters["weight_hh"]
        by = stretch(len(w_ih) // 4, w_ih.dtype)
        bias = (parameters["bias_ih"] + parameters["bias_hh"]) * by if "bias_ih" in parameters else None
        return ForwardWeights(w_ih * by[:, None], w_hh * by[:, None], bias, parameters.get("weight_hr"), by)

    def recur(self, weights: Any, z: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        h, c, tanh_c, m = tape["h"], tape["c"], tape["tanh_c"], tape.get("m")
        n, b, hidden = tanh_c.shape
        product, written = work.array("pre", z.shape[1:], z.dtype), work.array("written", (b, hidden), z.dtype)
        shift = 1.0 - weights.stretch
        i, f, g, o = gates_of(z)
        for t in range(n):
            pre = z[t]
            np.matmul(h[t], weights.hh.T, out=product)
            pre += product
            np.tanh(pre, out=pre)
            pre *= weights.stretch
            pre += shift
            np.multiply(f[t], c[t], out=c[t + 1])
            np.multiply(i[t], g[t], out=written)
            c[t + 1] += written
            np.tanh(c[t + 1], out=tanh_c[t])
            if m is None:
                np.multiply(o[t], tanh_c[t], out=h[t + 1])
            else:
                np.multiply(o[t], tanh_c[t], out=m[t])
                np.matmul(m[t], weights.hr.T, out=h[t + 1])
            if outside is not None:
                np.copyto(h[t + 1], h[t], where=outside[t])
                np.copyto(c[t + 1], c[t], where=outside[t])

    def unwind(self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace) -> None:
        d_outputs, d_state, dz, gradients = moving
        n, b, hidden = tape["tanh_c"].shape
        dh, dc, f = d_state["h"], d_state["c"], gates_of(tape["z"])[1]
        by_dc = dz.reshape(n, b, 4, hidden)[:, :, :3]
        dz_o = gates_of(dz)[3]
        to_c, shown = work.array("to_c", (n, b, hidden), dz.dtype), work.array("shown", (b, hidden), dz.dtype)
        passed_h, passed_c = work.array("passed_h", dh.shape, dz.dtype), work.array("passed_c", dc.shape, dz.dtype)
        projected = weights.hr
        dm = dh if projected is None else work.array("dm", (b, hidden), dz.dtype)
        dh_all = None if projected is None else work.array("dh_all", d_outputs.shape, dz.dtype)
        at_once = max(1, FACTORS_AT_ONCE // (b * hidden))
        for stop in range(n, 0, -at_once):
            start = max(0, stop - at_once)
            _factors(tape, dz, to_c, start, stop, work)
            for t in reversed(range(start, stop)):
                dh += d_outputs[t]
                if dh_all is not None:
                    np.copyto(dh_all[t], dh)
                    np.matmul(dh, projected, out=dm)
                if outside is not None:
                    np.copyto(passed_h, dh)
                    np.copyto(passed_c, dc)
                np.multiply(dm, to_c[t], out=shown)
                dc += shown
                dz_o[t] *= dm
                by_dc[t] *= dc[:, None, :]
                dc *= f[t]
                if outside is not None:
                    np.copyto(dz[t], 0.0, where=outside[t])
                np.matmul(dz[t], weights.hh, out=dh)
                if outside is not None:
                    np.copyto(dh, passed_h, where=outside[t])
                    np.copyto(dc, passed_c, where=outside[t])
                    if dh_all is not None:
                        np.copyto(dh_all[t], 0.0, where=outside[t])
        if dh_all is not None and "weight_hr" in gradients:
            total, starts = gradients.arrays["weight_hr"], gradients.starts("weight_hr")
            self.add_product(total, starts, rows_of(dh_all), rows_of(tape["m"]), work)

    def move(
        self,
        parameters: Mapping[str, Array],
        tape: Tape,
        moved: Mapping[str, Array],
        from_x: Array,
        from_h: Array,
        t_state: dict[str, Array],
        outside: Array | None,
    ) -> Array:
        t_outputs, c = np.empty_like(tape["h"][1:]), tape["c"]
        t_h, t_c, projected = t_state["h"], t_state["c"], parameters.get("weight_hr")
        for t in range(len(from_x)):
            i, f, g, o = gates_of(tape["z"][t])
            t_i, t_f, t_g, t_o = gates_of(from_x[t] + from_h[t] + t_h @ parameters["weight_hh"].T)
            tanh_c = tape["tanh_c"][t]
            new_c = f * t_c + f * (1 - f) * t_f * c[t] + i * (1 - i) * t_i * g + i * (1 - g * g) * t_g
            new_h = o * (1 - o) * t_o * tanh_c + o * (1 - tanh_c * tanh_c) * new_c
            if projected is not None:
                new_h = new_h @ projected.T
                if "weight_hr" in moved:
                    new_h += tape["m"][t] @ moved["weight_hr"].T
            if outside is not None:
                new_h, new_c = np.where(outside[t], t_h, new_h), np.where(outside[t], t_c, new_c)
            t_outputs[t] = t_h = new_h
            t_c = new_c
        t_state["h"], t_state["c"] = t_h, t_c
        return t_outputs


def _factors(tape: Tape, dz: Array, to_c: Array, start: int, stop: int, work: Workspace) -> None:
    """What dc (gates i, f, g) and dm (gate o, and c itself) are multiplied by, for steps start..stop."""
    now = slice(start, stop)
    i, f, g, o = gates_of(tape["z"][now])
    dz_i, dz_f, dz_g, dz_o = gates_of(dz[now])
    tanh_c, factor = tape["tanh_c"][now], to_c[now]
    np.subtract(1.0, i, out=dz_i)  # g i (1 - i)
    dz_i *= i
    dz_i *= g
    np.subtract(1.0, f, out=dz_f)  # c f (1 - f)
    dz_f *= f
    dz_f *= tape["c"][now]
    np.multiply(g, g, out=dz_g)  # i (1 - g^2)
    np.subtract(1.0, dz_g, out=dz_g)
    dz_g *= i
    np.subtract(1.0, o, out=dz_o)  # tanh(c') o (1 - o)
    dz_o *= o
    dz_o *= tanh_c
    np.multiply(tanh_c, tanh_c, out=factor)  # o (1 - tanh(c')^2)
    np.subtract(1.0, factor, out=factor)
    factor *= o


register(LSTMKernel())
