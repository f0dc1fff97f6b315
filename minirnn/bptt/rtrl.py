"""Real-time recurrent learning (Williams & Zipser 1989, doi:10.1162/neco.1989.1.2.270): the gradient, going forward.

Back-propagation carries dL/d(state) from the end to the beginning. The same chain rule can be summed from the other
end: carry the influence of every parameter p on the state s,

    J[t] = d s[t] / d p                                 J[0] = 0

forward in time, beside the state. A step s' = F(s, x, p) moves s' directly, and through s:

    (1)  J' = dF/ds J + dF/dp                           D = dF/ds is the recurrent Jacobian, dF/dp the immediate one

and the gradient of L = sum_t outputs[t] . d_outputs[t] + s[T] . d_state grows as the sequence is read:

    (2)  grad_p += d_outputs[t] . J'[rows of the output],     at the end  grad_p += d_state . J[T]

The initial state is a parameter too, with J[0] = 1 and no immediate influence, which gives d_state0. The inputs are
left out: each x[t] would be a parameter of its own, with an influence that is carried on for ever after.

What (1) needs of a cell is derived by hand below, with A = ds'/da, the Jacobian of s' in the pre-activations a:

    a = W_ih x + b_ih + W_hh h + b_hh   =>   dF/dW_ih = A x,  dF/dW_hh = A h,  dF/db = A,
                                             dF/dh = A W_hh + the paths straight from h

Nothing is stored of the past, but J has H times as many numbers as the parameters, and (1) multiplies it by D: for a
network of H units with O(H^2) weights, O(H^3) memory and O(H^4) operations a step and a sequence, O(H^2) times what
back-propagation takes. For checking, and for small networks.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.bptt.gates import affine, sigmoid
from minirnn.bptt.gru import RESETS
from minirnn.bptt.rnn import NONLINEARITIES
from minirnn.bptt.sequence import check_backward, check_forward, check_pair

Array = NDArray[Any]
Params = Mapping[str, Array | None]


class Step(NamedTuple):
    """s' (B, S), D = ds'/ds (B, S, S), and the immediate ds'/dp (B, S, *p.shape) by parameter name."""

    state: Array
    recurrent: Array
    immediate: dict[str, Array]


class Result(NamedTuple):
    """outputs (T, B, ...) and final state as BPTT's forward has them; grads by name and d_state0 as its backward."""

    outputs: Array
    state: Any
    grads: dict[str, Array]
    d_state0: Any


# ---------------------------------------------------------------- the three networks
def rnn(
    params: Params,
    xs: Array,
    state: Array,
    d_outputs: Array,
    d_state: Array,
    lengths: Array | None = None,
    nonlinearity: str = "tanh",
) -> Result:
    """RTRL of the simple recurrent network; arguments and shapes as in minirnn.bptt.rnn.

    s = h:   h' = tanh(a)   =>   A = diag(1 - h'^2),   D = A W_hh
    """
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"rtrl.rnn: nonlinearity={nonlinearity!r} came, tanh or relu was expected")
    params, xs, inside, _ = check_forward("rtrl.rnn", params, xs, {"h": state}, lengths, gates=1)

    def step(h: Array, x: Array) -> Step:
        a = _pre_activation(params, h, x)
        h_new = np.tanh(a) if nonlinearity == "tanh" else np.where(a.real > 0, a, 0.0)
        slope = 1.0 - h_new * h_new if nonlinearity == "tanh" else (a.real > 0).astype(a.dtype)
        by_a = _diagonal(slope)
        return Step(h_new, by_a @ params["weight_hh"], _immediate(params, by_a, by_a, h, x))

    _check("rtrl.rnn", d_outputs, [d_state], len(xs), [state])
    outputs, final, grads, d_state0 = _run(step, params, xs, inside, state, d_outputs, d_state)
    return Result(outputs, final, grads, d_state0)


def lstm(
    params: Params,
    xs: Array,
    state: tuple[Array, Array],
    d_outputs: Array,
    d_state: tuple[Array, Array],
    lengths: Array | None = None,
) -> Result:
    """RTRL of the LSTM; arguments and shapes as in minirnn.bptt.lstm.

    s = [h, c].  c' = f c + i g:    dc'/da = [g i(1-i), c f(1-f), i (1-g^2), 0],   dc'/dc = f
    m = o tanh(c'):                 dm/da  = o (1 - tanh(c')^2) dc'/da + [0, 0, 0, tanh(c') o(1-o)],   and so dm/dc
    h' = m, or W_hr m:              dh'/da = W_hr dm/da,   dh'/dW_hr = m in the row of each unit
    """
    (h0, c0), (d_h, d_c) = check_pair("rtrl.lstm", "state", state), check_pair("rtrl.lstm", "d_state", d_state)
    given = check_forward("rtrl.lstm", params, xs, {"h": h0, "c": c0}, lengths, gates=4, projected=True)
    params, xs, inside, _ = given
    width = h0.shape[1]

    def step(s: Array, x: Array) -> Step:
        h, c = s[:, :width], s[:, width:]
        a_i, a_f, a_g, a_o = np.split(_pre_activation(params, h, x), 4, axis=1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c_new = f * c + i * g
        tanh_c = np.tanh(c_new)
        m, m_by_c = o * tanh_c, _diagonal(o * (1.0 - tanh_c * tanh_c))
        none = np.zeros_like(c)
        c_by_a = _diagonals(g * i * (1.0 - i), c * f * (1.0 - f), i * (1.0 - g * g), none)
        m_by_a = m_by_c @ c_by_a + _diagonals(none, none, none, tanh_c * o * (1.0 - o))
        c_by_c = _diagonal(f)
        h_new, h_by_a, h_by_c = m, m_by_a, m_by_c @ c_by_c
        if "weight_hr" in params:
            h_new, h_by_a, h_by_c = (
                m @ params["weight_hr"].T,
                params["weight_hr"] @ h_by_a,
                params["weight_hr"] @ h_by_c,
            )
        by_a = np.concatenate([h_by_a, c_by_a], axis=1)
        recurrent = np.concatenate([by_a @ params["weight_hh"], np.concatenate([h_by_c, c_by_c], axis=1)], axis=2)
        immediate = _immediate(params, by_a, by_a, h, x)
        if "weight_hr" in params:
            immediate["weight_hr"] = np.zeros((*s.shape, *params["weight_hr"].shape), s.dtype)
            for unit in range(width):
                immediate["weight_hr"][:, unit, unit] = m
        return Step(np.concatenate([h_new, c_new], axis=1), recurrent, immediate)

    _check("rtrl.lstm", d_outputs, [d_h, d_c], len(xs), [h0, c0])
    s0, d_s = np.concatenate([h0, c0], axis=1), np.concatenate([d_h, d_c], axis=1)
    outputs, final, grads, d_s0 = _run(step, params, xs, inside, s0, d_outputs, d_s)
    return Result(outputs, (final[:, :width], final[:, width:]), grads, (d_s0[:, :width], d_s0[:, width:]))


def gru(
    params: Params,
    xs: Array,
    state: Array,
    d_outputs: Array,
    d_state: Array,
    lengths: Array | None = None,
    reset: str = "after",
) -> Result:
    """RTRL of the GRU; arguments and shapes as in minirnn.bptt.gru.

    s = h, h' = (1-z) n + z h, and with k = (1-z)(1-n^2), how h' moves with n's pre-activation:
    "after":  dh'/d from_x = [k q r(1-r), (h-n) z(1-z), k],   dh'/d from_h the same with k r for n,
              D = dh'/d from_h W_hh + diag(z)
    "before": r and h reach n through s = r h, across units:  dn/ds = k W_hn,   dh'/da_r = k W_hn diag(h r(1-r)),
              D = [dh'/da_r, (h-n) z(1-z)] W_h[r,z] + k W_hn diag(r) + diag(z)
    """
    if reset not in RESETS:
        raise ValueError(f"rtrl.gru: reset={reset!r} came, 'after' or 'before' (the product) was expected")
    params, xs, inside, hidden = check_forward("rtrl.gru", params, xs, {"h": state}, lengths, gates=3)
    weight_hh, bias_hh, two = params["weight_hh"], params.get("bias_hh"), 2 * hidden
    weight_hn, bias_hn = weight_hh[two:], None if bias_hh is None else bias_hh[two:]

    def step(h: Array, x: Array) -> Step:
        x_r, x_z, x_n = np.split(affine(x, params["weight_ih"], params.get("bias_ih")), 3, axis=1)
        h_r, h_z, q = np.split(affine(h, weight_hh, bias_hh), 3, axis=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = np.tanh(x_n + (r * q if reset == "after" else affine(r * h, weight_hn, bias_hn)))
        k = (1.0 - z) * (1.0 - n * n)
        by_z, by_n = _diagonal((h - n) * z * (1.0 - z)), _diagonal(k)
        if reset == "after":
            by_r, by_n_from_h, through_n = (
                _diagonal(k * q * r * (1.0 - r)),
                _diagonal(k * r),
                _diagonal(k * r) @ weight_hn,
            )
        else:
            by_s = by_n @ weight_hn
            by_r, by_n_from_h, through_n = by_s * (h * r * (1.0 - r))[:, None, :], by_n, by_s * r[:, None, :]
        from_x = np.concatenate([by_r, by_z, by_n], axis=2)
        from_h = np.concatenate([by_r, by_z, by_n_from_h], axis=2)
        immediate = _immediate(params, from_x, from_h, h, x)
        if reset == "before":  # the rows of n meet r h
            immediate["weight_hh"][:, :, two:] = _outer(by_n, r * h)
        recurrent = from_h[:, :, :two] @ weight_hh[:two] + through_n + _diagonal(z)
        return Step((1.0 - z) * n + z * h, recurrent, immediate)

    _check("rtrl.gru", d_outputs, [d_state], len(xs), [state])
    outputs, final, grads, d_state0 = _run(step, params, xs, inside, state, d_outputs, d_state)
    return Result(outputs, final, grads, d_state0)


# ---------------------------------------------------------------- the recursion
def _run(
    step: Callable[[Array, Array], Step],
    params: dict[str, Array],
    xs: Array,
    inside: Array,
    s: Array,
    d_outputs: Array,
    d_state: Array,
) -> tuple[Array, Array, dict[str, Array], Array]:
    """(1) and (2) for a step whose output is the first columns of its state."""
    batch, size = s.shape
    width = d_outputs.shape[2]
    influence = {name: np.zeros((batch, size, *array.shape), s.dtype) for name, array in params.items()}
    of_s0 = np.broadcast_to(np.eye(size, dtype=s.dtype), (batch, size, size))
    grads = {name: np.zeros_like(array) for name, array in params.items()}
    d_s0 = np.zeros_like(s)
    outputs = np.zeros_like(d_outputs)
    for t, x in enumerate(xs):
        new, recurrent, immediate = step(s, x)
        now = inside[t, :, 0]  # past its end a sequence keeps its state and its influences
        s = np.where(inside[t], new, s)
        for name, before in influence.items():
            after = np.einsum("bij,bj...->bi...", recurrent, before) + immediate[name]  # (1)
            influence[name] = np.where(now.reshape(-1, *[1] * (after.ndim - 1)), after, before)
        of_s0 = np.where(inside[t][:, None], recurrent @ of_s0, of_s0)
        outputs[t] = np.where(inside[t], s[:, :width], 0.0)
        d_output = np.where(inside[t], d_outputs[t], 0.0)
        for name, j in influence.items():
            grads[name] += np.einsum("bi,bi...->...", d_output, j[:, :width])  # (2)
        d_s0 += np.einsum("bi,bij->bj", d_output, of_s0[:, :width])
    for name, j in influence.items():
        grads[name] += np.einsum("bi,bi...->...", d_state, j)
    return outputs, s.copy(), grads, d_s0 + np.einsum("bi,bij->bj", d_state, of_s0)


def _immediate(params: dict[str, Array], from_x: Array, from_h: Array, h: Array, x: Array) -> dict[str, Array]:
    """ds'/dp for weights and biases, from ds'/d(what x adds to a) and ds'/d(what h adds to a), both (B, S, A)."""
    found = {"weight_ih": _outer(from_x, x), "weight_hh": _outer(from_h, h)}
    return found | {name: by for name, by in {"bias_ih": from_x, "bias_hh": from_h}.items() if name in params}


def _pre_activation(params: dict[str, Array], h: Array, x: Array) -> Array:
    from_x = affine(x, params["weight_ih"], params.get("bias_ih"))
    return from_x + affine(h, params["weight_hh"], params.get("bias_hh"))


def _outer(by_a: Array, x: Array) -> Array:
    """d s'/d W for a = W x: (B, S, A) and (B, I) -> (B, S, A, I)."""
    return by_a[..., None] * x[:, None, None, :]


def _diagonal(values: Array) -> Array:
    """(B, H) on the diagonals of (B, H, H)."""
    return values[:, :, None] * np.eye(values.shape[1], dtype=values.dtype)


def _diagonals(*values: Array) -> Array:
    """Diagonal matrices side by side, one for each gate: (B, H) each -> (B, H, gates * H)."""
    return np.concatenate([_diagonal(value) for value in values], axis=2)


def _check(where: str, d_outputs: Array, d_state: list[Array], steps: int, state: list[Array]) -> None:
    expected = {"d_outputs": np.empty((steps, *state[0].shape), state[0].dtype)}
    came = {"d_outputs": d_outputs}
    for what, cotangent, like in zip(["d_state", "d_state c"], d_state, state, strict=False):
        came[what], expected[what] = cotangent, like
    check_backward(where, None, came, expected)
