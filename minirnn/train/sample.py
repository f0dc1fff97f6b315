"""Text from a language model, one token after the other, one text or several at once."""

from collections.abc import Iterator

import numpy as np

from minirnn.checks import as_generator, check_positive, is_integer
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

    ValueError: a length, temperature, top_k or top_p out of its range, or logits from which nothing can be drawn: nan,
    +inf, or -inf throughout.
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
    if not is_integer(length) or length < 0:
        raise ValueError(f"sample: length={length!r} came, 0 or more was expected")
    check_positive("sample", samples=samples, **({} if top_k is None else {"top_k": top_k}))
    if not (_is_number(temperature) and 0 <= temperature < np.inf):
        raise ValueError(f"sample: temperature={temperature!r} came, a finite number from 0 was expected")
    if top_p is not None and not (_is_number(top_p) and 0 < top_p <= 1):
        raise ValueError(f"sample: top_p={top_p!r} came, a number above 0 and up to 1 was expected")
    if len(tokenizer) <= (tokenizer.unknown is not None):
        raise ValueError("sample: the tokenizer holds no tokens but the unknown one")
    rng = as_generator("sample", rng)
    return _draw(model, tokenizer, prime, length, samples, temperature, top_k, top_p, rng)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


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
    """One token of each row: logits (N, V) -> (N,) integers; -inf is never drawn.

    ValueError: logits that are nan or +inf, or -inf throughout.
    """
    top = logits.max(axis=1, keepdims=True)
    if not np.isfinite(top).all():
        what = "nan" if np.isnan(top).any() else "infinite" if (top == np.inf).any() else "-inf for every token"
        raise ValueError(f"sample: the model's logits are {what}; it has diverged, or forbids all that it could say")
    if temperature == 0:
        return np.argmax(logits, axis=1)
    order = np.argsort(-logits, axis=1, kind="stable")
    with np.errstate(over="ignore"):  # at a temperature near 0 all but the likeliest are at -inf
        p = softmax((np.take_along_axis(logits, order, axis=1) - top) / temperature)
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
