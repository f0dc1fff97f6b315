"""Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957): a weight divided by its largest singular value.

The paper finds the singular vectors by power iteration, one step of it a call, which makes a call change the module.
Here they are exact, by a singular value decomposition of the small matrix: a call is pure, and so is its gradient,
d sigma = u^T dW v. Its second derivative is exact too (perturbation of the singular vectors).
"""

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn.layers.reparametrize import Parametrization, Reparametrized, square_blocks
from minirnn.module import Array, Module
from minirnn.primitive import primitive

__all__ = ["SpectralNorm", "largest_singular_value", "spectral_norm"]


def _leading(w: Array) -> Array:
    u, _, vt = onp.linalg.svd(w, full_matrices=False)
    return onp.outer(u[:, 0], vt[0])


def _curvature(w: Array, d: Array) -> Array:
    """How u v^T, the gradient of sigma at W, moves with W along D: the Hessian of sigma, applied to D.

    With W = sum_j s_j u_j v_j^T, s_0 the largest, and a_j = u_j^T D v_0, b_j = u_0^T D v_j for j > 0,
    du_0 = sum_j u_j (s_0 a_j + s_j b_j) / (s_0^2 - s_j^2),   dv_0 = sum_j v_j (s_0 b_j + s_j a_j) / (s_0^2 - s_j^2),
    where u_j, v_j run over a whole basis, with s_j = 0 beyond the smaller size.
    """
    u, s, vt = onp.linalg.svd(w, full_matrices=True)
    a, b = u.T @ d @ vt[0], vt @ (d.T @ u[:, 0])
    s_u, s_v = (onp.concatenate([s, onp.zeros(n - len(s), s.dtype)])[1:] for n in w.shape)
    shared = slice(1, len(s))
    a_v, b_u = onp.zeros_like(b), onp.zeros_like(a)
    a_v[shared], b_u[shared] = a[shared], b[shared]
    du = u[:, 1:] @ ((s[0] * a[1:] + s_u * b_u[1:]) / (s[0] ** 2 - s_u**2))
    dv = vt[1:].T @ ((s[0] * b[1:] + s_v * a_v[1:]) / (s[0] ** 2 - s_v**2))
    return onp.outer(du, vt[0]) + onp.outer(u[:, 0], dv)


def _no_third(*args: Any) -> Any:
    raise NotImplementedError("the largest singular value has two derivatives here, and a third was asked for")


_curve: Callable[..., Any] = primitive(_curvature, [_no_third, lambda g, y, w, d: _curve(w, g)])
_gradient: Callable[..., Any] = primitive(_leading, [lambda g, y, w: _curve(w, g)])  # a Hessian is symmetric
largest_singular_value: Callable[..., Any] = primitive(
    lambda w: onp.linalg.svd(w, compute_uv=False)[0],
    [lambda g, y, w: g * _gradient(w)],
    [lambda t, y, w: np.sum(t * _gradient(w))],
)
largest_singular_value.__doc__ = """sigma of a matrix (M, N), twice differentiable where it is a single one."""


class SpectralNorm(Parametrization):
    """W / sigma(W), sigma the largest singular value, for a weight (O, I); W is the free array.

    per_gate: for each (H, H) block of a recurrent weight (k * H, H) by itself. ValueError: no matrix, or a zero one.
    """

    def __init__(self, array: Array, per_gate: bool = False):
        if onp.ndim(array) != 2:
            raise ValueError(f"spectral_norm: shape {onp.shape(array)} came, a weight (O, I) was expected")
        self.per_gate = per_gate
        if not all(block.any() for block in self._blocks(array)):
            raise ValueError("spectral_norm: a matrix of zeros came, which cannot be normalised")

    def _blocks(self, array: Array) -> list[Array]:
        return square_blocks("spectral_norm", array) if self.per_gate else [array]

    def __call__(self, free: Array) -> Array:
        blocks = [block / largest_singular_value(block) for block in self._blocks(free)]
        return np.concatenate(blocks) if self.per_gate else blocks[0]

    def extra_repr(self) -> str:
        return "per_gate=True" if self.per_gate else ""


def spectral_norm(layer: Module, pattern: str = "*weight_hh*", *, per_gate: bool = False) -> Reparametrized:
    """The layer with the weights that a glob matches divided by their largest singular values.

        layer = spectral_norm(LSTM(64, 128), per_gate=True)

    No such matrix then lengthens a vector. per_gate: each (H, H) block of the gates by itself, and not (4H, H) whole,
    which is the paper's. See SpectralNorm and Reparametrized, also for what they raise.
    """
    return Reparametrized(layer, pattern, lambda array: SpectralNorm(array, per_gate))
