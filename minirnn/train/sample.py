"""Text from a language model, one token after the other, one text or several at once."""

from collections.abc import Iterator

import numpy as np

from minirnn.data import Tokenizer
from minirnn.functional import softmax
from minirnn.module import Array, Module

__all__ = ["choose", "sample", "sample_many"]


def sample(
    model: Module,
    tokenizer: Tokenizer,
    prime: str,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: np.random.Generator | None = None,
) -> Iterator[str]:
    """Yield the text of `length` tokens that continue `prime`, as soon as each is drawn.

    Each is drawn from softmax(logits / temperature); temperature 0 takes the likeliest. top_k: only of the k likeliest
    tokens. top_p: only of the fewest likeliest whose probabilities reach p (nucleus sampling: Holtzman et al. 2020,
    arXiv:1904.09751). The unknown token is never drawn. An empty prime starts from token 0, and what the tokenizer
    does not hold is read as the unknown token. The same rng, the same text.

    ValueError: a length, temperature, top_k or top_p out of its range.
    """
    drawn = _checked(model, tokenizer, prime, length, 1, temperature, top_k, top_p, rng)
    return tokenizer.decode_each(int(tokens[0]) for tokens in drawn)


def sample_many(
    model: Module,
    tokenizer: Tokenizer,
    prime: str,
    length: int,
    samples: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: np.random.Generator | None = None,
) -> list[str]:
    """As `sample`, `samples` texts side by side as one batch, each the continuation alone."""
    drawn = list(_checked(model, tokenizer, prime, length, samples, temperature, top_k, top_p, rng))
    return [tokenizer.decode(int(tokens[i]) for tokens in drawn) for i in range(samples)]


def _checked(
    model: Module,
    tokenizer: Tokenizer,
    prime: str,
    length: int,
    samples: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    rng: np.random.Generator | None,
) -> Iterator[Array]:
    if length < 0:
        raise ValueError(f"sample: length={length} came, 0 or more was expected")
    if samples < 1:
        raise ValueError(f"sample: samples={samples} came, a positive integer was expected")
    if not (temperature >= 0 and np.isfinite(temperature)):
        raise ValueError(f"sample: temperature={temperature} came, a finite number from 0 was expected")
    if top_k is not None and top_k < 1:
        raise ValueError(f"sample: top_k={top_k} came, a positive integer was expected")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"sample: top_p={top_p} came, a number above 0 and up to 1 was expected")
    if len(tokenizer) <= (tokenizer.unknown is not None):
        raise ValueError("sample: the tokenizer holds no tokens but the unknown one")
    rng = rng or np.random.default_rng()
    return _draw(model, tokenizer, prime, length, samples, temperature, top_k, top_p, rng)


def _draw(
    model: Module,
    tokenizer: Tokenizer,
    prime: str,
    length: int,
    samples: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    rng: np.random.Generator,
) -> Iterator[Array]:
    """The tokens (samples,) of each step."""
    start = tokenizer.encode(prime) if prime else np.zeros(1, np.int64)
    tokens, state = np.repeat(start[:, None], samples, axis=1), None
    for _ in range(length):
        logits, state = model(tokens, state)  # type: ignore[operator]
        last = logits[-1].astype(np.float64)
        if tokenizer.unknown is not None:
            last[:, tokenizer.unknown] = -np.inf
        drawn = choose(last, temperature, top_k, top_p, rng)
        yield drawn
        tokens = drawn[None]


def choose(
    logits: Array, temperature: float, top_k: int | None, top_p: float | None, rng: np.random.Generator
) -> Array:
    """One token of each row: logits (N, V) -> (N,) integers."""
    if temperature == 0:
        return np.argmax(logits, axis=1)
    order = np.argsort(-logits, axis=1, kind="stable")
    p = softmax((np.take_along_axis(logits, order, axis=1) - logits.max(axis=1, keepdims=True)) / temperature)
    if top_k is not None:
        p[:, top_k:] = 0.0
    before = np.cumsum(p, axis=1) - p  # the probability of all that are likelier
    if top_p is not None:
        p[before >= top_p * p.sum(axis=1, keepdims=True)] = 0.0
    reached = np.cumsum(p, axis=1)
    drawn = rng.random((len(p), 1)) * reached[:, -1:]
    last = (p > 0).sum(axis=1) - 1
    place = np.minimum((reached <= drawn).sum(axis=1), last)
    return np.take_along_axis(order, place[:, None], axis=1)[:, 0]
