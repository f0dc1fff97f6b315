"""Connectionist temporal classification (Graves, Fernandez, Gomez & Schmidhuber 2006, doi:10.1145/1143844.1143891):
a loss for labels whose places in time are not known, and best-path decoding.

A path names one class a step, a label or the blank. It spells a labelling when repeats are merged and then blanks left
out: `a a - a b` spells `a a b`. The loss is -log of the probability that a path drawn from the model, a class a step,
spells the target. With z = (-, z1, -, z2, -, ..., -) the target between blanks, L = 2S + 1 places:

    alpha[t, s] = p[t, z_s] (alpha[t-1, s] + alpha[t-1, s-1] + alpha[t-1, s-2]?)     what spells z_0 .. z_s by step t
    beta[t, s]  = sum over s' = s, s+1, s+2? of p[t+1, z_s'] beta[t+1, s']             what spells the rest after it
    p(z)        = alpha[T-1, L-1] + alpha[T-1, L-2]
    d -log p(z) / d log p[t, k] = -(1 / p(z)) sum over s with z_s = k of alpha[t, s] beta[t, s]

where ? stands only where z_s is a label other than z_(s-2). All of it in logarithms, in float64, over batch and places
at once; the gradient is the last line, by hand.
"""

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import bundle
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import as_array, as_integers, check_lengths, is_integer
from minirnn.functional import log_softmax, logsumexp
from minirnn.module import Array

__all__ = ["best_path", "ctc"]


def ctc(
    logits: Array,
    targets: Array,
    input_lengths: Any = None,
    target_lengths: Any = None,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Array:
    """-log p(targets | logits) over all alignments, in nats. logits: (T, B, C), classes last; targets: (S, B) integers.

    Log-probabilities may come as logits: log_softmax leaves them as they are. input_lengths, target_lengths: (B,)
    integers, all T steps and all S labels where left out; what stands past them does not matter. A label is any class
    but `blank`. reduction: "none" (B,), "sum", or "mean", over the batch of each loss divided by its target's length (1
    for an empty target), as PyTorch's.

    A target that no path spells, one that is too long for its input, has the loss inf, or 0 with zero_infinity, and in
    either case the gradient 0.

    TypeError: targets that are no integers, or logits that are no floats. ValueError: shapes that do not agree, a label
    out of range or blank, a mean over no sequences.
    """
    logits, targets = as_array("ctc: logits", logits), as_integers("ctc: targets", targets)
    _check(logits, targets, blank, reduction)
    steps, batch, classes = shape_of(logits)
    frames, counts = _lengths(input_lengths, steps, batch), _lengths(target_lengths, len(targets), batch)
    labels = targets[onp.arange(len(targets))[:, None] < counts]
    wrong = labels[(labels < 0) | (labels >= classes) | (labels == blank)]
    if wrong.size:
        raise ValueError(f"ctc: label {wrong[0]} came, 0 to {classes - 1} without the blank {blank} were expected")
    inside = onp.arange(steps)[:, None] < frames
    if not inside.all():
        logits = np.where(inside[:, :, None], logits, onp.zeros((), dtype_of(logits)))
    (losses,) = bundle.call(_Alignments(targets, frames, counts, blank), [log_softmax(logits)])
    if zero_infinity:
        losses = np.where(losses < onp.inf, losses, onp.zeros((), dtype_of(losses)))
    return _REDUCTIONS[reduction](losses, onp.maximum(counts, 1).astype(dtype_of(losses)))


def _check(logits: Array, targets: Array, blank: int, reduction: str) -> None:
    if dtype_of(logits).kind != "f":
        raise TypeError(f"ctc: logits are {dtype_of(logits)}, a float array was expected")
    if np.ndim(logits) != 3:
        raise ValueError(f"ctc: logits have shape {shape_of(logits)}, (T, B, C) was expected")
    batch, classes = shape_of(logits)[1:]
    if targets.ndim != 2 or targets.shape[1] != batch:
        raise ValueError(f"ctc: targets have shape {targets.shape}, (S, B={batch}) was expected")
    if not is_integer(blank) or not 0 <= blank < classes:
        raise ValueError(f"ctc: blank={blank!r} came, 0 to {classes - 1} was expected")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"ctc: reduction={reduction!r} came, one of {', '.join(_REDUCTIONS)} was expected")
    if reduction == "mean" and not batch:
        raise ValueError("ctc: a mean over no sequences was asked for; skip such batches, or use reduction='sum'")


_REDUCTIONS: dict[str, Callable[[Array, Array], Array]] = {
    "mean": lambda losses, counts: np.sum(losses / counts) * (1.0 / len(counts)),
    "sum": lambda losses, counts: np.sum(losses),
    "none": lambda losses, counts: losses,
}


def best_path(logits: Array, lengths: Any = None, *, blank: int = 0) -> list[Array]:
    """The labels of each sequence's likeliest path, which is not always the likeliest labelling. logits: (T, B, C) ->
    B arrays of integers. ValueError: lengths that do not fit."""
    logits = as_array("best_path: logits", logits)
    if np.ndim(logits) != 3 or not is_integer(blank) or not 0 <= blank < shape_of(logits)[2]:
        raise ValueError(
            f"best_path: logits {shape_of(logits)} and blank={blank} came; (T, B, C), with a blank within C"
        )
    path = onp.argmax(logits, axis=-1)
    ends = _lengths(lengths, *path.shape)
    new = onp.concatenate([onp.ones_like(path[:1], bool), path[1:] != path[:-1]])
    return [path[: ends[b], b][(new & (path != blank))[: ends[b], b]] for b in range(path.shape[1])]


def _lengths(lengths: Any, steps: int, batch: int) -> Array:
    return onp.full(batch, steps) if lengths is None else check_lengths(lengths, steps, batch)


class _Alignments(bundle.Rule):
    """(log p (T, B, C),) -> (-log p(z) (B,),)."""

    def __init__(self, targets: Array, input_lengths: Array, target_lengths: Array, blank: int):
        super().__init__(self._by_trace)
        count, batch = targets.shape
        inside = onp.arange(count)[:, None] < target_lengths
        self.z = onp.full((batch, 2 * count + 1), blank)
        self.z[:, 1::2] = onp.where(inside, targets, blank).T
        self.skips = onp.zeros(self.z.shape, bool)  # whether s may be reached from s - 2
        self.skips[:, 2:] = self.z[:, 2:] != self.z[:, :-2]  # two blanks are alike too
        self.input_lengths = input_lengths
        places = onp.arange(self.z.shape[1])
        last = 2 * target_lengths[:, None]
        self.ends = (places == last) | (places == last - 1)
        self.start = onp.where(places == 0, 0.0, -onp.inf) + onp.zeros((batch, 1))  # alpha before the first step

    def _emissions(self, log_p: Array) -> Array:
        """log p[t, z_s]: (T, B, L)."""
        return onp.take_along_axis(log_p.astype(onp.float64), self.z[None], axis=2)

    def forward(self, arrays: Sequence[Array], keep: bool) -> tuple[tuple[Array, ...], Any]:
        emitted = self._emissions(arrays[0])
        alphas, alpha = onp.empty(emitted.shape if keep else (0,)), self.start
        for t in range(len(emitted)):
            before = _sum([alpha, _shifted(alpha, 1), onp.where(self.skips, _shifted(alpha, 2), -onp.inf)])
            alpha = onp.where(t < self.input_lengths[:, None], emitted[t] + before, alpha)
            if keep:
                alphas[t] = alpha
        losses = -_total(alpha, self.ends)
        return (losses.astype(arrays[0].dtype),), (alphas, emitted, losses) if keep else None

    def _occupancy(self, arrays: Sequence[Array], cache: Any) -> Array:
        """-d loss[b] / d log p[t, b, k], the probability that a path that spells z is at k at step t: (T, B, C)."""
        alphas, emitted, losses = cache
        steps, batch, places = emitted.shape
        occupancy, each = onp.zeros(arrays[0].shape), onp.arange(batch)
        normaliser = onp.where(losses < onp.inf, losses, 0.0)[:, None]
        at_the_end = onp.where(self.ends, 0.0, -onp.inf)
        beta = onp.full((batch, places), -onp.inf)
        skips = onp.roll(self.skips, -2, axis=1)  # whether s + 2 may be reached from s: the first two are never skips
        for t in reversed(range(steps)):
            if t + 1 < steps:
                onward = emitted[t + 1] + beta
                beta = _sum([onward, _shifted(onward, -1), onp.where(skips, _shifted(onward, -2), -onp.inf)])
            beta = onp.where(self.input_lengths[:, None] == t + 1, at_the_end, beta)
            posterior = onp.exp(alphas[t] + beta + normaliser)
            for s in range(places):  # no two places of one s belong to one sequence
                occupancy[t, each, self.z[:, s]] += posterior[:, s]
        return occupancy

    def backward(
        self, arrays: Sequence[Array], cache: Any, cotangents: Sequence[Any], wanted: Sequence[int]
    ) -> list[Array]:
        share = self._occupancy(arrays, cache) * -cotangents[0][:, None]
        return [share.astype(arrays[0].dtype)]

    def tangent(self, arrays: Sequence[Array], results: Sequence[Array], tangents: dict[int, Any]) -> list[Array]:
        occupancy = self._occupancy(arrays, self.forward(arrays, keep=True)[1])
        return [-onp.sum(occupancy * tangents[0], axis=(0, 2)).astype(arrays[0].dtype)]

    def _by_trace(self, log_p: Array) -> tuple[Array, ...]:
        """The slow twin: alpha alone, by functions that autograd can differentiate any number of times.

        log 0 is a large number here, which has derivatives: they end in a weight exp(-large) = 0.
        """
        steps, batch, _ = shape_of(log_p)
        nowhere = onp.array(-1e30, dtype_of(log_p))
        alpha = onp.where(self.start == 0, 0.0, nowhere).astype(nowhere.dtype)
        edge = onp.full((batch, 2), nowhere)
        for t in range(steps):
            emitted = log_p[t][onp.arange(batch)[:, None], self.z]
            padded = np.concatenate([edge, alpha], axis=1)
            ways = [alpha, padded[:, 1:-1], np.where(self.skips, padded[:, :-2], nowhere)]
            reached = emitted + logsumexp(np.stack(ways), axis=0)
            alpha = np.where((t < self.input_lengths)[:, None], reached, alpha)
        losses = -logsumexp(np.where(self.ends, alpha, nowhere), axis=1)
        return (np.where(losses < -0.5 * nowhere, losses, onp.array(onp.inf, nowhere.dtype)),)


def _shifted(x: Array, by: int) -> Array:
    """y[:, s] = x[:, s - by], -inf where there is none: (B, L)."""
    y = onp.full_like(x, -onp.inf)
    if by > 0:
        y[:, by:] = x[:, :-by]
    else:
        y[:, :by] = x[:, -by:]
    return y


def _sum(logarithms: list[Array]) -> Array:
    """log sum exp of several arrays, -inf where all are."""
    top = onp.maximum.reduce(logarithms)
    top = onp.where(top > -onp.inf, top, 0.0)
    with onp.errstate(divide="ignore"):
        return top + onp.log(sum(onp.exp(x - top) for x in logarithms))


def _total(alpha: Array, ends: Array) -> Array:
    """log p(z) (B,) from the last alpha (B, L)."""
    return _sum(list(onp.where(ends, alpha, -onp.inf).T))
