"""Spans: steps of some rows of the batch that are run together, and what a block of one sees of a call's arrays."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.shares import Rows, Task
from minirnn.compile.workspace import Workspace
from minirnn.module import Array
from minirnn.reference import pieces

__all__ = ["Block", "Span", "cut"]


class Block(NamedTuple):
    """Some steps of a span, (n, b, ...) of arrays (T, B, ...): now and rows say which; or `source`, (n*b,), where each
    lies in (T*B, ...), and `outside`, (n*b, 1), of which nothing is kept, or None."""

    n: int
    b: int
    now: slice
    rows: slice
    source: Array | None = None
    outside: Array | None = None

    def of(self, array: Array) -> Array:
        """Its part of an array, a view where it can be."""
        if self.source is None:
            return array[self.now, self.rows]
        return np.take(_rows_of(array), self.source, axis=0).reshape(self.n, self.b, *array.shape[2:])

    def rows_in(self, array: Array, work: Workspace, name: str, only_inside: bool = False) -> tuple[Array, list[Task]]:
        """Its part as contiguous (n*b, ...), and the calls that fill it; a view, and none, where that is one.
        only_inside: with zeros where nothing is kept."""
        shape = (self.n * self.b, *array.shape[2:])
        if self.source is None:
            block = array[self.now, self.rows]
            if block.flags.c_contiguous:
                return block.reshape(shape), []
            copy = work.array(name, shape, array.dtype)
            return copy, [partial(np.copyto, copy.reshape(block.shape), block)]
        copy = work.array(name, shape, array.dtype)
        calls: list[Task] = [partial(np.take, _rows_of(array), self.source, 0, copy, "clip")]
        if only_inside and self.outside is not None:
            where = self.outside.reshape(-1, *[1] * len(shape[1:]))
            calls.append(partial(np.copyto, copy, copy.dtype.type(0), where=where))
        return copy, calls

    def rows_out(self, array: Array | None, tail: Sequence[int], dtype: Any, work: Workspace, name: str) -> Array:
        """Rows to write it into: a view of the array where it is contiguous there, and otherwise borrowed."""
        if array is not None and self.source is None:
            block = array[self.now, self.rows]
            if block.flags.c_contiguous:
                return block.reshape(self.n * self.b, *tail)
        return work.array(name, (self.n * self.b, *tail), dtype)

    def delivery(self, written: Array, array: Array | None) -> list[Task]:
        """The calls that bring what was written into borrowed rows to its place."""
        if array is None:
            return []
        if self.source is not None:
            return [partial(_scatter, _rows_of(array), self.source, self.outside, written)]
        block = array[self.now, self.rows]
        return [] if block.flags.c_contiguous else [partial(np.copyto, block, written.reshape(block.shape))]


class Span(NamedTuple):
    """Steps from `start` on, to before `stop`, of these rows; source and outside: as a Block's, for all of them."""

    start: int
    stop: int
    rows: Rows
    source: Array | None = None
    outside: Array | None = None

    @property
    def steps(self) -> int:
        return self.stop - self.start

    @property
    def width(self) -> int:
        """How many rows it has."""
        return self.rows[1] - self.rows[0]

    def block(self, first: int, last: int) -> Block:
        """The steps from `first` on, to before `last`, counted from the span's first."""
        now, b = slice(self.start + first, self.start + last), self.width
        source, outside = self._cut(first, last)
        if outside is not None and not outside.any():
            outside = None
        return Block(last - first, b, now, slice(*self.rows), source, outside)

    def piece(self, first: int, last: int) -> "Span":
        """The same steps as a span."""
        return Span(self.start + first, self.start + last, self.rows, *self._cut(first, last))

    def _cut(self, first: int, last: int) -> tuple[Array | None, Array | None]:
        rows = slice(first * self.width, last * self.width)
        return (
            None if self.source is None else self.source[rows],
            None if self.outside is None else self.outside[rows],
        )


def cut(spans: Sequence[Span], every: int | None) -> list[Span]:
    """The spans in pieces of `every` steps."""
    if every is None:
        return list(spans)
    return [span.piece(*piece) for span in spans for piece in pieces(span.steps, every)]


def _rows_of(array: Array) -> Array:
    """(T, B, ...) as (T*B, ...), a view."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _scatter(array: Array, where: Array, outside: Array | None, rows: Array) -> None:
    if outside is None:
        array[where] = rows
    else:
        inside = np.flatnonzero(~outside[:, 0])
        array[where[inside]] = rows[inside]
