"""The LSTM with one weight matrix a gate on the concatenation [h, x]: the same model as the stacked one, written apart.

Textbooks write   i = sigmoid(W_i [h, x] + b_i)   and so for f, g, o, with W_i (H, H + I). Libraries stack the rows of
all gates and keep the columns of h and x apart, with two biases. The map between the two is exact, for every gate k:

    W_k = [W_hh rows of k | W_ih rows of k]             b_k = b_ih rows of k + b_hh rows of k

It is linear, so gradients map by its transpose: d_W_hh and d_W_ih are the columns of d_W_k, and both biases get d_b_k,
since b_k is their sum. Nothing else differs: outputs, states and the cotangents of inputs and states are the same
numbers. Two LSTMs that learn differently in the two forms differ in initialisation, or one of them is wrong.

Forward, with v = [h, x] (for a projection W_hr and truncation see minirnn.bptt.lstm and minirnn.bptt.sequence):

    (1)  i = sigmoid(W_i v + b_i)   f = sigmoid(W_f v + b_f)   g = tanh(W_g v + b_g)   o = sigmoid(W_o v + b_o)
    (2)  c' = f * c + i * g
    (3)  m  = o * tanh(c'),   h' = m or W_hr m

Backward, with the carries d_h and d_c of step t+1:

    (4)  d_h' = d_outputs[t] + d_h                      d_m = d_h' or W_hr^T d_h';  d_W_hr += sum_b d_h'[b] m[b]^T
    (5)  d_c' = d_m * o * (1 - tanh(c')^2) + d_c        (forgotten: the carry d_c)
    (6)  d_a_i = d_c' g i (1-i)   d_a_f = d_c' c f (1-f)   d_a_g = d_c' i (1-g^2)   d_a_o = d_m tanh(c') o (1-o)
    (7)  d_W_k += sum_b d_a_k[b] v[b]^T,   d_b_k += sum_b d_a_k[b]
    (8)  d_v = sum_k W_k^T d_a_k                        (forgotten: the sum over all four gates)
    (9)  d_h = d_v columns of h,   d_x = d_v columns of x
   (10)  d_c = d_c' * f
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.bptt.gates import affine, sigmoid
from minirnn.bptt.sequence import (
    check_arrays,
    check_backward,
    check_names,
    check_pair,
    check_shapes,
    enters_chunk,
    mask,
)

Array = NDArray[Any]
State = tuple[Array, Array]
Params = Mapping[str, Array | None]
GATES = "ifgo"


# ---------------------------------------------------------------- the map between the two parametrisations
def to_per_gate(params: Params) -> dict[str, Array]:
    """W_i, W_f, W_g, W_o (H, P or H + I) and b_i .. b_o (H,) from weight_ih, weight_hh, bias_ih, bias_hh, weight_hr."""
    stacked = {name: array for name, array in params.items() if array is not None}
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    check_names("to_per_gate", stacked, names, needed=names[:2])
    weights = np.split(np.hstack([stacked["weight_hh"], stacked["weight_ih"]]), 4)
    per_gate = {f"W_{gate}": weight.copy() for gate, weight in zip(GATES, weights, strict=True)}
    biases = [stacked[name] for name in ("bias_ih", "bias_hh") if name in stacked]
    if biases:
        per_gate |= {f"b_{gate}": b.copy() for gate, b in zip(GATES, np.split(sum(biases), 4), strict=True)}
    return per_gate | {name: array.copy() for name, array in stacked.items() if name == "weight_hr"}


def from_per_gate(per_gate: Params) -> dict[str, Array]:
    """The stacked parameters: each gate's bias in bias_ih, zeros in bias_hh. to_per_gate of them gives per_gate."""
    stacked = _stack(per_gate)
    if "bias_ih" in stacked:
        stacked["bias_hh"] = np.zeros_like(stacked["bias_ih"])
    return stacked


def grads_from_per_gate(per_gate_grads: Params) -> dict[str, Array]:
    """Gradients of the stacked parameters from those of the per-gate ones: both biases get their sum's gradient."""
    stacked = _stack(per_gate_grads)
    if "bias_ih" in stacked:
        stacked["bias_hh"] = stacked["bias_ih"].copy()
    return stacked


def grads_to_per_gate(grads: Params) -> dict[str, Array]:
    """Gradients of the per-gate parameters from those of the stacked ones: b_k moves the loss as b_ih alone does."""
    return to_per_gate({name: array for name, array in grads.items() if name != "bias_hh"})


def _stack(per_gate: Params) -> dict[str, Array]:
    given, _, fed_back = _check_params("from_per_gate", per_gate)
    weight = np.vstack([given[f"W_{gate}"] for gate in GATES])
    stacked = {"weight_ih": weight[:, fed_back:].copy(), "weight_hh": weight[:, :fed_back].copy()}
    if "b_i" in given:
        stacked["bias_ih"] = np.concatenate([given[f"b_{gate}"] for gate in GATES])
    return stacked | {name: array.copy() for name, array in given.items() if name == "weight_hr"}


def _check_params(where: str, per_gate: Params) -> tuple[dict[str, Array], int, int]:
    """The given arrays, H, and the number of h's columns."""
    given = {name: array for name, array in per_gate.items() if array is not None}
    weights, biases = [f"W_{gate}" for gate in GATES], [f"b_{gate}" for gate in GATES]
    has_biases = any(name in given for name in biases)
    check_names(where, given, [*weights, *biases, "weight_hr"], needed=weights + biases * has_biases)
    check_arrays(where, given)
    if given["W_i"].ndim != 2:
        raise ValueError(f"{where}: W_i has shape {given['W_i'].shape}, 2 axes were expected")
    hidden, columns = given["W_i"].shape
    fed_back = given["weight_hr"].shape[0] if "weight_hr" in given else hidden
    if columns <= fed_back:
        raise ValueError(f"{where}: W_i has {columns} columns, more than the {fed_back} of h were expected")
    shapes = dict.fromkeys(weights, (hidden, columns)) | dict.fromkeys(biases, (hidden,))
    check_shapes(where, given, shapes | {"weight_hr": (fed_back, hidden)})
    return given, hidden, fed_back


# ---------------------------------------------------------------- forward and backward
class Cache(NamedTuple):
    """What backward needs of forward. vs: (T, B, P or H + I), [h, x]; hs: (T, B, P or H) and cs: (T+1, B, H)."""

    params: dict[str, Array]
    inside: Array
    vs: Array
    hs: Array
    cs: Array
    gates: Array


def forward(params: Params, xs: Array, state: State, lengths: Array | None = None) -> tuple[Array, State, Cache]:
    """Run the LSTM. xs: (T, B, I), state: h (B, P or H), c (B, H) -> outputs (T, B, P or H), final (h, c), cache.

    params: W_i, W_f, W_g, W_o (H, P or H + I), b_i, b_f, b_g, b_o (H,) or none of them, weight_hr (P, H) or None.
    ValueError, TypeError: arrays that do not fit each other.
    """
    given, hidden, fed_back = _check_params("lstm_per_gate.forward", params)
    h, c = check_pair("lstm_per_gate.forward", "state", state)
    check_arrays("lstm_per_gate.forward", {**given, "xs": xs, "h": h, "c": c})
    if xs.ndim != 3:
        raise ValueError(f"lstm_per_gate.forward: xs has shape {xs.shape}, 3 axes were expected")
    steps, batch, inputs = xs.shape[0], xs.shape[1], given["W_i"].shape[1] - fed_back
    shapes = {"xs": (steps, batch, inputs), "h": (batch, fed_back), "c": (batch, hidden)}
    check_shapes("lstm_per_gate.forward", {"xs": xs, "h": h, "c": c}, shapes)
    inside = mask("lstm_per_gate.forward", lengths, steps, batch)
    xs = np.where(inside, xs, np.zeros((), xs.dtype))

    vs = np.empty((steps, batch, fed_back + inputs), xs.dtype)
    hs = np.empty((steps, *h.shape), h.dtype)
    cs = np.empty((steps + 1, *c.shape), c.dtype)
    gates = np.empty((steps, 4, *c.shape), c.dtype)
    h, cs[0] = h.copy(), c
    for t, x in enumerate(xs):
        c = cs[t]
        v = vs[t] = np.concatenate([h, x], axis=1)
        a_i, a_f, a_g, a_o = (affine(v, given[f"W_{gate}"], given.get(f"b_{gate}")) for gate in GATES)
        i, f, g, o = gates[t] = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)  # (1)
        c_new = f * c + i * g  # (2)
        m = o * np.tanh(c_new)  # (3)
        h_new = m @ given["weight_hr"].T if "weight_hr" in given else m
        h = hs[t] = np.where(inside[t], h_new, h)
        cs[t + 1] = np.where(inside[t], c_new, c)
    outputs = np.where(inside, hs, np.zeros((), hs.dtype))
    return outputs, (h, cs[-1].copy()), Cache(given, inside, vs, hs, cs, gates)


def backward(
    cache: Cache, d_outputs: Array, d_state: State, truncate: int | None = None
) -> tuple[dict[str, Array], Array, State]:
    """From the cotangents of outputs and final (h, c): gradients by name, d_xs (T, B, I), d_state0 as (h, c).

    truncate: steps a chunk, see minirnn.bptt.sequence. ValueError: a cotangent of another shape or dtype.
    """
    params, inside, vs, hs, cs, gates = cache
    fed_back = hs.shape[2]
    d_h, d_c = check_pair("lstm_per_gate.backward", "d_state", d_state)
    came = {"d_outputs": d_outputs, "d_state h": d_h, "d_state c": d_c}
    like = {"d_outputs": hs, "d_state h": np.empty(hs.shape[1:], hs.dtype), "d_state c": cs[0]}
    check_backward("lstm_per_gate.backward", truncate, came, like)
    grads = {name: np.zeros_like(array) for name, array in params.items()}
    d_xs = np.zeros_like(vs[:, :, fed_back:])
    d_h, d_c = d_h.copy(), d_c.copy()
    for t in reversed(range(len(vs))):
        c, v, (i, f, g, o) = cs[t], vs[t], gates[t]
        held_h, held_c = np.where(inside[t], 0.0, d_h), np.where(inside[t], 0.0, d_c)  # past a sequence's end
        d_c = np.where(inside[t], d_c, 0.0)
        d_h_new = np.where(inside[t], d_outputs[t] + d_h, 0.0)  # (4)
        tanh_c = np.tanh(cs[t + 1])
        d_m = d_h_new
        if "weight_hr" in params:
            grads["weight_hr"] += d_h_new.T @ (o * tanh_c)
            d_m = d_h_new @ params["weight_hr"]
        d_c_new = d_m * o * (1.0 - tanh_c * tanh_c) + d_c  # (5)
        d_a = {  # (6)
            "i": d_c_new * g * i * (1.0 - i),
            "f": d_c_new * c * f * (1.0 - f),
            "g": d_c_new * i * (1.0 - g * g),
            "o": d_m * tanh_c * o * (1.0 - o),
        }
        d_v = np.zeros_like(v)
        for gate in GATES:
            grads[f"W_{gate}"] += d_a[gate].T @ v  # (7)
            if f"b_{gate}" in grads:
                grads[f"b_{gate}"] += d_a[gate].sum(axis=0)
            d_v += d_a[gate] @ params[f"W_{gate}"]  # (8)
        d_h, d_xs[t] = d_v[:, :fed_back] + held_h, d_v[:, fed_back:]  # (9)
        d_c = d_c_new * f + held_c  # (10)
        if enters_chunk(t, truncate):
            d_h, d_c = np.zeros_like(d_h), np.zeros_like(d_c)
    return grads, d_xs, (d_h, d_c)
