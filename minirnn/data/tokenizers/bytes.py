"""Bytes of UTF-8 as integers: every text in 256 tokens, none of them unknown."""

import codecs
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np

from minirnn.data.tokenizers.tokenizer import Tokenizer, check_description
from minirnn.module import Array

__all__ = ["ByteTokenizer"]


class ByteTokenizer(Tokenizer):
    """A text's UTF-8 bytes. Every text comes back; bytes that are not UTF-8 decode to U+FFFD (a model may draw them).

    ByteTokenizer().encode("é") -> [195, 169]
    """

    kind = "byte"
    unknown = None

    @classmethod
    def from_text(cls, text: str | Iterable[str], *, max_size: int | None = None) -> Self:
        """The same for every text, which is not read. ValueError: a max_size; there are always 256."""
        if max_size is not None:
            raise ValueError(f"ByteTokenizer: max_size={max_size} came; there are always 256 bytes, leave it out")
        return cls()

    def __len__(self) -> int:
        return 256

    def __repr__(self) -> str:
        return "ByteTokenizer()"

    def encode(self, text: str) -> Array:
        """The text's bytes, (N,) int64. ValueError: half of a surrogate pair in the text, which UTF-8 cannot hold."""
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"encode: {text[error.start]!r} at character {error.start} is half of a surrogate pair: no character"
            ) from error
        return np.frombuffer(content, np.uint8).astype(np.int64)

    def decode_each(self, tokens: Iterable[int]) -> Iterator[str]:
        utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in tokens:
            if text := utf8.decode(bytes([self.checked(token)])):
                yield text
        if rest := utf8.decode(b"", final=True):
            yield rest

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_dict(cls, description: Any) -> Self:
        check_description(description, cls.kind)
        return cls()
