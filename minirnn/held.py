"""What an attribute of a Module holds: in lists, tuples and dicts, also when they are filled later, and in functions.

A list or dict is kept as it came, so that whoever holds it may go on filling it. The tree of Modules notices by looking
again at what it saw (`Seen`), which costs less than half a microsecond a list.
"""

import functools
import types
from collections import UserDict, UserList, deque
from collections.abc import Callable, Iterator, ValuesView
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

__all__ = ["READ_ONLY", "Kinds", "Seen", "contains", "hides", "is_open", "rebuilt"]

Kinds = type | tuple[type, ...]

_SHORT = 64  # entries: a list of numbers that is longer is only looked at for what was added


def _values(nesting: Any) -> Any:
    return nesting.values() if isinstance(nesting, dict) else nesting


def _leaves(value: Any, above: tuple[int, ...] = ()) -> Iterator[Any]:
    """What is no list, tuple or dict; a list inside itself once."""
    if not isinstance(value, (dict, list, tuple)):
        yield value
    elif id(value) not in above:
        for part in _values(value):
            yield from _leaves(part, (*above, id(value)))


def contains(value: Any, kinds: Kinds) -> bool:
    """Whether the value, or a leaf of it, is an instance."""
    if not isinstance(value, (dict, list, tuple)):
        return isinstance(value, kinds)
    return any(isinstance(leaf, kinds) for leaf in _leaves(value))


def is_open(value: Any) -> bool:
    """Whether something can be put into the value later: it is a list or dict, or a tuple that holds one."""
    return isinstance(value, (list, dict)) or (isinstance(value, tuple) and any(is_open(part) for part in value))


def rebuilt(value: Any, new: Callable[[Any], Any]) -> Any:
    """The same nesting with new(leaf) for each leaf, its lists and dicts read-only."""
    if isinstance(value, dict):
        return _ReadOnlyDict({key: rebuilt(part, new) for key, part in value.items()})
    if isinstance(value, list):
        return _ReadOnlyList([rebuilt(part, new) for part in value])
    if isinstance(value, tuple):
        parts = [rebuilt(part, new) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return new(value)


READ_ONLY = "a bound copy is read-only; change the model itself, outside of the differentiated call"


def _refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
    raise TypeError(READ_ONLY)


def _read_only(plain: type, changing: str) -> Any:
    methods: dict[str, Any] = dict.fromkeys(changing.split(), _refuse)
    methods["__reduce_ex__"] = lambda self, protocol: (plain, (plain(self),))  # a copy of it is nobody's, and plain
    return type(f"bound {plain.__name__}", (plain,), methods)


_ReadOnlyList = _read_only(
    list, "append extend insert remove pop clear sort reverse __setitem__ __delitem__ __iadd__ __imul__"
)
_ReadOnlyDict = _read_only(dict, "__setitem__ __delitem__ __ior__ clear pop popitem setdefault update")


class Seen:
    """A list or dict, and what it held when it was seen."""

    def __init__(self, nesting: Any, kinds: tuple[type, ...]):
        self._nesting, self._kinds, self._count = nesting, kinds, len(nesting)
        plain = self._count > _SHORT and not self._is_worth_a_look(nesting)
        self._entries = None if plain else self._now()

    @staticmethod
    def all_in(value: Any, kinds: tuple[type, ...], above: tuple[int, ...] = ()) -> Iterator["Seen"]:
        """One for every list and dict of a nesting, a list inside itself once."""
        if isinstance(value, (dict, list, tuple)) and id(value) not in above:
            if not isinstance(value, tuple):
                yield Seen(value, kinds)
            for part in _values(value):
                yield from Seen.all_in(part, kinds, (*above, id(value)))

    def _now(self) -> Any:
        nesting = self._nesting
        return (list(nesting), [*map(id, nesting.values())]) if isinstance(nesting, dict) else [*map(id, nesting)]

    def _is_worth_a_look(self, new: Any) -> bool:
        return any(isinstance(value, (dict, list, tuple, *self._kinds)) for value in _values(new))

    def unchanged(self) -> bool:
        """Whether nothing has come or gone; of many plain values, whether nothing but such was added."""
        if self._entries is not None:
            return bool(self._entries == self._now())
        before, self._count = self._count, len(self._nesting)
        return not self._is_worth_a_look(list(islice(_values(self._nesting), before, None)))


# ---------------------------------------------------------------- where a tree cannot look
_OTHERS = (set, frozenset, deque, UserList, UserDict, ValuesView, types.MappingProxyType)


def hides(value: Any, kinds: Kinds) -> str | None:
    """What holds an instance where nothing that walks lists, tuples and dicts finds it, or None."""
    if value is None or isinstance(value, (int, float, str)):
        return None
    seen: set[int] = set()
    return next((found for leaf in _leaves(value) if (found := _hiding(leaf, kinds, seen))), None)


def _hiding(value: Any, kinds: Kinds, seen: set[int]) -> str | None:
    if id(value) in seen:  # functions may call each other
        return None
    seen.add(id(value))
    inside = _inside(value)
    if inside is None:
        return None
    if contains(inside, kinds) or any(_hiding(leaf, kinds, seen) for leaf in _leaves(inside)):
        is_function = callable(value) and not isinstance(value, type)
        return "a function" if is_function else f"a {type(value).__name__}"
    return None


def _inside(value: Any) -> list[Any] | None:
    """What a function or a container of another kind holds; None of anything else."""
    if isinstance(value, types.MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, functools.partial):
        return [value.args, value.keywords, value.func]
    if isinstance(value, types.FunctionType):
        held: list[Any] = [value.__defaults__ or (), value.__kwdefaults__ or {}]
        for cell in value.__closure__ or ():
            try:
                held.append(cell.cell_contents)
            except ValueError:  # a cell that is not filled yet
                continue
        return held
    if isinstance(value, functools._lru_cache_wrapper):
        return [value.__wrapped__]
    if isinstance(value, _OTHERS):
        return list(value.values() if hasattr(value, "values") else value)
    if isinstance(value, types.SimpleNamespace):
        return list(vars(value).values())
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, f.name, None) for f in fields(value)]
    return None
