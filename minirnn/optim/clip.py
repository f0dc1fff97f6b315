"""Gradient clipping: by value, and by the norm of all gradients together (Pascanu et al. 2013, arXiv:1211.5063)."""

from typing import Any

import numpy as np

from minirnn import tree
from minirnn.module import Array

__all__ = ["clip_by_global_norm", "clip_by_value"]


def clip_by_value(grads: Any, limit: float) -> Any:
    """Every entry brought within -limit .. limit; a nesting of arrays in, a nesting of new arrays out.

    ValueError: limit is not positive.
    """
    if not limit > 0:
        raise ValueError(f"clip_by_value: limit={limit} came, a positive number was expected")
    return tree.map(lambda g: np.clip(g, -float(limit), float(limit)), grads)


def clip_by_global_norm(grads: Any, max_norm: float) -> tuple[Any, float]:
    """(grads times min(1, max_norm / norm), norm), norm the Euclidean one of all entries of a nesting together.

    The arrays come back as they are where nothing is to be done, and where the norm is not finite: then it is
    `opt.step` that names the gradients to blame. ValueError: max_norm is not positive.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_by_global_norm: max_norm={max_norm} came, a positive number was expected")
    leaves = tree.leaves(grads)
    norm = _norm(leaves)
    if np.isinf(norm):  # a square may have overflowed
        largest = max(float(np.abs(g).max(initial=0.0)) for g in leaves)
        norm = largest * _norm([g / largest for g in leaves]) if np.isfinite(largest) else norm
    if not np.isfinite(norm) or norm <= max_norm:
        return grads, norm
    return tree.map(lambda g: g * (float(max_norm) / norm), grads), norm


def _norm(leaves: list[Array]) -> float:
    with np.errstate(over="ignore"):
        flat = [np.ravel(np.asarray(g)) for g in leaves]
        return float(np.sqrt(sum(float(np.dot(g, g)) for g in flat)))
