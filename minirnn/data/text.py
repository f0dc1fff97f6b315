"""Text from files, and its characters (Unicode code points) as integers."""

import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minirnn.module import Array

__all__ = ["UNKNOWN", "Corpus", "TextError", "Vocabulary", "read_text", "standard_library"]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""What stands for a character that the vocabulary does not hold; its token is 0."""


class TextError(ValueError):
    """What was given is no text, or not enough of it."""


class Corpus(NamedTuple):
    """A text, where it came from, how many files it was, and how many more were passed over as no UTF-8 text."""

    text: str
    source: str
    files: int
    skipped: int


def read_text(path: str | os.PathLike[str]) -> Corpus:
    """A UTF-8 file, or all of a folder's (and its folders', in the order of their paths, hidden ones left out) as one.

    In a folder, files that are no UTF-8 text are passed over and counted. FileNotFoundError: nothing is there.
    TextError: a file that is no UTF-8 text, no text in a folder, or nothing but white space.
    """
    path = Path(path)
    if not path.is_dir():
        return _corpus([_read(path)], str(path), 0)
    texts: list[str] = []
    skipped = 0
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if hidden or not file.is_file():
            continue
        try:
            texts.append(_read(file))
        except TextError:
            skipped += 1
    if not texts:
        raise TextError(f"{path}: the folder holds no UTF-8 text ({skipped} other files)")
    return _corpus(texts, str(path), skipped)


def standard_library() -> Corpus:
    """The source of the running Python's standard library, top-level modules only: text that is on every machine."""
    folder = Path(sysconfig.get_path("stdlib"))
    return _corpus([_read(file) for file in sorted(folder.glob("*.py"))], f"Python's standard library, {folder}", 0)


def _corpus(texts: list[str], source: str, skipped: int) -> Corpus:
    text = "".join(texts)
    if not text.strip():
        raise TextError(f"{source}: the text is empty")
    return Corpus(text, source, len(texts), skipped)


def _read(path: Path) -> str:
    """A file's text, with any of the line ends as a newline. TextError: no UTF-8, or NUL bytes among it."""
    content = path.read_bytes()
    if b"\0" in content:
        raise TextError(f"{path}: a binary file came (a NUL byte at offset {content.index(0)}), UTF-8 text expected")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path}: byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8; convert the file first "
            "(iconv -t UTF-8)"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Vocabulary:
    """Characters as integers: token 0 is UNKNOWN, the others are the given characters in order of code point.

    v = Vocabulary("abba");  v.encode("abc") -> [1, 2, 0];  v.decode([1, 2]) -> "ab"
    """

    def __init__(self, characters: Iterable[str]):
        self.characters = (UNKNOWN, *sorted(set(characters) - {UNKNOWN}))
        wrong = [character for character in self.characters if not isinstance(character, str) or len(character) != 1]
        if wrong:
            raise ValueError(f"Vocabulary: {wrong[0]!r} came, single characters were expected")
        self._codes = np.array([ord(character) for character in self.characters[1:]], np.uint32)

    def __len__(self) -> int:
        return len(self.characters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and other.characters == self.characters

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.characters) - 1} characters and the unknown one)"

    def encode(self, text: str) -> Array:
        """The text's tokens, (len(text),) integers; characters that are not in the vocabulary are 0."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        if not self._codes.size:
            return np.zeros(codes.size, np.int64)
        places = np.minimum(np.searchsorted(self._codes, codes), self._codes.size - 1)
        return np.where(self._codes[places] == codes, places + 1, 0).astype(np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """The characters of the tokens. ValueError: a token outside 0 .. len(self) - 1."""
        found = [int(token) for token in tokens]
        outside = [token for token in found if not 0 <= token < len(self)]
        if outside:
            raise ValueError(f"decode: token {outside[0]} came, 0 to {len(self) - 1} were expected")
        return "".join([self.characters[token] for token in found])
