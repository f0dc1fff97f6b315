"""The gated recurrent unit, forward and by back-propagation through time.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)          z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    s = W_hn h + b_hn                                   n = tanh(W_in x + b_in + r s)
    h' = n + z (h - n)

Backward, with dh' the cotangent of h' (from the output and from the step behind):

    dz_n = dh' (1 - z) (1 - n^2)        ds = dz_n r
    dz_r = dz_n s r (1 - r)             dz_z = dh' (h - n) z (1 - z)
    dh   = dh' z + W_hh^T (dz_r, dz_z, ds)

Each is dh' times a factor that is known before the loop. They are kept in the order dz_n, dz_r, dz_z, ds: the first
three are the cotangents of W_ih x, the last three those of W_hh h, and both are one matrix without a copy.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels.kernel import Cotangents, Kernel, Sizes, Tape, register
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = ["GRUKernel", "biases", "stretch"]

FACTORS_AT_ONCE = 1 << 15  # numbers: what keeps the factors of a few steps in the cache until the loop uses them


class ForwardWeights(NamedTuple):
    """The rows of the gates r and z are halved: sigmoid(z) = (1 + tanh(z / 2)) / 2. `bias` holds what W_ih x is added
    to, `bias_s` is b_hn, which the reset gate multiplies."""

    ih: Array
    hh: Array
    bias: Array | None
    bias_s: Array | None


def stretch(hidden: int, dtype: Any) -> Array:
    """1/2 for the gates r and z, 1 for n: (3H,)."""
    rows = np.full(3 * hidden, 0.5, dtype)
    rows[2 * hidden :] = 1.0
    return rows


def biases(parameters: Mapping[str, Array], by: Array) -> tuple[Array | None, Array | None]:
    """What W_ih x is added to, times `by`, and b_hn; None where there are none."""
    if "bias_ih" not in parameters:
        return None, None
    gates = 2 * (len(by) // 3)
    bias = parameters["bias_ih"].copy()
    bias[:gates] += parameters["bias_hh"][:gates]
    return bias * by, parameters["bias_hh"][gates:]


class GRUKernel(Kernel):
    name = "gru"
    gates = 3

    def tape_widths(self, sizes: Sizes) -> dict[str, int]:
        return {"z": 3 * sizes.hidden, "h": sizes.hidden, "s": sizes.hidden}

    def forward_weights(self, parameters: Mapping[str, Array]) -> ForwardWeights:
        w_ih, w_hh = parameters["weight_ih"], parameters["weight_hh"]
        by = stretch(len(w_ih) // 3, w_ih.dtype)
        return ForwardWeights(w_ih * by[:, None], w_hh * by[:, None], *biases(parameters, by))

    def recur(self, weights: Any, z: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        h, s = tape["h"], tape["s"]
        steps, b, hidden = s.shape
        product = work.array("pre", z.shape[1:], z.dtype)
        kept = work.array("kept", (b, hidden), z.dtype)
        for t in range(steps):
            rz, n = z[t, :, : 2 * hidden], z[t, :, 2 * hidden :]
            np.matmul(h[t], weights.hh.T, out=product)
            rz += product[:, : 2 * hidden]
            np.tanh(rz, out=rz)
            rz *= 0.5
            rz += 0.5
            np.copyto(s[t], product[:, 2 * hidden :])
            if weights.bias_s is not None:
                s[t] += weights.bias_s
            np.multiply(rz[:, :hidden], s[t], out=kept)
            n += kept
            np.tanh(n, out=n)
            np.subtract(h[t], n, out=kept)
            kept *= rz[:, hidden:]
            np.add(n, kept, out=h[t + 1])
            if outside is not None:
                np.copyto(h[t + 1], h[t], where=outside[t])

    def dz_width(self, tape: Tape) -> int:
        return 4 * tape["s"].shape[2]

    def input_columns(self, width: int) -> list[tuple[int, int, int]]:
        hidden = width // 4
        return [(0, hidden, 2 * hidden), (hidden, 3 * hidden, 0)]

    def state_columns(self, width: int) -> tuple[int, int]:
        return width // 4, width

    def in_dz_order(self, weight_ih: Array) -> Array:
        hidden = len(weight_ih) // 3
        return np.concatenate([weight_ih[2 * hidden :], weight_ih[: 2 * hidden]])

    def unwind(self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace) -> None:
        d_outputs, d_state, dz, _ = moving
        steps, b, hidden = tape["s"].shape
        dh, keep = d_state["h"], tape["z"][:, :, hidden : 2 * hidden]
        each, from_state = dz.reshape(steps, b, 4, hidden), dz[:, :, hidden:]
        through, passed = work.array("through", dh.shape, dz.dtype), work.array("passed", dh.shape, dz.dtype)
        at_once = max(1, FACTORS_AT_ONCE // (b * hidden))
        for stop in range(steps, 0, -at_once):
            start = max(0, stop - at_once)
            _factors(tape, dz, start, stop)
            for t in reversed(range(start, stop)):
                dh += d_outputs[t]
                each[t] *= dh[:, None, :]
                if outside is not None:
                    np.copyto(passed, dh)
                    np.copyto(dz[t], 0.0, where=outside[t])
                np.matmul(from_state[t], weights.hh, out=through)
                dh *= keep[t]
                dh += through
                if outside is not None:
                    np.copyto(dh, passed, where=outside[t])

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
        t_outputs, h = np.empty_like(tape["h"][1:]), tape["h"]
        t_h = t_state["h"]
        for t in range(len(from_x)):
            r, z, n = np.split(tape["z"][t], 3, axis=-1)
            x_r, x_z, x_n = np.split(from_x[t], 3, axis=-1)
            h_r, h_z, t_s = np.split(from_h[t] + t_h @ parameters["weight_hh"].T, 3, axis=-1)
            t_r, t_z = r * (1 - r) * (x_r + h_r), z * (1 - z) * (x_z + h_z)
            t_n = (1 - n * n) * (x_n + t_r * tape["s"][t] + r * t_s)
            new = (1 - z) * t_n + z * t_h + t_z * (h[t] - n)
            t_outputs[t] = t_h = new if outside is None else np.where(outside[t], t_h, new)
        t_state["h"] = t_h
        return t_outputs


def _factors(tape: Tape, dz: Array, start: int, stop: int) -> None:
    """What dh' is multiplied by to give dz_n, dz_r, dz_z and ds, for steps start..stop."""
    now, hidden = slice(start, stop), tape["s"].shape[2]
    r, z, n = (tape["z"][now, :, k * hidden : (k + 1) * hidden] for k in range(3))
    dz_n, dz_r, dz_z, ds = (dz[now, :, k * hidden : (k + 1) * hidden] for k in range(4))
    np.subtract(1.0, z, out=dz_r)  # 1 - z, for a while
    np.multiply(n, n, out=dz_n)  # (1 - z) (1 - n^2)
    np.subtract(1.0, dz_n, out=dz_n)
    dz_n *= dz_r
    np.subtract(tape["h"][now], n, out=dz_z)  # (h - n) z (1 - z)
    dz_z *= z
    dz_z *= dz_r
    np.multiply(dz_n, r, out=ds)  # dz_n r
    np.subtract(1.0, r, out=dz_r)  # dz_n r s (1 - r)
    dz_r *= ds
    dz_r *= tape["s"][now]


register(GRUKernel())
