"""What a training's last bits depend on beside its seed: engines, kernel tier, threads, libraries, processor."""

import functools
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn import engines, tree
from minirnn.kernels.tier import current
from minirnn.layers import Cell
from minirnn.layers.recurrent import RecurrentLayer
from minirnn.module import Module
from minirnn.threads import get_num_threads

__all__ = ["changes", "environment"]

LIBRARIES = ("minirnn", "numpy", "autograd", "numba", "safetensors")


def environment(model: Module) -> dict[str, Any]:
    """The engine that each kind of cell resolves to, the kernels' tier, the number of threads, versions, processor."""
    return {
        "engine": _engines(model),
        **_kernels(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": f"{platform.system()} {platform.machine()}",
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, in words: "threads was 2, is 1"; empty where nothing does."""
    then, here = (dict(tree.named_leaves(dict(side))) for side in (before, now))
    return "; ".join(
        f"{name} was {then.get(name)}, is {here.get(name)}"
        for name in sorted(then.keys() | here.keys())
        if then.get(name) != here.get(name)
    )


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
        return engines._choose(name, cell, cell.initial_state(1), xs).name
    except (ValueError, TypeError):
        return "unknown"


def _kernels() -> dict[str, Any]:
    return {"tier": current(), "threads": get_num_threads()}


@functools.cache
def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
