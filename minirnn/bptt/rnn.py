"""The simple recurrent network and its back-propagation through time (Werbos 1990, doi:10.1109/5.58337).

Forward, for t = 0 .. T-1, with h = h[t] and h' = h[t+1]:

    (1)  a  = W_ih x + b_ih + W_hh h + b_hh
    (2)  h' = tanh(a)                                   or relu(a)

Backward. h' is used twice: it is output t, and it enters step t+1. Its cotangent is therefore the sum of what the loss
sends to output t and what step t+1 sends back, the carry; the last carry is the final state's cotangent:

    (3)  d_h'   = d_outputs[t] + d_carry                (forgotten: the carry; then only one step learns)
    (4)  d_a    = d_h' * (1 - h'^2)                     tanh' = 1 - tanh^2; relu' = 1 where h' > 0, else 0

d_a reaches everything that (1) adds up. The weights are used at every step and by every sequence of the batch, so
their cotangents are summed over both; a bias has no input that would do the sum over the batch for it:

    (5)  d_W_ih += sum_b d_a[b] x[b]^T
    (6)  d_W_hh += sum_b d_a[b] h[b]^T                  h before the step, not h' (an off-by-one in time)
    (7)  d_b_ih += sum_b d_a[b],  d_b_hh the same       (forgotten: the sum over the batch)
    (8)  d_x     = W_ih^T d_a
    (9)  d_carry = W_hh^T d_a                           for step t-1; after step 0 it is d_state0

Rows are sequences in the code, so that W^T d_a is written d_a @ W.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.bptt.gates import affine
from minirnn.bptt.sequence import check_backward, check_forward, enters_chunk

Array = NDArray[Any]
NONLINEARITIES = ("tanh", "relu")


class Cache(NamedTuple):
    """What backward needs of forward. hs: (T+1, B, H), at t before step t."""

    params: dict[str, Array]
    xs: Array
    inside: Array
    hs: Array
    nonlinearity: str


def forward(
    params: Mapping[str, Array | None],
    xs: Array,
    state: Array,
    lengths: Array | None = None,
    nonlinearity: str = "tanh",
) -> tuple[Array, Array, Cache]:
    """Run the network. xs: (T, B, I), state: h (B, H) -> outputs (T, B, H), final h (B, H), cache.

    params: weight_ih (H, I), weight_hh (H, H), and bias_ih, bias_hh (H,) or None. lengths: (B,) integers.
    ValueError, TypeError: arrays that do not fit each other, an unknown nonlinearity.
    """
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"rnn.forward: nonlinearity={nonlinearity!r} came, tanh or relu was expected")
    params, xs, inside, _ = check_forward("rnn.forward", params, xs, {"h": state}, lengths, gates=1)
    hs = np.empty((len(xs) + 1, *state.shape), state.dtype)
    hs[0] = state
    for t, x in enumerate(xs):
        h = hs[t]
        a = affine(x, params["weight_ih"], params.get("bias_ih"))  # (1)
        a = a + affine(h, params["weight_hh"], params.get("bias_hh"))
        h_new = (
            np.tanh(a) if nonlinearity == "tanh" else np.where(a.real > 0, a, 0.0)
        )  # (2); a.real is a, unless complex
        hs[t + 1] = np.where(inside[t], h_new, h)
    outputs = np.where(inside, hs[1:], np.zeros((), hs.dtype))
    return outputs, hs[-1].copy(), Cache(params, xs, inside, hs, nonlinearity)


def backward(
    cache: Cache, d_outputs: Array, d_state: Array, truncate: int | None = None
) -> tuple[dict[str, Array], Array, Array]:
    """From the cotangents of outputs (T, B, H) and final state (B, H): gradients by name, d_xs (T, B, I), d_state0.

    truncate: steps a chunk, see minirnn.bptt.sequence. ValueError: a cotangent of another shape or dtype.
    """
    params, xs, inside, hs, nonlinearity = cache
    came = {"d_outputs": d_outputs, "d_state": d_state}
    check_backward("rnn.backward", truncate, came, {"d_outputs": hs[1:], "d_state": hs[0]})
    grads = {name: np.zeros_like(array) for name, array in params.items()}
    d_xs, d_carry = np.zeros_like(xs), d_state.copy()
    for t in reversed(range(len(xs))):
        h, h_new = hs[t], hs[t + 1]
        d_h = np.where(inside[t], d_outputs[t] + d_carry, 0.0)  # (3)
        d_held = np.where(inside[t], 0.0, d_carry)  # past its end a sequence's carry goes through unchanged
        slope = 1.0 - h_new * h_new if nonlinearity == "tanh" else h_new.real > 0
        d_a = d_h * slope  # (4)
        grads["weight_ih"] += d_a.T @ xs[t]  # (5)
        grads["weight_hh"] += d_a.T @ h  # (6)
        for bias in grads.keys() & {"bias_ih", "bias_hh"}:
            grads[bias] += d_a.sum(axis=0)  # (7)
        d_xs[t] = d_a @ params["weight_ih"]  # (8)
        d_carry = d_a @ params["weight_hh"] + d_held  # (9)
        if enters_chunk(t, truncate):
            d_carry = np.zeros_like(d_carry)
    return grads, d_xs, d_carry
