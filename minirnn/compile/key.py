"""A key for a cell's compiled code, computed without tracing.

It says everything that a step's course can depend on: the code of the step, of the methods of its cell and of every
function that they call, with defaults, what closures hold and the globals that are named; the cell's attributes by
value; how arrays are nested, their dtypes and their shapes without T and batch. Two steps made by one factory, and a
changed number, have different keys.

What was found once for a class is kept, and checked at each call by identity alone: a changed global or function is
seen, and costs a new walk. Functions of numpy, autograd and minirnn itself count by their packages' versions.
"""

import hashlib
import itertools
import types
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from autograd.core import primitive_vjps

from minirnn.boxes import unboxed
from minirnn.compile.ir import BATCH
from minirnn.module import Module

__all__ = ["Unhashable", "call_key", "versions"]

_LIBRARIES = ("numpy", "autograd", "minirnn")
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))
_MISSING = object()


class Unhashable(Exception):
    """A value that a step uses and that cannot be told from others by what it holds."""


# ---------------------------------------------------------------- values
def _value(value: Any, where: str, source: "_Source | None" = None) -> Any:
    """A hashable stand-in for a value, equal for equal values only."""
    if isinstance(value, float):
        return "float", value.hex()
    if isinstance(value, _PLAIN):
        return type(value).__name__, value
    if isinstance(value, (tuple, list)):
        return type(value).__name__, tuple([_value(v, where, source) for v in value])
    if isinstance(value, (set, frozenset)):
        return "set", frozenset(_value(v, where, source) for v in value)
    if isinstance(value, dict):
        return "dict", tuple([(_value(k, where, source), _value(v, where, source)) for k, v in value.items()])
    if isinstance(value, slice):
        return "slice", value.start, value.stop, value.step
    if isinstance(value, np.dtype):
        return "dtype", value.str
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        return "array", array.dtype.str, array.shape, array.tobytes()
    if isinstance(value, types.ModuleType):
        return "module", value.__name__
    if isinstance(value, type):
        return "type", value.__module__, value.__qualname__
    if callable(value):
        return _function_value(value, where, source)
    raise Unhashable(f"{where} is a {type(value).__name__}, whose contents the compiler cannot compare")


def _function_value(value: Any, where: str, source: "_Source | None") -> Any:
    inner = getattr(value, "fun", getattr(value, "__wrapped__", value))  # a primitive, or a decorated function
    if isinstance(inner, np.ufunc):
        return "library", "numpy", inner.__name__
    module, name = getattr(inner, "__module__", None), getattr(inner, "__qualname__", getattr(inner, "__name__", None))
    if (module or "").split(".")[0] in _LIBRARIES and not _is_of_a_cell(module):
        return "library", module, name
    inner = getattr(inner, "__func__", inner)
    if isinstance(value, (staticmethod, classmethod)):
        inner = value.__func__
    if isinstance(value, types.BuiltinFunctionType):
        return "built in", module, name
    if isinstance(inner, types.FunctionType):
        if source is not None:
            return "function", source.function(inner), [source.function(rule) for rule in _rules(value)]
        source = _Source()
        source.function(inner)
        for rule in _rules(value):
            source.function(rule)
        return "function", source.digest()
    raise Unhashable(f"{where} is a {type(value).__name__}, whose code the compiler cannot read")


def _rules(primitive: Any) -> list[types.FunctionType]:
    """The functions that a primitive's derivative was written as."""
    found: dict[int, types.FunctionType] = {}
    stack: list[Any] = [primitive_vjps.get(primitive)]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, (tuple, list)):
            stack += value
        elif isinstance(value, types.FunctionType) and id(value) not in found:
            found[id(value)] = value
            stack += [_contents(cell) for cell in value.__closure__ or ()]
            stack += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    own = [f for f in found.values() if f.__module__.split(".")[0] not in _LIBRARIES or _is_of_a_cell(f.__module__)]
    return sorted(own, key=lambda f: (f.__code__.co_filename, f.__code__.co_firstlineno, f.__qualname__))


def _is_of_a_cell(module: str | None) -> bool:
    """minirnn's own cells are compared like anybody's."""
    return (module or "").startswith("minirnn.layers")


# ---------------------------------------------------------------- code
class _Source:
    """The code that a class's steps can run, as bytes for a digest; and what to look at to see that it is unchanged."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}  # id of a function -> its number
        self.parts: list[Any] = []
        self.watched: list[tuple[Any, str, Any]] = []  # (a dict, a name in it, what stood there)
        self.functions: list[tuple[Any, Any, Any]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.mutable: list[tuple[Any, Any, str]] = []
        self.named: frozenset[str] = frozenset()

    def digest(self) -> str:
        return hashlib.sha256(repr(self.parts).encode()).hexdigest()

    def unchanged(self) -> bool:
        for space, name, value in self.watched:
            if space.get(name, _MISSING) is not value:
                return False
        for function, code, defaults in self.functions:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
        for cell, value in self.cells:
            if _contents(cell) is not value:
                return False
        return all(_value(value, where) == stood for value, stood, where in self.mutable)

    def add_class(self, cls: type, names: frozenset[str]) -> None:
        """The methods of these names, of a class and of its bases up to minirnn's own, and those that they name."""
        bases = list(itertools.takewhile(_is_of_a_user, cls.__mro__))
        self.parts.append(("class", [base.__qualname__ for base in bases]))
        waiting, done = sorted(names), set[str]()
        while waiting:
            name = waiting.pop()
            if name in done:
                continue
            done.add(name)
            for base in bases:
                if name in vars(base):
                    waiting += self._member(base, name, vars(base)[name])
        self.named = frozenset(done)

    def _member(self, base: type, name: str, value: Any) -> list[str]:
        """Take in an attribute of a class; the names that its code has."""
        self.watched.append((vars(base), name, value))
        inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(inner, types.FunctionType):
            self.parts.append((base.__qualname__, name, self.function(inner)))
            return sorted(_all_names(inner.__code__))
        if isinstance(value, (*_PLAIN, tuple, list, dict)):
            self._watch_inside(value, name)
            self.parts.append((base.__qualname__, name, _value(value, f"{base.__name__}.{name}", self)))
        return []

    def function(self, function: types.FunctionType) -> int:
        """The number of a function, whose code and all that it names are then among the parts."""
        known = self.seen.get(id(function))
        if known is not None:
            return known
        number = self.seen[id(function)] = len(self.seen)
        code = function.__code__
        self.functions.append((function, code, function.__defaults__))
        named = [(name, self._global(function, name)) for name in sorted(set(_names(code)))]
        closed = []
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            value = _contents(cell)
            self.cells.append((cell, value))
            self._watch_inside(value, name)
            closed.append((name, None if value is _MISSING else _value(value, f"{name}, in a closure,", self)))
        defaults = _value(list(function.__defaults__ or ()), f"a default of {function.__name__}", self)
        keywords = _value(dict(function.__kwdefaults__ or {}), f"a default of {function.__name__}", self)
        self.parts.append((number, _code(code), defaults, keywords, named, closed))
        return number

    def _global(self, function: types.FunctionType, name: str) -> Any:
        """What a name of a function's code stands for, if it is a global; an attribute of modules that it names."""
        space = function.__globals__
        if name not in space:
            return None
        value = space[name]
        self.watched.append((space, name, value))
        if isinstance(value, types.ModuleType) and value.__name__.split(".")[0] not in _LIBRARIES:
            attributes = [n for n in sorted(set(_names(function.__code__))) if n in vars(value)]
            for attribute in attributes:
                self.watched.append((vars(value), attribute, vars(value)[attribute]))
                self._watch_inside(vars(value)[attribute], attribute)
            found = [(n, _value(vars(value)[n], f"{value.__name__}.{n}", self)) for n in attributes]
            return "module", value.__name__, found
        self._watch_inside(value, name)
        return _value(value, f"the global {name}", self)

    def _watch_inside(self, value: Any, name: str) -> None:
        """A list, dict or array may change and stay the same object."""
        if isinstance(value, (list, dict, set, np.ndarray)) or (isinstance(value, tuple) and value):
            self.mutable.append((value, _value(value, name), name))


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _is_of_a_user(base: type) -> bool:
    return base is not Module and base is not object and base.__module__ != "minirnn.layers.recurrent"


def _all_names(code: types.CodeType) -> set[str]:
    """The names in a function's code, and its strings, which getattr may take."""
    found = set(_names(code))
    stack = [code]
    while stack:
        constants = stack.pop().co_consts
        stack += [c for c in constants if isinstance(c, types.CodeType)]
        found |= {c for c in constants if isinstance(c, str) and c.isidentifier()}
    return found


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)


def _code(code: types.CodeType) -> Any:
    constants = [_code(c) if isinstance(c, types.CodeType) else _value(c, "a constant") for c in code.co_consts]
    return code.co_code, tuple(constants), code.co_names, code.co_varnames, code.co_freevars, code.co_flags


_sources: "WeakKeyDictionary[type, dict[frozenset[str], tuple[_Source, str]]]" = WeakKeyDictionary()
_CALLED = frozenset({"step", "__call__"})  # what is called of a cell, and of a module within it, in any case


def _class_source(cls: type, names: frozenset[str]) -> tuple[_Source, str]:
    known = _sources.setdefault(cls, {})
    found = known.get(names)
    if found is not None and found[0].unchanged():
        return found
    source = _Source()
    source.add_class(cls, names)
    known[names] = source, source.digest()
    return known[names]


# ---------------------------------------------------------------- a call
_HIDDEN = {"_leaves", "_aliases", "_children", "_cached_plan", "_bound"}


def _module_key(module: Module, path: str, called: frozenset[str] = _CALLED) -> Any:
    """A module's class and its attributes that are no arrays, by value; its children's."""
    held, names = module.__dict__, []
    for name, value in held.items():
        if name in _HIDDEN or name in module._leaves or name in module._children:
            continue
        kind = type(value)
        names.append((name, value if kind is int or kind is str else _value(value, f"{path}.{name}")))
    source, digest = _class_source(type(module), called)
    children: Any = ()
    if module._children:
        named = _CALLED | source.named
        children = tuple([_nested_key(held[name], f"{path}.{name}", named) for name in module._children])
    ties = tuple(sorted(module._aliases)) if module._aliases else ()
    return digest, tuple(names), tuple(module._leaves), ties, children


def _nested_key(nesting: Any, path: str, called: frozenset[str]) -> Any:
    if isinstance(nesting, Module):
        return _module_key(nesting, path, called)
    if isinstance(nesting, dict):
        return tuple([(k, _nested_key(v, f"{path}.{k}", called)) for k, v in nesting.items()])
    return tuple([_nested_key(v, f"{path}.{k}", called) for k, v in enumerate(nesting)])


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


def call_key(cell: Module, state: Any, xs: Any) -> Any:
    """The key of a call of scan. Unhashable: names what cannot be compared."""
    leaves = tuple([_arrays_key(array, -1) for array in cell._arrays()])
    return _module_key(cell, type(cell).__name__), leaves, _arrays_key(state, 0), _arrays_key(xs, 1)


def versions() -> str:
    """The versions of what takes part in making code."""
    found = []
    for name in (*_LIBRARIES, "numba", "llvmlite"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
