"""The logistic function of the gates, and the arithmetic of stacked gates."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), as (1 + tanh(a/2)) / 2, which cannot overflow; its derivative is s (1 - s)."""
    return 0.5 * (1.0 + np.tanh(0.5 * a))


def affine(x: Array, weight: Array, bias: Array | None) -> Array:
    """x W^T + b. x: (B, I), weight: (A, I), bias: (A,) or None -> (B, A)."""
    return x @ weight.T if bias is None else x @ weight.T + bias
