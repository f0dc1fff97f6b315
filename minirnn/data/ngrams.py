"""How well a text is predicted from its last characters alone: the yardstick that a recurrent model has to beat."""

import math
from collections.abc import Iterable
from typing import Self

import numpy as np

from minirnn.module import Array

__all__ = ["GramCounts", "most_order", "ngram_bits", "witten_bell_bits"]

_PIECE = 1 << 20  # tokens counted at a time
_BITS = 62  # that a key may have


def ngram_bits(training: Array, held_out: Array, vocabulary_size: int, order: int) -> float:
    """Bits per held-out token of an n-gram model of the training tokens: order 0 uniform, 1 unigram, 2 bigram, ...

    Witten-Bell interpolation (1991, doi:10.1109/18.87000): with N(h) tokens seen after the context h, D(h) of them
    distinct, p(c | h) = (count(h c) + D(h) p(c | h without its first)) / (N(h) + D(h)), down to p(c) = 1 / V.
    The held-out text's first contexts reach back into the training text.

    Beside the tokens, which may be a memory-mapped file's, memory holds the runs of `order` tokens that differ.
    """
    if order > most_order(vocabulary_size):
        raise ValueError(f"ngram_bits: order={order} of {vocabulary_size} tokens does not fit 64-bit keys")
    seen = GramCounts(vocabulary_size, order)
    seen.add(training)
    wanted = seen.following()
    wanted.add(held_out)
    return witten_bell_bits(seen, wanted)[order]


def most_order(vocabulary_size: int) -> int:
    """The longest runs of tokens whose keys are 64-bit integers."""
    return _BITS if vocabulary_size < 2 else int(_BITS / math.log2(vocabulary_size))


class GramCounts:
    """How often each run of `order` tokens comes in a text that is added piece by piece; a run may cross pieces.

    keys, counts: the runs as numbers, their digits the tokens, sorted; brought up to date by `finish`.
    """

    def __init__(self, vocabulary_size: int, order: int):
        self.base, self.order = vocabulary_size, order
        self.tokens = 0
        self.keys: Array = np.empty(0, np.int64)
        self.counts: Array = np.empty(0, np.int64)
        self.first: Array = np.empty(0, np.int64)  # the tokens that the text begins with: no run ends there
        self.last: Array = np.empty(0, np.int64)  # those that the next run begins with
        self._pending: list[tuple[Array, Array]] = []
        self._waiting = 0

    def following(self) -> Self:
        """Counts of a text that goes on where this one ends, of the longest runs up to `order` that this one holds."""
        after = type(self)(self.base, min(self.order, self.tokens))
        after.last = self.last[max(0, self.last.size - after.order + 1) :] if after.order else self.last[:0]
        return after

    def add(self, tokens: Array) -> None:
        """Count the runs that end in these tokens, (N,) integers."""
        for start in range(0, len(tokens), _PIECE):
            piece = np.asarray(tokens[start : start + _PIECE], np.int64)
            self.tokens += piece.size
            if self.first.size < self.order:
                self.first = np.concatenate([self.first, piece])[: self.order]
            text = np.concatenate([self.last, piece])
            if self.order and text.size >= self.order:
                self._count(text)
            self.last = text[max(0, text.size - (self.order - 1)) :] if self.order > 1 else text[:0]

    def add_all(self, pieces: Iterable[Array]) -> None:
        for piece in pieces:
            self.add(piece)

    def _count(self, text: Array) -> None:
        runs = text.size - self.order + 1
        text = text.astype(np.int32 if self.base**self.order < 2**31 else np.int64)  # the narrow ones sort faster
        keys: Array = text[:runs]
        for i in range(1, self.order):
            keys = keys * self.base + text[i : i + runs]
        grams, counts = np.unique(keys, return_counts=True)
        self._pending.append((grams.astype(np.int64), counts))
        self._waiting += grams.size
        if self._waiting > self.keys.size + _PIECE:
            self.finish()

    def finish(self) -> None:
        """Bring keys and counts up to date."""
        if self._pending:
            every = [(self.keys, self.counts), *self._pending]
            self._pending, self._waiting = [], 0
            self.keys, self.counts = _added_up(
                np.concatenate([keys for keys, _ in every]), np.concatenate([counts for _, counts in every])
            )


def witten_bell_bits(seen: GramCounts, wanted: GramCounts) -> list[float]:
    """Bits per token of `wanted` by the models of order 0 to theirs, of what was counted in `seen`; as `ngram_bits`.

    ValueError: no tokens in `wanted`.
    """
    if not wanted.tokens:
        raise ValueError("ngram_bits: no held-out tokens came")
    seen.finish()
    wanted.finish()
    base, order = seen.base, seen.order
    levels = wanted.order
    p = np.full(wanted.keys.size, 1.0 / base)
    bits = [float(np.log2(base))]
    tables = _shorter(seen, levels)
    for n in range(1, levels + 1):
        grams, counts = tables[n]
        contexts, starts = np.unique(grams // base, return_index=True)
        ends = wanted.keys % base**n
        N = _look_up(contexts, np.add.reduceat(counts, starts), ends // base)
        D = _look_up(contexts, np.diff(starts, append=grams.size), ends // base)
        p = np.where(N > 0, (_look_up(grams, counts, ends) + D * p) / np.maximum(N + D, 1), p)
        bits.append(float(-(wanted.counts @ np.log2(p)) / wanted.tokens))
    return bits + bits[-1:] * (order - levels)


def _shorter(seen: GramCounts, levels: int) -> dict[int, tuple[Array, Array]]:
    """(keys, counts) of the runs of 1 to `levels` tokens: those that end a longer one, and the first of all."""
    tables: dict[int, tuple[Array, Array]] = {}
    for n in range(levels, 0, -1):
        if n == seen.order:
            tables[n] = seen.keys, seen.counts
            continue
        keys, counts = tables.get(n + 1, (seen.keys, seen.counts))
        first = seen.first[:n] @ seen.base ** np.arange(n - 1, -1, -1)
        tables[n] = _added_up(np.append(keys % seen.base**n, first), np.append(counts, 1))
    return tables


def _added_up(keys: Array, counts: Array) -> tuple[Array, Array]:
    """Each key once, sorted, with the sum of its counts."""
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    return keys[starts], np.add.reduceat(counts, starts)


def _look_up(keys: Array, values: Array, wanted: Array) -> Array:
    """The value beside each wanted key, 0 where there is no such key; keys are sorted."""
    places = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[places] == wanted, values[places], 0)
