"""What a rule's `update` does to one entry, noted by letting it run on stand-ins: native code is made of that.

    m += (1 - beta) * (g - m)    is noted as    (subtract, 1, 2), (multiply, 3, -1), (add, 2, 4), a number, and m is 5

So there is one formula for both. lr and t are stand-ins too, whose arithmetic is noted; where `update` asks for more of
them (whether t is 1), it is noted anew at every step.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn.module import Array

__all__ = ["Job", "Noted", "entry_by_entry", "noted"]


class Job(NamedTuple):
    """One parameter's update. Options that are equal are one object."""

    p: Array
    g: Array
    slots: dict[str, Array]
    lr: float
    options: Any
    t: int


def entry_by_entry(update: Callable[..., None]) -> Callable[..., None]:
    """Mark a rule's `update` that applies NumPy's functions of one entry to what it is given and reads nothing else."""
    update.entry_by_entry = True  # type: ignore[attr-defined]
    return update


class Noted(NamedTuple):
    """steps and results: as minirnn.compile.kernels.entrywise takes them; the arrays are p, g and the slots.
    numbers(lr, t): what it is given with every call. always: for any lr and t, or those of this step alone."""

    steps: tuple[Any, ...]
    results: tuple[int, ...]
    numbers: Callable[[float, int], list[float]]
    always: bool


class _CannotNote(Exception):
    """It does something else than arithmetic of numbers and functions of one entry."""


# ---------------------------------------------------------------- numbers
class _Number:
    """lr, t, or what is computed of them: of(lr, t)."""

    __slots__ = ("of",)

    def __init__(self, of: Callable[[float, int], float]):
        self.of = of

    def __neg__(self) -> "_Number":
        return _Number(lambda lr, t: -self.of(lr, t))

    def __getattr__(self, name: str) -> Any:
        if name == "__array_ufunc__":  # NumPy asks whether it is a number, in lr * g
            raise AttributeError(name)
        raise _CannotNote

    def _asked(self, *args: Any) -> Any:
        raise _CannotNote

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = _asked
    __hash__ = _asked


def _as_function(value: Any) -> Callable[[float, int], float]:
    if type(value) is _Number:
        of: Callable[[float, int], float] = value.of
        return of
    if type(value) is float or type(value) is int:
        return lambda lr, t: value
    raise _CannotNote


def _arithmetic(join: Callable[[Any, Any], Any], turned: bool) -> Callable[[Any, Any], Any]:
    def method(self: _Number, other: Any) -> Any:
        if type(other) is _Entry:
            return NotImplemented
        a, b = (other, self) if turned else (self, other)
        first, second = _as_function(a), _as_function(b)
        return _Number(lambda lr, t: join(first(lr, t), second(lr, t)))

    return method


for _name in ("add", "sub", "mul", "truediv", "pow"):
    for _turned in (False, True):
        setattr(_Number, f"__{'r' * _turned}{_name}__", _arithmetic(getattr(operator, _name), _turned))


# ---------------------------------------------------------------- entries
class _Notes:
    """Values are counted: those that the arrays begin with, then what each step makes."""

    def __init__(self, arrays: int):
        self.count = arrays
        self.steps: list[tuple[Any, tuple[int, ...]]] = []
        self.numbers: list[Callable[[float, int], float]] = []

    def add(self, ufunc: Any, inputs: Any) -> int:
        operands = []
        for given in inputs:
            if type(given) is not _Entry:
                operands.append(-1)
                self.numbers.append(_as_function(given))
            elif given.now is None:
                raise _CannotNote
            else:
                operands.append(given.now)
        self.steps.append((ufunc, tuple(operands)))
        self.count += 1
        return self.count - 1


class _Entry(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array; now: the value that its entry has, None for what was never set."""

    __slots__ = ("notes", "now")

    def __init__(self, notes: _Notes, now: int | None):
        self.notes, self.now = notes, now

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> "_Entry":
        if method != "__call__" or options or ufunc.nout != 1:
            raise _CannotNote
        made = self.notes.add(ufunc, inputs)
        if out is None:
            return _Entry(self.notes, made)
        (target,) = out
        if type(target) is not _Entry:
            raise _CannotNote
        target.now = made
        return target

    def __getattr__(self, name: str) -> Any:
        raise _CannotNote

    def __bool__(self) -> bool:
        raise _CannotNote


def noted(update: Callable[..., None], job: Job) -> Noted | None:
    """What `update` does for such a job; None: more than can be noted, or it writes to the gradient."""
    found = _run(update, job, _Number(lambda lr, t: lr), _Number(lambda lr, t: t), True)
    return found or _run(update, job, job.lr, job.t, False)


def _run(update: Callable[..., None], job: Job, lr: Any, t: Any, always: bool) -> Noted | None:
    notes = _Notes(2 + len(job.slots))
    p, g, *slots = [_Entry(notes, k) for k in range(notes.count)]
    work = _Entry(notes, None), _Entry(notes, None)
    try:
        update(p, g, dict(zip(job.slots, slots, strict=True)), lr, job.options, t, work)
    except Exception:  # what is wrong with an `update` shows where it runs on arrays
        return None
    results: Any = tuple([entry.now for entry in (p, g, *slots)])
    if results[1] != 1:
        return None
    numbers = notes.numbers
    return Noted(tuple(notes.steps), results, lambda lr, t: [of(lr, t) for of in numbers], always)
