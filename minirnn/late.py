"""Parts that take time to import, or that may be left out: imported when they are first called, if they are there."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["engines", "late"]


def late(module: str, name: str) -> Callable[..., Any]:
    """A function that calls the function of this name in a module."""
    found: list[Callable[..., Any]] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not found:
            found.append(getattr(import_module(module), name))
        return found[0](*args, **kwargs)

    return call


def engines() -> list[tuple[Any, ...]]:
    """The fields of each Engine that stands between "fused" and "python": "compiled", where its folder is."""
    if find_spec("minirnn.compile") is None:
        return []
    return [("compiled", *[late("minirnn.compile.engine", name) for name in ("refusal", "run", "passed_by")])]
