"""Whether the losses of a batch's parts make that of the whole: what several ranks, and accumulation, rest on."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.module import Module
from minirnn.parallel.noise import Axes, StreamNoise
from minirnn.parallel.shares import Reduction, count_of

__all__ = ["counts_differ", "judged"]

_DIGITS = 2 / 3  # of those that the dtype has: sums are grouped differently


def counts_differ(batch: Any, reduction: Reduction) -> bool:
    """Whether a batch's streams do not all count alike, as far as its first half shows."""
    half = slice(0, (batch.batch_size + 1) // 2)
    part, whole = count_of(batch.part(half), reduction), count_of(batch, reduction)
    return reduction != "sum" and part is not None and part * batch.batch_size != (whole or 0.0) * half.stop


def judged(
    loss: Callable[..., Any],
    model: Module,
    batch: Any,
    rng: np.random.Generator | None,
    axes: Axes,
    reduction: Reduction,
) -> str | None:
    """Whether a batch's two halves, weighted, have the loss of the whole, with the same noise and from no state.

    "": they have. A message: they have not, and which reduction fits, if one does. None: it cannot be told from this
    batch (one stream, a half that counts nothing, a loss that is not finite). Nothing is changed.
    """
    if batch.batch_size < 2:
        return None
    middle, count = (batch.batch_size + 1) // 2, batch.batch_size
    halves = [slice(0, middle), slice(middle, count)]
    parts = [batch.part(half) for half in halves]
    if not all(count_of(part, reduction) for part in parts):
        return None
    values = []
    for part, streams in zip([batch, *parts], [None, *halves], strict=True):
        noise = copy.deepcopy(rng)
        if noise is not None and streams is not None:
            noise = StreamNoise(noise.bit_generator, axes.noise)
            noise.begin(streams, count)
        values.append(loss(model, part, None, noise)[0])
    whole, *losses = map(float, values)
    if not all(map(math.isfinite, (whole, *losses))):
        return None

    def made(kind: Reduction) -> tuple[float, bool]:
        """The loss that the halves make, and whether it is that of the whole."""
        total = 1.0 if kind == "sum" else count_of(batch, kind) or 1.0
        terms = [value * (count_of(part, kind) or 0.0) / total for part, value in zip(parts, losses, strict=True)]
        return sum(terms), abs(whole - sum(terms)) <= allowed * max(abs(whole), *map(abs, terms))

    floats = [np.result_type(values[0]), *(p.dtype for p in model.parameters().values())]
    allowed = max(float(np.finfo(dtype).eps) for dtype in floats if dtype.kind == "f") ** _DIGITS
    combined, right = made(reduction)
    if right:
        return ""
    others: dict[str, Reduction] = {
        'reduction="sum"': "sum",
        "reduction=lambda batch: batch.batch_size": lambda one: one.batch_size,
    }
    fits = next((words for words, kind in others.items() if kind != reduction and made(kind)[1]), None)
    what = {"mean": "a mean over scored targets", "sum": "a sum"}.get(str(reduction), "such a weighted mean")
    advice = f"give fit {fits}" if fits else 'train it on one rank, with reduction="batches" if it accumulates'
    return (
        f"fit: the loss of a batch is {whole:.6g}, but its two halves make {combined:.6g}: it is not {what}; {advice}"
    )
