"""How a loop is compiled: cached on disk, without the interpreter's lock, and with a word when it takes time.

Of the fast-math flags only `contract` (a fused multiply-add) and `nsz` are set: under the others nan and inf may be
assumed away, and a diverged model would look healthy. `error_model="numpy"` drops the check for division by zero, which
keeps a loop from being vectorised.
"""

import logging
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock

__all__ = ["OPTIONS", "cached", "compiled"]

_log = logging.getLogger("minirnn")
_said = False
_PROCESS = uuid.uuid4().hex[:12]
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}, "boundscheck": False}


def _forget_stale_code() -> None:
    """Drop cached code that is older than any file of this folder: Numba looks at a function's own file alone, and
    would keep one whose callee has changed in another."""
    here = Path(__file__).parent
    newest = max(source.stat().st_mtime for source in here.glob("*.py"))
    for index in here.glob("__pycache__/*.nbi"):
        with suppress(OSError):
            if index.stat().st_mtime < newest:
                index.unlink()


_forget_stale_code()


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled at its first call for each dtype; where no cache can be written, for each process anew."""
    return cached(function, **OPTIONS)


def cached(function: Callable[..., Any], **options: Any) -> Any:
    """njit with a cache on disk, where one can be written.

    Numba numbers the files of a function's versions from what its index holds; two processes that compile at once
    would give two versions one name, and later ones would load float32 code for float64 arrays. So a process has names
    of its own, and at worst a version is forgotten and made again.
    """
    try:
        made = njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)
    file = made._cache._cache_file
    pattern = file._data_name_pattern.replace("{number", f"{_PROCESS}-{{process}}-{{number")
    file._data_name = lambda number: pattern.format(process=os.getpid(), number=number)
    return made


class _Announce(event.Listener):  # type: ignore[misc]
    """Says once a process that compilation has begun; loading compiled code from the cache is no such event."""

    def on_start(self, occurrence: Any) -> None:
        global _said
        dispatcher = occurrence.data["dispatcher"]
        if dispatcher.py_func.__module__.startswith(__package__) and not _said:
            _said = True
            _log.warning("minirnn compiles its kernels for this machine (a few seconds, once; then they are cached)")

    def on_end(self, occurrence: Any) -> None:
        pass


event.register("numba:compile", _Announce())
if hasattr(os, "register_at_fork"):  # LLVM's state is no lock that could be made anew: a fork waits for a compilation
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=global_compiler_lock.release,
    )
