"""Differentiable functions of arrays. Those that autograd would trace in many pieces are one primitive each.

Every function keeps its input's float dtype, is finite for any finite input, and can be differentiated again, forward
and backward.
"""

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import threads
from minirnn.boxes import dtype_of, shape_of
from minirnn.dropping import dropout, locked_dropout
from minirnn.module import Array
from minirnn.primitive import elementwise, is_traced, primitive, variadic
from minirnn.selecting import embedding, pick

__all__ = [
    "dropout",
    "embedding",
    "gelu",
    "linear",
    "locked_dropout",
    "log_softmax",
    "logsumexp",
    "pick",
    "product",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "split",
    "stack",
    "tanh",
]

Function = Callable[..., Any]

# ---------------------------------------------------------------- elementwise
tanh = np.tanh

sigmoid = elementwise(lambda x: 0.5 * (1.0 + onp.tanh(0.5 * x)), lambda y, x: y * (1.0 - y))
sigmoid.__name__ = "sigmoid"
sigmoid.__doc__ = """1 / (1 + exp(-x)), elementwise, as (1 + tanh(x/2)) / 2, which cannot overflow."""

relu = elementwise(lambda x: onp.maximum(x, 0), lambda y, x: x > 0)
relu.__name__ = "relu"
relu.__doc__ = """max(x, 0), elementwise; its derivative at 0 is taken as 0."""

softplus = elementwise(lambda x: onp.logaddexp(x, onp.zeros_like(x)), lambda y, x: sigmoid(x))
softplus.__name__ = "softplus"
softplus.__doc__ = """log(1 + exp(x)), elementwise."""


def silu(x: Array) -> Array:
    """x sigmoid(x), elementwise (Elfwing et al. 2018, arXiv:1702.03118)."""
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    """The Gaussian error linear unit in its tanh form, elementwise (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return 0.5 * x * (1.0 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


# ---------------------------------------------------------------- products
product: Function = primitive(
    threads.product,
    [lambda g, y, a, b: product(g, np.transpose(b)), lambda g, y, a, b: product(np.transpose(a), g)],
    [lambda t, y, a, b: product(t, b), lambda t, y, a, b: product(a, t)],
)
product.__doc__ = """a @ b for two matrices, (M, K) and (K, N), in minirnn's own threads."""


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    y = threads.product(x.reshape(-1, x.shape[-1]), weight.T)  # time and batch folded into the rows of one product
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], weight.shape[0])


def _linear_derivatives(wanted: Sequence[int], g: Array, y: Array, x: Array, weight: Array, bias: Any = None) -> Any:
    plain = not (is_traced(g) or is_traced(x) or is_traced(weight))
    numpy: Any = onp if plain else np  # autograd's detours cost more than the products of a small layer
    times: Function = threads.product if plain else product
    rows, shape = numpy.reshape(g, (-1, shape_of(g)[-1])), shape_of(x)
    of = {
        0: lambda: numpy.reshape(times(rows, weight), shape),
        1: lambda: times(numpy.transpose(rows), numpy.reshape(x, (-1, shape[-1]))),
        2: lambda: numpy.sum(rows, axis=0),
    }
    return [of[i]() for i in wanted]


linear: Function = primitive(
    _linear,
    _linear_derivatives,
    [
        lambda t, y, x, weight, bias=None: linear(t, weight),
        lambda t, y, x, weight, bias=None: linear(x, t),
        lambda t, y, x, weight, bias: t + np.zeros_like(y),
    ],
)
linear.__doc__ = """x W^T + b over the last axis. x: (..., I), weight: (O, I), bias: (O,) or None -> (..., O)."""


# ---------------------------------------------------------------- along an axis
def _top_and_rest(x: Array, axis: int) -> tuple[Array, Array]:
    """max x and log sum exp(x - max x), both with the axis kept; a max that is infinite counts as 0."""
    top = onp.max(x, axis=axis, keepdims=True)
    top = onp.where(onp.isfinite(top), top, onp.zeros_like(top))
    with onp.errstate(divide="ignore"):  # log 0 = -inf is right where every entry is -inf
        return top, onp.log(onp.sum(onp.exp(x - top), axis=axis, keepdims=True))


def _logsumexp(x: Array, axis: int = -1, keepdims: bool = False) -> Array:
    top, rest = _top_and_rest(x, axis)
    return top + rest if keepdims else onp.squeeze(top + rest, axis)


def _log_softmax(x: Array, axis: int = -1) -> Array:
    top, rest = _top_and_rest(x, axis)
    return (x - top) - rest  # not x - (top + rest), which rounds rest away beside a huge top


def _kept(reduced: Array, axis: int, keepdims: bool) -> Array:
    return reduced if keepdims else np.expand_dims(reduced, axis)


def _weights(y: Array, x: Array, axis: int, keepdims: bool) -> Array:
    """softmax(x), given y = logsumexp(x); zeros where every entry is -inf."""
    y = _kept(y, axis, keepdims)
    return np.exp(x - np.where(y == -onp.inf, onp.zeros((), dtype_of(y)), y))


logsumexp = primitive(
    _logsumexp,
    [lambda g, y, x, axis=-1, keepdims=False: _kept(g, axis, keepdims) * _weights(y, x, axis, keepdims)],
    [lambda t, y, x, axis=-1, keepdims=False: np.sum(t * _weights(y, x, axis, keepdims), axis=axis, keepdims=keepdims)],
)
logsumexp.__doc__ = """log sum exp(x) along an axis. logsumexp(x, axis=-1, keepdims=False)."""


def _softmax_derivative(d: Array, y: Array, x: Array, axis: int = -1) -> Array:
    return y * (d - np.sum(y * d, axis=axis, keepdims=True))  # the Jacobian diag(y) - y y^T is symmetric


softmax = primitive(lambda x, axis=-1: onp.exp(_log_softmax(x, axis)), [_softmax_derivative])
softmax.__doc__ = """exp(x) / sum exp(x) along an axis. softmax(x, axis=-1)."""

log_softmax = primitive(
    _log_softmax,
    [lambda g, y, x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True)],
    [lambda t, y, x, axis=-1: t - np.sum(np.exp(y) * t, axis=axis, keepdims=True)],
)
log_softmax.__doc__ = """log softmax(x) along an axis. log_softmax(x, axis=-1)."""


# ---------------------------------------------------------------- joining and splitting
def split(x: Array, parts: int) -> tuple[Array, ...]:
    """Equal parts of the last axis: the gates of a stacked pre-activation. ValueError: it does not divide."""
    size, rest = divmod(np.shape(x)[-1], parts)
    if rest:
        raise ValueError(f"split: the last axis has {np.shape(x)[-1]} entries, which {parts} does not divide")
    return tuple(x[..., k * size : (k + 1) * size] for k in range(parts))


_stack = variadic(lambda *arrays: onp.stack(arrays), lambda i, g: g[i], lambda *tangents: stack(tangents))


def stack(arrays: Sequence[Array]) -> Array:
    """T arrays of one shape (...) as one (T, ...). ValueError: none came."""
    if not len(arrays):
        raise ValueError("stack: no arrays came, at least one was expected")
    return _stack(*arrays)
