"""The linear recurrence h_t = a_t * h_{t-1} + b_t over a whole sequence at once, and its derivatives.

Two such steps in a row are one such step, (a, b) then (a', b') is (a' a, a' b + b'), and this joining is associative:
neighbours can be joined pairwise, all pairs at once, then pairs of pairs (Blelloch 1990, "Prefix sums and their
applications"; for recurrent networks Martin & Cundy 2018, arXiv:1709.04057). In NumPy that is some six calls for each
of log2 T levels, on long arrays, in place of two calls for each of T steps, on short ones.

On a CPU a level costs memory traffic that the plain loop, which stays in the cache, does not have. It pays where the
arrays of one step are so short that calling NumPy is most of the cost; `python -m benchmarks --only parallel_scan`
measures it, and PREFIX_WIDTH and PREFIX_STEPS are where it found the border. Both methods give the same numbers within
rounding.

The derivative is a recurrence of the same kind, backwards in time: with g_t the cotangent of h_t,

    l_t = g_t + conj(a_{t+1}) l_{t+1},    db_t = l_t,    da_t = conj(h_{t-1}) l_t,    dh_{-1} = conj(a_0) l_0

so it is computed by the same function, and so are its own derivatives. Complex numbers are pairs of real ones along a
last axis of length 2.
"""

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn.module import Array
from minirnn.primitive import joint

__all__ = ["METHODS", "complex_pairs", "linear_scan", "multiply_pairs"]

PREFIX_WIDTH = 128  # numbers in one step's arrays, up to which joining pairs is faster than the loop
PREFIX_STEPS = 64  # and the steps from which on


# ---------------------------------------------------------------- in NumPy
def _loop(a: Array, b: Array, h: Array) -> Array:
    """Step by step, in T times two calls."""
    hs = onp.empty_like(b)
    for t in range(len(b)):
        onp.multiply(a[t], h, out=hs[t])
        hs[t] += b[t]
        h = hs[t]
    return hs


def _prefix(a: Array, b: Array, h: Array) -> Array:
    """Pair by pair: the pairs' own recurrence, half as long, gives every second h; the others follow from those."""
    if len(b) < 2:
        return _loop(a, b, h)
    pairs = len(b) // 2 * 2
    first, second = slice(0, pairs, 2), slice(1, pairs, 2)
    hs = onp.empty_like(b)
    hs[second] = _prefix(a[second] * a[first], a[second] * b[first] + b[second], h)
    hs[0] = a[0] * h + b[0]
    hs[2::2] = a[2::2] * hs[1:-1:2] + b[2::2]
    return hs


METHODS: dict[str, Callable[[Array, Array, Array], Array]] = {"loop": _loop, "prefix": _prefix}


def _run(a: Array, b: Array, h: Array, method: str = "auto") -> Array:
    if method == "auto":
        method = "prefix" if h.size <= PREFIX_WIDTH and len(b) >= PREFIX_STEPS else "loop"
    return METHODS[method](a, b, h)


def _run_pairs(a: Array, b: Array, h: Array, method: str = "auto") -> Array:
    hs = _run(_as_complex(a), _as_complex(b), _as_complex(h), method)
    return hs.view(b.dtype).reshape(b.shape)


def _as_complex(pairs: Array) -> Array:
    """(..., 2) reals as (...) complex numbers of the same precision."""
    kind = onp.result_type(pairs.dtype, onp.complex64)
    return onp.ascontiguousarray(pairs).view(kind)[..., 0]


# ---------------------------------------------------------------- complex numbers as pairs
def complex_pairs(re: Array, im: Array) -> Array:
    """(...) real and imaginary parts as (..., 2)."""
    return np.concatenate([np.expand_dims(re, -1), np.expand_dims(im, -1)], axis=-1)


def multiply_pairs(x: Array, y: Array) -> Array:
    """The product of complex numbers, (..., 2) each."""
    x_re, x_im, y_re, y_im = x[..., 0], x[..., 1], y[..., 0], y[..., 1]
    return complex_pairs(x_re * y_re - x_im * y_im, x_re * y_im + x_im * y_re)


def _conjugate_pairs(x: Array) -> Array:
    return complex_pairs(x[..., 0], -x[..., 1])


# ---------------------------------------------------------------- derivatives
def _differentiable(run: Callable[..., Array], times: Callable[..., Any], conjugate: Callable[..., Any]) -> Any:
    def before(hs: Any, h: Any) -> Any:
        """h_{t-1} for every t."""
        return np.concatenate([np.expand_dims(h, 0), hs])[:-1]

    def backward(g: Any, hs: Any, a: Any, b: Any, h: Any, method: str = "auto") -> Any:
        following = conjugate(np.concatenate([np.zeros_like(a[:1]), a[:0:-1]]))
        l = scan(following, g[::-1], np.zeros_like(h), method=method)[::-1]
        d_h = np.sum(times(conjugate(a[:1]), l[:1]), axis=0)  # a sum over the one step, or none
        return times(conjugate(before(hs, h)), l), l, d_h

    def tangent(ts: Any, hs: Any, a: Any, b: Any, h: Any, method: str = "auto") -> Any:
        d_a, d_b, d_h = ts
        return scan(a, times(d_a, before(hs, h)) + d_b, d_h, method=method)

    scan = joint(run, backward, tangent)
    return scan


_scan = _differentiable(_run, lambda x, y: x * y, lambda x: x)
_scan_pairs = _differentiable(_run_pairs, multiply_pairs, _conjugate_pairs)


def linear_scan(a: Array, b: Array, h: Array, *, pairs: bool = False, method: str = "auto") -> Array:
    """h_t = a_t * h_{t-1} + b_t for all t. a, b: (T, ...), h, the state before the first step: (...) -> hs (T, ...).

    pairs: the last axis, of length 2, holds real and imaginary parts. method: "loop", "prefix" (the associative scan),
    or "auto", the faster one. Differentiable, any number of times, in both modes. ValueError: shapes that do not fit,
    an unknown method.
    """
    if method not in ("auto", *METHODS):
        raise ValueError(f"linear_scan: method={method!r} came, one of auto, {', '.join(METHODS)} was expected")
    if np.shape(a) != np.shape(b) or np.shape(b)[1:] != np.shape(h) or not np.ndim(b):
        raise ValueError(
            f"linear_scan: a {np.shape(a)}, b {np.shape(b)} and h {np.shape(h)} came; (T, ...), the same, and (...) "
            "were expected"
        )
    if pairs and np.shape(h)[-1:] != (2,):
        raise ValueError(f"linear_scan: h {np.shape(h)} came, pairs (..., 2) were expected")
    return (_scan_pairs if pairs else _scan)(a, b, h, method=method)
