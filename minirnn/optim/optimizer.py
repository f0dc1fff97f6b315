"""Optimizer: what every rule shares: names, groups, the check of all gradients before any update, and the state."""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minirnn import tier, tree
from minirnn.module import Array, Module
from minirnn.optim.blocks import Blocks, Work
from minirnn.optim.natively import Natively
from minirnn.optim.noted import Job
from minirnn.optim.options import Options, checked, checked_groups, merged
from minirnn.optim.schedules import Schedule

__all__ = ["Optimizer", "Options", "Parameters", "Slots", "Work", "descent_gradient"]

Slots = Mapping[str, Array]
Parameters = Module | Mapping[str, Array]

_DOUBLE = np.dtype(np.float64)
_LARGEST = {np.dtype(kind): float(np.finfo(kind).max) for kind in (np.float32, np.float64)}


@dataclass(slots=True)
class _Held:
    """What belongs to one parameter beside its array."""

    like: tuple[tuple[int, ...], np.dtype[Any]]
    options: Options
    slots: dict[str, Array]
    updates: int = 0


class Optimizer(ABC):
    """Updates the arrays of a Module, or of a dict of arrays, in place: `opt.step(grads)`.

    groups changes options of the names that match a glob, {"embedding.*": {"lr": 1e-4}}; where several match, they
    apply in order, so the later wins. lr is a number or a schedule, a function step -> lr; a group's own lr, number or
    schedule, is its own: neither assigning `opt.lr` nor the schedule of the rest moves it.

    Frozen parameters are passed over and keep their slots; each parameter counts its own updates. A copy or pickle of
    an optimiser takes its parameters along: copy (model, opt) together to keep them one.

    A rule defines `slots`, what it keeps for each parameter, and `update`; both are told the parameter's options.
    ValueError, TypeError: an unknown or impossible option, a glob that matches nothing, an array that is not a writable
    float one (of at least 32 bits: eps would vanish in fewer).
    """

    squares: ClassVar[bool] = False  # the rule squares gradients: one whose square overflows is refused

    def __init__(
        self,
        parameters: Parameters,
        groups: Mapping[str, Options] | None = None,
        *,
        lr: float | Schedule,
        **options: Any,
    ):
        if not isinstance(parameters, (Module, Mapping)):
            raise TypeError(
                f"{self._name}: {type(parameters).__name__} came, a Module or a dict name -> array was expected"
            )
        self._source = parameters
        self._lr = checked(self._name, "lr", lr)
        self._options = {option: checked(self._name, option, value) for option, value in options.items()}
        every = self._every()
        self._groups = checked_groups(self._name, groups, every, ["lr", *options])
        self._held: dict[str, _Held] = {}
        self._distinct: list[Options] = []  # of parameters, after the groups' changes
        self._natively, self._blocks = Natively(), Blocks()
        self.steps = 0  # made, or passed over: the schedule's place
        named: dict[int, str] = {}
        for name, p in every.items():
            self._admit(name, p)
            if named.setdefault(id(p), name) != name:
                raise ValueError(f"{self._name}: {named[id(p)]} and {name} are one array; give it under one name")

    @abstractmethod
    def slots(self, options: Options) -> Mapping[str, float]:
        """The arrays that the rule keeps for each parameter, by name, and the value that each starts from."""

    @abstractmethod
    def update(self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: Work) -> None:
        """Change p and its slots in place, given the gradient g, at the parameter's t-th update (from 1).

        Entry by entry: a large parameter comes in blocks of rows, one call a block. g stays as it is. work: two arrays
        like p, of any content, to compute in. One that is marked `entry_by_entry` is called on stand-ins where there is
        native code, which follows from what it does.
        """

    def check_options(self, options: Options) -> None:  # noqa: B027 (most rules have nothing to say)
        """ValueError where one parameter's options exclude each other."""

    # ------------------------------------------------------------------ options
    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def lr(self) -> float:
        """The learning rate of the next step, outside groups that set their own; assign a number or a schedule."""
        return self._rate(self._lr)

    @lr.setter
    def lr(self, value: float | Schedule) -> None:
        self._lr = checked(self._name, "lr", value)

    @property
    def schedules(self) -> list[float | Schedule]:
        """What gives the learning rate, numbers or schedules: of all, then of each group that sets its own."""
        return [self._lr, *(own["lr"] for own in self._groups.values() if "lr" in own)]

    def options(self) -> dict[str, Any]:
        """What it was made with, by name; a group's as "groups[glob].name"."""
        of_groups = {f"groups[{glob}].{name}": v for glob, own in self._groups.items() for name, v in own.items()}
        return {"lr": self._lr, **self._options, **of_groups}

    def parameters(self) -> Mapping[str, Array]:
        """The arrays that it updates, by name, frozen ones too."""
        return self._every()

    def _rate(self, lr: float | Schedule) -> float:
        return checked(f"{self._name}: at step {self.steps}", "lr", lr(self.steps)) if callable(lr) else lr

    def __repr__(self) -> str:
        options = ", ".join(f"{option}={value}" for option, value in {"lr": self._lr, **self._options}.items())
        return f"{self._name}({options}{f', groups={self._groups}' if self._groups else ''})"

    # ------------------------------------------------------------------ parameters
    def _trained(self) -> Mapping[str, Array]:
        return self._source.parameters() if isinstance(self._source, Module) else self._source

    def _every(self) -> Mapping[str, Array]:
        """The parameters, frozen ones too."""
        return self._source.parameters(frozen=True) if isinstance(self._source, Module) else self._source

    def _admit(self, name: str, p: Any) -> Options:
        """The options of a parameter that can be updated."""
        if not isinstance(p, np.ndarray):
            raise TypeError(f"{self._name}: {name} is a {type(p).__name__}, a NumPy array was expected")
        if p.dtype.kind != "f" or p.itemsize < 4:
            raise TypeError(f"{self._name}: {name} is {p.dtype}, float32 or float64 was expected")
        if not p.flags.writeable:
            raise ValueError(f"{self._name}: {name} is read-only, a writable array was expected; give a copy of it")
        options = merged(self._options, self._groups, name)
        self.check_options(options)
        return options

    def _hold(self, name: str, p: Array) -> _Held:
        options = self._admit(name, p)
        if options in self._distinct:
            options = self._distinct[self._distinct.index(options)]
        else:
            self._distinct.append(options)
        slots = {slot: np.full(p.shape, start, p.dtype) for slot, start in self.slots(options).items()}
        return _Held((p.shape, p.dtype), options, slots)

    # ------------------------------------------------------------------ steps
    def step(self, grads: Mapping[str, Array]) -> None:
        """Update every parameter, given a gradient for each, named as `parameters()` names them. No gradient changes.

        ValueError: lists every gradient that is missing, unexpected (a frozen parameter's too), of another shape or
        dtype, not finite, or too large for the rule; then no parameter and no state has changed.
        """
        parameters, held = self._trained(), self._held
        new = {name: self._hold(name, p) for name, p in parameters.items() if name not in held}
        self._check(parameters, grads)
        rate = self.lr
        options = {name: (new.get(name) or held[name]).options for name in parameters} if self._groups else {}
        rates = {name: self._rate(own["lr"]) for name, own in options.items() if "lr" in own}
        held.update(new)
        jobs = []
        for name, p in parameters.items():
            one = held[name]
            one.updates += 1
            jobs.append(Job(p, grads[name], one.slots, rates.get(name, rate), one.options, one.updates))
        for job in self._natively.update(self.update, jobs):
            self._blocks.update(self.update, *job)
        self.steps += 1

    def _check(self, parameters: Mapping[str, Array], grads: Mapping[str, Array]) -> None:
        if not isinstance(grads, Mapping):
            raise TypeError(f"{self._name}.step: {type(grads).__name__} came, a dict of gradients was expected")
        fine = self._fine(parameters, grads)
        if len(fine) == len(parameters) == len(grads):
            return
        problems = [f"{name}: missing" for name in parameters if name not in grads]
        if len(grads) + len(problems) > len(parameters):
            every = self._every()
            unexpected = [name for name in grads if name not in parameters]
            problems += [f"{name}: unexpected{', it is frozen' * (name in every)}" for name in unexpected]
        with np.errstate(over="ignore", invalid="ignore"):
            for name, p in parameters.items():
                one = self._held.get(name)
                if one is not None and (not isinstance(p, np.ndarray) or one.like != (p.shape, p.dtype)):
                    became = f"{p.dtype} {p.shape}" if isinstance(p, np.ndarray) else type(p).__name__
                    problems.append(f"{name}: the parameter became {became}; make a new optimiser")
                elif (
                    name in grads
                    and name not in fine
                    and (problem := _problem(p, grads[name], self.squares)) is not None
                ):
                    problems.append(f"{name}: {problem}")
        if problems:
            raise ValueError(
                f"{self._name}.step: nothing was updated; one finite gradient like its parameter was expected for each "
                "name of parameters(), but\n  " + "\n  ".join(problems)
            )

    def _fine(self, parameters: Mapping[str, Array], grads: Mapping[str, Array]) -> set[str]:
        """The names of gradients in which native code finds nothing wrong; of others it does not say that there is."""
        kernel = tier.kernel("squares", _DOUBLE)
        if kernel is None:
            return set()
        like: dict[str, Array] = {}
        for name, p in parameters.items():
            g: Any = grads.get(name)
            if type(p) is np.ndarray and type(g) is np.ndarray:
                shape, dtype, one = p.shape, p.dtype, self._held.get(name)
                alike = g.shape == shape and g.dtype == dtype and (one is None or one.like == (shape, dtype))
                if alike and dtype in _LARGEST and g.flags.forc:  # any other layout would be copied
                    like[name] = g
        largest = [_LARGEST[g.dtype if self.squares else _DOUBLE] for g in like.values()]
        squares = kernel(list(like.values()))
        return {name for name, square, most in zip(like, squares, largest, strict=True) if square <= most}

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """Copies of what the next step depends on beside parameters, lr and options:

        {"rule": "Adam", "step": 7, "updates": {path: 7, ...}, "slots": {path: {"exp_avg": array, ...}, ...}}: steps
        made, updates of each parameter (0: frozen so far), and the slots of those that were updated.
        """
        held = self._held
        return {
            "rule": self._name,
            "step": self.steps,
            "updates": {name: held[name].updates if name in held else 0 for name in self._every()},
            "slots": {name: {slot: a.copy() for slot, a in one.slots.items()} for name, one in held.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up (copies of) the state of an optimiser of the same rule, options and parameters.

        ValueError: another rule's state; or it lists every entry that is missing, unexpected, of another shape or
        dtype, or impossible; then nothing has changed.
        """
        if not isinstance(state, Mapping) or state.get("rule") != self._name:
            came = state.get("rule") if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(f"{self._name}: the state of {came!r} came, that of {self._name!r} was expected")
        came = {path: value for path, value in tree.named_leaves(dict(state)) if path != "rule"}
        every = self._every()
        counts = {"step": came.get("step"), **{f"updates.{name}": came.get(f"updates.{name}") for name in every}}
        held = {name: self._hold(name, p) for name, p in every.items() if _count(counts[f"updates.{name}"]) != 0}
        slots = {f"slots.{name}.{slot}": a for name, one in held.items() for slot, a in one.slots.items()}
        expected = [*counts, *slots]
        problems = [f"{path}: missing" for path in expected if path not in came]
        problems += [f"{path}: unexpected" for path in came if path not in expected]
        for path in counts:
            if path in came and _count(came[path]) is None:
                problems.append(f"{path}: {came[path]!r} came, an integer >= 0 was expected")
        with np.errstate(over="ignore", invalid="ignore"):
            for path, target in slots.items():
                if path in came and (problem := _problem(target, came[path], False)) is not None:
                    problems.append(f"{path}: {problem}")
        if problems:
            raise ValueError(f"{self._name}: the state does not fit, nothing was loaded:\n  " + "\n  ".join(problems))
        for path, target in slots.items():
            target[...] = came[path]
        for name, one in held.items():
            one.updates = int(came[f"updates.{name}"])
        self._held, self.steps = held, int(came["step"])


def descent_gradient(p: Array, g: Array, weight_decay: float, maximize: bool, out: Array) -> Array:
    """g, or -g to maximise, plus weight_decay p: computed in `out`, or g itself where nothing is to be done."""
    if weight_decay:
        np.multiply(p, weight_decay, out=out)
        return np.subtract(out, g, out=out) if maximize else np.add(out, g, out=out)
    return np.negative(g, out=out) if maximize else g


def _count(value: Any) -> int | None:
    """A whole number from 0 up, also as an array of shape (); None for anything else."""
    try:
        count = operator.index(value)
    except TypeError:
        return None
    return count if count >= 0 else None


def _problem(target: Array, came: Any, squared: bool) -> str | None:
    """Why an array cannot stand beside the target, or None."""
    if not isinstance(came, (np.ndarray, np.generic)):
        return f"{type(came).__name__} came, {target.dtype} {target.shape} was expected"
    if came.shape != target.shape or came.dtype != target.dtype:
        return f"{came.dtype} {came.shape} came, {target.dtype} {target.shape} was expected"
    if came.flags.forc:  # any other layout would be copied
        flat = came.ravel("K")
        if math.isfinite(flat.dot(flat)):  # the cheap test, which may raise a false alarm but misses nothing
            return None
    largest = float(np.finfo(target.dtype).max)
    limit = math.sqrt(largest) if squared else largest
    if came.max(initial=0.0) <= limit and came.min(initial=0.0) >= -limit:
        return None
    if wrong := np.count_nonzero(~np.isfinite(came)):
        return f"{wrong} of {came.size} entries are nan or infinite"
    return f"entries up to {float(np.abs(came).max()):.2g} came, whose squares overflow {came.dtype}; clip them"
