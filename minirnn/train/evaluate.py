"""The score of a language model on a text, every token scored once with the text before it behind it."""

import math
from typing import Any, NamedTuple

import numpy as np

from minirnn.losses import cross_entropy
from minirnn.module import Array, Module
from minirnn.parallel import SINGLE, Communicator, communicator, share_of

__all__ = ["Score", "held_out_nats", "score"]

CONTEXT = 64  # steps that a stream runs before it is scored
_IGNORED = -1


class Score(NamedTuple):
    """nats: mean -log p(token | tokens before); divide by log 2 for bits. accuracy: the share of tokens that were the
    likeliest. tokens: how many were scored."""

    nats: float
    accuracy: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(nats), of a token; e^700 where it is more than a number holds, as of a model that diverged."""
        return math.exp(min(self.nats, 700.0))


def held_out_nats(
    model: Module, tokens: Array, start: int, *, streams: int = 64, seq_length: int = 128, comm: Any = None
) -> float:
    """`score(...).nats`."""
    return score(model, tokens, start, streams=streams, seq_length=seq_length, comm=comm).nats


def score(
    model: Module, tokens: Array, start: int, *, streams: int = 64, seq_length: int = 128, comm: Any = None
) -> Score:
    """How well the model predicts tokens[start:], (N,) integers, each from all before it.

    model(inputs (T, B), state) -> (logits (T, B, V), state). The part is scored as `streams` parallel streams; each is
    led in by up to CONTEXT tokens before it, so that cutting it costs next to nothing. The first token of all, before
    which there is none, is not scored. comm: the ranks over which the streams are divided, as `fit` takes them.

    ValueError: nothing to score.
    """
    start, count = max(start, 1), len(tokens) - max(start, 1)
    if count < 1:
        raise ValueError(f"score: {len(tokens)} tokens with start={start} leave nothing to score")
    early = min(CONTEXT + 1, len(tokens))  # what has less than CONTEXT before it is one stream from the beginning
    ranks = communicator(comm)
    sums = np.zeros(2)
    if start < early and ranks.rank == 0:
        sums += _summed(model, tokens[:early], start, 1, seq_length, SINGLE)
    if early < len(tokens):
        sums += _summed(model, tokens, max(start, early), streams, seq_length, ranks)
    ranks.sum(sums)
    return Score(float(sums[0]) / count, int(sums[1]) / count, count)


def _summed(
    model: Module, tokens: Array, start: int, streams: int, seq_length: int, ranks: Communicator
) -> tuple[float, int]:
    """The sum of -log p, and how many tokens were the likeliest; of the rank's share of the streams."""
    length = -(-(len(tokens) - start) // streams)
    first = np.arange(start, len(tokens), length)  # stream b scores the targets from first[b] to first[b + 1]
    first = first[share_of(len(first), ranks.rank, ranks.size)]
    if not len(first):
        return 0.0, 0
    total, right, state = 0.0, 0, None
    for t in range(-min(CONTEXT, start - 1), length, seq_length):
        places = first + np.arange(t, min(t + seq_length, length))[:, None]
        scored = (places >= first) & (places < len(tokens))
        places = np.minimum(places, len(tokens) - 1)
        inputs, here = (tokens[at].astype(np.int64, copy=False) for at in (places - 1, places))
        targets = np.where(scored, here, _IGNORED)
        logits, state = model(inputs, state)  # type: ignore[operator]
        total += float(cross_entropy(logits, targets, ignore_index=_IGNORED, reduction="sum"))
        right += int(np.sum(np.argmax(logits, axis=-1) == targets))
    return total, right
