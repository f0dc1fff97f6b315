"""A model as it reads a text: for every token what each cell held and did, and what the model expected next."""

import unicodedata
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from minirnn.analysis.graphemes import graphemes
from minirnn.analysis.recording import record_cells
from minirnn.data import Tokenizer
from minirnn.data.tokenizers.words import split_words
from minirnn.functional import softmax
from minirnn.module import Array, Module

__all__ = ["Reading", "Span", "read_along", "shown", "spans_of", "token_ends", "visible"]

NAMES = ("h", "c", "keep", "write", "show", "reset", "outputs", "x")
LIKELIEST = 5
SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"}


class Span(NamedTuple):
    """What is shown as one: whole tokens that are whole characters to a reader's eye. first, last: its tokens."""

    text: str
    first: int
    last: int


class Reading(NamedTuple):
    """N tokens of a text that a model has read from a state of zeros.

    ends: (N,), how many characters of the text have been read after each token. cells: path -> name -> (N, H), of "h",
    "c", the gates under the notes' names, "outputs" where they are not h, and "x", what the cell saw. likeliest: (N, 5)
    tokens that were expected next, and their probabilities; actual: (N,), the probability of the token that did come
    next, nan at the end.
    """

    text: str
    tokens: Array
    ends: Array
    spans: list[Span]
    cells: Mapping[str, Mapping[str, Array]]
    likeliest: Array
    probabilities: Array
    actual: Array


def read_along(model: Module, tokenizer: Tokenizer, text: str, *, tokens: int | None = None) -> Reading:
    """Let a language model read a text, at most so many tokens of it.

    model(tokens (T, B)) -> (logits (T, B, V), state), with recurrent cells inside. ValueError: a text of less than two
    tokens, or one that the tokenizer cannot encode.
    """
    ends = token_ends(tokenizer, text)
    if tokens is not None and len(ends) > tokens:
        text = text[: ends[tokens - 1]]  # whole characters, whatever the tokens are
        ends = token_ends(tokenizer, text)
    read = tokenizer.encode(text)
    if len(read) < 2:
        raise ValueError(f"the text has {len(read)} tokens, at least 2 were expected")
    cells = record_cells(model, read[:, None], NAMES)
    logits = model(read[:, None])[0][:, 0]  # type: ignore[operator]
    expected = softmax(logits.astype(np.float64))
    likeliest = np.argsort(-expected, axis=1, kind="stable")[:, :LIKELIEST]
    actual = np.append(expected[np.arange(len(read) - 1), read[1:]], np.nan)
    flat = {
        path: {
            name: np.reshape(values, (len(read), -1)) for name, values in of_cell.items() if not _again(name, of_cell)
        }
        for path, of_cell in cells.items()
    }
    probabilities = np.take_along_axis(expected, likeliest, axis=1)
    return Reading(text, read, ends, spans_of(text, ends), flat, likeliest, probabilities, actual)


def _again(name: str, of_cell: Mapping[str, Array]) -> bool:
    """Whether these are the outputs of a cell that shows its h."""
    return name == "outputs" and "h" in of_cell and np.array_equal(of_cell["h"], of_cell["outputs"])


def token_ends(tokenizer: Tokenizer, text: str) -> Array:
    """How many characters of the text are whole after each of its tokens: (N,). ValueError: an unknown kind."""
    if tokenizer.kind == "character":
        return np.arange(1, len(text) + 1)
    if tokenizer.kind == "word":
        return np.array(list(accumulate(map(len, split_words(text)))), np.int64)
    if tokenizer.kind == "byte":
        sizes = [len(character.encode("utf-8", "surrogatepass")) for character in text]
        return np.array([n + (k == size - 1) for n, size in enumerate(sizes) for k in range(size)], np.int64)
    raise ValueError(f"a tokenizer of kind {tokenizer.kind!r} came; character, word or byte was expected")


def spans_of(text: str, ends: Array) -> list[Span]:
    """The smallest pieces that cut neither a token nor a grapheme cluster."""
    cuts = set(accumulate(map(len, graphemes(text))))
    spans: list[Span] = []
    first = start = 0
    for token, end in enumerate(int(end) for end in ends):
        if end in cuts and end > start:
            spans.append(Span(text[start:end], first, token))
            first, start = token + 1, end
    if start < len(text):
        spans.append(Span(text[start:], first, len(ends) - 1))
    return spans


def shown(tokenizer: Tokenizer, token: Any) -> str:
    """A token as something that can be seen: white space as a sign, half a character as its byte."""
    if tokenizer.kind == "byte":
        return chr(token) if 0x20 < token < 0x7F else SIGNS.get(chr(token), f"0x{token:02X}")
    return visible(tokenizer.decode([int(token)]))


def visible(text: str) -> str:
    """White space as signs, and a mark that combines with what is before it on a dotted circle."""
    if text and unicodedata.category(text[0]).startswith("M"):
        return f"◌{text}"
    return "".join(SIGNS.get(character, character) for character in text)
