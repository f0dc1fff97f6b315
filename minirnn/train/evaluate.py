"""Held-out loss of a language model, every token scored once with the text before it behind it."""

import numpy as np

from minirnn.losses import cross_entropy
from minirnn.module import Array, Module

__all__ = ["held_out_nats"]

CONTEXT = 64  # steps that a stream runs before it is scored
_IGNORED = -1


def held_out_nats(model: Module, tokens: Array, start: int, *, streams: int = 64, seq_length: int = 128) -> float:
    """Mean -log p(token | tokens before), in nats, over tokens[start:].

    model(inputs (T, B), state) -> (logits (T, B, V), state). The part is scored as `streams` parallel streams; each is
    led in by up to CONTEXT tokens before it, so that cutting it costs next to nothing. Divide by log 2 for bits.

    ValueError: nothing to score.
    """
    start, count = max(start, 1), len(tokens) - max(start, 1)
    if count < 1:
        raise ValueError(f"held_out_nats: {len(tokens)} tokens with start={start} leave nothing to score")
    early = min(CONTEXT + 1, len(tokens))  # what has less than CONTEXT before it is one stream from the beginning
    total = _summed(model, tokens[:early], start, 1, seq_length) if start < early else 0.0
    if early < len(tokens):
        total += _summed(model, tokens, max(start, early), streams, seq_length)
    return total / count


def _summed(model: Module, tokens: Array, start: int, streams: int, seq_length: int) -> float:
    length = -(-(len(tokens) - start) // streams)
    first = np.arange(start, len(tokens), length)  # stream b scores the targets from first[b] to first[b + 1]
    places = first + np.arange(-min(CONTEXT, start - 1), length)[:, None]
    scored = (places >= first) & (places < len(tokens))
    places = np.minimum(places, len(tokens) - 1)
    inputs, targets = tokens[places - 1], np.where(scored, tokens[places], _IGNORED)
    total, state = 0.0, None
    for t in range(0, len(places), seq_length):
        chunk = slice(t, t + seq_length)
        logits, state = model(inputs[chunk], state)  # type: ignore[operator]
        total += float(cross_entropy(logits, targets[chunk], ignore_index=_IGNORED, reduction="sum"))
    return total
