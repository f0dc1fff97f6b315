"""What the zoo knows of each of its cells: `@register(year=..., use=...)` above a Cell class says it, `card` reads it.

    @register(year=2016, use="a GRU with one gate")
    @cell(w=("2*hidden", "input"), u=("2*hidden", "hidden"), b=("2*hidden",))
    def MGU(p, h, x): ...

A registered cell is built as MGU(input_size, hidden_size, rng=, dtype=): everything else that it takes has a default.
A new cell is registered in its file, and named in the table of minirnn.layers.cells; tests, `minirnn cells` and
`minirnn check --all` then find it.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from minirnn.layers.recurrent import Cell

__all__ = ["Card", "card", "register"]

C = TypeVar("C", bound=type[Cell])


class Card(NamedTuple):
    """year: of the paper; use: what it is for, in a line; small: arguments that build it small, for checks and tests
    (input_size, hidden_size); options: the keywords that go with them."""

    year: int
    use: str
    small: tuple[Any, Any] = (2, 3)
    options: Mapping[str, Any] = {}


def register(
    *, year: int, use: str, small: tuple[Any, Any] = (2, 3), options: Mapping[str, Any] | None = None
) -> Callable[[C], C]:
    """Give a Cell class its card, see Card for the arguments, and its file's docstring, so that help(MGU) shows paper
    and equations. TypeError: not a Cell class."""

    def attach(cls: C) -> C:
        if not (isinstance(cls, type) and issubclass(cls, Cell)):
            raise TypeError(f"register: {cls!r} came, a Cell class was expected; @register stands above @cell")
        cls._card = Card(year, use, small, dict(options or {}))  # type: ignore[attr-defined]
        cls.__doc__ = f"{cls.__doc__}\n\n{sys.modules[cls.__module__].__doc__}"
        return cls

    return attach


def card(cls: type[Cell]) -> Card:
    """The card of a registered class. ValueError: it has none of its own."""
    found = cls.__dict__.get("_card")
    if not isinstance(found, Card):
        raise ValueError(f"{cls.__name__} is not registered: @register(year=..., use=...) stands above no such class")
    return found
