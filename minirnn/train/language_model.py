"""A language model: embedding -> recurrent layer -> linear, trained by truncated BPTT on a text."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn.data import TOKENIZERS, Chunk, Corpus, TextError, TextFiles, Tokenizer, kept_tokens, streams
from minirnn.data.ngrams import GramCounts, most_order, witten_bell_bits
from minirnn.layers import Dropout, Embedding, Linear
from minirnn.losses import cross_entropy
from minirnn.module import Array, Module, tie
from minirnn.train.config import TrainConfig
from minirnn.train.evaluate import score
from minirnn.train.experiment import Experiment
from minirnn.train.recurrent_layers import recurrent_layer
from minirnn.train.sample import sample

__all__ = ["LanguageModel", "Reading", "held_out_start", "language_model", "next_token_loss", "text_experiment"]

HELD_OUT_SHARE, HELD_OUT_MOST = 0.1, 5_000_000
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
        self,
        tokens: Array,
        state: Any = None,
        *,
        lengths: Any = None,
        rng: np.random.Generator | None = None,
        resets: Any = None,
        reset_state: Any = None,
    ) -> tuple[Array, Any]:
        vectors = self.embedding(tokens)
        given = {"lengths": lengths, "rng": rng, "resets": resets, "reset_state": reset_state}
        outputs, state = self.recurrent(vectors, state, **given)
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


def held_out_start(corpus: Corpus | TextFiles) -> int:
    """Where the held-out part of a text begins: its last tenth, from 1 to HELD_OUT_MOST characters."""
    return corpus.characters - min(max(1, int(corpus.characters * HELD_OUT_SHARE)), HELD_OUT_MOST)


def text_experiment(
    corpus: Corpus | TextFiles,
    config: TrainConfig,
    *,
    tokenizer: Tokenizer | None = None,
    yardsticks: Mapping[str, float] | None = None,
    comm: Any = None,
) -> Experiment:
    """A language model to be trained on the first 90 % of a text and scored on the rest (of which 5 million characters
    are enough). The text is read piece by piece, and its tokens are kept as `kept_tokens` does.

    tokenizer, yardsticks: those of a run that is resumed; made from the text where they are left out. comm: the
    ranks that share the scoring, as `fit` takes them.
    TextError: a text that is too short for the streams.
    """
    split = held_out_start(corpus)
    made = TOKENIZERS[config.tokenizer]
    tokenizer = tokenizer or made.from_text(corpus.pieces(stop=split), max_size=config.vocabulary)
    read = Reading(tokenizer, 0 if yardsticks else len(YARDSTICKS) - 1)
    tokens = kept_tokens(read.encoded(corpus, split), len(tokenizer))
    start, count, characters = read.training, len(tokens) - read.training, corpus.characters - split
    training, held_out = tokens[:start], tokens[start:]
    if start < 2 * config.batch + 1 or not count:
        raise TextError(
            f"{corpus.source}: the text is too short: its first 90 % are {start} {config.tokenizer}s, at least "
            f"{2 * config.batch + 1} are needed for a batch of {config.batch} streams"
        )
    per_char = count / characters / math.log(2)  # nats a token -> bits a character
    if yardsticks is None:
        bits = witten_bell_bits(read.seen, read.wanted)
        yardsticks = {name: one * count / characters for name, one in zip(YARDSTICKS, bits, strict=False)}

    def validate(model: Module) -> dict[str, float]:
        nats = score(model, tokens[: start + QUICK_LOOK], start, comm=comm).nats
        return {"val_loss": nats, "val_bits_per_char": nats * per_char}

    def figures(model: Module) -> dict[str, float]:
        found = score(model, tokens, start, comm=comm)
        return {
            "held_out_bits_per_char": found.nats * per_char,
            "held_out_nats": found.nats,
            "perplexity": found.perplexity,
            "accuracy": found.accuracy,
            **{f"{name}_bits_per_char": bits for name, bits in yardsticks.items()},
        }

    first_line = _first_line(corpus)

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
            "characters": corpus.characters,
            "first_line": first_line,
            "sha256": read.checksum.hexdigest(),
            "training": start,
            "held_out": count,
            "unknown": read.unknown,
            "yardsticks": dict(yardsticks),
        },
    )


class Reading:
    """What one reading of a text finds beside its tokens, so that no more than a piece of it is in memory.

    order: of the n-grams that are counted.
    """

    def __init__(self, tokenizer: Tokenizer, order: int = 0):
        self.tokenizer = tokenizer
        self.checksum = hashlib.sha256()
        self.training = self.unknown = 0  # tokens of the training part; unknown ones of the held-out part
        self.seen = self.wanted = GramCounts(len(tokenizer), min(order, most_order(len(tokenizer))))

    def encoded(self, corpus: Corpus | TextFiles, split: int) -> Iterator[Array]:
        """The tokens of the training part, then those of the rest."""
        for tokens in self.tokenizer.encode_pieces(self._read(corpus.pieces(stop=split))):
            self.training += tokens.size
            self.seen.add(tokens)
            yield tokens
        self.wanted = self.seen.following()
        for tokens in self.tokenizer.encode_pieces(self._read(corpus.pieces(split))):
            self.wanted.add(tokens)
            self.unknown += 0 if self.tokenizer.unknown is None else int((tokens == self.tokenizer.unknown).sum())
            yield tokens

    def _read(self, pieces: Iterator[str]) -> Iterator[str]:
        for piece in pieces:
            self.checksum.update(piece.encode("utf-8", "surrogatepass"))
            yield piece


def _first_line(corpus: Corpus | TextFiles) -> str:
    """The first 80 characters of the first line; nothing where no line ends."""
    head = ""
    for piece in corpus.pieces():
        head += piece[: 80 - len(head)]
        if "\n" in piece:
            return head[: head.find("\n") + 1] or head
    return ""


def _excerpt(held_out: Array) -> Array:
    """The first tokens as streams side by side, each going on where the one before it ends: (N,) -> (T, B)."""
    streams = min(EXCERPT_STREAMS, len(held_out))
    steps = min(EXCERPT_STEPS, len(held_out) // streams)
    return held_out[: streams * steps].reshape(streams, steps).T.astype(np.int64)
