"""TrainConfig: every option of `minirnn train`, what each may be, and what it is for. The command is made from it."""

import math
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, NamedTuple

from minirnn.data import TOKENIZERS
from minirnn.data.tasks import TASKS
from minirnn.engines import check_engine_name
from minirnn.optim import (
    ReduceOnPlateau,
    Schedule,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    step_decay,
    warmed_up,
)
from minirnn.train.recurrent_layers import CELLS, cell_name, check_chrono

__all__ = ["CELLS", "SCHEDULES", "Option", "TrainConfig", "options", "type_of"]

SCHEDULES = ("constant", "linear", "cosine", "step", "exponential", "one-cycle", "plateau")
WITHOUT_FINAL = ("constant", "step", "one-cycle")  # schedules that end where they will
OF_A_TEXT = ("tokenizer", "vocabulary", "embedding", "tie_weights", "seq_length")
AVERAGES = ("none", "ema", "ntasgd")


class Option(NamedTuple):
    """An option: what it is for, what it may be in words, and whether None (left out) is a value."""

    name: str
    default: Any
    help: str
    kind: str
    choices: tuple[str, ...]
    optional: bool


def _option(default: Any, kind: str, text: str, *, choices: tuple[str, ...] = (), optional: bool = False) -> Any:
    return field(default=default, metadata={"kind": kind, "help": text, "choices": choices, "optional": optional})


_KINDS: dict[str, tuple[type, Callable[[Any], bool]]] = {
    "a positive integer": (int, lambda value: value > 0),
    "an integer from 2": (int, lambda value: value > 1),
    "an integer from 0": (int, lambda value: value >= 0),
    "a positive number": (float, lambda value: value > 0),
    "a number from 0": (float, lambda value: value >= 0),
    "a number in [0, 1)": (float, lambda value: 0 <= value < 1),
    "true or false": (bool, lambda value: True),
    "a text": (str, lambda value: bool(value)),
}


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, on what, and how. One of steps and minutes is set. ValueError: an option out of its range."""

    # what it learns from
    text: str | None = _option(None, "a text", "A UTF-8 file, or a folder of them.", optional=True)
    task: str | None = _option(
        None, "a text", "A synthetic task in place of a text: {choices}.", choices=tuple(TASKS), optional=True
    )
    task_options: str | None = _option(
        None, "a text", "Of the task, as in length=400. (default: the task's own)", optional=True
    )
    tokenizer: str = _option("character", "a text", "What a token is: {choices}.", choices=tuple(TOKENIZERS))
    vocabulary: int | None = _option(
        None, "a positive integer", "Most tokens there may be; the rarest become unknown. (default: all)", optional=True
    )
    # the model
    cell: str = _option("lstm", "a text", f"{', '.join(CELLS)}, or a name that `minirnn cells` lists.")
    hidden: int = _option(128, "a positive integer", "Units a layer.")
    layers: int = _option(1, "a positive integer", "Recurrent layers.")
    embedding: int | None = _option(
        None, "a positive integer", "Size of a token's vector. (default: 64; with --tie-weights: hidden)", optional=True
    )
    tie_weights: bool = _option(False, "true or false", "One matrix for reading and for predicting a token.")
    dropout: float = _option(0.0, "a number in [0, 1)", "Share of activations dropped between and behind the layers.")
    chrono: int | None = _option(
        None, "an integer from 2", "Most steps that the gates of lstm and gru begin by keeping for.", optional=True
    )
    # the steps
    batch: int = _option(32, "a positive integer", "Parallel streams of the text, or sequences of the task.")
    seq_length: int = _option(64, "a positive integer", "Steps before the gradient is cut.")
    accumulate: int = _option(1, "a positive integer", "Chunks whose mean gradient makes one update.")
    steps: int | None = _option(
        None, "a positive integer", "Updates. (default: as many as fit into --minutes)", optional=True
    )
    minutes: float | None = _option(
        None, "a positive number", "Training time, in place of --steps. (default: 2)", optional=True
    )
    lr: float = _option(4e-3, "a positive number", "Adam's highest learning rate.")
    schedule: str = _option("cosine", "a text", "How the learning rate goes: {choices}.", choices=SCHEDULES)
    warmup: int = _option(0, "an integer from 0", "Steps over which the learning rate first rises.")
    final_lr: float = _option(0.05, "a number from 0", "The last learning rate, as a share of the highest.")
    weight_decay: float = _option(0.0, "a number from 0", "AdamW's.")
    clip: float = _option(1.0, "a positive number", "The gradient's largest norm.")
    clip_value: float | None = _option(None, "a positive number", "A gradient's largest entry.", optional=True)
    average: str = _option("none", "a text", "Average of the weights: {choices}.", choices=AVERAGES)
    ema_decay: float = _option(0.999, "a number in [0, 1)", "Of --average ema.")
    on_nonfinite: str = _option(
        "stop", "a text", "When a loss is not finite: {choices} the step.", choices=("stop", "skip")
    )
    # looks and saves
    val_every: int | None = _option(
        None, "a positive integer", "Steps between two validations. (default: ten in all)", optional=True
    )
    patience: int | None = _option(
        None, "a positive integer", "Stop after so many validations without a better one.", optional=True
    )
    tensorboard: bool = _option(
        False,
        "true or false",
        "Gates, states and samples in TensorBoard's files too (extra tensorboard; with it scalars are there anyway).",
    )
    save_every: int = _option(200, "a positive integer", "Steps between two checkpoints.")
    keep: int = _option(2, "a positive integer", "Checkpoints that are kept, beside the best.")
    engine: str = _option("auto", "a text", "What runs the recurrent layers.")
    seed: int = _option(0, "an integer from 0", "Of the weights, the noise, the task and the sample.")

    def __post_init__(self) -> None:
        for option in options():
            _check(option, getattr(self, option.name))
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(f"steps={self.steps}, minutes={self.minutes} came; exactly one of them was expected")
        object.__setattr__(self, "cell", cell_name(self.cell))
        check_chrono(self.cell, self.chrono)
        check_engine_name(self.engine)
        if self.text is not None and self.task is not None:
            raise ValueError(f"text={self.text!r} and task={self.task!r} came; give one of them")
        if self.tie_weights and self.embedding not in (None, self.hidden):
            raise ValueError(f"tie_weights needs embedding={self.hidden}, as hidden; embedding={self.embedding} came")
        if self.final_lr == 0 and self.schedule == "exponential":
            raise ValueError("final_lr=0 came with the exponential schedule, which never gets there; give more")

    def unused(self) -> dict[str, str]:
        """Option that is not at its default and changes nothing beside another -> that other one."""
        idle = {
            "ema_decay": self.average != "ema" and f"average={self.average!r}",
            "final_lr": self.schedule in WITHOUT_FINAL and f"schedule={self.schedule!r}",
            "task_options": self.task is None and "no task",
            **dict.fromkeys(OF_A_TEXT, self.task is not None and f"task={self.task!r}"),
        }
        defaults = {option.name: option.default for option in options()}
        return {name: beside for name, beside in idle.items() if beside and getattr(self, name) != defaults[name]}

    @property
    def embedding_size(self) -> int:
        return self.embedding or (self.hidden if self.tie_weights else 64)

    def schedule_of(self, steps: int) -> Schedule:
        """The learning rate of each of so many steps."""
        lr, final, after = self.lr, self.lr * self.final_lr, max(1, steps - self.warmup)
        shapes: dict[str, Callable[[], Schedule]] = {
            "constant": lambda: constant(lr),
            "linear": lambda: linear(lr, after, final=final),
            "cosine": lambda: cosine(lr, after, final=final),
            "step": lambda: step_decay(lr, max(1, after // 3)),
            "exponential": lambda: exponential(lr, after, final=final),
            "one-cycle": lambda: one_cycle(lr, after),
            "plateau": lambda: ReduceOnPlateau(lr, factor=0.5, patience=1, minimum=final, warmup=self.warmup),
        }
        schedule = shapes[self.schedule]()
        return schedule if self.schedule == "plateau" else warmed_up(schedule, self.warmup)


def options() -> list[Option]:
    """All options, in order."""
    return [_described(one) for one in fields(TrainConfig)]


def _described(one: "Field[Any]") -> Option:
    data = one.metadata
    words = data["help"].format(choices=", ".join(data["choices"]))
    return Option(one.name, one.default, words, data["kind"], data["choices"], data["optional"])


def type_of(option: Option) -> type:
    """The Python type of its values."""
    return _KINDS[option.kind][0]


def _check(option: Option, value: Any) -> None:
    if value is None and option.optional:
        return
    kind, holds = _KINDS[option.kind]
    kinds: tuple[type, ...] = (int, float) if kind is float else (kind,)
    fits = isinstance(value, kinds) and (kind is bool or not isinstance(value, bool))
    if not fits or (kind is float and not math.isfinite(value)) or not holds(value):
        raise ValueError(f"{option.name}={value!r} came, {option.kind} was expected")
    if option.choices and value not in option.choices:
        raise ValueError(f"{option.name}={value!r} came, one of {', '.join(option.choices)} was expected")
