"""The noise of a batch's streams, drawn by the ranks that have them: the same for a stream whoever has it.

Every rank holds the same generator. Of each array of noise it draws the entries of its own streams, and passes over the
others': afterwards all are at the same place again, which is where one process would be.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from minirnn import tree

__all__ = ["Axes", "StreamNoise", "find_axes"]

# Numbers between two of a rank's pieces that are worth passing over. To draw one takes 2 ns, to pass over any number of
# them 3 us.
_WORTH_A_JUMP = 2000


class StreamNoise(np.random.Generator):
    """A Generator for a loss that is called with some of a batch's streams: it draws what the whole batch's noise would
    be, from the bit generator that it is given, and returns these streams' part of it.

    axes: of each array that the loss draws, in order, the axis of the streams, or None where all share it (a mask of
    weights). Methods: random, uniform, normal, standard_normal, integers, binomial; any other draws for all alike.
    """

    def __init__(self, bit_generator: Any, axes: Sequence[int | None]):
        super().__init__(bit_generator)
        self.axes = tuple(axes)
        self.streams, self.of = slice(0, 1), 1
        self.drawn = 0

    def begin(self, streams: slice, of: int) -> None:
        """The next call of the loss has these of so many streams."""
        self.streams, self.of, self.drawn = streams, of, 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        other = type(self)(copy.deepcopy(self.bit_generator, memo), self.axes)
        other.begin(self.streams, self.of)
        return other

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        plain = super().random
        if out is not None:
            raise ValueError("StreamNoise.random: out= came, which noise of several ranks does not take")
        axis = self._axis(size)
        if axis is None:
            return plain(size, dtype)
        shape, width = tuple(size), self.streams.stop - self.streams.start
        rows, row = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
        skipped = (self.of - width) * row
        jumps = np.dtype(dtype) == np.float32 and isinstance(self.bit_generator, np.random.PCG64)
        if not jumps or skipped < _WORTH_A_JUMP:
            found = self._part_of(lambda whole: plain(whole, dtype), shape, axis)
            self._forget()
            return found
        found = np.empty((rows, width * row), np.float32)
        before = self.streams.start * row
        for one in found:
            self._pass_over(before, plain)
            plain(dtype=np.float32, out=one)
            self._pass_over(skipped - before, plain)
        self._forget()
        return found.reshape(shape)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return self._drawn(lambda whole: super(StreamNoise, self).uniform(low, high, whole), size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return self._drawn(lambda whole: super(StreamNoise, self).normal(loc, scale, whole), size)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        if out is not None:
            raise ValueError("StreamNoise.standard_normal: out= came, which noise of several ranks does not take")
        return self._drawn(lambda whole: super(StreamNoise, self).standard_normal(whole, dtype), size)

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> Any:
        return self._drawn(lambda whole: super(StreamNoise, self).integers(low, high, whole, dtype, endpoint), size)

    def binomial(self, n: Any, p: Any, size: Any = None) -> Any:
        return self._drawn(lambda whole: super(StreamNoise, self).binomial(n, p, whole), size)

    def _drawn(self, draw: Callable[[Any], Any], size: Any) -> Any:
        axis = self._axis(size)
        return draw(size) if axis is None else self._part_of(draw, tuple(size), axis)

    def _part_of(self, draw: Callable[[Any], Any], shape: tuple[int, ...], axis: int) -> Any:
        whole = draw((*shape[:axis], self.of, *shape[axis + 1 :]))
        return np.ascontiguousarray(whole[(slice(None),) * axis + (self.streams,)])

    def _axis(self, size: Any) -> int | None:
        """The streams' axis in the next array; None where all of it is drawn."""
        if self.drawn >= len(self.axes):
            raise ValueError(
                f"fit: the loss draws noise more often than at first, {len(self.axes)} times; on several ranks it has "
                "to draw the same arrays in the same order each time"
            )
        axis, self.drawn = self.axes[self.drawn], self.drawn + 1
        if axis is None:
            return None
        width = self.streams.stop - self.streams.start
        if not isinstance(size, (tuple, list)) or len(size) <= axis or size[axis] != width:
            raise ValueError(
                f"fit: noise of shape {size} came for {width} streams, which were expected on axis {axis}; on several "
                "ranks a loss has to draw the same arrays in the same order each time"
            )
        return axis

    def _forget(self) -> None:
        """A number that was kept and has been used is still in the state, another one on each rank."""
        state = self.bit_generator.state
        if state.get("has_uint32") == 0:
            self.bit_generator.state = {**state, "uinteger": 0}

    def _pass_over(self, count: int, draw: Callable[..., Any]) -> None:
        """Leave out so many float32 numbers; the generator makes two of them from one step, and keeps the second."""
        if not count:
            return
        if self.bit_generator.state["has_uint32"]:
            draw(dtype=np.float32)
            count -= 1
        if count > 1:
            self.bit_generator.advance(count // 2)  # type: ignore[attr-defined]  # PCG64 has it
        if count % 2:
            draw(dtype=np.float32)


class Axes:
    """Where the streams are in what a loss draws, and in the state that it returns (path -> axis; None: nowhere)."""

    def __init__(self, noise: Sequence[int | None], state: dict[str, int | None]):
        self.noise, self.state = tuple(noise), state


def find_axes(loss: Callable[..., Any], model: Any, batch: Any, rng: np.random.Generator | None) -> Axes:
    """Call the loss with one and with two streams of the batch, and see what differs. Nothing is changed by it.

    A batch of one stream has nothing to differ. ValueError: an array that differs in more than one axis, or one that is
    not there both times.
    """
    seen = []
    for width in (1, min(2, batch.batch_size)):
        recorder = None if rng is None else _Recorder(copy.deepcopy(rng.bit_generator))
        _, state = loss(model, batch.part(slice(0, width)), None, recorder)
        shapes = {path: np.shape(leaf) for path, leaf in tree.named_leaves(state)}
        seen.append(([] if recorder is None else recorder.sizes, shapes))
    (drawn, state), (drawn_by_two, state_of_two) = seen
    if len(drawn) != len(drawn_by_two) or state.keys() != state_of_two.keys():
        raise ValueError(
            "fit: one stream and two have other noise or states; such a batch cannot be divided over ranks"
        )
    noise = [_differing("noise", *sizes) for sizes in zip(drawn, drawn_by_two, strict=True)]
    return Axes(noise, {path: _differing(f"the state {path}", state[path], state_of_two[path]) for path in state})


def _differing(what: str, one: tuple[int, ...], two: tuple[int, ...]) -> int | None:
    axes = [k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b]
    if not axes and len(one) == len(two):
        return None
    if len(axes) != 1 or len(one) != len(two) or (one[axes[0]], two[axes[0]]) != (1, 2):
        raise ValueError(f"fit: {what} of one stream has shape {one}, of two {two}; one axis of streams was expected")
    return axes[0]


class _Recorder(np.random.Generator):
    """Notes the size of each array that is drawn."""

    def __init__(self, bit_generator: Any):
        super().__init__(bit_generator)
        self.sizes: list[tuple[int, ...]] = []

    def _note(self, found: Any) -> Any:
        self.sizes.append(np.shape(found))
        return found

    def random(self, *args: Any, **more: Any) -> Any:
        return self._note(super().random(*args, **more))

    def uniform(self, *args: Any, **more: Any) -> Any:
        return self._note(super().uniform(*args, **more))

    def normal(self, *args: Any, **more: Any) -> Any:
        return self._note(super().normal(*args, **more))

    def standard_normal(self, *args: Any, **more: Any) -> Any:
        return self._note(super().standard_normal(*args, **more))

    def integers(self, *args: Any, **more: Any) -> Any:
        return self._note(super().integers(*args, **more))

    def binomial(self, *args: Any, **more: Any) -> Any:
        return self._note(super().binomial(*args, **more))
