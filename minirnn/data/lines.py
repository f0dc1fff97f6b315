"""Lines: short texts, each a sequence of its own, for a model that begins and ends them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from minirnn.checks import as_integers
from minirnn.data.batch import IGNORED, Batch, pad
from minirnn.data.tokenizers import Tokenizer
from minirnn.module import Array

__all__ = ["Lines"]


class Lines:
    """Texts, each a sequence by itself: what goes in is the start symbol and the text, what is asked the text and the
    end symbol.

    The start and the end symbol are one token, len(tokenizer): what a model draws after it is a text's first token,
    and drawing it ends the text. vocabulary_size is len(tokenizer) + 1.

    ValueError: no lines.
    """

    def __init__(self, lines: Iterable[str], tokenizer: Tokenizer):
        encoded = [tokenizer.encode(line) for line in lines]
        if not encoded:
            raise ValueError("Lines: no lines came")
        self.tokenizer = tokenizer
        self.start = self.end = len(tokenizer)
        self.vocabulary_size = len(tokenizer) + 1
        self.sequences: list[Array] = [np.array([self.start, *tokens, self.end], np.int64) for tokens in encoded]
        self.lengths: Array = np.array([len(tokens) + 1 for tokens in encoded], np.int64)

    def __len__(self) -> int:
        return len(self.sequences)

    def __repr__(self) -> str:
        return f"Lines({len(self)} of them, {self.tokenizer!r})"

    def batch(self, indices: Sequence[int] | Array) -> Batch:
        """inputs, targets: (T, B) int64, T = the longest line's tokens + 1; 0 and IGNORED after a line's end."""
        indices = as_integers("batch: indices", indices)
        chosen = [self.sequences[k] for k in indices]
        inputs, lengths = pad([sequence[:-1] for sequence in chosen])
        targets, _ = pad([sequence[1:] for sequence in chosen], IGNORED)
        return Batch(inputs, targets, lengths)

    def subset(self, indices: Sequence[int] | Array) -> Self:
        """These lines alone, not copied."""
        indices = as_integers("subset: indices", indices)
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part.sequences = [self.sequences[k] for k in indices]
        part.lengths = self.lengths[indices]
        return part

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens drawn after the start symbol, up to the first end symbol where there is one.

        ValueError: a token outside 0 .. vocabulary_size - 1.
        """
        return self.tokenizer.decode(itertools.takewhile(lambda token: token != self.end, tokens))
