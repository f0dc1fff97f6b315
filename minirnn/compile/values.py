"""What a value is, for a key: what stands for plain ones, whose a class or a function is, what an object may hide."""

import functools
import sys
import types
from collections import OrderedDict, defaultdict, deque
from typing import Any

import numpy as np

from minirnn.compile.watch import MISSING

__all__ = [
    "HOLDERS",
    "LIBRARIES",
    "PLAIN_BASES",
    "Unhashable",
    "hides_data",
    "incomparable",
    "is_library",
    "is_of_a_user",
    "is_standard",
    "plain",
    "refuse_changing",
    "slots",
]

LIBRARIES = ("numpy", "autograd", "minirnn")
_CHANGING = {"os", "posix", "nt", "random", "secrets", "time", "tempfile", "importlib", "inspect", "gc", "io", "socket"}
HOLDERS = (tuple, list, dict, set, frozenset, deque)
PLAIN_BASES = {object, type, *HOLDERS, OrderedDict, defaultdict, int, float, complex, str, bytes, types.SimpleNamespace}


class Unhashable(Exception):
    """A value that a step uses and that cannot be told from others by what it holds."""


def plain(value: Any) -> Any:
    """A hashable stand-in for a number, a text, or a tuple, list or dict of these; MISSING for anything else."""
    kind = type(value)
    if kind is float:
        return "float", value.hex()
    if kind is int or kind is str or kind is bool or value is None or kind is bytes:
        return kind.__name__, value
    if kind is tuple or kind is list:
        parts = tuple([plain(part) for part in value])
        return MISSING if MISSING in parts else (kind.__name__, parts)
    if kind is dict:
        parts = tuple([plain(part) for pair in value.items() for part in pair])
        return MISSING if MISSING in parts else ("dict", parts)
    if kind is complex:
        return "complex", value.real.hex(), value.imag.hex()
    if value is Ellipsis:
        return "..."
    return ("dtype", value.str) if isinstance(value, np.dtype) else MISSING


# ---------------------------------------------------------------- whose it is
def _root(name: str | None) -> str:
    return (name or "").partition(".")[0]


def is_standard(name: str | None) -> bool:
    """Whether a module is one of Python's own."""
    if not isinstance(name, str):  # a class in C that hides its module
        return True
    return name == "builtins" or _root(name) in sys.stdlib_module_names


def is_library(name: str | None) -> bool:
    """Whether a module counts by its package's version; minirnn's own cells are compared like anybody's."""
    if not isinstance(name, str):
        return False
    of_a_cell = name.startswith("minirnn.layers") and name != "minirnn.layers.recurrent"
    return _root(name) in LIBRARIES and not of_a_cell


def is_of_a_user(cls: type) -> bool:
    name = cls.__module__
    return not (is_library(name) or is_standard(name))


def refuse_changing(name: str, module: str | None) -> None:
    if _root(module).removeprefix("_") in _CHANGING:
        raise Unhashable(f"it calls {_root(module)}.{name}, whose result the compiler cannot foresee")


def incomparable(value: Any, where: str) -> Unhashable:
    return Unhashable(f"{where} is a {type(value).__name__}, whose contents the compiler cannot compare")


@functools.lru_cache(maxsize=1024)
def hides_data(kind: Any) -> bool:
    """Whether objects of a class hold more than their attributes show: those of a class written in C."""
    for base in kind.__mro__:
        if base in PLAIN_BASES or base.__base__ is None:
            continue
        shown = len(_own_slots(base)) + ("__dict__" in vars(base)) + ("__weakref__" in vars(base))
        if base.__basicsize__ - base.__base__.__basicsize__ > 8 * shown:
            return True
    return False


def _own_slots(base: type) -> tuple[str, ...]:
    named = vars(base).get("__slots__", ())
    return (named,) if isinstance(named, str) else tuple(named)


@functools.lru_cache(maxsize=1024)
def slots(kind: Any) -> tuple[str, ...]:
    """The slots of a class and its bases, as code names them."""
    found = []
    for base in kind.__mro__:
        for name in _own_slots(base):
            private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return tuple([name for name in found if name not in ("__dict__", "__weakref__")])
