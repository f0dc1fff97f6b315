"""The space of a sweep: for each option the values that it may take."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

__all__ = ["Choices", "Range", "Space", "make_space"]


class Choices(NamedTuple):
    """One of these: booleans, numbers, strings or None."""

    values: tuple[Any, ...]

    def _told(self) -> list[Any]:
        """What Optuna is told, which compares choices: True and 1, or 1 and 1.0, would be one to it."""
        alike = len(set(self.values)) < len(self.values)
        return [repr(value) for value in self.values] if alike else list(self.values)

    def suggest(self, trial: Any, name: str) -> Any:
        return self.meant(trial.suggest_categorical(name, self._told()))

    def meant(self, chosen: Any) -> Any:
        """The value that Optuna's choice stands for."""
        return dict(zip(self._told(), self.values, strict=True)).get(chosen, chosen)

    def corners(self) -> tuple[Any, ...]:
        """Values that stand for all when it is asked whether they are possible."""
        return self.values


class Range(NamedTuple):
    """low to high, both included; integers where both are. log: even in the logarithm. step: low, low + step, ..."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def suggest(self, trial: Any, name: str) -> Any:
        if isinstance(self.low, int) and isinstance(self.high, int):
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(name, self.low, self.high, log=self.log, step=step)
        return trial.suggest_float(name, float(self.low), float(self.high), log=self.log, step=self.step)

    def meant(self, chosen: Any) -> Any:
        return chosen

    def corners(self) -> tuple[Any, ...]:
        return (self.low, self.high)


Space = dict[str, Choices | Range]


def make_space(space: Mapping[str, Any]) -> Space:
    """A space from lists (choices) and tables ({low, high}, with log or step), as TOML has them.

    ValueError: nothing in it, or an option that is neither; it is named.
    """
    if not space:
        raise ValueError(
            "the space is empty; an option with its values was expected, as in lr = {low = 1e-4, high = 1e-2}"
        )
    return {name: _dimension(name, values) for name, values in space.items()}


def _dimension(name: str, values: Any) -> Choices | Range:
    if isinstance(values, (Choices, Range)):
        return values
    if isinstance(values, Mapping):
        return _range(name, values)
    if isinstance(values, Sequence) and not isinstance(values, str):
        if not values or not all(value is None or isinstance(value, (bool, int, float, str)) for value in values):
            raise ValueError(f"{name}: {list(values)} came, a list of numbers, strings or booleans was expected")
        if len(set(map(repr, values))) < len(values):
            raise ValueError(f"{name}: {list(values)} came, each choice is to be there once")
        return Choices(tuple(values))
    raise ValueError(f"{name}: {values!r} came, a list of choices or a table with low and high was expected")


def _range(name: str, table: Mapping[str, Any]) -> Range:
    unknown = [key for key in table if key not in Range._fields]
    if unknown or not {"low", "high"} <= table.keys():
        raise ValueError(f"{name}: {dict(table)} came; low and high, and log or step if wanted, were expected")
    made = Range(**table)
    numbers = [made.low, made.high, *([] if made.step is None else [made.step])]
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise ValueError(f"{name}: {dict(table)} came; low, high and step have to be finite numbers")
    if not isinstance(made.log, bool):
        raise ValueError(f"{name}: log={made.log!r} came, true or false was expected")
    if made.low >= made.high:
        raise ValueError(f"{name}: low={made.low}, high={made.high} came; a low below the high was expected")
    if made.log and (made.low <= 0 or made.step is not None):
        raise ValueError(f"{name}: {dict(table)} came; a range in the logarithm starts above 0 and has no step")
    if made.step is None:
        return made
    integers = isinstance(made.low, int) and isinstance(made.high, int)
    if made.step <= 0 or (integers and not isinstance(made.step, int)):
        raise ValueError(
            f"{name}: step={made.step} came, a positive one was expected, an integer for integers (or write "
            f"low = {float(made.low)})"
        )
    low, high, step = (Decimal(str(number)) for number in (made.low, made.high, made.step))
    if low + step > high:
        raise ValueError(f"{name}: step={made.step} came, at most high - low was expected")
    last = low + (high - low) // step * step  # the highest that is reached
    return made if last == high else made._replace(high=int(last) if integers else float(last))
