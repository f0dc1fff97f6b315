"""A key for a cell's compiled code, computed without tracing.

It says everything that a step's course can depend on: the code of the step, of the methods of its cell and of every
function that they call, with what all of it reads outside itself (see walk.py); the cell's attributes by value; how
arrays are nested, their dtypes and their shapes without T and batch. Two steps made by one factory, and a changed
number, have different keys.

What was found once for a class is kept, and checked at each call by identity alone: a changed global or function is
seen, and costs a new walk. Functions of numpy, autograd and minirnn itself count by their packages' versions.
"""

from collections.abc import Sequence
from functools import partial
from operator import is_, itemgetter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minirnn.boxes import unboxed
from minirnn.call import Call
from minirnn.compile.ir import BATCH
from minirnn.compile.values import Unhashable, plain
from minirnn.compile.walk import Walk, walk
from minirnn.compile.watch import MISSING
from minirnn.module import Module

__all__ = ["Unhashable", "call_key", "known_by_memo"]

_CALLED = frozenset({"step", "__call__"})  # what is called of a cell, and of a module within it, in any case
_KEPT = 64  # walks of a class, which differ by what its cells hold
_HIDDEN = {"_leaves", "_aliases", "_children", "_open", "_cached_plan", "_memo", "_steady", "_bound"}

_Objects = tuple[tuple[str, Any], ...]  # (name, value) of a module's attributes that are no plain values


class _Source:
    """The code that a class's steps can run, as a digest, and what to look at to see it unchanged."""

    def __init__(self, cls: type, names: frozenset[str], objects: _Objects):
        found = walk(partial(_enter, cls, objects), names)
        self.objects = objects  # alive, as walks are found by identity
        self.digest, self.unchanged = found.digest(), found.watch.unchanged
        self.called = _CALLED | found.names  # what may be called of the modules within


_sources: "WeakKeyDictionary[type, dict[Any, _Source]]" = WeakKeyDictionary()


def _enter(cls: type, objects: _Objects, found: Walk) -> None:
    found.parts.append(found.value(cls, cls.__name__))
    for name, value in objects:
        try:
            found.parts.append((name, found.value(value, f"{cls.__name__}.{name}")))
        except Unhashable:
            if found.asks_for(name):
                raise


def _source(cls: type, names: frozenset[str], objects: _Objects) -> _Source:
    known = _sources.setdefault(cls, {})
    at = (names, *[(name, id(value)) for name, value in objects]) if objects else names
    found = known.get(at)
    if found is not None and found.unchanged():
        return found
    if len(known) >= _KEPT:
        known.clear()
    known[at] = made = _Source(cls, names, objects)
    return made


# ---------------------------------------------------------------- a call
class _Memo:
    """The key of a module without children, for as long as its attributes are the objects that they were: numbers and
    texts, which no one can change, and objects that its source watches."""

    def __init__(self, module: Module, names: Sequence[str], called: frozenset[str], source: _Source, key: Any):
        held = module.__dict__
        self._class, self._count, self._leaves = type(module), len(held), tuple(module._leaves)
        self._called, self._source = called, source
        self._read = itemgetter("_leaves", "_children", *names)  # of at least two: a tuple
        self._values = self._read(held)
        self.key = _tokens.setdefault(key, _Token())

    def holds(self, module: Module, called: frozenset[str]) -> bool:
        held = module.__dict__
        if len(held) != self._count or called is not self._called or type(module) is not self._class:
            return False
        try:
            now = self._read(held)
        except KeyError:
            return False
        if not all(map(is_, now, self._values)):
            return False
        return not now[1] and tuple(now[0]) == self._leaves and self._source.unchanged()


class _Token:
    """Stands for a key, at the cost of a glance."""


_tokens: dict[Any, _Token] = {}
_FIXED = (int, str, bool, float, bytes, complex, type(None), np.dtype)


def _is_fixed(value: Any) -> bool:
    return all(map(_is_fixed, value)) if type(value) is tuple else isinstance(value, _FIXED)


def _module_key(module: Module, called: frozenset[str] = _CALLED) -> Any:
    """A module's class and its attributes that are no arrays, by value; its children's."""
    memo = module._memo.get("key")
    if memo is not None and memo.holds(module, called):
        return memo.key
    held, names = module.__dict__, []
    fixed = True
    objects: _Objects = ()
    for name, value in held.items():
        if name in _HIDDEN or name in module._leaves or name in module._children:
            continue
        kind = type(value)
        found = (kind, value) if kind is int or kind is str or kind is bool else plain(value)
        if found is MISSING:
            objects = (*objects, (name, value))
        else:
            fixed = fixed and _is_fixed(value)
            names.append((name, found))
    source = _source(type(module), called, objects)
    children: Any = ()
    if module._children:
        children = tuple([_nested_key(held[name], source.called) for name in module._children])
    key = source.digest, tuple(names), tuple(module._leaves), tuple(module._children), children
    if fixed and not module._children:
        told = [*(name for name, _ in names), *(name for name, _ in objects)]
        module._memo["key"] = memo = _Memo(module, told, called, source, key)
        return memo.key
    return key


def known_by_memo(cell: Module) -> bool:
    """Whether a cell's key is what it was, as far as its class, its code and its attributes go."""
    memo = cell._memo.get("key")
    return memo is not None and memo.holds(cell, _CALLED)


def _nested_key(nesting: Any, called: frozenset[str]) -> Any:
    if isinstance(nesting, Module):
        return _module_key(nesting, called)
    if isinstance(nesting, dict):
        return tuple([(k, _nested_key(v, called)) for k, v in nesting.items()])
    return nesting and tuple([_nested_key(v, called) for v in nesting])


def _arrays_key(nesting: Any, cut: int) -> Any:
    """How arrays are nested, their dtypes and shapes, without the first `cut` axes and with B for the next."""
    nesting = unboxed(nesting)
    if type(nesting) is np.ndarray:
        return nesting.dtype.char, nesting.shape if cut < 0 else (BATCH, *nesting.shape[cut + 1 :])
    if isinstance(nesting, dict):
        return tuple([(k, _arrays_key(v, cut)) for k, v in nesting.items()])
    if isinstance(nesting, (tuple, list)):
        kind = type(nesting)
        fields = getattr(kind, "_fields", None)
        return kind.__name__, fields, tuple([_arrays_key(v, cut) for v in nesting])
    if nesting is None:
        return None
    array = np.asarray(nesting)
    return array.dtype.char, array.shape if cut < 0 else (BATCH, *array.shape[cut + 1 :])


def call_key(call: Call) -> Any:
    """The key of a call of scan. Unhashable: names what cannot be compared."""
    leaves = tuple([(unboxed(array).dtype.char, unboxed(array).shape) for array in call.arrays])
    return _module_key(call.cell), leaves, _shared(call.arrays), _arrays_key(call.state, 0), _arrays_key(call.xs, 1)


def _shared(arrays: list[Any]) -> Any:
    """Which arrays are one: for each the first place where it stands, () where all differ."""
    if len(set(map(id, arrays))) == len(arrays):
        return ()
    first: dict[int, int] = {}
    return tuple([first.setdefault(id(array), k) for k, array in enumerate(arrays)])
