"""What a training's last bits depend on beside its seed: engines, kernel tier, threads, libraries, processor."""

import functools
import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

import numpy as np

from minirnn import engines, tree
from minirnn.call import Call
from minirnn.layers import Cell
from minirnn.layers.recurrent import RecurrentLayer
from minirnn.module import Module
from minirnn.threads import get_num_threads, set_num_threads
from minirnn.tier import current, tier

__all__ = ["changes", "environment", "same_kernels"]

LIBRARIES = ("minirnn", "numpy", "autograd", "llvmlite", "safetensors")


def environment(model: Module, ranks: int = 1) -> dict[str, Any]:
    """The engine that each kind of cell resolves to, the kernels' tier, the number of threads, versions, processor; and
    of several ranks how many they are."""
    return {
        **({"ranks": ranks} if ranks > 1 else {}),
        "engine": _engines(model),
        **_kernels(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": f"{platform.system()} {platform.machine()}",
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, in words: "threads was 2, is 1"; empty where nothing does."""
    then, here = (dict(tree.named_leaves({"ranks": 1, **side})) for side in (before, now))
    return "; ".join(
        f"{name} was {then.get(name)}, is {here.get(name)}"
        for name in sorted(then.keys() | here.keys())
        if then.get(name) != here.get(name)
    )


@contextmanager
def same_kernels(before: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, kernels run on the tier and with the threads that such an environment says, where they can."""
    name, now = before.get("tier"), get_num_threads()
    threads, blas_threads = (_positive(before.get(which)) for which in ("threads", "blas_threads"))
    with ExitStack() as stack:
        with suppress(ValueError):  # a tier that is not there, or that nobody knows
            stack.enter_context(tier(str(name)))
        stack.enter_context(_blas_limit(None))  # puts back what set_num_threads changes
        if threads is not None and threads != now:
            stack.callback(set_num_threads, now)
            set_num_threads(threads)
        stack.enter_context(_blas_limit(blas_threads))
        yield


def _positive(count: Any) -> int | None:
    return count if isinstance(count, int) and count > 0 else None


def _blas_limit(count: int | None) -> AbstractContextManager[Any]:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limit: AbstractContextManager[Any] = threadpool_limits(count, user_api="blas")
    return limit


def _engines(model: Module) -> dict[str, str]:
    """Cell's path -> the engine that runs it."""
    found: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for path, module in model.named_modules():
        if isinstance(module, RecurrentLayer):
            for below, _ in module.named_modules():
                wanted.setdefault(f"{path}.{below}".strip("."), module.engine)
        if isinstance(module, Cell):
            found[path] = _engine(module, wanted.get(path, "auto"))
    return found


def _engine(cell: Cell, name: str) -> str:
    """The engine of a call with one sequence of one step. A cell that takes something else may have one of its own."""
    features = cell.input_size if isinstance(cell.input_size, tuple) else (cell.input_size,)
    try:
        xs = cell.inputs(np.zeros((1, 1, *features), cell.dtype))
        return engines.choose(name, Call(cell, cell.initial_state(1), xs, None, False, None))[0]
    except (ValueError, TypeError):
        return "unknown"


def _kernels() -> dict[str, Any]:
    return {"tier": current(), "threads": get_num_threads(), "blas_threads": _blas_threads()}


def _blas_threads() -> int | None:
    """NumPy's own; None where nothing says."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        said = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
        return int(said) if said.isdigit() else None
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None)


@functools.cache
def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
