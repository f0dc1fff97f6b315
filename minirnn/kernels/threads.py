from collections.abc import Callable, Sequence
from typing import Any


def each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]
