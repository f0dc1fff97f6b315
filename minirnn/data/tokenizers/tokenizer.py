"""The interface that every tokenizer has."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from minirnn.data.files import read_json
from minirnn.module import Array
from minirnn.whole_file import whole_file

__all__ = ["Tokenizer", "check_description"]


class Tokenizer(ABC):
    """Text as integers 0 .. len(self) - 1 and back. Tokenizers are never changed once they are made.

    kind: its name in files and in TOKENIZERS. unknown: the token of whatever it does not hold, None where it holds
    everything.
    """

    kind: ClassVar[str]
    unknown: ClassVar[int | None]

    @classmethod
    @abstractmethod
    def from_text(cls, text: str | Iterable[str], *, max_size: int | None = None) -> Self:
        """A tokenizer for the text, which is one string or its pieces in order (`read_pieces(path)`).

        max_size: the largest len(tokenizer), the unknown token included; what is most frequent is kept.
        """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def encode(self, text: str) -> Array:
        """The text's tokens, (N,) int64."""

    def encode_pieces(self, pieces: Iterable[str]) -> Iterator[Array]:
        """The tokens of a text that comes in pieces: joined, they are encode(the joined pieces)."""
        return (self.encode(piece) for piece in pieces)

    @abstractmethod
    def decode_each(self, tokens: Iterable[int]) -> Iterator[str]:
        """Yield the text of tokens one after the other, as soon as it is whole: joined, it is decode(tokens)."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The tokens' text. ValueError: a token outside 0 .. len(self) - 1."""
        return "".join(self.decode_each(tokens))

    def checked(self, token: int) -> int:
        """The token as an int. ValueError: outside 0 .. len(self) - 1."""
        number = int(token)
        if not 0 <= number < len(self):
            raise ValueError(f"decode: token {number} came, 0 to {len(self) - 1} were expected")
        return number

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """All there is to know about it, in what JSON can hold; "kind" is among it."""

    @classmethod
    @abstractmethod
    def from_dict(cls, description: Any) -> Self:
        """The tokenizer whose to_dict() this is. ValueError: any other description, saying what is wrong with it."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to_dict() as JSON; the file appears whole or not at all."""
        with whole_file(path) as file:
            file.write(json.dumps(self.to_dict(), ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` of this kind wrote (`load_tokenizer` reads every kind).

        FileNotFoundError: no such file. ValueError: damaged, or no tokenizer of this kind.
        """
        description = read_json(path)
        try:
            return cls.from_dict(description)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_dict() == self.to_dict()

    __hash__ = None  # type: ignore[assignment]


def check_description(description: Any, kind: str, **fields: type) -> None:
    """See that it is a dict with this kind and these fields, of these types. ValueError otherwise."""
    if not isinstance(description, dict):
        raise ValueError(f"a tokenizer's description is a {type(description).__name__}, a dict was expected")
    if description.get("kind") != kind:
        raise ValueError(f"a tokenizer of kind {description.get('kind')!r} came, {kind!r} was expected")
    if description.keys() != {"kind", *fields}:
        came, expected = ", ".join(map(str, description)), ", ".join(["kind", *fields])
        raise ValueError(f"a {kind} tokenizer's description holds {came}; {expected} were expected")
    for name, expected_type in fields.items():
        if not isinstance(description[name], expected_type):
            came = type(description[name]).__name__
            raise ValueError(f"a {kind} tokenizer's {name} are a {came}, a {expected_type.__name__} was expected")
