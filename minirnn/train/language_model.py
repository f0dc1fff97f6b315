"""A language model: embedding -> recurrent layer -> linear, trained by truncated BPTT on a text."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.data import TOKENIZERS, Chunk, Corpus, TextError, Tokenizer, ngram_bits, streams
from minirnn.layers import Dropout, Embedding, Linear
from minirnn.losses import cross_entropy
from minirnn.module import Array, Module, tie
from minirnn.train.config import TrainConfig
from minirnn.train.evaluate import score
from minirnn.train.experiment import Experiment
from minirnn.train.recurrent_layers import recurrent_layer
from minirnn.train.sample import sample

__all__ = ["LanguageModel", "held_out_start", "language_model", "next_token_loss", "text_experiment"]

HELD_OUT_SHARE = 0.1
QUICK_LOOK = 20_000  # held-out tokens scored while training; at the end all of them are
EXCERPT_STEPS, EXCERPT_STREAMS = 64, 4
SAMPLE_LENGTH, SAMPLE_TEMPERATURE = 300, 0.7
YARDSTICKS = ("uniform", "unigram", "bigram", "trigram")


class LanguageModel(Module):
    """logits of the next token: tokens (T, B) -> ((T, B, V), state).

    cell: lstm, gru, rnn, or a name of the zoo, in any case. dropout: between and behind the recurrent layers, where an
    rng is given; not before them, since a character's vector is all that is known of it. tie_weights: the embedding is
    the head's matrix (Press & Wolf 2017, arXiv:1608.05859); it needs embedding == hidden, and starts as the head's
    would. chrono: as `recurrent_layer` takes it.
    """

    def __init__(
        self,
        vocabulary_size: int,
        cell: str = "lstm",
        hidden: int = 128,
        layers: int = 1,
        embedding: int = 64,
        *,
        dropout: float = 0.0,
        tie_weights: bool = False,
        chrono: int | None = None,
        rng: np.random.Generator | None = None,
        dtype: DTypeLike = np.float32,
    ):
        if tie_weights and embedding != hidden:
            raise ValueError(f"tie_weights: embedding={embedding} and hidden={hidden} came, one size was expected")
        rng = rng or np.random.default_rng()
        self.embedding = Embedding(vocabulary_size, embedding, rng=rng, dtype=dtype)
        self.recurrent = recurrent_layer(
            cell, embedding, hidden, layers, dropout=dropout, chrono=chrono, rng=rng, dtype=dtype
        )
        self.dropout = Dropout(dropout)
        self.head = Linear(hidden, vocabulary_size, rng=rng, dtype=dtype)
        if tie_weights:
            tie(self, "embedding.weight", "head.weight")

    def __call__(
        self, tokens: Array, state: Any = None, *, lengths: Any = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        vectors = self.embedding(tokens)
        outputs, state = self.recurrent(vectors, state, lengths=lengths, rng=rng)
        return self.head(self.dropout(outputs, rng=rng)), state


def language_model(config: TrainConfig, vocabulary_size: int, rng: np.random.Generator | None = None) -> LanguageModel:
    """A new model of the config's size."""
    return LanguageModel(
        vocabulary_size,
        config.cell,
        config.hidden,
        config.layers,
        config.embedding_size,
        dropout=config.dropout,
        tie_weights=config.tie_weights,
        chrono=config.chrono,
        rng=rng,
    )


def next_token_loss(model: Any, chunk: Chunk, state: Any, rng: np.random.Generator | None) -> tuple[Any, Any]:
    """The mean cross-entropy of a chunk's targets, and the state behind it."""
    logits, state = model(chunk.inputs, state, rng=rng)
    return cross_entropy(logits, chunk.targets), state


def held_out_start(corpus: Corpus) -> int:
    """Where the held-out part of a text begins: its last tenth, at least one character."""
    return len(corpus.text) - max(1, int(len(corpus.text) * HELD_OUT_SHARE))


def text_experiment(
    corpus: Corpus,
    config: TrainConfig,
    *,
    tokenizer: Tokenizer | None = None,
    yardsticks: Mapping[str, float] | None = None,
    comm: Any = None,
) -> Experiment:
    """A language model to be trained on the first 90 % of a text and scored on the rest.

    tokenizer, yardsticks: those of a run that is resumed; made from the text where they are left out. comm: the
    ranks that share the scoring, as `fit` takes them.
    TextError: a text that is too short for the streams.
    """
    split = held_out_start(corpus)
    tokenizer = tokenizer or TOKENIZERS[config.tokenizer].from_text(corpus.text[:split], max_size=config.vocabulary)
    training, held_out = tokenizer.encode(corpus.text[:split]), tokenizer.encode(corpus.text[split:])
    if len(training) < 2 * config.batch + 1 or not len(held_out):
        raise TextError(
            f"{corpus.source}: the text is too short: its first 90 % are {len(training)} {config.tokenizer}s, at least "
            f"{2 * config.batch + 1} are needed for a batch of {config.batch} streams"
        )
    tokens = np.concatenate([training, held_out])
    start, characters = len(training), len(corpus.text) - split
    per_char = len(held_out) / characters / math.log(2)  # nats a token -> bits a character
    if yardsticks is None:
        orders = [ngram_bits(training, held_out, len(tokenizer), order) for order in range(len(YARDSTICKS))]
        yardsticks = {name: bits * len(held_out) / characters for name, bits in zip(YARDSTICKS, orders, strict=True)}
    unknown = 0 if tokenizer.unknown is None else int((held_out == tokenizer.unknown).sum())

    def validate(model: Module) -> dict[str, float]:
        nats = score(model, tokens[: start + QUICK_LOOK], start, comm=comm).nats
        return {"val_loss": nats, "val_bits_per_char": nats * per_char}

    def figures(model: Module) -> dict[str, float]:
        found = score(model, tokens, start, comm=comm)
        return {
            "held_out_bits_per_char": found.nats * per_char,
            "held_out_nats": found.nats,
            "perplexity": math.exp(found.nats),
            "accuracy": found.accuracy,
            **{f"{name}_bits_per_char": bits for name, bits in yardsticks.items()},
        }

    first_line = corpus.text[: corpus.text.find("\n") + 1][:80]

    def shown(model: Module) -> str:
        rng = np.random.default_rng(config.seed)
        drawn = sample(model, tokenizer, first_line, SAMPLE_LENGTH, temperature=SAMPLE_TEMPERATURE, rng=rng)
        return first_line + "".join(drawn)

    return Experiment(
        config=config,
        model=language_model(config, len(tokenizer), np.random.default_rng(config.seed)),
        loss=next_token_loss,
        batches=streams(training, config.batch, config.seq_length),
        validate=validate,
        figures=figures,
        excerpt=_excerpt(held_out),
        shown=shown,
        tokenizer=tokenizer,
        tokens_per_step=config.batch * config.seq_length * config.accumulate,
        data={
            "source": corpus.source,
            "characters": len(corpus.text),
            "first_line": first_line,
            "sha256": hashlib.sha256(corpus.text.encode("utf-8", "surrogatepass")).hexdigest(),
            "training": start,
            "held_out": len(held_out),
            "unknown": unknown,
            "yardsticks": dict(yardsticks),
        },
    )


def _excerpt(held_out: Array) -> Array:
    """The first tokens as streams side by side, each going on where the one before it ends: (N,) -> (T, B)."""
    streams = min(EXCERPT_STREAMS, len(held_out))
    steps = min(EXCERPT_STEPS, len(held_out) // streams)
    return held_out[: streams * steps].reshape(streams, steps).T
