"""Gradient clipping: by value, and by the norm of all gradients together (Pascanu et al. 2013, arXiv:1211.5063).

A nesting of float arrays comes (tuple, list, dict, NamedTuple), and one of the same form goes out. What came is never
modified; an array that needs no clipping is returned itself, not a copy.
"""

import math
from numbers import Real
from typing import Any

import numpy as np

from minirnn import tier, tree
from minirnn.module import Array

__all__ = ["clip_by_global_norm", "clip_by_value", "global_norm", "scaled_to_norm"]

_SMALLEST_SQUARE = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)  # below it, float32 squares lose digits

_SMALLEST_EXACT = float(np.finfo(np.float64).tiny / np.finfo(np.float64).eps)
_EXACT = frozenset([np.dtype(np.float32), np.dtype(np.float64)])

_PIECE = 1 << 13  # entries; OpenBLAS uses its pool from 10,000 on


def clip_by_value(grads: Any, limit: float) -> Any:
    """Every entry brought within -limit .. limit.

    An array with entries that are not finite is returned itself: cut to ±limit they would pass for gradients, and
    `opt.step` is to name them. ValueError: limit is not positive. TypeError: a leaf is no float array.
    """
    _check_limit("clip_by_value", "limit", limit)
    _float_arrays("clip_by_value", grads)
    limit = float(limit)

    def clipped(g: Array) -> Array:
        least, most = float(g.min(initial=0.0)), float(g.max(initial=0.0))
        if (-limit <= least and most <= limit) or not math.isfinite(least + most):
            return g
        return np.clip(g, -limit, limit, out=np.empty_like(g))

    return tree.map(clipped, grads)


def clip_by_global_norm(grads: Any, max_norm: float) -> tuple[Any, float]:
    """(grads times min(1, max_norm / norm), norm), with norm = global_norm(grads).

    `grads` itself comes back where norm <= max_norm, and where the norm is not finite: it is `opt.step` that names the
    gradients to blame. ValueError: max_norm is not positive. TypeError: a leaf is no float array.
    """
    _check_limit("clip_by_global_norm", "max_norm", max_norm)
    norm = global_norm(grads)
    return scaled_to_norm(grads, norm, max_norm), norm


def scaled_to_norm(grads: Any, norm: float, max_norm: float) -> Any:
    """What clip_by_global_norm makes of gradients whose norm is known."""
    if norm <= max_norm or not math.isfinite(norm):
        return grads
    # A factor too small for float32 is applied as two: it would have lost its digits.
    factor = float(max_norm) / norm
    once, again = (factor, 1.0) if factor > 1e-30 else (math.sqrt(factor), math.sqrt(factor))

    def scaled(g: Array) -> Array:
        result = np.multiply(g, once, out=np.empty_like(g))
        if again != 1.0:
            result *= again
        return result

    return tree.map(scaled, grads)


def global_norm(grads: Any) -> float:
    """The Euclidean norm of all entries of all arrays together, as a Python number: 0 of none.

    Right wherever the entries are finite: no square overflows or vanishes on the way. Infinite or nan where one is.
    TypeError: a leaf is no float array.
    """
    arrays, kernel = _float_arrays("global_norm", grads), tier.kernel("squares", np.dtype(np.float64))
    if kernel is not None and all(type(g) is np.ndarray and g.dtype in _EXACT for g in arrays):
        square = sum(kernel(arrays))
        if _SMALLEST_EXACT < square < math.inf:
            return math.sqrt(square)
    return math.hypot(*map(_norm, arrays))


def _norm(g: Array) -> float:
    flat = g.ravel("K")
    if flat.itemsize < 4:
        flat = flat.astype(np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        square = _square(flat)
        if _SMALLEST_SQUARE < square < math.inf:
            return math.sqrt(square)
        largest = float(max(flat.max(initial=0.0), -flat.min(initial=0.0)))
        if largest == 0.0 or not math.isfinite(largest):
            return largest
        flat = flat.astype(np.float64) / largest
        return largest * math.sqrt(_square(flat))


def _square(flat: Array) -> float:
    """The sum of squares, piece by piece: float32 keeps its digits, and BLAS does not wake its other threads."""
    return sum(float(piece.dot(piece)) for piece in (flat[i : i + _PIECE] for i in range(0, flat.size, _PIECE)))


def _check_limit(function: str, name: str, value: float) -> None:
    if not isinstance(value, Real) or not value > 0:
        raise ValueError(f"{function}: {name}={value!r} came, a positive number was expected")


def _float_arrays(function: str, grads: Any) -> list[Array]:
    arrays = tree.leaves(grads)
    if all(isinstance(g, (np.ndarray, np.generic)) and g.dtype.kind == "f" for g in arrays):
        return arrays
    for path, g in tree.named_leaves(grads):
        if not isinstance(g, (np.ndarray, np.generic)) or g.dtype.kind != "f":
            came = f"{g.dtype} array" if isinstance(g, (np.ndarray, np.generic)) else type(g).__name__
            raise TypeError(f"{function}: {path or 'the gradient'} is a {came}, a float array was expected")
    return arrays
