"""Parts that take time to import, or that may be left out: imported when they are first called, if they are there."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["engines", "has_compiler", "late"]


def late(module: str, name: str) -> Callable[..., Any]:
    """A function that calls the function of this name in a module."""
    found: list[Callable[..., Any]] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not found:
            found.append(getattr(import_module(module), name))
        return found[0](*args, **kwargs)

    return call


@cache
def has_compiler() -> bool:
    """Whether the folder of the engine "compiled" is there."""
    return find_spec("minirnn.compile") is not None


def engines() -> list[tuple[Any, ...]]:
    """The fields of each Engine that stands before "python": "compiled", where its folder is."""
    if not has_compiler():
        return []
    return [("compiled", *[late("minirnn.compile.engine", name) for name in ("prepare", "passed_by")])]
