"""The engine "compiled": which calls of `scan` it can run, and how such a call stands among differentiable functions.

The program for a cell is looked for under the cell's key, and made where there is none: native code where LLVM is,
and NumPy otherwise, or where there is no native code for the step. Before its first use in a process it is
compared with the reference on a tiny problem.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minirnn import loop, tier, tree
from minirnn.boxes import tracing, unboxed
from minirnn.call import Call
from minirnn.compile import build, rule
from minirnn.compile.errors import CannotCompile
from minirnn.compile.key import Unhashable, call_key
from minirnn.compile.program import Program
from minirnn.compile.verify import verify
from minirnn.module import Module

__all__ = ["found_for", "passed_by", "prepare", "program_for", "rule_for"]


class _Refused(NamedTuple):
    """Why a cell cannot be compiled; `told` where the user should hear of it."""

    reason: str
    told: bool


class _Found:
    """A cell's programs: the native one, where there is one, and that in NumPy, each made when it is first needed."""

    def __init__(self, rebuild: Callable[..., Any]):
        self.rebuild = rebuild  # the outputs' nesting, of their leaves
        self._programs: dict[str, Program | None] = {}
        self._moving: _Found | None = None

    def program(self, call: Call) -> Program:
        """The program of the tier that is chosen. CannotCompile: says why there is none."""
        if tier.current() == "native":
            native = self._made("native", call)
            if native is not None:
                return native
        program = self._made("numpy", call)
        assert program is not None
        return program

    def moving(self, call: Call) -> Program | None:
        """The program of a call of this cell and its tangents; None where it cannot be compiled."""
        if self._moving is None:
            self._moving = _Found(self.rebuild)
        try:
            return self._moving.program(call)
        except CannotCompile:
            return None

    def _made(self, name: str, call: Call) -> Program | None:
        if name not in self._programs:
            with tracing:  # the comparison traces: with a lock of its own a gradient elsewhere could wait for this
                if name not in self._programs:
                    self._programs[name] = _native(call) if name == "native" else _numpy(call)
        return self._programs[name]


_known: dict[Any, _Found | _Refused] = {}
_said: set[Any] = set()
_worth_telling: set[str] = set()


# ---------------------------------------------------------------- what can be run
def prepare(call: Call) -> Callable[[], tuple[Any, Any]] | str:
    """What runs the call, or why it cannot be compiled."""
    found = _find(call)
    if isinstance(found, _Refused):
        return found.reason
    program = found.program(call)
    if call.batch < program.layout.least:
        return f"its step names {program.layout.least} rows of the batch by number, and {call.batch} came"
    return partial(rule.run, call, program, found.rebuild, found.moving)


def passed_by(cell: Any, reason: str) -> None:
    """Say once for each class of cells that "auto" leaves it to the engine "python", and why."""
    found = type(cell), reason
    if found not in _said and reason in _worth_telling:
        _said.add(found)
        warnings.warn(
            f"{type(cell).__name__} runs on the engine 'python', step by step: it cannot be compiled, as {reason}. "
            "engine='python' says that this is meant",
            stacklevel=5,
        )


def _find(call: Call) -> _Found | _Refused:
    if not isinstance(call.cell, Module):
        return _Refused("a bare step came, whose closure's arrays a compiler cannot see; make it a Cell", False)
    if 0 in (call.steps, call.batch):
        return _Refused("there is no step, or no row", False)
    try:
        key = call_key(call)
        found = _known.get(key)
    except (Unhashable, TypeError) as error:
        return _refused(str(error))
    if found is None:
        with tracing:
            found = _known.get(key)
            if found is None:
                found = _known[key] = _made(call)
    return found


def _refused(reason: str) -> _Refused:
    _worth_telling.add(reason)
    return _Refused(reason, True)


def _made(call: Call) -> _Found | _Refused:
    """The programs for a call's key, the one that is chosen now compared with the reference; or why there is none."""
    try:
        with np.errstate(all="ignore"):
            rebuild = _output_nesting(call)
    except Exception as error:  # the step fails by itself: the reference says how
        return _Refused(f"its step fails: {error}", False)
    found = _Found(rebuild)
    try:
        found.program(call)
    except CannotCompile as error:
        return _refused(str(error))
    return found


def _native(call: Call) -> Program | None:
    """The native program, held against the reference; None where there is none."""
    program = build.native_program(call.cell, call.state, call.xs)
    if program is not None:
        verify(program, call.cell, call.state, call.xs)
    return program


def _numpy(call: Call) -> Program:
    """The program in NumPy, held against the reference."""
    program = build.numpy_program(call.cell, call.state, call.xs)
    verify(program, call.cell, call.state, call.xs)
    return program


def _output_nesting(call: Call) -> Callable[..., Any]:
    """How the leaves of a step's output are put together."""
    cell, state, x = [
        tree.map(lambda leaf: loop.read_only(unboxed(leaf)), call.cell),
        tree.map(lambda leaf: loop.read_only(unboxed(leaf)), call.state),
        tree.map(lambda leaf: loop.read_only(unboxed(leaf)[0]), call.xs),
    ]
    _, output = cell.step(state, x)
    return tree.flatten(output)[1]


def found_for(call: Call) -> "_Found | None":
    """A call's programs; None where it cannot be compiled."""
    found = _find(call)
    return None if isinstance(found, _Refused) or call.batch < found.program(call).layout.least else found


def rule_for(call: Call) -> tuple[rule.Compiled, list[Any], Callable[..., Any]] | None:
    """A call's rule, its arrays, and how the leaves of its outputs are put together; None where it is not compiled."""
    found = found_for(call)
    program = None if found is None else found.program(call)
    if found is None or program is None or not rule.is_compiled(call, program):
        return None
    arrays = [*call.columns, *call.states, *call.fresh, *rule.arrays_of(call)]
    return rule.Compiled(call, program, found.moving), arrays, found.rebuild


def program_for(call: Call) -> Program:
    """The compiled program of a call. CannotCompile: says why there is none."""
    found = _find(call)
    if isinstance(found, _Refused):
        raise CannotCompile(found.reason)
    return found.program(call)
