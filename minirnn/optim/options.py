"""Options of an update rule: their ranges, and the globs that change them for some parameters."""

import math
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any, NamedTuple

__all__ = ["Options", "checked", "checked_groups", "merged"]

Options = Mapping[str, Any]


class _Range(NamedTuple):
    words: str
    holds: Callable[[float], bool]


_ANY = _Range("a finite number", lambda x: True)
_FROM_ZERO = _Range("a finite number >= 0", lambda x: x >= 0.0)
_POSITIVE = _Range("a finite number > 0", lambda x: x > 0.0)  # with eps = 0, a zero gradient would give 0 / 0
_SHARE = _Range("a number in [0, 1)", lambda x: 0.0 <= x < 1.0)

_NUMBERS = {
    "lr": _FROM_ZERO,
    "weight_decay": _FROM_ZERO,
    "lr_decay": _FROM_ZERO,
    "initial_accumulator_value": _FROM_ZERO,
    "eps": _POSITIVE,
    "momentum": _SHARE,
    "alpha": _SHARE,
    "dampening": _ANY,
}
_FLAGS = ("nesterov", "centered", "amsgrad", "maximize")


def checked(rule: str, option: str, value: Any) -> Any:
    """The value as plain Python numbers, which leave float32 arrays float32; an option unknown here as it is.

    ValueError: out of range; TypeError: not a number (a flag: not a bool).
    """
    if option == "betas":
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError(f"{rule}: betas={value!r} came, two numbers in [0, 1) were expected")
        return tuple([_number(rule, f"betas[{i}]", beta, _SHARE) for i, beta in enumerate(value)])
    if option in _FLAGS:
        if not isinstance(value, bool):
            raise TypeError(f"{rule}: {option}={value!r} came, True or False was expected")
        return value
    if option == "lr" and callable(value):
        return value
    return _number(rule, option, value, _NUMBERS[option]) if option in _NUMBERS else value


def _number(rule: str, option: str, value: Any, within: _Range) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{rule}: {option}={value!r} came, {within.words} was expected")
    if not (math.isfinite(value) and within.holds(float(value))):
        raise ValueError(f"{rule}: {option}={value!r} came, {within.words} was expected")
    return float(value)


def checked_groups(
    rule: str, groups: Mapping[str, Options] | None, names: Collection[str], known: Collection[str]
) -> dict[str, dict[str, Any]]:
    """glob -> options, each checked. ValueError: a glob that matches no name, or an option that the rule has not."""
    if not isinstance(groups or {}, Mapping):
        raise TypeError(f"{rule}: groups is a {type(groups).__name__}, a dict glob -> options was expected")
    result: dict[str, dict[str, Any]] = {}
    for pattern, options in (groups or {}).items():
        where = f"groups[{pattern!r}]"
        if not isinstance(options, Mapping):
            raise TypeError(f"{rule}: {where} is {options!r}, a dict of options was expected")
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"{rule}: {where}: no parameter matches {pattern!r}; the names are {', '.join(names)}")
        for option in options:
            if option not in known:
                raise ValueError(f"{rule}: {where} sets {option!r}; the options are {', '.join(known)}")
        result[pattern] = {option: checked(f"{rule}: {where}", option, value) for option, value in options.items()}
    return result


def merged(options: Options, groups: Mapping[str, Options], name: str) -> Options:
    """The options of one parameter: every glob that matches changes them in turn, so the later wins."""
    changes = [changed for pattern, changed in groups.items() if fnmatchcase(name, pattern)]
    return {option: value for source in (options, *changes) for option, value in source.items()}
