"""scan(cell, state, xs): the one time loop. It checks its input, chooses an engine, and runs it.

An engine is a name, a reason why it cannot run a given call (or None), and a function that runs it. "python" is the
reference, minirnn.loop; faster ones are registered here and know the cells that they can run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from minirnn import kernels, late, reference, tree
from minirnn.boxes import check_alive, shape_of
from minirnn.checks import as_state, check_lengths, check_positive
from minirnn.module import Module

__all__ = ["Engine", "engine", "engine_names", "register_engine", "scan"]


class Engine(NamedTuple):
    """refusal(cell, state, xs) says why the engine cannot run the call, or None; run takes what reference.run takes;
    passed_by(cell, reason) hears that "auto" goes on to the next."""

    name: str
    refusal: Callable[[Any, Any, Any], str | None]
    run: Callable[..., tuple[Any, Any]]
    passed_by: Callable[[Any, str], None] = lambda cell, reason: None


_engines: list[Engine] = [  # the fastest first
    Engine("fused", kernels.refusal, kernels.run),
    *[Engine(*fields) for fields in late.engines()],
    Engine("python", lambda cell, state, xs: None, reference.run),
]
_chosen: ContextVar[str] = ContextVar("minirnn engine", default="auto")


def register_engine(new: Engine) -> None:
    """Add an engine; "auto" asks the engines in the reverse order of their registration."""
    _engines.insert(0, new)


def engine_names() -> list[str]:
    """What `engine=` takes."""
    return ["auto", *(known.name for known in _engines)]


def check_engine_name(name: str) -> str:
    """The name, if there is such an engine. ValueError otherwise."""
    if name not in engine_names():
        raise ValueError(f"engine={name!r} came, one of {', '.join(engine_names())} was expected")
    return name


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Within the block, everything left at engine="auto" runs on the named engine: `with minirnn.engine("python"):`."""
    token = _chosen.set(check_engine_name(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def _choose(name: str, cell: Any, state: Any, xs: Any) -> Engine:
    name = _chosen.get() if check_engine_name(name) == "auto" else name
    for candidate in _engines:
        if name in ("auto", candidate.name):
            if (refusal := candidate.refusal(cell, state, xs)) is None:
                return candidate
            if name == candidate.name:
                raise ValueError(f"engine={name!r} cannot run {type(cell).__name__}: {refusal}")
            candidate.passed_by(cell, refusal)
    raise AssertionError("the reference engine runs every cell")


def scan(
    cell: Any,
    state: Any,
    xs: Any,
    *,
    lengths: Any = None,
    reverse: bool = False,
    engine: str = "auto",
    checkpoint_every: int | None = None,
) -> tuple[Any, Any]:
    """Run a cell over time: (final_state, outputs).

    cell: a Cell, or a bare function step(state, x) -> (state, output); state: a nesting of (B, ...) arrays; xs: a
    nesting of (T, B, ...) arrays, what the step takes at each t; lengths: (B,) integers, past which a sequence's state
    is held and its outputs are zero; reverse: from the last step (each sequence's own) to the first; checkpoint_every:
    keep every k-th state alone for the backward pass and recompute the steps between, equal within rounding, where
    memory is short (k near sqrt(T) keeps least). Outputs are (T, B, ...).

    ValueError, TypeError: shapes that do not agree, a state that changes shape or dtype, a step that writes in place,
    an array kept from a finished gradient, or a named engine that cannot run the cell.
    """
    check_alive((state, xs), "scan")
    if isinstance(cell, Module):
        check_alive(cell, f"scan: {type(cell).__name__}")
    elif not callable(cell):
        raise TypeError(f"scan: {type(cell).__name__} came as cell, a Cell or a step function was expected")
    if type(state) in (tuple, list) and isinstance(cell, Module) and hasattr(cell, "initial_state"):
        state = as_state("scan: state", cell.initial_state(len(state[0]) if state else 1), state)
    steps, batch = _steps_and_batch(state, xs)
    checked = None if lengths is None else check_lengths(lengths, steps, batch)
    if checkpoint_every is not None:
        (checkpoint_every,) = check_positive("scan", checkpoint_every=checkpoint_every)
    return _choose(engine, cell, state, xs).run(cell, state, xs, checked, reverse, checkpoint_every)


def _steps_and_batch(state: Any, xs: Any) -> tuple[int, int]:
    shapes = [(path, shape_of(leaf)) for path, leaf in tree.named_leaves(xs, "xs")]
    if not shapes:
        raise ValueError("scan: xs holds no array")
    if any(len(shape) < 2 or shape[:2] != shapes[0][1][:2] for _, shape in shapes):
        raise ValueError(f"scan: xs has shapes {dict(shapes)}; arrays (T, B, ...) with one T and one B were expected")
    steps, batch = shapes[0][1][:2]
    for path, leaf in tree.named_leaves(state, "state"):
        if shape_of(leaf)[:1] != (batch,):
            raise ValueError(
                f"scan: {path} has shape {shape_of(leaf)}; xs has a batch of {batch}, so (B={batch}, ...) was expected"
            )
    return steps, batch
