"""Words as integers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Self

import numpy as np

from minirnn.data.tokenizers.listed import UNKNOWN, ListedTokenizer, most_frequent
from minirnn.data.tokenizers.tokenizer import check_description
from minirnn.module import Array

__all__ = ["LONGEST_WORD", "WordTokenizer", "split_words", "split_words_of_pieces"]

LONGEST_WORD = 64
"""A longer run of letters and digits is several words, so that one never fills the memory."""

_FIRST_MARK, _LAST_MARK = 0x300, 0x1F000  # beyond are emoji, CJK, and variation selectors of these


_PLAIN = re.compile(rf"[^\W_]{{1,{LONGEST_WORD}}}|[\W_]")  # three times as quick, where no marks are


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A word, and what no plain pattern knows: the marks that combine with letters (accents, the vowel signs of Indic
    scripts, Arabic and Hebrew points), and joiners.

    A word is a letter or digit and what follows it of letters, digits, marks and joiners; or any one character."""
    marks = "".join(c for c in map(chr, range(_FIRST_MARK, _LAST_MARK)) if unicodedata.category(c)[0] == "M")
    combining = rf"[{marks}\u200c\u200d]"
    word = rf"[^\W_](?:[^\W_]|{combining}){{0,{LONGEST_WORD - 1}}}|[\W_]"
    return re.compile(word), re.compile(combining)


def _word(text: str) -> re.Pattern[str]:
    """The pattern of the text's words."""
    return _PLAIN if text.isascii() or _patterns()[1].search(text) is None else _patterns()[0]


def split_words(text: str) -> list[str]:
    """The text cut into words: runs of letters and digits (of any script, with the marks that combine with them; at
    most LONGEST_WORD), and every other character, white space too, by itself. Joined, they are the text.

    split_words("It's 9 am.") -> ["It", "'", "s", " ", "9", " ", "am", "."]
    """
    return _word(text).findall(text)


def split_words_of_pieces(pieces: Iterable[str]) -> Iterator[list[str]]:
    """The words of a text that comes in pieces, also where a piece ends within a word."""
    rest = ""
    for piece in pieces:
        words = split_words(rest + piece)
        rest = words.pop() if words and words[-1][0].isalnum() and len(words[-1]) < LONGEST_WORD else ""
        yield words
    yield [rest] if rest else []


class WordTokenizer(ListedTokenizer):
    """Words (see split_words) as integers: token 0 is UNKNOWN, the others are the given words in the given order.

    w = WordTokenizer.from_text("to be or not to be", max_size=4);  w.decode(w.encode("to be or")) -> "to be \ufffd"

    ValueError: what is not a single word, or comes twice.
    """

    kind = "word"

    def __init__(self, words: Iterable[str]):
        self.words = (UNKNOWN, *words)
        self._tokens: dict[str, int] = {}
        for token, word in enumerate(self.words):
            if not isinstance(word, str) or not _word(word).fullmatch(word):
                raise ValueError(f"WordTokenizer: {word!r} came, single words were expected (see split_words)")
            if "\ud800" <= word <= "\udfff":
                raise ValueError(f"WordTokenizer: {word!r} came, half of a surrogate pair: no character")
            if self._tokens.setdefault(word, token) != token:
                raise ValueError(f"WordTokenizer: {word!r} came twice")

    @classmethod
    def from_text(cls, text: str | Iterable[str], *, max_size: int | None = None) -> Self:
        counts: Counter[str] = Counter()
        for words in split_words_of_pieces([text] if isinstance(text, str) else text):
            counts.update(words)
        return cls(most_frequent(counts, max_size))

    def entries(self) -> tuple[str, ...]:
        return self.words

    def __repr__(self) -> str:
        return f"WordTokenizer({len(self.words) - 1} words and the unknown one)"

    def encode(self, text: str) -> Array:
        """The text's tokens, (number of words,) int64; words that the tokenizer does not hold are 0."""
        return self._encode(split_words(text))

    def encode_pieces(self, pieces: Iterable[str]) -> Iterator[Array]:
        return (self._encode(words) for words in split_words_of_pieces(pieces))

    def _encode(self, words: list[str]) -> Array:
        return np.array([self._tokens.get(word, 0) for word in words], np.int64)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "words": list(self.words[1:])}

    @classmethod
    def from_dict(cls, description: Any) -> Self:
        check_description(description, cls.kind, words=list)
        return cls(description["words"])
