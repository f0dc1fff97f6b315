"""Where an array's numbers are. The array object holds that in its first word of its own; asking for
`__array_interface__` builds a dict, five times as long."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["address"]

_word = ctypes.c_ssize_t.from_address
_HEAD = object.__basicsize__  # what every object begins with; an array goes on with the address of its numbers


def _asked(array: Any) -> int:
    found: int = array.__array_interface__["data"][0]
    return found


def _read(array: Any) -> int:
    return _word(id(array) + _HEAD).value


def _can_be_read() -> bool:
    """Whether arrays are laid out so here, which CPython's and NumPy's headers say and other builds need not."""
    some = np.arange(12.0).reshape(3, 4)
    return all(_read(array) == _asked(array) for array in (some, some[1:], some.T, some[::-1], np.ones(1, np.uint8)))


address: Callable[[Any], int] = _read if _can_be_read() else _asked
