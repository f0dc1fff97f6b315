"""Text from a language model, one character after the other."""

from collections.abc import Iterator

import numpy as np

from minirnn.data import Vocabulary
from minirnn.functional import softmax
from minirnn.module import Array, Module

__all__ = ["sample"]


def sample(
    model: Module,
    vocabulary: Vocabulary,
    prime: str,
    length: int,
    *,
    temperature: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Iterator[str]:
    """Yield `length` characters that continue `prime`, each drawn from softmax(logits / temperature).

    Temperature 0 takes the likeliest each time. The unknown character is never drawn. An empty prime starts from it,
    and characters of the prime that the vocabulary does not hold are read as it. The same rng, the same text.

    ValueError: a negative length or temperature.
    """
    if length < 0:
        raise ValueError(f"sample: length={length} came, 0 or more was expected")
    if not (temperature >= 0 and np.isfinite(temperature)):
        raise ValueError(f"sample: temperature={temperature} came, a finite number from 0 was expected")
    if len(vocabulary) < 2:
        raise ValueError("sample: the vocabulary holds no characters")
    return _draw(model, vocabulary, prime, length, temperature, rng or np.random.default_rng())


def _draw(
    model: Module, vocabulary: Vocabulary, prime: str, length: int, temperature: float, rng: np.random.Generator
) -> Iterator[str]:
    tokens, state = vocabulary.encode(prime or vocabulary.characters[0]), None
    for _ in range(length):
        logits, state = model(tokens[:, None], state)  # type: ignore[operator]
        token = 1 + _choose(logits[-1, 0, 1:], temperature, rng)
        yield vocabulary.characters[token]
        tokens = np.array([token])


def _choose(logits: Array, temperature: float, rng: np.random.Generator) -> int:
    if temperature == 0:
        return int(np.argmax(logits))
    p = softmax((logits.astype(np.float64) - logits.max()) / temperature)
    return min(int(np.searchsorted(np.cumsum(p), rng.random() * p.sum(), side="right")), len(p) - 1)
