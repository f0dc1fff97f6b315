"""Characters (Unicode code points) as integers."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from minirnn.data.tokenizers.listed import UNKNOWN, ListedTokenizer, most_frequent
from minirnn.data.tokenizers.tokenizer import check_description
from minirnn.module import Array

__all__ = ["Vocabulary"]


class Vocabulary(ListedTokenizer):
    """Characters as integers: token 0 is UNKNOWN, the others are the given characters in order of code point.

    v = Vocabulary("abba");  v.encode("abc") -> [1, 2, 0];  v.decode([1, 2]) -> "ab"

    ValueError: what is not a single character, or half of a surrogate pair, which is no character.
    """

    kind = "character"

    def __init__(self, characters: Iterable[str]):
        self.characters = (UNKNOWN, *sorted(set(characters) - {UNKNOWN}))
        for character in self.characters:
            if not isinstance(character, str) or len(character) != 1:
                raise ValueError(f"Vocabulary: {character!r} came, single characters were expected")
            if "\ud800" <= character <= "\udfff":
                raise ValueError(f"Vocabulary: {character!r} came, half of a surrogate pair: no character")
        codes = [ord(character) for character in self.characters[1:]]
        self._tokens = np.zeros(max(codes, default=-1) + 2, np.int64)  # by code point; the last is all greater ones'
        self._tokens[codes] = np.arange(1, len(codes) + 1)

    @classmethod
    def from_text(cls, text: str | Iterable[str], *, max_size: int | None = None) -> Self:
        counts: Counter[str] = Counter()
        for piece in [text] if isinstance(text, str) else text:
            codes = np.bincount(_codes(piece))
            there = np.flatnonzero(codes)
            counts.update(dict(zip(map(chr, there.tolist()), codes[there].tolist(), strict=True)))
        return cls(most_frequent(counts, max_size))

    def entries(self) -> tuple[str, ...]:
        return self.characters

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.characters) - 1} characters and the unknown one)"

    def encode(self, text: str) -> Array:
        """The text's tokens, (len(text),) int64; characters that are not in the vocabulary are 0."""
        tokens: Array = self._tokens[np.minimum(_codes(text), len(self._tokens) - 1)]
        return tokens

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "characters": "".join(self.characters[1:])}

    @classmethod
    def from_dict(cls, description: Any) -> Self:
        check_description(description, cls.kind, characters=str)
        vocabulary = cls(description["characters"])
        if vocabulary.to_dict() != description:
            raise ValueError("a character tokenizer's characters are not each there once, in order of code point")
        return vocabulary


def _codes(text: str) -> Array:
    """The text's code points."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
