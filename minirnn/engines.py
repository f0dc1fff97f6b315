"""scan(cell, state, xs): the one time loop. It looks at its arguments once, chooses an engine, and runs it.

An engine is a name and `prepare`, which is given the call and returns what runs it, or the reason why it cannot.
"python" is the reference, minirnn.loop; faster ones are registered here and know the cells that they can run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from minirnn import late, reference
from minirnn.call import Call

__all__ = ["Engine", "choose", "engine", "engine_names", "register_engine", "scan"]

Run: TypeAlias = Callable[[], tuple[Any, Any]]  # (final state, outputs)


class Engine(NamedTuple):
    """prepare(call) returns a function that runs the call, or says why there is none; passed_by(cell, reason) hears
    that "auto" goes on to the next."""

    name: str
    prepare: Callable[[Call], Run | str]
    passed_by: Callable[[Any, str], None] = lambda cell, reason: None


def _reference(call: Call) -> Run:
    given = (call.cell, call.state, call.xs, call.lengths, call.reverse, call.every, call.anew)
    return partial(reference.run, *given)


_engines: list[Engine] = [  # the fastest first
    *[Engine(*fields) for fields in late.engines()],
    Engine("python", _reference),
]
_OLD_NAMES = {"fused": "compiled"}
_chosen: ContextVar[str] = ContextVar("minirnn engine", default="auto")


def register_engine(new: Engine) -> None:
    """Add an engine; "auto" asks the engines in the reverse order of their registration."""
    _engines.insert(0, new)


def engine_names() -> list[str]:
    """What `engine=` takes."""
    return ["auto", *(known.name for known in _engines)]


def _known(name: str) -> str:
    """The engine's name today."""
    return _OLD_NAMES.get(name, name)


def check_engine_name(name: str) -> str:
    """The name, if there is such an engine. ValueError otherwise."""
    if name != "auto" and _known(name) not in engine_names():
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


def chosen() -> str:
    """The engine of the block that runs, "auto" where there is none."""
    return _chosen.get()


def choose(name: str, call: Call) -> tuple[str, Run]:
    """The name of the engine that takes the call, and what runs it. ValueError: the one asked for by name cannot."""
    name = _known(_chosen.get() if check_engine_name(name) == "auto" else name)
    for candidate in _engines:
        if name in ("auto", candidate.name):
            run = candidate.prepare(call)
            if not isinstance(run, str):
                return candidate.name, run
            if name == candidate.name:
                raise ValueError(f"engine={name!r} cannot run {type(call.cell).__name__}: {run}")
            candidate.passed_by(call.cell, run)
    raise RuntimeError("the engine 'python', which runs every cell, was taken out of the list")


def scan(
    cell: Any,
    state: Any,
    xs: Any,
    *,
    lengths: Any = None,
    reverse: bool = False,
    engine: str = "auto",
    checkpoint_every: int | None = None,
    resets: Any = None,
    reset_state: Any = None,
) -> tuple[Any, Any]:
    """Run a cell over time: (final_state, outputs).

    cell: a Cell, or a bare function step(state, x) -> (state, output); state: a nesting of (B, ...) arrays; xs: a
    nesting of (T, B, ...) arrays, what the step takes at each t; lengths: (B,) integers, past which a sequence's state
    is held and its outputs are zero; reverse: from the last step (each sequence's own) to the first; checkpoint_every:
    keep every k-th state alone for the backward pass and recompute the steps between, equal within rounding, where
    memory is short (k near sqrt(T) keeps least). Outputs are (T, B, ...).

    resets: (T, B) booleans, or 0 and 1; where resets[t, b] is True a new sequence begins at step t, and before it the
    state of row b is the initial one again: what comes out is what the cut sequences give, each run alone, in either
    direction (in reverse the state becomes the initial one before step t - 1). The initial state is `state`, unless
    reset_state, nested like it, says another: for a state carried over from the chunk before.

    ValueError, TypeError: shapes that do not agree, a state that changes shape or dtype, a step that writes in place,
    an array kept from a finished gradient, or a named engine that cannot run the cell.
    """
    call = Call(cell, state, xs, lengths, reverse, checkpoint_every, resets, reset_state)
    return choose(engine, call)[1]()
