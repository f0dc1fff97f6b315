"""What a step was seen to read, remembered so that a glance tells whether it is still there: by identity alone.

A name in a namespace, an attribute, a closure's cell and the items of a container are compared with the objects that
stood there; arrays, which change in place, by their bytes.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from operator import is_
from typing import Any

import numpy as np

__all__ = ["MISSING", "Watch", "bytes_of", "contents"]

MISSING: Any = object()


class Watch:
    """What was read, in lists of one kind each, which `unchanged` goes through at every call."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], tuple[Callable[..., Any], str, Any]] = {}
        self._sized: list[Any] = []
        self._sizes: list[int] = []
        self._functions: list[tuple[types.FunctionType, Any, Any, Any]] = []
        self._attributes: list[tuple[Any, str, Any]] = []
        self._cells: list[tuple[Any, Any]] = []
        self._items: list[tuple[Callable[[], Iterable[Any]], tuple[Any, ...]]] = []
        self._again: list[tuple[Callable[[], Any], Any]] = []

    def name(self, space: Mapping[str, Any], name: str) -> Any:
        """What stands under a name, MISSING if nothing."""
        found = space.get(name, MISSING)
        self._names.setdefault((id(space), name), (space.get, name, found))
        return found

    def size(self, space: Mapping[str, Any]) -> None:
        """How many names there are: a new one may hide what is read."""
        self._sized.append(space)
        self._sizes.append(len(space))

    def function(self, function: types.FunctionType) -> tuple[Any, Any, Any]:
        """A function's code and its two kinds of defaults."""
        found = function.__code__, function.__defaults__, function.__kwdefaults__
        self._functions.append((function, *found))
        return found

    def attribute(self, owner: Any, name: str) -> Any:
        found = getattr(owner, name, MISSING)
        self._attributes.append((owner, name, found))
        return found

    def cell(self, cell: Any) -> Any:
        found = contents(cell)
        self._cells.append((cell, found))
        return found

    def items(self, read: Callable[[], Iterable[Any]]) -> tuple[Any, ...]:
        """What a container holds."""
        found = tuple(read())
        self._items.append((read, found))
        return found

    def again(self, compute: Callable[[], Any]) -> Any:
        """A value that is computed anew each time, and compared."""
        found = compute()
        self._again.append((compute, found))
        return found

    def unchanged(self) -> bool:
        for get, name, stood in self._names.values():
            if get(name, MISSING) is not stood:
                return False
        for function, code, defaults, keywords in self._functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
            if function.__kwdefaults__ is not keywords:
                return False
        for cell, held in self._cells:
            if contents(cell) is not held:
                return False
        for owner, name, held in self._attributes:
            if getattr(owner, name, MISSING) is not held:
                return False
        for read, parts in self._items:
            now = tuple(read())
            if len(now) != len(parts) or not all(map(is_, now, parts)):
                return False
        return list(map(len, self._sized)) == self._sizes and all(compute() == held for compute, held in self._again)


def contents(cell: Any) -> Any:
    """What a closure's cell holds, MISSING if it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def bytes_of(array: Any) -> Any:
    """An array's numbers, for a comparison to the bit."""
    array = np.asarray(array)
    return array.dtype.str, array.shape, array.tobytes()
