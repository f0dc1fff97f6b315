"""The simple recurrent network, forward and by back-propagation through time.

    z = W_ih x + b_ih + W_hh h + b_hh           h' = tanh(z), or relu(z)

Backward, with dh' the cotangent of h' (what comes from the output and from the step behind):

    dz = dh' * act'(z)                          tanh' = 1 - h'^2,   relu' = 1 where h' > 0
    dh = W_hh^T dz
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.kernels.kernel import Cotangents, Kernel, Tape, register
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = ["RELU", "TANH", "Simple"]


class ForwardWeights(NamedTuple):
    ih: Array
    hh: Array
    bias: Array | None


class Simple(Kernel):
    gates = 1

    def __init__(self, name: str, activate: Callable[..., Any], slope: Callable[[Array, Array], None]):
        self.name, self.activate, self.slope = name, activate, slope  # type: ignore[misc]

    def forward_weights(self, parameters: Mapping[str, Array]) -> ForwardWeights:
        bias = parameters["bias_ih"] + parameters["bias_hh"] if "bias_ih" in parameters else None
        return ForwardWeights(parameters["weight_ih"], parameters["weight_hh"], bias)

    def recur(self, weights: Any, z: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        h, w = tape["h"], weights.hh.T
        for t in range(len(z)):
            pre = z[t]
            np.matmul(h[t], w, out=h[t + 1])
            pre += h[t + 1]
            self.activate(pre, out=h[t + 1])
            if outside is not None:
                np.copyto(h[t + 1], h[t], where=outside[t])

    def unwind(self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace) -> None:
        d_outputs, d_state, dz, _ = moving
        h, w, dh = tape["h"], weights.hh, d_state["h"]
        passed = work.array("passed", dh.shape, dh.dtype)
        self.slope(h[1:], dz)
        for t in reversed(range(len(dz))):
            dh += d_outputs[t]
            dz[t] *= dh
            if outside is None:
                np.matmul(dz[t], w, out=dh)
            else:
                np.copyto(dz[t], 0.0, where=outside[t])
                np.matmul(dz[t], w, out=passed)
                np.copyto(dh, passed, where=~outside[t])

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
        t_outputs, slope = np.empty_like(tape["h"][1:]), np.empty_like(tape["h"][1:])
        self.slope(tape["h"][1:], slope)
        t_h = t_state["h"]
        for t in range(len(from_x)):
            new = slope[t] * (from_x[t] + from_h[t] + t_h @ parameters["weight_hh"].T)
            t_outputs[t] = t_h = new if outside is None else np.where(outside[t], t_h, new)
        t_state["h"] = t_h
        return t_outputs


def _tanh_slope(h: Array, out: Array) -> None:
    np.multiply(h, h, out=out)
    np.subtract(1.0, out, out=out)


def _relu(z: Array, out: Array) -> Array:
    return np.maximum(z, 0.0, out=out)


def _relu_slope(h: Array, out: Array) -> None:
    np.copyto(out, h > 0.0)


TANH = np.tanh, _tanh_slope
RELU = _relu, _relu_slope
register(Simple("rnn_tanh", *TANH))
register(Simple("rnn_relu", *RELU))
