"""leaky_cell in JAX, forward and backward over whole sequences.

A leaky unit beside a fast trace.

z, n = W x + U h + b
fast' = decay * fast + (1 - decay) * tanh(n)
h' = (1 - sigmoid(z)) * h + sigmoid(z) * fast'

Written by minirnn 0.1.0 from the cell's step, with decay=0.5. The backward pass is derived from it, and written out
below.
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


class State(NamedTuple):
    """Each (B, ...)."""

    h: Any
    fast: Any


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
    return State(jnp.zeros((batch_size, H), like.dtype), jnp.zeros((batch_size, H), like.dtype))


def apply(parameters, xs, state=None, lengths=None):
    """leaky_cell over sequences: xs (T, B, I) -> outputs (T, B, ...), final state.

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
    h_0, fast_0 = state
    x = xs
    y, *final = scan(x, h_0, fast_0, parameters.w, parameters.u, parameters.b, inside)
    if inside is not None:
        y = jnp.where(inside[:, :, None], y, 0)
    return y, State(*final)


def step(x, h_prev, fast_prev, w, u, b):
    """One step, all (B, ...) -> output, new state. What follows is derived from this."""
    H = h_prev.shape[1]
    a = x @ w.T + h_prev @ u.T + b
    z = 1 / (1 + jnp.exp(-a[:, :H]))
    fast = 0.5 * fast_prev + 0.5 * jnp.tanh(a[:, H:])
    h = (1 - z) * h_prev + z * fast
    y = h * fast
    return y, (h, fast)


def ahead(x, h_0, fast_0, w, u, b, inside):
    """The whole sequence: outputs, final state, and what the way back needs. inside: (T, B), or None."""
    H = h_0.shape[1]
    x_a = x @ w.T

    def one(carried, now):
        h_prev, fast_prev = carried
        x_a_t, inside_t = now
        a_t = b + x_a_t + h_prev @ u.T
        a_z_t = jnp.exp(-a_t[:, :H])
        z_t = 1 / (1 + a_z_t)
        a_fast_t = jnp.tanh(a_t[:, H:])
        fast_t = 0.5 * fast_prev + 0.5 * a_fast_t
        h_t = (1 - z_t) * h_prev + z_t * fast_t
        y_t = h_t * fast_t
        if inside is not None:
            h_t = jnp.where(inside_t[:, None], h_t, h_prev)
            fast_t = jnp.where(inside_t[:, None], fast_t, fast_prev)
        return (h_t, fast_t), (a_z_t, z_t, a_fast_t, fast_t, h_t, y_t)

    (h_prev, fast_prev), (a_z, z, a_fast, fast, h, y) = lax.scan(one, (h_0, fast_0), (x_a, inside))
    return (y, h_prev, fast_prev), (a_z, z, a_fast, fast, h)


def back(d_y, d_h_next, d_fast_next, x, h_0, fast_0, w, u, b, inside, a_z, z, a_fast, fast, h):
    """The gradients of all arguments of `ahead`, of those by its outputs and its final state."""
    T = x.shape[0]
    B = x.shape[1]
    h_prev = jnp.concatenate((h_0[None], h[:-1]))

    def one(carried, now):
        d_h_next, d_fast_next = carried
        a_z_t, fast_t, d_y_t, h_prev_t, h_t, z_t, a_fast_t, inside_t = now
        if inside is not None:  # past its end a sequence hands on what comes
            ended = (jnp.where(inside_t[:, None], 0, d_h_next), jnp.where(inside_t[:, None], 0, d_fast_next))
            d_h_next = d_h_next - ended[0]
            d_fast_next = d_fast_next - ended[1]
        k_t = 1 + a_z_t
        d_h_t = d_h_next + fast_t * d_y_t
        d_k_t = -(fast_t * d_h_t - h_prev_t * d_h_t) / (k_t * k_t)
        d_fast_prev_t = 0.5 * (h_t * d_y_t + d_fast_next + z_t * d_h_t)
        d_a_t = jnp.concatenate((-(a_z_t * d_k_t), d_fast_prev_t * (1 - a_fast_t * a_fast_t)), -1)
        d_h_prev_t = (1 - z_t) * d_h_t + d_a_t @ u
        carried = (d_h_prev_t, d_fast_prev_t)
        if inside is not None:
            carried = tuple(a + b for a, b in zip(carried, ended))
        return carried, (d_a_t,)

    (d_h_next, d_fast_next), (d_a,) = lax.scan(
        one, (d_h_next, d_fast_next), (a_z, fast, d_y, h_prev, h, z, a_fast, inside), reverse=True
    )
    d_w = d_a.reshape(T * B, -1).T @ x.reshape(T * B, -1)
    d_u = d_a.reshape(T * B, -1).T @ h_prev.reshape(T * B, -1)
    d_b = d_a.sum((0, 1))
    d_x = d_a @ w
    return d_x, d_h_next, d_fast_next, d_w, d_u, d_b, None


@jax.custom_vjp
def scan(x, h_0, fast_0, w, u, b, inside):
    """Outputs and final state of `ahead`, whose derivative is `back`."""
    return ahead(x, h_0, fast_0, w, u, b, inside)[0]


def scan_forward(*given):
    outputs, saved = ahead(*given)
    return outputs, (given, outputs, saved)


def scan_backward(kept, cotangents):
    given, outputs, saved = kept
    a_z, z, a_fast, fast, h = saved
    return back(*cotangents, *given, a_z, z, a_fast, fast, h)


scan.defvjp(scan_forward, scan_backward)


def by_steps(x, h_0, fast_0, w, u, b, inside):
    """The same by a plain lax.scan over `step`."""

    def one(state, now):
        *values, inside_t = now
        y, new = step(*values, *state, w, u, b)
        if inside is not None:
            masks = [inside_t.reshape(-1, *[1] * (a.ndim - 1)) for a in new]
            new = tuple(map(jnp.where, masks, new, state))
        return new, y

    final, y = lax.scan(one, (h_0, fast_0), (x, inside))
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
    print(f"leaky_cell: {worst:.1e} from JAX's own gradient at most")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
