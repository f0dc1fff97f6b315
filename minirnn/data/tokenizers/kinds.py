"""The tokenizers by name, and those that were saved."""

import os
from typing import Any

from minirnn.data.files import read_json
from minirnn.data.tokenizers.bytes import ByteTokenizer
from minirnn.data.tokenizers.characters import Vocabulary
from minirnn.data.tokenizers.tokenizer import Tokenizer
from minirnn.data.tokenizers.words import WordTokenizer

__all__ = ["TOKENIZERS", "load_tokenizer", "tokenizer_from_dict"]

TOKENIZERS: dict[str, type[Tokenizer]] = {kind.kind: kind for kind in (Vocabulary, ByteTokenizer, WordTokenizer)}
"""Name -> class; `TOKENIZERS[name].from_text(text)` makes one."""


def tokenizer_from_dict(description: Any) -> Tokenizer:
    """The tokenizer, of any kind, whose to_dict() this is. ValueError: any other description."""
    kind = description.get("kind") if isinstance(description, dict) else None
    if not isinstance(kind, str) or kind not in TOKENIZERS:
        came = f"kind {kind!r}" if isinstance(description, dict) else f"a {type(description).__name__}"
        raise ValueError(f"tokenizer: {came} came, a dict with a kind among {', '.join(TOKENIZERS)} was expected")
    return TOKENIZERS[kind].from_dict(description)


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Read a tokenizer of any kind that `save` wrote.

    FileNotFoundError: no such file. ValueError: damaged, or no tokenizer.
    """
    description = read_json(path)
    try:
        return tokenizer_from_dict(description)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
