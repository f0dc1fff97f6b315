"""Calls whose steps fit in one block of one share: everything that they bring but their arrays is laid out once.

A Frame is the memory of such a call, and the blocks of integers that the native code reads, with all addresses in them
that stay. It is lent to one call at a time; a call that is differentiated holds it for as long as its pullback lives.
"""

import math
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.address import address
from minirnn.compile.trace import Leaf
from minirnn.compile.workspace import Pool, aligned
from minirnn.module import Array

__all__ = ["Frames", "Kept"]

Arrays = Sequence[Any]
DIRECT_STEPS = 64  # of one row, that pay for no matrices packed before them
_PLAIN = (False, False)  # neither ragged, nor with resets
FREE = 8  # frames of a size that wait for calls


class _Block:
    """The integers of a direction's calls of n steps of b rows, and the scratch whose addresses are among them."""

    def __init__(self, part: Any, n: int, b: int):
        size, offsets = part.scratch.laid_out(n, b)
        self.part, self.memory = part, aligned(size)
        self.values = array("q", [0] * part.integers)
        self.where = self.values.buffer_info()[0]
        self.places: dict[str, list[tuple[int, int]]] = {}
        for place, argument in enumerate(part.arguments):
            self.places.setdefault(argument.kind, []).append((place, argument.number))
        for place, offset in zip(part.at_scratch, offsets.tolist(), strict=True):
            self.values[place] = address(self.memory) + offset
        self.flags = len(part.arguments) + 2
        self.values[self.flags - 2], self.values[self.flags - 1] = n, b
        for k, value in enumerate(part.tail.tolist(), part.integers - len(part.tail)):
            self.values[k] = value
        self.bring("constant", part.constants)
        self.once: Any = None

    def bring(self, kind: str, arrays: Arrays) -> None:
        """The addresses of a kind's arrays."""
        for place, number in self.places.get(kind, ()):
            self.values[place] = address(arrays[number])

    def run(self, parameters: Arrays, direct: bool, *flags: bool) -> Any:
        """Run the steps; what followed from the parameters."""
        values, once = self.values, self.part.once_direct(parameters) if direct else None
        if once is not None:
            self.bring("p", parameters)
            if once is not self.once:
                self.bring("c", once.arrays["c"])
        else:
            once, direct = self.part.once(parameters), False
            if once is not self.once:
                for place, where in zip(self.part.at_once, once.addresses.tolist(), strict=True):
                    values[place] = where
        self.once = once
        for k, flag in enumerate((*flags, *_PLAIN, direct), self.flags):
            values[k] = flag
        self.part.run(self.where)
        return once


class _Backward:
    """The backward half of a frame, lent to one pullback at a time."""

    def __init__(self, part: Any, layout: Any, n: int, b: int, states: Arrays, stored: Arrays):
        self.block = _Block(part, n, b)
        self.d = [_rows(2 * b, leaf) for leaf in layout.states if leaf.dtype.kind == "f"]
        self.first = [d[:b] for d in self.d]
        self.zeros = [np.zeros((n * b, *leaf.shape), leaf.dtype) for leaf in layout.outputs if leaf.dtype.kind == "f"]
        for kind in ("s", "in"):
            self.block.bring(kind, states)
        self.block.bring("k", stored)
        self.block.bring("d", self.d)


class _Frame:
    def __init__(self, parts: tuple[Any, Any], layout: Any, n: int, b: int):
        self.forward = _Block(parts[0], n, b)
        self.states = [_rows((n + 1) * b, leaf) for leaf in layout.states]
        self.stored = [_rows(n * b, leaf) for leaf in layout.stored]
        self.first = [array[:b] for array in self.states]
        self.last = [array[n * b :] for array in self.states]
        for kind in ("s", "in"):
            self.forward.bring(kind, self.states)
        self.forward.bring("k", self.stored)
        self.backward: list[_Backward] = []


def _rows(rows: int, leaf: Leaf) -> Array:
    shape = (rows, *leaf.shape)
    return np.ndarray(shape, leaf.dtype, aligned(math.prod(shape) * leaf.dtype.itemsize))


class Kept:
    """What a call that is differentiated holds until its pullback dies."""

    __slots__ = ("frame", "frames", "xs")

    def __init__(self, frames: "Frames", frame: _Frame, xs: Arrays):
        self.frames, self.frame, self.xs = frames, frame, xs

    def __del__(self) -> None:
        self.frames.pool.give_back(self.frame)


class _Wanted(NamedTuple):
    """Leaves of arrays that a call makes."""

    outputs: list[tuple[tuple[int, ...], Any]]
    sums: list[tuple[tuple[int, ...], Any]]
    inputs: list[tuple[tuple[int, ...], Any] | None]  # None: no float


class Frames:
    """A native program's calls of n steps of b rows."""

    def __init__(self, parts: tuple[Any, Any], layout: Any, n: int, b: int):
        self.parts, self.layout, self.size = parts, layout, (n, b)
        self.direct = b == 1 and n <= DIRECT_STEPS
        held = (*layout.states, *layout.stored)
        numbers = [(n + 1) * b * math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in held]
        scratch = sum(part.scratch.laid_out(n, b)[0] for part in parts)
        self.pool: Pool[_Frame] = Pool(FREE, sum(numbers) + scratch)
        self.made = _Wanted(
            [((n, b, *leaf.shape), leaf.dtype) for leaf in layout.outputs],
            [(leaf.shape, leaf.dtype) for leaf in layout.sums],
            [((n, b, *leaf.shape), leaf.dtype) if leaf.dtype.kind == "f" else None for leaf in layout.inputs],
        )

    def forward(
        self, parameters: Arrays, xs: Arrays, states: Arrays, keep: bool
    ) -> tuple[list[Array], list[Array], Kept | None]:
        """The outputs, the final states, and what a backward call needs, None unless `keep`."""
        frame = self.pool.take() or _Frame(self.parts, self.layout, *self.size)
        xs = _contiguous(xs)
        for view, came in zip(frame.first, states, strict=True):
            view[...] = came
        outputs = [np.empty(shape, dtype) for shape, dtype in self.made.outputs]
        block = frame.forward
        block.bring("x", xs)
        block.bring("y", outputs)
        block.run(parameters, self.direct, keep)
        final = [view.copy() for view in frame.last]
        if keep:
            return outputs, final, Kept(self, frame, xs)
        self.pool.give_back(frame)
        return outputs, final, None

    def backward(
        self, parameters: Arrays, kept: Kept, d_outputs: Arrays, d_final: Arrays, want_x: bool, want_parameters: bool
    ) -> tuple[list[Array | None], list[Array], list[Any]]:
        """The cotangents of the inputs (None for what is no float), of the first states, of the parameters.

        d_outputs and d_final are for floats alone; None stands for zeros.
        """
        part, frame = self.parts[1], kept.frame
        try:
            back = frame.backward.pop()
        except IndexError:
            back = _Backward(part, self.layout, *self.size, frame.states, frame.stored)
        for view, came in zip(back.first, d_final, strict=True):
            view[...] = 0 if came is None else came
        given = [zero if d is None else d for d, zero in zip(d_outputs, back.zeros, strict=True)]
        y = _contiguous(given)
        d_xs = [np.empty(*like) if want_x and like is not None else None for like in self.made.inputs]
        sums = [np.empty(shape, dtype) for shape, dtype in self.made.sums] if want_parameters else []
        block = back.block
        block.bring("x", kept.xs)
        block.bring("y", y)
        if want_x:
            block.bring("dx", d_xs)
        if want_parameters:
            block.bring("sums", sums)
        once = block.run(parameters, self.direct, True, want_x, want_parameters)
        d_first = [view.copy() for view in back.first]
        frame.backward.append(back)
        gradients = part.finish(parameters, once, sums) if want_parameters else []
        return d_xs, d_first, gradients


def _contiguous(arrays: Arrays) -> Arrays:
    return [array if array.flags.c_contiguous else np.ascontiguousarray(array) for array in arrays]
