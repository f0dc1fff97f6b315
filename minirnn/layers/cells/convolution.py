"""A convolution over the last two axes that keeps their size, as a product of matrices, and its derivatives."""

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn.module import Array
from minirnn.primitive import primitive

__all__ = ["convolve"]


def _windows(x: Array, kernel: int) -> Array:
    """Every window around a pixel, zeros outside: (B, C, H, W) -> (B, C, H, W, k, k), a view of one padded copy."""
    edge = kernel // 2
    padded = onp.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    return onp.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))


def _convolved(x: Array, weight: Array) -> Array:
    product = onp.tensordot(_windows(x, weight.shape[-1]), weight, axes=((1, 4, 5), (1, 2, 3)))
    return onp.ascontiguousarray(onp.moveaxis(product, 3, 1))


def _correlated(x: Array, g: Array, kernel: int) -> Array:
    """sum over b, y, x of g[b, o, y, x] times the window of x around it: what weight is to convolve's cotangent g."""
    return onp.tensordot(g, _windows(x, kernel), axes=((0, 2, 3), (0, 2, 3)))


def _turned(weight: Any) -> Any:
    """The weight of the transposed map: inputs and outputs changed, both window axes reversed."""
    return np.swapaxes(weight, 0, 1)[:, :, ::-1, ::-1]


convolve: Callable[..., Any] = primitive(
    _convolved,
    [
        lambda g, y, x, weight: convolve(g, _turned(weight)),
        lambda g, y, x, weight: _correlate(x, g, np.shape(weight)[-1]),
    ],
    [lambda t, y, x, weight: convolve(t, weight), lambda t, y, x, weight: convolve(x, t)],
)
convolve.__doc__ = """Stride 1, zeros outside, as torch's conv2d. x: (B, C, H, W), weight: (O, C, k, k), k odd ->
(B, O, H, W)."""

_correlate: Callable[..., Any] = primitive(
    _correlated,
    [lambda v, y, x, g, kernel: convolve(g, _turned(v)), lambda v, y, x, g, kernel: convolve(x, v)],
    [lambda t, y, x, g, kernel: _correlate(t, g, kernel), lambda t, y, x, g, kernel: _correlate(x, t, kernel)],
)
