"""Long short-term memory and its back-propagation through time, derived in full.

Hochreiter & Schmidhuber 1997 (doi:10.1162/neco.1997.9.8.1735) cut the gradient inside the step; the forget gate came
with Gers et al. 2000 (doi:10.1162/089976600300015015); the full gradient, which is what follows, with Graves &
Schmidhuber 2005 (doi:10.1016/j.neunet.2005.06.042); its notation is close to Greff et al. 2015 (arXiv:1503.04069). The
projection is from Sak et al. 2014 (arXiv:1402.1128).

Forward, for t = 0 .. T-1, with h, c before the step and h', c' behind it; rows of the weights in the order i, f, g, o:

    (1)  a  = W_ih x + b_ih + W_hh h + b_hh             a = [a_i, a_f, a_g, a_o]
    (2)  i  = sigmoid(a_i)   f = sigmoid(a_f)   g = tanh(a_g)   o = sigmoid(a_o)
    (3)  c' = f * c + i * g
    (4)  m  = o * tanh(c')
    (5)  h' = m                                         or W_hr m with a projection

Backward. Two carries arrive from step t+1: d_h, through its (1), and d_c, through its (3). At the last step they are
the final state's cotangents.

  The path through h. h' is output t and enters step t+1:
    (6)  d_h' = d_outputs[t] + d_h                      (forgotten: the carry d_h)
    (7)  d_m  = d_h'                                    or, through the projection, W_hr^T d_h', and
         d_W_hr += sum_b d_h'[b] m[b]^T                 (forgotten: d_h' includes the carry, also for W_hr)

  The path through c. c' is read by (4), and it enters step t+1. The second is the path that carries gradients over long
  times, and the one most often forgotten: then the cell still learns, but remembers no further than a plain RNN:
    (8)  d_c' = d_m * o * (1 - tanh(c')^2) + d_c

  Through each gate, first its value by (3) and (4), then its pre-activation by (2). Each gate has its own input and its
  own rows; an average over gates is the gradient of nothing:
    (9)  d_i = d_c' * g        d_a_i = d_i * i * (1 - i)
   (10)  d_f = d_c' * c        d_a_f = d_f * f * (1 - f)      c before the step, not c'
   (11)  d_g = d_c' * i        d_a_g = d_g * (1 - g^2)        tanh's derivative, not sigmoid's
   (12)  d_o = d_m * tanh(c')  d_a_o = d_o * o * (1 - o)

  To the weights, summed over time and over the batch, and on to the step before:
   (13)  d_W_ih += sum_b d_a[b] x[b]^T
   (14)  d_W_hh += sum_b d_a[b] h[b]^T                  h before the step
   (15)  d_b_ih += sum_b d_a[b],  d_b_hh the same       (forgotten: the sum over the batch)
   (16)  d_x = W_ih^T d_a
   (17)  d_h = W_hh^T d_a                               all four gates read h
   (18)  d_c = d_c' * f                                 c reaches c' through f alone
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.bptt.gates import affine, sigmoid
from minirnn.bptt.sequence import check_backward, check_forward, check_pair, enters_chunk

Array = NDArray[Any]
State = tuple[Array, Array]


class Cache(NamedTuple):
    """What backward needs of forward. hs, cs: (T+1, B, ...), at t before step t; gates: (T, 4, B, H), i, f, g, o."""

    params: dict[str, Array]
    xs: Array
    inside: Array
    hs: Array
    cs: Array
    gates: Array


def forward(
    params: Mapping[str, Array | None], xs: Array, state: State, lengths: Array | None = None
) -> tuple[Array, State, Cache]:
    """Run the LSTM. xs: (T, B, I), state: h (B, P or H), c (B, H) -> outputs (T, B, P or H), final (h, c), cache.

    params: weight_ih (4H, I), weight_hh (4H, P or H), bias_ih and bias_hh (4H,) or None, weight_hr (P, H) or None.
    lengths: (B,) integers. ValueError, TypeError: arrays that do not fit each other.
    """
    h0, c0 = check_pair("lstm.forward", "state", state)
    given = check_forward("lstm.forward", params, xs, {"h": h0, "c": c0}, lengths, gates=4, projected=True)
    params, xs, inside, _ = given
    hs = np.empty((len(xs) + 1, *h0.shape), h0.dtype)
    cs = np.empty((len(xs) + 1, *c0.shape), c0.dtype)
    gates = np.empty((len(xs), 4, *c0.shape), c0.dtype)
    hs[0], cs[0] = h0, c0
    for t, x in enumerate(xs):
        h, c = hs[t], cs[t]
        a = affine(x, params["weight_ih"], params.get("bias_ih"))  # (1)
        a = a + affine(h, params["weight_hh"], params.get("bias_hh"))
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)  # (2)
        c_new = f * c + i * g  # (3)
        m = o * np.tanh(c_new)  # (4)
        h_new = m @ params["weight_hr"].T if "weight_hr" in params else m  # (5)
        gates[t] = i, f, g, o
        hs[t + 1] = np.where(inside[t], h_new, h)
        cs[t + 1] = np.where(inside[t], c_new, c)
    outputs = np.where(inside, hs[1:], np.zeros((), hs.dtype))
    return outputs, (hs[-1].copy(), cs[-1].copy()), Cache(params, xs, inside, hs, cs, gates)


def backward(
    cache: Cache, d_outputs: Array, d_state: State, truncate: int | None = None
) -> tuple[dict[str, Array], Array, State]:
    """From the cotangents of outputs and final (h, c): gradients by name, d_xs (T, B, I), d_state0 as (h, c).

    truncate: steps a chunk, see minirnn.bptt.sequence. ValueError: a cotangent of another shape or dtype.
    """
    params, xs, inside, hs, cs, gates = cache
    d_h, d_c = check_pair("lstm.backward", "d_state", d_state)
    came = {"d_outputs": d_outputs, "d_state h": d_h, "d_state c": d_c}
    like = {"d_outputs": hs[1:], "d_state h": hs[0], "d_state c": cs[0]}
    check_backward("lstm.backward", truncate, came, like)
    grads = {name: np.zeros_like(array) for name, array in params.items()}
    d_xs = np.zeros_like(xs)
    d_h, d_c = d_h.copy(), d_c.copy()
    for t in reversed(range(len(xs))):
        h, c, (i, f, g, o) = hs[t], cs[t], gates[t]
        held_h, held_c = np.where(inside[t], 0.0, d_h), np.where(inside[t], 0.0, d_c)  # past a sequence's end
        d_c = np.where(inside[t], d_c, 0.0)
        d_h_new = np.where(inside[t], d_outputs[t] + d_h, 0.0)  # (6)

        tanh_c = np.tanh(cs[t + 1])
        d_m = d_h_new  # (7)
        if "weight_hr" in params:
            grads["weight_hr"] += d_h_new.T @ (o * tanh_c)
            d_m = d_h_new @ params["weight_hr"]
        d_c_new = d_m * o * (1.0 - tanh_c * tanh_c) + d_c  # (8)

        d_a_i = d_c_new * g * i * (1.0 - i)  # (9)
        d_a_f = d_c_new * c * f * (1.0 - f)  # (10)
        d_a_g = d_c_new * i * (1.0 - g * g)  # (11)
        d_a_o = d_m * tanh_c * o * (1.0 - o)  # (12)
        d_a = np.concatenate([d_a_i, d_a_f, d_a_g, d_a_o], axis=1)

        grads["weight_ih"] += d_a.T @ xs[t]  # (13)
        grads["weight_hh"] += d_a.T @ h  # (14)
        for bias in grads.keys() & {"bias_ih", "bias_hh"}:
            grads[bias] += d_a.sum(axis=0)  # (15)
        d_xs[t] = d_a @ params["weight_ih"]  # (16)
        d_h = d_a @ params["weight_hh"] + held_h  # (17)
        d_c = d_c_new * f + held_c  # (18)
        if enters_chunk(t, truncate):
            d_h, d_c = np.zeros_like(d_h), np.zeros_like(d_c)
    return grads, d_xs, (d_h, d_c)
