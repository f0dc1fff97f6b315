"""What code reads from outside itself: globals, closures and imports, with the attributes that it asks of them.

    gain = config.layer.gain * x          LOAD_GLOBAL config, LOAD_ATTR layer, LOAD_ATTR gain

is a read of the global `config` along the chain ("layer", "gain"). Attributes of anything else (`w.T`) are names alone.
"""

import dis
import sys
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from autograd.core import primitive_vjps

from minirnn.compile.values import Unhashable, is_library, plain
from minirnn.compile.watch import contents

__all__ = ["Read", "Reads", "imported", "reads", "rules", "written"]

_CLOSURE = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_SIMPLE = {"LOAD_CONST", "LOAD_FAST", "LOAD_GLOBAL", "LOAD_DEREF"}
_OF_ANY_NAME = {"vars", "dir", "__dict__", "__getattribute__", "attrgetter", "methodcaller", "asdict", "astuple"}
_OF_ANY_NAME |= {"fields", "getmembers", "getattr_static", "replace"}


class Read(NamedTuple):
    """kind: "global", "perhaps" (a global), "closure" or "import"; chain: the attributes asked of it, in order."""

    kind: str
    name: str
    chain: tuple[str, ...]


class Reads(NamedTuple):
    """names: attributes of what is no global, and strings that may name one; any_name: names are computed; assigned:
    variables outside the function that it assigns."""

    outside: tuple[Read, ...]
    names: frozenset[str]
    any_name: bool
    assigned: frozenset[str]


@lru_cache(maxsize=4096)
def reads(code: types.CodeType) -> Reads:
    """What the code reads, with the functions within it."""
    outside: dict[Read, None] = {}
    names: set[str] = set()
    assigned: set[str] = set()
    any_name = False
    stack = [code]
    while stack:
        inner = stack.pop()
        stack += [constant for constant in inner.co_consts if isinstance(constant, types.CodeType)]
        names.update(*map(_strings, inner.co_consts))
        listed = [i for i in dis.get_instructions(inner) if i.opname not in ("EXTENDED_ARG", "CACHE")]
        for k, instruction in enumerate(listed):
            found = _read(listed, k, code)
            if found is not None:
                outside[found] = None
                any_name |= found.name in ("getattr", "hasattr") and not _asks_a_constant(listed, k)
                any_name |= not _OF_ANY_NAME.isdisjoint((found.name, *found.chain))
                names.update(found.chain if found.kind == "import" else ())
            elif instruction.opname in _ATTRIBUTE and not _in_a_chain(listed, k, code):
                names.add(instruction.argval)
                any_name |= instruction.argval in _OF_ANY_NAME - {"replace", "fields"}
            elif instruction.opname in ("LOAD_SUPER_ATTR", "IMPORT_FROM"):
                names.add(instruction.argval)
            elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
                instruction.opname in ("STORE_DEREF", "DELETE_DEREF") and instruction.argval in code.co_freevars
            ):
                assigned.add(instruction.argval)
    if any(read.name == "globals" for read in outside):
        outside |= {Read("perhaps", name, ()): None for name in sorted(names)}
    return Reads(tuple(outside), frozenset(names), any_name, frozenset(assigned))


def _kind(instruction: dis.Instruction, code: types.CodeType) -> str | None:
    if instruction.opname in _GLOBAL:
        return "global"
    if instruction.opname in _CLOSURE and instruction.argval in code.co_freevars:
        return "closure"
    return "import" if instruction.opname == "IMPORT_NAME" else None


def _read(listed: list[dis.Instruction], k: int, code: types.CodeType) -> Read | None:
    kind = _kind(listed[k], code)
    if kind is None:
        return None
    end = k + 1
    while end < len(listed) and listed[end].opname in _ATTRIBUTE:
        end += 1
    return Read(kind, listed[k].argval, tuple([i.argval for i in listed[k + 1 : end]]))


def _in_a_chain(listed: list[dis.Instruction], k: int, code: types.CodeType) -> bool:
    """Whether the attribute is asked of a global or a closure alone; a jump that leads here brings something else."""
    while k and listed[k].opname in _ATTRIBUTE and not listed[k].is_jump_target:
        k -= 1
    return _kind(listed[k], code) is not None


def _asks_a_constant(listed: list[dis.Instruction], k: int) -> bool:
    """Whether the k-th instruction begins getattr(something simple, "a string"), perhaps with a default that is simple;
    a string of which another is made (f"gain_{kind}", "gain_" + kind) is none."""
    k += 2
    while k < len(listed) and listed[k].opname in _ATTRIBUTE:
        k += 1
    if not (k < len(listed) and listed[k].opname == "LOAD_CONST" and isinstance(listed[k].argval, str)):
        return False
    behind = listed[k + 1 : k + 3]
    given = 2
    if behind and behind[0].opname in _SIMPLE:
        behind, given = behind[1:], 3
    return bool(behind) and behind[0].opname in ("PRECALL", "CALL") and behind[0].arg == given


def _strings(constant: Any) -> Iterator[str]:
    """The identifiers in a constant, which getattr, attrgetter or a pattern may take."""
    if isinstance(constant, str):
        yield from (part for part in constant.split(".") if part.isidentifier())
    elif isinstance(constant, (tuple, frozenset)):
        for part in constant:
            yield from _strings(part)


# ---------------------------------------------------------------- the code itself
def imported(name: str, function: types.FunctionType) -> Any:
    """The modules that an import within a function brings, the packages around them first."""
    package = function.__globals__.get("__package__") or ""
    found = []
    for full in (name, f"{package}.{name}" if name else package):
        parts = full.split(".")
        found += [sys.modules.get(".".join(parts[: k + 1])) for k in range(len(parts))]
    if not any(found):
        raise Unhashable(f"{function.__name__} imports {name}, which is not imported yet")
    return tuple([module for module in dict.fromkeys(found) if module is not None])


def rules(primitive: Any) -> list[types.FunctionType]:
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
            stack += [contents(cell) for cell in value.__closure__ or ()]
            stack += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    own = [rule for rule in found.values() if not is_library(rule.__module__)]
    return sorted(own, key=lambda f: (f.__code__.co_filename, f.__code__.co_firstlineno, f.__qualname__))


def written(code: types.CodeType) -> Any:
    """The code itself, by value."""
    constants = [written(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_flags


def _constant(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted([repr(plain(part)) for part in value])
    return plain(value)
