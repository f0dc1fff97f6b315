"""Properties of a text that a unit may track: one number for each character, from what has been read so far.

Karpathy, Johnson & Fei-Fei 2015 (arXiv:1506.02078) found units of a character LSTM that are on inside quotes, that
count the position in a line, or the depth of indentation. A property at character n is what is known once n is read.
"""

from collections.abc import Callable

import numpy as np

from minirnn.module import Array

__all__ = ["PROPERTIES", "indentation", "inside_quotes", "line_position", "occurrences", "open_brackets"]

PAIRS = {"“": "”", "‘": "’", "「": "」", "『": "』", "«": "»"}
OPENING, CLOSING = "([{", ")]}"
TAB = 8


def inside_quotes(text: str) -> Array:
    """1 from an opening double quote (or “ 「 『 «) up to the closing one, else 0: (N,).

    A straight quote that is still open at the end of a paragraph (an empty line) is taken as closed there: one quote
    that was forgotten does not turn the rest of the text inside out.
    """
    inside = np.zeros(len(text))
    closing = ""
    for n, character in enumerate(text):
        if closing:
            if character == closing or text[n - 1 : n + 1] == "\n\n":
                closing = ""
        elif character == '"':
            closing = '"'
        elif character in PAIRS:
            closing = PAIRS[character]
        inside[n] = bool(closing)
    return inside


def line_position(text: str) -> Array:
    """How many characters of the line have been read, 0 at its end: (N,)."""
    found, position = np.zeros(len(text)), 0
    for n, character in enumerate(text):
        position = 0 if character == "\n" else position + 1
        found[n] = position
    return found


def indentation(text: str) -> Array:
    """How many columns the line is indented by, as far as it is read; a tab goes to the next multiple of 8: (N,)."""
    found, depth, inside = np.zeros(len(text)), 0, True
    for n, character in enumerate(text):
        if character == "\n":
            depth, inside = 0, True
        elif inside and character == " ":
            depth += 1
        elif inside and character == "\t":
            depth += TAB - depth % TAB
        else:
            inside = False
        found[n] = depth
    return found


def open_brackets(text: str) -> Array:
    """How many of ( [ { are open; one too many that closes counts for nothing: (N,)."""
    found, depth = np.zeros(len(text)), 0
    for n, character in enumerate(text):
        depth = depth + 1 if character in OPENING else max(0, depth - 1) if character in CLOSING else depth
        found[n] = depth
    return found


def occurrences(text: str, part: str) -> Array:
    """1 at every character of every occurrence of `part`, else 0: (N,). ValueError: an empty part."""
    if not part:
        raise ValueError("occurrences: an empty part came")
    found, start = np.zeros(len(text)), text.find(part)
    while start >= 0:
        found[start : start + len(part)] = 1
        start = text.find(part, start + 1)
    return found


PROPERTIES: dict[str, Callable[[str], Array]] = {
    "inside quotes": inside_quotes,
    "line position": line_position,
    "indentation": indentation,
    "open brackets": open_brackets,
}
