"""LayerNorm: each vector brought to mean 0 and variance 1, then scaled and shifted."""

from collections.abc import Sequence

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn.checks import check_float, check_positive
from minirnn.module import Array, Module, Parameter

__all__ = ["LayerNorm"]


class LayerNorm(Module):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, over the last axes `normalized_shape` (Ba et al. 2016,
    arXiv:1607.06450).

    x: (..., *normalized_shape); weight (ones) and bias (zeros): normalized_shape; the variance is the biased one.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = onp.float32,
    ):
        sizes = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        shape = tuple(check_positive("LayerNorm", normalized_shape=size)[0] for size in sizes)
        self.normalized_shape, self.eps = shape, float(eps)
        self.weight = Parameter(onp.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(onp.zeros(shape, dtype)) if elementwise_affine and bias else None

    def __call__(self, x: Array) -> Array:
        x = check_float("LayerNorm: x", x, None if self.weight is None else self.weight.dtype)
        axes = tuple(range(-len(self.normalized_shape), 0))
        if x.shape[len(x.shape) - len(axes) :] != self.normalized_shape:
            raise ValueError(
                f"LayerNorm: x has shape {x.shape}; (..., {', '.join(map(str, self.normalized_shape))}) was expected"
            )
        count = float(onp.prod(self.normalized_shape))
        centred = x - np.sum(x, axis=axes, keepdims=True) / count
        variance = np.sum(centred * centred, axis=axes, keepdims=True) / count
        y = centred / np.sqrt(variance + self.eps)
        if self.weight is not None:
            y = y * self.weight
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.normalized_shape))
