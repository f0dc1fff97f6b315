"""Whether arrays that a pullback reads again still hold what they held.

A pullback is called after user code has run: an optimiser's step, `load_state_dict`, a buffer that the next batch
fills. The graph holds the arrays themselves, not copies, so that its gradient would mix old values with new ones. A
checksum of each (0.4 us, and 1.6 ms a million float32) tells. An array that is changed and put back is as it was, and
one that only the finished forward pass read is not asked about.
"""

import weakref
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from minirnn.boxes import unboxed

__all__ = ["Watch", "watched"]


class Watch:
    """Arrays and their checksums, without keeping the arrays alive."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Any], int, str]] = {}

    def note(self, value: Any, name: str) -> None:
        """Watch an array, one inside boxes, those in a tuple or list (an index), and those that a rule keeps."""
        value = unboxed(value)
        if isinstance(value, np.ndarray):
            known = self._known.get(id(value))
            if (known is None or known[0]() is not value) and not value.dtype.hasobject:
                self._known[id(value)] = weakref.ref(value), _checksum(value), name
        elif isinstance(value, (tuple, list)):
            for part in value:
                self.note(part, name)
        else:
            for part in getattr(value, "__dict__", {}).values():
                if isinstance(part, np.ndarray):
                    self.note(part, name)

    def begin(self, names: Iterable[str], values: Iterable[Any], roots: Iterable[Any]) -> None:
        """Watch a graph from its roots on, which are nodes made by `watched`."""
        for name, value, root in zip(names, values, roots, strict=True):
            self.note(value, name)
            root.watch = self

    def check(self) -> None:
        """ValueError: names the arrays that are alive and have another checksum now."""
        alive = [(reference(), checksum, name) for reference, checksum, name in self._known.values()]
        changed = [name for array, checksum, name in alive if array is not None and _checksum(array) != checksum]
        if changed:
            raise ValueError(
                f"the pullback: {', '.join(dict.fromkeys(changed))} was written to after vjp ran the function, so the "
                "gradient there is lost; pull before writing in place, or give vjp a copy"
            )


def watched(node: Any) -> Any:
    """The class of nodes, of graphs that outlive their call: each notes the constants that its rule may read again."""

    class WatchedNode(node):  # type: ignore[misc]
        __slots__ = ("watch",)

        def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, argnums: Any, parents: Any):
            super().__init__(value, fun, args, kwargs, argnums, parents)
            self.watch = parents[0].watch
            for arg in [arg for i, arg in enumerate(args) if i not in argnums] + list(kwargs.values()):
                self.watch.note(arg, "an array that the function read")

    return WatchedNode


def _checksum(array: np.ndarray[Any, Any]) -> int:
    plain = np.asarray(array)
    return zlib.crc32(np.ascontiguousarray(plain.T if plain.flags.f_contiguous else plain).view(np.uint8).data)
