"""The differentiated arguments of a call as a list of arrays, and back: Modules, arrays, and nestings of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.boxes import dtype_of
from minirnn.module import Module
from minirnn.primitive import is_traced

__all__ = ["Argnums", "Arrays", "select"]

Function = Callable[..., Any]
Argnums = int | Sequence[int]


class Arrays(NamedTuple):
    """A differentiated argument taken apart: its arrays, how to rebuild it from others, and its gradient's nesting."""

    names: list[str]
    values: list[Any]
    rebuild: Callable[[Sequence[Any]], Any]
    gradient: Callable[[Sequence[Any]], Any]


def _take_apart(argument: Any, what: str) -> Arrays:
    if isinstance(argument, Module):
        plan = argument._plan()
        indices = [i for i, _, _, _ in plan.trainable]
        paths = [path for _, path, _, _ in plan.trainable]
        arrays = [held[name] for _, _, held, name in plan.trainable]
        return Arrays(
            paths,
            arrays,
            lambda values: argument._with(plan, dict(zip(indices, values, strict=True))),
            lambda values: dict(zip(paths, values, strict=True)),
        )
    if isinstance(argument, np.ndarray) or is_traced(argument):
        if dtype_of(argument).kind != "f":
            raise TypeError(
                f"{what}: an array of {dtype_of(argument)} cannot be differentiated; pass it by, as another argument"
            )
        return Arrays([what], [argument], _first, _first)
    if isinstance(argument, (float, np.floating)):
        return Arrays([what], [np.asarray(argument)], _first, _first)
    if argument is None or isinstance(argument, (tuple, list, dict)):
        children, rebuild = tree.flatten(argument, whole=Module)
        paths = [path for path, _ in tree.named_leaves(argument, what, whole=Module)]
        return _join([_take_apart(child, path) for child, path in zip(children, paths, strict=True)], rebuild)
    raise TypeError(
        f"{what}: {type(argument).__name__} cannot be differentiated; a Module, a float array, or a tuple, list or "
        "dict of those can"
    )


def _first(values: Sequence[Any]) -> Any:
    return values[0]


def _join(parts: Sequence[Arrays], rebuild: Callable[[Sequence[Any]], Any]) -> Arrays:
    """Several arguments as one, `rebuild` putting them together."""

    def shares(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
        start = 0
        for part in parts:
            yield values[start : start + len(part.values)]
            start += len(part.values)

    return Arrays(
        [name for part in parts for name in part.names],
        [value for part in parts for value in part.values],
        lambda values: rebuild([p.rebuild(share) for p, share in zip(parts, shares(values), strict=True)]),
        lambda values: rebuild([p.gradient(share) for p, share in zip(parts, shares(values), strict=True)]),
    )


def select(argnums: Argnums, args: tuple[Any, ...]) -> tuple[Arrays, Function]:
    """The differentiated arguments as one, and the function that puts new ones among the others."""
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for i in chosen:
        if not -len(args) <= i < len(args):
            raise ValueError(f"argnums={argnums} came, the call has {len(args)} positional arguments")
    parts = [_take_apart(args[i], f"argument {i}") for i in chosen]
    if isinstance(argnums, int):
        arrays = parts[0]
        if argnums == 0:
            return arrays, lambda new: (new, *args[1:])
    else:
        arrays = _join(parts, tuple)

    def insert(new: Any) -> list[Any]:
        among = list(args)
        for i, value in zip(chosen, (new,) if isinstance(argnums, int) else new, strict=True):
            among[i] = value
        return among

    return arrays, insert
