"""A character language model: embedding -> recurrent layer -> linear, trained by truncated BPTT on a text."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.data import Chunk, Corpus, TextError, Vocabulary, ngram_bits, streams
from minirnn.layers import GRU, LSTM, RNN, Embedding, Linear
from minirnn.losses import cross_entropy
from minirnn.module import Array, Module
from minirnn.optim import Adam, cosine
from minirnn.train.evaluate import held_out_nats
from minirnn.train.fit import Progress, fit
from minirnn.train.run import Run

__all__ = ["CELLS", "LanguageModel", "LanguageModelConfig", "Watcher", "train_language_model"]

CELLS: dict[str, Any] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
HELD_OUT_SHARE = 0.1
LOOKS = 10  # at the held-out part, spread over the training
QUICK_LOOK = 20_000  # held-out tokens scored while training; at the end all of them are


class LanguageModel(Module):
    """logits of the next token: tokens (T, B) -> ((T, B, V), state)."""

    def __init__(
        self,
        vocabulary_size: int,
        cell: str = "lstm",
        hidden: int = 128,
        layers: int = 1,
        embedding: int = 64,
        *,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        if cell not in CELLS:
            raise ValueError(f"cell={cell!r} came, one of {', '.join(CELLS)} was expected")
        rng = rng or np.random.default_rng()
        self.embedding = Embedding(vocabulary_size, embedding, rng=rng, dtype=dtype)
        self.recurrent = CELLS[cell](embedding, hidden, layers, rng=rng, dtype=dtype)
        self.head = Linear(hidden, vocabulary_size, rng=rng, dtype=dtype)

    def __call__(
        self, tokens: Array, state: Any = None, *, lengths: Any = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        outputs, state = self.recurrent(self.embedding(tokens), state, lengths=lengths, rng=rng)
        return self.head(outputs), state


@dataclass(frozen=True)
class LanguageModelConfig:
    """What a language model is made of, and how it is trained: one of steps and minutes is set.

    batch: parallel streams of the text; seq_length: steps before the gradient is cut; lr: Adam's highest learning
    rate, which falls along half a cosine to a twentieth; clip_norm: the gradient's largest global norm.
    """

    cell: str = "lstm"
    hidden: int = 128
    layers: int = 1
    embedding: int = 64
    batch: int = 32
    seq_length: int = 64
    steps: int | None = None
    minutes: float | None = None
    lr: float = 4e-3
    clip_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "embedding", "batch", "seq_length", "steps", "minutes", "lr", "clip_norm"):
            value = getattr(self, name)
            whole = name not in ("minutes", "lr", "clip_norm")
            if value is None and name in ("steps", "minutes"):
                continue
            kinds = int if whole else (int, float)
            if not isinstance(value, kinds) or isinstance(value, bool) or not (value > 0 and math.isfinite(value)):
                expected = "a positive integer" if whole else "a positive number"
                raise ValueError(f"{name}={value!r} came, {expected} was expected")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed={self.seed!r} came, an integer from 0 was expected")
        if self.cell not in CELLS:
            raise ValueError(f"cell={self.cell!r} came, one of {', '.join(CELLS)} was expected")
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(f"steps={self.steps}, minutes={self.minutes} came; exactly one of them was expected")

    def model(self, vocabulary_size: int, rng: np.random.Generator | None = None) -> LanguageModel:
        """A new model of this size."""
        return LanguageModel(vocabulary_size, self.cell, self.hidden, self.layers, self.embedding, rng=rng)


def build(vocabulary_size: int, config: dict[str, Any]) -> LanguageModel:
    """The model that a saved run's config describes, for load_run."""
    return LanguageModelConfig(**config).model(vocabulary_size)


class Watcher:
    """What train_language_model tells while it works; every method here does nothing. Override what is of interest."""

    def corpus(self, corpus: Corpus, vocabulary: Vocabulary, training: int, held_out: int, unknown: int) -> None:
        """The text, its vocabulary, and its sizes in characters; unknown: held-out ones that training never saw."""

    def yardsticks(self, bits: dict[str, float]) -> None:
        """Held-out bits per character of the n-gram models."""

    def model(self, model: LanguageModel) -> None:
        """The model before the first step."""

    def step(self, progress: Progress, characters: int) -> None:
        """A step is done, over so many characters."""

    def held_out(self, progress: Progress, bits: float) -> None:
        """Bits per character of the first QUICK_LOOK held-out characters."""


def train_language_model(corpus: Corpus, config: LanguageModelConfig, watcher: Watcher | None = None) -> Run:
    """Train on the first 90 % of the text, score on the rest: a Run with the figures "held_out_bits_per_char", the
    yardsticks', "seconds_per_step" and "steps".

    TextError: a text that is too short for the streams. DivergedError: a loss that is not finite.
    """
    watcher = watcher or Watcher()
    split = len(corpus.text) - max(1, int(len(corpus.text) * HELD_OUT_SHARE))
    if split < 2 * config.batch + 1:
        raise TextError(
            f"{corpus.source}: the text is too short: its first 90 % are {split} characters, at least "
            f"{2 * config.batch + 1} are needed for a batch of {config.batch} streams"
        )
    vocabulary = Vocabulary(corpus.text[:split])
    tokens = vocabulary.encode(corpus.text)
    training, held_out = tokens[:split], tokens[split:]
    watcher.corpus(corpus, vocabulary, split, held_out.size, int((held_out == 0).sum()))
    orders = enumerate(("uniform", "unigram", "bigram", "trigram"))
    yardsticks = {name: ngram_bits(training, held_out, len(vocabulary), order) for order, name in orders}
    watcher.yardsticks(yardsticks)

    model = config.model(len(vocabulary), np.random.default_rng(config.seed))
    watcher.model(model)

    def on_step(progress: Progress) -> None:
        watcher.step(progress, config.batch * config.seq_length)
        if _time_to_look(progress):
            watcher.held_out(progress, held_out_nats(model, tokens[: split + QUICK_LOOK], split) / math.log(2))

    last = fit(
        model,
        _loss,
        _batches(training, config),
        Adam(model, lr=config.lr),
        steps=config.steps,
        minutes=config.minutes,
        clip_norm=config.clip_norm,
        schedule=lambda steps: cosine(config.lr, steps, final=config.lr / 20),
        on_step=on_step,
    )
    bits = held_out_nats(model, tokens, split) / math.log(2)
    figures = {f"{name}_bits_per_char": value for name, value in yardsticks.items()}
    figures |= {"held_out_bits_per_char": bits, "steps": last.step, "seconds_per_step": last.seconds / last.step}
    return Run(model, vocabulary, asdict(config), figures)


def _loss(model: LanguageModel, chunk: Chunk, state: Any, rng: np.random.Generator | None) -> tuple[Any, Any]:
    logits, state = model(chunk.inputs, state, rng=rng)
    return cross_entropy(logits, chunk.targets), state


def _batches(training: Array, config: LanguageModelConfig) -> Iterator[Chunk]:
    return streams(training, config.batch, config.seq_length)


def _time_to_look(progress: Progress) -> bool:
    """Whether another LOOKS-th of the steps is done, and not yet all of them."""
    if progress.steps is None or progress.step == progress.steps:
        return False
    return progress.step * LOOKS // progress.steps > (progress.step - 1) * LOOKS // progress.steps
