"""An argument or a result of f taken apart into its leaves: arrays in tuples, lists, dicts, dataclasses and Modules.

A Module is anything with `parameters()`, a dict from path to array, and `bind(values)`, a copy with other arrays: its
leaves are its trainable parameters, by path.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["Misfit", "Node", "described", "is_float_array", "is_module", "named", "take_apart"]

ABSENT = object()
Build = Callable[[list[Any]], Any]


class Misfit(Exception):
    """A gradient that is nested otherwise than what it belongs to. argument: the name of the part."""

    def __init__(self, argument: str, text: str):
        super().__init__(text)
        self.argument, self.text = argument, text


def is_float_array(value: object) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


def is_module(value: object) -> bool:
    return not isinstance(value, type) and all(callable(getattr(value, n, None)) for n in ("parameters", "bind"))


def described(value: object) -> str:
    """What a value is, in a word or two: `int64 array`, `int`."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array" if value.dtype.names is None else "structured array"
    return str(value.dtype) if isinstance(value, np.generic) else type(value).__name__


class Node:
    """A leaf (keys is None), or a nesting: its children, one a key, and how it is put together again."""

    def __init__(self, name: str, value: Any, keys: list[Any] | None, children: list["Node"], build: Build):
        self.name, self.value, self.keys, self.children, self.build = name, value, keys, children, build
        self.indexed = keys is not None and isinstance(value, (tuple, list)) and not is_module(value)
        self.leaves: list[Node] = [leaf for child in children for leaf in child.leaves] if keys is not None else [self]

    def rebuilt(self, values: Iterator[Any]) -> Any:
        """The same nesting of other leaves, which are taken from `values` in order."""
        if self.keys is None:
            return next(values)
        return self.build([child.rebuilt(values) for child in self.children])

    def matched(self, other: Any) -> list[Any]:
        """The leaves of `other`, one for each of this one's; None where it has none.

        `other` is nested alike; a dict may lack keys, and stands for a Module or a dataclass too. Misfit: it is not.
        """
        if self.keys is None:
            return [other]
        if other is None:
            return [None] * len(self.leaves)
        found: list[Any] = []
        for child, part in zip(self.children, self._parts(other), strict=True):
            found += child.matched(part)
        return found

    def _parts(self, other: Any) -> list[Any]:
        assert self.keys is not None
        if is_module(other) and is_module(self.value):
            other = other.parameters()
        if self.indexed and isinstance(other, Mapping) and hasattr(self.value, "_fields"):
            other = [other.get(name) for name in self.value._fields]
        if isinstance(other, Mapping) and not self.indexed:
            unknown = [key for key in other if key not in self.keys]
            if unknown:
                raise Misfit(
                    self.name,
                    f"the gradient of {self.name} has {_listed(unknown)}; {self.name} has {_listed(self.keys)}",
                )
            return [other.get(key) for key in self.keys]
        if self.indexed:
            if not _is_sequence(other):
                raise Misfit(self.name, self._expected(other))
            if len(other) != len(self.keys):
                raise Misfit(
                    self.name,
                    f"the gradient of {self.name} has {len(other)} parts; {self.name} has {len(self.keys)}",
                )
            return [other[k] for k in range(len(self.keys))]
        parts = [_pick(other, key) for key in self.keys]
        if any(part is ABSENT for part in parts):
            raise Misfit(self.name, self._expected(other))
        return parts

    def _expected(self, other: Any) -> str:
        how = "a dict by parameter path" if is_module(self.value) else f"{type(self.value).__name__} too"
        return f"the gradient of {self.name} is {_article(described(other))}, and was expected to be {how}"


def _pick(value: Any, key: Any) -> Any:
    """value[key], or the attribute of that name of an object that has no items; ABSENT where there is neither."""
    if hasattr(value, "keys"):  # a traced dict is no Mapping
        return value.get(key, ABSENT)
    return getattr(value, key, ABSENT) if isinstance(key, str) else ABSENT


def _listed(keys: Sequence[Any]) -> str:
    return ", ".join(map(str, keys)) or "nothing"


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _is_sequence(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic, str, Mapping)):
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def take_apart(value: Any, name: str) -> Node:
    """The leaves of a value, named from `name` on: `params.w`, `layers[0]`, `model.cell.weight_hh`."""
    if type(value) is np.ndarray:  # by far the most frequent
        return Node(name, value, None, [], lambda parts: value)
    if is_module(value) and isinstance(parameters := value.parameters(), Mapping):
        paths = list(parameters)
        return _nested(
            value,
            name,
            [(path, path, parameters[path]) for path in paths],
            lambda parts: value.bind(dict(zip(paths, parts, strict=True))),
        )
    if isinstance(value, dict):
        return _nested(
            value, name, [(key, key, part) for key, part in value.items()], lambda parts: _filled(value, parts)
        )
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        named = list(zip(range(len(value)), value._fields, value, strict=True))
        return _nested(value, name, named, lambda parts: type(value)(*parts))
    if isinstance(value, (tuple, list)):
        kind: Any = type(value)
        return _nested(value, name, [(k, None, part) for k, part in enumerate(value)], lambda parts: kind(parts))
    attributes = _attributes(value)
    if attributes:
        return _nested(
            value,
            name,
            [(key, key, getattr(value, key)) for key in attributes],
            lambda parts: _with_attributes(value, dict(zip(attributes, parts, strict=True))),
        )
    return Node(name, value, None, [], lambda parts: value)


def _nested(value: Any, name: str, parts: list[tuple[Any, Any, Any]], build: Build) -> Node:
    children = [take_apart(part, named(name, key if shown is None else shown)) for key, shown, part in parts]
    return Node(name, value, [key for key, _, _ in parts], children, build)


def named(name: str, key: Any) -> str:
    """The name of a part of what is called `name`."""
    shown = f".{key}" if isinstance(key, str) else f"[{key!r}]"
    return f"{name}{shown}" if name else shown.lstrip(".")


def _filled(value: dict[Any, Any], parts: list[Any]) -> dict[Any, Any]:
    filled = copy.copy(value)  # of its own class
    for key, part in zip(value, parts, strict=True):
        filled[key] = part
    return filled


def _attributes(value: Any) -> list[str]:
    if isinstance(value, type):
        return []
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    return list(vars(value)) if isinstance(value, SimpleNamespace) else []


def _with_attributes(value: Any, parts: dict[str, Any]) -> Any:
    changed = copy.copy(value)
    for name, part in parts.items():
        object.__setattr__(changed, name, part)  # also where the dataclass is frozen
    return changed
