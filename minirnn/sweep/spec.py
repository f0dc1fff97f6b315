"""SPEC.toml: what a sweep of trainings is over, what it is to find, and what it may cost.

goal = "held_out_bits_per_char"     # a figure of a finished run
trials = 20                         # and/or minutes = 30: after them no trial begins
repeats = 3                         # of the best, at the end

[train]                             # options of `minirnn train` that all trials have
text = "shakespeare.txt"
steps = 500

[space]                             # options that differ
cell = ["lstm", "gru", "MGU"]
hidden = {low = 32, high = 256, log = true}
lr = {low = 1e-3, high = 2e-2, log = true}

[pruning]                           # successive halving; without it every trial runs to its end
first = 2                           # validations before a trial may be pruned
keep = 3                            # of so many, one goes on to as many times the validations
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minirnn.sweep.space import Space, make_space
from minirnn.train.config_files import make_config

__all__ = ["Pruning", "Spec", "make_spec", "read_spec"]

SAMPLERS = ("tpe", "random")
LOW = ("held_out_bits_per_char", "held_out_nats", "perplexity", "held_out_loss")  # goals that validations tell of
HIGH = ("held_out_metric",)


@dataclass(frozen=True)
class Pruning:
    """Successive halving, asynchronous (Li et al. 2020, arXiv:1810.05934): a trial is measured after `first` reports,
    and after `keep` times as many, ...; at each of these the best of every `keep` go on."""

    first: int = 1
    keep: int = 3


@dataclass(frozen=True)
class Spec:
    """A sweep of trainings. trials, minutes: of which at least one is set. maximize: the goal is to be high.

    sampler: "tpe" (tree-structured Parzen estimator) or "random", seeded. threads: of each trial.
    """

    train: Mapping[str, Any]
    space: Space
    goal: str = "held_out_bits_per_char"
    maximize: bool = False
    trials: int | None = None
    minutes: float | None = None
    pruning: Pruning | None = None
    repeats: int = 3
    sampler: str = "tpe"
    seed: int = 0
    threads: int = 1
    text: str = field(default="", repr=False, compare=False)  # the TOML that it was read from


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """The spec in a file. FileNotFoundError: no such file. ValueError: no TOML, or what it says makes no sweep."""
    content = Path(path).read_bytes()
    try:
        text = content.decode()
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    try:
        return make_spec(table, text=text, beside=Path(path).parent)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def make_spec(table: Mapping[str, Any], *, text: str = "", beside: Path = Path()) -> Spec:
    """A spec from what TOML gives; a text's path is one from the spec's own folder.

    ValueError: an unknown entry, one out of its range, or a space in which some option is impossible.
    """
    known = [name for name in Spec.__dataclass_fields__ if name != "text"]
    unknown = [name for name in table if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} came; the entries are {', '.join(known)}")
    train = dict(table.get("train", {}))
    if train.get("text") is not None:
        train["text"] = os.path.abspath(beside / str(train["text"]))
    space = make_space(table.get("space", {}))
    pruning = _pruning(table.get("pruning"))
    plain = {name: value for name, value in table.items() if name not in ("train", "space", "pruning")}
    spec = Spec(train, space, pruning=pruning, text=text, **plain)
    _check(spec)
    return spec


def _pruning(table: Any) -> Pruning | None:
    if table is None:
        return None
    if not isinstance(table, Mapping) or not set(table) <= {"first", "keep"}:
        raise ValueError(f"pruning = {table!r} came, a table with first and keep was expected")
    made = Pruning(**table)
    _integer("pruning.first", made.first, 1)
    _integer("pruning.keep", made.keep, 2)
    return made


def _check(spec: Spec) -> None:
    if spec.trials is None and spec.minutes is None:
        raise ValueError("neither trials nor minutes is set; a sweep needs an end")
    for name, value, least in (("trials", spec.trials, 1), ("repeats", spec.repeats, 0), ("threads", spec.threads, 1)):
        if value is not None:
            _integer(name, value, least)
    _integer("seed", spec.seed, 0)
    if spec.minutes is not None and (isinstance(spec.minutes, bool) or not 0 < spec.minutes < float("inf")):
        raise ValueError(f"minutes={spec.minutes!r} came, a positive number was expected")
    if spec.sampler not in SAMPLERS:
        raise ValueError(f"sampler={spec.sampler!r} came, one of {', '.join(SAMPLERS)} was expected")
    if not isinstance(spec.maximize, bool) or not isinstance(spec.goal, str):
        raise ValueError(f"goal={spec.goal!r}, maximize={spec.maximize!r} came; a figure's name, and true or false")
    told = HIGH if spec.maximize else LOW
    if spec.pruning is not None and spec.goal not in told:
        raise ValueError(
            f"goal={spec.goal!r}, maximize={str(spec.maximize).lower()} came with pruning, which goes by validations: "
            f"a goal that they tell of ({', '.join(told)}) was expected, or no [pruning]"
        )
    first = {name: values.corners()[0] for name, values in spec.space.items()}
    for name, values in spec.space.items():
        for value in values.corners():
            try:
                make_config(spec.train, {**first, name: value})
            except (ValueError, TypeError) as error:
                raise ValueError(f"{name} = {value!r} makes no training: {error}") from error


def _integer(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} came, an integer from {least} was expected")
