"""Patterns in a wrong gradient that tell which mistake it is."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Evidence", "recognise"]

Array = NDArray[Any]
BLOCKS = (8, 6, 5, 4, 3, 2)  # equal blocks of rows that stacked gate weights come in


@dataclass(frozen=True)
class Evidence:
    """What is known about K coordinates of one argument of `shape`.

    index (K, ndim); value, the backward's and the numerical gradient, the disagreement allowed, whether it is wrong:
    (K,) each; columns (K, M): the derivative of every output by it, or None; the cotangent (M,); outputs: their shapes;
    summed: lengths of the axes that outputs have and the argument has not.
    """

    shape: tuple[int, ...]
    index: Array
    value: Array
    analytic: Array
    numeric: Array
    allowed: Array
    wrong: Array
    columns: Array | None
    cotangent: Array
    outputs: list[tuple[int, ...]]
    summed: list[int]

    @property
    def complete(self) -> bool:
        return len(self.index) == int(np.prod(self.shape))


def recognise(e: Evidence) -> list[str]:
    """Hints, the most telling first."""
    place = where(e)
    if np.all(e.analytic == 0) and (len(e.index) == 1 or e.wrong.sum() >= max(2, 0.1 * len(e.index))):
        return ["its gradient is zero throughout: a path from it to the output is missing, or it was detached"]
    what = factor(e)
    if what is None and np.all(e.analytic[e.wrong] == 0):
        what = "is zero, and should not be"
    hints = []
    for name in (what, transposed(e), contribution(e), plateau(e)):
        if name is not None:
            hints.append(f"the gradient {place + ' ' if place else ''}{name}")
            break
    if not hints and place:
        hints.append(f"the gradient {place} is wrong, and right elsewhere")
    return hints


def named(number: float) -> str:
    fraction = Fraction(number).limit_denominator(100)
    simple = fraction.denominator > 1 and abs(float(fraction) - number) < 1e-6 * abs(number)
    return f"{number:.6g} ({fraction})" if simple else f"{number:.6g}"


def factor(e: Evidence) -> str | None:
    """The wrong coordinates are all the same multiple of what they should be."""
    used = e.wrong & (np.abs(e.numeric) > 100 * e.allowed)
    if used.sum() < min(2, e.index.shape[0]) or used.sum() < 0.5 * e.wrong.sum():
        return None
    ratio = e.analytic[used] / e.numeric[used]
    spread = np.abs(ratio - np.median(ratio))
    if np.any(spread > 2 * e.allowed[used] / np.abs(e.numeric[used]) + 1e-6 * np.abs(ratio)):
        return None
    number = float(np.median(ratio))
    if number == 0 or abs(number - 1) < 1e-5:
        return None
    if abs(number + 1) < 1e-5:
        return "has the wrong sign"
    text = f"is {named(number)} times what it should be"
    if abs(number - 2) < 1e-5:
        return f"{text}: counted twice?"
    for length in e.summed if e.wrong.all() else ():
        if abs(number * length - 1) < 1e-5:
            return f"{text}: averaged over an axis of length {length}, where the true gradient is the sum?"
        if abs(number / length - 1) < 1e-5:
            return f"{text}: summed once too often over an axis of length {length}, or an average forgotten?"
    return text


def transposed(e: Evidence) -> str | None:
    if len(e.shape) != 2 or e.shape[0] != e.shape[1] or not e.complete:
        return None
    numeric, analytic = e.numeric.reshape(e.shape), e.analytic.reshape(e.shape)
    slack = e.allowed.reshape(e.shape) + e.allowed.reshape(e.shape).T
    return "is the transpose of what it should be" if np.all(np.abs(analytic - numeric.T) <= slack) else None


def contribution(e: Evidence) -> str | None:
    """The gradient that comes of one index of an output's axis alone, or of all but one: a sum that was not taken."""
    if e.columns is None:
        return None
    weighed = e.columns * e.cotangent
    slack = 10 * e.allowed + 1e-5 * np.abs(weighed).sum(1)
    start = 0
    for k, shape in enumerate(e.outputs):
        size = int(np.prod(shape))
        part = weighed[:, start : start + size].reshape(len(weighed), *shape)
        start += size
        name = f"output {k}" if len(e.outputs) > 1 else "the output"
        for axis, length in enumerate(shape):
            if length == 1:
                continue
            each = part.sum(axis=tuple(a + 1 for a in range(len(shape)) if a != axis))  # (K, length)
            total = weighed.sum(1)
            for i in dict.fromkeys((0, length - 1, *range(min(length, 64)))):
                if np.all(np.abs(e.analytic - each[:, i]) <= slack):
                    return f"is that of index {i} of axis {axis} of {name} alone: a sum over that axis is missing"
                if np.all(np.abs(e.analytic - (total - each[:, i])) <= slack):
                    return f"leaves out index {i} of axis {axis} of {name}"
        if len(e.outputs) > 1 and np.all(
            np.abs(e.analytic - (weighed.sum(1) - part.reshape(len(part), -1).sum(1))) <= slack
        ):
            return f"leaves out {name}: a path through it is dropped"
    return None


def plateau(e: Evidence) -> str | None:
    """Several wrong coordinates at one largest magnitude."""
    top = np.max(np.abs(e.analytic))
    at_top = np.isclose(np.abs(e.analytic), top, rtol=1e-9)
    if at_top.sum() > 1 and np.all(at_top == e.wrong) and np.all(np.abs(e.numeric[at_top]) > top):
        return f"never exceeds {top:.6g}: clipped inside the backward?"
    return None


def where(e: Evidence) -> str | None:
    """Which part of the argument is wrong: one index of an axis, one of several equal blocks, one sign."""
    if e.wrong.all():
        return None
    if e.wrong.sum() == 1 and e.complete and sum(length > 1 for length in e.shape) > 1:
        return f"at {e.index[e.wrong][0].tolist()} alone"
    for axis, length in enumerate(e.shape):
        found = np.unique(e.index[e.wrong, axis])
        if len(found) == 1 and length > 1 and _mostly(e, e.index[:, axis] == found[0]):
            i = int(found[0])
            place = "the last" if i == length - 1 else "the first" if i == 0 else "only that one"
            return f"at index {i} of axis {axis} ({place} of {length})"
    for axis, length in enumerate(e.shape):
        for count in BLOCKS:
            width = length // count
            if length % count or width < 2:
                continue
            blocks = np.unique(e.index[e.wrong, axis] // width)
            if len(blocks) == 1 and _mostly(e, e.index[:, axis] // width == blocks[0]):
                b = int(blocks[0])
                rows = "rows" if axis == 0 else "indices"
                extra = "" if axis == 0 else f" of axis {axis}"
                return f"in {rows} {b * width}:{(b + 1) * width}{extra} (block {b} of {count}) alone"
    for text, part in (("negative", e.value < 0), ("positive", e.value > 0)):
        if np.all(part[e.wrong]) and _mostly(e, part) and not part.all():
            return f"where the argument is {text}"
    inner, outer = np.abs(e.value[~e.wrong]).max(initial=0.0), np.abs(e.value[e.wrong]).min()
    if outer > inner:
        return f"where the argument's magnitude exceeds about {inner:.3g} to {outer:.3g}"
    return None


def _mostly(e: Evidence, part: Array) -> bool:
    """Whether most of a part is wrong, apart from coordinates whose gradient is zero either way."""
    live = part & ((np.abs(e.numeric) > e.allowed) | (np.abs(e.analytic) > e.allowed) | e.wrong)
    return bool(e.wrong[live].mean() > 0.6) if live.any() else False
