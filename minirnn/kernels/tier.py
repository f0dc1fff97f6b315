"""Which kernels run: the compiled ones where Numba is installed and works, the NumPy ones otherwise."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

from minirnn.kernels.kernel import Kernel
from minirnn.locks import Lock

__all__ = ["TIERS", "chosen", "compiled_kernels", "current", "fastest", "tier"]

TIERS = ("auto", "numba", "numpy")

_log = logging.getLogger("minirnn")
_chosen: ContextVar[str] = ContextVar("minirnn kernel tier", default="auto")
_loading = Lock()
_compiled: Mapping[str, Kernel] | None = None  # empty where there are none


@contextmanager
def tier(name: str) -> Iterator[None]:
    """Within the block, kernels run on this tier. ValueError: there is no such tier, or Numba does not work."""
    if name not in TIERS:
        raise ValueError(f"tier={name!r} came, one of {', '.join(TIERS)} was expected")
    if name == "numba" and not compiled_kernels():
        raise ValueError("tier='numba': Numba is not installed or does not work; pip install 'minirnn[fast]'")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> str:
    """The tier that the caller asks for: "auto", "numba" or "numpy"."""
    return _chosen.get()


def current() -> str:
    """The tier that runs here: "numba" or "numpy"."""
    return "numba" if _chosen.get() != "numpy" and compiled_kernels() else "numpy"


def fastest(kernel: Kernel) -> Kernel:
    """The kernel of the chosen tier that computes the same as this NumPy one."""
    return kernel if _chosen.get() == "numpy" else compiled_kernels().get(kernel.name, kernel)


def compiled_kernels() -> Mapping[str, Kernel]:
    """The compiled kernels by name; Numba is imported at the first call. Empty, with a line in the log, without it."""
    global _compiled
    with _loading:
        if _compiled is None:
            _compiled = _load()
        return _compiled


def _load() -> Mapping[str, Kernel]:
    if find_spec("numba") is None:
        _log.warning("minirnn: Numba is not installed, kernels run on NumPy alone; pip install 'minirnn[fast]'")
        return {}
    try:
        from minirnn.kernels.native import KERNELS, probe

        probe()
    except Exception as error:
        _log.warning("minirnn: Numba does not work, kernels run on NumPy alone: %s: %s", type(error).__name__, error)
        return {}
    return KERNELS
