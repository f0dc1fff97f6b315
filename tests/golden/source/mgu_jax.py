"""MGU in JAX, forward and backward over whole sequences.

The minimal gated unit. State and output: h (B, H).

MGU, the minimal gated unit (Zhou, Wu, Zhang & Zhou 2016, arXiv:1603.09420).

    f = sigmoid(W_f x + U_f h + b_f)
    h~ = tanh(W_h x + U_h (f * h) + b_h)
    h' = (1 - f) * h + f * h~

x: (B, I), h: (B, H); w (2H, I), u (2H, H), b (2H,) in the order f, h. One gate does the work of a GRU's two, it
chooses what the candidate sees of the past and how much of the past is kept: a GRU's accuracy at two thirds of its
parameters.

Written by minirnn 0.1.0 from the cell's step. The backward pass is derived from it, and written out below.
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

    w: Any
    u: Any
    b: Any


def init(key, input_size, hidden_size, dtype=jnp.float32):
    """Parameters, drawn."""
    I = input_size
    H = hidden_size
    keys = iter(jax.random.split(key, 3))
    return Parameters(
        w=jax.random.uniform(next(keys), (2 * H, I), dtype, -(H ** -0.5), H ** -0.5),
        u=jax.random.uniform(next(keys), (2 * H, H), dtype, -(H ** -0.5), H ** -0.5),
        b=jax.random.uniform(next(keys), (2 * H,), dtype, -(H ** -0.5), H ** -0.5),
    )


def initial_state(parameters, batch_size):
    """The state before the first step."""
    H = parameters.u.shape[1]
    like = parameters.w
    return jnp.zeros((batch_size, H), like.dtype)


def apply(parameters, xs, state=None, lengths=None):
    """MGU over sequences: xs (T, B, I) -> outputs (T, B, ...), final state.

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
    h_0, = (state,)
    x = xs
    y, *final = scan(x, h_0, parameters.w, parameters.u, parameters.b, inside)
    if inside is not None:
        y = jnp.where(inside[:, :, None], y, 0)
    return y, final[0]


def step(x, h_prev, w, u, b):
    """One step, all (B, ...) -> output, new state. What follows is derived from this."""
    H = h_prev.shape[1]
    a = x @ w.T + b
    f = jax.nn.sigmoid(a[:, :H] + h_prev @ u[:H].T)
    candidate = jnp.tanh(a[:, H:] + f * h_prev @ u[H:].T)
    h = (1 - f) * h_prev + f * candidate
    return h, (h,)


def ahead(x, h_0, w, u, b, inside):
    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""
    H = h_0.shape[1]
    u_f = u[:H]
    u_h = u[H:]
    x_a = x @ w.T

    def one(carried, now):
        h_prev, = carried
        x_a_t, inside_t = now
        a_t = x_a_t + b
        f_t = jax.nn.sigmoid(a_t[:, :H] + h_prev @ u_f.T)
        candidate_t = jnp.tanh(a_t[:, H:] + f_t * h_prev @ u_h.T)
        h_t = (1 - f_t) * h_prev + f_t * candidate_t
        if inside is not None:
            h_t = jnp.where(inside_t[:, None], h_t, h_prev)
        return (h_t,), (f_t, candidate_t, h_t)

    (h_prev,), (f, candidate, h) = lax.scan(one, (h_0,), (x_a, inside))
    return (h, h_prev), (f, candidate)


def back(d_y, d_h_next, x, h_0, w, u, b, inside, f, candidate, h):
    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""
    T = x.shape[0]
    B = x.shape[1]
    H = h_0.shape[1]
    h_prev = jnp.concatenate((h_0[None], h[:-1]))
    u_f = u[:H]
    u_h = u[H:]

    def one(carried, now):
        d_h_next, = carried
        f_t, d_y_t, candidate_t, h_prev_t, inside_t = now
        if inside is not None:  # past its end a sequence hands on what comes
            ended = (jnp.where(inside_t[:, None], 0, d_h_next),)
            d_h_next = d_h_next - ended[0]
        k_t = 1 - f_t
        d_h_t = d_h_next + d_y_t
        d_x_h_t = f_t * (1 - candidate_t * candidate_t) * d_h_t
        d_t = d_x_h_t @ u_h
        d_f_t = candidate_t * d_h_t + h_prev_t * d_t - h_prev_t * d_h_t
        d_x_f_t = f_t * k_t * d_f_t
        d_h_prev_t = f_t * d_t + k_t * d_h_t + d_x_f_t @ u_f
        carried = (d_h_prev_t,)
        if inside is not None:
            carried = tuple(a + b for a, b in zip(carried, ended))
        return carried, (d_x_h_t, d_x_f_t)

    (d_h_next,), (d_x_h, d_x_f) = lax.scan(one, (d_h_next,), (f, d_y, candidate, h_prev, inside), reverse=True)
    d_a = jnp.concatenate((d_x_f, d_x_h), -1)
    d_w = d_a.reshape(T * B, -1).T @ x.reshape(T * B, -1)
    d2 = d_x_f.reshape(T * B, -1).T @ h_prev.reshape(T * B, -1)
    d3 = d_x_h.reshape(T * B, -1).T @ (f * h_prev).reshape(T * B, -1)
    d_b = d_a.sum((0, 1))
    d_u = jnp.concatenate((d2, d3), -2)
    d_x = d_a @ w
    return d_x, d_h_next, d_w, d_u, d_b, None


@jax.custom_vjp
def scan(x, h_0, w, u, b, inside):
    """Outputs and final state of `ahead`, whose derivative is `back`."""
    return ahead(x, h_0, w, u, b, inside)[0]


def scan_forward(*given):
    outputs, saved = ahead(*given)
    return outputs, (given, outputs, saved)


def scan_backward(kept, cotangents):
    given, outputs, saved = kept
    f, candidate = saved
    return back(*cotangents, *given, f, candidate, outputs[0])


scan.defvjp(scan_forward, scan_backward)


def by_steps(x, h_0, w, u, b, inside):
    """The same by a plain lax.scan over `step`."""

    def one(state, now):
        *values, inside_t = now
        y, new = step(*values, *state, w, u, b)
        if inside is not None:
            masks = [inside_t.reshape(-1, *[1] * (a.ndim - 1)) for a in new]
            new = tuple(map(jnp.where, masks, new, state))
        return new, y

    final, y = lax.scan(one, (h_0,), (x, inside))
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
    print(f"MGU: {worst:.1e} from JAX's own gradient at most")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
