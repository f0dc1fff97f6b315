"""Linear: y = x W^T + b."""

import numpy as np
from numpy.typing import DTypeLike

from minirnn import functional, init
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import as_generator, check_float, check_positive
from minirnn.module import Array, Module, Parameter

__all__ = ["Linear"]


class Linear(Module):
    """y = x W^T + b over the last axis: (..., in_features) -> (..., out_features).

    weight: (out_features, in_features), bias: (out_features,), both U(-k, k), k = 1 / sqrt(in_features).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        in_features, out_features = check_positive("Linear", in_features=in_features, out_features=out_features)
        draw, rng = init.torch_default(in_features), as_generator("Linear", rng)
        self.weight = Parameter(draw(rng, (out_features, in_features), dtype))
        self.bias = Parameter(draw(rng, (out_features,), dtype)) if bias else None

    def __call__(self, x: Array) -> Array:
        x = check_float("Linear: x", x, dtype_of(self.weight))
        shape, taken = shape_of(x), shape_of(self.weight)[1]
        if not shape or shape[-1] != taken:
            raise ValueError(f"Linear: x has shape {shape}; (..., {taken}) was expected")
        return functional.linear(x, self.weight, *(() if self.bias is None else (self.bias,)))

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}" + (", bias=False" if self.bias is None else "")
