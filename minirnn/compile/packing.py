"""Packing: a batch of sequences of different lengths as what it holds, without its padding.

Rows are sorted by length and dealt to the shares, and each share's sequences end together. So from the first step on
rows only join: a share is some spans, each of more rows than the one before,

    rows     0  #########
             1   ########         a span of 2 rows, and one of 4: where a row joins within a span, what stands
             2     .#####         before it (.) repeats its first step, and is not kept
             3      #####

A step that is undefined somewhere (log x, x / dt) must not meet padding: 0 * nan, in a derivative, is nan. What is
computed before a row joins is what its first step computes, as its state is still the first one. But the state behind a
step is held there, and code that reads it in place of what the step made of it may meet 0 / 0 all the same: then the
gradients are not finite, and the engine asks the reference.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import numpy as np

from minirnn.compile.spans import Span
from minirnn.module import Array

__all__ = ["Packing", "spans_of"]

# what a step and a span cost beside the work on their rows: in rows of one step, and in multiplications and additions
STEP, SPAN, SPAN_WORK = 2, 4, 4e6
MOST = 12  # places that are looked at for the beginning of a span


class Packing:
    """lengths: (B,) integers, not all 0; shares: how many there are to be, at most as many as rows with a step; work:
    multiplications and additions of a row's step.

    Arrays of all steps stay (T, B, ...): a span says where its steps lie in them. States are (R, ...), of the rows that
    have a step.
    """

    def __init__(self, lengths: Array, shape: tuple[int, int], reverse: bool, shares: int, work: float):
        live = np.flatnonzero(lengths)
        by_length = live[np.argsort(-lengths[live], kind="stable")]
        dealt, low = [by_length[k::shares] for k in range(shares)], 0
        self.batch, self.steps, self.shape = len(live), int(lengths.max()), shape
        self.shares: list[list[Span]] = []
        self.pads = False  # whether anything is computed that is not kept
        for rows in dealt:
            self.shares.append(self._spans(rows, lengths[rows], low, reverse, work))
            low += len(rows)
        self._rows = np.concatenate(dealt)

    def _spans(self, rows: Array, lengths: Array, low: int, reverse: bool, work: float) -> list[Span]:
        spans = spans_of(lengths, work)
        steps, widths = np.array([[stop - start, width] for start, stop, width in spans]).T
        each = np.repeat(widths, steps)  # rows of each step
        step, before = np.arange(lengths[0]), np.cumsum(each) - each
        column = np.arange(each.sum()) - np.repeat(before, each)
        time = np.repeat(step, each) - (lengths[0] - lengths[column])
        outside = time < 0
        np.maximum(time, 0, out=time)
        if reverse:
            np.subtract(lengths[column] - 1, time, out=time)
        source, pads = time * self.shape[1] + rows[column], bool(outside.any())
        self.pads |= pads
        found, at = list[Span](), 0
        for start, stop, width in spans:
            end = at + (stop - start) * width
            without = outside[at:end, None] if pads else None
            found.append(Span(start, stop, (low, low + width), source[at:end], without))
            at = end
        return found

    # ------------------------------------------------------------ arrays of all steps
    def there(self, array: Array) -> Array:
        """An array of the call's, as spans find their steps in it."""
        return np.ascontiguousarray(array)

    def room(self, tail: Sequence[int], dtype: Any) -> Array:
        """Memory for what is computed: zeros past each end."""
        return np.zeros((*self.shape, *tail), dtype)

    def back(self, array: Array) -> Array:
        """What was computed, as the call has it."""
        return array

    def begins(self, flags: Array) -> Array:
        """(T, B) flags of a call, before which steps a state is made anew, as (T, B, 1)."""
        return np.ascontiguousarray(flags)[:, :, None]

    # ------------------------------------------------------------ states
    def rows(self, array: Array) -> Array:
        """(B, ...) as (R, ...), in the order of the shares."""
        return array[self._rows]

    def held(self, array: Array, found: Array) -> Array:
        """(B, ...) again: what was found, and of rows that have no step what there was."""
        made = array.copy()
        made[self._rows] = found
        return made

    def quiet(self) -> AbstractContextManager[None]:
        """No warnings of what is computed where nothing is kept."""
        return np.errstate(all="ignore") if self.pads else nullcontext()


def spans_of(lengths: Array, work: float) -> list[tuple[int, int, int]]:
    """(start, stop, rows) of the spans for a share's lengths, the longest first: those that cost least.

    A row joins `longest - length` steps after the first; spans begin where some do.
    """
    joins = int(lengths[0]) - lengths
    times, counts = np.unique(joins, return_counts=True)
    rows = np.cumsum(counts)
    if len(times) > MOST:  # those behind which enough rows have joined
        chosen = np.unique(np.searchsorted(rows, np.linspace(rows[0], rows[-1], MOST)))
        times, rows = times[np.r_[0, chosen[:-1] + 1]], rows[chosen]
    ends, a_span = [*times.tolist(), int(lengths[0])], SPAN + SPAN_WORK / max(work, 1.0)
    cost, begun = [0.0], [0]
    for k, count in enumerate(rows.tolist(), 1):
        each = [cost[j] + (ends[k] - ends[j]) * (count + STEP) for j in range(k)]
        begun.append(min(range(k), key=each.__getitem__))
        cost.append(each[begun[-1]] + a_span)
    bounds = [len(rows)]
    while bounds[-1]:
        bounds.append(begun[bounds[-1]])
    return [(ends[a], ends[b], int(rows[b - 1])) for a, b in pairwise(bounds[::-1])]
