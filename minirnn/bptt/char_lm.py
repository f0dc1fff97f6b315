"""The whole loss of a character language model by hand: one-hot characters, an LSTM, a softmax, cross-entropy.

What Karpathy's min-char-rnn (2015) calls lossFun, for an LSTM (minirnn.bptt.lstm). Forward, for characters k[t]:

    (1)  x[t] = one-hot of k[t]                         (V,)
    (2)  h[t] = the LSTM's output
    (3)  y[t] = W_hy h[t] + b_y                         scores of the next character
    (4)  log p[t] = y[t] - log sum_v exp(y[t, v])       with max y taken off first, so that exp cannot overflow
    (5)  L = - sum_t log p[t, target[t]]                in nats; a sum, not a mean: over steps, and over the batch

The first targets may be missing: N targets belong to the last N of T characters. The characters before are read without
being scored, and gradient still flows to every one of them, through the LSTM's carries.

Backward. A softmax under its cross-entropy has the simplest derivative there is, predicted minus actual:

    (6)  d_y[t] = p[t] - one-hot of target[t]           0 at the steps that are not scored
    (7)  d_W_hy = sum_t,b d_y h^T,   d_b_y = sum_t,b d_y
    (8)  d_h[t] = W_hy^T d_y[t]                         the LSTM's d_outputs; it adds its own carry to it
         d_state = 0                                    the final state goes to the next chunk as a constant

Clipping, elementwise into [-clip, clip] after the sums, changes the gradient's direction and is no part of it: a
gradient check of the clipped one must fail where something was clipped.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirnn.bptt import lstm
from minirnn.bptt.sequence import check_arrays, check_shapes

Array = NDArray[Any]
State = tuple[Array, Array]


def loss_and_grads(
    params: Mapping[str, Array | None],
    inputs: Array,
    targets: Array,
    h0: Array,
    c0: Array,
    clip: float | None = None,
) -> tuple[float, dict[str, Array], State]:
    """(loss, gradients by name, final (h, c)) of a chunk of text; the final state is the next chunk's h0, c0.

    inputs: (T,) or (T, B) characters, integers in 0 .. V-1; targets: (N,) or (N, B), N <= T, what follows the last N
    inputs; h0, c0: (H,) or (B, H). params: the LSTM's, with I = V (weight_ih (4H, V), ...), weight_hy (V, H), and
    b_y as bias_y (V,) or None. loss: summed cross-entropy in nats; divide loss and gradients by targets.size for the
    mean. clip: every gradient entry is clipped into [-clip, clip] (Karpathy: 5).

    ValueError, TypeError: characters out of range, more targets than inputs, arrays that do not fit each other.
    """
    if clip is not None and not clip > 0:
        raise ValueError(f"char_lm: clip={clip!r} came, a positive number or None was expected")
    given, inputs, targets = _check(params, inputs, targets, h0, c0)
    weight_hy, bias_y = given.pop("weight_hy"), given.pop("bias_y", None)
    unbatched = inputs.ndim == 1
    if unbatched:
        inputs, targets, h0, c0 = inputs[:, None], targets[:, None], h0[None], c0[None]
    vocabulary, steps, scored = len(weight_hy), len(inputs), len(targets)

    xs = np.eye(vocabulary, dtype=weight_hy.dtype)[inputs]  # (1)
    hs, state, cache = lstm.forward(given, xs, (h0, c0))  # (2)
    y = hs[steps - scored :] @ weight_hy.T + (0.0 if bias_y is None else bias_y)  # (3)
    y = y - y.max(axis=2, keepdims=True, initial=-np.inf)
    log_p = y - np.log(np.exp(y).sum(axis=2, keepdims=True))  # (4)
    target = np.eye(vocabulary, dtype=log_p.dtype)[targets]
    loss = -np.take_along_axis(log_p, targets[:, :, None], axis=2).sum()  # (5)

    d_y = np.exp(log_p) - target  # (6)
    grads = {"weight_hy": np.einsum("tbv,tbh->vh", d_y, hs[steps - scored :])}  # (7)
    if bias_y is not None:
        grads["bias_y"] = d_y.sum(axis=(0, 1))
    d_hs = np.zeros_like(hs)
    d_hs[steps - scored :] = d_y @ weight_hy  # (8)
    lstm_grads, _, _ = lstm.backward(cache, d_hs, (np.zeros_like(h0), np.zeros_like(c0)))
    grads = lstm_grads | grads
    if clip is not None:
        grads = {name: np.clip(grad, -clip, clip) for name, grad in grads.items()}
    return float(loss), grads, (state[0][0], state[1][0]) if unbatched else state


def _check(
    params: Mapping[str, Array | None], inputs: Array, targets: Array, h0: Array, c0: Array
) -> tuple[dict[str, Array], Array, Array]:
    """The given parameters, and the text as integers; the LSTM checks its own arrays."""
    given = {name: array for name, array in params.items() if array is not None}
    if "weight_hy" not in given:
        raise ValueError(f"char_lm: params lacks weight_hy (V, H); it has {', '.join(given) or 'nothing'}")
    head = {name: array for name, array in given.items() if name in ("weight_hy", "bias_y")}
    check_arrays("char_lm", {**head, "h0": h0, "c0": c0})
    if head["weight_hy"].ndim != 2:
        raise ValueError(f"char_lm: weight_hy has shape {head['weight_hy'].shape}, (V, H) was expected")
    vocabulary, shown = head["weight_hy"].shape
    inputs, targets = _check_text(inputs, targets, vocabulary)
    batch = inputs.shape[1:]
    shapes = {"bias_y": (vocabulary,), "h0": (*batch, shown), "c0": (*batch, *c0.shape[-1:])}
    check_shapes("char_lm", {**head, "h0": h0, "c0": c0}, shapes)
    if "weight_ih" in given and given["weight_ih"].shape[1:] != (vocabulary,):
        came = given["weight_ih"].shape
        raise ValueError(f"char_lm: weight_ih has shape {came}, (4H, {vocabulary}) was expected: weight_hy has V rows")
    return given, inputs, targets


def _check_text(inputs: Array, targets: Array, vocabulary: int) -> tuple[Array, Array]:
    inputs, targets = np.asarray(inputs), np.asarray(targets)
    for name, text in {"inputs": inputs, "targets": targets}.items():
        if text.ndim not in (1, 2) or (text.dtype.kind not in "iu" and text.size):
            raise TypeError(f"char_lm: {name} is {text.dtype} {text.shape}, integers (T,) or (T, B) were expected")
        if text.size and not (text.min() >= 0 and text.max() < vocabulary):
            where = tuple(int(i) for i in np.argwhere((text < 0) | (text >= vocabulary))[0])
            raise ValueError(
                f"char_lm: {name}{list(where)} is {text[where]}, a character in 0..{vocabulary - 1} was expected"
            )
    if targets.ndim != inputs.ndim or targets.shape[1:] != inputs.shape[1:] or len(targets) > len(inputs):
        raise ValueError(
            f"char_lm: targets has shape {targets.shape}, inputs {inputs.shape}; at most as many targets as inputs "
            "were expected, for the same batch"
        )
    return inputs.astype(np.intp), targets.astype(np.intp)
