"""How well a text is predicted from its last characters alone: the yardstick that a recurrent model has to beat."""

import numpy as np

from minirnn.module import Array

__all__ = ["ngram_bits"]


def ngram_bits(training: Array, held_out: Array, vocabulary_size: int, order: int) -> float:
    """Bits per held-out token of an n-gram model of the training tokens: order 0 uniform, 1 unigram, 2 bigram, ...

    Witten-Bell interpolation (1991, doi:10.1109/18.87000): with N(h) tokens seen after the context h, D(h) of them
    distinct, p(c | h) = (count(h c) + D(h) p(c | h without its first)) / (N(h) + D(h)), down to p(c) = 1 / V.
    The held-out text's first contexts reach back into the training text.
    """
    if not held_out.size:
        raise ValueError("ngram_bits: no held-out tokens came")
    if float(vocabulary_size) ** order > 2.0**62:
        raise ValueError(f"ngram_bits: order={order} of {vocabulary_size} tokens does not fit 64-bit keys")
    p = np.full(held_out.size, 1.0 / vocabulary_size)
    text = np.concatenate([training, held_out]).astype(np.int64)
    for n in range(1, order + 1):
        if training.size < n:
            break
        grams, counts = np.unique(_keys(text[: training.size], n, vocabulary_size), return_counts=True)
        contexts, starts = np.unique(grams // vocabulary_size, return_index=True)
        seen = np.add.reduceat(counts, starts)
        distinct = np.diff(starts, append=grams.size)
        wanted = _keys(text[training.size - (n - 1) :], n, vocabulary_size)
        after = wanted // vocabulary_size
        N, D = _look_up(contexts, seen, after), _look_up(contexts, distinct, after)
        p = np.where(N > 0, (_look_up(grams, counts, wanted) + D * p) / np.maximum(N + D, 1), p)
    return float(-np.mean(np.log2(p)))


def _keys(tokens: Array, n: int, base: int) -> Array:
    """Each run of n tokens as one number, its digits the tokens."""
    runs = tokens.size - n + 1
    keys = np.zeros(runs, np.int64)
    for i in range(n):
        keys = keys * base + tokens[i : i + runs]
    return keys


def _look_up(keys: Array, values: Array, wanted: Array) -> Array:
    """The value beside each wanted key, 0 where there is no such key; keys are sorted."""
    places = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[places] == wanted, values[places], 0)
