"""Losses: differentiable functions of predictions and targets, finite for any finite input.

Each is averaged over its entries by default; reduction="sum" adds them up, reduction="none" returns one loss each.
Predictions keep their float dtype, and nothing is broadcast.
"""

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import bundle, tier
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import as_array, as_integers, check_lengths, is_integer
from minirnn.ctc import ctc
from minirnn.functional import log_softmax, pick, softplus
from minirnn.module import Array
from minirnn.padding import only_inside

__all__ = [
    "activation_regularization",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "ctc",
    "mse",
    "temporal_activation_regularization",
]

_REDUCTIONS: dict[str, Callable[[Array, int], Array]] = {
    "mean": lambda losses, count: losses.sum() * (1.0 / count),
    "sum": lambda losses, count: losses.sum(),
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
    targets = as_integers("cross_entropy: targets", targets)
    logits = _floats("cross_entropy: logits", logits)
    if ignore_index is not None and not is_integer(ignore_index):
        raise TypeError(f"cross_entropy: ignore_index={ignore_index!r} came, an integer was expected")
    shape = shape_of(logits)
    if shape[:-1] != targets.shape or not shape:
        raise ValueError(
            f"cross_entropy: targets have shape {targets.shape}, logits {shape}; (..., V) logits for (...) targets "
            "were expected"
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"cross_entropy: label_smoothing={label_smoothing} came, 0 to 1 was expected")
    _check_reduction("cross_entropy", reduction)
    classes = shape[-1]
    scored = None if ignore_index is None else targets != ignore_index
    if scored is not None and scored.all():
        scored = None
    chosen = targets if scored is None else targets[scored]
    if chosen.size and int(chosen.view(onp.uint64).max()) >= classes:  # as unsigned, negative ones are huge
        wrong = chosen[(chosen < 0) | (chosen >= classes)][0]
        raise ValueError(f"cross_entropy: target {wrong} came, 0 to {classes - 1} were expected")
    return bundle.call(_CrossEntropy(targets, scored, chosen.size, label_smoothing, reduction), [logits])[0]


class _CrossEntropy(bundle.Rule):
    """The losses of logits (..., V), reduced; their gradient is made with them and kept from forward to backward.

    With p = softmax(x), target t and smoothing s: d loss / dx = p - (1 - s) [t] - s / V. scored (...): the entries that
    count, None for all; count: how many they are.
    """

    def __init__(self, targets: Array, scored: Array | None, count: int, smoothing: float, reduction: str):
        super().__init__(self._by_primitives)
        self.targets = targets if scored is None else onp.where(scored, targets, 0)
        self.scored, self.count, self.smoothing, self.reduction = scored, count, smoothing, reduction

    def _reduced(self, losses: Any) -> Any:
        return _reduced("cross_entropy", losses, self.count, self.reduction)

    def _by_primitives(self, logits: Any) -> tuple[Any, ...]:
        """The slow twin."""
        if self.scored is not None:  # before the function: what is ignored may be nan, and so would be its gradient
            logits = np.where(self.scored[..., None], logits, onp.zeros((), np.result_type(logits)))
        log_p = log_softmax(logits)
        losses = -pick(log_p, self.targets)
        if self.smoothing:
            share = self.smoothing / np.shape(logits)[-1]
            losses = (1.0 - self.smoothing) * losses - np.sum(log_p, axis=-1) * share
        if self.scored is not None:
            losses = np.where(self.scored, losses, onp.zeros((), np.result_type(losses)))
        return (self._reduced(losses),)

    def forward(self, arrays: Sequence[Any], keep: bool) -> tuple[tuple[Any, ...], Any]:
        (x,) = arrays
        targets = self.targets.reshape(-1)
        x = x.reshape(targets.size, x.shape[-1])
        softmax = tier.kernel("softmax", x.dtype) or _softmax
        with onp.errstate(invalid="ignore"):  # a top that is not finite: then the primitives do it
            p, top, total = softmax(x)
        ignored = None if self.scored is None else ~self.scored.reshape(-1)
        if ignored is not None:
            top[ignored] = 0.0
        if not onp.isfinite(top).all():
            return self._by_primitives(*arrays), None
        rows = onp.arange(targets.size)
        log_total = onp.log(total)
        losses = log_total - (x[rows, targets] - top)
        share = self.smoothing / x.shape[1]
        if self.smoothing:
            apart = x if ignored is None else onp.where(ignored[:, None], onp.zeros((), x.dtype), x)
            mean = log_total - (apart - top[:, None]).sum(axis=1) * (1.0 / x.shape[1])
            losses = (1.0 - self.smoothing) * losses + self.smoothing * mean
        if ignored is not None:
            losses[ignored] = 0.0
        reduced = self._reduced(losses.reshape(self.targets.shape))
        if not keep:
            return (reduced,), None
        p[rows, targets] -= 1.0 - self.smoothing
        if self.smoothing:
            p -= share
        if ignored is not None:
            p[ignored] = 0.0
        return (reduced,), p.reshape(arrays[0].shape)

    def backward(self, arrays: Sequence[Any], cache: Any, cotangents: Sequence[Any], wanted: Sequence[int]) -> Any:
        (g,) = cotangents
        if cache is None:
            return super().backward(arrays, cache, cotangents, wanted)
        if self.reduction == "none":
            return [
                cache * (g if self.scored is None else onp.where(self.scored, g, onp.zeros((), g.dtype)))[..., None]
            ]
        return [cache * (g * (1.0 / self.count) if self.reduction == "mean" else g)]


def _softmax(x: Array) -> tuple[Array, Array, Array]:
    """(softmax(x), max x, sum exp(x - max x)) of the rows of x, by NumPy: the slow twin of the kernel."""
    top = x.max(axis=1, keepdims=True)
    y = onp.exp(x - top)
    total = y.sum(axis=1, keepdims=True)
    y /= total
    return y, top[:, 0], total[:, 0]


def mse(predictions: Array, targets: Array, *, reduction: str = "mean") -> Array:
    """(prediction - target)^2. Both (...), of one shape and float dtype.

    ValueError: shapes that differ, or a mean over no entries. TypeError: other dtypes.
    """
    predictions, targets = _alike("mse", predictions, targets)
    difference = predictions - targets
    return _reduced("mse", difference * difference, int(onp.prod(np.shape(difference))), reduction)


def binary_cross_entropy_with_logits(logits: Array, targets: Array, *, reduction: str = "mean") -> Array:
    """-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), in nats. Both (...), targets within 0..1.

    ValueError: shapes that differ, targets outside 0..1, or a mean over no entries. TypeError: other dtypes.
    """
    logits, targets = _alike("binary_cross_entropy_with_logits", logits, targets)
    if type(targets) is onp.ndarray and not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError("binary_cross_entropy_with_logits: targets outside 0 to 1 came")
    losses = targets * softplus(-logits) + (1.0 - targets) * softplus(logits)
    return _reduced("binary_cross_entropy_with_logits", losses, int(onp.prod(np.shape(losses))), reduction)


def activation_regularization(outputs: Array, *, lengths: Any = None) -> Array:
    """AR: the mean of h_t^2, to be added to a loss: loss + alpha * activation_regularization(outputs).

    outputs: (T, B, H), of the last recurrent layer, with its dropout; lengths: (B,) integers, beyond which nothing
    counts. Keeps activations small. The paper writes the norm of m * h_t, its authors' code is this mean of squares,
    for which their alpha = 2 is meant.  (Merity, McCann & Socher 2017, arXiv:1708.01009.)

    ValueError: lengths that do not fit (T, B, ...). TypeError: no float array.
    """
    outputs = _floats("activation_regularization: outputs", outputs)
    return _mean_square(*_only_inside("activation_regularization", outputs, lengths))


def temporal_activation_regularization(outputs: Array, *, lengths: Any = None) -> Array:
    """TAR: the mean of (h_t - h_{t+1})^2, to be added to a loss; zero for a single step.

    outputs: (T, B, H), of the last recurrent layer, without dropout; lengths: as above. Slows the state down, as in
    slow feature analysis; the authors' factor is 1.  (Merity, McCann & Socher 2017, arXiv:1708.01009.)

    ValueError, TypeError: as activation_regularization.
    """
    outputs = _floats("temporal_activation_regularization: outputs", outputs)
    outputs, lengths = _only_inside("temporal_activation_regularization", outputs, lengths)
    differences = outputs[1:] - outputs[:-1]
    if lengths is not None:
        lengths = onp.maximum(lengths - 1, 0)
        differences = only_inside(differences, lengths)
    return _mean_square(differences, lengths)


def _only_inside(name: str, outputs: Array, lengths: Any) -> tuple[Array, Array | None]:
    """Outputs with zeros past each end, and the checked lengths: masked before anything is made of them, for what
    stands there may be nan, and so would be its gradient."""
    if lengths is None:
        return outputs, None
    if np.ndim(outputs) < 2:
        raise ValueError(f"{name}: outputs have shape {np.shape(outputs)}; with lengths, (T, B, ...) was expected")
    lengths = check_lengths(lengths, *np.shape(outputs)[:2])
    return only_inside(outputs, lengths), lengths


def _mean_square(values: Array, lengths: Array | None) -> Array:
    """The mean of the squares up to each sequence's end, past which there are zeros; zero where there is nothing."""
    shape = np.shape(values)
    entries = int(onp.prod(shape)) if lengths is None else int(lengths.sum()) * int(onp.prod(shape[2:]))
    return np.sum(values * values) * (1.0 / max(entries, 1))


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{name}: reduction={reduction!r} came, one of {', '.join(_REDUCTIONS)} was expected")


def _reduced(name: str, losses: Array, count: int, reduction: str) -> Array:
    _check_reduction(name, reduction)
    if reduction == "mean" and not count:
        raise ValueError(f"{name}: a mean over no entries was asked for; skip such batches, or use reduction='sum'")
    return _REDUCTIONS[reduction](losses, count)


def _floats(what: str, array: Any) -> Any:
    array = as_array(what, array)
    if dtype_of(array).kind != "f":
        raise TypeError(f"{what}: {dtype_of(array)} came, a float array was expected")
    return array


def _alike(name: str, predictions: Any, targets: Any) -> tuple[Any, Any]:
    predictions, targets = _floats(f"{name}: predictions", predictions), _floats(f"{name}: targets", targets)
    if np.shape(predictions) != np.shape(targets):
        raise ValueError(
            f"{name}: predictions have shape {np.shape(predictions)}, targets {np.shape(targets)}; nothing is broadcast"
        )
    if np.result_type(predictions) != np.result_type(targets):
        raise TypeError(
            f"{name}: predictions are {np.result_type(predictions)}, targets {np.result_type(targets)}; use astype"
        )
    return predictions, targets
