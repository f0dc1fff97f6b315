"""Order: a call's sequences in the order of the steps that are run, and what stands beside a sequence that is shorter.

A step that is undefined somewhere (log x, x / dt) must not meet padding: 0 * nan, in a derivative, is nan. So padding
is put before a sequence, where the state is still the first one, and repeats its first row: what is computed there is
what the first step computes. But the state behind a step is held there, and code that reads it in place of what the
step made of it may meet 0 / 0 all the same: then the gradients are not finite, and the engine asks the reference.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from minirnn.module import Array

__all__ = ["Order"]


class Order:
    """Of arrays (T, B, ...). outside: (T, B, 1) in the steps' order, True where nothing is run, or None.

    lengths: (B,) integers, not all 0, or None.
    """

    def __init__(self, lengths: Array | None, steps: int, reverse: bool):
        self.reverse = reverse
        self.outside: Array | None = None
        if lengths is None or lengths.min() == steps:
            return
        t, self._rows = np.arange(steps)[:, None], np.arange(len(lengths))
        whose = np.where(lengths > 0, self._rows, np.argmax(lengths))  # a sequence without a step borrows one
        late = steps - lengths  # how many steps each one is moved
        self.outside = (t < late)[:, :, None]
        at = np.maximum(t - late, 0)
        self._any = lengths > 0
        self._there = lengths[whose] - 1 - at if reverse else at, whose
        self._back = steps - 1 - t if reverse else np.minimum(t + late, steps - 1), t < lengths

    def there(self, array: Array) -> Array:
        """An array of the call's in the order of the steps."""
        if self.outside is None:
            return array[::-1] if self.reverse else array
        return array[self._there]

    def only_inside(self, array: Array) -> Array:
        """The same, with zeros outside."""
        found = self.there(array)
        return found if self.outside is None else _zeroed(found, self.outside[:, :, 0])

    def begins(self, flags: Array) -> Array:
        """(T, B) flags of a call, before which steps a state is made anew, as (T, B, 1) in the order of the steps: that
        before a sequence's first step holds for all that is computed in its place before it."""
        found = self.there(flags)
        return np.ascontiguousarray(found if self.outside is None else found & self._any)[:, :, None]

    def back(self, array: Array) -> Array:
        """What was computed in the order of the steps, as the call has it, with zeros past each end."""
        if self.outside is None:
            return array[::-1] if self.reverse else array
        places, inside = self._back
        return _zeroed(array[places, self._rows], ~inside)

    def quiet(self) -> AbstractContextManager[None]:
        """No warnings of what is computed where nothing is run."""
        return nullcontext() if self.outside is None else np.errstate(all="ignore")


def _zeroed(array: Array, where: Any) -> Array:
    array[where] = 0
    return array
