"""What a cell costs before its first pass: the engine that takes it, and the seconds of compilation."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from minirnn.engines import engine_names
from minirnn.layers import Cell, Recurrent
from minirnn.layers.sizes import as_shape
from minirnn.speed.cells import built
from minirnn.speed.passes import Call, Pass, our_pass
from minirnn.tier import native_reason

__all__ = ["engine_of", "seconds_of_compilation"]


def engine_of(cell: type[Cell] | Cell, what: Pass) -> tuple[str, str]:
    """(the engine that engine="auto" takes, why the one before it cannot). What the step itself raises is raised."""
    made = built(cell, *what.size[2:], what.dtype)
    xs, reason = np.zeros((1, 1, *as_shape(made.input_size)), what.dtype), ""
    for name in engine_names()[1:-1]:
        try:
            Recurrent(made, engine=name)(xs)
            return name, ""
        except ValueError as error:
            reason = str(error)
    Recurrent(made, engine="python")(xs)
    return "python", reason


def seconds_of_compilation(cell: type[Cell] | Cell, what: Pass, engine: str = "auto") -> dict[str, float]:
    """How much longer a first pass takes than a second, where nothing compiled is on disk: on generated NumPy
    ("numpy"), and in native code ("native"), 0 where there is none. To be called in a fresh process."""
    with _empty_cache():
        numpy = _longer(our_pass(cell, what, engine, "numpy"))
        return {"numpy": numpy, "native": 0.0 if native_reason() else _longer(our_pass(cell, what, engine))}


@contextmanager
def _empty_cache() -> Iterator[Path]:
    before = os.environ.get("MINIRNN_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINIRNN_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("MINIRNN_CACHE")
            if before is not None:
                os.environ["MINIRNN_CACHE"] = before


def _longer(call: Call) -> float:
    times = [_seconds(call) for _ in range(3)]
    return max(0.0, times[0] - min(times[1:]))


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
