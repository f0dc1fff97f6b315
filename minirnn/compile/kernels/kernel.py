"""A loop program as native code, called for one array after the other without going back to Python."""

import hashlib
from functools import cache
from typing import Any

from minirnn.compile.address import address
from minirnn.compile.llvm import objects, printer
from minirnn.compile.llvm.target import host
from minirnn.compile.loops.program import Function
from minirnn.locks import Lock
from minirnn.module import Array

__all__ = ["Kernel"]

_addresses: dict[str, int] = {}  # of functions in this process
_loading = Lock()


class Kernel:
    """kernel(calls): the program, once for each row of calls.

    calls: (calls, integers), int64 without gaps. A row holds the addresses of the program's memory, its integers, and
    the bits of `numbers` doubles, its slots. Whoever calls keeps the arrays alive, and answers for every index.
    """

    def __init__(self, program: Function, numbers: int = 0):
        self.program, self.numbers = program, numbers
        text = f"{program!r} {numbers}"
        name = f"{program.name}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
        write = lambda: printer.module(host(), [(name, program, numbers)])
        self._address = _loaded(name, text, write)

    def __call__(self, calls: Array) -> None:
        _each()(self._address, address(calls), *calls.shape)


@cache
def _each() -> Any:
    _loaded("each", "each", printer.each)
    return objects.function("each", 4)


def _loaded(name: str, text: str, write: Any) -> int:
    """The address of a function, brought into the process where it is not yet."""
    with _loading:
        if name not in _addresses:
            objects.load(f"{printer.sources()} {text}", write)
            _addresses[name] = objects.address_of(name)
        return _addresses[name]
