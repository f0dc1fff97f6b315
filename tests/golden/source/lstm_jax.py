"""LSTM in JAX, forward and backward over whole sequences.

One step of an LSTM. h, c: (B, H), x: (B, I), weights (4H, I) and (4H, H) in the order i, f, g, o -> h', c'.

i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      write (input gate)
f = sigmoid(W_if x + b_if + W_hf h + b_hf)      keep (forget gate)
g = tanh(W_ig x + b_ig + W_hg h + b_hg)         what to write
o = sigmoid(W_io x + b_io + W_ho h + b_ho)      show (output gate)
c' = f * c + i * g
h' = o * tanh(c')                               and with weight_hr (P, H), h' = W_hr (o * tanh(c'))

Written by minirnn 0.1.0 from the cell's step, with proj_size=0, bias=True. The backward pass is derived from it,
and written out below.
In loops f_t is the value of a step; f is that of all steps, (T, B, ...); d_f is the loss's gradient by f. Run as a
program, this file compares itself with JAX's own gradient of a lax.scan.
"""

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Parameters(NamedTuple):
    """What is trained."""

    weight_ih: Any
    weight_hh: Any
    bias_ih: Any
    bias_hh: Any


class State(NamedTuple):
    """Each (B, ...)."""

    h: Any
    c: Any


def init(key, input_size, hidden_size, dtype=jnp.float32):
    """Parameters, drawn."""
    I = input_size
    H = hidden_size
    keys = iter(jax.random.split(key, 4))
    return Parameters(
        weight_ih=jax.random.uniform(next(keys), (4 * H, I), dtype, -(H ** -0.5), H ** -0.5),
        weight_hh=jax.random.uniform(next(keys), (4 * H, H), dtype, -(H ** -0.5), H ** -0.5),
        bias_ih=jax.random.uniform(next(keys), (4 * H,), dtype, -(H ** -0.5), H ** -0.5),
        bias_hh=jax.random.uniform(next(keys), (4 * H,), dtype, -(H ** -0.5), H ** -0.5),
    )


def initial_state(parameters, batch_size):
    """The state before the first step."""
    H = parameters.weight_hh.shape[1]
    like = parameters.weight_ih
    return State(jnp.zeros((batch_size, H), like.dtype), jnp.zeros((batch_size, H), like.dtype))


def apply(parameters, xs, state=None, lengths=None):
    """LSTM over sequences: xs (T, B, I) -> outputs (T, B, ...), final state.

    lengths (B,): past its end a sequence's state is held, and its outputs are 0.
    """
    return run(scan, parameters, xs, state, lengths)


def run(scan, parameters, xs, state=None, lengths=None):
    """By `scan`, or by `by_steps`, which JAX differentiates."""
    T, B = xs.shape[:2]
    inside = None
    if lengths is not None:
        inside = jnp.arange(T)[:, None] < jnp.asarray(lengths)
        xs = jnp.where(inside[:, :, None], xs, lax.stop_gradient(xs[:1]))  # also where nan stands
    if state is None:
        state = initial_state(parameters, B)
    h_0, c_0 = state
    x = xs
    y, *final = scan(
        x, h_0, c_0, parameters.weight_ih, parameters.weight_hh, parameters.bias_ih, parameters.bias_hh, inside
    )
    if inside is not None:
        y = jnp.where(inside[:, :, None], y, 0)
    return y, State(*final)


def step(x, h_prev, c_prev, weight_ih, weight_hh, bias_ih, bias_hh):
    """One step, all (B, ...) -> output, new state. What follows is derived from this."""
    H = h_prev.shape[1]
    a = x @ weight_ih.T + bias_ih + (h_prev @ weight_hh.T + bias_hh)
    i = jax.nn.sigmoid(a[:, :H])
    f = jax.nn.sigmoid(a[:, H:2 * H])
    g = jnp.tanh(a[:, 2 * H:3 * H])
    o = jax.nn.sigmoid(a[:, 3 * H:])
    c = f * c_prev + i * g
    h = o * jnp.tanh(c)
    return h, (h, c)


def ahead(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside):
    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""
    H = h_0.shape[1]
    b = bias_ih + bias_hh
    x_a = x @ weight_ih.T

    def one(carried, now):
        h_prev, c_prev = carried
        x_a_t, inside_t = now
        a_t = b + x_a_t + h_prev @ weight_hh.T
        i_t = jax.nn.sigmoid(a_t[:, :H])
        f_t = jax.nn.sigmoid(a_t[:, H:2 * H])
        g_t = jnp.tanh(a_t[:, 2 * H:3 * H])
        o_t = jax.nn.sigmoid(a_t[:, 3 * H:])
        c_t = f_t * c_prev + i_t * g_t
        tanh_c_t = jnp.tanh(c_t)
        h_t = o_t * tanh_c_t
        if inside is not None:
            h_t = jnp.where(inside_t[:, None], h_t, h_prev)
            c_t = jnp.where(inside_t[:, None], c_t, c_prev)
        return (h_t, c_t), (i_t, f_t, g_t, o_t, tanh_c_t, h_t, c_t)

    (h_prev, c_prev), (i, f, g, o, tanh_c, h, c) = lax.scan(one, (h_0, c_0), (x_a, inside))
    return (h, h_prev, c_prev), (i, f, g, o, tanh_c, c)


def back(
    d_y, d_h_next, d_c_next, x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside, i, f, g, o, tanh_c, h, c
):
    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""
    T = x.shape[0]
    B = x.shape[1]
    c_prev = jnp.concatenate((c_0[None], c[:-1]))
    h_prev = jnp.concatenate((h_0[None], h[:-1]))

    def one(carried, now):
        d_h_next, d_c_next = carried
        d_y_t, o_t, tanh_c_t, i_t, g_t, f_t, c_prev_t, h_t, inside_t = now
        if inside is not None:  # past its end a sequence hands on what comes
            ended = (jnp.where(inside_t[:, None], 0, d_h_next), jnp.where(inside_t[:, None], 0, d_c_next))
            d_h_next = d_h_next - ended[0]
            d_c_next = d_c_next - ended[1]
        d_h_t = d_h_next + d_y_t
        d_c_t = d_c_next + o_t * (1 - tanh_c_t * tanh_c_t) * d_h_t
        d_i_pre_t = i_t * g_t * (1 - i_t) * d_c_t
        d_f_pre_t = f_t * c_prev_t * (1 - f_t) * d_c_t
        d_g_pre_t = i_t * (1 - g_t * g_t) * d_c_t
        d_a_t = jnp.concatenate((d_i_pre_t, d_f_pre_t, d_g_pre_t, h_t * (1 - o_t) * d_h_t), -1)
        d_h_prev_t = d_a_t @ weight_hh
        d_c_prev_t = f_t * d_c_t
        carried = (d_h_prev_t, d_c_prev_t)
        if inside is not None:
            carried = tuple(a + b for a, b in zip(carried, ended))
        return carried, (d_a_t,)

    (d_h_next, d_c_next), (d_a,) = lax.scan(
        one, (d_h_next, d_c_next), (d_y, o, tanh_c, i, g, f, c_prev, h, inside), reverse=True
    )
    d_weight_ih = d_a.reshape(T * B, -1).T @ x.reshape(T * B, -1)
    d_weight_hh = d_a.reshape(T * B, -1).T @ h_prev.reshape(T * B, -1)
    d_bias_ih = d_a.sum((0, 1))
    d_x = d_a @ weight_ih
    return d_x, d_h_next, d_c_next, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_ih, None


@jax.custom_vjp
def scan(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside):
    """Outputs and final state of `ahead`, whose derivative is `back`."""
    return ahead(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside)[0]


def scan_forward(*given):
    outputs, saved = ahead(*given)
    return outputs, (given, outputs, saved)


def scan_backward(kept, cotangents):
    given, outputs, saved = kept
    i, f, g, o, tanh_c, c = saved
    return back(*cotangents, *given, i, f, g, o, tanh_c, outputs[0], c)


scan.defvjp(scan_forward, scan_backward)


def by_steps(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, inside):
    """The same by a plain lax.scan over `step`."""

    def one(state, now):
        *values, inside_t = now
        y, new = step(*values, *state, weight_ih, weight_hh, bias_ih, bias_hh)
        if inside is not None:
            masks = [inside_t.reshape(-1, *[1] * (a.ndim - 1)) for a in new]
            new = tuple(map(jnp.where, masks, new, state))
        return new, y

    final, y = lax.scan(one, (h_0, c_0), (x, inside))
    return y, *final


def main():
    """Compare the derived backward pass with the gradient of the plain scan."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)  # what is compiled runs once
    parameters, rng = init(jax.random.key(0), 3, 8, jnp.float64), np.random.default_rng(0)
    worst = 0.0
    for lengths in None, np.array([7, 4, 1]):
        xs = rng.standard_normal((7, 3, 3))
        first = jax.tree.map(lambda a: rng.uniform(size=a.shape), initial_state(parameters, 3))
        found = []
        for how in scan, by_steps:

            def loss(parameters, xs, state):
                results = run(how, parameters, xs, state, lengths)
                weighed = [(a * jnp.cos(lax.stop_gradient(a))).sum() for a in jax.tree.leaves(results)]
                return sum(weighed), results

            gradients, results = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(parameters, xs, first)
            named = {"results": results, **dict(zip(("parameters", "xs", "state"), gradients))}
            found.append(jax.tree_util.tree_leaves_with_path(named))
        for (path, ours), (_, theirs) in zip(*found):
            ours, theirs = np.asarray(ours), np.asarray(theirs)
            error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1)
            worst = max(worst, error)
            where = 'all steps' if lengths is None else 'lengths'
            print(f"{where:10} {jax.tree_util.keystr(path):30} {error:.1e}")
    print(f"LSTM: {worst:.1e} from JAX's own gradient at most")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
