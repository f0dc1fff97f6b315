"""Resets: flags that say at which steps of a row of the batch a new sequence begins.

`resets` (T, B) are what a caller gives. Layers hand on where rows are cut, T + 1 places: before each step, and behind
the last one. Seen from the end those are the same places, so that a layer can be turned round.
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.checks import as_array
from minirnn.module import Array
from minirnn.padding import where

__all__ = ["Anew", "Resets", "begins", "check_resets", "parts_of"]


def check_resets(name: str, resets: Any, shape: tuple[int, ...]) -> Array:
    """The flags as a new array of booleans. TypeError: neither booleans nor integers. ValueError: another shape, or
    numbers other than 0 and 1."""
    came: Any = np.asarray(as_array(name, np.asarray(resets) if isinstance(resets, (list, tuple)) else resets))
    expected = f"booleans of shape {shape}, True where a sequence begins, were expected"
    if came.dtype.kind not in "biu":
        raise TypeError(f"{name}: {came.dtype} came, {expected} (0 and 1 as integers do too)")
    if came.shape != shape:
        raise ValueError(f"{name}: shape {came.shape} came, {expected}")
    if came.dtype.kind != "b" and not np.isin(came, (0, 1)).all():
        raise ValueError(f"{name}: integers from {came.min()} to {came.max()} came, 0 and 1 were expected")
    return came.astype(bool)


def begins(resets: Array, lengths: Array | None, reverse: bool) -> Array | None:
    """(T, B): before which steps, in the direction of the run, the state becomes the initial one; None: before none.

    From the last step to the first, what is cut off at t begins with step t - 1. Flags past a sequence's end say
    nothing.
    """
    resets = _inside(resets, lengths)
    if reverse:
        resets = np.concatenate([resets[1:], np.zeros_like(resets[:1])])
    return resets if resets.any() else None


class Anew(NamedTuple):
    """begins: (T, B), before which steps, in the direction of a run, a row's state is made anew; state: what it then
    is, nested as the run's."""

    begins: Array
    state: Any

    def before(self, t: int, state: Any) -> Any:
        """What step t is given."""
        made = self.begins[t]
        return tree.map(lambda new, old: where(made, new, old), self.state, state) if made.any() else state

    def first(self, state: Any, reverse: bool) -> Any:
        """What each sequence's first step is given: from the last one on, none is made anew."""
        return state if reverse else self.before(0, state)

    def part(self, start: int, stop: int) -> "Anew":
        """For the steps of a piece."""
        return self._replace(begins=self.begins[start:stop])


def _inside(flags: Array, lengths: Array | None) -> Array:
    return flags if lengths is None else flags & (np.arange(len(flags))[:, None] < lengths)


class Resets(NamedTuple):
    """Where a layer's sequences are cut, (T + 1, B) booleans, and what the state then is, nested as the layer's."""

    cuts: Array
    state: Any

    @staticmethod
    def came(
        name: str,
        resets: Any,
        axes: tuple[int, ...],
        batch_first: bool,
        state: Any,
        reset_state: Any,
        lengths: Array | None,
    ) -> "Resets | None":
        """What a layer was called with. axes: of the flags, (T, B), (B, T) or (T,). ValueError, TypeError: other flags,
        or a state without flags."""
        if resets is None:
            if reset_state is not None:
                raise ValueError(f"{name}: reset_state came without resets, which say where the state becomes that one")
            return None
        flags = check_resets(f"{name}: resets", resets, axes)
        flags = flags[:, None] if len(axes) == 1 else flags.T if batch_first else flags
        return Resets.at(flags, state if reset_state is None else reset_state, lengths)

    @staticmethod
    def at(flags: Array, state: Any, lengths: Array | None = None) -> "Resets":
        """flags: (T, B), of which those past a sequence's end say nothing."""
        flags = _inside(flags, lengths)
        return Resets(np.concatenate([flags, np.zeros((1, *flags.shape[1:]), bool)]), state)

    @property
    def flags(self) -> Array:
        """(T, B), as `scan` takes them."""
        return self.cuts[:-1]

    def of(self, state: Any) -> "Resets":
        """The same cuts for a part of the layer, whose state then is this one."""
        return self._replace(state=state)

    def turned(self, lengths: Array | None) -> "Resets":
        """The same places seen from each sequence's end."""
        if lengths is None:
            return self._replace(cuts=self.cuts[::-1])
        t = np.arange(len(self.cuts))[:, None]
        return self._replace(cuts=self.cuts[np.where(t <= lengths, lengths - t, t), np.arange(len(lengths))])

    def before_the_end(self, state: Any, lengths: Array | None) -> Any:
        """What a run from the end begins with: the state, but where the row is cut behind its last step."""
        ends = np.full(self.cuts.shape[1], len(self.cuts) - 1) if lengths is None else lengths
        cut = self.cuts[ends, np.arange(len(ends))] & (ends > 0)
        if not cut.any():
            return state
        return tree.map(lambda new, old: where(cut, new, old), self.state, state)

    def counted(self, had: Any, then: Any) -> Array:
        """(T + 1, B): how many steps a row has had at each place, `had` at the first and `then` behind a cut; the last
        one's own cut does not count."""
        t = np.arange(len(self.cuts))[:, None]
        last = np.where(self.cuts, t, -1)
        last[-1] = -1
        last = np.maximum.accumulate(last, axis=0)
        return np.where(last >= 0, then + t - last, had + t)


def parts_of(resets: Resets | None, count: int) -> list[Resets | None]:
    """For each of `count` parts of a layer, whose state is the sequence of theirs."""
    if resets is None:
        return [None] * count
    return [resets.of(resets.state[k]) for k in range(count)]
