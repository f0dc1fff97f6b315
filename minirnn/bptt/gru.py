"""The gated recurrent unit and its back-propagation through time (Cho et al. 2014, arXiv:1406.1078).

There are two of them. With reset="after", as in cuDNN, PyTorch and minirnn's layer, the reset gate scales the recurrent
product; with reset="before", as Cho et al. wrote it, it scales h, and the product follows. Forward, with h before the
step and h' behind it, rows of the weights in the order r, z, n:

    (1)  r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
    (2)  z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    (3)  n = tanh(W_in x + b_in + r * q),  q = W_hn h + b_hn                   reset="after"
         n = tanh(W_in x + b_in + W_hn s + b_hn),  s = r * h                   reset="before"
    (4)  h' = (1 - z) * n + z * h

Backward. h' is output t and enters step t+1, which sends back the carry d_h (the final state's cotangent at first):

    (5)  d_h' = d_outputs[t] + d_h                      (forgotten: the carry)

  By (4) h' is reached from n, from z and straight from h:
    (6)  d_a_n = d_h' * (1 - z) * (1 - n^2)             (forgotten: the factor 1 - z)
    (7)  d_a_z = d_h' * (h - n) * z * (1 - z)           h - n: z takes from n what it gives to h
    (8)  d_h   = d_h' * z                               (forgotten: the straight path, the one that remembers)

  The reset path. r is reached through n alone:
    (9)  "after":   d_q = d_a_n * r                     the recurrent product's cotangent; also b_hn's, inside the r
                    d_r = d_a_n * q
         "before":  d_s = W_hn^T d_a_n
                    d_r = d_s * h
                    d_h += d_s * r                      (forgotten: h enters s beside r)
   (10)  d_a_r = d_r * r * (1 - r)                      (forgotten: the reset path as a whole; h still gets most)

  What meets x and what meets h now differ in the rows of n (treating them alike is wrong for "after"):
   (11)  from_x = [d_a_r, d_a_z, d_a_n]
         from_h = [d_a_r, d_a_z, d_q]                   "after";  [d_a_r, d_a_z] and d_a_n apart for "before"
   (12)  d_W_ih += sum_b from_x[b] x[b]^T,   d_b_ih += sum_b from_x[b]
   (13)  d_W_hh += sum_b from_h[b] h[b]^T,   d_b_hh += sum_b from_h[b]         rows of n for "before": d_a_n s^T, d_a_n
   (14)  d_x  = W_ih^T from_x
   (15)  d_h += W_hh^T from_h                           rows r and z only for "before": (9) has brought in W_hn
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.bptt.gates import affine, sigmoid
from minirnn.bptt.sequence import check_backward, check_forward, enters_chunk

Array = NDArray[Any]
RESETS = ("after", "before")


class Cache(NamedTuple):
    """What backward needs of forward. hs: (T+1, B, H), at t before step t; gates: (T, 3, B, H), r, z, n."""

    params: dict[str, Array]
    xs: Array
    inside: Array
    hs: Array
    gates: Array
    reset: str


def forward(
    params: Mapping[str, Array | None], xs: Array, state: Array, lengths: Array | None = None, reset: str = "after"
) -> tuple[Array, Array, Cache]:
    """Run the GRU. xs: (T, B, I), state: h (B, H) -> outputs (T, B, H), final h (B, H), cache.

    params: weight_ih (3H, I), weight_hh (3H, H), and bias_ih, bias_hh (3H,) or None. lengths: (B,) integers.
    ValueError, TypeError: arrays that do not fit each other, an unknown reset.
    """
    if reset not in RESETS:
        raise ValueError(f"gru.forward: reset={reset!r} came, 'after' or 'before' (the product) was expected")
    params, xs, inside, hidden = check_forward("gru.forward", params, xs, {"h": state}, lengths, gates=3)
    weight_hn, bias_hh = params["weight_hh"][2 * hidden :], params.get("bias_hh")
    bias_hn = None if bias_hh is None else bias_hh[2 * hidden :]
    hs = np.empty((len(xs) + 1, *state.shape), state.dtype)
    gates = np.empty((len(xs), 3, *state.shape), state.dtype)
    hs[0] = state
    for t, x in enumerate(xs):
        h = hs[t]
        x_r, x_z, x_n = np.split(affine(x, params["weight_ih"], params.get("bias_ih")), 3, axis=1)
        h_r, h_z, q = np.split(affine(h, params["weight_hh"], bias_hh), 3, axis=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)  # (1), (2)
        n = np.tanh(x_n + (r * q if reset == "after" else affine(r * h, weight_hn, bias_hn)))  # (3)
        h_new = (1.0 - z) * n + z * h  # (4)
        gates[t] = r, z, n
        hs[t + 1] = np.where(inside[t], h_new, h)
    outputs = np.where(inside, hs[1:], np.zeros((), hs.dtype))
    return outputs, hs[-1].copy(), Cache(params, xs, inside, hs, gates, reset)


def backward(
    cache: Cache, d_outputs: Array, d_state: Array, truncate: int | None = None
) -> tuple[dict[str, Array], Array, Array]:
    """From the cotangents of outputs (T, B, H) and final state (B, H): gradients by name, d_xs (T, B, I), d_state0.

    truncate: steps a chunk, see minirnn.bptt.sequence. ValueError: a cotangent of another shape or dtype.
    """
    params, xs, inside, hs, gates, reset = cache
    came = {"d_outputs": d_outputs, "d_state": d_state}
    check_backward("gru.backward", truncate, came, {"d_outputs": hs[1:], "d_state": hs[0]})
    two = 2 * hs.shape[2]  # the rows of r and z; those of n follow
    weight_hh = params["weight_hh"]
    grads = {name: np.zeros_like(array) for name, array in params.items()}
    d_xs, d_h = np.zeros_like(xs), d_state.copy()
    for t in reversed(range(len(xs))):
        x, h, (r, z, n) = xs[t], hs[t], gates[t]
        d_held = np.where(inside[t], 0.0, d_h)  # past its end a sequence's carry goes through unchanged
        d_h_new = np.where(inside[t], d_outputs[t] + d_h, 0.0)  # (5)
        d_a_n = d_h_new * (1.0 - z) * (1.0 - n * n)  # (6)
        d_a_z = d_h_new * (h - n) * z * (1.0 - z)  # (7)
        d_h = d_h_new * z + d_held  # (8)

        if reset == "after":  # (9)
            q = affine(h, weight_hh[two:], params["bias_hh"][two:] if "bias_hh" in params else None)
            d_n_from_h, met_by_n = d_a_n * r, h
            d_r = d_a_n * q
            d_h = d_h + d_n_from_h @ weight_hh[two:]  # (15), rows of n
        else:
            d_n_from_h, met_by_n = d_a_n, r * h
            d_s = d_a_n @ weight_hh[two:]
            d_r = d_s * h
            d_h = d_h + d_s * r
        d_a_r = d_r * r * (1.0 - r)  # (10)

        d_gates = np.concatenate([d_a_r, d_a_z], axis=1)
        from_x = np.concatenate([d_gates, d_a_n], axis=1)  # (11)
        from_h = np.concatenate([d_gates, d_n_from_h], axis=1)
        grads["weight_ih"] += from_x.T @ x  # (12)
        grads["weight_hh"][:two] += d_gates.T @ h  # (13)
        grads["weight_hh"][two:] += d_n_from_h.T @ met_by_n
        if "bias_ih" in grads:
            grads["bias_ih"] += from_x.sum(axis=0)
        if "bias_hh" in grads:
            grads["bias_hh"] += from_h.sum(axis=0)
        d_xs[t] = from_x @ params["weight_ih"]  # (14)
        d_h = d_h + d_gates @ weight_hh[:two]  # (15), rows of r and z
        if enters_chunk(t, truncate):
            d_h = np.zeros_like(d_h)
    return grads, d_xs, d_h
