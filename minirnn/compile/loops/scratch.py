"""Scratch that is not needed at the same time is one memory: what is written and soon read stays in the cache."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minirnn.compile.loops.places import Argument
from minirnn.compile.loops.program import For, Function, Pack, Statement, When, memory_of, renamed

__all__ = ["with_shared_scratch"]

Span = tuple[int, int]  # the places of the first and the last statement of some


def with_shared_scratch(function: Function, arguments: Mapping[str, Argument]) -> Function:
    """The program with fewer names of scratch. Two that one statement uses stay two."""
    spans = {name: span for name, span in _spans(function.body).items() if arguments[name].kind == "work"}
    names, free = dict[str, str](), defaultdict[Any, list[str]](list)
    held: list[tuple[int, str]] = []
    for name in sorted(spans, key=lambda name: (spans[name], name)):
        for end, other in held:
            if end < spans[name][0]:
                free[_kind(arguments[other])].append(names[other])
        held = [(end, other) for end, other in held if end >= spans[name][0]]
        pool = free[_kind(arguments[name])]
        names[name] = pool.pop() if pool else name
        held.append((spans[name][1], name))
    return renamed(function, names)


def _kind(argument: Argument) -> Any:
    return argument.rows, argument.width, argument.dtype


def _spans(body: Sequence[Statement]) -> dict[str, Span]:
    """Where each memory is used. What a loop uses that is used outside too, or from one step to another, it uses all
    along."""
    uses: dict[str, list[Span]] = defaultdict(list)
    loops, packed = list[Span](), dict[str, str]()
    placed = list(_placed(body, 0))
    loops = [span for statement, span in placed if isinstance(statement, For)]
    for statement, span in placed:
        if isinstance(statement, (For, When)):
            continue
        for name in memory_of(statement):
            uses[name].append(span)
            if name in packed:  # which may lie where its rows lie
                uses[packed[name]].append(span)
        if isinstance(statement, Pack):
            packed[statement.memory] = statement.source.memory
    found = {}
    for name, spans in uses.items():
        whole = min(spans)[0], max(span[1] for span in spans)
        around = [loop for loop in loops if loop[0] <= whole[1] and whole[0] <= loop[1]]
        inside = any(loop[0] <= whole[0] and whole[1] <= loop[1] for loop in loops)
        found[name] = whole if inside else (min([whole, *around])[0], max(span[1] for span in [whole, *around]))
    return found


def _placed(body: Sequence[Statement], at: int) -> Iterator[tuple[Statement, Span]]:
    """Every statement, and its place: of a loop, that of all in it."""
    for statement in body:
        inside = list(_placed(statement.body, at)) if isinstance(statement, (For, When)) else []
        yield from inside
        end = max([at, *(span[1] for _, span in inside)])
        yield statement, (at, end)
        at = end + 1
