"""Optimizer: what every rule shares: names, groups, the check of all gradients before any update, and the state."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from minirnn.module import Array, Module
from minirnn.optim.schedules import Schedule

__all__ = ["Optimizer", "Options", "Slots"]

Options = Mapping[str, Any]
Slots = Mapping[str, Array]
Parameters = Module | Mapping[str, Array]

_FROM_ZERO = ("lr", "eps", "weight_decay", "momentum", "lr_decay", "initial_accumulator_value")
_RANGES = {**dict.fromkeys(_FROM_ZERO, (0.0, np.inf)), "alpha": (0.0, 1.0)}


class _Held(NamedTuple):
    """What belongs to one parameter: its slots, how often it was updated, two arrays to compute in, its options."""

    slots: dict[str, Array]
    updates: Array
    work: tuple[Array, Array]
    options: Options


class Optimizer(ABC):
    """Updates the arrays of a Module, or of a dict of arrays, in place: `opt.step(grads)`.

    groups gives other options to the names that match a glob (the first that matches counts):
    {"embedding.*": {"lr": 1e-4}}. lr is a number or a schedule, a function step -> lr. Frozen parameters are passed
    over and keep their slots; each parameter counts its own updates.

    A rule defines `slots`, what it keeps for each parameter, and `update`; both are told the parameter's options.
    """

    def __init__(self, parameters: Parameters, groups: Mapping[str, Options] | None, **options: Any):
        self._source = parameters
        self._options = {name: self._checked(name, value) for name, value in options.items()}
        self._check_together(self._options)
        self._held: dict[str, _Held] = {}
        self.steps = 0
        names = list(self._every())
        for name, array in parameters.items() if isinstance(parameters, Mapping) else ():
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.flags.writeable:
                raise TypeError(f"{self._name}: {name} is no writable float array")
        self._groups: dict[str, dict[str, Any]] = {}
        for pattern, changed in (groups or {}).items():
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(f"{self._name}: no parameter matches {pattern!r}; the names are {', '.join(names)}")
            for option in changed:
                if option not in options:
                    raise ValueError(
                        f"{self._name}: groups[{pattern!r}] sets {option!r}; the options are {', '.join(options)}"
                    )
            self._groups[pattern] = {option: self._checked(option, value) for option, value in changed.items()}
            self._check_together(self._options | self._groups[pattern])

    @abstractmethod
    def slots(self, options: Options) -> Mapping[str, float]:
        """The arrays that the rule keeps for each parameter, by name, and the value that each starts from."""

    @abstractmethod
    def update(
        self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: tuple[Array, Array]
    ) -> None:
        """Change p and its slots in place, given the gradient g, at the parameter's t-th update (from 1).

        work: two arrays like p, of any content, to compute in.
        """

    # ------------------------------------------------------------------ options
    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def lr(self) -> float:
        """The learning rate of the next step, outside groups that set their own; assign a number or a schedule."""
        return self._rate(self._options)

    @lr.setter
    def lr(self, value: float | Schedule) -> None:
        self._options["lr"] = self._checked("lr", value)
        self._held = {name: held._replace(options=self._options_of(name)) for name, held in self._held.items()}

    def _checked(self, option: str, value: Any) -> Any:
        """An option's value as plain Python numbers, which leave float32 arrays float32."""
        if option == "lr" and callable(value):
            return value
        if isinstance(value, bool):
            return value
        if option == "betas":
            if np.shape(value) != (2,) or not all(0.0 <= beta < 1.0 for beta in value):
                raise ValueError(f"{self._name}: betas={value!r} came, two numbers from 0 up to 1 were expected")
            return tuple([float(beta) for beta in value])
        least, most = _RANGES.get(option, (-np.inf, np.inf))
        if not (least <= float(value) <= most and np.isfinite(value)):
            raise ValueError(
                f"{self._name}: {option}={value!r} came, a finite number from {least:g} to {most:g} was expected"
            )
        return float(value)

    def _check_together(self, options: Options) -> None:  # noqa: B027 (most rules have no such options)
        """ValueError where options exclude each other; a rule that has such options overrides it."""

    def _options_of(self, name: str) -> Options:
        changed = next((group for pattern, group in self._groups.items() if fnmatchcase(name, pattern)), {})
        return self._options | changed

    def _rate(self, options: Options) -> float:
        lr = options["lr"]
        return self._checked("lr", float(lr(self.steps))) if callable(lr) else lr

    def __repr__(self) -> str:
        groups = f", groups={self._groups}" if self._groups else ""
        return f"{self._name}({', '.join(f'{name}={value}' for name, value in self._options.items())}{groups})"

    # ------------------------------------------------------------------ steps
    def step(self, grads: Mapping[str, Array]) -> None:
        """Update every parameter, given a gradient for each, named as `parameters()` names them. No gradient changes.

        ValueError: lists every gradient that is missing, unexpected, of another shape or dtype, or not finite; then no
        parameter and no state has changed.
        """
        parameters = self._trained()
        self._check(parameters, grads)
        for name, p in parameters.items():
            if name not in self._held:
                self._held[name] = self._hold(name, p)
        rates = {name: self._rate(self._held[name].options) for name in parameters}
        for name, p in parameters.items():
            slots, updates, work, options = self._held[name]
            updates += 1
            self.update(p, grads[name], slots, rates[name], options, int(updates), work)
        self.steps += 1

    def _trained(self) -> Mapping[str, Array]:
        return self._source.parameters() if isinstance(self._source, Module) else self._source

    def _every(self) -> Mapping[str, Array]:
        """The parameters, frozen ones too."""
        return self._source.parameters(frozen=True) if isinstance(self._source, Module) else self._source

    def _check(self, parameters: Mapping[str, Array], grads: Mapping[str, Array]) -> None:
        if not isinstance(grads, Mapping):
            raise TypeError(f"{self._name}.step: {type(grads).__name__} came, a dict of gradients was expected")
        problems = [f"{name}: missing" for name in parameters if name not in grads]
        frozen = self._every()
        problems += [f"{name}: unexpected" for name in grads if name not in parameters and name not in frozen]
        for name, p in parameters.items():
            problem = _problem(p, grads[name]) if name in grads else None
            held = self._held.get(name)
            if held is not None and (held.work[0].shape, held.work[0].dtype) != (p.shape, p.dtype):
                problem = f"the parameter was replaced by one of shape {p.shape}, {p.dtype}; make a new optimiser"
            problems += [f"{name}: {problem}"] * (problem is not None)
        if problems:
            raise ValueError(
                f"{self._name}.step: the gradients do not fit, nothing was updated:\n  " + "\n  ".join(problems)
            )

    def _hold(self, name: str, p: Array) -> _Held:
        options = self._options_of(name)
        slots = {slot: np.full_like(p, start) for slot, start in self.slots(options).items()}
        return _Held(slots, np.zeros((), np.int64), (np.empty_like(p), np.empty_like(p)), options)

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Array]:
        """Copies of what the next step depends on beside parameters and options: "steps", the number of steps;
        "count.<path>", the updates of each parameter; "<slot>.<path>", its slots.
        """
        state = {"steps": np.array(self.steps)}
        for name, held in self._held.items():
            state[f"count.{name}"] = held.updates.copy()
            state |= {f"{slot}.{name}": value.copy() for slot, value in held.slots.items()}
        return state

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take up the state of an optimiser of the same rule, options and parameters.

        ValueError: lists every entry that is missing, unexpected, of another shape or dtype; then nothing has changed.
        """
        every, problems = self._every(), []
        steps = np.asarray(state.get("steps", -1))
        trained = self._trained() if steps.shape == () and steps > 0 else {}
        named = [name for name in every if name in trained or f"count.{name}" in state]
        held = {name: self._hold(name, every[name]) for name in named}
        targets: dict[str, Array] = {"steps": np.zeros((), np.int64)}
        for name, new in held.items():
            targets[f"count.{name}"] = new.updates
            targets |= {f"{slot}.{name}": value for slot, value in new.slots.items()}
        problems += [f"{key}: missing" for key in targets if key not in state]
        problems += [f"{key}: unexpected" for key in state if key not in targets]
        for key, target in targets.items():
            if key in state:
                problem = _problem(target, np.asarray(state[key]))
                problems += [f"{key}: {problem}"] * (problem is not None)
        if problems:
            raise ValueError(f"{self._name}: the state does not fit:\n  " + "\n  ".join(problems))
        for key, target in targets.items():
            target[...] = state[key]
        self._held, self.steps = held, int(targets["steps"])


def _problem(target: Array, came: Any) -> str | None:
    """Why an array cannot stand beside the target, or None."""
    if not isinstance(came, np.ndarray):
        return f"{type(came).__name__} came, an array of shape {target.shape} was expected"
    if came.shape != target.shape or came.dtype != target.dtype:
        return f"{came.dtype} {came.shape} came, {target.dtype} {target.shape} was expected"
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(np.add.reduce(came, axis=None))  # allocates nothing; an overflow is looked at again
    if not finite and not np.isfinite(came).all():
        return f"not finite: {np.count_nonzero(~np.isfinite(came))} of {came.size} entries are nan or infinite"
    return None
