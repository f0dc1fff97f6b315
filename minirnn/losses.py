"""Losses: differentiable functions of predictions and targets, finite for any finite input.

Each is averaged over its entries by default; reduction="sum" adds them up, reduction="none" returns one loss each.
Predictions keep their float dtype, and nothing is broadcast.
"""

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn.functional import log_softmax, pick, softplus
from minirnn.module import Array

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "mse"]

_REDUCTIONS: dict[str, Callable[[Array, int], Array]] = {
    "mean": lambda losses, count: np.sum(losses) * (1.0 / count),
    "sum": lambda losses, count: np.sum(losses),
    "none": lambda losses, count: losses,
}


def cross_entropy(
    logits: Array,
    targets: Array,
    *,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """-log softmax(logits)[target], in nats. logits: (..., V), classes last; targets: (...) integers in 0 .. V - 1.

    With label smoothing s the target is (1 - s) for the right class plus s / V for each (Szegedy et al. 2016,
    arXiv:1512.00567). Entries whose target is ignore_index have loss 0, no gradient, and do not count in the mean.

    TypeError: targets that are no integers. ValueError: shapes that do not agree, a target out of range, or a mean
    over no entries.
    """
    targets = onp.asarray(targets)
    if targets.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: targets are {targets.dtype}, integers were expected")
    _check_float("cross_entropy: logits", logits)
    if np.shape(logits)[:-1] != targets.shape or not np.ndim(logits):
        raise ValueError(
            f"cross_entropy: targets have shape {targets.shape}, logits {np.shape(logits)}; (..., V) logits for (...) "
            "targets were expected"
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing={label_smoothing} came, 0 to 1 was expected")
    classes = np.shape(logits)[-1]
    scored = onp.ones(targets.shape, bool) if ignore_index is None else targets != ignore_index
    wrong = targets[scored & ((targets < 0) | (targets >= classes))]
    if wrong.size:
        raise ValueError(f"cross_entropy: target {wrong[0]} came, 0 to {classes - 1} were expected")
    log_p = log_softmax(logits)
    losses = -pick(log_p, onp.where(scored, targets, 0))
    if label_smoothing:
        losses = (1.0 - label_smoothing) * losses - np.sum(log_p, axis=-1) * (label_smoothing / classes)
    if not scored.all():
        losses = np.where(scored, losses, onp.zeros((), np.result_type(losses)))
    return _reduced("cross_entropy", losses, int(scored.sum()), reduction)


def mse(predictions: Array, targets: Array, *, reduction: str = "mean") -> Array:
    """(prediction - target)^2. Both (...), of one shape and float dtype.

    ValueError: shapes that differ, or a mean over no entries. TypeError: other dtypes.
    """
    _check_alike("mse", predictions, targets)
    difference = predictions - targets
    return _reduced("mse", difference * difference, int(onp.prod(np.shape(difference))), reduction)


def binary_cross_entropy_with_logits(logits: Array, targets: Array, *, reduction: str = "mean") -> Array:
    """-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), in nats. Both (...), targets within 0..1.

    ValueError: shapes that differ, targets outside 0..1, or a mean over no entries. TypeError: other dtypes.
    """
    _check_alike("binary_cross_entropy_with_logits", logits, targets)
    if type(targets) is onp.ndarray and not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError("binary_cross_entropy_with_logits: targets outside 0 to 1 came")
    losses = targets * softplus(-logits) + (1.0 - targets) * softplus(logits)
    return _reduced("binary_cross_entropy_with_logits", losses, int(onp.prod(np.shape(losses))), reduction)


def _reduced(name: str, losses: Array, count: int, reduction: str) -> Array:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{name}: reduction={reduction!r} came, one of {', '.join(_REDUCTIONS)} was expected")
    if reduction == "mean" and not count:
        raise ValueError(f"{name}: a mean over no entries was asked for; skip such batches, or use reduction='sum'")
    return _REDUCTIONS[reduction](losses, count)


def _check_float(what: str, array: Any) -> None:
    if not hasattr(array, "dtype") or np.result_type(array).kind != "f":
        came = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{what}: {came} came, a float array was expected")


def _check_alike(name: str, predictions: Any, targets: Any) -> None:
    _check_float(f"{name}: predictions", predictions)
    _check_float(f"{name}: targets", targets)
    if np.shape(predictions) != np.shape(targets):
        raise ValueError(
            f"{name}: predictions have shape {np.shape(predictions)}, targets {np.shape(targets)}; nothing is broadcast"
        )
    if np.result_type(predictions) != np.result_type(targets):
        raise TypeError(
            f"{name}: predictions are {np.result_type(predictions)}, targets {np.result_type(targets)}; use astype"
        )
