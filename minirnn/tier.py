"""Which code compiled cells run: native code where llvmlite is installed and works, generated NumPy otherwise."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from minirnn import late

__all__ = ["TIERS", "chosen", "current", "native_reason", "tier"]

TIERS = ("auto", "native", "numpy")
_OLD = {"numba": "native"}  # a name that trainings of earlier versions wrote down

_log = logging.getLogger("minirnn")
_chosen: ContextVar[str] = ContextVar("minirnn tier", default="auto")


@contextmanager
def tier(name: str) -> Iterator[None]:
    """Within the block, compiled cells run on this tier. ValueError: there is none of this name, or no llvmlite."""
    name = _OLD.get(name, name)
    if name not in TIERS:
        raise ValueError(f"tier: expected one of {', '.join(TIERS)}, got {name!r}")
    if name == "native" and (reason := native_reason()):
        raise ValueError(f"tier='native': {reason}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> str:
    """The tier that the caller asks for: "auto", "native" or "numpy"."""
    return _chosen.get()


def current() -> str:
    """The tier that runs here: "native" or "numpy"."""
    return "numpy" if _chosen.get() == "numpy" or native_reason() else "native"


@cache
def native_reason() -> str | None:
    """Why no native code runs here, or None; said once in the log."""
    reason: str | None = "the compiler was left out"
    if late.has_compiler():
        reason = late.late("minirnn.compile.llvm.objects", "available")()
    if reason is not None:
        _log.warning("minirnn: compiled cells run on NumPy alone: %s", reason)
    return reason
