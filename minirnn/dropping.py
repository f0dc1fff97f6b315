"""Dropout of arrays, and the masks that it multiplies with."""

import math
import sys
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import tier
from minirnn.boxes import dtype_of, shape_of
from minirnn.module import Array

__all__ = ["dropout", "dropout_mask", "locked_dropout"]

MANY = 4096  # entries from which on native code is worth a look at the generator's state


def dropout(x: Array, p: float, rng: onp.random.Generator) -> Array:
    """x with each entry zeroed with probability p and the others divided by 1 - p (Srivastava et al. 2014)."""
    return np.multiply(x, dropout_mask(shape_of(x), p, dtype_of(x), rng))


def locked_dropout(xs: Array, p: float, rng: onp.random.Generator) -> Array:
    """xs (T, ...) with dropout whose mask (...) is the same at every step (Gal & Ghahramani 2016, arXiv:1512.05287)."""
    return np.multiply(xs, dropout_mask(shape_of(xs)[1:], p, dtype_of(xs), rng))


def dropout_mask(shape: tuple[int, ...], p: float, dtype: Any, rng: onp.random.Generator) -> Array:
    """Zeros with probability p, and 1 / (1 - p) elsewhere."""
    p = float(p)  # one of NumPy's would make the mask a float64
    if p >= 1.0:
        return onp.zeros(shape, dtype=dtype)
    size, kernel = math.prod(shape), tier.kernel("kept", onp.dtype(dtype))
    if kernel is not None and size >= MANY and _gives_halves_in_order(rng, size):
        # The bits of rng.random(shape, float32): k / 2^24, where k is the upper 24 of each 32.
        least = math.ceil(float(onp.float32(p)) * (1 << 24))
        if least < 1 << 24:
            halves = rng.bit_generator.random_raw(size // 2).view(onp.uint32)
            return kernel(halves, least << 8, 1.0 / (1.0 - p), onp.dtype(dtype)).reshape(shape)
    return (rng.random(shape, dtype=onp.float32) >= p).astype(dtype) * (1.0 / (1.0 - p))


def _gives_halves_in_order(rng: onp.random.Generator, size: int) -> bool:
    """Whether its next `size` numbers of 32 bits are the halves of its next size / 2 of 64, the lower one first."""
    bits = rng.bit_generator
    plain = type(rng) is onp.random.Generator and type(bits) in (onp.random.PCG64, onp.random.PCG64DXSM)
    return plain and size % 2 == 0 and sys.byteorder == "little" and not bits.state["has_uint32"]
