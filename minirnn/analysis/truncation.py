"""Truncation bias: the gradient that is cut every k steps, beside the whole one.

Truncated back-propagation through time (Williams & Peng 1990, doi:10.1162/neco.1990.2.4.490) carries the state on and
cuts the gradient. What it leaves out is the part that flows further back than the cut: a bias and not noise, as it is
the same at every update (Tallec & Ollivier 2017, arXiv:1705.08209).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp

from minirnn.checks import check_positive
from minirnn.module import Array, Module
from minirnn.transform import grad, stop_gradient

__all__ = ["TruncationBias", "truncation_bias"]


class TruncationBias(NamedTuple):
    """ks: where the gradient was cut, (n,); cosine: of the truncated and the whole gradient; norm: the truncated one's
    size as a multiple of the whole one's. Both 1 where nothing is lost."""

    ks: Array
    cosine: Array
    norm: Array


def truncation_bias(
    layer: Module, loss: Callable[[Any], Any], xs: Array, ks: Iterable[int], state: Any = None
) -> TruncationBias:
    """Compare the gradient of loss(outputs) by the layer's parameters, cut every k steps, with the whole one.

    layer: called with (xs, state) and time-major, it returns (outputs, state): any recurrent layer, or a Sequential
    with one; loss: a function of all outputs (T, B, F) that gives a scalar; xs: (T, B, I) or tokens (T, B).

    ValueError: a k that is no positive integer; a whole gradient of zero, beside which there is nothing to compare.
    """
    cuts = [int(k) for k in ks]
    for k in cuts:
        check_positive("truncation_bias", k=k)
    whole = _gradient(layer, loss, xs, len(xs), state)
    size = float(onp.linalg.norm(whole))
    if size == 0:
        raise ValueError("truncation_bias: the whole gradient is zero")
    cosines, sizes = [], []
    for k in cuts:
        cut = _gradient(layer, loss, xs, k, state)
        length = float(onp.linalg.norm(cut))
        sizes.append(length / size)
        cosines.append(float(cut @ whole) / (length * size) if length else 0.0)
    return TruncationBias(onp.array(cuts), onp.array(cosines), onp.array(sizes))


def _gradient(layer: Module, loss: Callable[[Any], Any], xs: Array, k: int, state: Any) -> Array:
    """All parameters' gradients as one float64 vector."""

    def cut(model: Any) -> Any:
        carried, outputs = state, []
        for start in range(0, len(xs), k):
            piece = xs[start : start + k]
            output, carried = model(piece) if carried is None else model(piece, carried)
            carried = stop_gradient(carried)
            outputs.append(output)
        return loss(np.concatenate(outputs))

    gradients = grad(cut)(layer)
    return onp.concatenate([onp.ravel(g).astype(onp.float64) for g in gradients.values()])
