"""Experiment: a model, what it learns from, and how it is scored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minirnn.data import Tokenizer
from minirnn.module import Array, Module
from minirnn.train.config import TrainConfig

__all__ = ["Experiment"]


@dataclass(frozen=True)
class Experiment:
    """A config made into what `fit` takes. data: what is said of it in run.json; figures: the last score.

    excerpt: a few of the held-out inputs, (T, B) tokens or (T, B, F) features, none of them padding; shown: what the
    model does, in words: a sample of text, or its answers. The same model, the same words.
    """

    config: TrainConfig
    model: Module
    loss: Callable[..., tuple[Any, Any]]
    batches: Iterable[Any]
    validate: Callable[[Module], Mapping[str, float]]
    figures: Callable[[Module], Mapping[str, float]]
    excerpt: Array
    shown: Callable[[Module], str]
    tokenizer: Tokenizer | None
    tokens_per_step: int
    data: Mapping[str, Any]
