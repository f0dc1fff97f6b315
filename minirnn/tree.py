"""Nestings of arrays: tuples, lists, dicts, NamedTuples and None, with anything else as a leaf.

A state, a batch or a set of gradients is such a nesting. `flatten` takes one apart and remembers how to put it together
again; `map` and `named_leaves` are built on it. A class with its own insides (Module) joins with `register`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["flatten", "is_namedtuple", "leaves", "map", "named_leaves", "register"]

Tree = Any
Children = list[tuple[str, Any]]
Rebuild = Callable[[Sequence[Any]], Tree]

TakeApart = Callable[[Any], tuple[Children, Rebuild]]

_registered: dict[type, TakeApart] = {}
_found: dict[type, TakeApart | None] = {}  # for every type met so far; None: its instances are leaves


def register(cls: type, take_apart: TakeApart) -> None:
    """Make instances of `cls` nestings: `take_apart(value)` returns named children and how to rebuild it from them."""
    _registered[cls] = take_apart
    _found.clear()


def is_namedtuple(value: object) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _take_apart(tree: Tree) -> tuple[Children, Rebuild] | None:
    """The named children of a nesting and how to rebuild it; None for a leaf."""
    cls = type(tree)
    if cls not in _found:
        _found[cls] = _way_for(cls)
    way = _found[cls]
    return None if way is None else way(tree)


def _way_for(cls: type) -> TakeApart | None:
    if cls is type(None):
        return lambda tree: ([], lambda children: None)
    if issubclass(cls, dict):
        return _take_dict_apart
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return lambda tree: (list(zip(cls._fields, tree, strict=True)), lambda children: cls(*children))
    if issubclass(cls, (tuple, list)):
        rebuild = tuple if issubclass(cls, tuple) else list
        return lambda tree: ([(str(i), value) for i, value in enumerate(tree)], rebuild)
    return next((take_apart for known, take_apart in _registered.items() if issubclass(cls, known)), None)


def _take_dict_apart(tree: dict[Any, Any]) -> tuple[Children, Rebuild]:
    keys = list(tree)
    return [(str(key), tree[key]) for key in keys], lambda children: dict(zip(keys, children, strict=True))


def named_leaves(tree: Tree, prefix: str = "", whole: type | tuple[()] = ()) -> Iterator[tuple[str, Any]]:
    """(dotted path, leaf) for every leaf, in order: `{"a": (x, y)}` gives ("a.0", x), ("a.1", y).

    Instances of `whole` are leaves, whatever they hold.
    """
    found: list[tuple[str, Any]] = []
    _collect(tree, prefix, whole, found)
    return iter(found)


def _collect(tree: Tree, prefix: str, whole: type | tuple[()], found: list[tuple[str, Any]]) -> None:
    parts = None if isinstance(tree, whole) else _take_apart(tree)
    if parts is None:
        found.append((prefix, tree))
        return
    for name, child in parts[0]:
        _collect(child, f"{prefix}.{name}" if prefix else name, whole, found)


def flatten(tree: Tree, whole: type | tuple[()] = ()) -> tuple[list[Any], Rebuild]:
    """The leaves in order, and a function that puts as many new leaves into the same nesting (`whole` as above)."""
    parts = None if isinstance(tree, whole) else _take_apart(tree)
    if parts is None:
        return [tree], lambda new: new[0]
    children, put_together = parts
    found: list[Any] = []
    below: list[tuple[int, Rebuild | None]] = []
    for _, child in children:
        if _found.get(type(child), _found) is None:  # known to be a leaf: no need for a rebuild of its own
            found.append(child)
            below.append((1, None))
        else:
            leaves_below, rebuild_below = flatten(child, whole)
            found += leaves_below
            below.append((len(leaves_below), rebuild_below))

    count = len(found)  # `rebuild` may live long, and shall not keep the leaves

    def rebuild(new: Sequence[Any]) -> Tree:
        if len(new) != count:
            raise ValueError(f"rebuild: {len(new)} leaves came, the nesting holds {count}")
        start, rebuilt = 0, []
        for size, rebuild_below in below:
            rebuilt.append(new[start] if rebuild_below is None else rebuild_below(new[start : start + size]))
            start += size
        return put_together(rebuilt)

    return found, rebuild


def leaves(tree: Tree) -> list[Any]:
    """The leaves in order."""
    return [leaf for _, leaf in named_leaves(tree)]


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """f(leaf, ...) in place of every leaf of `tree`. ValueError: one of `rest` is nested otherwise than `tree`."""
    found, rebuild = flatten(tree)
    if not rest:
        return rebuild([f(leaf) for leaf in found])
    columns = [found]
    paths = [path for path, _ in named_leaves(tree)]
    for other in rest:
        named = list(named_leaves(other))
        if [path for path, _ in named] != paths:
            raise ValueError(
                f"nestings differ: leaves {[path for path, _ in named]} came, {paths} were expected; "
                "give both the same tuples, lists, dicts and names"
            )
        columns.append([leaf for _, leaf in named])
    return rebuild([f(*column) for column in zip(*columns, strict=True)])
