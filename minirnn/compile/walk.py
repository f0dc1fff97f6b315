"""From a step to all that its course depends on: its code, and every value that the code can reach outside itself.

Each value becomes a part of a digest, by what it holds, and is watched where it may change (see watch.py). Of modules,
classes and objects only that counts which some code asks for: the names in all code that is reached (see reads.py);
where names are computed, everything that can be compared. A value that cannot be told from others is Unhashable: what
cannot be watched is not compiled.
"""

import builtins
import enum
import functools
import hashlib
import inspect
import random
import sys
import threading
import types
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minirnn.compile.reads import Read, imported, reads, rules, written
from minirnn.compile.values import (
    HOLDERS,
    PLAIN_BASES,
    Unhashable,
    hides_data,
    incomparable,
    is_library,
    is_of_a_user,
    is_standard,
    plain,
    refuse_changing,
    slots,
)
from minirnn.compile.watch import MISSING, Watch, bytes_of
from minirnn.module import Module

__all__ = ["Walk", "walk"]

_READERS = {"open", "input", "eval", "exec", "compile", "__import__", "locals", "breakpoint"}
_OF_CREATION = {"__new__", "__init__", "__post_init__"}
_NEVER_IN_A_STEP = {"__repr__", "__str__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__del__"}
_NEVER_IN_A_STEP |= {"__init_subclass__", "__class_getitem__", "__set_name__", "__deepcopy__", "__copy__"}
_NEVER_IN_A_STEP |= {"__setattr__", "__delattr__", "__replace__", "__prepare__", "__subclasshook__"}
_DESCRIPTORS = (
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
    *(types.MemberDescriptorType, types.GetSetDescriptorType),
)
_MOST = 5000  # functions, classes and values that a walk goes through


def walk(enter: Callable[["Walk"], Any], names: Iterable[str]) -> "Walk":
    """The walk that `enter` begins, again until no code that it reaches has a name that it did not know."""
    known, any_name = frozenset(names), False
    while True:
        found = Walk(known, any_name)
        enter(found)
        if found.names == known and found.any_name == any_name:
            found.forget()
            return found
        known, any_name = frozenset(found.names), found.any_name


class Walk:
    """One walk. names: what code may ask for by name; any_name: also by names that are computed."""

    def __init__(self, names: frozenset[str], any_name: bool):
        self.asked, self.all_asked = names, any_name
        self.names, self.any_name = set(names), any_name
        self.watch = Watch()
        self.parts: list[Any] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._held: list[Any] = []  # what has a number stays alive, as numbers go by identity

    def forget(self) -> None:
        """Let go of what only the walk itself needed."""
        self._held.clear()
        self._numbers.clear()

    def digest(self) -> str:
        return hashlib.sha256(repr(self.parts).encode()).hexdigest()

    def _number(self, value: Any, role: str = "") -> tuple[int, bool]:
        """The value's number in one of its roles, and whether it is new."""
        known = self._numbers.get((id(value), role))
        if known is not None:
            return known, False
        if len(self._held) == _MOST:
            raise Unhashable("it reaches more code and values than the compiler compares")
        self._held.append(value)
        self._numbers[id(value), role] = len(self._held)
        return len(self._held), True

    # ------------------------------------------------------------ values
    def value(self, value: Any, where: str) -> Any:
        """A stand-in for a value, equal for equal values only."""
        found = MISSING if isinstance(value, HOLDERS) else plain(value)
        if found is not MISSING:
            return found
        if type(value) is tuple:
            return "tuple", [self.value(part, where) for part in value]
        if isinstance(value, np.generic):
            return "scalar", value.dtype.str, value.tobytes()
        if type(value) is np.ndarray and value.dtype != object:
            return "array", self.watch.again(lambda: bytes_of(value))
        if isinstance(value, slice):
            return "slice", self.value((value.start, value.stop, value.step), where)
        number, new = self._number(value)
        if not new:
            return "seen", number
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, type):
            return self._class(value, where)
        return number, self._function_like(value, where) or self._object(value, where)

    def _function_like(self, value: Any, where: str) -> Any:
        """A stand-in for what is called, None for anything else."""
        if isinstance(value, np.ufunc):
            return "ufunc", value.__name__
        if isinstance(value, types.MethodType):
            return "method", self.value(value.__func__, where), self.value(value.__self__, where)
        if isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)):
            return self._built_in(value, where)
        if isinstance(value, functools.partial):
            return "partial", self.value((value.func, value.args, value.keywords), where)
        if isinstance(value, (staticmethod, classmethod)):
            return type(value).__name__, self.value(value.__func__, where)
        if isinstance(value, property):
            return "property", self.value(value.fget, where)
        if isinstance(value, functools.cached_property):
            return "property", self.value(value.func, where)
        if isinstance(value, types.FunctionType):
            return self._python_function(value, where)
        if isinstance(value, _DESCRIPTORS):
            return "method of", value.__objclass__.__qualname__, value.__name__
        if type(value).__module__ == "functools" and hasattr(value, "__wrapped__"):  # lru_cache
            return "wrapped", self.value(value.__wrapped__, where)
        if type(value).__name__ == "_ArrayFunctionDispatcher":
            return "library", value.__module__, value.__qualname__
        return None

    def _built_in(self, value: Any, where: str) -> Any:
        owner = getattr(value, "__self__", None)
        if value.__name__ in _READERS and getattr(builtins, value.__name__) is value:
            raise Unhashable(f"it calls {value.__name__}, whose result the compiler cannot foresee")
        if isinstance(owner, (types.ModuleType, types.NoneType)):
            refuse_changing(value.__name__, value.__module__)
            return "built in", value.__module__, value.__name__
        return "built in", value.__name__, self.value(owner, where)

    def _python_function(self, value: Any, where: str) -> Any:
        home = value.__globals__.get("__name__", "")
        if is_library(home):
            return self._library_function(value, home, where)
        if is_standard(home):
            refuse_changing(value.__name__, home)
            return "library", home, value.__qualname__
        return "function", self.function(value)

    def _library_function(self, value: Any, home: str, where: str) -> Any:
        """By its name, where one has that name alone: lambdas, and what a factory makes, are told apart by what their
        closure and defaults hold."""
        derivatives = [self.function(rule) for rule in rules(value)]
        inner = getattr(value, "fun", None)
        if inner is not None:  # a primitive's wrapper: what counts is the function inside
            return "primitive", self.value(inner, where), derivatives
        if not value.__closure__ and "<" not in value.__qualname__:
            return "library", home, value.__qualname__, derivatives
        code, *defaults = self.watch.function(value)
        held = [found for found in map(self.watch.cell, value.__closure__ or ()) if found not in (value, MISSING)]
        made = code.co_qualname, code.co_firstlineno, code.co_code, code.co_names, plain(code.co_consts)
        return "library", home, made, self.value((held, defaults), where), derivatives

    def _object(self, value: Any, where: str) -> Any:
        """An object by its class and what it holds."""
        kind: Any = type(value)
        if isinstance(value, (Module, np.ndarray, random.Random, threading.local, *weakref.ProxyTypes)) or (
            hasattr(kind, "__next__") or is_library(kind.__module__) or value is sys.modules
        ):
            raise incomparable(value, where)
        of = self._class(kind, where, made=False) if is_of_a_user(kind) else (kind.__module__, kind.__qualname__)
        held: list[Any] = []
        if isinstance(value, (dict, types.MappingProxyType)):
            held.append(self._items(lambda: _pairs(value), where))
            held += [self.value(value.default_factory, where)] if isinstance(value, defaultdict) else []
        elif isinstance(value, (set, frozenset)):
            found = self.watch.items(lambda: value)
            held.append(sorted([repr(self.value(part, where)) for part in found]))
        elif isinstance(value, HOLDERS):
            held.append(self._items(lambda: value, where))
        else:
            bases: tuple[Any, ...] = (float, int, complex, str, bytes)
            held += [plain(base(value)) for base in bases if isinstance(value, base)]
        if isinstance(value, enum.Enum):
            return of, value.name, self.value(self.watch.attribute(value, "_value_"), where)
        if hasattr(value, "__dict__") or slots(kind):
            if hides_data(kind):
                raise incomparable(value, where)
            try:
                return of, held, self._attributes(value, where)
            except Unhashable:
                if is_of_a_user(kind):
                    raise
                raise incomparable(value, where) from None
        return (of, held) if held or not hides_data(kind) else (of, self._reduced(value, where))

    def _items(self, read: Callable[[], Iterable[Any]], where: str) -> Any:
        return [self.value(part, where) for part in self.watch.items(read)]

    def _reduced(self, value: Any, where: str) -> Any:
        """What pickle would write of an object of the standard library: a date, a fraction, a range, a pattern."""
        if not is_standard(type(value).__module__):
            raise incomparable(value, where)
        try:
            reduced = value.__reduce_ex__(4)
            self.watch.again(lambda: repr(value.__reduce_ex__(4)) if type(value).__hash__ is None else None)
        except Exception as error:
            raise incomparable(value, where) from error
        return reduced if isinstance(reduced, str) else [self.value(part, where) for part in reduced[:3]]

    def _attributes(self, value: Any, where: str) -> Any:
        """What an object's own attributes hold, of those that code asks for."""
        kind: Any = type(value)
        every = any(not is_of_a_user(base) for base in kind.__mro__ if base not in PLAIN_BASES)
        space = getattr(value, "__dict__", {})
        self.watch.size(space)
        self.watch.attribute(value, "__class__")
        found = self._named(space, where, every)
        for name in slots(kind):
            if every or self.asks_for(name):
                held = self.watch.attribute(value, name)
                found.append((name, None if held is MISSING else self.value(held, f"{where}.{name}")))
        return found

    def asks_for(self, name: str) -> bool:
        return name in self.asked or self.all_asked

    def _named(self, space: Any, where: str, every: bool = False, also: Callable[[str], bool] = lambda _: False) -> Any:
        """What stands in a namespace, of what code asks for by name; also what it may ask for by a computed name."""
        found = []
        for name in sorted([name for name in space if isinstance(name, str)]):
            if name in self.asked or also(name) or every:
                found.append((name, self.value(self.watch.name(space, name), f"{where}.{name}")))
            elif self.all_asked and not (name.startswith("__") and name.endswith("__")):
                held = self.watch.name(space, name)
                try:
                    found.append((name, self.value(held, f"{where}.{name}")))
                except Unhashable:
                    continue
        return found

    # ------------------------------------------------------------ modules and classes
    def _module(self, module: types.ModuleType) -> Any:
        """A module that is passed on: what code may ask it for."""
        name = module.__name__
        if is_library(name) or is_standard(name):
            return "module", name
        return "module", name, self._named(vars(module), name, also=lambda n: n == "__getattr__")

    def _class(self, cls: type, where: str, made: bool = True) -> Any:
        """A class, whose bases and metaclass count too; made: whether objects may be made of it."""
        bases = [base for base in cls.__mro__ if is_of_a_user(base)]
        if bases:
            self.watch.attribute(cls, "__mro__")
        metas = [base for base in inspect.getmro(type(cls)) if is_of_a_user(base)]
        return "class", cls.__module__, cls.__qualname__, [self._members(base, made) for base in (*bases, *metas)]

    def _members(self, base: type, made: bool) -> Any:
        """What stands in a class, of what its methods and other code ask for; its operators in any case."""
        number, new = self._number(base, "made" if made else "given")
        if not new:
            return "seen", number
        hidden = _NEVER_IN_A_STEP if made and not issubclass(base, Module) else _NEVER_IN_A_STEP | _OF_CREATION

        def operator(name: str) -> bool:
            special = name.startswith("__") and name.endswith("__") and name not in hidden
            return special and isinstance(vars(base)[name], (types.FunctionType, staticmethod, classmethod, property))

        self.watch.size(vars(base))
        return base.__qualname__, self._named(vars(base), base.__qualname__, also=operator)

    # ------------------------------------------------------------ functions
    def function(self, function: types.FunctionType) -> int:
        """The number of a function, whose code and all that it reads are then among the parts."""
        number, new = self._number(function, "code")
        if not new:
            return number
        code, *given = self.watch.function(function)
        defaults = [self.value(part, f"a default of {function.__name__}") for part in given]
        found = reads(code)
        self.names |= found.names
        self.any_name |= found.any_name
        if found.assigned:
            raise Unhashable(f"{function.__name__} assigns {', '.join(sorted(found.assigned))} outside itself")
        read = [self._read(function, one) for one in found.outside]
        space = function.__dict__
        self.watch.size(space)
        held = self._named(space, function.__name__)
        self.parts.append((number, written(code), defaults, read, held))
        return number

    def _read(self, function: Any, read: Read) -> Any:
        """What a read of a function's code finds."""
        if read.kind == "closure":
            cell = (function.__closure__ or ())[function.__code__.co_freevars.index(read.name)]
            found, where = self.watch.cell(cell), f"{read.name}, in a closure,"
        elif read.kind == "import":
            return read.name, self.value(imported(read.name, function), read.name)
        else:
            where = f"the global {read.name}"
            found = self.watch.name(function.__globals__, read.name)
            if found is MISSING and read.kind == "global":
                found = self._of_python(function.__builtins__, read.name)
        return read.name, None if found is MISSING else self._along(found, read.chain, where)

    def _of_python(self, space: Any, name: str) -> Any:
        """A name of Python's own; watched where somebody put something else there."""
        found = space.get(name, MISSING)
        return found if type(found) in (type, types.BuiltinFunctionType) else self.watch.name(space, name)

    def _along(self, value: Any, chain: tuple[str, ...], where: str) -> Any:
        """What a chain of attributes leads to; each place that decides it is watched."""
        for k, name in enumerate(chain):
            held = self._attribute(value, name)
            if held is MISSING:  # computed, or of something that is compared whole
                self.names |= set(chain[k:])
                return chain[:k], self.value(value, where)
            value, where = held, f"{where.removeprefix('the global ')}.{name}"
        return chain, self.value(value, where)

    def _attribute(self, value: Any, name: str) -> Any:
        """A plain value that stands under this name; MISSING where it is computed, or not to be told."""
        if isinstance(value, types.ModuleType):
            return getattr(value, name, MISSING) if is_library(value.__name__) else self.watch.name(vars(value), name)
        if isinstance(value, (Module, *HOLDERS)):
            return MISSING
        kind: Any = type(value)
        places: list[Any] = [vars(base) for base in kind.__mro__ if base not in PLAIN_BASES]
        if any(hasattr(type(place.get(name)), "__set__") for place in places):  # it comes before all others
            return MISSING
        if isinstance(value, type):
            if issubclass(value, enum.Enum):
                return value.__members__.get(name, MISSING)
            places = [*(vars(base) for base in value.__mro__ if base not in PLAIN_BASES), *places]
        elif hides_data(kind) or not hasattr(value, "__dict__") or is_library(kind.__module__):
            return MISSING
        else:
            self.watch.attribute(value, "__class__")
            places = [vars(value), *places]
        for place in places:
            found = self.watch.name(place, name)
            if found is not MISSING:
                of_its_own = place is places[0] and not isinstance(value, type)
                return found if of_its_own or not hasattr(type(found), "__get__") else MISSING
        return MISSING


def _pairs(mapping: Any) -> Iterable[Any]:
    return (part for pair in mapping.items() for part in pair)
