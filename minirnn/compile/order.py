"""Order: a call's arrays in the order of the steps that are run, where every sequence has all of them (see packing.py
for the others)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from minirnn.module import Array

__all__ = ["Order"]


class Order:
    """Of arrays (T, B, ...): as they are, or from the last step to the first. It is asked what a Packing is asked."""

    def __init__(self, shape: tuple[int, int], reverse: bool):
        self.shape, self.reverse = shape, reverse

    def there(self, array: Array) -> Array:
        """An array of the call's in the order of the steps."""
        return array[::-1] if self.reverse else array

    def room(self, tail: Sequence[int], dtype: Any) -> Array:
        """Memory for what is computed, in the order of the steps."""
        return self.there(np.empty((*self.shape, *tail), dtype))

    def back(self, array: Array) -> Array:
        """What was computed, in room of this order, as the call has it."""
        made: Any = array.base
        return made if self.reverse else array

    def begins(self, flags: Array) -> Array:
        """(T, B) flags, before which steps a state is made anew, as (T, B, 1)."""
        return self.there(flags)[:, :, None]

    def rows(self, array: Array) -> Array:
        """(B, ...), as states are given."""
        return array

    def held(self, array: Array, found: Array) -> Array:
        """(B, ...), as states leave, where `array` came in."""
        return found

    def quiet(self) -> AbstractContextManager[None]:
        return nullcontext()
