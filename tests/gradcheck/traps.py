"""Traps for gradient checkers: a function, its right backward, and one with a mistake that people make.

Each is short NumPy and stands alone. `TRAPS` is what the tests and `benchmarks/gradient_checkers.py` run.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np


class Trap(NamedTuple):
    """name; f(*args); vjp(g, *args), right and wrong; args drawn by draw(rng); what `Report.kind` should be for each.

    wrong_f: where the mistake is in f (then `wrong` is the right backward's twin).
    """

    name: str
    f: Callable[..., Any]
    right: Callable[..., Any]
    wrong: Callable[..., Any]
    draw: Callable[[np.random.Generator], tuple]
    kind: str = "mismatch"
    wrong_f: Callable[..., Any] | None = None
    right_kind: str = "ok"


TRAPS: list[Trap] = []


def trap(name, f, right, wrong, draw, kind="mismatch", wrong_f=None, right_kind="ok"):
    TRAPS.append(Trap(name, f, right, wrong, draw, kind, wrong_f, right_kind))


def normal(*shapes, scale=1.0, dtype=np.float64):
    return lambda rng: tuple((scale * rng.standard_normal(s)).astype(dtype) for s in shapes)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# ---------------------------------------------------------------- LSTM: (T, B, I) inputs, gates i, f, g, o
def lstm_steps(xs, w, u, b, h, c):
    n = h.shape[1]
    for x in xs:
        a = x @ w.T + h @ u.T + b
        i, f, g, o = sigmoid(a[:, :n]), sigmoid(a[:, n : 2 * n]), np.tanh(a[:, 2 * n : 3 * n]), sigmoid(a[:, 3 * n :])
        before = h, c
        c = f * c + i * g
        h = o * np.tanh(c)
        yield x, before, (i, f, g, o), h, c


def lstm(xs, w, u, b, h, c):
    steps = list(lstm_steps(xs, w, u, b, h, c))
    return np.stack([s[3] for s in steps]), steps[-1][4]


@cache
def lstm_backward(bug=""):
    def backward(cotangents, xs, w, u, b, h0, c0):
        d_out, dc = cotangents
        dxs, dw, du, db, dh = np.zeros_like(xs), np.zeros_like(w), np.zeros_like(u), np.zeros_like(b), np.zeros_like(h0)
        if bug == "final c ignored":
            dc = np.zeros_like(c0)
        for t, (x, (h, c_before), (i, f, g, o), _, c) in reversed(list(enumerate(lstm_steps(xs, w, u, b, h0, c0)))):
            dh = d_out[t] + (0 if bug == "no carry of dh" else dh)
            slope = 1 if bug == "tanh(c) not differentiated" else 1 - np.tanh(c) ** 2
            dc = dh * o * slope + (0 if bug == "no path through c" else dc)
            c_used = c if bug == "c off by one" else c_before
            g_slope = g * (1 - g) if bug == "sigmoid' for tanh'" else 1 - g**2
            da = np.concatenate(
                [dc * g * i * (1 - i), dc * c_used * f * (1 - f), dc * i * g_slope, dh * np.tanh(c) * o * (1 - o)],
                axis=1,
            )
            dxs[t] = da @ w
            dw, du = dw + da.T @ x, du + da.T @ h
            db = da.sum(0) if bug == "bias of one step" else db + da.sum(0)
            dh, dc = da @ u, dc * f
        if bug == "forget gate's rows":
            n = h0.shape[1]
            du[n : 2 * n] *= 0.5
        return dxs, dw, du, db, dh, dc

    return backward


lstm_args = normal((3, 2, 2), (8, 2), (8, 2), 8, (2, 2), (2, 2))
for bug in (
    "no path through c",
    "no carry of dh",
    "c off by one",
    "tanh(c) not differentiated",
    "sigmoid' for tanh'",
    "final c ignored",
    "bias of one step",
    "forget gate's rows",
):
    trap(f"LSTM: {bug}", lstm, lstm_backward(), lstm_backward(bug), lstm_args)


# ---------------------------------------------------------------- the LSTM whose gates all read the same rows
def shared_gates(x, h, c, w, b):
    """One step on tmp = w [h, x] + b, all four gates reading tmp[:H]."""
    n = len(h)
    tmp = w @ np.concatenate([h, x]) + b
    i = f = o = sigmoid(tmp[:n])
    c = f * c + i * np.tanh(tmp[:n])
    return o * np.tanh(c), c


def shared_gates_backward(share):
    def backward(cotangents, x, h, c, w, b):
        dh, dc = cotangents
        n, z = len(h), np.concatenate([h, x])
        tmp = w @ z + b
        s, g = sigmoid(tmp[:n]), np.tanh(tmp[:n])
        c_new = s * c + s * g
        dc = dc + dh * s * (1 - np.tanh(c_new) ** 2)
        do, df, di, dg = dh * np.tanh(c_new), dc * c, dc * g, dc * s
        d_tmp = share * ((do + df + di) * s * (1 - s) + dg * (1 - g**2))
        dz = w.T @ d_tmp
        return dz[n:], dz[:n], dc * s, np.outer(d_tmp, z), d_tmp

    return backward


trap("LSTM: shared gates, /4", shared_gates, shared_gates_backward(1), shared_gates_backward(0.25),
     normal(3, 5, 5, (5, 8), 5))  # fmt: skip


# ---------------------------------------------------------------- GRU step, reset gate after the product
def gru(x, h, w, u):
    n = h.shape[1]
    a, q = x @ w.T, h @ u.T
    r, z = sigmoid(a[:, :n] + q[:, :n]), sigmoid(a[:, n : 2 * n] + q[:, n : 2 * n])
    candidate = np.tanh(a[:, 2 * n :] + r * q[:, 2 * n :])
    return (1 - z) * candidate + z * h


@cache
def gru_backward(bug=""):
    def backward(g, x, h, w, u):
        n = h.shape[1]
        a, q = x @ w.T, h @ u.T
        r, z = sigmoid(a[:, :n] + q[:, :n]), sigmoid(a[:, n : 2 * n] + q[:, n : 2 * n])
        candidate = np.tanh(a[:, 2 * n :] + r * q[:, 2 * n :])
        d_candidate = g * (z if bug == "z for 1 - z" else 1 - z) * (1 - candidate**2)
        dz = g * (h - candidate) * z * (1 - z) * (-1 if bug == "sign of dz" else 1)
        dr = 0 * r if bug == "no path through the reset gate" else d_candidate * q[:, 2 * n :] * r * (1 - r)
        da = np.concatenate([dr, dz, d_candidate], 1)
        dq = np.concatenate([dr, dz, d_candidate * r], 1)
        dh = dq @ u + (0 if bug == "no direct path of h" else g * z)
        return da @ w, dh, da.T @ x, dq.T @ h

    return backward


gru_args = normal((2, 3), (2, 4), (12, 3), (12, 4))
for bug in ("no path through the reset gate", "no direct path of h", "z for 1 - z", "sign of dz"):
    trap(f"GRU: {bug}", gru, gru_backward(), gru_backward(bug), gru_args)


# ---------------------------------------------------------------- tanh RNN
def rnn(xs, w, u, h):
    hs = []
    for x in xs:
        h = np.tanh(x @ w.T + h @ u.T)
        hs.append(h)
    return np.stack(hs)


@cache
def rnn_backward(bug=""):
    def backward(g, xs, w, u, h0):
        hs = np.concatenate([h0[None], rnn(xs, w, u, h0)])
        dxs, dw, du, dh = np.zeros_like(xs), np.zeros_like(w), np.zeros_like(u), np.zeros_like(h0)
        for t in reversed(range(len(xs))):
            slope = 1 - hs[t + 1] if bug == "1 - h for 1 - h^2" else 1 - hs[t + 1] ** 2
            da = (g[t] + dh) * slope
            dxs[t], dh = da @ w, 0 * dh if bug == "no carry of dh" else da @ u
            dw, du = dw + da.T @ xs[t], du + da.T @ hs[t + 1 if bug == "h off by one" else t]
        if bug == "last step's input":
            dxs[-1] *= 2
        if bug == "one sequence":
            dxs[:, 1] *= 0.9
        return dxs, dw, du, dh

    return backward


rnn_args = normal((4, 3, 2), (3, 2), (3, 3), (3, 3))
for bug in ("no carry of dh", "h off by one", "1 - h for 1 - h^2", "last step's input", "one sequence"):
    trap(f"RNN: {bug}", rnn, rnn_backward(), rnn_backward(bug), rnn_args)


# ---------------------------------------------------------------- linear maps, sums, broadcasting
def linear(x, w, b):
    return x @ w + b


def linear_backward(g, x, w, b):
    return g @ w.T, x.T @ g, g.sum(0)


def with_part(position, change):
    """linear_backward with one gradient changed."""

    def backward(g, x, w, b):
        grads = list(linear_backward(g, x, w, b))
        grads[position] = change(grads[position], g, x, w)
        return tuple(grads)

    return backward


def one_row(d, g, x, w):
    d[2] *= 1.5
    return d


linear_args = normal((3, 4), (4, 4), 4)
for name, position, change in [
    ("square matrix transposed", 0, lambda d, g, x, w: g @ w),
    ("weight gradient transposed", 1, lambda d, g, x, w: d.T),
    ("bias not summed over the batch", 2, lambda d, g, x, w: g[0]),
    ("bias summed twice", 2, lambda d, g, x, w: 2 * d),
    ("mean over the batch for the sum", 1, lambda d, g, x, w: d / len(x)),
    ("sign", 1, lambda d, g, x, w: -d),
    ("one row", 1, one_row),
    ("zero", 2, lambda d, g, x, w: 0 * d),
]:
    trap(f"linear: {name}", linear, linear_backward, with_part(position, change), linear_args)
trap("linear: bias gradient of shape (B, H)", linear, linear_backward, with_part(2, lambda d, g, x, w: g), linear_args,
     "shape")  # fmt: skip
trap("linear: float64 gradient of float32", linear, linear_backward,
     with_part(1, lambda d, g, x, w: d.astype(np.float64)),
     normal((3, 4), (4, 4), 4, dtype=np.float32), "dtype")  # fmt: skip
trap("broadcast: the wrong axis summed", lambda x, y: x * y,
     lambda g, x, y: ((g * y).sum(1, keepdims=True), g * x),
     lambda g, x, y: ((g * y).sum(0)[:, None], g * x), normal((4, 1), (4, 4)))  # fmt: skip
trap("mean squared error: the 2 forgotten", lambda x, y: np.mean((x - y) ** 2),
     lambda g, x, y: (g * 2 * (x - y) / x.size, g * 2 * (y - x) / x.size),
     lambda g, x, y: (g * (x - y) / x.size, g * (y - x) / x.size), normal((3, 4), (3, 4)))  # fmt: skip
trap("two outputs: the second's cotangent ignored", lambda x: (np.sin(x), 0.1 * np.cos(x)),
     lambda g, x: (g[0] * np.cos(x) - g[1] * 0.1 * np.sin(x),),
     lambda g, x: (g[0] * np.cos(x),), normal(5))  # fmt: skip


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def layer_norm_backward(through_variance):
    def backward(g, x):
        y = layer_norm(x)
        deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        path = y * (g * y).mean(-1, keepdims=True) if through_variance else 0
        return ((g - g.mean(-1, keepdims=True) - path) / deviation,)

    return backward


trap("layer norm: no path through the variance", layer_norm, layer_norm_backward(True), layer_norm_backward(False),
     normal((3, 6)))  # fmt: skip


# ---------------------------------------------------------------- wrong in places
def elu(x):
    return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)


trap("ELU: wrong where negative", elu, lambda g, x: (g * np.where(x > 0, 1, np.exp(np.minimum(x, 0))),),
     lambda g, x: (g * np.where(x > 0, 1, np.exp(np.minimum(x, 0)) - 1),), normal(8))  # fmt: skip
trap("ELU: wrong where negative, tested at positive points", elu, TRAPS[-1].right, TRAPS[-1].wrong,
     lambda rng: (rng.uniform(0.5, 1.5, 8),))  # fmt: skip
trap("Huber loss: wrong in the rare branch", lambda x: np.where(np.abs(x) > 2, 4 * np.abs(x) - 4, x**2),
     lambda g, x: (g * np.where(np.abs(x) > 2, 4 * np.sign(x), 2 * x),),
     lambda g, x: (g * 2 * x,), normal(12, scale=0.4))  # fmt: skip


def one_entry(g, x, w):
    d = x.T @ g
    d[17, 3] *= 1.01
    return g @ w.T, d


trap("one entry of 3,000", lambda x, w: x @ w, lambda g, x, w: (g @ w.T, x.T @ g), one_entry, normal((3, 60), (60, 50)))
trap("symmetry: zeros hide a factor", lambda x: np.sum(x**2), lambda g, x: (g * 2 * x,), lambda g, x: (g * x,),
     lambda rng: (np.zeros(5),))  # fmt: skip


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


trap("symmetry: equal entries hide a transpose", lambda w: w @ w, lambda g, w: (g @ w.T + w.T @ g,),
     lambda g, w: (g @ w + w @ g,), lambda rng: (np.ones((3, 3)),))  # fmt: skip
trap("softmax: the diagonal of its Jacobian alone", softmax,
     lambda g, x: ((y := softmax(x)) * (g - (g * y).sum(-1, keepdims=True)),),
     lambda g, x: ((y := softmax(x)) * (1 - y) * g,), normal((2, 5)))  # fmt: skip
trap(
    "relative error 1e-4",
    lambda x: np.sin(x),
    lambda g, x: (g * np.cos(x),),
    lambda g, x: (g * np.cos(x) * 1.0001,),
    normal(6),
)


# ---------------------------------------------------------------- how it is written
def float32_only(x):
    if x.dtype != np.float32:
        raise TypeError("float32 wanted")
    return np.tanh(x)


trap("float32-only code", float32_only, lambda g, x: (g * (1 - np.tanh(x) ** 2),),
     lambda g, x: (g * (1 - np.tanh(x)),), normal((3, 4), dtype=np.float32))  # fmt: skip


def scales_cotangent(g, x):
    g *= np.cos(x)
    return (g.copy(),)


def clears_input(g, x):
    d = g * np.cos(x)
    x[:] = 0
    return (d,)


trap("the backward writes into its cotangent", np.sin, lambda g, x: (g * np.cos(x),), scales_cotangent, normal(6),
     "mutates-input")  # fmt: skip
trap("the backward writes into its input", np.sin, lambda g, x: (g * np.cos(x),), clears_input, normal(6),
     "mutates-input")  # fmt: skip


def in_place(x):
    x -= x.mean()
    return x**2


trap("f writes into its input", lambda x: (x - x.mean()) ** 2,
     lambda g, x: ((d := 2 * g * (x - x.mean())) - d.mean(),),
     lambda g, x: ((d := 2 * g * (x - x.mean())) - d.mean(),), normal(6), "mutates-input", in_place)  # fmt: skip

hidden = np.random.default_rng(0)
trap("hidden randomness in f", lambda x, mask: x * mask, lambda g, x, mask: (g * mask,), lambda g, x, mask: (g * mask,),
     lambda rng: (rng.standard_normal(6), rng.integers(0, 2, 6)), "nondeterministic",
     lambda x, mask: x * (1 + 0.1 * hidden.standard_normal(6)))  # fmt: skip
trap("hidden randomness in the backward", lambda x, mask: x * mask, lambda g, x, mask: (g * mask,),
     lambda g, x, mask: (g * hidden.integers(0, 2, 40),),
     lambda rng: (rng.standard_normal(40), rng.integers(0, 2, 40)), "nondeterministic")  # fmt: skip
trap("clipped inside the backward", rnn, rnn_backward(),
     lambda g, *args: tuple(np.clip(d, -5, 5) for d in rnn_backward()(g, *args)),
     normal((3, 2, 2), (3, 2), (3, 3), (2, 3), scale=0.3))  # fmt: skip
trap("the cotangent ignored", lambda x: np.sin(x).sum(), lambda g, x: (g * np.cos(x),), lambda g, x: (np.cos(x),),
     normal(5))  # fmt: skip


def embedding_backward(g, table, tokens):
    d = np.zeros_like(table)
    np.add.at(d, tokens, g)
    return (d,)


def embedding_overwritten(g, table, tokens):
    d = np.zeros_like(table)
    d[tokens] = g
    return (d,)


trap("integer arguments: a repeated token counted once", lambda table, tokens: table[tokens], embedding_backward,
     embedding_overwritten, lambda rng: (rng.standard_normal((5, 3)), np.array([0, 3, 3, 1])))  # fmt: skip
trap("an integer gradient", np.abs, lambda g, x: (g * np.sign(x),), lambda g, x: ((g * np.sign(x)).astype(int),),
     normal(6), "dtype")  # fmt: skip

# ---------------------------------------------------------------- scales
trap("tiny scale, 1e-8", lambda x: 1e8 * x**2, lambda g, x: (2e8 * g * x,), lambda g, x: (1e8 * g * x,),
     normal(6, scale=1e-8))  # fmt: skip
trap("huge scale, 1e8", lambda x: x * np.sqrt(1e16 + x**2),
     lambda g, x: (g * (1e16 + 2 * x**2) / np.sqrt(1e16 + x**2),),
     lambda g, x: (g * np.sqrt(1e16 + x**2),), normal(6, scale=1e8))  # fmt: skip
trap("stiff exp", lambda x: np.exp(40 * x), lambda g, x: (40 * g * np.exp(40 * x),), lambda g, x: (g * np.exp(40 * x),),
     normal(5))  # fmt: skip
trap("stiff log", lambda x: np.log(x), lambda g, x: (g / x,), lambda g, x: (g / (x + 1e-9),),
     lambda rng: (10.0 ** rng.uniform(-8, 0, 5),))  # fmt: skip
weights = np.array([1e-6, 1, 1e-7, 1])
trap("a wrong gradient under an absolute tolerance", lambda x: np.sum(weights * np.sin(x)),
     lambda g, x: (g * weights * np.cos(x),), lambda g, x: (g * weights * np.cos(x) * np.where(weights < 1, 2, 1),),
     normal(4))  # fmt: skip


# ---------------------------------------------------------------- kinks
def at_kinks(rng):
    return (np.concatenate([np.zeros(3), rng.standard_normal(3)]),)


trap("kink: leaky relu at 0, wrong beside it", lambda x: np.where(x > 0, x, 0.1 * x),
     lambda g, x: (g * np.where(x > 0, 1, 0.1),), lambda g, x: (g * np.where(x > 0, 1, 0.2),), at_kinks,
     right_kind="kink")  # fmt: skip
trap("kink: clip passes its gradient through", lambda x: np.clip(x, -1, 1), lambda g, x: (g * (np.abs(x) <= 1),),
     lambda g, x: (g,), lambda rng: (np.array([-1.0, 1.0, 0.3, *rng.uniform(1.1, 2, 2)]),),
     right_kind="kink")  # fmt: skip
trap("kink: relu network at zero", lambda x, w, v: np.maximum(x @ w, 0) @ v,
     lambda g, x, w, v: ((d := (g @ v.T) * (x @ w > 0)) @ w.T, x.T @ d, np.maximum(x @ w, 0).T @ g),
     lambda g, x, w, v: ((d := g @ v.T) @ w.T, x.T @ d, np.maximum(x @ w, 0).T @ g),
     lambda rng: (np.zeros((2, 3)), rng.standard_normal((3, 5)), rng.standard_normal((5, 2))),
     right_kind="kink")  # fmt: skip
trap("kink: max of equal entries, gradient to the wrong one", lambda x: np.max(x, axis=1),
     lambda g, x: (np.eye(x.shape[1])[np.argmax(x, 1)] * g[:, None],),
     lambda g, x: (np.eye(x.shape[1])[np.argmin(x, 1)] * g[:, None],),
     lambda rng: (np.array([[1.0, 1, 0], [2, 0, 2]]),), right_kind="kink")  # fmt: skip
