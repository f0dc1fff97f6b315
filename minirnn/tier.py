"""Which code runs: native code where llvmlite is installed and works, NumPy otherwise."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np

from minirnn import late

__all__ = ["TIERS", "chosen", "current", "kernel", "native_reason", "tier"]

TIERS = ("auto", "native", "numpy")
_OLD = {"numba": "native"}  # a name that trainings of earlier versions wrote down

_log = logging.getLogger("minirnn")
_chosen: ContextVar[str] = ContextVar("minirnn tier", default="auto")


@contextmanager
def tier(name: str) -> Iterator[None]:
    """Within the block, code runs on this tier. ValueError: there is none of this name, or no llvmlite."""
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


_DTYPES = frozenset([np.dtype(np.float32), np.dtype(np.float64)])
_late_kernel = cache(lambda name: late.late("minirnn.compile.kernels", name))


def kernel(name: str, dtype: Any) -> Callable[..., Any] | None:
    """The native function of this name in minirnn.compile.kernels; None where NumPy is to do, for arrays of a dtype."""
    if dtype not in _DTYPES or current() != "native":
        return None
    found: Callable[..., Any] = _late_kernel(name)
    return found
